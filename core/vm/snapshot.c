/* SPDX-License-Identifier: ISC */
/*
 * Snapshots of a VM: one of each disk that its guest can write to, all under one name. A running guest stands
 * still while they are made, so that they agree.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "vm/disk.h"
#include "vm/steps.h"
#include "vm/vm.h"

#define ASK_MS 5000

/* ---- what can be done --------------------------------------------------------------------- */

static int check_name(const char *name, struct vmf_error *err)
{
	autofree char *quoted = str_quote(name);

	if (vm_name_check(name, NULL) == 0)
		return 0;
	return vmf_fail(err, VMF_E_USAGE, 0,
		"letters, digits, '.', '_' and '-', the first a letter or a digit, at most 64",
		"%s is no name for a snapshot", quoted);
}

/* The flags decide; a store that cannot do it is told together with another way. */
static int need_caps(
	struct vm *vm, const struct vm_disk *d, uint32_t caps, const char *hint, struct vmf_error *err)
{
	const struct vmf_storage_ops *ops = &d->plugin->ops.storage;
	struct vmf_pool pool = {.size = sizeof(pool)};
	struct vm_call call;

	vm_call_disk(vm, d, &call);
	if (ops->check && ops->check(&call.call, &pool, err) < 0)
		return vmf_context(err, "disk \"%s\": storage \"%s\"", d->title, d->instance);
	if ((pool.caps & caps) && ops->snapshot && ops->snapshots && ops->rollback && ops->snapshot_remove)
		return 0;
	return vmf_fail(err, VMF_E_UNSUPPORTED, 0, hint,
		"disk \"%s\": storage \"%s\" (%s) has no snapshots%s", d->title, d->instance, d->plugin->name,
		caps & VMF_STORAGE_SNAPSHOT ? "" : " of running VMs");
}

/* A disk that the guest cannot write to is always as it was. ONLY: titles; NULL or none: all. */
static bool is_wanted(const struct vm_disk *d, const struct strv *only)
{
	return !d->readonly && (!only || !only->count || strv_has(only, d->title));
}

static size_t count_disks(const struct vm *vm, const struct strv *only)
{
	size_t n = 0;

	for (size_t i = 0; i < vm->n_disks; i++)
		n += is_wanted(&vm->disks[i], only);
	return n;
}

static int check_only(struct vm *vm, const struct strv *only, struct vmf_error *err)
{
	for (size_t i = 0; only && i < only->count; i++) {
		const struct vm_disk *d = vm_disk_find(vm, only->items[i], err);

		if (!d)
			return -1;
		if (d->readonly)
			return vmf_fail(err, VMF_E_STATE, 0, "leave it out: it is always as it was",
				"disk \"%s\" is read-only", d->title);
	}
	return 0;
}

static json_t *record(struct vm *vm, const struct vm_disk *d, const char *name)
{
	json_t *json = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);

	json_object_set_new(json, "snapshot", json_string(name));
	return json;
}

/* Takes the VM and finds its disks; to be let go of in any case. */
static int take(struct vm *vm, struct vmf_error *err)
{
	if (vm_need_unlocked(vm, err) < 0 || (!vm->ctx->dry_run && vm_lock(vm, err) < 0) ||
		vm_resolve(vm, err) < 0)
		return -1;
	if (count_disks(vm, NULL) == 0)
		return vmf_fail(err, VMF_E_STATE, 0, "`newimg` makes one",
			"it has no disk that could have snapshots");
	return 0;
}

static int finish(struct vm *vm, struct plan *plan, int rc, struct vmf_error *err)
{
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, NULL, false, err);
	plan_free(plan);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	return rc;
}

/* ---- snapshot ----------------------------------------------------------------------------- */

static int check_snapshot(
	struct vm *vm, const struct vm_disk *d, const char *name, bool is_alive, struct vmf_error *err)
{
	struct vm_call call;

	if (is_alive && need_caps(vm, d, VMF_STORAGE_LIVE_SNAPSHOT,
				"`stop` it first, or clone it with --copy then", err) < 0)
		return -1;
	if (!is_alive && need_caps(vm, d, VMF_STORAGE_SNAPSHOT,
				 "make a full copy: `vmf NEW clone --from NAME --copy`", err) < 0)
		return -1;
	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	if (d->plugin->ops.storage.snapshot(&call.call, d->volume, name, err) < 0)
		return vmf_context(err, "disk \"%s\": %s", d->title, d->plugin->name);
	return 0;
}

