/* SPDX-License-Identifier: ISC */
/*
 * A VM: its definition, what it is made of, and what can be done with it. The life cycle files (start.c,
 * stop.c, create.c, ...) build on model.c, state.c, plan.c and calls.c, which build on config, plugin
 * and qemu. Nothing in here prints facts: that is cli's.
 */
#ifndef VMF_VM_VM_H
#define VMF_VM_VM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"
#include "config/config.h"
#include "config/paths.h"
#include "plugin/plugin.h"
#include "qemu/args.h"
#include "qemu/qmp.h"
#include "vm/image.h"

/* ---- one run of the program --------------------------------------------------------------- */

struct ctx {
	struct paths paths;
	char *invoked_class;  /* from the name that the program was called by (labvm), or NULL */
	struct strv settings; /* -o */
	bool json, dry_run;
	struct strv planned;  /* dry_run: the steps that would be done, for cli to print */
	struct conf *base;    /* built-in, vmf.conf */
	struct conf *with_default; /* base and class default */
	struct conf **classes; /* with_default and one class each */
	struct strv class_names;
	bool is_far;           /* this is the far end of a connection, which its near end's VMs live at */
	bool ends_move;        /* the mark of a move does not count, see move.h */
	bool goes_on;          /* far end: the near end has more of the chain */
	char *pretended, *pretended_text; /* in a dry run: the VM whose definition is this text, not its file's; or NULL */
	char *chain_vm;        /* what the VM of the chain that was run is called at its end */
	enum { MANAGED_UNKNOWN, MANAGED_NONE, MANAGED_SOME } managed; /* whether LIB/managed is there */
	struct known_volumes *volumes; /* of stores that were asked already; NULL: none is remembered */
};

extern const struct conf_schema vm_schema;

/* Reads vmf.conf and class default, once. */
int ctx_load(struct ctx *ctx, struct vmf_error *err);
void ctx_free(struct ctx *ctx);
/* Merges a file that need not be there; *st, unless NULL, gets what it was when it was opened; all 0: missing. */
int layer_add_optional(struct conf *conf, const char *path, struct stat *st, struct vmf_error *err);
/* The layers up to and with a class; the context's. NULL and err. */
struct conf *ctx_class(struct ctx *ctx, const char *name, struct vmf_error *err);

/* ---- a VM --------------------------------------------------------------------------------- */

struct vm_disk {
	const char *title;                 /* the section's, or the volume's number */
	const char *instance;              /* the storage's name */
	const struct conf_section *section; /* NULL: found by its name in the store */
	const char *volume;
	const char *bus;                   /* "virtio", "scsi", "ide", "nvme", "usb" */
	bool readonly;
	unsigned index;
	char *slot;                        /* "disk-root": also QEMU's node name */
	const struct plugin *plugin;       /* after vm_resolve() */
	struct vmf_opts *opts;
};

struct vm_nic {
	const char *title;
	const char *instance;
	const struct conf_section *section; /* NULL: the NIC that every VM has by default */
	const char *model, *segment; /* segment: "" none, NULL the network's own */
	bool is_linked; /* its cable is plugged in */
	char mac[18];
	unsigned index;
	char *slot; /* "nic-lan" */
	const struct plugin *plugin;
	struct vmf_opts *opts;
};

struct vm_display {
	const char *name; /* the plugin's; NULL: no display */
	const struct plugin *plugin;
	struct vmf_opts *opts;
};

struct vm {
	struct ctx *ctx;
	char *name;
	char *file;            /* its definition */
	bool is_defined;
	struct vm_stamp {
		dev_t dev;
		ino_t ino; /* 0: there was no file */
		off_t size;
		struct timespec changed;
	} stamp; /* of the file when it was read */
	char uuid[37];
	const char *class_;    /* or NULL */
	struct conf *conf;
	struct conf *master;   /* of one that is managed from elsewhere: the layers below its definition; or NULL */
	const struct conf_section *root;
	struct vm_disk *disks;
	size_t n_disks;
	struct vm_nic *nics;
	size_t n_nics;
	struct vm_display display;
	bool is_resolved;
	bool was_destroyed;    /* vm_lock() has found a destroy that was interrupted, and has finished it */
	struct vm_seen {
		const char *instance; /* the store, NULL: none was asked */
		struct vmf_volume_list list;
		bool is_fresh;
	} seen; /* what vm_resolve() was told of the VM's volumes, until it is called again */
	struct arena arena;

