/* SPDX-License-Identifier: ISC */
/* A volume's content as a stream of raw bytes, out and in. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zv.h"

/* The caller's fd may not block. */
static void wait_until(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	poll(&p, 1, -1);
}

/* ---- out ---------------------------------------------------------------------------------- */

struct out {
	struct zv_store *s;
	const char *name;
	int fd;
	bool is_file; /* a hole can be left */
	off_t end;    /* is_file: where the next byte goes */
};

static int put(struct out *o, const char *data, size_t length, struct vmf_error *err)
{
	while (length) {
		ssize_t n = o->is_file ? pwrite(o->fd, data, length, o->end) : write(o->fd, data, length);

		if (n < 0 && errno == EAGAIN)
			wait_until(o->fd, POLLOUT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return zv_fail_errno(o->s->c, err, errno,
				errno == EPIPE ? "the other end has stopped reading" : NULL, "cannot send %s",
				o->name);
		data += n;
		length -= (size_t)n;
		o->end += n;
	}
	return 0;
}

static int put_sparse(struct out *o, const char *data, size_t length, struct vmf_error *err)
{
	if (!o->is_file || !zv_is_zero(data, length))
		return put(o, data, length, err);
	o->end += (off_t)length;
	return 0;
}

static int send_device(struct out *o, int from, uint64_t size, char *buffer, struct vmf_error *err)
{
	const struct vmf_call *c = o->s->c;
	struct zv_progress progress = {.what = c->host->printf(c, "sending %s", o->name), .total = size};

	while (progress.done < size) {
		size_t part = size - progress.done < ZV_BUFFER ? (size_t)(size - progress.done) : ZV_BUFFER;
		ssize_t n = pread(from, buffer, part, (off_t)progress.done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return zv_fail_errno(
				c, err, n < 0 ? errno : ENODATA, NULL, "cannot read %s", o->name);
		if (put_sparse(o, buffer, (size_t)n, err) < 0 ||
			zv_progress_add(c, &progress, (uint64_t)n, err) < 0)
			return -1;
	}
	if (o->is_file && ftruncate(o->fd, o->end) < 0)
		return zv_fail_errno(c, err, errno, NULL, "cannot send %s", o->name);
	/* whoever goes on writing there does so behind us */
	if (o->is_file)
		lseek(o->fd, o->end, SEEK_SET);
	return 0;
}

static int send_found(struct zv_store *s, const struct zv_item *volume, int fd, struct vmf_error *err)
{
	struct out o = {.s = s, .name = volume->name, .fd = fd, .end = lseek(fd, 0, SEEK_CUR)};
	struct zv_temp none;
	struct stat st;
	uint64_t size;
	char *buffer;
	int from, rc = -1;

	/* only behind a file's end is what is left out a hole; an fd that appends puts its bytes there itself
	 */
	o.is_file = o.end >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && o.end == st.st_size &&
		    !(fcntl(fd, F_GETFL) & O_APPEND);
	if (zv_source_open(s, volume, NULL, &none, &from, err) < 0)
		return -1;
	buffer = zv_buffer_new(s->c, err);
	if (buffer && zv_size_of(s, from, volume->name, &size, err) == 0)
		rc = s->c->dry_run ? 0 : send_device(&o, from, size, buffer, err);
	zv_buffer_free(buffer);
	zv_source_close(s, &none, from);
	return rc;
}

int zv_send(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err)
{
	const struct zv_item *volume;
	struct zv_store s;
	int rc = -1;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	if (zv_look(&s, ZV_INSIDE, NULL, err) == 0 && (volume = zv_find_or_fail(&s, name, err)))
		rc = send_found(&s, volume, fd, err);
	zv_close(&s);
	return rc;
}

/* ---- in ----------------------------------------------------------------------------------- */

/* Fills the buffer as far as LENGTH; less only at the stream's end. */
static int fill(int fd, char *buffer, size_t length, size_t *have)
{
	for (*have = 0; *have < length;) {
		ssize_t n = read(fd, buffer + *have, length - *have);

		if (n < 0 && errno == EAGAIN)
			wait_until(fd, POLLIN);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			return 0;
		*have += (size_t)n;
	}
	return 0;
}

static int receive_all(struct zv_store *s, const struct zv_temp *t, const char *name, uint64_t size, int fd,
	struct vmf_error *err)
{
	const struct vmf_call *c = s->c;
	struct zv_progress progress = {.what = c->host->printf(c, "receiving %s", name), .total = size};
	char *buffer = zv_buffer_new(c, err);
	int rc = buffer ? 0 : -1;

	while (rc == 0 && progress.done < size) {
		size_t part = size - progress.done < ZV_BUFFER ? (size_t)(size - progress.done) : ZV_BUFFER,
		       have;

		if (fill(fd, buffer, part, &have) < 0)
			rc = zv_fail_errno(c, err, errno, NULL, "cannot read what is to become %s", name);
		else if (have < part)
			rc = c->host->fail(err, VMF_E_FAILED, 0, "the sender has failed, or the connection",
				"the stream for %s ended after %" PRIu64 " of %" PRIu64 " bytes", name,
				progress.done + have, size);
		else if (zv_write_sparse(s, t->fd, name, buffer, part, progress.done, err) < 0 ||
			 zv_progress_add(c, &progress, part, err) < 0)
			rc = -1;
	}
	if (rc == 0)
		rc = zv_sync(s, t->fd, name, err);
	zv_buffer_free(buffer);
	return rc;
}

static int receive_new(struct zv_store *s, const char *name, uint64_t size, int fd, struct vmf_error *err)
{
	struct zv_temp t;

	if (zv_temp_new(s, size, &t, err) < 0)
		return -1;
	if (receive_all(s, &t, name, size, fd, err) == 0)
		return zv_temp_publish(s, &t, name, err);
	zv_temp_drop(s, &t);
	return -1;
}

int zv_receive(const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err)
{
	struct zv_store s;
	int rc = -1;

	if (zv_size_check(c, size_bytes, err) < 0 || zv_open(c, &s, err) < 0 ||
		zv_name_check(&s, name, err) < 0)
		return -1;
	if (zv_begin(&s, ZV_INSIDE, NULL, err) == 0 && zv_find_none(&s, name, err) == 0 &&
		(c->host->opt_bool(c, "sparse") || zv_need_space(&s, name, size_bytes, err) == 0))
		rc = c->dry_run ? 0 : receive_new(&s, name, size_bytes, fd, err);
	zv_close(&s);
	return rc;
}
