/* SPDX-License-Identifier: ISC */
/*
 * storage-lvm: volumes as logical volumes (LVs) of one volume group (VG), thick or in a thin pool.
 *
 * Every call looks once, by one lvs for the whole VG, and changes then. Whatever takes more than one lvm
 * command is made such that each of them leaves something that the next call knows how to go on with.
 * Tags say what is ours:
 *
 *	vmf                      made by vmf: the mark without which nothing is removed, renamed, rolled back
 *	vmf.vm=UUID              the VM that it was made for
 *	vmf.snapshot=NAME        a snapshot (all else is a volume), with
 *	vmf.origin=ID            its volume's id
 *	vmf.created=SECONDS
 *	vmf.id=ID                on a thin volume that was rolled back, and is another LV since: the id that it
 *	                         has kept. Without it an LV's own UUID is its id.
 *	vmf.rollback=NAME:BYTES:SECONDS  on a thick volume while it is rolled back, which uses its snapshot up
 *	vmf.by=NODE:BOOT:PID:START       the process that makes or made it: it means something as long as the LV's
 *	                         name says that it is in the making
 */
#ifndef VMF_STORAGE_LVM_H
#define VMF_STORAGE_LVM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmf/plugin.h"

#define LVM_TEMP_PREFIX ".vmf-" /* LVs in the making */
#define LVM_NEW_SUFFIX "+new"   /* while a thin volume is rolled back: what will be the volume, ... */
#define LVM_OLD_SUFFIX "+old"   /* ... and what was it. No name is encoded to such a one. */
#define LVM_MAX_SIZE ((uint64_t)1 << 60)

enum lvm_kind {
	LVM_THICK,
	LVM_THIN,
	LVM_COW,  /* a thick snapshot: its size is the room that it has for changes */
	LVM_POOL, /* thin pools and other things that hold no data for anybody */
};

struct lvm_lv {
	const char *lv;          /* LVM's name for it */
	const char *name;        /* vmf's: LVM's forbidden characters are put back */
	const char *uuid;        /* the LV's own */
	enum lvm_kind kind;
	uint64_t size, virtual_size;
	int32_t data, meta;      /* fill in hundredths of a percent, -1: unknown */
	const char *origin;      /* the LV's name that it stands on, or NULL */
	const char *pool;        /* or NULL */
	bool is_active, is_open, is_invalid, is_merging, is_readonly, zeroes;
	bool is_stuck;           /* suspended, or without its table: an lvm that was killed left it so */
	char health;             /* lvs(8), lv_attr: '-' is good */
	/* from the tags */
	bool is_ours;
	const char *tags;        /* all of them */
	const char *id;          /* never NULL */
	const char *vm_uuid;     /* or NULL, as all of these */
	const char *snapshot, *of, *rollback, *by;
	int64_t created;
	bool is_aside;           /* a thin volume's new or old self, see above */
};

struct lvm {
	const struct vmf_call *c;
	const struct vmf_host *h;
	const char *vg, *pool;   /* pool: NULL for thick volumes */
	uint64_t vg_size, vg_free, extent;
	bool is_kept;            /* what an earlier look saw, see report.c */
	struct lvm_lv *lvs;
	size_t count;
	const struct lvm_lv *pool_lv; /* the option's, NULL: none */
};

/* ---- plugin.c: options -------------------------------------------------------------------- */

int lvm_opt_check(const struct vmf_call *c, struct vmf_error *err);
/* "native" where it can be, unless a person said otherwise. */
const char *lvm_opt_aio(const struct vmf_call *c);

/* ---- run.c: lvm's programs ---------------------------------------------------------------- */

struct lvm_args {
	const struct vmf_call *c;
	const char **argv; /* NULL-terminated */
	size_t n, size;
};

#define LVM_END ((const char *)NULL)