	/* the run folder */
	char *run_dir;
	int run_fd;            /* -1: not open */
	int op_fd;             /* our own lock's fd; -1: not held */
	json_t *slots;         /* key/value state of slots, NULL: not read yet */
	uid_t qemu_uid;
	gid_t qemu_gid;
	struct qmp *qmp;
	json_t *transaction;   /* while plugins are called: what they tell QEMU is kept for one transaction; NULL: said at once */
};

int vm_name_check(const char *name, struct vmf_error *err);
/* The definition and all its layers. Undefined: VMF_E_NOT_FOUND, unless MAY_MISS. NULL and err on failure. */
struct vm *vm_load(struct ctx *ctx, const char *name, bool may_miss, struct vmf_error *err);
/* One whose definition cannot be read, to mend it: it has a name, a file and the layers below. */
struct vm *vm_load_broken(struct ctx *ctx, const char *name, struct vmf_error *err);
/* The VM as it would be if TEXT were its definition; NULL and err if that has mistakes. */
struct vm *vm_try(const struct vm *vm, const char *text, struct vmf_error *err);
/* The VM itself becomes what TEXT says; after a failure it must be reloaded. */
int vm_become(struct vm *vm, const char *text, struct vmf_error *err);
/* The same after the definition was changed; what was resolved or connected is given up. */
int vm_reload(struct vm *vm, struct vmf_error *err);
/* Whether the definition's file is still the one that was read. */
bool vm_is_current(const struct vm *vm);
void vm_free(struct vm *vm);
/* A further disk of the model, with the defaults; valid until the next one. TITLE lives as long as the VM. */
struct vm_disk *vm_add_disk(struct vm *vm, const char *title);
/* Loads the plugins of disks, NICs and display and finds the VM's volumes. */
int vm_resolve(struct vm *vm, struct vmf_error *err);
/* The plugin and options of the display that DISPLAY names, as the VM's definition has it; its opts are the caller's. */
int vm_display_resolve(struct vm *vm, struct vm_display *display, struct vmf_error *err);
/* Names of all defined VMs, sorted. */
int vm_names(struct ctx *ctx, struct strv *names, struct vmf_error *err);
/* "class-NAME" or "NAME": what the VM's volumes are called, but for their number. */
char *vm_volume_prefix(const struct vm *vm);
/* PREFIX-N with the first N that neither a volume of store INSTANCE nor a disk of the VM has; the caller frees. NULL and
 * err. */
char *vm_next_volume(struct vm *vm, const char *instance, struct vmf_error *err);
uint64_t vm_memory_bytes(const struct vm *vm);
/* The image in the CD drive, or NULL. "" stands for none where a class has one. */
const char *vm_cdrom(const struct conf_section *root);
/* Locally administered, from the UUID and the NIC's number alone. */
void vm_mac(const char *uuid, unsigned index, char out[18]);
/* VMF_E_EXISTS if one of its NICs has a MAC address that another NIC of a defined VM has. WAS_UUID: the VM's before it was
 * changed, or NULL. (macs.c) */
int vm_check_macs(const struct vm *vm, const char *was_uuid, struct vmf_error *err);

/* ---- plugins' calls (calls.c) ------------------------------------------------------------- */

/* A storage, network or host section and the plugin in it. */
struct vm_instance {
	const struct plugin *plugin;
	const struct conf_section *section; /* the plugin's */
	const char *name;
};
int vm_instance_find(const struct conf_section *root, const char *keyword, const char *name, enum vmf_kind kind,
	struct vm_instance *instance, struct vmf_error *err);

/* Its options, with what OWN, a disk's or NIC's section or NULL, puts over them; NULL and err. */
struct vmf_opts *vm_instance_opts(
	const struct vm_instance *instance, const struct conf_section *own, struct vmf_error *err);
/* Of which kind plugin section OWN, which stands in SECTION, is, and what it resolves with: what it is put over (or
 * NULL), then itself. False: it has no effect, as another plugin's counts. */
