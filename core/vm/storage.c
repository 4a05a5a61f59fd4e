/* SPDX-License-Identifier: ISC */
#include "vm/storage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* ---- stores ------------------------------------------------------------------------------- */

struct store_call {
	struct vmf_call call;
	struct host_services services;
};

/* A call that is no VM's. */
static void call_init(struct stores *stores, const struct store *store, struct store_call *c)
{
	memset(c, 0, sizeof(*c));
	c->services.arena = &stores->arena;
	host_call_init(&c->call, &c->services, store->opts, NULL, store->name, NULL, 0);
	c->call.dry_run = stores->ctx->dry_run;
}

static void ask(struct stores *stores, const struct conf_section *root, struct store *store)
{
	struct vm_instance in;
	struct store_call c;

	store->pool = (struct vmf_pool){.size = sizeof(store->pool), .data_percent = -1, .meta_percent = -1};
	if (vm_instance_find(root, "storage", store->name, VMF_STORAGE, &in, &store->error) < 0)
		return;
	store->opts = vm_instance_opts(&in, NULL, &store->error);
	if (!store->opts)
		return;
	call_init(stores, store, &c);
	if (in.plugin->ops.storage.check &&
		in.plugin->ops.storage.check(&c.call, &store->pool, &store->error) < 0)
		return;
	store->plugin = in.plugin;
}

int stores_open(struct ctx *ctx, struct stores *stores, struct vmf_error *err)
{
	const struct conf_section *root;
	const char *by_default;

	memset(stores, 0, sizeof(*stores));
	stores->ctx = ctx;
	if (ctx_load(ctx, err) < 0)
		return -1;
	root = conf_root(ctx->with_default);
	by_default = conf_string(root, "storage");
	stores->items = mem_alloc((root->n_sections + 1) * sizeof(*stores->items));
	for (size_t i = 0; i < root->n_sections; i++) {
		const struct conf_section *s = root->sections[i];
		struct store *store = &stores->items[stores->count];

		if (!str_equal(s->keyword, "storage"))
			continue;
		stores->count++;
		store->name = s->title;
		store->plugin_name = s->n_sections ? s->sections[s->n_sections - 1]->keyword : NULL;
		store->is_default = str_equal(s->title, by_default);
		ask(stores, root, store);
	}
	return 0;
}

/* A copy: the store keeps its own. */
static void *fail_as(struct vmf_error *err, const struct store *store)
{
	vmf_fail(err, store->error.code, 0, store->error.hint, "storage \"%s\": %s", store->name,
		store->error.message);
	return NULL;
}

struct store *stores_find(struct stores *stores, const char *name, struct vmf_error *err)
{
	autostrbuf struct strbuf known = STRBUF_INIT;
	autofree char *hint = NULL;

	for (size_t i = 0; i < stores->count; i++) {
		struct store *store = &stores->items[i];

		if (str_equal(store->name, name))
			return store->error.code ? fail_as(err, store) : store;
		strbuf_printf(&known, "%s\"%s\"", i ? ", " : "", store->name);
	}
	hint = str_printf("there are %s", known.data ? known.data : "none");
	vmf_fail(err, VMF_E_CONFIG, 0, hint, "no storage \"%s\" in the configuration", name);
	return NULL;
}

void stores_list(struct stores *stores)
{
	for (size_t i = 0; i < stores->count; i++) {
		struct store *store = &stores->items[i];
		struct store_call c;

		store->volumes = (struct vmf_volume_list){.stride = sizeof(struct vmf_volume)};
		if (!store->plugin || !store->plugin->ops.storage.list)
			continue;
		call_init(stores, store, &c);
		if (store->plugin->ops.storage.list(&c.call, NULL, &store->volumes, &store->error) < 0)
			store->volumes.count = 0;
	}
}

void stores_free(struct stores *stores)
{
	for (size_t i = 0; i < stores->count; i++) {
		conf_opts_free(stores->items[i].opts);
		error_clear(&stores->items[i].error);
	}
	free(stores->items);
	arena_free(&stores->arena);
	memset(stores, 0, sizeof(*stores));
}

/* ---- what is used ------------------------------------------------------------------------- */

struct search {
	struct stores *stores;
	struct orphans *orphans;
	struct strv used;  /* ids: two storages may be one place */
	struct strv uuids; /* of defined VMs, and their names, by turns */
};

