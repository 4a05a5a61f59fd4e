/* SPDX-License-Identifier: ISC */
/* Bytes from one device to another, around zeroes: a new volume reads as zeroes where nothing was written. */
#include "zv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART ((size_t)64 << 10) /* zeroes of that length are left out */
#define SECTOR 512

char *zv_buffer_new(const struct vmf_call *c, struct vmf_error *err)
{
	void *buffer;

	if (posix_memalign(&buffer, 4096, ZV_BUFFER) == 0)
		return buffer;
	c->host->fail(err, VMF_E_FAILED, ENOMEM, NULL, "no memory to copy with");
	return NULL;
}

void zv_buffer_free(char *buffer)
{
	free(buffer);
}

int zv_progress_add(const struct vmf_call *c, struct zv_progress *p, uint64_t bytes, struct vmf_error *err)
{
	p->done += bytes;
	if (c->host->progress(c, p->what, p->done, p->total) == 0)
		return 0;
	return c->host->fail(err, VMF_E_FAILED, 0, NULL, "stopped while %s", p->what);
}

bool zv_is_zero(const char *data, size_t length)
{
	return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

static int write_all(int fd, const char *data, size_t length, uint64_t offset)
{
	while (length) {
		ssize_t n = pwrite(fd, data, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ENOSPC : errno;
			return -1;
		}
		data += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

static int cannot_write(struct zv_store *s, const char *what, struct vmf_error *err)
{
	return zv_fail_errno(s->c, err, errno,
		errno == EIO || errno == ENOSPC
			? "is the pool full? `zfs list -o space` shows what takes up room"
			: NULL,
		"cannot write %s", what);
}

int zv_write_sparse(struct zv_store *s, int fd, const char *what, char *data, size_t length, uint64_t offset,
	struct vmf_error *err)
{
	size_t tail = length % SECTOR, from = 0, to;

	/* the device takes whole sectors */
	if (tail) {
		memset(data + length, 0, SECTOR - tail);
		length += SECTOR - tail;
	}
	while (from < length) {
		size_t part = length - from < PART ? length - from : PART;

		if (zv_is_zero(data + from, part)) {
			from += part;
			continue;
		}
		for (to = from + part; to < length; to += part) {
			part = length - to < PART ? length - to : PART;
			if (zv_is_zero(data + to, part))
				break;
		}
		if (write_all(fd, data + from, to - from, offset + from) < 0)
			return cannot_write(s, what, err);
		from = to;
	}
	return 0;
}

int zv_sync(struct zv_store *s, int fd, const char *what, struct vmf_error *err)
{
	return fsync(fd) < 0 ? cannot_write(s, what, err) : 0;
}

int zv_copy(struct zv_store *s, int from, uint64_t size, int to, const char *name, struct vmf_error *err)
{
	struct zv_progress progress = {.what = s->h->printf(s->c, "copying to %s", name), .total = size};
	char *buffer = zv_buffer_new(s->c, err);
	int rc = buffer ? 0 : -1;

	while (rc == 0 && progress.done < size) {
		size_t part = size - progress.done < ZV_BUFFER ? (size_t)(size - progress.done) : ZV_BUFFER;
		ssize_t n = pread(from, buffer, part, (off_t)progress.done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = zv_fail_errno(s->c, err, n < 0 ? errno : ENODATA, NULL,
				"cannot read what is to become %s", name);
		else if (zv_write_sparse(s, to, name, buffer, (size_t)n, progress.done, err) < 0 ||
			 zv_progress_add(s->c, &progress, (uint64_t)n, err) < 0)
			rc = -1;
	}
	if (rc == 0)
		rc = zv_sync(s, to, name, err);
	zv_buffer_free(buffer);
	return rc;
}

/* ---- where they come from ----------------------------------------------------------------- */

int zv_source_open(struct zv_store *s, const struct zv_item *item, const char *snapshot, struct zv_temp *t,
	int *fd, struct vmf_error *err)
{
	const char *name = zv_base(item->name);

	*t = (struct zv_temp){.fd = -1};
	if (snapshot) {
		if (zv_temp_of_snapshot(s, zv_full_snapshot(s, name, snapshot), t, err) < 0)
			return -1;
		*fd = t->fd;
		return 0;
	}
	*fd = zv_device_open(s, name, O_RDONLY | O_DIRECT, err);
	zv_unlock(s);
	if (*fd < 0)
		return -1;
	if (!zv_hold(*fd, false))
		s->h->fail(err, VMF_E_BUSY, 0, "stop the VM that uses it, or clone a snapshot of it",
			"%s is open for writing", item->name);
	else if (zv_must_not_be_claimed(s, name, err) == 0)
		return 0;
	close(*fd);
	return -1;
}

void zv_source_close(struct zv_store *s, struct zv_temp *t, int fd)
{
	if (t->name)
		zv_temp_drop(s, t);
	else if (fd >= 0)
		close(fd);
}
