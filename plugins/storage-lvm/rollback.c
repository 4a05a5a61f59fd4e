/* SPDX-License-Identifier: ISC */
/*
 * Rolling back. LVM's own way is to merge a snapshot into its origin, which uses it up and, in a thin pool,
 * lets go of all others. vmf's snapshots stay. So
 *
 *  - a thin volume is replaced by a new snapshot of the snapshot, under the same name, with the same tags and
 * the same id. Should vmf die between the two renamings, it is the old volume all the same: see lvm_look().
 *  - a thick snapshot is merged and made anew afterwards, when the volume holds what it held. The note that
 * it has to be is a tag of the volume's. A vmf that is killed leaves a journal, from which the next command
 *    calls rollback() again before anything else is done with the VM, so that nothing is written in between.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lvm.h"

#define STALL_MS 120000 /* a merge that has not moved for so long is given up on */
#define LOOK_MS 200
#define POLL_AFTER_MS 5000 /* nobody has ended a merge that is done: its poller has died */

/* ---- thin ---------------------------------------------------------------------------------- */

/* All that the volume is marked with, and who makes it. */
static void add_tags_of(const struct lvm *s, struct lvm_args *a, const struct lvm_lv *v)
{
	for (const char *at = v->tags, *end; *at; at = end + (*end == ',')) {
		end = at + strcspn(at, ",");
		if (strncmp(at, "vmf.by=", 7) != 0 && strncmp(at, "vmf.id=", 7) != 0)
			lvm_args_add(a, "--addtag", s->h->printf(s->c, "%.*s", (int)(end - at), at), LVM_END);
	}
	lvm_args_add(
		a, "--addtag", s->h->printf(s->c, "vmf.id=%s", v->id), "--addtag", lvm_maker(s->c), LVM_END);
}

