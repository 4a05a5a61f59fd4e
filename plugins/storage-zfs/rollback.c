/* SPDX-License-Identifier: ISC */
/* Back to a snapshot. What is newer goes with that, so it is told first, and what is not vmf's keeps it from
 * being done. */
#include <string.h>

#include "zv.h"

/* What is newer than the snapshot would have to go: names, as they are told. */
struct newer {
	const char *ours, *foreign, *clones;
	size_t n_ours, n_foreign, n_clones;
	const struct zv_item *held;
	const char *goes; /* ours, for zfs: "b,c" */
};

static void add_clones(const struct zv_store *s, const struct zv_item *item, struct newer *newer)
{
	const char *list = item->value[ZV_P_CLONES], *clone;

	while ((clone = zv_next_name(s->c, &list)))
		newer->clones = zv_add_name(s, newer->clones, newer->n_clones++, clone);
}

static void look_at_newer(const struct zv_store *s, const struct zv_item *snapshot, struct newer *newer)
{
	memset(newer, 0, sizeof(*newer));
	for (size_t i = 0; i < s->snapshots.count; i++) {
		const struct zv_item *item = &s->snapshots.items[i];

		/* a bookmark of the snapshot itself is as old as that */
		if (zv_number(item, ZV_P_CREATETXG) <= zv_number(snapshot, ZV_P_CREATETXG))
			continue;
		add_clones(s, item, newer);
		if (!item->is_ours)
			newer->foreign =
				zv_add_name(s, newer->foreign, newer->n_foreign++, strpbrk(item->name, "@#"));
		else if (zv_is_visible(item))
			newer->ours = zv_add_name(s, newer->ours, newer->n_ours++, zv_base(item->name));
		if (item->is_ours)
			newer->goes = newer->goes
					      ? s->h->printf(s->c, "%s,%s", newer->goes, zv_base(item->name))
					      : zv_base(item->name);
		if (zv_number(item, ZV_P_USERREFS))
			newer->held = item;
	}
}

static int check_newer(const struct zv_store *s, const struct zv_item *snapshot, uint32_t flags,
	const struct newer *newer, struct vmf_error *err)
{
	const struct vmf_host *h = s->h;
	const char *volume = s->volume.name;

	if (newer->clones)
		return h->fail(err, VMF_E_STATE, 0,
			h->printf(s->c, "remove %s first, or make a full copy of %s (clone --copy)",
				newer->clones, snapshot->name),
			"%s cannot be rolled back to %s, as %s stand%s on what is newer", volume,
			zv_base(snapshot->name), newer->clones, newer->n_clones == 1 ? "s" : "");
	if (newer->foreign)
		return h->fail(err, VMF_E_PERMISSION, 0,
			h->printf(s->c, "if they are yours to remove: zfs destroy %s%.*s%s", volume,
				(int)strcspn(newer->foreign, ","), newer->foreign,
				newer->n_foreign > 1 ? " ..." : ""),
			"%s cannot be rolled back to %s: vmf has not made what is newer (%s) and does not "
			"remove it",
			volume, zv_base(snapshot->name), newer->foreign);
	if (newer->ours && !(flags & VMF_SNAPSHOT_LATER_TOO))
		return h->fail(err, VMF_E_STATE, 0, "`rollback --later-too` removes them",
			"%s cannot be rolled back to %s without losing the later snapshot%s %s", volume,
			zv_base(snapshot->name), newer->n_ours == 1 ? "" : "s", newer->ours);
	return newer->held ? zv_must_not_be_held(s, newer->held, err) : 0;
}

/* Without -r, which would take along what somebody has made since we looked. */
static int roll_back(
	struct zv_store *s, const struct zv_item *snapshot, uint32_t flags, struct vmf_error *err)
{
	const char *const argv[] = {"zfs", "rollback", snapshot->name, NULL};
	const char *drop[] = {"zfs", "destroy", NULL, NULL};
	struct newer newer;

	look_at_newer(s, snapshot, &newer);
	if (check_newer(s, snapshot, flags, &newer, err) < 0 ||
		zv_must_be_free(s, zv_base(s->volume.name), err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	drop[2] = s->h->printf(s->c, "%s@%s", s->volume.name, newer.goes ? newer.goes : "");
	if (newer.goes && zv_zfs(s, drop, err) < 0)
		return -1;
	return zv_zfs(s, argv, err);
}

int zv_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags,
	struct vmf_error *err)
{
	const struct zv_item *found;
	struct zv_store s;
	int rc = -1;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	if (zv_begin(&s, ZV_VOLUME, name, err) == 0 && zv_must_be_there(&s, name, err) == 0 &&
		zv_must_be_ours(&s, &s.volume, "rolled back", err) == 0 &&
		(found = zv_snapshot_find_or_fail(&s, snapshot, err)))
		rc = roll_back(&s, found, flags, err);
	zv_close(&s);
	return rc;
}
