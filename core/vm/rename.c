/* SPDX-License-Identifier: ISC */
/* Rename: volumes, definition, logs, saved state get a new name; UUID and MAC addresses stay. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/disk.h"
#include "vm/steps.h"
#include "vm/vm.h"

static int rename_volume(struct vm *vm, json_t *args, bool back, struct vmf_error *err)
{
	const char *new_name = json_string_value(json_object_get(args, "new"));
	struct vm_recorded r;
	struct vm_call call;
	const char *from, *to, *beside = json_string_value(json_object_get(args, "beside"));
	int rc = 0;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	from = back ? new_name : r.volume;
	to = back ? r.volume : new_name;
	vm_call_recorded(vm, &r, &call);
	if (back) { /* undoing what never came to be succeeds */
		struct vmf_volume v;

		rc = vm_volume_look(r.plugin, &call, from, &v, err);
		if (rc < 0 || !v.name)
			goto out;
		/* undone before: what is called so now is what was there first */
		rc = beside ? vm_volume_look(r.plugin, &call, beside, &v, err) : 0;
		if (rc < 0 || !v.name)
			goto out;
	}
	rc = r.plugin->ops.storage.rename(&call.call, from, to, err);
	if (rc < 0)
		vmf_context(err, "storage \"%s\": volume \"%s\"", r.instance, from);
out:
	vm_recorded_free(&r);
	return rc;
}

static int volume_rename(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return rename_volume(vm, args, false, err);
}

static int volume_rename_back(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return rename_volume(vm, args, true, err);
}

const struct step step_volume_rename = {"volume-rename", volume_rename, volume_rename_back};

/* RENAME_NOREPLACE: nothing that stands there is ever lost. */
static int move_file(const char *from, const char *to, struct vmf_error *err)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	return vmf_fail_errno(err, NULL, "cannot rename %s to %s", from, to);
}

static int file_rename(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)vm;
	(void)data;
	return move_file(json_string_value(json_object_get(args, "from")),
		json_string_value(json_object_get(args, "to")), err);
}

static int file_rename_back(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *from = json_string_value(json_object_get(args, "from"));
	const char *to = json_string_value(json_object_get(args, "to"));

	(void)vm;
	/* not moved yet: FROM is still there */
	return file_exists(from) || !file_exists(to) ? 0 : move_file(to, from, err);
}

const struct step step_file_rename = {"file-rename", file_rename, file_rename_back};

static void plan_move(struct plan *plan, const char *from, const char *to)
{
	if (file_exists(from))
		plan_add(plan, &step_file_rename, json_pack("{s:s, s:s}", "from", from, "to", to),
			"rename %s to %s", from, to);
}

static int plan_volumes(struct vm *vm, struct plan *plan, const char *new_name, struct vmf_error *err)
{
	autofree char *prefix = vm_volume_prefix(vm);
	autofree char *new_prefix =
		vm->class_ ? str_printf("%s-%s", vm->class_, new_name) : str_dup(new_name);
	size_t n = strlen(prefix);

	for (size_t i = 0; i < vm->n_disks; i++) {
		struct vm_disk *d = &vm->disks[i];
		autofree char *volume = NULL;
		struct vmf_volume v;
		struct vm_call call;
		json_t *record;

		/* a volume that the definition calls by a name of its own keeps it */
		if ((d->section && conf_string(d->section, "volume")) || strncmp(d->volume, prefix, n) != 0)
			continue;
		if (!d->plugin->ops.storage.rename)
			return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
				"name the volume in the definition: disk { volume = }",
				"disk \"%s\": %s cannot rename volumes", d->title, d->plugin->name);
		if (vm_disk_volume(vm, d, &v, err) < 0 || vm_need_bare(vm, d, &v, err) < 0)
			return -1;
		volume = str_printf("%s%s", new_prefix, d->volume + n);
		vm_call_disk(vm, d, &call);
		call.call.dry_run = 1;
		if (v.name && d->plugin->ops.storage.rename(&call.call, d->volume, volume, err) < 0)
			return vmf_context(err, "storage \"%s\": volume \"%s\"", d->instance, d->volume);
		record = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);
		json_object_set_new(record, "new", json_string(volume));
		plan_add(plan, &step_volume_rename, record, "rename volume %s to %s in storage \"%s\" (%s)",
			d->volume, volume, d->instance, d->plugin->name);
	}
	return 0;
}

static int rename_locked(struct vm *vm, const char *new_name, const char *new_file, struct vmf_error *err)
{
	static const struct {
		const char *folder, *suffix;
	} files[] = {{"saved", ""}, {"places", ".json"}, {"nvram", ".fd"}, {"log", ".log"},
		{"log", ".serial0"}, {"log", ".serial1"}, {"log", ".serial2"}, {"log", ".serial3"},
		{"managed", ".json"}, {"managed", ".conf"}};
	struct plan *plan = plan_new(vm, "rename", true);
	int rc = plan_volumes(vm, plan, new_name, err);

	plan_also(plan, new_name);
	for (size_t i = 0; i < VMF_COUNT(files); i++) {
		autofree char *from = vm_lib_path(vm, files[i].folder, files[i].suffix);
		autofree char *to = str_printf(
			"%s/%s/%s%s", vm->ctx->paths.lib, files[i].folder, new_name, files[i].suffix);

		plan_move(plan, from, to);
	}
	plan_move(plan, vm->file, new_file);
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, NULL, false, err);
	plan_free(plan);
	return rc;
}

int vm_rename(struct vm *vm, const char *new_name, struct vmf_error *err)
{
	autofree char *new_file = str_printf("%s/vms/%s.conf", vm->ctx->paths.etc, new_name);
	struct vm_state state;
	int rc;

	if (vm_name_check(new_name, err) < 0 || vm_need_unlocked(vm, err) < 0)
		return -1;
	vm_state_read(vm->ctx, new_name, &state);
	if (file_exists(new_file) || state.phase != VM_OFF)
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name", "there is a vm \"%s\" already",
			new_name);
	if (!vm->ctx->dry_run && vm_lock(vm, err) < 0)
		return -1;
	rc = vm_need_off(vm, err);
	if (rc == 0 && !vm->ctx->dry_run)
		rc = plan_undo_start(vm, err);
	if (rc == 0)
		rc = vm_need_unmounted(vm, err);
	if (rc == 0)
		rc = vm_resolve(vm, err);
	if (rc == 0)
		rc = rename_locked(vm, new_name, new_file, err);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	if (rc < 0 || vm->ctx->dry_run)
		return rc;
	str_set(&vm->name, new_name);
	str_set(&vm->file, new_file);
	free(vm->run_dir);
	vm->run_dir = str_printf("%s/%s", vm->ctx->paths.run, new_name);
	return vm_reload(vm, err);
}
