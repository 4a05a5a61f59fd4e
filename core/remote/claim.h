/* SPDX-License-Identifier: ISC */
/* Room for a VM that is to be, taken under a lock at the host that it is to live on: of many at once, none takes more
 * than there is. */
#ifndef VMF_REMOTE_CLAIM_H
#define VMF_REMOTE_CLAIM_H

#include "vm/vm.h"

struct claim {
	int64_t cpus, memory_bytes;	      /* what it needs */
	int64_t cpus_most, memory_bytes_most; /* what all VMs of the host may have; 0: none may */
};

json_t *claim_json(const struct claim *claim);
void claim_read(const json_t *json, struct claim *claim);

/*
 * Waits for the lock, and looks whether there is room beside the VMs that are defined here. 0: *LOCK is to be closed once
 * the VM is defined, too. 1: there is none. -1 and err.
 */
int claim_take(struct ctx *ctx, const struct claim *claim, int *lock, struct vmf_error *err);

#endif
