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

const struct zv_item *zv_snapshot_find(const struct zv_store *s, const char *snapshot)
{
	for (size_t i = 0; i < s->snapshots.count; i++) {
		const struct zv_item *item = &s->snapshots.items[i];

		if (zv_is_visible(item) && strcmp(zv_base(item->name), snapshot) == 0)
			return item;
	}
	return NULL;
}

const struct zv_item *zv_snapshot_find_or_fail(
	const struct zv_store *s, const char *snapshot, struct vmf_error *err)
{
	const struct zv_item *item = zv_snapshot_find(s, snapshot);
	const char *names = NULL;
	size_t n = 0;

	if (item)
		return item;
	for (size_t i = 0; i < s->snapshots.count; i++)
		if (zv_is_visible(&s->snapshots.items[i]))
			names = zv_add_name(s, names, n++, zv_base(s->snapshots.items[i].name));
	s->h->fail(err, VMF_E_NOT_FOUND, 0,
		names ? s->h->printf(s->c, "there is %s", names) : "it has none at all",
		"%s has no snapshot \"%s\"", s->volume.name, snapshot);
	return NULL;
}

int zv_must_be_there(const struct zv_store *s, const char *name, struct vmf_error *err)
{
	if (s->volume.name)
		return 0;
	return s->h->fail(err, VMF_E_NOT_FOUND, 0, NULL, "there is no volume \"%s\" in %s", name, s->dataset);
}

int zv_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err)
{
	struct zv_store s;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0 ||
		zv_look(&s, ZV_VOLUME, name, err) < 0 || zv_must_be_there(&s, name, err) < 0)
		return -1;
	*list = (struct vmf_snapshot_list){.stride = sizeof(struct vmf_snapshot)};
	list->items = c->host->alloc(c, (s.snapshots.count + 1) * sizeof(*list->items));
	for (size_t i = 0; i < s.snapshots.count; i++) {
		const struct zv_item *item = &s.snapshots.items[i];

		if (zv_is_visible(item))
			list->items[list->count++] = (struct vmf_snapshot){
				.size = sizeof(struct vmf_snapshot),
				.name = c->host->strdup(c, zv_base(item->name)),
				.created = (int64_t)zv_number(item, ZV_P_CREATION),
				.used_bytes = zv_number(item, ZV_P_USED),
				.is_ours = item->is_ours,
			};
	}
	zv_close(&s);
	return 0;
}

/* ---- making, letting go ------------------------------------------------------------------- */

static int make(struct zv_store *s, const char *name, const char *snapshot, struct vmf_error *err)
{
	const char *full = zv_full_snapshot(s, name, snapshot);
	const char *const argv[] = {"zfs", "snapshot", "-o", zv_mark(s), full, NULL};

	if (zv_must_be_ours(s, &s->volume, "given a snapshot", err) < 0 ||
		zv_snapshot_name_check(s, name, snapshot, err) < 0)
		return -1;
	for (size_t i = 0; i < s->snapshots.count; i++)
		if (strcmp(s->snapshots.items[i].name, full) == 0)
			return s->h->fail(err, VMF_E_EXISTS, 0,
				"choose another name, or remove that one first", "%s exists already", full);
	if (zv_need_space_for_snapshot(s, &s->volume, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	return zv_device_flush(s, name, err) < 0 ? -1 : zv_zfs(s, argv, err);
}

int zv_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	struct zv_store s;
	int rc;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	s.may_recall = true; /* zfs itself refuses a name that is taken meanwhile */
	rc = zv_begin(&s, ZV_VOLUME, name, err);
	if (rc == 0)
		rc = zv_must_be_there(&s, name, err);
	if (rc == 0)
		rc = make(&s, name, snapshot, err);
	zv_close(&s);
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
	return zv_zfs(s, argv, err);
}

/* Under a name of ours nobody takes it for a snapshot of his, and its old name is free. */
int zv_snapshot_dissolve(struct zv_store *s, const struct zv_item *snapshot, struct vmf_error *err)
{
	const char *was = snapshot->name, *name;
	const char *argv[] = {"zfs", "destroy", "-d", NULL, NULL};

	if (zv_snapshot_hide(s, snapshot, &name, err) < 0)
		return -1;
	argv[3] = s->h->printf(s->c, "%.*s@%s", (int)strcspn(was, "@"), was, name);
	return zv_zfs(s, argv, err);
}

bool zv_snapshots_clean(struct zv_store *s)
{
	bool found = false, is_read = false, is_known = false;

	for (size_t i = 0; i < s->snapshots.count; i++) {
		const struct zv_item *item = &s->snapshots.items[i];

		/* who sends one reads the volume meanwhile */
		if (!is_known && zv_is_made_up(zv_base(item->name), ZV_OWN_SNAPSHOT)) {
			is_read = zv_use_of(s, zv_base(s->volume.name)) == ZV_READ;
			is_known = true;
		}
		if (item->is_ours && !is_read && strchr(item->name, '@') &&
			zv_is_made_up(zv_base(item->name), ZV_OWN_SNAPSHOT) &&
			!zv_is(item, ZV_P_DEFER_DESTROY, "on"))
			found |= zv_snapshot_dissolve(s, item, NULL) == 0;
	}
	return found;
}

int zv_must_not_be_held(const struct zv_store *s, const struct zv_item *snapshot, struct vmf_error *err)
{
	if (zv_number(snapshot, ZV_P_USERREFS) == 0 || zv_is(snapshot, ZV_P_DEFER_DESTROY, "on"))
		return 0;
	return s->h->fail(err, VMF_E_BUSY, 0,
		s->h->printf(s->c, "`zfs holds %s` shows why, `zfs release` ends it", snapshot->name),
		"the snapshot %s is held", snapshot->name);
}

static int remove_found(struct zv_store *s, const struct zv_item *found, struct vmf_error *err)
{
	if (zv_must_be_ours(s, found, "removed", err) < 0 || zv_must_not_be_held(s, found, err) < 0)
		return -1;
	if (found->value[ZV_P_CLONES])
		s->h->log(s->c, VMF_LOG_INFO, "%s stand on %s, whose room is free when they are gone",
			found->value[ZV_P_CLONES], found->name);
	if (s->c->dry_run)
		return 0;
	return zv_snapshot_dissolve(s, found, err);
}

int zv_snapshot_remove(
	const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	const struct zv_item *found;
	struct zv_store s;
	int rc;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	rc = zv_begin(&s, ZV_VOLUME, name, err);
	found = rc == 0 && s.volume.name ? zv_snapshot_find(&s, snapshot) : NULL;
	if (found)
		rc = remove_found(&s, found, err);
	zv_close(&s);
	return rc;
}
