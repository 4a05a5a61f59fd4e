/* SPDX-License-Identifier: ISC */
#include "vm/owner.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_LENGTH 32

int owner_name_check(const char *name, struct vmf_error *err)
{
	autofree char *quoted = str_quote(name);
	bool is_good = isalnum((unsigned char)name[0]) && strlen(name) <= NAME_MAX_LENGTH;

	for (const char *p = name; *p && is_good; p++)
		is_good = isascii((unsigned char)*p) && (isalnum((unsigned char)*p) || strchr("._-", *p));
	return is_good ? 0
		       : vmf_fail(err, VMF_E_USAGE, 0,
				 "letters, digits, '.', '_' and '-', the first a letter or a digit, at most "
				 "32",
				 "%s is no name for an owner", quoted);
}

const struct conf_section *owner_find(const struct ctx *ctx, const char *name)
{
	return name ? conf_find(conf_root(ctx->base), "owner", name) : NULL;
}

bool owner_list_has(const struct conf_section *section, const char *key, const char *word)
{
	const struct conf_value *list = section ? conf_get(section, key) : NULL;

	for (size_t i = 0; list && i < list->n_items; i++)
		if (str_equal(list->items[i], word))
			return true;
	return false;
}

int vm_need_owned(const struct vm *vm, struct vmf_error *err)
{
	if (!vm->ctx->owner || !vm->is_defined || str_equal(conf_string(vm->root, "owner"), vm->ctx->owner))
		return 0;
	return vmf_fail(
		err, VMF_E_NOT_FOUND, 0, "`list` shows what there is", "no vm \"%s\" of yours", vm->name);
}