/* Off: a step for each disk. Alive: one for all. */
static int plan_snapshot(struct vm *vm, struct plan *plan, const char *name, const struct strv *only,
	bool is_alive, struct vmf_error *err)
{
	autostrv struct strv texts = STRV_INIT;
	autofree char *text = NULL;
	json_t *disks = json_array();

	for (size_t i = 0; i < vm->n_disks; i++) {
		const struct vm_disk *d = &vm->disks[i];

		if (!is_wanted(d, only))
			continue;
		if (check_snapshot(vm, d, name, is_alive, err) < 0) {
			json_decref(disks);
			return -1;
		}
		strv_addf(&texts, "of volume %s in storage \"%s\" (%s)", d->volume, d->instance,
			d->plugin->name);
		if (is_alive)
			json_array_append_new(disks, record(vm, d, name));
		else
			plan_add(plan, &step_volume_snapshot, record(vm, d, name), "make snapshot %s %s",
				name, texts.items[texts.count - 1]);
	}
	text = strv_join(&texts, ", ");
	if (is_alive)
		plan_add(plan, &step_guest_snapshot, json_pack("{s:O}", "disks", disks),
			"make snapshot %s %s", name, text);
	json_decref(disks);
	return 0;
}

/* Whether QEMU lives, and whether its guest runs. */
static int ask_state(struct vm *vm, bool *is_alive, bool *runs, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_ask(vm, &state, time_now_ms() + ASK_MS);
	*is_alive = state.phase == VM_ALIVE;
	*runs = *is_alive && str_equal(state.status, "running");
	if (*is_alive && str_equal(state.status, "hung"))
		return vmf_fail(
			err, VMF_E_STATE, 0, "`kill` it, or look at what holds it", "QEMU does not answer");
	return 0;
}

int vm_snapshot(struct vm *vm, const char *name, const struct strv *only, struct vmf_error *err)
{
	struct plan *plan = plan_new(vm, "snapshot", true);
	bool is_alive = false, runs = false;
	int rc = check_name(name, err);
	json_t *guest;

	if (rc == 0)
		rc = take(vm, err);
	if (rc == 0)
		rc = check_only(vm, only, err);
	if (rc == 0)
		rc = vm_need_unwritten(vm, err);
	if (rc == 0)
		rc = ask_state(vm, &is_alive, &runs, err);
	if (rc < 0)
		return finish(vm, plan, rc, err);
	/* QEMU makes a single one between two of the guest's writes by itself; of several some may be made by
	 * others */
	guest = runs && count_disks(vm, only) > 1 ? json_pack("{s:b}", "was_running", 1) : NULL;
	if (guest)
		plan_add(plan, &step_save_pause, json_incref(guest), "pause the guest");
	rc = plan_snapshot(vm, plan, name, only, is_alive, err);
	if (guest)
		plan_add(plan, &step_guest_resume, guest, "let the guest go on");
	return finish(vm, plan, rc, err);
}

/* ---- list --------------------------------------------------------------------------------- */

static const struct vmf_snapshot *snapshot_at(const struct vmf_snapshot_list *list, size_t i)
{
	return (const void *)((const char *)list->items +
			      i * (list->stride ? list->stride : sizeof(*list->items)));
}

static int list_disk(
	struct vm *vm, const struct vm_disk *d, struct vmf_snapshot_list *list, struct vmf_error *err)
{
	struct vm_call call;

	*list = (struct vmf_snapshot_list){.stride = sizeof(struct vmf_snapshot)};
	if (d->readonly || !d->plugin->ops.storage.snapshots)
		return 0;
	vm_call_disk(vm, d, &call);
	if (d->plugin->ops.storage.snapshots(&call.call, d->volume, list, err) < 0)
		return vmf_context(err, "disk \"%s\": %s", d->title, d->plugin->name);
	return 0;
}

static struct vm_snapshot *entry_of(struct vm_snapshots *all, const struct vmf_snapshot *s)
{
	struct vm_snapshot *entry;

	for (size_t i = 0; i < all->count; i++)
		if (str_equal(all->items[i].name, s->name))
			return &all->items[i];
	all->items = mem_resize(all->items, (all->count + 1) * sizeof(*all->items));
	entry = &all->items[all->count++];
	*entry = (struct vm_snapshot){.name = str_dup(s->name), .created = s->created};
	return entry;
}

/* By insertion, so that those of one second keep the order in which the store told them. */
static void sort_by_age(struct vm_snapshots *all)
{
	for (size_t i = 1; i < all->count; i++)
		for (size_t k = i; k && all->items[k - 1].created > all->items[k].created; k--) {
			struct vm_snapshot later = all->items[k - 1];

			all->items[k - 1] = all->items[k];
			all->items[k] = later;
		}
}

int vm_snapshots(struct vm *vm, struct vm_snapshots *all, struct vmf_error *err)
{
	*all = (struct vm_snapshots){.n_disks = 0};
	if (vm_resolve(vm, err) < 0)
		return -1;
	all->n_disks = count_disks(vm, NULL);
	for (size_t i = 0; i < vm->n_disks; i++) {
		const struct vm_disk *d = &vm->disks[i];
		struct vmf_snapshot_list list;

		if (list_disk(vm, d, &list, err) < 0) {
			vm_snapshots_free(all);
			return vmf_context(err, "vm \"%s\"", vm->name);
		}
		for (size_t k = 0; k < list.count; k++) {
			struct vm_snapshot *entry = entry_of(all, snapshot_at(&list, k));

			strv_add(&entry->disks, d->title);
			entry->used_bytes += snapshot_at(&list, k)->used_bytes;
		}
	}
	sort_by_age(all);
	return 0;
}

