/* SPDX-License-Identifier: ISC */
/* The pool and its volumes. */
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
	pool->size_bytes = p ? p->size : s.vg_size;
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
	}
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), by_name);
	return 0;
}
