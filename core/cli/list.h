/* SPDX-License-Identifier: ISC */
/* Between list.c and list_far.c: the rows of `list`. */
#ifndef VMF_CLI_LIST_H
#define VMF_CLI_LIST_H

#include <jansson.h>
#include <stdbool.h>

#include "vm/vm.h"

struct row {
	char *name;
	struct vm_state state;
	char *error;   /* the definition is broken: why */
	struct vm *vm; /* where it had to be known which host it lives on; or NULL: not loaded yet */
	bool is_far;   /* it lives on another host */
	bool is_old;   /* which does not answer: the state is what it was */
	char *detail;  /* is_far: in place of the state's */
};

/* Asks the hosts that rows live on, all at once, and puts their answers into the rows. Nothing is done where
 * there is only this host. */
void list_ask_hosts(struct ctx *ctx, struct row *rows, size_t n_rows, int64_t timeout_ms);

#endif
