/* SPDX-License-Identifier: ISC */
/* Snapshots: LVs of their own, read-only, called VOLUME.SNAPSHOT and known by their tags. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "lvm.h"

/* ---- finding ------------------------------------------------------------------------------- */

static bool is_of(const struct lvm_lv *lv, const struct lvm_lv *v)
{
	return lv->snapshot && lv->of && strcmp(lv->of, v->id) == 0;
}

/* What a person made with lvcreate -s: neither a clone of ours nor somebody's volume in a pool. */
static bool is_foreign_of(const struct lvm_lv *lv, const struct lvm_lv *v)
{
	return !lv->is_ours && lv->origin && strcmp(lv->origin, v->lv) == 0 &&
	       (lv->kind == LVM_COW || lv->kind == LVM_THIN);
}

const struct lvm_lv *lvm_find_snapshot(const struct lvm *s, const struct lvm_lv *v, const char *snapshot)
{
	const struct lvm_lv *found = NULL;

	for (size_t i = 0; i < s->count; i++) {
		const struct lvm_lv *lv = &s->lvs[i];

		if (is_of(lv, v) && strcmp(lv->snapshot, snapshot) == 0)
			found = lv;
	}
	for (size_t i = 0; !found && i < s->count; i++)
		if (is_foreign_of(&s->lvs[i], v) && strcmp(s->lvs[i].name, snapshot) == 0)
			found = &s->lvs[i];
	return found;
}

int lvm_no_snapshot(const struct lvm *s, const struct lvm_lv *v, const char *snapshot, struct vmf_error *err)
{
	const char *names = NULL;
	unsigned n = 0;

	for (size_t i = 0; i < s->count; i++)
		if (is_of(&s->lvs[i], v) && n++ < 10)
			names = names ? s->h->printf(s->c, "%s, %s", names, s->lvs[i].snapshot)
				      : s->lvs[i].snapshot;
	return s->h->fail(err, VMF_E_NOT_FOUND, 0,
		names ? s->h->printf(s->c, "there is %s", names) : "it has none at all",
		"%s has no snapshot \"%s\"", lvm_path(s, v->lv), snapshot);
}

/* ---- making -------------------------------------------------------------------------------- */

uint64_t lvm_cow_size(const struct lvm *s, const struct lvm_lv *v)
{
	int64_t percent = s->h->opt_int(s->c, "snapshot_percent"),
		bytes = s->h->opt_int(s->c, "snapshot_size");
	uint64_t size = percent > 0 ? v->virtual_size / 100 * (uint64_t)percent : (uint64_t)bytes;
	/* all of the origin and the notes about it: more can never be used */
	uint64_t most = v->virtual_size + v->virtual_size / 100 + 2 * s->extent;

	return lvm_round_up(s, size < 1 ? 1 : size > most ? most : size);
}

const char *lvm_snapshot_lv(const struct lvm *s, const char *volume_lv, const char *snapshot)
{
	return lvm_encode(s->c, s->h->printf(s->c, "%s.%s", lvm_decode(s->c, volume_lv), snapshot));
}

static void add_tags(const struct lvm *s, struct lvm_args *a, const struct lvm_lv *v, const char *snapshot,
	int64_t created)
{
	lvm_add_mark(s, a);
	lvm_args_add(a, "--addtag", s->h->printf(s->c, "vmf.snapshot=%s", lvm_encode(s->c, snapshot)),
		"--addtag", s->h->printf(s->c, "vmf.origin=%s", v->id), "--addtag",
		s->h->printf(s->c, "vmf.created=%" PRId64, created), LVM_END);
}

