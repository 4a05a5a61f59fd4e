/* SPDX-License-Identifier: ISC */
/*
 * QEMU's locks on an image, looked at, and taken as a reader.
 *
 * QEMU says by locks on single bytes what it does with an image: byte 100 + N for each right N that it
 * uses, byte 200 + N for each that it grants to nobody else. Right 0 is to read what stays the same, 1 to
 * write, 3 to change the size. They are shared locks of open file descriptions: each side sets its own, then
 * looks for those of others, and they go when QEMU goes.
 */
#include "store.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define USED 100
#define DENIED 200
#define READ 0
#define WRITE 1
#define RESIZE 3
#define RIGHTS 64

static bool is_locked(int fd, off_t from, off_t count)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = count};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

enum fq_use fq_use_of(int fd)
{
	if (!is_locked(fd, USED, DENIED - USED + RIGHTS))
		return FQ_FREE;
	return is_locked(fd, USED + WRITE, 1) || is_locked(fd, USED + RESIZE, 1) ? FQ_WRITTEN : FQ_READ;
}

static bool set_lock(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool fq_hold(int fd)
{
	/* where there are no such locks (some network filesystems) QEMU goes without, too */
	if (!set_lock(fd, USED + READ) || !set_lock(fd, DENIED + WRITE) || !set_lock(fd, DENIED + RESIZE))
		return fq_use_of(fd) != FQ_WRITTEN;
	return !is_locked(fd, DENIED + READ, 1) && !is_locked(fd, USED + WRITE, 1) &&
	       !is_locked(fd, USED + RESIZE, 1);
}

int fq_must_be_free(struct fq_store *s, const struct fq_volume *v, bool readers_too, struct vmf_error *err)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int fd = fq_open(s, v, O_RDONLY, err);
	enum fq_use use;

	if (fd < 0)
		return -1;
	use = fq_use_of(fd);
	/* a qemu-img that was killed with the vmf before us may still be on its way out */
	for (int i = 0; i < 15 && use != FQ_FREE && (use != FQ_READ || readers_too) && !s->c->dry_run; i++) {
		nanosleep(&pause, NULL);
		use = fq_use_of(fd);
	}
	close(fd);
	if (use == FQ_FREE || (use == FQ_READ && !readers_too))
		return 0;
	return s->h->fail(err, VMF_E_BUSY, 0,
		"stop the VM that uses it, or the qemu-img or qemu-nbd that does", "%s is in use", v->path);
}

bool fq_is_live(struct fq_store *s, const struct fq_volume *v)
{
	int fd;
	bool live;

	if (!s->c->vm || !s->c->slot || !s->h->qmp)
		return false;
	fd = fq_open(s, v, O_RDONLY, NULL);
	live = fd >= 0 && fq_use_of(fd) == FQ_WRITTEN;
	if (fd >= 0)
		close(fd);
	/* not if the VM is off, and somebody else writes */
	return live && s->h->qmp(s->c, "query-status", NULL, -1, NULL, NULL, NULL) == 0;
}
