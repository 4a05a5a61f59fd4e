/* SPDX-License-Identifier: ISC */
/*
 * Volumes from volumes: a thin snapshot, which stands alone; a thick snapshot, which stands on its origin and
 * has room for so many changes; or a full copy.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lvm.h"

/* ---- copy-on-write ------------------------------------------------------------------------- */

static int clone_thin(const struct lvm *s, const struct lvm_lv *src, const char *lv, struct vmf_error *err)
{
	struct lvm_args a;

	if (lvm_need_pool(s, src->pool, 0, s->h->printf(s->c, "a clone of %s", src->name), err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	/* of a snapshot of ours it would take over that it is read-only and passed over */
	lvm_args(s->c, &a, "lvcreate", "--yes", "--snapshot", "--permission", "rw", "--setactivationskip",
		"n", "--activate", "y", "-n", lv, LVM_END);
	lvm_add_mark(s, &a);
	lvm_args_add(&a, lvm_path(s, src->lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

static int clone_thick(const struct lvm *s, const struct lvm_lv *src, const char *lv, struct vmf_error *err)
{
	uint64_t room = lvm_cow_size(s, src);
	struct lvm_args a;

	if (lvm_need_space(s, room, s->h->printf(s->c, "a copy-on-write clone of %s", src->name), err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	lvm_args(s->c, &a, "lvcreate", "--yes", "--snapshot", "-n", lv, "-L",
		s->h->printf(s->c, "%" PRIu64 "b", room), LVM_END);
	lvm_add_mark(s, &a);
	lvm_args_add(&a, lvm_path(s, src->lv), LVM_END);
	if (lvm_run(s->c, &a, NULL, err) < 0)
		return -1;
	if (room <= src->virtual_size)
		s->h->log(s->c, VMF_LOG_WARN,
			"%s has room for %s of changes, its own and those of %s: it is lost when that is "
			"full "
			"(lvextend gives it more)",
			lvm_path(s, lv), lvm_size_text(s->c, room), src->name);
	return 0;
}

static int clone_cow(const struct lvm *s, const struct lvm_lv *src, const char *lv, struct vmf_error *err)
{
	if (src->kind == LVM_COW)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a full copy (clone --copy), or keep such volumes in a thin pool",
			"%s is a thick snapshot, of which LVM makes no snapshots", lvm_path(s, src->lv));
	/* what others read only can be cloned */
	if (!src->snapshot && src->is_open && lvm_is_claimed(s, src) && lvm_must_be_closed(s, src, err) < 0)
		return -1;
	if (src->is_merging)
		return s->h->fail(err, VMF_E_STATE, 0, "wait until that is done", "%s is being rolled back",
			lvm_path(s, src->lv));
	return src->kind == LVM_THIN ? clone_thin(s, src, lv, err) : clone_thick(s, src, lv, err);
}

/* ---- full copy ----------------------------------------------------------------------------- */

static int copy_all(struct lvm_source *source, struct lvm_sink *sink, char *buffer, struct vmf_error *err)
{
	const struct vmf_call *c = sink->s->c;
	const char *what = c->host->printf(c, "copying to %s", sink->name);

	for (uint64_t at = 0, part; at < source->size; at += part) {
		part = source->size - at < LVM_BLOCK ? source->size - at : LVM_BLOCK;
		if (lvm_source_read(source, at, buffer, (size_t)part, err) < 0 ||
			lvm_sink_put(sink, at, buffer, (size_t)part, err) < 0 ||
			lvm_progress(c, what, at + part, source->size, err) < 0)
			return -1;
	}
	return 0;
}

static int clone_copy(struct lvm *s, const struct lvm_lv *src, const char *new_name, struct vmf_error *err)
{
	const char *what = s->h->printf(s->c, "a copy of %s", src->name);
	struct lvm_source source;
	struct lvm_sink sink;
	char *buffer;
	int rc;

	/* of a thick one nobody knows how much of it is zeroes: the sink looks at the pool while it fills it
	 */
	if (s->pool && src->kind == LVM_THIN && lvm_need_pool(s, s->pool, lvm_data_bytes(src), what, err) < 0)
		return -1;
	if (lvm_source_open(s, src, &source, err) < 0)
		return -1;
	rc = lvm_sink_open(s, new_name, source.size, &sink, err);
	if (rc == 0 && !s->c->dry_run) {
		buffer = lvm_buffer_new(s->c, err);
		if (buffer && copy_all(&source, &sink, buffer, err) == 0) {
			rc = lvm_sink_publish(&sink, err);
		} else {
			lvm_sink_drop(&sink);
			rc = -1;
		}
		free(buffer);
	}
	lvm_source_close(&source);
	return rc;
}

int lvm_clone(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name,
	uint32_t copy, struct vmf_error *err)
{
	const struct lvm_lv *src;
	const char *lv;
	struct lvm s;

	if (lvm_look_at(c, origin, &s, &src, err) < 0 || lvm_must_be_there(&s, origin, src, err) < 0)
		return -1;
	if (src->is_stuck && !c->dry_run && lvm_refresh(&s, src->lv, err) < 0)
		return -1;
	if (snapshot) {
		const struct lvm_lv *found = lvm_find_snapshot(&s, src, snapshot);

		if (!found)
			return lvm_no_snapshot(&s, src, snapshot, err);
		src = found;
	}
	if (lvm_find_none(&s, new_name, &lv, err) < 0)
		return -1;
	return copy ? clone_copy(&s, src, new_name, err) : clone_cow(&s, src, lv, err);
}