static const struct vmf_volume *find_volume(const struct store *store, const char *name)
{
	for (size_t i = 0; i < store->volumes.count; i++)
		if (str_equal(vm_volume_at(&store->volumes, i)->name, name))
			return vm_volume_at(&store->volumes, i);
	return NULL;
}

static void note_used(struct search *s, const char *id)
{
	if (id && !strv_has(&s->used, id))
		strv_add(&s->used, id);
}

/* A disk's volume in the lists that we have; what a disk says otherwise than its storage is asked for. */
static int note_disk(struct search *s, struct vm *vm, const struct vm_disk *d, struct vmf_error *err)
{
	const struct vmf_volume *v = NULL;
	struct vmf_volume asked;

	for (size_t i = 0; i < s->stores->count && !(d->section && d->section->n_sections); i++)
		if (str_equal(s->stores->items[i].name, d->instance) &&
			s->stores->items[i].plugin == d->plugin)
			v = find_volume(&s->stores->items[i], d->volume);
	if (!v) {
		if (vm_disk_volume(vm, d, &asked, err) < 0)
			return -1;
		v = &asked;
	}
	note_used(s, v->id);
	return 0;
}

static int note_vm(struct search *s, const char *name, struct vmf_error *err)
{
	struct vm *vm = vm_load(s->stores->ctx, name, true, err);
	int rc = vm && vm->is_defined ? vm_resolve(vm, err) : vm ? 0 : -1;

	for (size_t i = 0; rc == 0 && i < vm->n_disks; i++)
		rc = note_disk(s, vm, &vm->disks[i], err);
	if (rc == 0 && vm->is_defined) {
		strv_add(&s->uuids, vm->uuid);
		strv_add(&s->uuids, name);
	}
	vm_free(vm);
	return rc;
}

/* "gold" or "gold@snapshot" of the same store, or a path. */
static bool note_origin(struct search *s, const struct store *store, const char *origin)
{
	const char *at = strrchr(origin, '@');
	autofree char *name = at ? str_ndup(origin, (size_t)(at - origin)) : NULL;
	const struct vmf_volume *v = find_volume(store, origin);
	size_t before = s->used.count;

	if (!v && name)
		v = find_volume(store, name);
	note_used(s, v ? v->id : origin);
	return s->used.count > before;
}

/* What others stand on is used by those who use them. */
static void note_origins(struct search *s)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < s->stores->count; i++)
			for (size_t k = 0; k < s->stores->items[i].volumes.count; k++) {
				const struct vmf_volume *v = vm_volume_at(&s->stores->items[i].volumes, k);

				if (v->origin && v->id && strv_has(&s->used, v->id))
					more |= note_origin(s, &s->stores->items[i], v->origin);
			}
	}
}

/* ---- orphans ------------------------------------------------------------------------------ */

static void add_orphan(struct search *s, struct store *store, const struct vmf_volume *v)
{
	struct orphans *o = s->orphans;
	struct orphan orphan = {.store = store, .volume = v};

	for (size_t i = 0; v->owner_uuid && i + 1 < s->uuids.count; i += 2)
		if (str_equal(s->uuids.items[i], v->owner_uuid))
			orphan.owner = str_dup(s->uuids.items[i + 1]);
	o->items = mem_resize(o->items, (o->count + 1) * sizeof(*o->items));
	o->items[o->count++] = orphan;
}

/* Once only, though several storages may show it. */
static void collect(struct search *s)
{
	for (size_t i = 0; i < s->stores->count; i++)
		for (size_t k = 0; k < s->stores->items[i].volumes.count; k++) {
			const struct vmf_volume *v = vm_volume_at(&s->stores->items[i].volumes, k);

			if (!v->is_ours || (v->id && strv_has(&s->used, v->id)))
				continue;
			add_orphan(s, &s->stores->items[i], v);
			note_used(s, v->id);
		}
}

