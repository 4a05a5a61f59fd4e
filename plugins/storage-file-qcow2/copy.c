/* SPDX-License-Identifier: ISC */
/*
 * Bytes from one file to another, holes and all: within the kernel where it can, by hand elsewhere, and by
 * qemu-img where only that can read the image.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "qcow2.h"

#define PART ((size_t)16 << 20) /* between two words about the progress */
#define HOLE ((size_t)64 << 10) /* zeroes of that length are left out */

int fq_progress_add(
	struct fq_store *s, struct fq_progress *p, uint64_t bytes, const char *path, struct vmf_error *err)
{
	p->done += bytes;
	if (s->h->progress(s->c, p->what, p->done, p->total) == 0)
		return 0;
	return s->h->fail(err, VMF_E_FAILED, 0, NULL, "stopped at %s", path);
}

char *fq_buffer_new(struct fq_store *s, struct vmf_error *err)
{
	void *buffer;

	if (posix_memalign(&buffer, 4096, FQ_BUFFER) == 0)
		return buffer;
	s->h->fail(err, VMF_E_FAILED, ENOMEM, NULL, "no memory to copy with");
	return NULL;
}

void fq_buffer_free(char *buffer)
{
	free(buffer);
}

bool fq_is_zero(const void *data, size_t length)
{
	const char *at = data;

	return length == 0 || (at[0] == 0 && memcmp(at, at + 1, length - 1) == 0);
}

/* ---- a piece ------------------------------------------------------------------------------ */

struct piece {
	int from, to;
	uint64_t at, to_at, length;
	const char *from_path, *to_path;
	char **buffer; /* made when needed */
};

