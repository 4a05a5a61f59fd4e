/* SPDX-License-Identifier: ISC */
/*
 * Disks from and to image files. What a disk gets is first made whole beside it; then names change hands; and
 * only when that is settled the old volume goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "config/value.h"
#include "vm/disk.h"
#include "vm/quota.h"
#include "vm/steps.h"

/* ---- in ----------------------------------------------------------------------------------- */

static int check_snapshots(const struct vm_disk *d, const struct vm_call *call, struct vmf_error *err)
{
	struct vmf_snapshot_list list = {.stride = sizeof(struct vmf_snapshot)};

	if (!d->plugin->ops.storage.snapshots)
		return 0;
	if (d->plugin->ops.storage.snapshots(&call->call, d->volume, &list, err) < 0)
		return vmf_context(err, "storage \"%s\"", d->instance);
	if (list.count == 0)
		return 0;
	return vmf_fail(err, VMF_E_STATE, 0,
		"remove them first: `snapshot --delete NAME`, or use `disk add --image`",
		"it has snapshots, which would be lost");
}

/* BESIDE: as long as there is a volume of that name, TO is what this has renamed; NULL: that is plain anyway.
 */
static void plan_rename(struct vm *vm, struct plan *plan, const struct vm_disk *d, const char *from,
	const char *to, const char *beside)
{
	json_t *record = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, from);

	json_object_set_new(record, "new", json_string(to));
	if (beside)
		json_object_set_new(record, "beside", json_string(beside));
	plan_add(plan, &step_volume_rename, record, "rename volume %s of storage \"%s\" (%s) to %s", from,
		d->instance, d->plugin->name, to);
}

/* The old volume of an import before, which could not be removed then. */
static int plan_leftover(
	struct vm *vm, struct plan *plan, const struct vm_disk *d, const char *old, struct vmf_error *err)
{
	struct vm_disk leftover = *d;
	bool is_disk = false;
	struct vmf_volume v;

	leftover.volume = old;
	if (vm_disk_volume(vm, &leftover, &v, err) < 0)
		return -1;
	if (!v.name)
		return 0;
	for (size_t i = 0; i < vm->n_disks; i++) /* a disk that somebody calls so */
		is_disk |= str_equal(vm->disks[i].volume, old);
	if (is_disk || !vm_disk_is_ours(vm, &v))
		return vmf_fail(err, VMF_E_EXISTS, 0, "rename it", "there is a volume %s already", old);
	plan_add(plan, &step_volume_remove,
		vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, old),
		"remove volume %s of storage \"%s\" (%s)", old, d->instance, d->plugin->name);
	return 0;
}

/* The new volume takes the old one's place. */
static int plan_swap(struct vm *vm, struct plan *plan, const struct vm_disk *d, struct new_volume *new,
	struct vmf_error *err)
{
	autofree char *fresh = str_printf("%s.new", d->volume);
	autofree char *old = str_printf("%s.old", d->volume);
	autofree char *probe = str_printf("%s.probe", d->volume);
	struct vm_call call;

	if (!(vm_disk_caps(vm, d) & VMF_STORAGE_RENAME) || !d->plugin->ops.storage.rename)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`disk add --image FILE` makes another disk of it",
			"storage \"%s\" (%s) cannot rename volumes", d->instance, d->plugin->name);
	vm_call_disk(vm, d, &call);
	if (check_snapshots(d, &call, err) < 0)
		return -1;
	call.call.dry_run = 1;
	/* to a name that nobody has, so that it is the volume itself that decides */
	if (d->plugin->ops.storage.rename(&call.call, d->volume, probe, err) < 0)
		return vmf_context(err, "storage \"%s\"", d->instance);
	new->name = fresh;
	if (plan_leftover(vm, plan, d, old, err) < 0 || plan_volume(vm, plan, new, err) < 0)
		return -1;
	plan_rename(vm, plan, d, d->volume, old, NULL);
	plan_rename(vm, plan, d, fresh, d->volume, old);
	plan_then(plan, &step_volume_remove,
		vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, old),
		"remove volume %s of storage \"%s\" (%s)", old, d->instance, d->plugin->name);
	return 0;
}

static int import_locked(struct vm *vm, const struct vm_disk *d, struct plan *plan, const struct image *image,
	uint64_t *size_bytes, struct vmf_error *err)
{
	struct new_volume new = {.name = d->volume,
		.instance = d->instance,
		.own = d->section,
		.index = d->index,
		.image = image};
	struct vmf_volume v;

	if (vm_disk_off(vm, err) < 0 || vm_need_no_memory(vm, err) < 0 || vm_need_unmounted(vm, err) < 0 ||
		vm_disk_volume(vm, d, &v, err) < 0)
		return -1;
	if (v.name && !vm_disk_is_ours(vm, &v))
		return vmf_fail(err, VMF_E_PERMISSION, 0, "write to it with the tools of its storage",
			"volume %s was not made by vmf for this VM", d->volume);
	if (v.name && vm_need_bare(vm, d, &v, err) < 0)
		return -1;
	if (vm_image_size(vm, d, image, size_bytes, err) < 0)
		return -1;
	/* a disk does not shrink by what it gets */
	if (*size_bytes < v.virtual_bytes)
		*size_bytes = v.virtual_bytes;
	new.size_bytes = *size_bytes;
	plan_needs(plan, &(struct quota){.disk_bytes = -(int64_t)v.virtual_bytes}); /* which goes */
	if ((v.name ? plan_swap(vm, plan, d, &new, err) : plan_volume(vm, plan, &new, err)) < 0)
		return -1;
	return vm_disk_note_size(vm, plan, d, new.size_bytes, err);
}

