/* SPDX-License-Identifier: ISC */
/* Snapshots of volumes: those that people see, and those of our own that only clones stand on. */
#include <stdlib.h>
#include <string.h>

#include "zv.h"

/* ---- looking ------------------------------------------------------------------------------ */

bool zv_is_visible(const struct zv_item *snapshot)
{
	return strchr(snapshot->name, '@') && !zv_is(snapshot, ZV_P_DEFER_DESTROY, "on") &&
	       !(snapshot->is_ours && zv_is_made_up(zv_base(snapshot->name), ZV_OWN_SNAPSHOT));
}

const struct zv_item *zv_snapshot_find(const struct zv_items *snapshots, const char *snapshot)
{
	for (size_t i = 0; i < snapshots->count; i++) {
		const struct zv_item *item = &snapshots->items[i];

		if (zv_is_visible(item) && strcmp(zv_base(item->name), snapshot) == 0)
			return item;
	}
	return NULL;
}

const struct zv_item *zv_snapshot_find_or_fail(const struct zv_store *s, const struct zv_items *snapshots,
	const char *name, const char *snapshot, struct vmf_error *err)
{
	const struct zv_item *item = zv_snapshot_find(snapshots, snapshot);
	const char *names = NULL;
	size_t n = 0;

	if (item)
		return item;
	for (size_t i = 0; i < snapshots->count; i++)
		if (zv_is_visible(&snapshots->items[i]))
			names = zv_add_name(s, names, n++, zv_base(snapshots->items[i].name));
	s->h->fail(err, VMF_E_NOT_FOUND, 0,
		names ? s->h->printf(s->c, "there is %s", names) : "it has none at all",
		"%s has no snapshot \"%s\"", zv_full(s, name), snapshot);
	return NULL;
}

/* ---- one volume's ------------------------------------------------------------------------- */

struct subject {
	struct zv_store s;
	struct zv_item volume;
	struct zv_items snapshots;
};

/* The volume and its snapshots: 1, 0 if there is no such volume, -1. To be closed unless that is -1. */
static int find(const struct vmf_call *c, const char *name, struct subject *on, struct vmf_error *err)
{
	int rc;

	memset(on, 0, sizeof(*on));
	if (zv_open(c, &on->s, err) < 0 || zv_name_check(&on->s, name, err) < 0)
		return -1;
	rc = zv_look_volume(&on->s, name, &on->volume, &on->snapshots, err);
	if (rc < 0)
		zv_close(&on->s);
	return rc;
}

/* The same, where the volume has to be there. */
static int take(const struct vmf_call *c, const char *name, struct subject *on, struct vmf_error *err)
{
	int rc = find(c, name, on, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	zv_close(&on->s);
	return c->host->fail(
		err, VMF_E_NOT_FOUND, 0, NULL, "there is no volume \"%s\" in %s", name, on->s.dataset);
}

int zv_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err)
{
	struct subject on;

	if (take(c, name, &on, err) < 0)
		return -1;
	*list = (struct vmf_snapshot_list){.stride = sizeof(struct vmf_snapshot)};
	list->items = c->host->alloc(c, (on.snapshots.count + 1) * sizeof(*list->items));
	for (size_t i = 0; i < on.snapshots.count; i++) {
		const struct zv_item *item = &on.snapshots.items[i];

		if (zv_is_visible(item))
			list->items[list->count++] = (struct vmf_snapshot){
				.size = sizeof(struct vmf_snapshot),
				.name = c->host->strdup(c, zv_base(item->name)),
				.created = (int64_t)zv_number(item, ZV_P_CREATION),
				.used_bytes = zv_number(item, ZV_P_USED),
				.is_ours = item->is_ours,
			};
	}
	zv_close(&on.s);
	return 0;
}

/* ---- making, letting go ------------------------------------------------------------------- */

static int make(struct subject *on, const char *name, const char *snapshot, struct vmf_error *err)
{
	const struct vmf_call *c = on->s.c;
	const char *const argv[] = {
		"zfs", "snapshot", "-o", zv_mark(&on->s), zv_full_snapshot(&on->s, name, snapshot), NULL};

	for (size_t i = 0; i < on->snapshots.count; i++)
		if (strcmp(on->snapshots.items[i].name, argv[4]) == 0)
			return c->host->fail(err, VMF_E_EXISTS, 0,
				"choose another name, or remove that one first", "%s exists already",
				argv[4]);
	if (c->dry_run)
		return 0;
	return zv_device_flush(&on->s, name, err) < 0 ? -1 : zv_zfs(&on->s, argv, NULL, err);
}