/* Begins a command; its arguments end with LVM_END. */
void lvm_args(const struct vmf_call *c, struct lvm_args *a, const char *program, ...) __attribute__((sentinel));
void lvm_args_add(struct lvm_args *a, ...) __attribute__((sentinel));
/* Runs it; *out (may be NULL): what it said. Failures carry lvm's own words and a code that fits them. */
int lvm_try(const struct vmf_call *c, const struct lvm_args *a, char **out, struct vmf_error *err);
/* The same. Should it be killed, what it has left suspended goes on. */
int lvm_run(const struct vmf_call *c, const struct lvm_args *a, char **out, struct vmf_error *err);
/* "1.5 GiB": host's memory. */
const char *lvm_size_text(const struct vmf_call *c, uint64_t bytes);
/* "87.2 %" of hundredths. */
const char *lvm_percent_text(const struct vmf_call *c, int32_t hundredths);

/* ---- name.c ------------------------------------------------------------------------------- */

/* NAME as LVM takes it, in names and in tags: what it forbids becomes +HH. */
const char *lvm_encode(const struct vmf_call *c, const char *name);
/* And back; what was not encoded here stays as it is. */
const char *lvm_decode(const struct vmf_call *c, const char *lv);
/* The device-mapper's name of an LV; SUFFIX: "" or as in "-tpool". */
const char *lvm_dm_name(const struct vmf_call *c, const char *vg, const char *lv, const char *suffix);
int lvm_name_check(const struct lvm *s, const char *name, const char *lv, struct vmf_error *err);
/* A VG's or pool's name, as it stands in an option. */
bool lvm_is_plain_name(const char *name);

/* ---- report.c ----------------------------------------------------------------------------- */

#define LVM_LVS_FIELDS \
	"lv_name,lv_uuid,lv_attr,lv_size,lv_tags,origin,origin_size,pool_lv,data_percent,metadata_percent," \
	"vg_size,vg_free,vg_extent_size"
#define LVM_VGS_FIELDS "vg_size,vg_free,vg_extent_size"

/* Fills S from `lvs` (or, for a VG without LVs, `vgs`) --reportformat json, which took so long. 1: done, 0: there
 * are no rows. */
int lvm_report(struct lvm *s, const char *json, int64_t took_ms, struct vmf_error *err);
/* The same from the last one, if it still holds. */
bool lvm_report_kept(struct lvm *s);
/* It does not: something was changed, opened or closed. */
void lvm_forget(void);
/* CLOCK_MONOTONIC */
int64_t lvm_now_ms(void);

/* ---- look.c ------------------------------------------------------------------------------- */

/* Options and one look at the VG. To be called by every call; there is nothing to close. */
int lvm_look(const struct vmf_call *c, struct lvm *s, struct vmf_error *err);
/* The same for calls that change something: first what dead processes left half made is removed, see tidy.c. */
int lvm_look_to_change(const struct vmf_call *c, struct lvm *s, struct vmf_error *err);
/* The same, and finds volume NAME, or NULL. That it is missing, or open, is what LVM says now. */
int lvm_look_at(const struct vmf_call *c, const char *name, struct lvm *s, const struct lvm_lv **v, struct vmf_error *err);
const struct lvm_lv *lvm_find_lv(const struct lvm *s, const char *lv);
/* A volume by vmf's name: neither a snapshot of ours nor one in the making. NULL: none. */
const struct lvm_lv *lvm_find(const struct lvm *s, const char *name);
bool lvm_is_volume(const struct lvm_lv *lv);
bool lvm_is_temp(const struct lvm_lv *lv);
/* V, or VMF_E_NOT_FOUND where that is NULL. */
int lvm_must_be_there(const struct lvm *s, const char *name, const struct lvm_lv *v, struct vmf_error *err);
int lvm_find_or_fail(const struct lvm *s, const char *name, const struct lvm_lv **v, struct vmf_error *err);
/* Fails with VMF_E_EXISTS if NAME is taken; *lv: LVM's name for it. */
int lvm_find_none(const struct lvm *s, const char *name, const char **lv, struct vmf_error *err);
/* VMF_E_PERMISSION unless it is ours; DOING: "removed". */
int lvm_must_be_ours(const struct lvm *s, const struct lvm_lv *v, const char *doing, struct vmf_error *err);
/* Somebody has it for himself: a VM that writes to it, or a mount. Other readers do not count. */
bool lvm_is_claimed(const struct lvm *s, const struct lvm_lv *v);
/* VMF_E_BUSY if somebody has it open. */
int lvm_must_be_closed(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err);
/* VMF_E_NO_SPACE with numbers, unless the VG has room for BYTES. WHAT: "a snapshot of web0-0". */
int lvm_need_space(const struct lvm *s, uint64_t bytes, const char *what, struct vmf_error *err);
/* The same for a thin pool; BYTES may be 0. */
int lvm_need_pool(const struct lvm *s, const char *pool, uint64_t bytes, const char *what, struct vmf_error *err);
uint64_t lvm_round_up(const struct lvm *s, uint64_t bytes);
/* "VG/LV" */
const char *lvm_path(const struct lvm *s, const char *lv);
/* "/dev/VG/LV" */
const char *lvm_device(const struct lvm *s, const char *lv);
/* --addtag of the mark and of the call's VM */
void lvm_add_mark(const struct lvm *s, struct lvm_args *a);
/* What an lvm that was killed left suspended goes on. */
int lvm_refresh(const struct lvm *s, const char *lv, struct vmf_error *err);
/* lvremove, if it still is that very LV. */
int lvm_remove_lv(const struct lvm *s, const struct lvm_lv *lv, struct vmf_error *err);
/* The same for several, by one command. */
int lvm_remove_lvs(const struct lvm *s, const struct lvm_lv *const *lvs, size_t count, struct vmf_error *err);
int lvm_rename_lv(const struct lvm *s, const char *from, const char *to, struct vmf_error *err);
int lvm_set_active(const struct lvm *s, const char *lv, bool on, struct vmf_error *err);

