/* SPDX-License-Identifier: ISC */
/* New volumes, raw or qcow2, filled in ascending order; here the options format and preallocation take
 * effect. */
#include "qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#define ZEROES ((size_t)4 << 20)

enum fq_format fq_opt_format(const struct vmf_call *c)
{
	return fq_opt_is(c, "format", "raw") ? FQ_RAW : FQ_QCOW2;
}

int fq_sink_open(
	struct fq_store *s, const char *name, uint64_t size, struct fq_sink *sink, struct vmf_error *err)
{
	const struct vmf_host *h = s->h;
	struct qcow2_new n = {.size = (size + 511) & ~(uint64_t)511};

	*sink = (struct fq_sink){.s = s, .format = fq_opt_format(s->c), .size = n.size, .name = name};
	sink->path = h->printf(s->c, "%s/%s%s", s->dir, name, fq_ending(sink->format));
	if (fq_temp_new(s, name, &sink->temp, err) < 0)
		return -1;
	if (sink->format == FQ_QCOW2) {
		n.cluster_bits = (uint32_t)__builtin_ctzll(fq_opt_cluster_size(s->c));
		sink->pack = h->alloc(s->c, sizeof(*sink->pack));
		if (qcow2_pack_begin(sink->pack, s->c, sink->temp.fd, sink->path, &n, err) == 0)
			return 0;
	} else if (ftruncate(sink->temp.fd, (off_t)n.size) < 0) {
		fq_fail_errno(
			s->c, err, errno, NULL, "cannot make %s %" PRIu64 " bytes large", sink->path, n.size);
	} else {
		return 0;
	}
	fq_temp_drop(s, &sink->temp);
	return -1;
}

int fq_sink_place(
	struct fq_sink *sink, uint64_t offset, uint64_t *length, uint64_t *at, struct vmf_error *err)
{
	if (sink->pack)
		return qcow2_pack_place(sink->pack, offset, length, at, err);
	*at = offset;
	return 0;
}

/* preallocation = full: the disk has seen every block before the guest does. */
static int write_zeroes(struct fq_sink *sink, uint64_t at, uint64_t length, struct vmf_error *err)
{
	char *zeroes = mmap(NULL, ZEROES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct fq_progress p = {.what = "writing zeroes", .total = length};
	int rc = 0;

	if (zeroes == MAP_FAILED)
		return fq_fail_errno(sink->s->c, err, errno, NULL, "cannot write %s", sink->path);
	while (rc == 0 && p.done < length) {
		size_t part = length - p.done < ZEROES ? (size_t)(length - p.done) : ZEROES;

		if (fq_pwrite(sink->temp.fd, zeroes, part, (off_t)(at + p.done)) < 0)
			rc = fq_fail_errno(sink->s->c, err, errno, NULL, "cannot write %s", sink->path);
		else
			rc = fq_progress_add(sink->s, &p, part, sink->path, err);
	}
	munmap(zeroes, ZEROES);
	return rc;
}

int fq_sink_zero(struct fq_sink *sink, uint64_t offset, uint64_t length, struct vmf_error *err)
{
	const struct vmf_call *c = sink->s->c;
	bool full = fq_opt_is(c, "preallocation", "full");

	if (fq_opt_is(c, "preallocation", "off"))
		return 0;
	while (length) { /* a place of its own, though there is nothing to put there */
		uint64_t part = length, at;

		if (fq_sink_place(sink, offset, &part, &at, err) < 0 ||
			(full && write_zeroes(sink, at, part, err) < 0))
			return -1;
		offset += part;
		length -= part;
	}
	return 0;
}

int fq_sink_end(struct fq_sink *sink, bool durable, struct vmf_error *err)
{
	const struct vmf_call *c = sink->s->c;
	int64_t length;

	if (sink->pack && qcow2_pack_end(sink->pack, err) < 0)
		return -1;
	if (fq_opt_is(c, "preallocation", "falloc")) {
		length = fq_fd_size(sink->temp.fd);
		if (length > 0 && fallocate(sink->temp.fd, 0, 0, length) < 0)
			return fq_fail_errno(c, err, errno,
				errno == EOPNOTSUPP ? "use preallocation = \"full\"" : NULL,
				"cannot allocate %" PRId64 " bytes for %s", length, sink->path);
	}
	if (durable && fsync(sink->temp.fd) < 0)
		return fq_fail_errno(c, err, errno, NULL, "cannot write %s", sink->path);
	return 0;
}

int fq_sink_publish(struct fq_sink *sink, struct vmf_error *err)
{
	return fq_temp_publish(sink->s, &sink->temp, sink->name, sink->format, err);
}

void fq_sink_drop(struct fq_sink *sink)
{
	fq_temp_drop(sink->s, &sink->temp);
}
