/* SPDX-License-Identifier: ISC */
/*
 * Volumes as block devices. udev makes a link by the volume's name some time after the volume; after a rename
 * an old link may lead to another volume for a while. So the kernel is asked which volume a device is.
 *
 * Who uses a device is told by QEMU's locks on single bytes of its node: byte 100 + N for each right N that
 * it uses, byte 200 + N for each that it grants to nobody else. Right 0 is to read what stays the same, 1 to
 * write, 3 to change the size. What is mounted, or is part of a mapping, is claimed in the kernel.
 */
#include "zv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define ZVOL_FOLDER "/dev/zvol/"
#define BLKZNAME \
	_IOR(0x12, 125, char[256]) /* a zvol's name; from ZFS' headers, which are not installed everywhere \
				    */

#define USED 100
#define DENIED 200
#define READ 0
#define WRITE 1
#define RESIZE 3
#define RIGHTS 64

int64_t zv_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void zv_sleep_ms(int64_t ms)
{
	struct timespec ts = {ms / 1000, (ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

int zv_code_of(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
	case EROFS:
		return VMF_E_PERMISSION;
	case ENOSPC:
	case EDQUOT:
		return VMF_E_NO_SPACE;
	case ENOENT:
		return VMF_E_NOT_FOUND;
	case EBUSY:
		return VMF_E_BUSY;
	default:
		return VMF_E_FAILED;
	}
}

/* ---- opening ------------------------------------------------------------------------------ */

/* zvol_id, which names the links for udev, makes spaces '+', which no volume's name has. */
const char *zv_device_path(const struct zv_store *s, const char *name)
{
	char *path = s->h->printf(s->c, ZVOL_FOLDER "%s/%s", s->dataset, name);

	for (char *at = path; *at; at++)
		if (*at == ' ')
			*at = '+';
	return path;
}

static bool is_volume(const struct zv_store *s, int fd, const char *name)
{
	char now[256] = "";

	return ioctl(fd, BLKZNAME, now) == 0 && strcmp(now, zv_full(s, name)) == 0;
}

int zv_device_peek(const struct zv_store *s, const char *name, int flags)
{
	int fd = open(zv_device_path(s, name), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (is_volume(s, fd, name))
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

static int no_device(struct zv_store *s, const char *name, int errnum, struct vmf_error *err)
{
	const char *path = zv_device_path(s, name);
	int64_t waited = s->h->opt_int(s->c, "device_timeout");

	if (errnum == ENOENT || errnum == ENXIO || errnum == ENODEV)
		return s->h->fail(err, VMF_E_TIMEOUT, 0,
			"does udevd run? is volmode not none? `udevadm trigger` makes lost links again",
			"there is no device %s after %lld ms", path, (long long)waited);
	return zv_fail_errno(s->c, err, errnum,
		errnum == EROFS ? s->h->printf(s->c, "zfs set readonly=off %s, or make the disk readonly",
					  zv_full(s, name))
				: NULL,
		"cannot open %s", path);
}

/* Whether it is worth waiting: the volume is there. Asked only where the device is not. */
static int must_exist(struct zv_store *s, const char *name, struct vmf_error *err)
{
	if (!s->inside.items && zv_look(s, ZV_INSIDE, NULL, err) < 0)
		return -1;
	/* what was made since then is not in the list, but its maker knows that it is there */
	return zv_is_made_up(name, ZV_TEMP) || zv_find_or_fail(s, name, err) ? 0 : -1;
}

int zv_device_open(struct zv_store *s, const char *name, int flags, struct vmf_error *err)
{
	int64_t end, pause = 5;
	int fd = zv_device_peek(s, name, flags);

	if (fd >= 0)
		return fd;
	if (must_exist(s, name, err) < 0)
		return -1;
	end = zv_now_ms() + s->h->opt_int(s->c, "device_timeout");
	if (s->c->deadline_ms && s->c->deadline_ms < end)
		end = s->c->deadline_ms;
	while ((fd = zv_device_peek(s, name, flags)) < 0) {
		if ((errno != ENOENT && errno != ENXIO && errno != ENODEV) || zv_now_ms() >= end)
			return no_device(s, name, errno, err);
		zv_sleep_ms(pause);
		pause = pause < 80 ? pause * 2 : pause;
	}
	return fd;
}

/* ---- who uses it -------------------------------------------------------------------------- */

static bool is_locked(int fd, off_t from, off_t count)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = count};

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

enum zv_use zv_use_of(const struct zv_store *s, const char *name)
{
	int fd = zv_device_peek(s, name, O_RDONLY);
	enum zv_use use = ZV_FREE;

	if (fd < 0)
		return ZV_FREE;
	if (is_locked(fd, USED, DENIED - USED + RIGHTS))
		use = is_locked(fd, USED + WRITE, 1) || is_locked(fd, USED + RESIZE, 1) ? ZV_WRITTEN
											: ZV_READ;
	close(fd);
	return use;
}

const char *zv_locks(const struct zv_store *s)
{
	size_t room = 16384, n = 0;
	char *text = s->h->alloc(s->c, room), *more;
	int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	/* one byte is left for the end */
	while (fd >= 0 && (got = read(fd, text + n, room - n - 1)) > 0) {
		n += (size_t)got;
		if (n + 1 < room)
			continue;
		more = s->h->alloc(s->c, room * 2);
		memcpy(more, text, n);
		text = more;
		room *= 2;
	}
	if (fd >= 0)
		close(fd);
	return got < 0 ? NULL : text;
}

bool zv_is_locked(const struct zv_store *s, const char *name, const char *locks)
{
	struct stat st;

	if (!locks)
		return true; /* nobody knows */
	if (stat(zv_device_path(s, name), &st) < 0)
		return false;
	return strstr(locks, s->h->printf(s->c, " %02x:%02x:%lu ", major(st.st_dev), minor(st.st_dev),
				     (unsigned long)st.st_ino)) != NULL;
}

int zv_must_not_be_claimed(struct zv_store *s, const char *name, struct vmf_error *err)
{
	/* to look is to claim it for a moment, and another vmf may look as well */
	for (int tries = 0; tries < 5; tries++) {
		int fd = zv_device_peek(s, name, O_RDONLY | O_EXCL);

		if (fd >= 0)
			close(fd);
		if (fd >= 0 || errno != EBUSY)
			return 0;
		zv_sleep_ms(20);
	}
	return s->h->fail(err, VMF_E_BUSY, 0,
		"unmount it, or take it out of what it is a part of (see lsblk)",
		"%s is mounted or otherwise claimed on this host", zv_full(s, name));
}

int zv_must_be_free(struct zv_store *s, const char *name, struct vmf_error *err)
{
	if (zv_use_of(s, name) != ZV_FREE)
		return s->h->fail(err, VMF_E_BUSY, 0,
			"stop the VM that uses it, or the qemu-img or qemu-nbd that does", "%s is in use",
			zv_full(s, name));
	return zv_must_not_be_claimed(s, name, err);
}

static bool set_lock(int fd, off_t byte)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool zv_hold(int fd, bool writes)
{
	if ((writes && !set_lock(fd, USED + WRITE)) || !set_lock(fd, USED + READ) ||
		!set_lock(fd, DENIED + WRITE) || !set_lock(fd, DENIED + RESIZE))
		return false;
	return !is_locked(fd, DENIED + READ, 1) && !is_locked(fd, USED + WRITE, 1) &&
	       !is_locked(fd, USED + RESIZE, 1);
}

int zv_size_of(struct zv_store *s, int fd, const char *what, uint64_t *size, struct vmf_error *err)
{
	if (ioctl(fd, BLKGETSIZE64, size) == 0)
		return 0;
	return zv_fail_errno(s->c, err, errno, NULL, "cannot look at the device of %s", what);
}

int zv_device_flush(struct zv_store *s, const char *name, struct vmf_error *err)
{
	int fd = zv_device_peek(s, name, O_RDONLY), rc = 0;

	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return 0; /* without a device nobody can have written */
	if (fd < 0)
		return zv_fail_errno(s->c, err, errno, NULL, "cannot flush %s", zv_device_path(s, name));
	if (fsync(fd) < 0)
		rc = zv_fail_errno(s->c, err, errno, NULL, "cannot flush %s", zv_device_path(s, name));
	close(fd);
	return rc;
}