int zv_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	struct subject on;
	int rc = -1;

	if (take(c, name, &on, err) < 0)
		return -1;
	if (zv_must_be_ours(&on.s, &on.volume, "given a snapshot", err) == 0 &&
		zv_snapshot_name_check(&on.s, name, snapshot, err) == 0)
		rc = make(&on, name, snapshot, err);
	zv_close(&on.s);
	return rc;
}

int zv_snapshot_hide(
	struct zv_store *s, const struct zv_item *snapshot, const char **name, struct vmf_error *err)
{
	const char *own = zv_make_up(s, ZV_OWN_SNAPSHOT), *was = snapshot->name;
	const char *const argv[] = {
		"zfs", "rename", was, s->h->printf(s->c, "%.*s@%s", (int)strcspn(was, "@"), was, own), NULL};

	*name = zv_base(was);
	if (!snapshot->value[ZV_P_CLONES] || zv_is_made_up(*name, ZV_OWN_SNAPSHOT))
		return 0;
	*name = own;
	return zv_zfs(s, argv, NULL, err);
}

/* Under a name of ours nobody takes it for a snapshot of his, and its old name is free. */
int zv_snapshot_dissolve(struct zv_store *s, const struct zv_item *snapshot, struct vmf_error *err)
{
	const char *was = snapshot->name, *name;
	const char *argv[] = {"zfs", "destroy", "-d", NULL, NULL};

	if (zv_snapshot_hide(s, snapshot, &name, err) < 0)
		return -1;
	argv[3] = s->h->printf(s->c, "%.*s@%s", (int)strcspn(was, "@"), was, name);
	return zv_zfs(s, argv, NULL, err);
}

void zv_snapshots_clean(struct zv_store *s, const struct zv_items *snapshots)
{
	for (size_t i = 0; i < snapshots->count; i++) {
		const struct zv_item *item = &snapshots->items[i];

		if (item->is_ours && strchr(item->name, '@') &&
			zv_is_made_up(zv_base(item->name), ZV_OWN_SNAPSHOT) &&
			!zv_is(item, ZV_P_DEFER_DESTROY, "on"))
			zv_snapshot_dissolve(s, item, NULL);
	}
}

int zv_must_not_be_held(const struct zv_store *s, const struct zv_item *snapshot, struct vmf_error *err)
{
	if (zv_number(snapshot, ZV_P_USERREFS) == 0 || zv_is(snapshot, ZV_P_DEFER_DESTROY, "on"))
		return 0;
	return s->h->fail(err, VMF_E_BUSY, 0,
		s->h->printf(s->c, "`zfs holds %s` shows why, `zfs release` ends it", snapshot->name),
		"the snapshot %s is held", snapshot->name);
}

static int remove_found(struct subject *on, const struct zv_item *found, struct vmf_error *err)
{
	struct zv_store *s = &on->s;

	if (zv_must_be_ours(s, found, "removed", err) < 0 || zv_must_not_be_held(s, found, err) < 0)
		return -1;
	if (found->value[ZV_P_CLONES])
		s->h->log(s->c, VMF_LOG_INFO, "%s stand on %s, whose room is free when they are gone",
			found->value[ZV_P_CLONES], found->name);
	if (s->c->dry_run)
		return 0;
	if (zv_lock(s, err) < 0)
		return -1;
	zv_snapshots_clean(s, &on->snapshots);
	return zv_snapshot_dissolve(s, found, err);
}

int zv_snapshot_remove(
	const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	const struct zv_item *found;
	struct subject on;
	int rc = find(c, name, &on, err);

	if (rc < 0)
		return -1;
	found = rc > 0 ? zv_snapshot_find(&on.snapshots, snapshot) : NULL;
	rc = found ? remove_found(&on, found, err) : 0;
	zv_close(&on.s);
	return rc;
}

/* ---- rolling back ------------------------------------------------------------------------- */

