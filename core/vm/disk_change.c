/* SPDX-License-Identifier: ISC */
/* Disks are removed, grown, packed. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"
#include "vm/disk.h"
#include "vm/plug.h"
#include "vm/steps.h"

#define ASK_MS 5000

/* ---- what all of them begin and end with -------------------------------------------------- */

struct vm_disk *vm_disk_take(struct vm *vm, const char *title, struct vmf_error *err)
{
	if (vm_need_unlocked(vm, err) < 0 || (!vm->ctx->dry_run && vm_lock(vm, err) < 0) ||
		vm_resolve(vm, err) < 0)
		return NULL;
	return vm_disk_find(vm, title, err);
}

int vm_disk_run(struct vm *vm, struct plan *plan, const char *title, int rc, struct vmf_error *err)
{
	if (rc < 0)
		vmf_context(err, "disk \"%s\"", title);
	else if (vm->ctx->dry_run)
		plan_describe(plan);
	else if (plan_run(plan, NULL, false, err) < 0)
		rc = vmf_context(err, "disk \"%s\"", title);
	plan_free(plan);
	return rc < 0 ? -1 : 0;
}

int vm_disk_off(struct vm *vm, struct vmf_error *err)
{
	if (vm_need_off(vm, err) < 0)
		return -1;
	return vm->ctx->dry_run ? 0 : plan_undo_start(vm, err);
}

int vm_disk_exists(struct vm *vm, const struct vm_disk *d, struct vmf_volume *v, struct vmf_error *err)
{
	autofree char *hint = NULL;

	if (vm_disk_volume(vm, d, v, err) < 0)
		return -1;
	if (v->name)
		return 0;
	hint = str_printf("`vmf %s disk add --name %s` makes it", vm->name, d->title);
	return vmf_fail(err, VMF_E_NOT_FOUND, 0, hint, "its volume %s is missing in storage \"%s\"",
		d->volume, d->instance);
}

uint32_t vm_disk_caps(struct vm *vm, const struct vm_disk *d)
{
	struct vmf_pool pool = {.size = sizeof(pool)};
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct vm_call call;

	vm_call_disk(vm, d, &call);
	if (d->plugin->ops.storage.check && d->plugin->ops.storage.check(&call.call, &pool, &quiet) < 0)
		pool.caps = 0;
	error_clear(&quiet);
	return pool.caps;
}

bool vm_disk_is_ours(const struct vm *vm, const struct vmf_volume *v)
{
	return v->is_ours && (!v->owner_uuid || str_equal(v->owner_uuid, vm->uuid));
}

static json_t *record(struct vm *vm, const struct vm_disk *d)
{
	return vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);
}

/* ---- remove ------------------------------------------------------------------------------- */

/* The definition without the disk. One that a class brings in is not the VM's to remove. */
static int plan_forget(struct vm *vm, struct plan *plan, const struct vm_disk *d, struct vmf_error *err)
{
	autostrv struct strv settings = STRV_INIT;
	const struct conf_section *below;
	const struct conf *layers;

	if (!d->section)
		return 0;
	layers = vm->class_ ? ctx_class(vm->ctx, vm->class_, err) : vm->ctx->with_default;
	if (!layers)
		return -1;
	below = conf_find(conf_root(layers), "disk", d->title);
	if (below)
		return vmf_fail(err, VMF_E_CONFIG, 0, "remove it there, or `set class=` of this VM",
			"it is defined in %s, for several VMs", conf_where(below->file, below->line));
	strv_addf(&settings, "disk.\"%s\"=", d->title);
	return plan_settings(vm, plan, &settings, err);
}

/* Would its removal succeed? A volume that is not ours stays, and is not asked for. */
static int try_volume_remove(struct vm *vm, const struct vm_disk *d, struct vmf_error *err)
{
	struct vmf_volume v;
	struct vm_call call;

	if (vm_disk_volume(vm, d, &v, err) < 0)
		return -1;
	if (!v.name || !vm_disk_is_ours(vm, &v))
		return 0;
	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	if (d->plugin->ops.storage.remove(&call.call, d->volume, err) < 0)
		return vmf_context(err, "storage \"%s\"", d->instance);
	return 0;
}

static int plan_volume_remove(
	struct vm *vm, struct plan *plan, const struct vm_disk *d, bool is_alive, struct vmf_error *err)
{
	struct vmf_volume v;

