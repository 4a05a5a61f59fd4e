/* SPDX-License-Identifier: ISC */
/* The store as calls see it: its names, what is in it, and whose that is. */
#include "zv.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

/* ---- names -------------------------------------------------------------------------------- */

/* What ZFS takes in a name's part; the space it takes as well, and so do we. */
static bool is_part(const char *name, size_t n)
{
	if (n == 0 || (n == 1 && name[0] == '.') || (n == 2 && strncmp(name, "..", 2) == 0))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.: ", name[i]))
			return false;
	return true;
}

static int dataset_check(const struct zv_store *s, struct vmf_error *err)
{
	const char *at = s->dataset;
	const char *origin = s->h->opt_origin(s->c, "dataset");
	size_t room = ZV_NAME_MAX - strlen("/" ZV_TEMP) - ZV_HEX - strlen("@" ZV_OWN_SNAPSHOT) - ZV_HEX;

	for (;; at++) {
		size_t n = strcspn(at, "/");

		if (!is_part(at, n) || !isalpha((unsigned char)*s->dataset))
			return s->h->fail(err, VMF_E_CONFIG, 0, "as in dataset = \"tank\" or \"tank/vms\"",
				"%s: \"%s\" is not a dataset's name", origin, s->dataset);
		at += n;
		if (!*at)
			break;
	}
	if (strlen(s->dataset) > room)
		return s->h->fail(err, VMF_E_CONFIG, 0, NULL,
			"%s: the dataset's name is longer than %zu bytes, which leaves none for volumes",
			origin, room);
	return 0;
}

int zv_name_check(const struct zv_store *s, const char *name, struct vmf_error *err)
{
	size_t room = ZV_NAME_MAX - strlen("@" ZV_OWN_SNAPSHOT) - ZV_HEX - strlen(s->dataset) - 1;

	/* a leading dot is kept for volumes in the making, a trailing space would be lost in the device's
	 * name */
	if (!is_part(name, strlen(name)) || name[0] == '.' || name[0] == '-' || name[0] == ' ' ||
		name[strlen(name) - 1] == ' ')
		return s->h->fail(err, VMF_E_USAGE, 0,
			"letters, digits, '-', '_', '.', ':' and spaces, the first a letter or digit",
			"ZFS has no volumes of the name \"%.60s\"", name);
	if (strlen(name) > room)
		return s->h->fail(err, VMF_E_USAGE, 0,
			s->h->printf(s->c, "in %s a name has at most %zu bytes", s->dataset, room),
			"the volume's name \"%.20s...\" is too long for ZFS", name);
	return 0;
}

int zv_snapshot_name_check(
	const struct zv_store *s, const char *name, const char *snapshot, struct vmf_error *err)
{
	size_t before = strlen(s->dataset) + strlen(name) + 2;

	if (!is_part(snapshot, strlen(snapshot)))
		return s->h->fail(err, VMF_E_USAGE, 0, "letters, digits, '-', '_', '.', ':' and spaces",
			"ZFS has no snapshots of the name \"%.60s\"", snapshot);
	if (zv_is_made_up(snapshot, ZV_OWN_SNAPSHOT))
		return s->h->fail(err, VMF_E_USAGE, 0, "choose another one",
			"a name like \"%s\" is kept for snapshots of vmf's own", snapshot);
	if (before + strlen(snapshot) > ZV_NAME_MAX)
		return s->h->fail(err, VMF_E_USAGE, 0,
			s->h->printf(s->c, "%zu bytes are left for it behind %s/%s@",
				before < ZV_NAME_MAX ? ZV_NAME_MAX - before : 0, s->dataset, name),
			"the snapshot's name \"%.20s...\" is too long for ZFS", snapshot);
	return 0;
}

const char *zv_make_up(const struct zv_store *s, const char *prefix)
{
	uint64_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = (uint64_t)zv_now_ms();
	return s->h->printf(s->c, "%s%016" PRIx64, prefix, number);
}

const char *zv_full(const struct zv_store *s, const char *name)
{
	return s->h->printf(s->c, "%s/%s", s->dataset, name);
}

const char *zv_full_snapshot(const struct zv_store *s, const char *name, const char *snapshot)
{
	return s->h->printf(s->c, "%s/%s@%s", s->dataset, name, snapshot);
}

const char *zv_mark(const struct zv_store *s)
{
	const struct vmf_vm_id *vm = s->c->vm;

	return s->h->printf(s->c, ZV_OWNER "=%s", vm && vm->uuid && *vm->uuid ? vm->uuid : "none");
}

const char *zv_add_name(const struct zv_store *s, const char *names, size_t count, const char *name)
{
	if (!names)
		return name;
	/* the tenth ends the list */
	if (count < 9)
		return s->h->printf(s->c, "%s, %s", names, name);
	return count == 9 ? s->h->printf(s->c, "%s and more", names) : names;
}

