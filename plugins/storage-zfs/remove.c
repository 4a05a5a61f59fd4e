/* SPDX-License-Identifier: ISC */
/*
 * How a volume goes. Clones may stand on its snapshots, and nothing of those is lost: the snapshots are let
 * go of, the youngest one's clone is promoted, which takes over what all of them stand on, and then the
 * volume stands on the clone and can go. With it, or with the last clone that needs it, each snapshot goes by
 * itself.
 */
#include <string.h>

#include "zv.h"

struct going {
	struct zv_store *s;
	const struct zv_item *base; /* the youngest snapshot that clones stand on, or NULL */
	const char *heir;	    /* a clone of it */
};

/* vmf's mark is on the snapshots that it made; those of others are theirs to remove. */
static int check_snapshots(struct going *g, struct vmf_error *err)
{
	struct zv_store *s = g->s;
	const char *names = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->snapshots.count; i++) {
		const struct zv_item *item = &s->snapshots.items[i];

		if (!item->is_ours && strchr(item->name, '@'))
			names = zv_add_name(s, names, n++, zv_base(item->name));
		else if (zv_must_not_be_held(s, item, err) < 0)
			return -1;
	}
	if (!names)
		return 0;
	return s->h->fail(err, VMF_E_PERMISSION, 0,
		s->h->printf(s->c, "if they are yours to remove: zfs destroy %s@%.*s%s", s->volume.name,
			(int)strcspn(names, ","), names, n > 1 ? " and so on" : ""),
		"%s has snapshots that vmf has not made and does not remove: %s", s->volume.name, names);
}

/* All clones' names, in the order of their snapshots; *count of them, and a NULL. */
static const char **clones_of(struct going *g, size_t *count)
{
	const struct zv_store *s = g->s;
	const struct vmf_call *c = s->c;
	const char **names, *list;
	size_t room = 1;

	for (size_t i = 0; i < s->snapshots.count; i++)
		for (list = s->snapshots.items[i].value[ZV_P_CLONES]; list && *list; list++)
			room += list[1] == ',' || list[1] == '\0';
	names = c->host->alloc(c, room * sizeof(*names));
	*count = 0;
	for (size_t i = 0; i < s->snapshots.count; i++) {
		list = s->snapshots.items[i].value[ZV_P_CLONES];
		if (list)
			g->base = &s->snapshots.items[i];
		while (*count + 1 < room && (names[*count] = zv_next_name(c, &list)))
			++*count;
	}
	return names;
}

/* A clone that is not vmf's is left as it is, and so is one that another vmf reads a snapshot through right
 * now. */
static int check_clones(struct going *g, struct vmf_error *err)
{
	struct zv_store *s = g->s;
	struct zv_items found;
	const char *names = NULL, *list;
	size_t count, n = 0;
	const char **clones = clones_of(g, &count);

	if (!count)
		return 0;
	if (zv_look_at(s, clones, &found, err) < 0)
		return -1;
	for (size_t i = 0; i < found.count; i++) {
		if (zv_is_made_up(zv_base(found.items[i].name), ZV_TEMP))
			return s->h->fail(
				err, VMF_E_BUSY, 0, "wait for it", "%s is being copied", s->volume.name);
		if (!found.items[i].is_ours)
			names = zv_add_name(s, names, n++, found.items[i].name);
	}
	if (names)
		return s->h->fail(err, VMF_E_STATE, 0,
			s->h->printf(s->c,
				"remove what stands on it, or make it stand alone: zfs promote %.*s",
				(int)strcspn(names, ","), names),
			"%s cannot be removed: what vmf has not made stands on it (%s)", s->volume.name,
			names);
	list = g->base->value[ZV_P_CLONES];
	g->heir = zv_next_name(s->c, &list);
	return 0;
}

/* All of them in one: each is gone at once, or with the last clone that stands on it. */
static int let_go_of_snapshots(struct going *g, struct vmf_error *err)
{
	struct zv_store *s = g->s;
	const char *argv[] = {"zfs", "destroy", "-d", NULL, NULL}, *names = NULL, *name;

	for (size_t i = 0; i < s->snapshots.count; i++) {
		const struct zv_item *item = &s->snapshots.items[i];

		if (!strchr(item->name, '@') || zv_is(item, ZV_P_DEFER_DESTROY, "on"))
			continue;
		if (zv_snapshot_hide(s, item, &name, err) < 0)
			return -1;
		names = names ? s->h->printf(s->c, "%s,%s", names, name) : name;
	}
	if (!names)
		return 0;
	argv[3] = s->h->printf(s->c, "%s@%s", s->volume.name, names);
	return zv_zfs(s, argv, err);
}

static int let_go(struct going *g, struct vmf_error *err)
{
	struct zv_store *s = g->s;
	const char *const promote[] = {"zfs", "promote", g->heir, NULL};
	const char *const destroy[] = {"zfs", "destroy", s->volume.name, NULL};

	if (let_go_of_snapshots(g, err) < 0 || (g->heir && zv_zfs(s, promote, err) < 0))
		return -1;
	return zv_zfs(s, destroy, err);
}

static int remove_found(struct zv_store *s, const char *name, struct vmf_error *err)
{
	struct going g = {.s = s};

	if (zv_must_be_ours(s, &s->volume, "removed", err) < 0 || zv_must_be_free(s, name, err) < 0 ||
		check_snapshots(&g, err) < 0 || check_clones(&g, err) < 0)
		return -1;
	return s->c->dry_run ? 0 : let_go(&g, err);
}

int zv_remove(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	struct zv_store s;
	int rc;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	rc = zv_begin(&s, ZV_INSIDE, name, err);
	if (rc == 0 && s.volume.name)
		rc = remove_found(&s, name, err);
	zv_close(&s);
	return rc;
}
