/* SPDX-License-Identifier: ISC */
/*
 * What an owner's VMs may take together, see the owner sections of vmf.conf.
 *
 * VMs and the sizes of disks count from when they are made. CPUs and memory count while a VM runs, as it was started:
 * RUN/.charges/NAME notes that, whatever its definition says since. A VM that lives on another host counts with what it
 * is defined with and what it was started with last, the larger of both, whether it runs or not: then nobody need be
 * asked. Of disks each host counts its own.
 *
 * Counting and taking is one under a lock for each owner, LIB/quota/OWNER.
 */
#ifndef VMF_VM_QUOTA_H
#define VMF_VM_QUOTA_H

#include "vm/vm.h"

#define QUOTA_NONE (-1) /* no limit */

struct quota {
	int64_t vms, cpus, memory_bytes, disk_bytes;
};

/* What vmf.conf says of OWNER; one that it does not know has no limits. After ctx_load(). */
void quota_limits(const struct ctx *ctx, const char *owner, struct quota *limits);
/* What OWNER's VMs take. HOST NULL: here, and what they are defined with elsewhere; *disk_bytes of here. Otherwise: what
 * those that do not live on HOST are defined with. WITH_DISKS: the stores are asked. */
int quota_used(struct ctx *ctx, const char *owner, const char *host, bool with_disks, struct quota *used,
	struct vmf_error *err);

/*
 * Takes what NEED says (all 0: nothing) for VM, whose owner may have limits: 0, and *lock, to be closed once it is there to
 * be counted; -1: none was needed. VMF_E_NO_SPACE: it would be too much. START: CPUs and memory are noted as taken.
 */
int quota_take(struct vm *vm, const struct quota *need, bool start, int *lock, struct vmf_error *err);
/* The VM has ended. */
void quota_give_back(const struct ctx *ctx, const char *name);

/*
 * Near end: what is left for VM's owner on HOST, a new object to be sent there, or NULL if there are no limits. The lock
 * is held from then on, if CHANGES: the VM or its size may be changed there.
 */
int quota_for_host(struct vm *vm, const char *owner, const char *host, bool changes, json_t **left, int *lock,
	struct vmf_error *err);
/* Near end: the VM, as it is defined now, was started elsewhere; not IS_SURE: or may have been. */
void quota_note_far(struct ctx *ctx, const char *name, bool is_sure);

#endif
