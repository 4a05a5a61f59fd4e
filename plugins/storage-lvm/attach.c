/* SPDX-License-Identifier: ISC */
/*
 * A volume's device, for QEMU or for the host. QEMU gets an fd that claims the device (O_EXCL): as long as it
 * lives, nobody else can mount it, or write to it through vmf. Where the device is there no program of lvm's
 * is run: a VM's start does not wait for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lvm.h"

#define NEARLY_FULL 90	      /* percent */
#define ACTIVATED "activated" /* the key of what the host keeps for us */

/* ---- activation ---------------------------------------------------------------------------- */

/* Noted down first, so that whoever tears the VM down takes it back. Calls that are not about a disk keep
 * nothing. */
static int activate(const struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	if (v->is_active)
		return 0;
	if (s->c->slot && s->h->state_set(s->c, ACTIVATED, v->lv, err) < 0)
		return -1;
	return lvm_set_active(s, v->lv, true, err);
}

/* Back to what it was before attach() or map(), unless somebody else uses it by now. */
static int deactivate(const struct vmf_call *c, struct vmf_error *err)
{
	const char *lv = c->slot ? c->host->state_get(c, ACTIVATED) : NULL;
	const struct lvm_lv *found;
	struct lvm s;

	lvm_forget(); /* who used it has closed it */
	if (!lv || c->dry_run)
		return 0;
	if (lvm_look(c, &s, err) < 0)
		return -1;
	found = lvm_find_lv(&s, lv);
	if (found && found->is_active && !found->is_open && lvm_set_active(&s, lv, false, err) < 0)
		return -1;
	return c->host->state_set(c, ACTIVATED, NULL, err);
}

/* ---- is it fit for use? --------------------------------------------------------------------- */

static int is_overflown(const struct lvm *s, const char *lv, struct vmf_error *err)
{
	return s->h->fail(err, VMF_E_STATE, 0,
		"what its guest wrote is lost: remove it and clone anew, with a larger snapshot_size",
		"the room for changes of %s ran full, and LVM has given it up", lvm_path(s, lv));
}

/* What the kernel says of it; *is_thin. */
static int look_at_device(const struct lvm *s, const char *lv, bool *is_thin, struct vmf_error *err)
{
	const char *name = lvm_dm_name(s->c, s->vg, lv, "");
	uint64_t used, total, left;
	struct lvm_dm dm = {.type = ""};

	*is_thin = false;
	if (!lvm_dm_status(name, &dm))
		return 0;
	*is_thin = strcmp(dm.type, "thin") == 0;
	if (strcmp(dm.type, "snapshot") == 0) {
		if (strcmp(dm.params, "Invalid") == 0 || strcmp(dm.params, "Overflow") == 0)
			return is_overflown(s, lv, err);
		if (sscanf(dm.params, "%" SCNu64 "/%" SCNu64, &used, &total) == 2 && total &&
			used >= total / 100 * NEARLY_FULL)
			s->h->log(s->c, VMF_LOG_WARN,
				"the room for changes of %s is %" PRIu64 " %% full: lvextend -L +SIZE %s",
				lvm_path(s, lv), used * 100 / total, lvm_path(s, lv));
	}
	if (*is_thin && lvm_dm_pool_room(name, &left, &total) && total &&
		left <= total / 100 * (100 - NEARLY_FULL))
		s->h->log(s->c, VMF_LOG_WARN,
			"the thin pool of %s has only %s of %s left: guests stop when it is full",
			lvm_path(s, lv), lvm_size_text(s->c, left), lvm_size_text(s->c, total));
	return 0;
}

/* ---- attach -------------------------------------------------------------------------------- */

static int cannot_open(const struct lvm *s, const char *lv, struct vmf_error *err)
{
	const char *device = lvm_device(s, lv);

	if (errno == EBUSY)
		return s->h->fail(err, VMF_E_BUSY, 0,
			s->h->printf(s->c,
				"stop the VM that uses it, or unmount it; `lsof %s` tells what does", device),
			"%s is in use", device);
	if (errno == EROFS || errno == EACCES || errno == EPERM)
		return s->h->fail(err, VMF_E_PERMISSION, errno,
			"set readonly = yes for that disk, or lvchange -p rw", "cannot open %s for writing",
			device);
	return s->h->fail(err, VMF_E_FAILED, errno, NULL, "cannot open %s", device);
}

/* The device as it is there: an fd, or -1 and errno. */
static int open_active(const struct lvm *s, const char *lv, bool readonly)
{
	/* several VMs may read the same volume */
	return lvm_dm_open(s->c, s->vg, lv, readonly ? O_RDONLY : O_RDWR | O_EXCL, NULL);
}

