/* SPDX-License-Identifier: ISC */
/*
 * Volumes by the list: a store is asked once for what many disks or many VMs want to know, as for some of
 * them each question is a program that runs.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/vm.h"

const struct vmf_volume *vm_volume_at(const struct vmf_volume_list *list, size_t i)
{
	return (const struct vmf_volume *)((const char *)list->items +
					   i * (list->stride ? list->stride : sizeof(*list->items)));
}

/* An entry of a plugin's list, which may be of another length than ours. */
static void take(struct vmf_volume *to, const struct vmf_volume_list *list, size_t i)
{
	size_t stride = list->stride ? list->stride : sizeof(*to);

	memset(to, 0, sizeof(*to));
	memcpy(to, vm_volume_at(list, i), stride < sizeof(*to) ? stride : sizeof(*to));
}

/* ---- of many VMs -------------------------------------------------------------------------- */

struct known_store {
	const struct plugin *plugin;
	char *options;
	struct vmf_volume_list list;
	struct vmf_error error;
};

struct known_volumes {
	struct known_store *items;
	size_t count;
	struct arena arena;
};

void ctx_remember_volumes(struct ctx *ctx)
{
	if (!ctx->volumes)
		ctx->volumes = mem_alloc(sizeof(*ctx->volumes));
}

void ctx_forget_volumes(struct ctx *ctx)
{
	for (size_t i = 0; ctx->volumes && i < ctx->volumes->count; i++) {
		free(ctx->volumes->items[i].options);
		error_clear(&ctx->volumes->items[i].error);
	}
	if (ctx->volumes) {
		free(ctx->volumes->items);
		arena_free(&ctx->volumes->arena);
	}
	free(ctx->volumes);
	ctx->volumes = NULL;
}

/* All that the call's store has, asked for at most once. The call is no VM's: others want the answer, too. */
static const struct known_store *all_of(
	struct known_volumes *known, const struct plugin *plugin, const struct vm_call *call)
{
	char *options = conf_opts_save(call->call.opts);
	struct host_services services = {.arena = &known->arena};
	struct vmf_call general;
	struct known_store *s;

	for (size_t i = 0; i < known->count; i++)
		if (known->items[i].plugin == plugin && str_equal(known->items[i].options, options)) {
			free(options);
			return &known->items[i];
		}
	known->items = mem_resize(known->items, (known->count + 1) * sizeof(*known->items));
	s = &known->items[known->count++];
	*s = (struct known_store){.plugin = plugin, .options = options};
	s->list.stride = sizeof(struct vmf_volume);
	host_call_init(&general, &services, call->call.opts, NULL, call->call.instance, NULL, 0);
	if (plugin->ops.storage.list(&general, NULL, &s->list, &s->error) < 0)
		s->list.count = 0;
	return s;
}

int vm_volumes_list(struct vm *vm, const struct plugin *plugin, const struct vm_call *call,
	const char *prefix, struct vmf_volume_list *list, struct vmf_error *err)
{
	const struct known_store *known;

	*list = (struct vmf_volume_list){.stride = sizeof(struct vmf_volume)};
	if (!plugin->ops.storage.list)
		return 0;
	if (!vm->ctx->volumes)
		return plugin->ops.storage.list(&call->call, prefix, list, err);
	known = all_of(vm->ctx->volumes, plugin, call);
	if (known->error.code)
		return vmf_fail(err, known->error.code, 0, known->error.hint, "%s", known->error.message);
	list->items = arena_alloc(&vm->arena, (known->list.count + 1) * sizeof(*list->items));
	for (size_t i = 0; i < known->list.count; i++)
		if (str_starts(vm_volume_at(&known->list, i)->name, prefix))
			take(&list->items[list->count++], &known->list, i);
	return 0;
}

/* ---- of many disks ------------------------------------------------------------------------ */

/* Do both look into the same store with the same options? */
static bool is_same_store(const struct vm_disk *a, const struct vm_disk *b)
{
	bool own = (a->section && a->section->n_sections) || (b->section && b->section->n_sections);

	return a == b || (!own && a->plugin == b->plugin && str_equal(a->instance, b->instance));
}

/* What the names of all volumes in the store of disk FIRST begin with; the caller frees. */
static char *common_prefix(const struct vm *vm, const struct vm_disk *first)
{
	char *prefix = str_dup(first->volume);

	for (size_t i = 0; i < vm->n_disks; i++) {
		const char *name = vm->disks[i].volume;
		size_t n = 0;

		if (!is_same_store(first, &vm->disks[i]))
			continue;
		while (prefix[n] && prefix[n] == name[n])
			n++;
		prefix[n] = '\0';
	}
	return prefix;
}

