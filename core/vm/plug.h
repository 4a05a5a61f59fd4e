/* SPDX-License-Identifier: ISC */
/* Disks and NICs of a running VM: plugged in and out. */
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

/* ---- for both (plug.c); the connection is there ------------------------------------------- */

int plug_tell(struct vm *vm, const char *command, json_t *arguments, json_t **answer, struct vmf_error *err);
int plug_has_device(struct vm *vm, const char *id, bool *has, struct vmf_error *err);
/* Asks the guest to let go of the device, and waits until it has. WHAT: "disk", for messages. */
int plug_remove_device(struct vm *vm, const char *id, const char *what, struct vmf_error *err);

/* ---- NICs (plug_nic.c) -------------------------------------------------------------------- */

/* What is kept of a NIC that is plugged in, for step_nic_plug and step_nic_unplug. */
json_t *plug_nic_record(struct vm *vm, const struct vm_nic *nic);
/* Pulls the cables of the running VM's NICs that have link = no. */
int plug_links(struct vm *vm, struct vmf_error *err);

#endif
