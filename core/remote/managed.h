/* SPDX-License-Identifier: ISC */
/*
 * A VM's definition at both ends. The near end has it, and sends it along with each run; the far end keeps it
 * as a file of its own and runs the VM from that, so it can do so alone. A verb may change it at the far end,
 * which then tells the near end. As either end may die in between, the far end remembers what the near end
 * has sent last: of two that differ, the one that is still the same as that is the older one.
 */
#ifndef VMF_REMOTE_MANAGED_H
#define VMF_REMOTE_MANAGED_H

#include "vm/vm.h"

/* What the near end knows of the VM. */
struct managed {
	const char *master;	/* what the near end's host is called */
	const char *definition; /* NULL: it has none */
	const char *layer;	/* what its classes say */
};

/* At the far end, before a run: makes NAME what MANAGED says. A dry run only pretends, see struct ctx. 1, and
 * err: it was destroyed, and the near end has not heard of that. */
int managed_begin(struct ctx *ctx, const char *name, const struct managed *managed, struct vmf_error *err);
/* And after it: what the near end must be told, a new reference; NULL: nothing. The VM may have been renamed.
 */
json_t *managed_end(struct ctx *ctx, const char *name, const char *new_name, const struct managed *managed);

/* At the near end: makes NAME's definition what that note says. */
int managed_take(struct ctx *ctx, const char *name, const json_t *note, struct vmf_error *err);

#endif