/* copy_file_range(2) of a part: bytes, 0 at the end of the file, -1: not possible here. */
static int64_t copy_in_kernel(const struct piece *p)
{
	off_t from = (off_t)p->at, to = (off_t)p->to_at;
	ssize_t n;

	do
		n = copy_file_range(p->from, &from, p->to, &to, p->length < PART ? p->length : PART, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

static bool is_no_way(int errnum)
{
	return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP ||
	       errnum == EPERM || errnum == EBADF || errnum == EISDIR;
}

static int write_around_holes(const struct piece *p, size_t length)
{
	for (size_t at = 0; at < length; at += HOLE) {
		size_t part = length - at < HOLE ? length - at : HOLE;

		if (!fq_is_zero(*p->buffer + at, part) &&
			fq_pwrite(p->to, *p->buffer + at, part, (off_t)(p->to_at + at)) < 0)
			return -1;
	}
	return 0;
}

static int cannot_write(struct fq_store *s, const struct piece *p, struct vmf_error *err)
{
	return fq_fail_errno(s->c, err, errno, NULL, "cannot write %s", p->to_path);
}

/* The same by hand; -1: err is set. */
static int64_t copy_by_hand(struct fq_store *s, const struct piece *p, struct vmf_error *err)
{
	ssize_t n;

	if (!*p->buffer)
		*p->buffer = fq_buffer_new(s, err);
	if (!*p->buffer)
		return -1;
	do
		n = pread(p->from, *p->buffer, p->length < FQ_BUFFER ? p->length : FQ_BUFFER, (off_t)p->at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot read %s", p->from_path);
	return write_around_holes(p, (size_t)n) < 0 ? cannot_write(s, p, err) : n;
}

/* TO is new, so that what is not written reads as zeroes. */
static int copy_piece(
	struct fq_store *s, struct piece *p, struct fq_progress *progress, struct vmf_error *err)
{
	while (p->length) {
		bool by_hand = *p->buffer != NULL;
		int64_t n = by_hand ? 0 : copy_in_kernel(p);

		if (n < 0 && !is_no_way(errno))
			return cannot_write(s, p, err);
		if (by_hand || n < 0)
			n = copy_by_hand(s, p, err);
		if (n < 0)
			return -1;
		/* the disk begins now with what must be on it in the end */
		if (n)
			sync_file_range(p->to, (off_t)p->to_at, n, SYNC_FILE_RANGE_WRITE);
		else /* the file ends before its last cluster does */
			n = (int64_t)p->length;
		p->at += (uint64_t)n;
		p->to_at += (uint64_t)n;
		p->length -= (uint64_t)n;
		if (fq_progress_add(s, progress, (uint64_t)n, p->to_path, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static int copy_extent(struct fq_content *content, struct fq_sink *sink, uint64_t offset,
	const struct fq_extent *e, char **buffer, struct fq_progress *progress, struct vmf_error *err)
{
	uint64_t done = 0;

	if (e->kind == FQ_ZERO)
		return fq_sink_zero(sink, offset, e->length, err);
	while (done < e->length) {
		struct piece p = {.from = e->fd,
			.to = sink->temp.fd,
			.at = e->at + done,
			.length = e->length - done,
			.from_path = content->path,
			.to_path = sink->path,
			.buffer = buffer};

		if (fq_sink_place(sink, offset + done, &p.length, &p.to_at, err) < 0)
			return -1;
		done += p.length;
		if (copy_piece(content->s, &p, progress, err) < 0)
			return -1;
	}
	return 0;
}

int fq_copy_content(struct fq_content *content, struct fq_sink *sink, struct vmf_error *err)
{
	struct fq_progress progress = {
		.what = content->s->h->printf(content->s->c, "copying to %s", sink->name)};
	char *buffer = NULL;
	struct fq_extent e;
	int rc = fq_content_measure(content, &progress.total, err);

	for (uint64_t offset = 0; rc == 0 && offset < content->size; offset += e.length) {
		rc = fq_content_next(content, offset, &e, err);
		if (rc == 0)
			rc = copy_extent(content, sink, offset, &e, &buffer, &progress, err);
	}
	fq_buffer_free(buffer);
	return rc;
}

int fq_copy_file(struct fq_store *s, const struct fq_volume *v, int from, const struct fq_temp *t,
	const char *path, struct vmf_error *err)
{
	struct fq_progress progress = {.what = s->h->printf(s->c, "copying %s", v->name)};
	struct fq_content content;
	struct fq_extent e;
	char *buffer = NULL;
	int rc = 0;

	if (ioctl(t->fd, FICLONE, from) == 0)
		return 0;
	fq_content_file(s, from, v->path, &content);
	if (ftruncate(t->fd, (off_t)content.size) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot write %s", path);
	rc = fq_content_measure(&content, &progress.total, err);
	for (uint64_t offset = 0; rc == 0 && offset < content.size; offset += e.length) {
		struct piece p = {.from = from,
			.to = t->fd,
			.at = offset,
			.to_at = offset,
			.from_path = v->path,
			.to_path = path,
			.buffer = &buffer};

		rc = fq_content_next(&content, offset, &e, err);
		p.length = e.length;
		if (rc == 0 && e.kind == FQ_DATA)
			rc = copy_piece(s, &p, &progress, err);
	}
	fq_buffer_free(buffer);
	return rc;
}

int fq_copy_convert(struct fq_store *s, const struct fq_volume *v, const struct fq_content *content,
	const struct fq_temp *t, enum fq_format format, const char *options, struct vmf_error *err)
{
	const char *argv[16] = {"qemu-img", "convert", "-q", "-O", fq_format_name(format)};
	struct fq_progress progress = {.what = s->h->printf(s->c, "copying %s by qemu-img", v->name)};
	size_t n = 5;

	if (content->snapshot_id) {
		/* -U: the guest may go on writing, but not to what the snapshot holds */
		argv[n++] = "-U";
		argv[n++] = "-l";
		argv[n++] = s->h->printf(s->c, "snapshot.id=%s", content->snapshot_id);
	}
	if (options) {
		argv[n++] = "-o";
		argv[n++] = options;
	}
	argv[n++] = fq_qemu_img_name(s, v);
	argv[n++] = t->path;
	if (fq_progress_add(s, &progress, 0, v->path, err) < 0)
		return -1;
	return fq_qemu_img(s, argv, FQ_LONG_MS, err);
}
