/* SPDX-License-Identifier: ISC */
/* All kinds of steps by their names, so that a journal can be read by another process. */
#ifndef VMF_VM_STEPS_H
#define VMF_VM_STEPS_H

#include "vm/vm.h"

const struct step *step_find(const char *name);

extern const struct step step_run_folder;      /* start_qemu.c */
extern const struct step step_spawn;
extern const struct step step_ready;
extern const struct step step_disk_attach;     /* start.c */
extern const struct step step_nic_up;
extern const struct step step_display;
extern const struct step step_definition;      /* create.c */
extern const struct step step_volume_create;   /* volume.c */
extern const struct step step_volume_import;
extern const struct step step_volume_remove;   /* destroy.c */
extern const struct step step_file_remove;
extern const struct step step_volume_rename;   /* rename.c */
extern const struct step step_file_rename;
extern const struct step step_save_pause;      /* save.c */
extern const struct step step_save_write;
extern const struct step step_volume_snapshot; /* snapshot_steps.c */
extern const struct step step_guest_snapshot;
extern const struct step step_snapshot_remove;
extern const struct step step_volume_rollback;
extern const struct step step_guest_resume;
extern const struct step step_volume_clone;    /* clone.c */
extern const struct step step_file_copy;
extern const struct step step_definition_change; /* disk_add.c */
extern const struct step step_disk_plug;       /* plug.c */
extern const struct step step_nic_plug;        /* plug_nic.c */
extern const struct step step_nic_unplug;
extern const struct step step_nic_move;
extern const struct step step_nic_link;
extern const struct step step_nic_forward;     /* forward.c */
extern const struct step step_volume_grow;     /* disk_change.c */
extern const struct step step_volume_compress;
extern const struct step step_volume_export;   /* disk_copy.c */
extern const struct step step_mount_record;    /* mount.c */
extern const struct step step_mount_image;
extern const struct step step_mount_parts;
extern const struct step step_unmount;
extern const struct step step_trim;           /* trim.c */
extern const struct step step_volume_receive; /* move.c */
extern const struct step step_file_receive;

/* The text of a new definition as the first step of PLAN. The VM takes on what the text says, so that the steps
 * that follow make disks for the VM that it is going to be. (create.c) */
int plan_definition(struct vm *vm, struct plan *plan, const struct vm_create_options *options, struct vmf_error *err);

/* ---- volumes (volume.c) ------------------------------------------------------------------- */

/* A volume that is to be made: INSTANCE is the storage (NULL: the default one), OWN the disk's section or NULL, IMAGE
 * what it is to hold or NULL. */
struct new_volume {
	const char *name, *instance;
	const struct conf_section *own;
	uint64_t size_bytes;
	unsigned index;
	const struct image *image;
	bool is_received; /* by step_volume_receive, whose data is a stream */
};
/* Adds the step that makes it. VMF_E_EXISTS if the name is taken, VMF_E_USAGE if the image does not fit. */
int plan_volume(struct vm *vm, struct plan *plan, const struct new_volume *new, struct vmf_error *err);

/* Adds the step that makes VOLUME from the disk's, as O says. (clone.c) */
int plan_volume_clone(struct vm *vm, struct plan *plan, const struct vm_disk *disk, const struct vm_clone_options *o,
	const char *volume, struct vmf_error *err);
/* The definition with SETTINGS, "key=value" each; nothing if it says so already. (disk_add.c) */
int plan_settings(struct vm *vm, struct plan *plan, const struct strv *settings, struct vmf_error *err);

/* All of a volume from or to a file, by qemu-img. BYTES: for the progress. */
struct conversion {
	const char *file, *format;
	uint64_t bytes;
	bool to_file, compress;
};
int volume_convert(const struct vm_recorded *r, const struct vm_call *call, const struct conversion *c,
	struct vmf_error *err);

#endif
