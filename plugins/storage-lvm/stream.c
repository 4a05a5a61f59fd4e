/* SPDX-License-Identifier: ISC */
/* A volume's content as a stream of raw bytes, out and in. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lvm.h"

#define HOLE ((size_t)64 << 10)

/* The caller's fd may not block. */
static void wait_until(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	poll(&p, 1, -1);
}

/* ---- out ----------------------------------------------------------------------------------- */

struct out {
	const struct lvm *s;
	const char *path;
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
			return o->s->h->fail(err, errno == ENOSPC ? VMF_E_NO_SPACE : VMF_E_FAILED, errno,
				errno == EPIPE ? "the other end has stopped reading" : NULL, "cannot send %s",
				o->path);
		data += n;
		length -= (size_t)n;
		o->end += n;
	}
	return 0;
}

static int put_block(struct out *o, const char *data, size_t length, struct vmf_error *err)
{
	for (size_t at = 0, part; at < length; at += part) {
		part = o->is_file && length - at > HOLE ? HOLE : length - at;
		if (o->is_file && lvm_is_zero(data + at, part))
			o->end += (off_t)part;
		else if (put(o, data + at, part, err) < 0)
			return -1;
	}
	return 0;
}

static int send_all(struct lvm_source *source, struct out *o, char *buffer, struct vmf_error *err)
{
	const char *what = o->s->h->printf(o->s->c, "sending %s", source->v->name);

	for (uint64_t at = 0, part; at < source->size; at += part) {
		part = source->size - at < LVM_BLOCK ? source->size - at : LVM_BLOCK;
		if (lvm_source_read(source, at, buffer, (size_t)part, err) < 0 ||
			put_block(o, buffer, (size_t)part, err) < 0 ||
			lvm_progress(o->s->c, what, at + part, source->size, err) < 0)
			return -1;
	}
	if (!o->is_file)
		return 0;
	if (ftruncate(o->fd, o->end) < 0)
		return o->s->h->fail(err, VMF_E_FAILED, errno, NULL, "cannot send %s", o->path);
	/* whoever goes on writing there does so behind us */
	lseek(o->fd, o->end, SEEK_SET);
	return 0;
}

int lvm_send(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err)
{
	struct lvm_source source;
	const struct lvm_lv *v;
	struct lvm s;
	struct out o = {.s = &s, .fd = fd};
	struct stat st;
	char *buffer;
	int rc = -1;

	if (lvm_look(c, &s, err) < 0 || lvm_find_or_fail(&s, name, &v, err) < 0 ||
		lvm_source_open(&s, v, &source, err) < 0)
		return -1;
	if (c->dry_run)
		return 0;
	o.path = source.path;
	o.end = lseek(fd, 0, SEEK_CUR);
	/* only behind a file's end is what is left out a hole; an fd that appends puts its bytes there itself
	 */
	o.is_file = o.end >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && o.end == st.st_size &&
		    !(fcntl(fd, F_GETFL) & O_APPEND);
	buffer = lvm_buffer_new(c, err);
	if (buffer)
		rc = send_all(&source, &o, buffer, err);
	free(buffer);
	lvm_source_close(&source);
	return rc;
}

/* ---- in ------------------------------------------------------------------------------------ */

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

static int receive_all(struct lvm_sink *sink, uint64_t size, int fd, char *buffer, struct vmf_error *err)
{
	const struct vmf_call *c = sink->s->c;
	const char *what = c->host->printf(c, "receiving %s", sink->name);

	for (uint64_t at = 0; at < size;) {
		size_t part = size - at < LVM_BLOCK ? (size_t)(size - at) : LVM_BLOCK, have;

		if (fill(fd, buffer, part, &have) < 0)
			return c->host->fail(err, VMF_E_FAILED, errno, NULL,
				"cannot read what is to become \"%s\"", sink->name);
		if (have < part)
			return c->host->fail(err, VMF_E_FAILED, 0, "the sender has failed, or the connection",
				"the stream for \"%s\" ended after %" PRIu64 " of %" PRIu64 " bytes",
				sink->name, at + have, size);
		if (lvm_sink_put(sink, at, buffer, part, err) < 0)
			return -1;
		at += part;
		if (lvm_progress(c, what, at, size, err) < 0)
			return -1;
	}
	/* the last extent's end */
	size = (size + 4095) & ~(uint64_t)4095;
	return size < sink->size ? lvm_sink_zero(sink, size, sink->size - size, err) : 0;
}

int lvm_receive(
	const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err)
{
	struct lvm_sink sink;
	struct lvm s;
	char *buffer;
	int rc = -1;

	if (size_bytes == 0 || size_bytes > LVM_MAX_SIZE)
		return c->host->fail(err, VMF_E_USAGE, 0, NULL,
			"a volume of %" PRIu64 " bytes cannot be made", size_bytes);
	if (lvm_look_to_change(c, &s, err) < 0 || lvm_sink_open(&s, name, size_bytes, &sink, err) < 0)
		return -1;
	if (c->dry_run)
		return 0;
	buffer = lvm_buffer_new(c, err);
	if (buffer && receive_all(&sink, size_bytes, fd, buffer, err) == 0)
		rc = lvm_sink_publish(&sink, err);
	else
		lvm_sink_drop(&sink);
	free(buffer);
	return rc;
}
