/* SPDX-License-Identifier: ISC */
/* Volumes come, go, and change their names and sizes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lvm.h"

static const char *bytes_text(const struct lvm *s, uint64_t bytes)
{
	return s->h->printf(s->c, "%" PRIu64 "b", bytes);
}

/* ---- create -------------------------------------------------------------------------------- */

/* One command: it is there, marked, or it is not. */
static int make(const struct lvm *s, const char *lv, uint64_t size, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvcreate", "--yes", "-n", lv, LVM_END);
	if (s->pool)
		lvm_args_add(&a, "--type", "thin", "-V", bytes_text(s, size), "--thinpool", s->pool, LVM_END);
	else
		lvm_args_add(&a, "--wipesignatures", "y", "-L", bytes_text(s, size), LVM_END);
	for (size_t i = 0; !s->pool && i < s->h->opt_count(s->c, "lvcreate"); i++)
		lvm_args_add(&a, s->h->opt_item(s->c, "lvcreate", i), LVM_END);
	lvm_add_mark(s, &a);
	lvm_args_add(&a, s->vg, LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

/* A thick volume without anything in it of those that were there before. */
static int make_zeroed(struct lvm *s, const char *name, uint64_t size, struct vmf_error *err)
{
	const char *what = s->h->printf(s->c, "filling %s with zeroes", name);
	struct lvm_sink sink;
	int rc = 0;

	if (lvm_sink_open(s, name, size, &sink, err) < 0)
		return -1;
	for (uint64_t at = 0; rc == 0 && at < sink.size; at += LVM_BLOCK * 16) {
		uint64_t part = sink.size - at < LVM_BLOCK * 16 ? sink.size - at : LVM_BLOCK * 16;

		rc = lvm_sink_zero(&sink, at, part, err);
		if (rc == 0)
			rc = lvm_progress(s->c, what, at + part, sink.size, err);
	}
	if (rc == 0)
		return lvm_sink_publish(&sink, err);
	lvm_sink_drop(&sink);
	return -1;
}

int lvm_create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	const char *what = c->host->printf(c, "volume \"%s\"", name), *lv;
	struct lvm s;

	if (size_bytes == 0 || size_bytes > LVM_MAX_SIZE)
		return c->host->fail(err, VMF_E_USAGE, 0, NULL,
			"a volume of %" PRIu64 " bytes cannot be made", size_bytes);
	if (lvm_look_to_change(c, &s, err) < 0 || lvm_find_none(&s, name, &lv, err) < 0)
		return -1;
	if (s.pool ? lvm_need_pool(&s, s.pool, 0, what, err) < 0
		   : lvm_need_space(&s, size_bytes, what, err) < 0)
		return -1;
	if (c->dry_run)
		return 0;
	return !s.pool && c->host->opt_bool(c, "zero") ? make_zeroed(&s, name, size_bytes, err)
						       : make(&s, lv, size_bytes, err);
}

/* ---- remove -------------------------------------------------------------------------------- */

static bool is_own_snapshot(const struct lvm_lv *lv, const struct lvm_lv *v)
{
	return lv->snapshot && lv->of && strcmp(lv->of, v->id) == 0;
}

/* What would go with V, or be of no use without it, and is not V's to lose. */
static int must_be_bare(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	const char *names = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct lvm_lv *lv = &s->lvs[i];

		if (lv->kind != LVM_COW || !lv->origin || strcmp(lv->origin, v->lv) != 0 ||
			is_own_snapshot(lv, v))
			continue;
		if (n++ < 5)
			names = names ? s->h->printf(s->c, "%s, %s", names, lv->name) : lv->name;
	}
	if (!n)
		return 0;
	if (n > 5)
		names = s->h->printf(s->c, "%s and %u more", names, n - 5);
	return s->h->fail(err, VMF_E_STATE, 0,
		s->h->printf(s->c, "remove %s first, or make full copies of them (clone --copy)", names),
		"%s is not removed, as %s stand%s on it", lvm_path(s, v->lv), names, n == 1 ? "s" : "");
}

/* A thin volume goes together with its snapshots; a thick one once it has none, so that it is not taken from
 * under what others have made of it meanwhile. */
