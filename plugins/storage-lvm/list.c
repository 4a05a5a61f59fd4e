/* SPDX-License-Identifier: ISC */
/* The pool and its volumes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lvm.h"

int lvm_check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err)
{
	const struct lvm_lv *p;
	struct lvm s;

	if (lvm_look(c, &s, err) < 0)
		return -1;
	p = s.pool_lv;
	pool->caps = VMF_STORAGE_COW_CLONE | VMF_STORAGE_SNAPSHOT | VMF_STORAGE_LIVE_SNAPSHOT |
		     VMF_STORAGE_LIVE_GROW | VMF_STORAGE_RENAME | VMF_STORAGE_STREAM | VMF_STORAGE_MAP;
	/* of a pool that is not active nobody knows how full it is */
	pool->size_bytes = !p ? s.vg_size : p->data < 0 ? 0 : p->size;
	pool->free_bytes = !p ? s.vg_free : p->data < 0 ? 0 : p->size / 10000 * (uint64_t)(10000 - p->data);
	pool->data_percent = p && p->data >= 0 ? (p->data + 50) / 100 : -1;
	pool->meta_percent = p && p->meta >= 0 ? (p->meta + 50) / 100 : -1;
	pool->description = p ? c->host->printf(c, "thin pool %s", lvm_path(&s, p->lv))
			      : c->host->printf(c, "volume group %s", s.vg);
	return 0;
}

/* A volume's name, or VOLUME@SNAPSHOT. */
static const char *origin_of(const struct lvm *s, const struct lvm_lv *lv)
{
	const struct lvm_lv *origin = lvm_find_lv(s, lv->origin), *volume = NULL;

	if (!origin || !origin->snapshot)
		return origin ? origin->name : lv->origin;
	for (size_t i = 0; origin->of && i < s->count; i++)
		if (lvm_is_volume(&s->lvs[i]) && strcmp(s->lvs[i].id, origin->of) == 0)
			volume = &s->lvs[i];
	return volume ? s->h->printf(s->c, "%s@%s", volume->name, origin->snapshot) : origin->name;
}

/* What the VG or pool has given for it; 0: a thin volume that is not active, of which nobody knows. */
static uint64_t used_by(const struct lvm_lv *lv)
{
	if (lv->kind != LVM_THIN)
		return lv->size;
	return lv->data < 0 ? 0 : lv->size / 10000 * (uint64_t)lv->data;
}

/* ---- what keeps guests from writing --------------------------------------------------------- */

#define NO_ROOM 9900 /* hundredths */

/* A fifth more, as far as the VG has it. */
static const char *extend_command(const struct lvm *s, const struct lvm_lv *lv, const char *option)
{
	uint64_t more = lvm_round_up(s, lv->size / 5 + 1);

	if (s->vg_free < s->extent)
		return s->h->printf(s->c, "vgextend %s DEVICE && lvextend %s +SIZE %s", s->vg, option,
			lvm_path(s, lv->lv));
	if (more > s->vg_free)
		more = s->vg_free;
	return s->h->printf(s->c, "lvextend %s +%" PRIu64 "k %s", option, more / 1024, lvm_path(s, lv->lv));
}

static void look_for_trouble(const struct lvm *s, const struct lvm_lv *lv, struct vmf_volume *volume)
{
	const struct lvm_lv *pool = lv->kind == LVM_THIN ? lvm_find_lv(s, lv->pool) : NULL;

	if (lv->is_invalid) {
		volume->trouble =
			s->h->printf(s->c, "the room for changes of %s ran full", lvm_path(s, lv->lv));
	} else if (lv->kind == LVM_COW && lv->data >= NO_ROOM) {
		volume->trouble =
			s->h->printf(s->c, "the room for changes of %s is full", lvm_path(s, lv->lv));
		volume->remedy = extend_command(s, lv, "-L");
	} else if (pool && (pool->data >= NO_ROOM || pool->health == 'D')) {
		volume->trouble = s->h->printf(s->c, "thin pool %s is full", lvm_path(s, pool->lv));
		volume->remedy = extend_command(s, pool, "-L");
	} else if (pool && pool->meta >= NO_ROOM) {
		volume->trouble =
			s->h->printf(s->c, "the metadata of thin pool %s is full", lvm_path(s, pool->lv));
		volume->remedy =
			s->h->printf(s->c, "lvextend --poolmetadatasize +SIZE %s", lvm_path(s, pool->lv));
	} else if (pool && strchr("FM", pool->health)) {
		volume->trouble = s->h->printf(s->c, "thin pool %s has failed", lvm_path(s, pool->lv));
		volume->remedy = s->h->printf(s->c, "lvconvert --repair %s", lvm_path(s, pool->lv));
	}
}

/* ---- list ---------------------------------------------------------------------------------- */

/* web0-2 before web0-10 */
static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct vmf_volume *)a)->name, ((const struct vmf_volume *)b)->name);
}

int lvm_list(
	const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err)
{
	struct lvm s;

	if (lvm_look(c, &s, err) < 0)
		return -1;
	*list = (struct vmf_volume_list){.stride = sizeof(struct vmf_volume)};
	if (!s.count)
		return 0;
	list->items = c->host->alloc(c, s.count * sizeof(*list->items));
	for (size_t i = 0; i < s.count; i++) {
		const struct lvm_lv *lv = &s.lvs[i];

		if (!lvm_is_volume(lv) || (prefix && strncmp(lv->name, prefix, strlen(prefix)) != 0))
			continue;
		list->items[list->count++] = (struct vmf_volume){
			.size = sizeof(struct vmf_volume),
			.name = lv->name,
			.id = lvm_device(&s, lv->lv),
			.format = "raw",
			.virtual_bytes = lv->virtual_size,
			.used_bytes = used_by(lv),
			.is_ours = lv->is_ours,
			.owner_uuid = lv->vm_uuid,
			.origin = origin_of(&s, lv),
			.in_use = lv->is_open,
		};
		look_for_trouble(&s, lv, &list->items[list->count - 1]);
	}
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), by_name);
	return 0;
}