int orphans_find(struct stores *stores, struct orphans *orphans, struct vmf_error *err)
{
	struct search s = {.stores = stores, .orphans = orphans};
	autostrv struct strv names = STRV_INIT;
	int rc;

	memset(orphans, 0, sizeof(*orphans));
	/* volumes first: a VM's definition is there before its volumes are */
	stores_list(stores);
	ctx_remember_volumes(stores->ctx);
	rc = vm_names(stores->ctx, &names, err);
	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		struct vmf_error mine = VMF_ERROR_INIT;

		if (note_vm(&s, names.items[i], &mine) < 0) {
			log_warn("%s", mine.message);
			strv_add(&orphans->unread, names.items[i]);
		}
		error_clear(&mine);
	}
	ctx_forget_volumes(stores->ctx);
	if (rc == 0) {
		note_origins(&s);
		collect(&s);
	}
	strv_free(&s.used);
	strv_free(&s.uuids);
	return rc;
}

/* What stands on it in its own storage keeps it: the plugin sees to that. */
static int need_bare(const struct stores *stores, const struct orphan *o, struct vmf_error *err)
{
	for (size_t i = 0; i < stores->count; i++)
		for (size_t k = 0; k < stores->items[i].volumes.count; k++) {
			const struct vmf_volume *v = vm_volume_at(&stores->items[i].volumes, k);

			if (&stores->items[i] != o->store && o->volume->id &&
				str_equal(v->origin, o->volume->id) && access(v->id, F_OK) == 0)
				return vmf_fail(err, VMF_E_STATE, 0,
					"remove that first, or make a full copy of it",
					"volume %s of storage \"%s\" stands on it", v->name,
					stores->items[i].name);
		}
	return 0;
}

/* Under the lock of the VM that it is marked for, and only if that still does not use it. 1: removed, 0: no
 * more an orphan, -1. */
static int remove_one(struct stores *stores, const struct orphan *o, struct vmf_error *err)
{
	struct vm *vm = o->owner ? vm_load(stores->ctx, o->owner, true, err) : NULL;
	bool is_wanted = false;
	struct store_call c;
	int rc = o->owner && !vm ? -1 : 0;

	if (vm) {
		rc = vm_lock_any(vm, err);
		if (rc == 0)
			rc = vm_resolve(vm, err);
		for (size_t i = 0; rc == 0 && i < vm->n_disks; i++)
			is_wanted |= str_equal(vm->disks[i].volume, o->volume->name);
		is_wanted |= rc == 0 && !vm->is_defined; /* renamed meanwhile, perhaps */
	}
	if (rc == 0 && !is_wanted)
		rc = need_bare(stores, o, err);
	if (rc == 0 && !is_wanted) {
		call_init(stores, o->store, &c);
		rc = o->store->plugin->ops.storage.remove(&c.call, o->volume->name, err) < 0 ? -1 : 1;
	}
	vm_free(vm);
	return rc;
}

/* One round: how many were removed. What fails is told, if LAST. */
static size_t remove_round(struct stores *stores, struct orphans *orphans, bool last)
{
	size_t removed = 0;

	for (size_t i = 0; i < orphans->count && !log_interrupted; i++) {
		struct orphan *o = &orphans->items[i];
		struct vmf_error mine = VMF_ERROR_INIT;
		int rc = o->is_removed ? 0 : remove_one(stores, o, &mine);

		if (rc > 0) {
			o->is_removed = true;
			removed++;
		} else if (rc < 0 && last) {
			vmf_context(&mine, "storage \"%s\": volume %s", o->store->name, o->volume->name);
			log_error(&mine);
		}
		error_clear(&mine);
	}
	return removed;
}

int orphans_remove(struct stores *stores, struct orphans *orphans, struct vmf_error *err)
{
	size_t removed = 0, now;
	autofree char *unread = strv_join(&orphans->unread, ", ");

	if (orphans->unread.count)
		return vmf_fail(err, VMF_E_CONFIG, 0, "mend what is said above first",
			"some of them may be disks of %s, which cannot be read", unread);
	do {
		now = remove_round(stores, orphans, false);
		removed += now;
	} while (now && removed < orphans->count);
	if (removed == orphans->count)
		return 0;
	removed += remove_round(stores, orphans, true);
	return removed == orphans->count
		       ? 0
		       : vmf_fail(err, VMF_E_FAILED, 0, NULL, "%zu of %zu volumes were not removed",
				 orphans->count - removed, orphans->count);
}

void orphans_free(struct orphans *orphans)
{
	for (size_t i = 0; i < orphans->count; i++)
		free(orphans->items[i].owner);
	free(orphans->items);
	strv_free(&orphans->unread);
	memset(orphans, 0, sizeof(*orphans));
}