/* ---- opened and looked at ----------------------------------------------------------------- */

int zv_open(const struct vmf_call *c, struct zv_store *s, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	int64_t block = h->opt_int(c, "volblocksize");

	*s = (struct zv_store){.c = c, .h = h, .dataset = h->opt_string(c, "dataset"), .lock_fd = -1};
	if (!s->dataset)
		s->dataset = "";
	if (dataset_check(s, err) < 0)
		return -1;
	if (block & (block - 1))
		return h->fail(err, VMF_E_CONFIG, 0, "use 8K, 16K, 64K or the like",
			"%s: volblocksize is not a power of two", h->opt_origin(c, "volblocksize"));
	if (zv_opt_is(c, "aio", "native") && !zv_opt_is(c, "cache", "none"))
		return h->fail(err, VMF_E_CONFIG, 0, "set cache = \"none\", or aio = \"io_uring\"",
			"%s: aio = \"native\" needs cache = \"none\"", h->opt_origin(c, "aio"));
	return 0;
}

void zv_close(struct zv_store *s)
{
	zv_unlock(s);
}

int zv_begin(struct zv_store *s, enum zv_scope scope, const char *name, struct vmf_error *err)
{
	bool changed;

	if (s->c->dry_run) {
		s->records = true;
		s->may_recall = false;
		return zv_look(s, scope, name, err);
	}
	if (zv_lock(s, err) < 0 || zv_look(s, scope, name, err) < 0)
		return -1;
	changed = zv_temp_clean(s);
	changed |= zv_snapshots_clean(s);
	s->may_recall = false;
	return changed ? zv_look(s, scope, name, err) : 0;
}

/* Whatever has the name, also a filesystem. */
static const struct zv_item *find_any(const struct zv_store *s, const char *name)
{
	for (size_t i = 0; i < s->inside.count; i++)
		if (strcmp(zv_base(s->inside.items[i].name), name) == 0)
			return &s->inside.items[i];
	return NULL;
}

const struct zv_item *zv_find(const struct zv_store *s, const char *name)
{
	const struct zv_item *item = find_any(s, name);

	return item && zv_is(item, ZV_P_TYPE, "volume") ? item : NULL;
}

const struct zv_item *zv_find_or_fail(const struct zv_store *s, const char *name, struct vmf_error *err)
{
	const struct zv_item *item = zv_find(s, name);

	if (!item)
		s->h->fail(
			err, VMF_E_NOT_FOUND, 0, NULL, "there is no volume \"%s\" in %s", name, s->dataset);
	return item;
}

int zv_find_none(const struct zv_store *s, const char *name, struct vmf_error *err)
{
	const struct zv_item *item = find_any(s, name);

	if (!item)
		return 0;
	return s->h->fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that one first",
		"%s exists%s", item->name, zv_is(item, ZV_P_TYPE, "volume") ? "" : " (a filesystem)");
}

int zv_must_be_ours(
	const struct zv_store *s, const struct zv_item *item, const char *doing, struct vmf_error *err)
{
	if (item->is_ours)
		return 0;
	return s->h->fail(err, VMF_E_PERMISSION, 0,
		"vmf changes only what it made; if it is yours to change, use zfs",
		"%s was not made by vmf and is not %s", item->name, doing);
}

int zv_need_space(const struct zv_store *s, const char *what, uint64_t bytes, struct vmf_error *err)
{
	uint64_t left = zv_number(&s->self, ZV_P_AVAILABLE);

	if (bytes <= left)
		return 0;
	return s->h->fail(err, VMF_E_NO_SPACE, 0, "make room, or use another storage",
		"%s has %" PRIu64 " MiB left, but %s needs %" PRIu64 " MiB", s->dataset, left >> 20, what,
		bytes >> 20);
}

int zv_need_space_for_snapshot(const struct zv_store *s, const struct zv_item *volume, struct vmf_error *err)
{
	uint64_t left = zv_number(volume, ZV_P_AVAILABLE), own = zv_number(volume, ZV_P_USEDBYDATASET),
		 reserved = zv_number(volume, ZV_P_REFRESERVATION), need = ZV_FLOOR;

	/* what is reserved for a volume counts as available to it; what a snapshot holds is reserved once
	 * more */
	if (reserved > own)
		left = left > reserved - own ? left - (reserved - own) : 0;
	if (reserved)
		need += own < reserved ? own : reserved;
	if (need <= left)
		return 0;
	return s->h->fail(err, VMF_E_NO_SPACE, 0, "make room: remove volumes or snapshots, or zpool add",
		"%s has %" PRIu64 " MiB left, but a snapshot of %s needs %" PRIu64 " MiB", s->dataset,
		left >> 20, zv_base(volume->name), need >> 20);
}