int vm_disk_import(struct vm *vm, const char *title, const struct image *image, uint64_t *size_bytes,
	struct vmf_error *err)
{
	struct vm_disk *d = vm_disk_take(vm, title, err);
	struct plan *plan;
	int rc;

	if (!d)
		return vm_end_change(vm, -1, err);
	plan = plan_new(vm, "disk-import", true);
	rc = import_locked(vm, d, plan, image, size_bytes, err);
	return vm_end_change(vm, vm_disk_run(vm, plan, title, rc, err), err);
}

/* ---- out ---------------------------------------------------------------------------------- */

static const char *word(json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

static int write_file(const struct vm_recorded *r, const struct vm_call *call, json_t *args,
	struct file_new *file, struct vmf_error *err)
{
	autofree char *name = file_new_name(file);
	struct conversion c = {.file = name,
		.format = word(args, "format"),
		.bytes = (uint64_t)json_integer_value(json_object_get(args, "size")),
		.to_file = true,
		.compress = json_is_true(json_object_get(args, "compress"))};

	if (str_equal(c.format, IMAGE_OWN))
		return r->plugin->ops.storage.send_own(&call->call, r->volume, file->fd, err);
	if (json_is_true(json_object_get(args, "stream")))
		return r->plugin->ops.storage.send(&call->call, r->volume, file->fd, err);
	return volume_convert(r, call, &c, err);
}

static int volume_export(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct file_new file;
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	(void)data;
	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = file_new_open(&file, word(args, "file"), err);
	if (rc == 0) {
		rc = write_file(&r, &call, args, &file, err);
		if (rc == 0)
			rc = file_new_publish(&file, err);
		else
			file_new_drop(&file);
	}
	vm_recorded_free(&r);
	return rc;
}

/* The file has no name yet; the volume may be attached still. */
static int volume_unexport(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return step_disk_attach.undo(vm, args, err);
}

const struct step step_volume_export = {"volume-export", volume_export, volume_unexport};

static int export_locked(struct vm *vm, const struct vm_disk *d, struct plan *plan, struct vm_disk_export *o,
	struct vmf_error *err)
{
	bool is_stream = str_equal(o->format, "raw") && d->plugin->ops.storage.send &&
			 (vm_disk_caps(vm, d) & VMF_STORAGE_STREAM);
	struct vmf_volume v;
	json_t *args;

	if (vm_need_off(vm, err) < 0) {
		if (err && err->hint)
			str_set(&err->hint, "`stop` it first, or export a clone of a snapshot of it");
		return -1;
	}
	if (vm_disk_off(vm, err) < 0 || vm_need_unwritten(vm, err) < 0 || vm_disk_exists(vm, d, &v, err) < 0)
		return -1;
	if (file_exists(o->file))
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or remove it first",
			"there is a %s already", o->file);
	if (str_equal(o->format, IMAGE_OWN) && vm_need_own_stream(vm, d, err) < 0)
		return -1;
	o->size_bytes = v.virtual_bytes;
	args = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);
	json_object_set_new(args, "file", json_string(o->file));
	json_object_set_new(args, "format", json_string(o->format));
	json_object_set_new(args, "compress", json_boolean(o->compress));
	json_object_set_new(args, "stream", json_boolean(is_stream));
	json_object_set_new(args, "size", json_integer((json_int_t)v.virtual_bytes));
	plan_add(plan, &step_volume_export, args, "copy volume %s of storage \"%s\" (%s) to %s (%s%s)",
		d->volume, d->instance, d->plugin->name, o->file, o->format,
		o->compress ? ", compressed" : "");
	return 0;
}

int vm_disk_export(struct vm *vm, const char *title, struct vm_disk_export *o, struct vmf_error *err)
{
	struct vm_disk *d;
	struct plan *plan;
	int rc;

	if (o->compress && !str_equal(o->format, "qcow2"))
		return vmf_fail(err, VMF_E_USAGE, 0, "leave out --compress, and use gzip or zstd afterwards",
			"only qcow2 images can be compressed");
	/* a locked VM can be looked at */
	d = (vm->ctx->dry_run || vm_lock(vm, err) == 0) && vm_resolve(vm, err) == 0
		    ? vm_disk_find(vm, title, err)
		    : NULL;
	if (!d)
		return vm_end_change(vm, -1, err);
	plan = plan_new(vm, "disk-export", true);
	rc = export_locked(vm, d, plan, o, err);
	return vm_end_change(vm, vm_disk_run(vm, plan, title, rc, err), err);
}