	if (vm_disk_volume(vm, d, &v, err) < 0)
		return -1;
	if (!v.name)
		return 0;
	if (!vm_disk_is_ours(vm, &v) && !d->section)
		return vmf_fail(err, VMF_E_PERMISSION, 0, "remove or rename it with the tools of its storage",
			"volume %s was not made by vmf for this VM", d->volume);
	if (!vm_disk_is_ours(vm, &v)) {
		log_warn("vm \"%s\": volume %s of storage \"%s\" was not made by vmf for it, and stays",
			vm->name, d->volume, d->instance);
		return 0;
	}
	if (!d->plugin->ops.storage.remove)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "%s cannot remove volumes", d->plugin->name);
	if (vm_need_bare(vm, d, &v, err) < 0)
		return -1;
	/* one that QEMU has open could not be removed now, but will be */
	if (!is_alive && try_volume_remove(vm, d, err) < 0)
		return -1;
	plan_add(plan, &step_volume_remove, record(vm, d), "remove volume %s of storage \"%s\" (%s)",
		d->volume, d->instance, d->plugin->name);
	return 0;
}

static int remove_locked(struct vm *vm, struct vm_disk *d, struct plan *plan, struct vmf_error *err)
{
	struct vm_state state;
	json_t *plugged;
	bool is_alive;
	int rc;

	vm_state_ask(vm, &state, time_now_ms() + ASK_MS);
	is_alive = state.phase == VM_ALIVE;
	if (vm_need_no_memory(vm, err) < 0 || vm_need_unmounted(vm, err) < 0 ||
		plan_volume_remove(vm, plan, d, is_alive, err) < 0 || plan_forget(vm, plan, d, err) < 0)
		return -1; /* the volume first: if it cannot go, the disk is there as before */
	if (!is_alive)
		return vm_disk_off(vm, err);
	if (vm->ctx->dry_run) {
		strv_addf(&vm->ctx->planned, "take the %s disk out of the running VM", d->bus);
		return 0;
	}
	/* before the plan: only the guest's consent is at stake, and what was begun here can simply be begun
	 * again */
	plugged = plug_record(vm, d);
	rc = plug_out(vm, plugged, err);
	json_decref(plugged);
	/* now that QEMU has let go of the volume it can be asked whether that can go */
	return rc < 0 ? -1 : try_volume_remove(vm, d, err);
}

int vm_disk_remove(struct vm *vm, const char *title, struct vmf_error *err)
{
	struct vm_disk *d = vm_disk_take(vm, title, err);
	struct plan *plan;

	if (!d)
		return vm_end_change(vm, -1, err);
	plan = plan_new(vm, "disk-rm", true);
	plan_forward(plan);
	return vm_end_change(vm, vm_disk_run(vm, plan, title, remove_locked(vm, d, plan, err), err), err);
}

/* ---- grow --------------------------------------------------------------------------------- */

static int do_grow(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	return r->plugin->ops.storage.grow(
		&call->call, r->volume, (uint64_t)json_integer_value(json_object_get(args, "size")), err);
}

static int volume_grow(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_grow, err);
}

const struct step step_volume_grow = {"volume-grow", volume_grow, NULL};

static int check_growth(
	struct vm *vm, const struct vm_disk *d, uint64_t from, uint64_t to, struct vmf_error *err)
{
	autofree char *have = value_format_size(from);
	autofree char *want = value_format_size(to);
	struct vm_call call;
	struct vm_state state;

	if (to < from)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"make a smaller disk with `disk add`, and copy the files over in the guest",
			"it has %s and cannot shrink to %s", have, want);
	if (!d->plugin->ops.storage.grow)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"make a larger disk with `disk add`, and copy the files over",
			"storage \"%s\" (%s) cannot grow volumes", d->instance, d->plugin->name);
	vm_state_ask(vm, &state, time_now_ms() + ASK_MS);
	if (state.phase == VM_ALIVE && !(vm_disk_caps(vm, d) & VMF_STORAGE_LIVE_GROW))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`shutdown` it first",
			"storage \"%s\" (%s) cannot grow volumes of running VMs", d->instance,
			d->plugin->name);
	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	if (d->plugin->ops.storage.grow(&call.call, d->volume, to, err) < 0)
		return vmf_context(err, "storage \"%s\"", d->instance);
	return 0;
}

/* The size in the VM's own file is what the disk would be made with. */
int vm_disk_note_size(
	struct vm *vm, struct plan *plan, const struct vm_disk *d, uint64_t size_bytes, struct vmf_error *err)
{
	const struct conf_value *size = d->section ? conf_get(d->section, "size") : NULL;
	autostrv struct strv settings = STRV_INIT;
	autofree char *text = value_exact_size(size_bytes);

