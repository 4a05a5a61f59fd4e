/* SPDX-License-Identifier: ISC */
/* The pool and its volumes: one call of zfs each. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "zv.h"

#define FULL_PERCENT 90

/* ---- check -------------------------------------------------------------------------------- */

static int percent(uint64_t part, uint64_t whole)
{
	return whole ? (int)((double)part * 100 / (double)whole) : 100;
}

/* What guests on sparse volumes write must find room when they write it: a full dataset stops them. */
static void look_at_fill(struct zv_store *s, struct vmf_pool *pool)
{
	pool->data_percent = percent(pool->size_bytes - pool->free_bytes, pool->size_bytes);
	/* a VM's first disk speaks for all of them */
	if (pool->data_percent >= FULL_PERCENT && s->c->slot_index == 0)
		s->h->log(s->c, VMF_LOG_WARN,
			"%s is %d%% full, %" PRIu64
			" MiB are left: guests on sparse volumes get errors when it is full",
			s->dataset, pool->data_percent, pool->free_bytes >> 20);
}

int zv_check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err)
{
	struct zv_store s;

	if (zv_open(c, &s, err) < 0)
		return -1;
	s.may_recall = true;
	if (zv_look(&s, ZV_SELF, NULL, err) < 0)
		return -1;
	if (zv_is(&s.self, ZV_P_KEYSTATUS, "unavailable"))
		return c->host->fail(err, VMF_E_STATE, 0, c->host->printf(c, "zfs load-key %s", s.dataset),
			"the key of %s is not loaded", s.dataset);
	pool->caps = ZV_CAPS;
	pool->free_bytes = zv_number(&s.self, ZV_P_AVAILABLE);
	pool->size_bytes = zv_number(&s.self, ZV_P_USED) + pool->free_bytes;
	pool->data_percent = pool->meta_percent = -1;
	pool->description = c->host->printf(c, "dataset %s", s.dataset);
	if (c->host->opt_bool(c, "sparse"))
		look_at_fill(&s, pool);
	zv_close(&s);
	return 0;
}

/* ---- list --------------------------------------------------------------------------------- */

/* As people call it: another volume of this dataset by its name, and a snapshot that only clones stand on not
 * at all. */
static const char *origin_of(const struct zv_store *s, const struct zv_item *item)
{
	const char *origin = item->value[ZV_P_ORIGIN], *name;
	size_t n = strlen(s->dataset);

	if (!origin)
		return NULL;
	name = strncmp(origin, s->dataset, n) == 0 && origin[n] == '/' ? origin + n + 1 : origin;
	if (strchr(name, '@') && zv_is_made_up(zv_base(name), ZV_OWN_SNAPSHOT))
		return s->h->printf(s->c, "%.*s", (int)strcspn(name, "@"), name);
	return s->h->strdup(s->c, name);
}

static void describe(
	const struct zv_store *s, const struct zv_item *item, const char *locks, struct vmf_volume *v)
{
	const char *name = zv_base(item->name), *uuid = zv_owner_uuid(item);

	*v = (struct vmf_volume){
		.size = sizeof(*v),
		.name = s->h->strdup(s->c, name),
		.id = zv_device_path(s, name),
		.format = "raw",
		.virtual_bytes = zv_number(item, ZV_P_VOLSIZE),
		.used_bytes = zv_number(item, ZV_P_USED),
		.is_ours = item->is_ours,
		.owner_uuid = uuid ? s->h->strdup(s->c, uuid) : NULL,
		.origin = origin_of(s, item),
		.in_use = zv_is_locked(s, name, locks) && zv_use_of(s, name) != ZV_FREE,
	};
}

/* web0-2 before web0-10 */
static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct vmf_volume *)a)->name, ((const struct vmf_volume *)b)->name);
}

int zv_list(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err)
{
	size_t n = prefix ? strlen(prefix) : 0;
	const char *locks;
	struct zv_store s;

	if (zv_open(c, &s, err) < 0)
		return -1;
	s.records = true;
	if (zv_look(&s, ZV_INSIDE, NULL, err) < 0)
		return -1;
	locks = zv_locks(&s);
	*list = (struct vmf_volume_list){.stride = sizeof(struct vmf_volume)};
	list->items = c->host->alloc(c, (s.inside.count + 1) * sizeof(*list->items));
	for (size_t i = 0; i < s.inside.count; i++) {
		const struct zv_item *item = &s.inside.items[i];
		const char *name = zv_base(item->name);

		if (zv_is(item, ZV_P_TYPE, "volume") && name[0] != '.' &&
			(!n || strncmp(name, prefix, n) == 0))
			describe(&s, item, locks, &list->items[list->count++]);
	}
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), by_name);
	zv_close(&s);
	return 0;
}
