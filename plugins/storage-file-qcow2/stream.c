/* SPDX-License-Identifier: ISC */
/* A volume's content as a stream of raw bytes, out and in. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qcow2.h"

#define HOLE ((size_t)64 << 10) /* zeroes of that length are not stored */

/* The caller's fd may not block. */
static void wait_until(int fd, short events)
{
	struct pollfd p = {fd, events, 0};

	poll(&p, 1, -1);
}

/* ---- out ---------------------------------------------------------------------------------- */

struct out {
	struct fq_store *s;
	int fd;
	bool is_file; /* a hole can be left */
	off_t end;    /* is_file: where the next byte goes */
	const char *path;
	char *buffer;
	const char *zeroes;
	struct fq_progress progress;
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
			return fq_fail_errno(o->s->c, err, errno,
				errno == EPIPE ? "the other end has stopped reading" : NULL, "cannot send %s",
				o->path);
		data += n;
		length -= (size_t)n;
		o->end += n;
	}
	return 0;
}

static int put_zeroes(struct out *o, uint64_t length, struct vmf_error *err)
{
	if (o->is_file) {
		o->end += (off_t)length;
		return fq_progress_add(o->s, &o->progress, length, o->path, err);
	}
	while (length) {
		size_t part = length < FQ_BUFFER ? (size_t)length : FQ_BUFFER;

		if (put(o, o->zeroes, part, err) < 0 ||
			fq_progress_add(o->s, &o->progress, part, o->path, err) < 0)
			return -1;
		length -= part;
	}
	return 0;
}