/* What is newer than the snapshot would have to go: names, as they are told. */
struct newer {
	const char *ours, *foreign, *clones;
	size_t n_ours, n_foreign, n_clones;
	const struct zv_item *held;
};

static void add_clones(const struct zv_store *s, const struct zv_item *item, struct newer *newer)
{
	const char *list = item->value[ZV_P_CLONES], *clone;

	while ((clone = zv_next_name(s->c, &list)))
		newer->clones = zv_add_name(s, newer->clones, newer->n_clones++, clone);
}

static void look_at_newer(const struct subject *on, const struct zv_item *snapshot, struct newer *newer)
{
	const struct zv_store *s = &on->s;

	memset(newer, 0, sizeof(*newer));
	for (size_t i = 0; i < on->snapshots.count; i++) {
		const struct zv_item *item = &on->snapshots.items[i];

		/* a bookmark of the snapshot itself is as old as that */
		if (zv_number(item, ZV_P_CREATETXG) <= zv_number(snapshot, ZV_P_CREATETXG))
			continue;
		add_clones(s, item, newer);
		if (!item->is_ours)
			newer->foreign =
				zv_add_name(s, newer->foreign, newer->n_foreign++, strpbrk(item->name, "@#"));
		else if (zv_is_visible(item))
			newer->ours = zv_add_name(s, newer->ours, newer->n_ours++, zv_base(item->name));
		if (zv_number(item, ZV_P_USERREFS))
			newer->held = item;
	}
}

static int check_newer(const struct subject *on, const struct zv_item *snapshot, uint32_t flags,
	const struct newer *newer, struct vmf_error *err)
{
	const struct vmf_host *h = on->s.h;
	const char *volume = on->volume.name;

	if (newer->clones)
		return h->fail(err, VMF_E_STATE, 0,
			h->printf(on->s.c, "remove %s first, or make a full copy of %s (clone --copy)",
				newer->clones, snapshot->name),
			"%s cannot be rolled back to %s, as %s stand%s on what is newer", volume,
			zv_base(snapshot->name), newer->clones, newer->n_clones == 1 ? "s" : "");
	if (newer->foreign)
		return h->fail(err, VMF_E_PERMISSION, 0,
			h->printf(on->s.c, "if they are yours to remove: zfs destroy %s%.*s%s", volume,
				(int)strcspn(newer->foreign, ", "), newer->foreign,
				newer->n_foreign > 1 ? " ..." : ""),
			"%s cannot be rolled back to %s: vmf has not made what is newer (%s) and does not "
			"remove it",
			volume, zv_base(snapshot->name), newer->foreign);
	if (newer->ours && !(flags & VMF_SNAPSHOT_LATER_TOO))
		return h->fail(err, VMF_E_STATE, 0, "`rollback --later-too` removes them",
			"%s cannot be rolled back to %s without losing the later snapshot%s %s", volume,
			zv_base(snapshot->name), newer->n_ours == 1 ? "" : "s", newer->ours);
	return newer->held ? zv_must_not_be_held(&on->s, newer->held, err) : 0;
}

static int roll_back(
	struct subject *on, const struct zv_item *snapshot, uint32_t flags, struct vmf_error *err)
{
	/* -r removes what is newer, but nothing on which something stands */
	const char *const argv[] = {"zfs", "rollback", "-r", snapshot->name, NULL};
	struct zv_store *s = &on->s;
	struct newer newer;

	look_at_newer(on, snapshot, &newer);
	if (check_newer(on, snapshot, flags, &newer, err) < 0 ||
		zv_must_be_free(s, zv_base(on->volume.name), err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	return zv_lock(s, err) < 0 ? -1 : zv_zfs(s, argv, NULL, err);
}

int zv_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags,
	struct vmf_error *err)
{
	const struct zv_item *found;
	struct subject on;
	int rc = -1;

	if (take(c, name, &on, err) < 0)
		return -1;
	found = zv_must_be_ours(&on.s, &on.volume, "rolled back", err) == 0
			? zv_snapshot_find_or_fail(&on.s, &on.snapshots, name, snapshot, err)
			: NULL;
	if (found)
		rc = roll_back(&on, found, flags, err);
	zv_close(&on.s);
	return rc;
}
