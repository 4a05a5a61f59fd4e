/* SPDX-License-Identifier: ISC */
/*
 * Volumes that are not whole yet, and clones through which a snapshot is read: they have names of ours and
 * vmf's mark. Who works on one keeps its device open and shows that by a lock on it, from before the store's
 * lock is let go of until after it is taken again. So what has such a name while the store is locked, and no
 * such lock, is a dead one's.
 */
#include "zv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define ZFS_NODE "/dev/zfs" /* one for all of the machine, and the lock goes when we do */
#define LOCK_MS 60000
#define SETTLE_MS 2000

/* ---- the lock ----------------------------------------------------------------------------- */

void zv_settle(void)
{
	int fd = open(ZFS_NODE, O_RDONLY | O_CLOEXEC);
	int64_t end = zv_now_ms() + SETTLE_MS;

	if (fd < 0)
		return;
	while (flock(fd, LOCK_SH | LOCK_NB) < 0 && (errno == EWOULDBLOCK || errno == EINTR) &&
		zv_now_ms() < end)
		zv_sleep_ms(5);
	close(fd);
}

int zv_lock(struct zv_store *s, struct vmf_error *err)
{
	int64_t end = zv_now_ms() + LOCK_MS;
	int errnum;

	if (s->lock_fd >= 0)
		return 0;
	s->lock_fd = open(ZFS_NODE, O_RDONLY | O_CLOEXEC);
	/* zfs loads the module if it is not, or says why it cannot */
	if (s->lock_fd < 0 && errno == ENOENT) {
		if (zv_look(s, ZV_SELF, NULL, err) < 0)
			return -1;
		s->lock_fd = open(ZFS_NODE, O_RDONLY | O_CLOEXEC);
	}
	if (s->lock_fd < 0)
		return zv_fail_errno(s->c, err, errno, NULL, "cannot open %s", ZFS_NODE);
	while (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if ((errno == EWOULDBLOCK || errno == EINTR) && zv_now_ms() < end) {
			zv_sleep_ms(5);
			continue;
		}
		errnum = errno;
		zv_unlock(s);
		if (errnum == EWOULDBLOCK)
			return s->h->fail(err, VMF_E_BUSY, 0,
				"try again later, or see what it waits for: lsof " ZFS_NODE,
				"another vmf is at work on the pool");
		return zv_fail_errno(s->c, err, errnum, NULL, "cannot lock %s", ZFS_NODE);
	}
	return 0;
}

void zv_unlock(struct zv_store *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}

/* ---- who works on what has no device yet ---------------------------------------------------- */

/* A byte of zfs' node for each name: the lock's position is the name's number. */
static struct flock claim_of(const char *name)
{
	return (struct flock){.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)(strtoull(name + strlen(ZV_TEMP), NULL, 16) & INT64_MAX),
		.l_len = 1};
}

int zv_temp_claim(const char *name)
{
	struct flock lock = claim_of(name);
	int fd = open(ZFS_NODE, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_claimed(const char *name)
{
	struct flock lock = claim_of(name);
	int fd = open(ZFS_NODE, O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;

	if (fd >= 0)
		close(fd);
	return is;
}

/* ---- making ------------------------------------------------------------------------------- */

static void destroy(struct zv_store *s, const char *name, const char *how)
{
	const char *const argv[] = {
		"zfs", "destroy", how ? how : zv_full(s, name), how ? zv_full(s, name) : NULL, NULL};

	/* where it stays, it goes with the next change in this dataset */
	zv_zfs(s, argv, NULL);
}

/* It may be there all the same: a zfs that took too long. */
static void forget_temp(struct zv_store *s, struct zv_temp *t)
{
	destroy(s, t->name, NULL);
	t->name = NULL;
}

static int open_new(struct zv_store *s, struct zv_temp *t, int flags, struct vmf_error *err)
{
	t->fd = zv_device_open(s, t->name, flags, err);
	if (t->fd < 0) {
		forget_temp(s, t);
		return -1;
	}
	zv_hold(t->fd, (flags & O_ACCMODE) != O_RDONLY);
	zv_unlock(s);
	return 0;
}

int zv_temp_new(struct zv_store *s, uint64_t size, struct zv_temp *t, struct vmf_error *err)
{
	const char *argv[16] = {"zfs", "create", "-V", s->h->printf(s->c, "%" PRIu64, size)};
	size_t n = 4;

	*t = (struct zv_temp){.name = zv_make_up(s, ZV_TEMP), .fd = -1};
	zv_opt_new(s, argv, &n, false);
	argv[n++] = zv_full(s, t->name);
	argv[n] = NULL;
	if (zv_zfs(s, argv, err) < 0) {
		forget_temp(s, t);
		return -1;
	}
	/* around the host's page cache: what is copied is not looked at again here */
	return open_new(s, t, O_RDWR | O_DIRECT, err);
}

int zv_temp_of_snapshot(struct zv_store *s, const char *snapshot, struct zv_temp *t, struct vmf_error *err)
{
	const char *argv[16] = {"zfs", "clone", "-o", "readonly=on"};
	size_t n = 4;

	*t = (struct zv_temp){.name = zv_make_up(s, ZV_TEMP), .fd = -1};
	zv_opt_new(s, argv, &n, true);
	argv[n++] = snapshot;
	argv[n++] = zv_full(s, t->name);
	argv[n] = NULL;
	if (zv_zfs(s, argv, err) < 0) {
		forget_temp(s, t);
		return -1;
	}
	return open_new(s, t, O_RDONLY | O_DIRECT, err);
}

/* ---- ending ------------------------------------------------------------------------------- */

static void let_go(struct zv_temp *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->name = NULL;
}

int zv_temp_publish(struct zv_store *s, struct zv_temp *t, const char *name, struct vmf_error *err)
{
	const char *const argv[] = {"zfs", "rename", zv_full(s, t->name), zv_full(s, name), NULL};

	int rc = zv_lock(s, err);

	if (rc == 0)
		rc = zv_zfs(s, argv, err);
	if (rc < 0)
		zv_temp_drop(s, t);
	else
		let_go(t);
	return rc;
}

void zv_temp_drop(struct zv_store *s, struct zv_temp *t)
{
	const char *name = t->name;

	let_go(t);
	if (name)
		destroy(s, name, NULL);
}

void zv_temp_drop_all(struct zv_store *s, struct zv_temp *t)
{
	const char *name = t->name;

	let_go(t);
	destroy(s, name, "-r");
}

bool zv_temp_clean(struct zv_store *s)
{
	bool found = false;

	for (size_t i = 0; i < s->inside.count; i++) {
		const struct zv_item *item = &s->inside.items[i];
		/* what was being received has snapshots */
		const char *const argv[] = {"zfs", "destroy", "-r", item->name, NULL};
		const char *name = zv_base(item->name);

		if (!item->is_ours || !zv_is_made_up(name, ZV_TEMP) || zv_use_of(s, name) != ZV_FREE ||
			is_claimed(name))
			continue;
		if (zv_zfs(s, argv, NULL) < 0)
			continue;
		s->h->log(s->c, VMF_LOG_INFO, "removed %s, which an interrupted run left behind", item->name);
		found = true;
	}
	return found;
}