static int put_data(struct out *o, const struct fq_extent *e, struct vmf_error *err)
{
	for (uint64_t done = 0; done < e->length;) {
		size_t part = e->length - done < FQ_BUFFER ? (size_t)(e->length - done) : FQ_BUFFER;
		ssize_t n = pread(e->fd, o->buffer, part, (off_t)(e->at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fq_fail_errno(o->s->c, err, errno, NULL, "cannot read %s", o->path);
		if (n == 0) /* the file ends before its last cluster does */
			return put_zeroes(o, e->length - done, err);
		if (put(o, o->buffer, (size_t)n, err) < 0 ||
			fq_progress_add(o->s, &o->progress, (uint64_t)n, o->path, err) < 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

static int send_content(struct fq_content *content, struct out *o, struct vmf_error *err)
{
	struct fq_extent e;
	int rc = 0;

	o->progress.total = content->size;
	for (uint64_t offset = 0; rc == 0 && offset < content->size; offset += e.length) {
		rc = fq_content_next(content, offset, &e, err);
		if (rc == 0)
			rc = e.kind == FQ_DATA ? put_data(o, &e, err) : put_zeroes(o, e.length, err);
	}
	if (rc == 0 && o->is_file && ftruncate(o->fd, o->end) < 0)
		rc = fq_fail_errno(o->s->c, err, errno, NULL, "cannot send %s", o->path);
	/* whoever goes on writing there does so behind us */
	if (rc == 0 && o->is_file)
		lseek(o->fd, o->end, SEEK_SET);
	return rc;
}

/* What only qemu-img can read goes by way of a raw file without a name. */
static int send_converted(
	struct fq_content *content, const struct fq_volume *v, struct out *o, struct vmf_error *err)
{
	struct fq_store *s = content->s;
	struct fq_content raw;
	struct fq_temp t;
	int rc;

	if (fq_temp_new(s, v->name, &t, err) < 0)
		return -1;
	rc = fq_copy_convert(s, v, content, &t, FQ_RAW, NULL, err);
	if (rc == 0) {
		fq_content_file(s, t.fd, v->path, &raw);
		rc = send_content(&raw, o, err);
	}
	fq_temp_drop(s, &t);
	return rc;
}

static int send_found(struct fq_store *s, const struct fq_volume *v, int fd, struct vmf_error *err)
{
	struct out o = {.s = s,
		.fd = fd,
		.path = v->path,
		.progress.what = s->h->printf(s->c, "sending %s", v->name)};
	void *zeroes = mmap(NULL, FQ_BUFFER, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct fq_content content;
	struct stat st;
	uint64_t bytes;
	int rc = -1;

	o.end = lseek(fd, 0, SEEK_CUR);
	/* only behind a file's end is what is left out a hole; an fd that appends puts its bytes there itself
	 */
	o.is_file = o.end >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && o.end == st.st_size &&
		    !(fcntl(fd, F_GETFL) & O_APPEND);
	if (zeroes == MAP_FAILED)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot send %s", v->path);
	o.zeroes = zeroes;
	o.buffer = fq_buffer_new(s, err);
	if (o.buffer && fq_content_open(s, v, NULL, &content, err) == 0) {
		rc = fq_content_measure(&content, &bytes, err);
		if (rc == 0 && !s->c->dry_run)
			rc = content.is_plain ? send_content(&content, &o, err)
					      : send_converted(&content, v, &o, err);
		fq_content_close(&content);
	}
	fq_buffer_free(o.buffer);
	munmap(zeroes, FQ_BUFFER);
	return rc;
}

int fq_send(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_volume v;
	int rc = -1;

	if (fq_store_open(c, &s, false, err) < 0)
		return -1;
	if (fq_find_or_fail(&s, name, &v, err) == 0)
		rc = send_found(&s, &v, fd, err);
	fq_store_close(&s);
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

/* A stretch that is all data or all zeroes. */
static int store(struct fq_sink *sink, uint64_t offset, const char *data, size_t length, bool zero,
	struct vmf_error *err)
{
	if (zero)
		return fq_sink_zero(sink, offset, length, err);
	for (size_t done = 0; done < length;) {
		uint64_t part = length - done, at;

		if (fq_sink_place(sink, offset + done, &part, &at, err) < 0)
			return -1;
		if (fq_pwrite(sink->temp.fd, data + done, (size_t)part, (off_t)at) < 0)
			return fq_fail_errno(sink->s->c, err, errno, NULL, "cannot write %s", sink->path);
		done += (size_t)part;
	}
	return 0;
}

static int store_buffer(
	struct fq_sink *sink, uint64_t offset, const char *data, size_t length, struct vmf_error *err)
{
	size_t from = 0, to;

	for (; from < length; from = to) {
		bool zero = fq_is_zero(data + from, length - from < HOLE ? length - from : HOLE);

		for (to = from + HOLE; to < length; to += HOLE)
			if (fq_is_zero(data + to, length - to < HOLE ? length - to : HOLE) != zero)
				break;
		if (to > length)
			to = length;
		if (store(sink, offset + from, data + from, to - from, zero, err) < 0)
			return -1;
	}
	return 0;
}

static int receive_all(struct fq_sink *sink, uint64_t size, int fd, char *buffer, struct vmf_error *err)
{
	struct fq_store *s = sink->s;
	struct fq_progress progress = {.what = s->h->printf(s->c, "receiving %s", sink->name), .total = size};

	while (progress.done < size) {
		size_t part = size - progress.done < FQ_BUFFER ? (size_t)(size - progress.done) : FQ_BUFFER,
		       have;

		if (fill(fd, buffer, part, &have) < 0)
			return fq_fail_errno(
				s->c, err, errno, NULL, "cannot read what is to become %s", sink->path);
		if (have < part)
			return s->h->fail(err, VMF_E_FAILED, 0, "the sender has failed, or the connection",
				"the stream for %s ended after %" PRIu64 " of %" PRIu64 " bytes", sink->path,
				progress.done + have, size);
		if (store_buffer(sink, progress.done, buffer, part, err) < 0 ||
			fq_progress_add(s, &progress, part, sink->path, err) < 0)
			return -1;
	}
	return fq_sink_end(sink, true, err);
}

int fq_receive(const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_sink sink;
	char *buffer;
	int rc = -1;

	if (size_bytes == 0 || size_bytes > FQ_MAX_SIZE)
		return c->host->fail(err, VMF_E_USAGE, 0, NULL,
			"a volume of %" PRIu64 " bytes cannot be made", size_bytes);
	if (fq_opt_check(c, err) < 0 || fq_store_open(c, &s, !c->dry_run, err) < 0)
		return -1;
	if (fq_find_none(&s, name, err) == 0) {
		buffer = c->dry_run ? NULL : fq_buffer_new(&s, err);
		rc = c->dry_run ? 0 : -1;
		if (buffer && fq_sink_open(&s, name, size_bytes, &sink, err) == 0) {
			rc = receive_all(&sink, size_bytes, fd, buffer, err);
			if (rc == 0)
				rc = fq_sink_publish(&sink, err);
			else
				fq_sink_drop(&sink);
		}
		fq_buffer_free(buffer);
	}
	fq_store_close(&s);
	return rc;
}
