/* SPDX-License-Identifier: ISC */
/* Changes of a definition, and what a running VM makes of them at once. Both or neither. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/quota.h"
#include "vm/vm.h"

#define DEFINITION_MAX (4 << 20)

/* The drive follows the VM that is to be; *changed says whether it had to. */
static int follow(struct vm *vm, const struct vm *next, bool *changed, struct vmf_error *err)
{
	const char *now = vm_cdrom(vm->root), *then = vm_cdrom(next->root);
	struct vm_state state;

	vm_state_of(vm, &state);
	if (state.phase != VM_ALIVE || str_equal(now, then))
		return 0;
	if (vm->ctx->dry_run) {
		strv_addf(&vm->ctx->planned,
			then ? "put %s into the running CD drive" : "empty the running CD drive", then);
		return 0;
	}
	*changed = true;
	return vm_change_medium(vm, then, err);
}

/* One who gets the VM must have room for it. */
static int take_owner(const struct vm *vm, struct vm *next, int *lock, struct vmf_error *err)
{
	if (vm->ctx->dry_run || str_equal(conf_string(vm->root, "owner"), conf_string(next->root, "owner")))
		return 0;
	return quota_take(next, &(struct quota){.vms = 1}, false, lock, err);
}

static int write_locked(struct vm *vm, const char *text, struct vmf_error *err)
{
	struct vm *next = vm_try(vm, text, err);
	autoclose int quota = -1;
	bool changed = false;
	int rc;

	if (!next)
		return -1;
	if (vm_check_macs(next, vm->uuid, err) < 0 || take_owner(vm, next, &quota, err) < 0) {
		vm_free(next);
		return -1;
	}
	rc = follow(vm, next, &changed, err);
	vm_free(next);
	if (rc < 0)
		return vmf_context(err, "nothing was changed");
	if (vm->ctx->dry_run) {
		strv_addf(&vm->ctx->planned, "write %s", vm->file);
		return 0;
	}
	rc = file_write(vm->file, text, strlen(text), 0644, true, err);
	if (rc < 0 && changed) {
		struct vmf_error quiet = VMF_ERROR_INIT;

		if (vm_change_medium(vm, vm_cdrom(vm->root), &quiet) < 0)
			log_warn(
				"vm \"%s\": the CD drive could not be put back: %s", vm->name, quiet.message);
		error_clear(&quiet);
	}
	return rc;
}

static int unlock_and_reload(struct vm *vm, int rc, struct vmf_error *err)
{
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	return rc < 0 || vm->ctx->dry_run ? rc : vm_reload(vm, err);
}

int vm_write_definition(struct vm *vm, const char *old, const char *text, struct vmf_error *err)
{
	autofree char *now = NULL;
	int rc = -1;

	if (!vm->ctx->dry_run && vm_lock(vm, err) < 0)
		return -1;
	now = file_read(vm->file, DEFINITION_MAX, NULL, err);
	if (now && !str_equal(now, old))
		vmf_fail(err, VMF_E_BUSY, 0, "start again from what it is now", "%s was changed meanwhile",
			vm->file);
	else if (now)
		rc = write_locked(vm, text, err);
	return unlock_and_reload(vm, rc, err);
}

int vm_set(struct vm *vm, const struct strv *settings, struct vmf_error *err)
{
	autofree char *old = NULL;
	autofree char *text = NULL;

	if (!vm->is_defined)
		return vm_create(vm, &(struct vm_create_options){.settings = *settings}, err);
	if (!vm->ctx->dry_run && vm_lock(vm, err) < 0)
		return -1;
	old = file_read(vm->file, DEFINITION_MAX, NULL, err);
	text = old ? vm_edit_text(vm, old, settings, err) : NULL;
	return unlock_and_reload(vm, text ? write_locked(vm, text, err) : -1, err);
}