bool vm_plugin_layers(const struct conf_section *root, const struct conf_section *section,
	const struct conf_section *own, enum vmf_kind *kind, const struct conf_section *layers[2]);
/* Asks the plugins' own tables what they think of those of their sections that FILE has touched last. */
int vm_check_plugins(const struct conf_section *root, const char *file, struct vmf_error *err);

/* A call and all that it needs: one after the other may use the same struct. */
struct vm_call {
	struct vmf_call call;
	struct host_services services;
	struct vmf_vm_id id;
};
void vm_call_disk(struct vm *vm, const struct vm_disk *disk, struct vm_call *call);
void vm_call_nic(struct vm *vm, const struct vm_nic *nic, struct vm_call *call);
void vm_call_display(struct vm *vm, const struct vm_display *display, struct vm_call *call);
/* What the store says of the volume NAME; all 0 if it is not there. Lives as long as the VM. (volume.c) */
int vm_volume_look(const struct plugin *plugin, const struct vm_call *call, const char *name, struct vmf_volume *volume,
	struct vmf_error *err);
/* The same of a disk's. */
int vm_disk_volume(struct vm *vm, const struct vm_disk *disk, struct vmf_volume *volume, struct vmf_error *err);
/* What keeps the guest from writing to one of its disks, as that one's store says, and the command that mends it;
 * NULL: nothing that they know of. Asks the stores, quietly. To be freed. (volume.c) */
struct vm_trouble {
	char *what, *remedy;
};
void vm_storage_trouble(struct vm *vm, struct vm_trouble *trouble);
void vm_trouble_free(struct vm_trouble *trouble);

/* ---- many volumes at once (volumes.c) ----------------------------------------------------- */

/* An element of a plugin's list, whatever its stride. */
const struct vmf_volume *vm_volume_at(const struct vmf_volume_list *list, size_t i);
/* From now on a store is asked for its volumes once: for commands that look at many VMs and change nothing. */
void ctx_remember_volumes(struct ctx *ctx);
void ctx_forget_volumes(struct ctx *ctx);
/* The volumes of the call's store whose names begin with PREFIX. They live as long as the VM. */
int vm_volumes_list(struct vm *vm, const struct plugin *plugin, const struct vm_call *call, const char *prefix,
	struct vmf_volume_list *list, struct vmf_error *err);
/* Those of all disks, in their order, each all 0 if it is not there: one question for each store, none to that which
 * vm_resolve() has just asked. The array lives as long as the VM, and is there even if a store fails. */
int vm_disk_volumes(struct vm *vm, struct vmf_volume **volumes, struct vmf_error *err);
/* VMF_E_STATE if a volume of another storage of this kind stands on VOLUME, the disk's: of those in its own storage the
 * plugin knows. */
int vm_need_bare(struct vm *vm, const struct vm_disk *disk, const struct vmf_volume *volume, struct vmf_error *err);

/* For tear-down: SLOT as it was recorded by vm_call_record() at the time, whatever the definition says now. */
struct vm_recorded {
	const struct plugin *plugin;
	struct vmf_opts *opts;
	const char *instance, *slot, *volume, *uuid;
	unsigned index;
};
json_t *vm_record(const struct vm *vm, const struct plugin *plugin, const struct vmf_opts *opts, const char *instance,
	const char *slot, unsigned index, const char *volume);
int vm_recorded_load(struct vm *vm, json_t *record, struct vm_recorded *out, struct vmf_error *err);
void vm_call_recorded(struct vm *vm, const struct vm_recorded *recorded, struct vm_call *call);
/* What a step does with its volume; ARGS: the step's. */
typedef int vm_volume_call(
	const struct vm_recorded *recorded, const struct vm_call *call, json_t *args, struct vmf_error *err);
/* Does that with the volume that is recorded in ARGS, and names it in the error. */
int vm_on_volume(struct vm *vm, json_t *args, vm_volume_call *run, struct vmf_error *err);
void vm_recorded_free(struct vm_recorded *recorded);

/* ---- state (state.c) ---------------------------------------------------------------------- */