static int remove_all(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	const struct lvm_lv **lvs = s->h->alloc(s->c, (s->count + 1) * sizeof(const struct lvm_lv *));
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		if (is_own_snapshot(&s->lvs[i], v))
			lvs[n++] = &s->lvs[i];
	if (n && v->kind == LVM_THICK) {
		if (lvm_remove_lvs(s, lvs, n, err) < 0)
			return -1;
		n = 0;
	}
	lvs[n++] = v;
	return lvm_remove_lvs(s, lvs, n, err);
}

static int remove_found(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	if (lvm_must_be_ours(s, v, "removed", err) < 0 || lvm_must_be_closed(s, v, err) < 0 ||
		must_be_bare(s, v, err) < 0)
		return -1;
	for (size_t i = 0; i < s->count; i++)
		if (is_own_snapshot(&s->lvs[i], v) && lvm_must_be_closed(s, &s->lvs[i], err) < 0)
			return -1;
	return s->c->dry_run ? 0 : remove_all(s, v, err);
}

/* Thin snapshots of a volume that somebody removed by hand. */
static int remove_orphans(const struct lvm *s, const char *name, struct vmf_error *err)
{
	const char *prefix = s->h->printf(s->c, "%s.", lvm_encode(s->c, name));

	for (size_t i = 0; i < s->count; i++) {
		const struct lvm_lv *lv = &s->lvs[i];
		bool is_orphan = lv->snapshot && lv->vm_uuid && s->c->vm && s->c->vm->uuid &&
				 strcmp(lv->vm_uuid, s->c->vm->uuid) == 0 &&
				 strncmp(lv->lv, prefix, strlen(prefix)) == 0;

		for (size_t k = 0; is_orphan && k < s->count; k++)
			is_orphan = !is_own_snapshot(lv, &s->lvs[k]);
		if (is_orphan && !s->c->dry_run && lvm_remove_lv(s, lv, err) < 0)
			return -1;
	}
	return 0;
}

int lvm_remove(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	const struct lvm_lv *v;
	struct lvm s;

	if (lvm_look_at(c, name, &s, &v, err) < 0)
		return -1;
	return v ? remove_found(&s, v, err) : remove_orphans(&s, name, err);
}

/* ---- rename -------------------------------------------------------------------------------- */

/* Snapshots are found by their tags, whatever they are called; their names follow for people's sake. */
static int rename_snapshots(
	const struct lvm *s, const struct lvm_lv *v, const char *new_lv, struct vmf_error *err)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct lvm_lv *lv = &s->lvs[i];
		const char *to;

		if (!is_own_snapshot(lv, v))
			continue;
		to = lvm_snapshot_lv(s, new_lv, lv->snapshot);
		if (strcmp(lv->lv, to) != 0 && lvm_rename_lv(s, lv->lv, to, err) < 0)
			return -1;
	}
	return 0;
}

static int rename_found(
	const struct lvm *s, const struct lvm_lv *v, const char *new_name, struct vmf_error *err)
{
	const char *lv;

	if (lvm_must_be_ours(s, v, "renamed", err) < 0 || lvm_must_be_closed(s, v, err) < 0 ||
		lvm_find_none(s, new_name, &lv, err) < 0)
		return -1;
	for (size_t i = 0; i < s->count; i++) {
		const char *to =
			is_own_snapshot(&s->lvs[i], v) ? lvm_snapshot_lv(s, lv, s->lvs[i].snapshot) : NULL;

		if (to && lvm_name_check(s, new_name, to, err) < 0)
			return -1;
		if (to && lvm_find_lv(s, to) && lvm_find_lv(s, to) != &s->lvs[i])
			return s->h->fail(err, VMF_E_EXISTS, 0,
				"choose another name, or remove that volume first",
				"%s exists, which its snapshot \"%s\" would be called", lvm_path(s, to),
				s->lvs[i].snapshot);
	}
	if (s->c->dry_run)
		return 0;
	return lvm_rename_lv(s, v->lv, lv, err) < 0 ? -1 : rename_snapshots(s, v, lv, err);
}