int lvm_make_thick_snapshot(const struct lvm *s, const struct lvm_lv *v, const char *snapshot, uint64_t bytes,
	int64_t created, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvcreate", "--yes", "--snapshot", "--permission", "r", "-n",
		lvm_snapshot_lv(s, v->lv, snapshot), "-L", s->h->printf(s->c, "%" PRIu64 "b", bytes),
		LVM_END);
	add_tags(s, &a, v, snapshot, created);
	lvm_args_add(&a, lvm_path(s, v->lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

static int make_thin(const struct lvm *s, const struct lvm_lv *v, const char *snapshot, int64_t created,
	struct vmf_error *err)
{
	struct lvm_args a;

	/* passed over by activation: nobody needs its device, and it has the volume's filesystem ids */
	lvm_args(s->c, &a, "lvcreate", "--yes", "--snapshot", "--permission", "r", "--setactivationskip", "y",
		"-n", lvm_snapshot_lv(s, v->lv, snapshot), LVM_END);
	add_tags(s, &a, v, snapshot, created);
	lvm_args_add(&a, lvm_path(s, v->lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

static int check_new(const struct lvm *s, const struct lvm_lv *v, const char *snapshot, struct vmf_error *err)
{
	const char *lv = lvm_snapshot_lv(s, v->lv, snapshot),
		   *what = s->h->printf(s->c, "a snapshot of %s", v->name);

	if (lvm_find_snapshot(s, v, snapshot))
		return s->h->fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that one first",
			"%s has a snapshot \"%s\" already", lvm_path(s, v->lv), snapshot);
	if (lvm_name_check(s, snapshot, lv, err) < 0 || lvm_must_be_ours(s, v, "given a snapshot", err) < 0)
		return -1;
	if (lvm_find_lv(s, lv))
		return s->h->fail(err, VMF_E_EXISTS, 0, "choose another name for the snapshot", "%s exists",
			lvm_path(s, lv));
	if (v->is_merging || v->rollback)
		return s->h->fail(err, VMF_E_STATE, 0,
			"wait until that is done, or `rollback` to the same snapshot once more",
			"%s is being rolled back", lvm_path(s, v->lv));
	if (v->kind == LVM_COW)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a full copy of it (`vmf NEW clone --from VM --copy`), which can have "
			"snapshots; or use a thin pool",
			"%s is a copy-on-write clone of %s, of which LVM makes no snapshots",
			lvm_path(s, v->lv), v->origin);
	if (v->kind == LVM_THIN)
		return lvm_need_pool(s, v->pool, 0, what, err);
	return lvm_need_space(s, lvm_cow_size(s, v), what, err);
}

int lvm_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	const struct lvm_lv *v;
	struct lvm s;
	int64_t now = time(NULL);

	if (lvm_look_to_change(c, &s, err) < 0 || lvm_find_or_fail(&s, name, &v, err) < 0 ||
		check_new(&s, v, snapshot, err) < 0)
		return -1;
	if (c->dry_run)
		return 0;
	if (v->kind == LVM_THIN)
		return make_thin(&s, v, snapshot, now, err);
	return lvm_make_thick_snapshot(&s, v, snapshot, lvm_cow_size(&s, v), now, err);
}

/* ---- list ---------------------------------------------------------------------------------- */

static uint64_t used_by(const struct lvm_lv *lv)
{
	return lv->data < 0 ? 0 : lv->size / 10000 * (uint64_t)lv->data;
}

int lvm_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err)
{
	const struct lvm_lv *v;
	struct lvm s;

	if (lvm_look(c, &s, err) < 0 || lvm_find_or_fail(&s, name, &v, err) < 0)
		return -1;
	*list = (struct vmf_snapshot_list){.stride = sizeof(struct vmf_snapshot)};
	list->items = c->host->alloc(c, s.count * sizeof(*list->items));
	for (size_t i = 0; i < s.count; i++) {
		const struct lvm_lv *lv = &s.lvs[i];
		const char *called = is_of(lv, v) ? lv->snapshot : is_foreign_of(lv, v) ? lv->name : NULL;

		if (!called || lvm_find_snapshot(&s, v, called) != lv)
			continue;
		list->items[list->count++] = (struct vmf_snapshot){
			.size = sizeof(struct vmf_snapshot),
			.name = called,
			.created = lv->created,
			.used_bytes = used_by(lv),
			.is_ours = lv->is_ours,
		};
	}
	return 0;
}

/* ---- remove -------------------------------------------------------------------------------- */

int lvm_snapshot_remove(
	const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	const struct lvm_lv *v, *found;
	struct lvm s;

	if (lvm_look_to_change(c, &s, err) < 0)
		return -1;
	v = lvm_find(&s, name);
	found = v ? lvm_find_snapshot(&s, v, snapshot) : NULL;
	if (!found)
		return 0;
	if (lvm_must_be_ours(&s, found, "removed", err) < 0 || lvm_must_be_closed(&s, found, err) < 0)
		return -1;
	return c->dry_run ? 0 : lvm_remove_lv(&s, found, err);
}
