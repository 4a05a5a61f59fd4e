/* SPDX-License-Identifier: ISC */
/*
 * Destroy: what vmf made for a VM, and nothing else. A forward plan: once begun it is finished, by this
 * process or by the next command. The definition goes last, so that the VM is there until it is gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/disk.h"
#include "vm/steps.h"
#include "vm/vm.h"

static int do_remove(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	(void)args;
	if (!r->plugin->ops.storage.remove)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "%s cannot remove volumes", r->plugin->name);
	return r->plugin->ops.storage.remove(&call->call, r->volume, err);
}

static int volume_remove(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_remove, err);
}

const struct step step_volume_remove = {"volume-remove", volume_remove, NULL};

static int file_remove(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	const char *path = json_string_value(json_object_get(args, "path"));

	(void)vm;
	(void)data;
	if (unlink(path) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", path);
	return 0;
}

const struct step step_file_remove = {"file-remove", file_remove, NULL};

/* Whether vmf made it for this VM, and is to remove it. A store that does not answer is no reason to forget
 * the disk. */
static int is_to_go(
	struct vm *vm, const struct vm_disk *d, struct vmf_volume *v, bool *is_it, struct vmf_error *err)
{
	*is_it = false;
	if (vm_disk_volume(vm, d, v, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	*is_it = v->name && vm_disk_is_ours(vm, v);
	if (v->name && !*is_it)
		log_warn("vm \"%s\": volume %s of storage \"%s\" was not made by vmf for it, and stays",
			vm->name, d->volume, d->instance);
	return 0;
}

/* Asked before the first one goes: that of two disks the second cannot be removed is no time to find out
 * later. */
static int try_remove(
	struct vm *vm, const struct vm_disk *d, const struct vmf_volume *v, struct vmf_error *err)
{
	struct vm_call call;

	if (vm_need_bare(vm, d, v, err) < 0)
		return vmf_context(err, "vm \"%s\": disk \"%s\"", vm->name, d->title);
	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	if (d->plugin->ops.storage.remove && d->plugin->ops.storage.remove(&call.call, d->volume, err) < 0)
		return vmf_context(
			err, "vm \"%s\": storage \"%s\": volume \"%s\"", vm->name, d->instance, d->volume);
	return 0;
}

static void plan_file(struct plan *plan, const char *path)
{
	if (file_exists(path))
		plan_add(plan, &step_file_remove, json_pack("{s:s}", "path", path), "remove %s", path);
}

static int plan_volumes(struct vm *vm, struct plan *plan, struct vmf_error *err)
{
	for (size_t i = 0; i < vm->n_disks; i++) {
		struct vm_disk *d = &vm->disks[i];
		struct vmf_volume v;
		json_t *record;
		bool is_it;

		if (is_to_go(vm, d, &v, &is_it, err) < 0)
			return -1;
		if (!is_it)
			continue;
		if (try_remove(vm, d, &v, err) < 0)
			return -1;
		record = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);
		plan_add(plan, &step_volume_remove, record, "remove volume %s of storage \"%s\" (%s)",
			d->volume, d->instance, d->plugin->name);
	}
	return 0;
}

static int make_plan(struct vm *vm, struct plan *plan, bool keeps_definition, struct vmf_error *err)
{
	static const struct {
		const char *folder, *suffix;
	} files[] = {{"saved", ""}, {"saved", ".part"}, {"places", ".json"}, {"nvram", ".fd"},
		{"log", ".log"}, {"log", ".serial0"}, {"log", ".serial1"}, {"log", ".serial2"},
		{"log", ".serial3"}};
	autofree char *unfinished =
		str_printf("%s/vms/.%s.conf.new", vm->ctx->paths.etc, vm->name); /* see file_write() */

	plan_forward(plan);
	if (plan_volumes(vm, plan, err) < 0)
		return -1;
	for (size_t i = 0; i < VMF_COUNT(files); i++) {
		autofree char *path = vm_lib_path(vm, files[i].folder, files[i].suffix);

		plan_file(plan, path);
	}
	if (keeps_definition)
		return 0;
	plan_file(plan, unfinished);
	plan_file(plan, vm->file);
	return 0;
}

static int destroy(struct vm *vm, bool keeps_definition, struct vmf_error *err)
{
	struct plan *plan;
	int rc;

	if (vm_need_unlocked(vm, err) < 0)
		return -1;
	if (!vm->ctx->dry_run && vm_lock(vm, err) < 0) {
		if (!vm->was_destroyed || err->code != VMF_E_NOT_FOUND)
			return -1;
		error_clear(err); /* just now */
		return 0;
	}
	rc = vm_need_off(vm, err);
	if (rc == 0)
		rc = vm_need_unmounted(vm, err);
	if (rc == 0 && !vm->ctx->dry_run)
		rc = plan_undo_start(vm, err);
	if (rc == 0)
		rc = vm_resolve(vm, err);
	if (rc == 0) {
		plan = plan_new(vm, "destroy", true);
		rc = make_plan(vm, plan, keeps_definition, err);
		if (rc == 0 && vm->ctx->dry_run)
			plan_describe(plan);
		else if (rc == 0)
			rc = plan_run(plan, NULL, false, err);
		plan_free(plan);
	}
	vm_unlock(vm);
	return rc < 0 || vm->ctx->dry_run ? rc : vm_reload(vm, err);
}

int vm_destroy(struct vm *vm, struct vmf_error *err)
{
	return destroy(vm, false, err);
}

int vm_destroy_but_definition(struct vm *vm, struct vmf_error *err)
{
	return destroy(vm, true, err);
}
