/* SPDX-License-Identifier: ISC */
/* Disks of a running VM: plugged in and out. */
#ifndef VMF_VM_PLUG_H
#define VMF_VM_PLUG_H

#include "vm/vm.h"

/* Adds to PLAN that the disk, whose volume is there then, is plugged in once all else is done (step_disk_plug). */
int plug_in_later(struct vm *vm, struct plan *plan, const struct vm_disk *disk, struct vmf_error *err);
/* What is kept of a disk that is plugged in. */
json_t *plug_record(struct vm *vm, const struct vm_disk *disk);
/* Takes the disk of that record out of the running VM: VMF_E_TIMEOUT or VMF_E_STATE if the guest does not let go. What
 * is out already: 0. */
int plug_out(struct vm *vm, json_t *record, struct vmf_error *err);

#endif