/* ---- tidy.c: what dead processes left ------------------------------------------------------- */

/* The tag that says which process makes a volume. */
const char *lvm_maker(const struct vmf_call *c);
/* Removes an LV that has come to be, perhaps, since the look, if it was made by this process. */
void lvm_remove_made(const struct lvm *s, const char *lv);
/* Removes what was left half made, and gives thin volumes their names back. True: something was changed. */
bool lvm_tidy(const struct lvm *s);
/* Lets all go on in the VG that is suspended: one of our own commands was killed. */
void lvm_mend(const struct vmf_call *c);
/* The LV's name without LVM_NEW_SUFFIX or LVM_OLD_SUFFIX; NULL: it has none. */
const char *lvm_stem(const struct vmf_call *c, const char *lv, const char *suffix);

/* ---- dm.c: what the kernel says, without a program ----------------------------------------- */

struct lvm_dm {
	char type[16];    /* of the first target: "thin", "snapshot", ... */
	char params[256];
	bool is_suspended;
	bool is_open;
};

/* False: there is no such device, or we may not ask. */
bool lvm_dm_status(const char *dm_name, struct lvm_dm *dm);
/* Bytes left in the pool that holds the thin device; false: it does not tell. */
bool lvm_dm_pool_room(const char *dm_name, uint64_t *left_bytes, uint64_t *size_bytes);
/* Done and to do of a merge into this device; false: nothing is being merged. */
bool lvm_dm_merging(const char *dm_name, uint64_t *left);
/* Opens the LV's device if it is there, and makes sure that it is this LV's: an fd, or -1 and errno. *path (may be
 * NULL): by which name. */
int lvm_dm_open(const struct vmf_call *c, const char *vg, const char *lv, int flags, const char **path);
/* Removes devices of an LV that is there no more: a command of LVM's that was killed can leave them, and LVM would not
 * take its name for another LV then. */
void lvm_dm_sweep(const struct vmf_call *c, const char *vg, const char *lv_uuid);
/* A QEMU has the device open for writing. */
bool lvm_dm_is_written(int fd);

/* ---- space for changes -------------------------------------------------------------------- */

/* How large a thick snapshot of V is to be made, by the options. */
uint64_t lvm_cow_size(const struct lvm *s, const struct lvm_lv *v);

/* ---- sink.c: a new volume that gets its data in ascending order ----------------------------- */

