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
extern const struct step step_volume_create;
extern const struct step step_volume_remove;   /* destroy.c */
extern const struct step step_file_remove;
extern const struct step step_volume_rename;   /* rename.c */
extern const struct step step_file_rename;
extern const struct step step_save_pause;      /* save.c */
extern const struct step step_save_write;
extern const struct step step_volume_snapshot; /* snapshot.c */
extern const struct step step_snapshot_remove;
extern const struct step step_volume_rollback;
extern const struct step step_guest_resume;
extern const struct step step_volume_clone;    /* clone.c */
extern const struct step step_file_copy;

/* The text of a new definition as the first step of PLAN. The VM takes on what the text says, so that the steps
 * that follow make disks for the VM that it is going to be. (create.c) */
int plan_definition(struct vm *vm, struct plan *plan, const struct vm_create_options *options, struct vmf_error *err);

#endif
