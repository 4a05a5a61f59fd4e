/* SPDX-License-Identifier: ISC */
/* `host = "auto"`: where a new VM is to live. */
#ifndef VMF_CLI_CHOOSE_H
#define VMF_CLI_CHOOSE_H

#include "vm/vm.h"

/* Does the chain make VM, wherever there is room? */
bool choose_is_wanted(const struct vm *vm, int argc, char **argv);
/* Runs it on the host that is chosen. */
int choose_chain(struct vm *vm, int argc, char **argv, int *exit_code, struct vmf_error *err);

#endif