#define LVM_BLOCK ((size_t)4 << 20)

struct lvm_sink {
	struct lvm *s;
	const char *name, *lv, *temp; /* temp: the LV's name until it is whole */
	int fd;
	bool is_thin;
	uint64_t size, unchecked;     /* unchecked: bytes since the pool was last looked at */
};

/* A buffer of LVM_BLOCK that direct I/O takes; NULL and err if there is no memory. */
char *lvm_buffer_new(const struct vmf_call *c, struct vmf_error *err);
/* On failure there is nothing to drop. */
int lvm_sink_open(struct lvm *s, const char *name, uint64_t size, struct lvm_sink *sink, struct vmf_error *err);
/* LENGTH bytes (of a lvm_buffer_new(), which is padded with zeroes where a sector is not full) at OFFSET. */
int lvm_sink_put(struct lvm_sink *sink, uint64_t offset, char *data, size_t length, struct vmf_error *err);
int lvm_sink_zero(struct lvm_sink *sink, uint64_t offset, uint64_t length, struct vmf_error *err);
/* On the disk and under its name; closed and, if that fails, gone. */
int lvm_sink_publish(struct lvm_sink *sink, struct vmf_error *err);
void lvm_sink_drop(struct lvm_sink *sink);

/* ---- source.c: an LV's content -------------------------------------------------------------- */

struct lvm_source {
	struct lvm *s;
	const struct lvm_lv *v;
	const char *path;
	int fd;
	bool was_inactive;
	uint64_t size;
};

/* Nobody else can write to it, or mount it, until it is closed. */
int lvm_source_open(struct lvm *s, const struct lvm_lv *v, struct lvm_source *source, struct vmf_error *err);
void lvm_source_close(struct lvm_source *source);
/* Reads all of LENGTH. */
int lvm_source_read(struct lvm_source *source, uint64_t offset, char *data, size_t length, struct vmf_error *err);
/* What it takes in a store that leaves out what was never written; at most its size. */
uint64_t lvm_data_bytes(const struct lvm_lv *v);
/* Direct I/O is refused (EINVAL: sectors larger than ours, perhaps): whether the fd goes through the page cache from now on. */
bool lvm_no_longer_direct(int fd);
bool lvm_is_zero(const char *data, size_t length);
/* The person's wish to stop is an error that names WHAT. */
int lvm_progress(const struct vmf_call *c, const char *what, uint64_t done, uint64_t total, struct vmf_error *err);

/* ---- snapshots.c -------------------------------------------------------------------------- */

/* V's snapshot of that name; NULL: none. */
const struct lvm_lv *lvm_find_snapshot(const struct lvm *s, const struct lvm_lv *v, const char *snapshot);
int lvm_no_snapshot(const struct lvm *s, const struct lvm_lv *v, const char *snapshot, struct vmf_error *err);
/* LVM's name for a snapshot. */
const char *lvm_snapshot_lv(const struct lvm *s, const char *volume_lv, const char *snapshot);
/* lvcreate of a thick snapshot, with the room BYTES and the age CREATED. */
int lvm_make_thick_snapshot(const struct lvm *s, const struct lvm_lv *v, const char *snapshot, uint64_t bytes,
	int64_t created, struct vmf_error *err);

/* ---- calls -------------------------------------------------------------------------------- */

int lvm_check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err);
int lvm_list(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err);
int lvm_create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
int lvm_remove(const struct vmf_call *c, const char *name, struct vmf_error *err);
int lvm_rename(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err);
int lvm_grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
int lvm_attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err);
int lvm_detach(const struct vmf_call *c, const char *name, struct vmf_error *err);
int lvm_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
int lvm_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err);
int lvm_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags, struct vmf_error *err);
int lvm_snapshot_remove(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
int lvm_clone(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name, uint32_t copy,
	struct vmf_error *err);
int lvm_send(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
int lvm_receive(const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err);
int lvm_map(const struct vmf_call *c, const char *name, uint32_t writable, char **path, struct vmf_error *err);
int lvm_unmap(const struct vmf_call *c, const char *name, struct vmf_error *err);

#endif