static int make_new_self(const struct lvm *s, const struct lvm_lv *v, const struct lvm_lv *snap,
	const char *lv, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvcreate", "--yes", "--snapshot", "--permission", "rw", "--setactivationskip",
		"n", "--activate", "y", "-n", lv, LVM_END);
	add_tags_of(s, &a, v);
	lvm_args_add(&a, lvm_path(s, snap->lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

/* The LV that has V's name is another one by now. */
static bool is_replaced(const struct lvm *s, const struct lvm_lv *v)
{
	struct lvm now;
	const struct lvm_lv *found = lvm_look(s->c, &now, NULL) < 0 ? NULL : lvm_find_lv(&now, v->lv);

	return found && strcmp(found->uuid, v->uuid) != 0;
}

/* An lvrename that fails may have been done all the same. */
static int take_place(const struct lvm *s, const struct lvm_lv *v, const char *fresh, const char *old,
	struct vmf_error *err)
{
	if (lvm_rename_lv(s, v->lv, old, err) < 0) {
		lvm_rename_lv(s, old, v->lv, NULL);
		return -1;
	}
	if (lvm_rename_lv(s, fresh, v->lv, NULL) == 0 || is_replaced(s, v) ||
		lvm_rename_lv(s, fresh, v->lv, err) == 0)
		return 0;
	lvm_rename_lv(s, old, v->lv, NULL);
	return -1;
}

static int roll_thin(
	const struct lvm *s, const struct lvm_lv *v, const struct lvm_lv *snap, struct vmf_error *err)
{
	const char *fresh = s->h->printf(s->c, "%s" LVM_NEW_SUFFIX, v->lv);
	const char *old = s->h->printf(s->c, "%s" LVM_OLD_SUFFIX, v->lv);
	struct lvm_lv gone = *v;

	if (lvm_find_lv(s, fresh) || lvm_find_lv(s, old))
		return s->h->fail(err, VMF_E_BUSY, 0, "wait until that is done; `lvs` shows it",
			"%s is being rolled back already", lvm_path(s, v->lv));
	if (lvm_need_pool(s, v->pool, 0, s->h->printf(s->c, "rolling %s back", v->name), err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	if (make_new_self(s, v, snap, fresh, err) < 0 || take_place(s, v, fresh, old, err) < 0) {
		lvm_remove_made(s, fresh);
		return -1;
	}
	gone.lv = old;
	if (lvm_remove_lv(s, &gone, NULL) < 0 && lvm_remove_lv(s, &gone, NULL) < 0)
		s->h->log(s->c, VMF_LOG_INFO, "%s is to be removed by the next change", lvm_path(s, old));
	return 0;
}

/* ---- thick --------------------------------------------------------------------------------- */

static int merge(const struct lvm *s, const char *lv, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvconvert", "--yes", "--merge", "--background", "--interval", "1",
		lvm_path(s, lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

static int change_tags(
	const struct lvm *s, const char *lv, const char *without, const char *with, struct vmf_error *err)
{
	struct lvm_args a;

	if (!without && !with)
		return 0;
	lvm_args(s->c, &a, "lvchange", LVM_END);
	if (without)
		lvm_args_add(&a, "--deltag", s->h->printf(s->c, "vmf.rollback=%s", without), LVM_END);
	if (with)
		lvm_args_add(&a, "--addtag", s->h->printf(s->c, "vmf.rollback=%s", with), LVM_END);
	lvm_args_add(&a, lvm_path(s, lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

struct note {
	const char *text, *snapshot;
	uint64_t bytes;
	int64_t created;
};

static bool read_note(const struct lvm *s, const struct lvm_lv *v, struct note *note)
{
	char *name, *colon;

	*note = (struct note){.text = v->rollback};
	if (!v->rollback)
		return false;
	name = s->h->strdup(s->c, v->rollback);
	colon = strchr(name, ':');
	if (!colon || sscanf(colon, ":%" SCNu64 ":%" SCNd64, &note->bytes, &note->created) != 2)
		return false;
	*colon = '\0';
	note->snapshot = lvm_decode(s->c, name);
	return true;
}

/* What a merge writes into the volume has to be kept for all others that stand on it. */
static int check_room(
	const struct lvm *s, const struct lvm_lv *v, const struct lvm_lv *snap, struct vmf_error *err)
{
	uint64_t writes = snap->data < 0 ? snap->size : snap->size / 10000 * (uint64_t)snap->data;

	for (size_t i = 0; i < s->count; i++) {
		const struct lvm_lv *lv = &s->lvs[i];
		uint64_t left;

		if (lv == snap || lv->kind != LVM_COW || !lv->origin || strcmp(lv->origin, v->lv) != 0 ||
			lv->data < 0 || lv->is_invalid)
			continue;
		left = lv->size / 10000 * (uint64_t)(10000 - (lv->data > 10000 ? 10000 : lv->data));
		if (writes > left)
			return s->h->fail(err, VMF_E_NO_SPACE, 0,
				s->h->printf(s->c, "lvextend -L +%" PRIu64 "M %s, or remove it",
					(writes - left) / 1048576 + 8, lvm_path(s, lv->lv)),
				"rolling %s back may write %s, and %s, which stands on it, has room for %s",
				v->name, lvm_size_text(s->c, writes), lvm_path(s, lv->lv),
				lvm_size_text(s->c, left));
	}
	return 0;
}

/* Until the kernel has written all back and LVM has noticed. */
static int wait_merge(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	const char *dm = lvm_dm_name(s->c, s->vg, v->lv, ""),
		   *what = s->h->printf(s->c, "rolling back %s", v->name);
	int64_t moved = lvm_now_ms(), done_at = 0;
	uint64_t left, last = 0, total = 0;

	for (; lvm_dm_merging(dm, &left); nanosleep(&(struct timespec){0, LOOK_MS * 1000000}, NULL)) {
		int64_t now = lvm_now_ms();
		struct lvm_args a;

		if (left > total)
			total = left;
		if (left != last)
			moved = now;
		last = left;
		done_at = left ? 0 : done_at ? done_at : now;
		if (done_at && now - done_at > POLL_AFTER_MS) {
			lvm_args(s->c, &a, "lvchange", "--poll", "y", lvm_path(s, v->lv), LVM_END);
			lvm_run(s->c, &a, NULL, NULL);
			done_at = now;
		}
		if (s->c->deadline_ms ? now > s->c->deadline_ms : now - moved > STALL_MS)
			return s->h->fail(err, VMF_E_TIMEOUT, 0,
				"LVM goes on by itself; the snapshot is used up then, as LVM's snapshots are",
				"%s is rolled back, but LVM has not finished writing (%s left)",
				lvm_path(s, v->lv), lvm_size_text(s->c, left));
		if (lvm_progress(s->c, what, total - left, total, err) < 0)
			return -1;
	}
	return 0;
}

static int make_again(
	const struct vmf_call *c, const char *name, const struct note *note, struct vmf_error *err)
{
	const struct lvm_lv *v;
	struct lvm s;

	if (lvm_look(c, &s, err) < 0 || lvm_find_or_fail(&s, name, &v, err) < 0)
		return -1;
	if (v->is_merging)
		return s.h->fail(err, VMF_E_STATE, 0, "close it, then: lvchange -an, lvchange -ay",
			"%s was opened meanwhile: LVM rolls it back when it is activated next",
			lvm_path(&s, v->lv));
	if (lvm_find_snapshot(&s, v, note->snapshot) ||
		lvm_make_thick_snapshot(&s, v, note->snapshot, note->bytes, note->created, err) == 0)
		return 0;
	return s.h->context(err, "%s is rolled back, but its snapshot \"%s\" is used up", lvm_path(&s, v->lv),
		note->snapshot);
}

static int finish_thick(
	const struct lvm *s, const struct lvm_lv *v, const struct note *note, struct vmf_error *err)
{
	int rc = wait_merge(s, v, err);

	/* twice: what fails here once would be lost, and nobody could ask for it again */
	if (rc == 0 && make_again(s->c, v->name, note, NULL) < 0)
		rc = make_again(s->c, v->name, note, err);
	/* from now on the volume may be written to, and could not stand for the snapshot any more */
	if (change_tags(s, v->lv, note->text, NULL, NULL) < 0 &&
		change_tags(s, v->lv, note->text, NULL, rc < 0 ? NULL : err) < 0)
		rc = -1;
	return rc;
}

static bool is_begun(const struct lvm *s, const struct lvm_lv *v, const char *snapshot)
{
	struct lvm now;
	const struct lvm_lv *found = lvm_look(s->c, &now, NULL) < 0 ? NULL : lvm_find(&now, v->name);

	return found && (found->is_merging || !lvm_find_snapshot(&now, found, snapshot));
}

static int roll_thick(const struct lvm *s, const struct lvm_lv *v, const struct lvm_lv *snap,
	const char *old_note, struct vmf_error *err)
{
	struct note note = {.snapshot = snap->snapshot, .bytes = snap->size, .created = snap->created};

	if (snap->is_invalid)
		return s->h->fail(err, VMF_E_STATE, 0, "make the next one with a larger snapshot_size",
			"snapshot \"%s\" of %s is of no use: its room for changes ran full", snap->snapshot,
			lvm_path(s, v->lv));
	if (check_room(s, v, snap, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	note.text = s->h->printf(
		s->c, "%s:%" PRIu64 ":%" PRId64, lvm_encode(s->c, snap->snapshot), snap->size, snap->created);
	if (old_note && strcmp(old_note, note.text) == 0)
		old_note = NULL;
	if (change_tags(s, v->lv, old_note, note.text, err) < 0)
		return -1;
	if (!v->is_active && lvm_set_active(s, v->lv, true, err) < 0)
		return -1;
	/* an lvconvert that fails may have begun it all the same */
	if (merge(s, snap->lv, NULL) < 0 && !is_begun(s, v, note.snapshot) && merge(s, snap->lv, err) < 0) {
		change_tags(s, v->lv, note.text, NULL, NULL);
		return -1;
	}
	return finish_thick(s, v, &note, err);
}

/* ---- both ---------------------------------------------------------------------------------- */

int lvm_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags,
	struct vmf_error *err)
{
	const struct lvm_lv *v, *snap;
	struct note note;
	struct lvm s;
	bool is_noted;

	(void)flags; /* later snapshots stay */
	if (lvm_look_at(c, name, &s, &v, err) < 0 || lvm_must_be_there(&s, name, v, err) < 0 ||
		lvm_must_be_ours(&s, v, "rolled back", err) < 0)
		return -1;
	is_noted = read_note(&s, v, &note);
	snap = lvm_find_snapshot(&s, v, snapshot);
	if (is_noted && strcmp(note.snapshot, snapshot) == 0 && (v->is_merging || !snap))
		return c->dry_run ? 0 : finish_thick(&s, v, &note, err);
	if (v->is_merging)
		return s.h->fail(err, VMF_E_STATE, 0,
			"wait until `lvs` no longer shows an O in its attributes", "%s is being rolled back",
			lvm_path(&s, v->lv));
	if (!snap)
		return lvm_no_snapshot(&s, v, snapshot, err);
	if (lvm_must_be_ours(&s, snap, "used to roll back", err) < 0)
		return -1;
	if (v->is_open || lvm_is_claimed(&s, v))
		return s.h->fail(err, VMF_E_STATE, 0, "`stop` the VM first, or unmount it",
			"%s is in use and cannot be rolled back", lvm_device(&s, v->lv));
	if (lvm_must_be_closed(&s, snap, err) < 0)
		return -1;
	return v->kind == LVM_THIN ? roll_thin(&s, v, snap, err) : roll_thick(&s, v, snap, note.text, err);
}
