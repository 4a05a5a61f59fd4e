/* SPDX-License-Identifier: ISC */
/* passt in the place of QEMU's own user mode network. */
#ifndef USER_MODE_PASST_H
#define USER_MODE_PASST_H

#include "forward.h"

struct passt {
	uint32_t guest, gateway, mask; /* host byte order */
	const struct forward *forwards;
	size_t n_forwards;
};

/* Is it wanted? */
bool passt_is_wanted(const struct vmf_call *c);
/* Options that only QEMU's own network has. */
int passt_check(const struct vmf_call *c, struct vmf_error *err);
/* Starts it, unless this is a dry run, and fills NETDEV; it ends with QEMU. VMF_E_MISSING, or its own words. */
int passt_up(const struct vmf_call *c, const struct passt *passt, struct vmf_netdev *netdev, struct vmf_error *err);

#endif