int lvm_rename(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err)
{
	const struct lvm_lv *v, *done;
	struct lvm s;

	if (lvm_look_at(c, name, &s, &v, err) < 0)
		return -1;
	if (v)
		return rename_found(&s, v, new_name, err);
	/* a rename that was done before it could be noted down: the new name is there and it is this VM's */
	done = lvm_find(&s, new_name);
	if (done && done->vm_uuid && c->vm && c->vm->uuid && strcmp(done->vm_uuid, c->vm->uuid) == 0)
		return c->dry_run ? 0 : rename_snapshots(&s, done, done->lv, err);
	return lvm_must_be_there(&s, name, NULL, err);
}

/* ---- grow ---------------------------------------------------------------------------------- */

static bool has_thick_snapshots(const struct lvm *s, const struct lvm_lv *v)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->lvs[i].kind == LVM_COW && s->lvs[i].origin && strcmp(s->lvs[i].origin, v->lv) == 0)
			return true;
	return false;
}

static int extend(const struct lvm *s, const struct lvm_lv *v, uint64_t size, struct vmf_error *err)
{
	bool reopen = v->is_active && has_thick_snapshots(s, v);
	struct lvm_args a;
	int rc;

	if (reopen && v->is_open)
		return s->h->fail(err, VMF_E_STATE, 0, "stop the VM first, or remove the snapshots",
			"%s has snapshots, and LVM resizes such a volume only while it is closed",
			lvm_path(s, v->lv));
	if (s->c->dry_run)
		return 0;
	if (reopen && lvm_set_active(s, v->lv, false, err) < 0)
		return -1;
	lvm_args(s->c, &a, "lvextend", "--yes", "-L", bytes_text(s, size), lvm_path(s, v->lv), LVM_END);
	rc = lvm_run(s->c, &a, NULL, err);
	if (reopen && lvm_set_active(s, v->lv, true, rc < 0 ? NULL : err) < 0)
		return -1;
	return rc;
}

/* A QEMU that runs on it is told, even if it may know already: nobody else remembers. */
static int tell_qemu(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	int fd = s->c->vm && s->c->slot && s->h->qmp ? lvm_dm_open(s->c, s->vg, v->lv, O_RDONLY, NULL) : -1;
	uint64_t size = 0;
	bool is_live;

	if (fd < 0)
		return 0;
	is_live = lvm_dm_is_written(fd) && ioctl(fd, BLKGETSIZE64, &size) == 0;
	close(fd);
	if (!is_live)
		return 0;
	return s->h->qmp(s->c, "block_resize",
		s->h->printf(s->c, "{\"node-name\": \"%s\", \"size\": %" PRIu64 "}", s->c->slot, size), -1,
		NULL, NULL, err);
}

static int grow_found(const struct lvm *s, const struct lvm_lv *v, uint64_t size, struct vmf_error *err)
{
	const char *what = s->h->printf(s->c, "growing %s to %s", v->name, lvm_size_text(s->c, size));

	if (lvm_must_be_ours(s, v, "resized", err) < 0)
		return -1;
	if (size < v->virtual_size)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a smaller disk and copy the files over in the guest",
			"%s has %s and cannot shrink to %s", lvm_path(s, v->lv),
			lvm_size_text(s->c, v->virtual_size), lvm_size_text(s->c, size));
	if (size > v->virtual_size) {
		if (v->kind == LVM_COW)
			return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
				"a full copy of it can grow (clone --copy)",
				"%s is a copy-on-write clone of %s and keeps its size", lvm_path(s, v->lv),
				v->origin);
		if (v->pool ? lvm_need_pool(s, v->pool, 0, what, err) < 0
			    : lvm_need_space(s, size - v->virtual_size, what, err) < 0)
			return -1;
		if (extend(s, v, size, err) < 0)
			return -1;
	}
	return s->c->dry_run ? 0 : tell_qemu(s, v, err);
}

int lvm_grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	const struct lvm_lv *v;
	struct lvm s;

	if (size_bytes == 0 || size_bytes > LVM_MAX_SIZE)
		return c->host->fail(
			err, VMF_E_USAGE, 0, NULL, "a volume cannot have %" PRIu64 " bytes", size_bytes);
	if (lvm_look_to_change(c, &s, err) < 0 || lvm_find_or_fail(&s, name, &v, err) < 0)
		return -1;
	return grow_found(&s, v, lvm_round_up(&s, size_bytes), err);
}
