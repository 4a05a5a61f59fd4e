/* SPDX-License-Identifier: ISC */
/* One look at the volume group, and the questions that every call asks of it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lvm.h"

#define OPEN_MS 50
#define OPEN_TRIES 40
#define FULL 9500 /* hundredths: a pool with more in it is too full for anything new */

/* ---- looking ------------------------------------------------------------------------------ */

static int ask(struct lvm *s, const char *program, const char *fields, struct vmf_error *err)
{
	int64_t began = lvm_now_ms();
	struct lvm_args a;
	char *json;

	lvm_args(s->c, &a, program, "--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields,
		s->vg, LVM_END);
	if (lvm_run(s->c, &a, &json, err) < 0)
		return s->h->context(err, "%s", s->h->opt_origin(s->c, "vg"));
	return lvm_report(s, json, lvm_now_ms() - began, err);
}

/* A volume whose rolling back was interrupted between its two selves is the old one. */
static void settle(struct lvm *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct lvm_lv *lv = &s->lvs[i];
		const char *stem = lv->is_ours ? lvm_stem(s->c, lv->lv, LVM_OLD_SUFFIX) : NULL;

		if (stem && !lvm_find_lv(s, stem))
			lv->name = lvm_decode(s->c, stem);
		else
			lv->is_aside = stem || (lv->is_ours && lvm_stem(s->c, lv->lv, LVM_NEW_SUFFIX));
	}
}

int lvm_look(const struct vmf_call *c, struct lvm *s, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	int rc;

	*s = (struct lvm){.c = c, .h = h, .vg = h->opt_string(c, "vg"), .pool = h->opt_string(c, "pool")};
	if (lvm_opt_check(c, err) < 0)
		return -1;
	rc = lvm_report_kept(s) ? 1 : ask(s, "lvs", LVM_LVS_FIELDS, err);
	if (rc == 0) /* not a single LV: only vgs tells the VG's size */
		rc = ask(s, "vgs", LVM_VGS_FIELDS, err);
	if (rc < 0)
		return -1;
	if (rc == 0 || !s->extent)
		return h->fail(err, VMF_E_NOT_FOUND, 0, "`vgs` shows the volume groups; vgcreate makes one",
			"%s: no volume group \"%s\"", h->opt_origin(c, "vg"), s->vg);
	settle(s);
	if (!s->pool)
		return 0;
	s->pool_lv = lvm_find_lv(s, s->pool);
	if (s->pool_lv && s->pool_lv->kind == LVM_POOL)
		return 0;
	return h->fail(err, s->pool_lv ? VMF_E_CONFIG : VMF_E_NOT_FOUND, 0,
		h->printf(c,
			"lvcreate --type thin-pool -L SIZE -n %s %s makes one; without `pool` volumes are "
			"thick",
			s->pool, s->vg),
		s->pool_lv ? "%s: %s/%s is no thin pool" : "%s: there is no thin pool %s/%s",
		h->opt_origin(c, "pool"), s->vg, s->pool);
}

int lvm_look_to_change(const struct vmf_call *c, struct lvm *s, struct vmf_error *err)
{
	if (lvm_look(c, s, err) < 0)
		return -1;
	return lvm_tidy(s) ? lvm_look(c, s, err) : 0;
}

int lvm_look_at(const struct vmf_call *c, const char *name, struct lvm *s, const struct lvm_lv **v,
	struct vmf_error *err)
{
	if (lvm_look_to_change(c, s, err) < 0)
		return -1;
	*v = lvm_find(s, name);
	if (!s->is_kept || (*v && !(*v)->is_open))
		return 0;
	lvm_forget();
	return lvm_look_at(c, name, s, v, err);
}

/* ---- finding ------------------------------------------------------------------------------ */

bool lvm_is_temp(const struct lvm_lv *lv)
{
	return lv->is_ours && strncmp(lv->lv, LVM_TEMP_PREFIX, strlen(LVM_TEMP_PREFIX)) == 0;
}

bool lvm_is_volume(const struct lvm_lv *lv)
{
	return lv->kind != LVM_POOL && !lv->snapshot && !lvm_is_temp(lv) && !lv->is_aside;
}

const struct lvm_lv *lvm_find_lv(const struct lvm *s, const char *lv)
{
	for (size_t i = 0; lv && i < s->count; i++)
		if (strcmp(s->lvs[i].lv, lv) == 0)
			return &s->lvs[i];
	return NULL;
}

const struct lvm_lv *lvm_find(const struct lvm *s, const char *name)
{
	for (size_t i = 0; i < s->count; i++)
		if (lvm_is_volume(&s->lvs[i]) && strcmp(s->lvs[i].name, name) == 0)
			return &s->lvs[i];
	return NULL;
}

