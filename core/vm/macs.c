/* SPDX-License-Identifier: ISC */
/* No two NICs of all defined VMs have one MAC address. */
#include <strings.h>

#include "vm/vm.h"

static bool has_own_mac(const struct vm *vm)
{
	for (size_t i = 0; i < vm->n_nics; i++)
		if (vm->nics[i].section && conf_is_set(vm->nics[i].section, "mac"))
			return true;
	return false;
}

/* A NIC of OTHER with NIC's address, or NULL. */
static const struct vm_nic *same_mac(const struct vm *other, const struct vm_nic *nic)
{
	for (size_t i = 0; i < other->n_nics; i++)
		if (&other->nics[i] != nic && strcasecmp(other->nics[i].mac, nic->mac) == 0)
			return &other->nics[i];
	return NULL;
}

static int compare(const struct vm *vm, const struct vm *other, struct vmf_error *err)
{
	for (size_t i = 0; i < vm->n_nics; i++) {
		const struct vm_nic *taken = same_mac(other, &vm->nics[i]);

		if (!taken)
			continue;
		if (other == vm)
			return vmf_fail(err, VMF_E_EXISTS, 0,
				"remove mac = there, and it gets one of its own",
				"nic \"%s\": nic \"%s\" has the MAC address %s as well", vm->nics[i].title,
				taken->title, taken->mac);
		return vmf_fail(err, VMF_E_EXISTS, 0, "remove mac = there, and it gets one of its own",
			"nic \"%s\": nic \"%s\" of vm \"%s\" has the MAC address %s as well",
			vm->nics[i].title, taken->title, other->name, taken->mac);
	}
	return 0;
}

/* Those that come from a UUID are as different as UUIDs are: all VMs are read only if somebody chose an
 * address. */
int vm_check_macs(const struct vm *vm, const char *was_uuid, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	int rc = 0;

	if (!has_own_mac(vm) && (!was_uuid || str_equal(was_uuid, vm->uuid)))
		return 0;
	if (compare(vm, vm, err) < 0 || vm_names(vm->ctx, &names, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		struct vmf_error quiet = VMF_ERROR_INIT;
		struct vm *other = NULL;

		if (!str_equal(names.items[i], vm->name))
			other = vm_load(vm->ctx, names.items[i], true, &quiet);
		error_clear(&quiet); /* one that cannot be read has no NICs */
		if (other)
			rc = compare(vm, other, err);
		vm_free(other);
	}
	return rc;
}
