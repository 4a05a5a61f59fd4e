/* SPDX-License-Identifier: ISC */
/* What is wrong with this host, as far as vmf's plugins need it: looked at, not changed. */
#ifndef VMF_VM_DOCTOR_H
#define VMF_VM_DOCTOR_H

#include "vm/vm.h"

enum finding_state {
	FINDING_OK,
	FINDING_NOTE,  /* something is missing that is not always needed, or that nothing in the configuration uses */
	FINDING_WRONG, /* what the configuration says cannot work */
};

struct finding {
	enum finding_state state;
	char *subject; /* "plugin storage lvm", "network \"lan\"" */
	char *what;    /* NULL: all is well */
	char *remedy;  /* the command that mends it, or what to do; NULL: nobody knows */
	char *package; /* Debian's, that has what is missing; or NULL */
};

struct findings {
	struct finding *items;
	size_t count, room;
};

/* Looks at the program of QEMU, at all plugins and what they need, and at the storages and networks of the configuration.
 * Only a broken configuration is an error. Free them. */
int doctor_examine(struct ctx *ctx, struct findings *findings, struct vmf_error *err);
void findings_free(struct findings *findings);
/* Is what a plugin needs there? */
bool doctor_is_met(const struct vmf_need *need);

#endif