int lvm_must_be_there(const struct lvm *s, const char *name, const struct lvm_lv *v, struct vmf_error *err)
{
	if (v)
		return 0;
	return s->h->fail(err, VMF_E_NOT_FOUND, 0, s->h->printf(s->c, "`lvs %s` shows what there is", s->vg),
		"there is no volume \"%s\" in volume group %s", name, s->vg);
}

int lvm_find_or_fail(const struct lvm *s, const char *name, const struct lvm_lv **v, struct vmf_error *err)
{
	*v = lvm_find(s, name);
	return lvm_must_be_there(s, name, *v, err);
}

int lvm_find_none(const struct lvm *s, const char *name, const char **lv, struct vmf_error *err)
{
	*lv = lvm_encode(s->c, name);
	if (lvm_name_check(s, name, *lv, err) < 0)
		return -1;
	if (!lvm_find(s, name) && !lvm_find_lv(s, *lv))
		return 0;
	return s->h->fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that volume first",
		"%s exists", lvm_path(s, *lv));
}

bool lvm_is_claimed(const struct lvm *s, const struct lvm_lv *v)
{
	int fd = v->is_active ? lvm_dm_open(s->c, s->vg, v->lv, O_RDONLY | O_EXCL, NULL) : -1;

	if (fd < 0)
		return v->is_active && (v->is_open || errno == EBUSY);
	close(fd);
	return false;
}

/* ---- what must hold ------------------------------------------------------------------------ */

int lvm_must_be_ours(const struct lvm *s, const struct lvm_lv *v, const char *doing, struct vmf_error *err)
{
	if (v->is_ours)
		return 0;
	return s->h->fail(err, VMF_E_PERMISSION, 0,
		"vmf changes only what it made; if it is yours to change, use lvm's own commands",
		"%s was not made by vmf (it has no tag \"vmf\") and is not %s", lvm_path(s, v->lv), doing);
}

int lvm_must_be_closed(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	const char *name = lvm_dm_name(s->c, s->vg, v->lv, "");
	struct lvm_dm dm = {.is_open = v->is_open};

	if (!v->is_open)
		return 0;
	/* udev looks into a device that was written to when that is closed */
	for (unsigned tries = 0; lvm_dm_status(name, &dm) && dm.is_open && tries < OPEN_TRIES; tries++)
		nanosleep(&(struct timespec){0, OPEN_MS * 1000000}, NULL);
	if (!dm.is_open)
		return 0;
	return s->h->fail(err, VMF_E_BUSY, 0,
		s->h->printf(s->c, "stop the VM that uses it, or unmount it; `lsof %s` tells what does",
			lvm_device(s, v->lv)),
		"%s is in use", lvm_device(s, v->lv));
}

/* ---- space -------------------------------------------------------------------------------- */

uint64_t lvm_round_up(const struct lvm *s, uint64_t bytes)
{
	return (bytes + s->extent - 1) / s->extent * s->extent;
}

int lvm_need_space(const struct lvm *s, uint64_t bytes, const char *what, struct vmf_error *err)
{
	if (lvm_round_up(s, bytes) <= s->vg_free)
		return 0;
	return s->h->fail(err, VMF_E_NO_SPACE, 0,
		"remove volumes or snapshots, or give the volume group a disk (vgextend)",
		"volume group %s has %s left, but %s takes %s", s->vg, lvm_size_text(s->c, s->vg_free), what,
		lvm_size_text(s->c, lvm_round_up(s, bytes)));
}

static int pool_is_full(const struct lvm *s, const struct lvm_lv *p, bool of_metadata, const char *what,
	struct vmf_error *err)
{
	const char *path = lvm_path(s, p->lv);

	return s->h->fail(err, VMF_E_NO_SPACE, 0,
		s->h->printf(s->c, "lvextend %s %s, or remove volumes or snapshots of it",
			of_metadata ? "--poolmetadatasize +SIZE" : "-L +SIZE", path),
		"the %s of thin pool %s (%s) is %s full: too full for %s", of_metadata ? "metadata" : "data",
		path, lvm_size_text(s->c, p->size), lvm_percent_text(s->c, of_metadata ? p->meta : p->data),
		what);
}