enum { LOCK_LIFE = 0, LOCK_OP = 1 }; /* bytes of run/NAME/lock */

enum vm_phase {
	VM_OFF,         /* nothing runs, nothing is left */
	VM_SAVED,       /* off, its memory is on disk */
	VM_ALIVE,       /* QEMU lives; `status` says what it does */
	VM_STARTING,    /* another vmf is at it */
	VM_ENDED,       /* QEMU ended by itself (guest's power-off, quit); not yet tidied */
	VM_CRASHED,     /* QEMU was killed or died */
	VM_UNKNOWN,     /* another user's: it cannot be seen from here */
	VM_INTERRUPTED, /* a vmf died at work; the next command on it undoes or finishes that */
};

struct vm_state {
	enum vm_phase phase;
	char status[24];   /* one word for people: "running", "paused", "io-error", "hung", "off", "crashed", ... */
	char detail[200];  /* why, or "" */
	pid_t pid;         /* of a QEMU that lives, whatever the phase; else 0 */
	int64_t since;     /* start, seconds since the epoch; 0: unknown */
	bool has_litter;   /* VM_OFF, VM_SAVED: a vmf that was killed early has left an empty run folder */
};

/* QEMU's word for its state, as people say it: one that was started paused is "prelaunch" to QEMU. */
const char *vm_status_word(const char *word);
/* What is true now, without asking QEMU: the lock, the run folder, the event log, /proc. */
void vm_state_read(struct ctx *ctx, const char *name, struct vm_state *state);
/* The same for a VM that we may hold the lock of ourselves. */
void vm_state_of(const struct vm *vm, struct vm_state *state);
/* The same and, if it is alive, QEMU's own word, with a deadline: tells hung from running. */
void vm_state_ask(struct vm *vm, struct vm_state *state, int64_t deadline_ms);
/* Opens the run folder. CREATE: makes it. -1 with errno ENOENT (no err) if it is missing and not to be made. */
int vm_run_open(struct vm *vm, bool create, struct vmf_error *err);
/*
 * Takes the VM for a change: waits a little for another vmf, undoes or finishes what a dead one left, and reads the
 * definition again if it has changed since. VMF_E_NOT_FOUND if there was one and it is gone.
 */
int vm_lock(struct vm *vm, struct vmf_error *err);
/* The same, also of one that is gone. */
int vm_lock_any(struct vm *vm, struct vmf_error *err);
/* Lets go, and removes the run folder if nothing of a running VM is in it. */
void vm_unlock(struct vm *vm);
/* If a vmf died at work on the VM: undoes or finishes that, and reads the definition anew. */
int vm_tidy(struct vm *vm, struct vmf_error *err);
/* Frees what is old of what the guest has said on its serial ports, if that is much. (logs.c) */
void vm_bound_logs(const struct vm *vm);
/* If QEMU has ended by itself: tears down what is left of it. Not being allowed to is no error. */
void vm_tidy_ended(struct vm *vm);
/* A connection to the running VM's QMP, opened once. */
int vm_qmp(struct vm *vm, int64_t deadline_ms, struct vmf_error *err);
void vm_qmp_close(struct vm *vm);
/* Fails with VMF_E_STATE unless the VM is alive. */
int vm_need_alive(struct vm *vm, struct vm_state *state, struct vmf_error *err);
int vm_need_off(struct vm *vm, struct vmf_error *err);
int vm_need_unlocked(struct vm *vm, struct vmf_error *err); /* the person's lock, see vmf VM lock */
char *vm_lib_path(const struct vm *vm, const char *folder, const char *suffix); /* lib/FOLDER/NAME+SUFFIX */
int vm_slots_load(struct vm *vm);
int vm_slots_save(struct vm *vm, struct vmf_error *err);

/* ---- life cycle --------------------------------------------------------------------------- */

struct vm_start_options {
	const struct strv *args; /* NULL: the configured ones; "_" first or last stands for those */
	bool paused;
	bool discard_saved;
};

struct vm_started {
	pid_t pid;
	bool from_saved;
	struct strv notes; /* lines for the person: forwarded ports */
};

