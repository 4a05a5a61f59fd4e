/* SPDX-License-Identifier: ISC */
/* Volumes from volumes: a clone that stands on a snapshot of its origin, or a full copy. */
#include <inttypes.h>
#include <string.h>

#include "zv.h"

/* ---- copy-on-write ------------------------------------------------------------------------ */

static int clone_of(struct zv_store *s, const char *snapshot, const char *new_name, struct vmf_error *err)
{
	const char *argv[16] = {"zfs", "clone"};
	size_t n = 2;

	zv_opt_new(s, argv, &n, true);
	argv[n++] = snapshot;
	argv[n++] = zv_full(s, new_name);
	argv[n] = NULL;
	return zv_zfs(s, argv, err);
}

/* Of the volume as it is: on a snapshot of our own, which is gone with the last clone that stands on it. */
static int clone_now(struct zv_store *s, const char *origin, const char *new_name, struct vmf_error *err)
{
	const char *snapshot = zv_full_snapshot(s, origin, zv_make_up(s, ZV_OWN_SNAPSHOT));
	const char *const make[] = {"zfs", "snapshot", "-o", zv_mark(s), snapshot, NULL};
	const char *const let_go[] = {"zfs", "destroy", "-d", snapshot, NULL};
	int rc;

	if (zv_device_flush(s, origin, err) < 0)
		return -1;
	rc = zv_zfs(s, make, err);
	if (rc == 0)
		rc = clone_of(s, snapshot, new_name, err);
	/* where that fails, too, the next one who changes something of the origin does it */
	if (zv_zfs(s, let_go, NULL) < 0)
		zv_zfs(s, let_go, NULL);
	return rc;
}

/* ---- full copy ---------------------------------------------------------------------------- */

/* What has to be written; of what is in there compressed, as much again. */
static int check_space(struct zv_store *s, const struct zv_item *from, uint64_t size, const char *new_name,
	struct vmf_error *err)
{
	return zv_need_space(
		s, new_name, s->h->opt_bool(s->c, "sparse") ? zv_number(from, ZV_P_REFERENCED) : size, err);
}

static int copy_volume(struct zv_store *s, const struct zv_item *volume, const struct zv_item *snapshot,
	const char *new_name, struct vmf_error *err)
{
	uint64_t size = zv_number(volume, ZV_P_VOLSIZE);
	struct zv_temp source, copy;
	int from, rc = -1;

	if (check_space(s, snapshot ? snapshot : volume, size, new_name, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	if (zv_source_open(s, volume, snapshot ? zv_base(snapshot->name) : NULL, &source, &from, err) < 0)
		return -1;
	if (zv_size_of(s, from, new_name, &size, err) == 0 && zv_lock(s, err) == 0 &&
		zv_temp_new(s, size, &copy, err) == 0) {
		if (zv_copy(s, from, size, copy.fd, new_name, err) == 0)
			rc = zv_temp_publish(s, &copy, new_name, err);
		else
			zv_temp_drop(s, &copy);
	}
	zv_source_close(s, &source, from);
	return rc;
}

/* ---- the call ----------------------------------------------------------------------------- */

static int clone_found(struct zv_store *s, const struct zv_item *volume, const char *snapshot,
	const char *new_name, bool copy, struct vmf_error *err)
{
	const char *name = zv_base(volume->name);
	const struct zv_item *found = NULL;

	if (snapshot && !(found = zv_snapshot_find_or_fail(s, snapshot, err)))
		return -1;
	/* a guest that writes all the while is stopped for a snapshot of all its disks at once, but not for
	 * this */
	if (!snapshot && zv_use_of(s, name) == ZV_WRITTEN)
		return s->h->fail(err, VMF_E_BUSY, 0, "stop the VM that uses it, or clone a snapshot of it",
			"%s is open for writing", volume->name);
	if (copy)
		return copy_volume(s, volume, found, new_name, err);
	if (found ? zv_need_space(s, new_name, ZV_FLOOR, err) < 0
		  : zv_need_space_for_snapshot(s, volume, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	return found ? clone_of(s, found->name, new_name, err) : clone_now(s, name, new_name, err);
}

int zv_clone(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name,
	uint32_t copy, struct vmf_error *err)
{
	const struct zv_item *volume;
	struct zv_store s;
	int rc = -1;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, origin, err) < 0 ||
		zv_name_check(&s, new_name, err) < 0)
		return -1;
	s.may_recall = !copy; /* zfs itself refuses a name that is taken meanwhile */
	if (zv_begin(&s, ZV_INSIDE, origin, err) == 0 && (volume = zv_find_or_fail(&s, origin, err)) &&
		zv_find_none(&s, new_name, err) == 0)
		rc = clone_found(&s, volume, snapshot, new_name, copy, err);
	zv_close(&s);
	return rc;
}
