/* SPDX-License-Identifier: ISC */
/* What this host has, and what its VMs take of it. */
#ifndef VMF_VM_CAPACITY_H
#define VMF_VM_CAPACITY_H

#include "vm/vm.h"

struct capacity {
	int64_t cpus, cpus_used; /* used: by VMs that are up, as they are defined */
	int64_t memory_bytes, memory_used_bytes;
	int64_t memory_free_bytes;	     /* as the kernel sees it */
	int64_t disk_bytes, disk_free_bytes; /* of the storage for new disks; 0: unknown */
	int64_t cpus_defined, memory_defined_bytes; /* of all VMs, whether they are up or not */
	int64_t vms, vms_up;
	double load;
	int32_t temperature_millicelsius; /* INT32_MIN: unknown */
};

/* What cannot be found out is 0. */
int capacity_read(struct ctx *ctx, struct capacity *capacity, struct vmf_error *err);

#endif