	if (!size || !str_equal(size->file, vm->file) || (uint64_t)size->number == size_bytes)
		return 0;
	strv_addf(&settings, "disk.\"%s\".size=%s", d->title, text);
	return plan_settings(vm, plan, &settings, err);
}

static int resize_locked(struct vm *vm, const struct vm_disk *d, struct plan *plan,
	const struct vm_disk_size *wanted, struct vm_disk_resized *resized, struct vmf_error *err)
{
	struct vmf_volume v;
	autofree char *text = NULL;
	json_t *args;

	if (vm_need_no_memory(vm, err) < 0 || vm_need_unmounted(vm, err) < 0 ||
		vm_disk_exists(vm, d, &v, err) < 0)
		return -1;
	if (!vm_disk_is_ours(vm, &v))
		return vmf_fail(err, VMF_E_PERMISSION, 0, "grow it with the tools of its storage",
			"volume %s was not made by vmf for this VM", d->volume);
	resized->from_bytes = v.virtual_bytes;
	resized->to_bytes = wanted->bytes + (wanted->is_more ? v.virtual_bytes : 0);
	if (check_growth(vm, d, resized->from_bytes, resized->to_bytes, err) < 0)
		return -1;
	text = value_format_size(resized->to_bytes);
	args = record(vm, d);
	json_object_set_new(args, "size", json_integer((json_int_t)resized->to_bytes));
	if (resized->to_bytes > resized->from_bytes)
		plan_add(plan, &step_volume_grow, json_incref(args),
			"grow volume %s in storage \"%s\" (%s) to %s", d->volume, d->instance,
			d->plugin->name, text);
	json_decref(args);
	return vm_disk_note_size(vm, plan, d, resized->to_bytes, err);
}

int vm_disk_resize(struct vm *vm, const char *title, const struct vm_disk_size *wanted,
	struct vm_disk_resized *resized, struct vmf_error *err)
{
	struct vm_disk *d = vm_disk_take(vm, title, err);
	struct plan *plan;

	memset(resized, 0, sizeof(*resized));
	if (!d)
		return vm_end_change(vm, -1, err);
	plan = plan_new(vm, "disk-resize", true);
	plan_forward(plan);
	return vm_end_change(
		vm, vm_disk_run(vm, plan, title, resize_locked(vm, d, plan, wanted, resized, err), err), err);
}

/* ---- compress ----------------------------------------------------------------------------- */

static int do_compress(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	(void)args;
	return r->plugin->ops.storage.compress(&call->call, r->volume, err);
}

static int volume_compress(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_compress, err);
}

const struct step step_volume_compress = {"volume-compress", volume_compress, NULL};

static int compress_locked(struct vm *vm, const struct vm_disk *d, struct plan *plan, uint64_t *used_bytes,
	struct vmf_error *err)
{
	const struct vmf_storage_ops *ops = &d->plugin->ops.storage;
	struct vm_call call;
	struct vmf_volume v;

	if (vm_disk_off(vm, err) < 0 || vm_need_unmounted(vm, err) < 0 || vm_disk_exists(vm, d, &v, err) < 0)
		return -1;
	*used_bytes = v.used_bytes;
	if (!(vm_disk_caps(vm, d) & VMF_STORAGE_COMPRESS) || !ops->compress)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"trim it in the guest (fstrim), or keep a packed copy: `disk export --compress`",
			"storage \"%s\" (%s) cannot compress volumes", d->instance, d->plugin->name);
	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	if (ops->compress(&call.call, d->volume, err) < 0)
		return vmf_context(err, "storage \"%s\"", d->instance);
	plan_add(plan, &step_volume_compress, record(vm, d), "compress volume %s in storage \"%s\" (%s)",
		d->volume, d->instance, d->plugin->name);
	return 0;
}

int vm_disk_compress(struct vm *vm, const char *title, uint64_t *before_bytes, uint64_t *after_bytes,
	struct vmf_error *err)
{
	struct vm_disk *d = vm_disk_take(vm, title, err);
	struct vmf_volume v;
	int rc = -1;

	if (d) {
		struct plan *plan = plan_new(vm, "disk-compress", true);

		rc = vm_disk_run(vm, plan, title, compress_locked(vm, d, plan, before_bytes, err), err);
	}
	if (rc == 0 && vm_disk_volume(vm, d, &v, err) < 0)
		rc = -1;
	else if (rc == 0)
		*after_bytes = v.used_bytes;
	return vm_end_change(vm, rc, err);
}