/* Has vm_resolve() just been told of all volumes of D's store whose names begin so? */
static bool was_seen(const struct vm *vm, const struct vm_disk *d, const char *prefix)
{
	autofree char *own = vm_volume_prefix(vm);
	autofree char *dashed = str_printf("%s-", own);
	bool has_own = d->section && d->section->n_sections;

	return vm->seen.is_fresh && !has_own && str_equal(vm->seen.instance, d->instance) &&
	       str_starts(prefix, dashed);
}

static int look_into(
	struct vm *vm, size_t first, struct vmf_volume *volumes, bool *known, struct vmf_error *err)
{
	const struct vm_disk *d = &vm->disks[first];
	autofree char *prefix = common_prefix(vm, d);
	struct vmf_volume_list list = vm->seen.list;
	struct vm_call call;
	int rc;

	vm_call_disk(vm, d, &call);
	rc = was_seen(vm, d, prefix) ? 0 : vm_volumes_list(vm, d->plugin, &call, prefix, &list, err);
	if (rc < 0) {
		vmf_context(err, "disk \"%s\": storage \"%s\"", d->title, d->instance);
		list.count = 0;
	}
	for (size_t i = first; i < vm->n_disks; i++) {
		if (known[i] || !is_same_store(d, &vm->disks[i]))
			continue;
		known[i] = true;
		for (size_t k = 0; k < list.count; k++)
			if (str_equal(vm_volume_at(&list, k)->name, vm->disks[i].volume))
				take(&volumes[i], &list, k);
	}
	return rc;
}

int vm_disk_volumes(struct vm *vm, struct vmf_volume **volumes, struct vmf_error *err)
{
	bool *known = mem_alloc((vm->n_disks + 1) * sizeof(*known));
	struct vmf_error mine = VMF_ERROR_INIT;
	int rc = 0;

	*volumes = arena_alloc(&vm->arena, (vm->n_disks + 1) * sizeof(**volumes));
	for (size_t i = 0; i < vm->n_disks; i++) {
		if (known[i] || !vm->disks[i].plugin || look_into(vm, i, *volumes, known, &mine) == 0)
			continue;
		if (rc == 0)
			error_move(err, &mine);
		error_clear(&mine);
		rc = -1;
	}
	free(known);
	return rc;
}

/* ---- what stands on what ------------------------------------------------------------------ */

static int look_elsewhere(
	struct vm *vm, const struct vm_instance *in, const struct vmf_volume *v, struct vmf_error *err)
{
	struct vm_disk probe = {
		.instance = in->name, .title = "?", .slot = (char *)"disk-?", .plugin = in->plugin};
	struct vmf_volume_list list = {.count = 0};
	struct vm_call call;
	int rc;

	probe.opts = vm_instance_opts(in, NULL, err);
	if (!probe.opts)
		return -1;
	vm_call_disk(vm, &probe, &call);
	rc = vm_volumes_list(vm, in->plugin, &call, "", &list, err);
	for (size_t i = 0; rc == 0 && i < list.count; i++) {
		const struct vmf_volume *other = vm_volume_at(&list, i);

		if (str_equal(other->origin, v->id) && !str_equal(other->id, v->id))
			rc = vmf_fail(err, VMF_E_STATE, 0,
				"remove that first, or make a full copy of it (clone --copy)",
				"volume %s of storage \"%s\" stands on %s", other->name, in->name, v->id);
	}
	conf_opts_free(probe.opts);
	return rc;
}

int vm_need_bare(struct vm *vm, const struct vm_disk *d, const struct vmf_volume *v, struct vmf_error *err)
{
	for (size_t i = 0; v->id && i < vm->root->n_sections; i++) {
		const struct conf_section *s = vm->root->sections[i];
		struct vmf_error mine = VMF_ERROR_INIT;
		struct vm_instance in;
		int rc = 0;

		if (!str_equal(s->keyword, "storage") || str_equal(s->title, d->instance) || !s->n_sections ||
			!str_equal(s->sections[s->n_sections - 1]->keyword, d->plugin->name))
			continue;
		if (vm_instance_find(vm->root, "storage", s->title, VMF_STORAGE, &in, &mine) == 0)
			rc = look_elsewhere(vm, &in, v, &mine);
		if (rc < 0 && mine.code == VMF_E_STATE) {
			error_move(err, &mine);
			return -1;
		}
		error_clear(&mine); /* one that cannot be asked: it may never have been there */
	}
	return 0;
}