int vm_start(struct vm *vm, const struct vm_start_options *options, struct vm_started *started, struct vmf_error *err);
/* The command line that start would use; dry: nothing is opened or changed. */
int vm_command(struct vm *vm, const struct vm_start_options *options, struct qemu_args *args, struct vmf_error *err);

enum vm_stop_how { STOP_QUIT, STOP_KILL };
/* Until QEMU is gone and all is tidied: QMP quit, then SIGTERM, then SIGKILL. */
int vm_stop(struct vm *vm, enum vm_stop_how how, struct vmf_error *err);
/* The same for one who has the VM's lock and keeps it. */
int vm_stop_locked(struct vm *vm, enum vm_stop_how how, struct vmf_error *err);
/* Removes the memory on disk: for when the guest goes on without it. */
int vm_forget_saved(struct vm *vm, struct vmf_error *err);
/* Presses the power button and waits. VMF_E_TIMEOUT if the guest does not go. */
int vm_shutdown(struct vm *vm, int64_t timeout_ms, struct vmf_error *err);
int vm_pause(struct vm *vm, struct vmf_error *err);
int vm_resume(struct vm *vm, struct vmf_error *err);
int vm_reset(struct vm *vm, struct vmf_error *err);
int vm_save(struct vm *vm, struct vmf_error *err);

/* SETTINGS: "key=value" each, for the new definition. SIZES: one disk each; 0 of them: none. */
struct vm_create_options {
	struct strv settings;
	const char *template; /* a definition that the new one starts from, or NULL */
	uint64_t *disk_sizes;
	size_t n_disks;
	const struct image *image; /* what the first disk is to be a copy of, or NULL */
};
int vm_create(struct vm *vm, const struct vm_create_options *options, struct vmf_error *err);
/* The next disk, and the definition if there is none yet. The caller frees *volume, its name. */
int vm_newimg(struct vm *vm, uint64_t size_bytes, char **volume, struct vmf_error *err);
/* The end of a change that made or unmade the definition: context for the error, the lock let go of; from here on the VM
 * is what its file says, if there is one. Gives RC, or -1. */
int vm_end_change(struct vm *vm, int rc, struct vmf_error *err);
int vm_destroy(struct vm *vm, struct vmf_error *err);
/* Only what is on this host of a VM that lives on another one. */
int vm_destroy_but_definition(struct vm *vm, struct vmf_error *err);
/* The VM itself goes by its new name afterwards. */
int vm_rename(struct vm *vm, const char *new_name, struct vmf_error *err);

/* ---- snapshots and clones (snapshot.c, clone.c) -------------------------------------------- */

struct vm_snapshot {
	char *name;
	int64_t created;     /* seconds since the epoch, 0: unknown */
	uint64_t used_bytes; /* 0: unknown */
	struct strv disks;   /* titles of those that have it */
};

struct vm_snapshots {
	struct vm_snapshot *items; /* the oldest first */
	size_t count;
	size_t n_disks; /* of the VM, but for read-only ones, which have none */
};

/* All disks or none; a running guest is paused meanwhile. ONLY: titles of the disks that are meant; NULL or none: all. */
int vm_snapshot(struct vm *vm, const char *name, const struct strv *only, struct vmf_error *err);
int vm_snapshots(struct vm *vm, struct vm_snapshots *all, struct vmf_error *err);
void vm_snapshots_free(struct vm_snapshots *all);
int vm_snapshot_remove(struct vm *vm, const char *name, struct vmf_error *err);
/* Of a VM that is off. FLAGS: VMF_SNAPSHOT_*. */
int vm_rollback(struct vm *vm, const char *name, const struct strv *only, uint32_t flags, struct vmf_error *err);

enum vm_clone_how { CLONE_ANY, CLONE_COW, CLONE_COPY };

struct vm_clone_options {
	const char *origin;   /* a VM's name */
	const char *snapshot; /* of it, or NULL: as it is now */
	enum vm_clone_how how; /* CLONE_ANY: copy-on-write where the stores can */
};
/* Makes VM, which is not defined yet. */
int vm_clone(struct vm *vm, const struct vm_clone_options *options, struct vmf_error *err);

/* ---- changes of the definition (change.c, medium.c) --------------------------------------- */