/* A command of LVM's is at work on it, or was and has died: LVM tells, when nothing is at work any more. */
static bool is_suspended(const struct lvm *s, const char *lv)
{
	struct lvm_dm dm;

	if (!lvm_dm_status(lvm_dm_name(s->c, s->vg, lv, ""), &dm) || !dm.is_suspended)
		return false;
	lvm_forget();
	return true;
}

/* Looks for it in LVM's own books, and makes it active: an fd (-1 in a dry run), *lv. -2: err is set. */
static int open_by_lvm(struct lvm *s, const char *name, bool readonly, const char **lv, struct vmf_error *err)
{
	const struct lvm_lv *v;
	int fd;

	if (lvm_look_to_change(s->c, s, err) < 0 || lvm_find_or_fail(s, name, &v, err) < 0)
		return -2;
	*lv = v->lv;
	if (v->is_invalid) {
		is_overflown(s, v->lv, err);
		return -2;
	}
	if (v->is_stuck) {
		s->h->fail(err, VMF_E_STATE, 0,
			s->h->printf(s->c, "lvchange --refresh %s lets it go on", lvm_path(s, v->lv)),
			"%s is suspended: a command of LVM's that was at work on it has died",
			lvm_path(s, v->lv));
		return -2;
	}
	if (s->c->dry_run)
		return -1;
	if (activate(s, v, err) < 0)
		return -2;
	fd = open_active(s, v->lv, readonly);
	if (fd >= 0)
		return fd;
	cannot_open(s, v->lv, err);
	deactivate(s->c, NULL);
	return -2;
}

static void fill(const struct lvm *s, const char *lv, int fd, bool is_thin, struct vmf_block *block)
{
	const struct vmf_call *c = s->c;

	block->layers = c->host->alloc(c, sizeof(*block->layers));
	block->layers[0] = (struct vmf_block_layer){
		.driver = "raw", .path = lvm_device(s, lv), .fd = fd, .is_device = 1};
	block->n_layers = 1;
	block->layer_stride = sizeof(*block->layers);
	block->discard = (uint32_t)c->host->opt_bool(c, "discard");
	block->detect_zeroes = is_thin && c->host->opt_bool(c, "detect_zeroes");
	block->cache = c->host->opt_string(c, "cache");
	block->aio = lvm_opt_aio(c);
}

int lvm_attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err)
{
	struct lvm s = {.c = c,
		.h = c->host,
		.vg = c->host->opt_string(c, "vg"),
		.pool = c->host->opt_string(c, "pool")};
	const char *lv = lvm_encode(c, name);
	bool is_thin, by_lvm;
	int fd;

	if (lvm_opt_check(c, err) < 0)
		return -1;
	by_lvm = c->dry_run || is_suspended(&s, lv);
	fd = by_lvm ? -1 : open_active(&s, lv, block->readonly);
	if (fd < 0 && (by_lvm || errno == ENOENT || errno == ENXIO))
		fd = open_by_lvm(&s, name, block->readonly, &lv, err);
	else if (fd < 0)
		return cannot_open(&s, lv, err);
	if (fd == -2)
		return -1;
	if (look_at_device(&s, lv, &is_thin, err) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	fill(&s, lv, fd, is_thin, block);
	return 0;
}

int lvm_detach(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	(void)name;
	return deactivate(c, err);
}

/* ---- map ----------------------------------------------------------------------------------- */

int lvm_map(const struct vmf_call *c, const char *name, uint32_t writable, char **path, struct vmf_error *err)
{
	const struct lvm_lv *v;
	const char *found;
	struct lvm s;
	int fd;

	if (lvm_look(c, &s, err) < 0 || lvm_find_or_fail(&s, name, &v, err) < 0)
		return -1;
	*path = c->host->strdup(c, lvm_device(&s, v->lv));
	if (v->is_invalid)
		return is_overflown(&s, v->lv, err);
	if (c->dry_run)
		return lvm_is_claimed(&s, v) ? lvm_must_be_closed(&s, v, err) : 0;
	if (activate(&s, v, err) < 0)
		return -1;
	/* claimed for a moment only: it is there, and no VM has it */
	fd = lvm_dm_open(c, s.vg, v->lv, (writable ? O_RDWR : O_RDONLY) | O_EXCL, &found);
	if (fd >= 0) {
		*path = c->host->strdup(c, found);
		close(fd);
		return 0;
	}
	cannot_open(&s, v->lv, err);
	deactivate(c, NULL);
	return -1;
}

int lvm_unmap(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	(void)name;
	return deactivate(c, err);
}
