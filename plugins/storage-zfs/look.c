/* SPDX-License-Identifier: ISC */
/* What is in the pool, by one `zfs get` however much that is. */
#include "zv.h"

#include <string.h>

#define FIELDS "name,property,value,source"
#define OF_DATASETS \
	"type,used,available,referenced,volsize,volblocksize,refreservation,usedbydataset,origin," \
	"keystatus," ZV_OWNER
#define OF_SNAPSHOTS ",creation,createtxg,clones,defer_destroy,userrefs"

int zv_look_at(struct zv_store *s, const char *const *names, struct zv_items *items, struct vmf_error *err)
{
	static const char *const head[] = {"zfs", "get", "-Hp", "-o", FIELDS, OF_DATASETS};
	const char **argv;
	struct vmf_run run;
	size_t n = 0;

	while (names[n])
		n++;
	argv = s->h->alloc(s->c, (VMF_COUNT(head) + n + 1) * sizeof(*argv));
	memcpy(argv, head, sizeof(head));
	memcpy(argv + VMF_COUNT(head), names, n * sizeof(*names));
	if (zv_ask(s, argv, &run, err) < 0)
		return -1;
	if (run.status != 0)
		return zv_zfs_failed(s->c, &run, err);
	zv_parse(s->c, run.out, items);
	return 0;
}

/* ---- sorting out -------------------------------------------------------------------------- */

/* As they come from zfs they are not in the order of their making. */
static void sort_by_age(struct zv_items *all)
{
	for (size_t i = 1; i < all->count; i++)
		for (size_t k = i; k && zv_number(&all->items[k - 1], ZV_P_CREATETXG) >
						zv_number(&all->items[k], ZV_P_CREATETXG);
			k--) {
			struct zv_item later = all->items[k - 1];

			all->items[k - 1] = all->items[k];
			all->items[k] = later;
		}
}

static void add(struct zv_items *to, const struct zv_item *item)
{
	to->items[to->count++] = *item;
}

/* Whether PATH is WITHIN/, @ or #, and something behind it that goes no deeper. */
static bool is_in(const char *path, const char *within, const char *parts)
{
	size_t n = strlen(within);

	return strncmp(path, within, n) == 0 && path[n] && strchr(parts, path[n]) &&
	       !strpbrk(path + n + 1, "/@#");
}

static void sort_out(struct zv_store *s, const struct zv_items *all, const char *volume)
{
	s->inside.items = s->h->alloc(s->c, (all->count + 1) * sizeof(*all->items));
	s->snapshots.items = s->h->alloc(s->c, (all->count + 1) * sizeof(*all->items));
	for (size_t i = 0; i < all->count; i++) {
		const struct zv_item *item = &all->items[i];

		if (strcmp(item->name, s->dataset) == 0)
			s->self = *item;
		else if (is_in(item->name, s->dataset, "/"))
			add(&s->inside, item);
		else if (volume && is_in(item->name, volume, "@#"))
			add(&s->snapshots, item);
		if (volume && strcmp(item->name, volume) == 0 && zv_is(item, ZV_P_TYPE, "volume"))
			s->volume = *item;
	}
	sort_by_age(&s->snapshots);
}

/* ---- the look ----------------------------------------------------------------------------- */

static int no_dataset(struct zv_store *s, struct vmf_error *err)
{
	const struct vmf_host *h = s->h;
	const char *origin = h->opt_origin(s->c, "dataset");

	if (!s->self.name)
		return h->fail(err, VMF_E_NOT_FOUND, 0,
			strchr(s->dataset, '/')
				? h->printf(s->c, "zfs create -p %s, or set another dataset", s->dataset)
				: h->printf(s->c, "zpool import %s, or set another dataset", s->dataset),
			"there is no dataset %s (%s)", s->dataset, origin);
	return h->fail(err, VMF_E_CONFIG, 0, "set dataset = to the pool or filesystem that volumes are in",
		"%s is a %s, in which there are no volumes (%s)", s->dataset,
		s->self.value[ZV_P_TYPE] ? s->self.value[ZV_P_TYPE] : "thing", origin);
}

/* The question: at most 12 words. */
static void ask_for(
	const struct zv_store *s, enum zv_scope scope, const char *volume, const char *argv[static 13])
{
	const char *const all[] = {"zfs", "get", "-Hp", "-d", scope == ZV_SELF ? "0" : "1", "-t",
		volume ? "filesystem,volume,snapshot,bookmark" : "filesystem,volume", "-o", FIELDS,
		volume ? OF_DATASETS OF_SNAPSHOTS : OF_DATASETS, scope == ZV_VOLUME ? volume : s->dataset,
		scope == ZV_VOLUME ? NULL : volume, NULL};

	memcpy(argv, all, sizeof(all));
}

int zv_look(struct zv_store *s, enum zv_scope scope, const char *name, struct vmf_error *err)
{
	const char *volume = name ? zv_full(s, name) : NULL, *argv[13];
	struct vmf_run run = {.out = NULL};
	struct zv_items all;

	s->self = s->volume = (struct zv_item){0};
	s->inside = s->snapshots = (struct zv_items){0};
	if (scope == ZV_SELF && s->may_recall) { /* what is in it may have been asked */
		ask_for(s, ZV_INSIDE, NULL, argv);
		run.out = zv_recall(s, argv);
	}
	ask_for(s, scope, volume, argv);
	if (!run.out && zv_ask(s, argv, &run, err) < 0)
		return -1;
	/* what it does not find it tells, and all others all the same */
	if (run.status != 0 && (!run.err || !strstr(run.err, "dataset does not exist")))
		return zv_zfs_failed(s->c, &run, err);
	zv_parse(s->c, run.out, &all);
	sort_out(s, &all, volume);
	if (scope == ZV_VOLUME) /* a pool that is not imported is another matter than a volume that is gone */
		return s->volume.name ? 0 : zv_look(s, ZV_SELF, NULL, err);
	return zv_is(&s->self, ZV_P_TYPE, "filesystem") ? 0 : no_dataset(s, err);
}