/* TEXT with SETTINGS, "key=value" each ("key=" removes the line, key="" sets the empty text); NULL and err. The
 * caller frees. */
char *vm_edit_text(struct vm *vm, const char *text, const struct strv *settings, struct vmf_error *err);
/*
 * Changes the definition and keeps its comments; one that is not there is made. What a running VM can follow
 * at once (the CD drive's medium) it does; if QEMU refuses that, the file stays as it was.
 */
int vm_set(struct vm *vm, const struct strv *settings, struct vmf_error *err);
/* Replaces the definition's whole text in the same manner, if it is still OLD. */
int vm_write_definition(struct vm *vm, const char *old, const char *text, struct vmf_error *err);
/* Puts an image into the running VM's CD drive, or takes out what is in it (PATH NULL). */
int vm_change_medium(struct vm *vm, const char *path, struct vmf_error *err);

/* ---- plans (plan.c) ----------------------------------------------------------------------- */

/* One kind of step. run and undo are idempotent; either may be NULL. ARGS is what the journal keeps. */
struct step {
	const char *name;
	int (*run)(struct vm *vm, json_t *args, void *data, struct vmf_error *err);
	int (*undo)(struct vm *vm, json_t *args, struct vmf_error *err);
};

/* LASTING: the journal is kept (and synced) below lib, since what it speaks of outlives a reboot. */
struct plan *plan_new(struct vm *vm, const char *operation, bool lasting);
/* FORWARD plans are finished by recovery, others undone. */
void plan_forward(struct plan *plan);
/* Once committed, QEMU is to be ended: for plans that are kept until plan_done(). */
void plan_then_end(struct plan *plan);
/* The operation concerns VM NAME, too: a command on that one recovers it as well. For lasting plans. */
void plan_also(struct plan *plan, const char *name);
/* Adds a step; ARGS is consumed; the description is what --dry-run shows. */
void plan_add(struct plan *plan, const struct step *step, json_t *args, const char *fmt, ...) VMF_PRINTF(4, 5);
/* The same for what is done once all steps have committed; a recovery does it, too. If it fails and the step has an undo,
 * everything is undone; without one, the plan's steps stay as they are. Its run gets no DATA. */
void plan_then(struct plan *plan, const struct step *step, json_t *args, const char *fmt, ...) VMF_PRINTF(4, 5);
/* Runs the steps; on failure undoes those begun, in reverse. keep: the journal stays, as record for plan_undo(). */
int plan_run(struct plan *plan, void *data, bool keep, struct vmf_error *err);
/* For a dry run: the steps' descriptions go to the context. */
void plan_describe(const struct plan *plan);
/* Removes the journal of a plan that was kept. */
int plan_done(struct plan *plan, struct vmf_error *err);
void plan_free(struct plan *plan);

/* Undoes (or finishes) what a journal says and removes it. Called with the VM's lock held. */
int plan_recover(struct vm *vm, struct vmf_error *err);
enum journal_state {
	JOURNAL_NONE,
	JOURNAL_OPEN,    /* of an operation that did not commit */
	JOURNAL_STARTED, /* of a start that did */
	JOURNAL_ENDING,  /* the same, and its tear-down was begun */
};
enum journal_state plan_journal_state(const char *path);
/* Notes in the start's journal that its tear-down has begun: if we die, the next one goes on with it. */
int plan_mark_ending(struct vm *vm, struct vmf_error *err);
/* Loads the plugins that plan_undo_start() will call: as much as can be done while QEMU still ends. IS_ENDING: it has
 * been told to, and the plugin of its NICs may take away at once what would go with it one by one. */
void plan_prepare_undo(struct vm *vm, bool is_ending);
/* The steps of a start, undone: tear-down. */
int plan_undo_start(struct vm *vm, struct vmf_error *err);
/* Notes in the record of a VM that runs that STEP was done for SLOT as RECORD says (see vm_record()), so that its tear-down
 * undoes it; NULL: that it is no longer. */
int plan_start_record(
	struct vm *vm, const struct step *step, const char *slot, json_t *record, struct vmf_error *err);
char *plan_journal_path(const struct ctx *ctx, const char *name, bool lasting);

#endif
