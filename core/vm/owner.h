/* SPDX-License-Identifier: ISC */
/*
 * Owners of VMs, as sections of vmf.conf say who they are. Only that file counts: what a class or a definition says of
 * owners means nothing, as a definition may be the owner's own.
 */
#ifndef VMF_VM_OWNER_H
#define VMF_VM_OWNER_H

#include "vm/vm.h"

/* Lower and upper case, digits, '.', '_', '-', at most 32: VMF_E_USAGE if it is none. */
int owner_name_check(const char *name, struct vmf_error *err);
/* The section of the owner NAME, after ctx_load(); NULL: there is none. */
const struct conf_section *owner_find(const struct ctx *ctx, const char *name);
/* Is WORD in the list KEY of a section? */
bool owner_list_has(const struct conf_section *section, const char *key, const char *word);

#endif