void vm_snapshots_free(struct vm_snapshots *all)
{
	for (size_t i = 0; i < all->count; i++) {
		free(all->items[i].name);
		strv_free(&all->items[i].disks);
	}
	free(all->items);
	memset(all, 0, sizeof(*all));
}

/* ---- remove, roll back -------------------------------------------------------------------- */

static int no_such(const struct vm_snapshots *all, const char *name, struct vmf_error *err)
{
	const char *names[64], *near;
	autofree char *hint = NULL;
	size_t n = 0;

	for (; n < all->count && n < VMF_COUNT(names); n++)
		names[n] = all->items[n].name;
	near = str_nearest(name, names, n);
	hint = near ? str_printf("do you mean %s? `snapshots` shows all", near)
		    : str_dup("`snapshots` shows all");
	return vmf_fail(err, VMF_E_NOT_FOUND, 0, hint, "no snapshot \"%s\"", name);
}

int vm_snapshot_remove(struct vm *vm, const char *name, struct vmf_error *err)
{
	struct plan *plan = plan_new(vm, "snapshot-remove", true);
	struct vm_snapshots all = {.n_disks = 0};
	const struct vm_snapshot *found = NULL;
	int rc = take(vm, err);

	plan_forward(plan);
	if (rc == 0)
		rc = vm_snapshots(vm, &all, err);
	for (size_t i = 0; i < all.count; i++)
		if (str_equal(all.items[i].name, name))
			found = &all.items[i];
	if (rc == 0 && !found)
		rc = no_such(&all, name, err);
	for (size_t i = 0; rc == 0 && i < vm->n_disks; i++) {
		const struct vm_disk *d = &vm->disks[i];
		struct vm_call call;

		if (!strv_has(&found->disks, d->title))
			continue;
		vm_call_disk(vm, d, &call);
		call.call.dry_run = 1;
		rc = d->plugin->ops.storage.snapshot_remove(&call.call, d->volume, name, err);
		if (rc < 0)
			vmf_context(err, "disk \"%s\": %s", d->title, d->plugin->name);
		plan_add(plan, &step_snapshot_remove, record(vm, d, name),
			"remove snapshot %s of volume %s in storage \"%s\" (%s)", name, d->volume,
			d->instance, d->plugin->name);
	}
	vm_snapshots_free(&all);
	return finish(vm, plan, rc, err);
}

static int plan_rollback(struct vm *vm, struct plan *plan, const struct vm_disk *d, const char *name,
	uint32_t flags, struct vmf_error *err)
{
	json_t *args = record(vm, d, name);
	struct vmf_volume v;
	struct vm_call call;

	json_object_set_new(args, "flags", json_integer(flags));
	plan_add(plan, &step_volume_rollback, args,
		"roll volume %s in storage \"%s\" (%s) back to snapshot %s", d->volume, d->instance,
		d->plugin->name, name);
	if (need_caps(vm, d, VMF_STORAGE_SNAPSHOT, "clone the VM that it was copied from", err) < 0)
		return -1;
	if (vm_disk_volume(vm, d, &v, err) < 0 || vm_need_bare(vm, d, &v, err) < 0)
		return vmf_context(err, "disk \"%s\"", d->title);
	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	if (d->plugin->ops.storage.rollback(&call.call, d->volume, name, flags, err) < 0)
		return vmf_context(err, "disk \"%s\": %s", d->title, d->plugin->name);
	return 0;
}

int vm_rollback(
	struct vm *vm, const char *name, const struct strv *only, uint32_t flags, struct vmf_error *err)
{
	struct plan *plan = plan_new(vm, "rollback", true);
	struct vm_snapshots all = {.n_disks = 0};
	bool is_there = false;
	int rc = take(vm, err);

	/* what the disks hold now is gone with the first one: from there on the only way is forward */
	plan_forward(plan);
	if (rc == 0)
		rc = check_only(vm, only, err);
	if (rc == 0)
		rc = vm_need_off(vm, err);
	if (rc == 0 && !vm->ctx->dry_run)
		rc = plan_undo_start(vm, err);
	if (rc == 0)
		rc = vm_need_unmounted(vm, err);
	if (rc == 0)
		rc = vm_need_no_memory(vm, err);
	if (rc == 0)
		rc = vm_snapshots(vm, &all, err);
	for (size_t i = 0; i < all.count; i++)
		is_there |= str_equal(all.items[i].name, name);
	if (rc == 0 && !is_there)
		rc = no_such(&all, name, err);
	vm_snapshots_free(&all);
	for (size_t i = 0; rc == 0 && i < vm->n_disks; i++)
		if (is_wanted(&vm->disks[i], only))
			rc = plan_rollback(vm, plan, &vm->disks[i], name, flags, err);
	return finish(vm, plan, rc, err);
}