int lvm_need_pool(
	const struct lvm *s, const char *pool, uint64_t bytes, const char *what, struct vmf_error *err)
{
	const struct lvm_lv *p = lvm_find_lv(s, pool);
	uint64_t left;

	if (!p)
		return 0;
	if (strchr("FM", p->health))
		return s->h->fail(err, VMF_E_FAILED, 0, "see lvmthin(7), \"Metadata check and repair\"",
			"thin pool %s %s", lvm_path(s, p->lv),
			p->health == 'F' ? "has failed" : "has read-only metadata");
	if (p->meta >= FULL)
		return pool_is_full(s, p, true, what, err);
	if (p->data >= FULL || p->health == 'D')
		return pool_is_full(s, p, false, what, err);
	if (p->data < 0) /* it is not active: nobody knows */
		return 0;
	left = p->size / 10000 * (uint64_t)(10000 - p->data);
	if (bytes <= left)
		return 0;
	return s->h->fail(err, VMF_E_NO_SPACE, 0,
		s->h->printf(s->c, "lvextend -L +SIZE %s, or remove volumes or snapshots of it",
			lvm_path(s, p->lv)),
		"thin pool %s has %s left, but %s takes %s", lvm_path(s, p->lv), lvm_size_text(s->c, left),
		what, lvm_size_text(s->c, bytes));
}

/* ---- names and small commands -------------------------------------------------------------- */

const char *lvm_path(const struct lvm *s, const char *lv)
{
	return s->h->printf(s->c, "%s/%s", s->vg, lv);
}

const char *lvm_device(const struct lvm *s, const char *lv)
{
	return s->h->printf(s->c, "/dev/%s/%s", s->vg, lv);
}

void lvm_add_mark(const struct lvm *s, struct lvm_args *a)
{
	lvm_args_add(a, "--addtag", "vmf", LVM_END);
	if (s->c->vm && s->c->vm->uuid && *s->c->vm->uuid)
		lvm_args_add(a, "--addtag", s->h->printf(s->c, "vmf.vm=%s", lvm_encode(s->c, s->c->vm->uuid)),
			LVM_END);
}

/* How often that is said. */
static size_t count_words(const char *text, const char *words)
{
	size_t n = 0;

	for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
		n++;
	return n;
}

int lvm_remove_lvs(const struct lvm *s, const struct lvm_lv *const *lvs, size_t count, struct vmf_error *err)
{
	const char *uuids = NULL;
	struct lvm_args a;
	struct lvm now;
	char *out;

	/* Chosen under LVM's own lock: what took its place meanwhile stays, and so does what others stand on
	 * now. */
	for (size_t i = 0; i < count; i++)
		uuids = s->h->printf(
			s->c, "%s%slv_uuid=\"%s\"", uuids ? uuids : "", uuids ? " || " : "", lvs[i]->uuid);
	lvm_args(s->c, &a, "lvremove", "--yes", "--select",
		s->h->printf(s->c, "(%s) && lv_tags=vmf && lv_role!=thickorigin", uuids), LVM_END);
	for (size_t i = 0; i < count; i++)
		lvm_args_add(&a, lvm_path(s, lvs[i]->lv), LVM_END);
	if (lvm_run(s->c, &a, &out, err) < 0)
		return -1;
	if (count_words(out, "successfully removed") >= count) {
		for (size_t i = 0; i < count; i++)
			lvm_dm_sweep(s->c, s->vg, lvs[i]->uuid);
		return 0;
	}
	if (lvm_look(s->c, &now, err) < 0)
		return -1;
	for (size_t i = 0; i < now.count; i++)
		for (size_t k = 0; k < count; k++)
			if (strcmp(now.lvs[i].uuid, lvs[k]->uuid) == 0)
				return s->h->fail(err, VMF_E_STATE, 0, "`lvs` shows what stands on it",
					"%s stays: something stands on it", lvm_path(s, lvs[k]->lv));
	return 0; /* somebody else was quicker */
}

int lvm_remove_lv(const struct lvm *s, const struct lvm_lv *lv, struct vmf_error *err)
{
	return lvm_remove_lvs(s, &lv, 1, err);
}

int lvm_refresh(const struct lvm *s, const char *lv, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvchange", "--refresh", lvm_path(s, lv), LVM_END);
	return lvm_try(s->c, &a, NULL, err);
}

int lvm_rename_lv(const struct lvm *s, const char *from, const char *to, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvrename", s->vg, from, to, LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

int lvm_set_active(const struct lvm *s, const char *lv, bool on, struct vmf_error *err)
{
	struct lvm_args a;

	lvm_args(s->c, &a, "lvchange", on ? "-ay" : "-an", LVM_END);
	if (on) /* snapshots of thin volumes are to be passed over */
		lvm_args_add(&a, "-K", LVM_END);
	lvm_args_add(&a, lvm_path(s, lv), LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}
