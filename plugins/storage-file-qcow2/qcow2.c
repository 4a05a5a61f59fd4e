/* SPDX-License-Identifier: ISC */
/*
 * qcow2, as docs/interop/qcow2.txt of QEMU has it: big-endian, in clusters. Cluster 0 holds the head, its
 * extensions and the backing file's name. The refcount table points to blocks of 16-bit counts, one per
 * cluster of the file; the L1 table to L2 tables, and those to the guest's clusters. A new image has an L1
 * table of zeroes, which is a hole in the file.
 */
#include "qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define EXT_END 0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define V2_LENGTH 72u
#define V3_LENGTH 104u
#define NEW_LENGTH 112u /* with the compression type, as QEMU writes it */

uint64_t qcow2_get64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

uint32_t qcow2_get32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

uint16_t qcow2_get16(const void *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return be16toh(value);
}

void qcow2_put64(void *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

void qcow2_put32(void *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

void qcow2_put16(void *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, sizeof(value));
}

/* ---- reading ------------------------------------------------------------------------------ */

struct reader {
	const struct vmf_call *c;
	const char *path;
	int fd;
	size_t have;
	unsigned char first[4096];
};

#define BROKEN "restore it from a copy; qemu-img check tells more"

static int broken(struct reader *r, struct vmf_error *err, const char *what)
{
	return r->c->host->fail(err, VMF_E_FAILED, 0, BROKEN, "%s is broken: %s", r->path, what);
}

/* LENGTH bytes at OFFSET, from the first page if they are there. */
static int fetch(struct reader *r, void *data, size_t length, uint64_t offset)
{
	if (offset + length <= r->have) {
		memcpy(data, r->first + offset, length);
		return 0;
	}
	return fq_pread(r->fd, data, length, (off_t)offset);
}

static int read_extensions(struct reader *r, struct qcow2 *q, struct vmf_error *err)
{
	uint64_t end = q->backing_offset ? q->backing_offset : (uint64_t)1 << q->cluster_bits;
	uint64_t at = q->header_length;
	unsigned char head[8];

	while (at + sizeof(head) <= end) {
		uint32_t type, length;

		if (fetch(r, head, sizeof(head), at) < 0)
			return broken(r, err, "its head is cut off");
		type = qcow2_get32(head);
		length = qcow2_get32(head + 4);
		at += sizeof(head);
		if (type == EXT_END)
			return 0;
		if (length > end - at)
			return broken(r, err, "an extension of its head runs over");
		if (type == EXT_BACKING_FORMAT) {
			if (length >= sizeof(q->backing_format))
				return broken(r, err, "the name of its backing file's format is too long");
			if (fetch(r, q->backing_format, length, at) < 0)
				return broken(r, err, "its head is cut off");
			q->backing_format[length] = '\0';
		}
		at += ((uint64_t)length + 7) & ~(uint64_t)7;
	}
	return 0;
}

static int read_backing(struct reader *r, struct qcow2 *q, struct vmf_error *err)
{
	if (!q->backing_offset || !q->backing_length) {
		q->backing_offset = 0;
		return 0;
	}
	if (q->backing_length > QCOW2_MAX_BACKING || q->backing_offset < q->header_length ||
		q->backing_offset > ((uint64_t)1 << q->cluster_bits) - q->backing_length)
		return broken(r, err, "its backing file's name is not in its head");
	if (fetch(r, q->backing, q->backing_length, q->backing_offset) < 0)
		return broken(r, err, "its head is cut off");
	q->backing[q->backing_length] = '\0';
	if (strlen(q->backing) != q->backing_length)
		return broken(r, err, "its backing file's name holds a zero byte");
	return 0;
}

static int read_fields(struct reader *r, struct qcow2 *q, struct vmf_error *err)
{
	const unsigned char *head = r->first;

	q->version = qcow2_get32(head + 4);
	q->backing_offset = qcow2_get64(head + 8);
	q->backing_length = qcow2_get32(head + 16);
	q->cluster_bits = qcow2_get32(head + 20);
	q->size = qcow2_get64(head + 24);
	q->crypt_method = qcow2_get32(head + 32);
	q->l1_entries = qcow2_get32(head + 36);
	q->l1_offset = qcow2_get64(head + 40);
	q->table_offset = qcow2_get64(head + 48);
	q->table_clusters = qcow2_get32(head + 56);
	q->n_snapshots = qcow2_get32(head + 60);
	q->snapshots_offset = qcow2_get64(head + 64);
	q->refcount_order = 4;
	q->header_length = V2_LENGTH;
	if (q->version == 3) {
		if (r->have < V3_LENGTH)
			return broken(r, err, "its head is cut off");
		q->incompatible = qcow2_get64(head + 72);
		q->refcount_order = qcow2_get32(head + 96);
		q->header_length = qcow2_get32(head + 100);
	} else if (q->version != 2) {
		return r->c->host->fail(err, VMF_E_UNSUPPORTED, 0, "qemu-img convert makes an image of version 3 from it",
			"%s is a qcow image of version %u", r->path, q->version);
	}
	if (q->cluster_bits < QCOW2_MIN_BITS || q->cluster_bits > QCOW2_MAX_BITS)
		return broken(r, err, "its clusters have no proper size");
	if (q->version == 3 && (q->header_length < V3_LENGTH || q->header_length > 1u << q->cluster_bits))
		return broken(r, err, "its head has no proper length");
	if (q->refcount_order > 6 || q->size > INT64_MAX)
		return broken(r, err, "its head makes no sense");
	return 0;
}

int qcow2_read(const struct vmf_call *c, int fd, const char *path, struct qcow2 *q, struct vmf_error *err)
{
	struct reader r = {.c = c, .path = path, .fd = fd};
	ssize_t n;

	memset(q, 0, sizeof(*q));
	do
		n = pread(fd, r.first, sizeof(r.first), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fq_fail_errno(c, err, errno, NULL, "cannot read %s", path);
	r.have = (size_t)n;
	if (n == 0)
		return c->host->fail(err, VMF_E_FAILED, 0,
			"a power failure may have cut it off; if it was new, remove it and make it again",
			"%s is empty: not a qcow2 image", path);
	if (r.have < V2_LENGTH || qcow2_get32(r.first) != QCOW2_MAGIC)
		return c->host->fail(err, VMF_E_FAILED, 0,
			"if it is a raw image, give it the ending .raw; else convert it with qemu-img convert",
			"%s is not a qcow2 image", path);
	if (read_fields(&r, q, err) < 0 || read_backing(&r, q, err) < 0)
		return -1;
	return read_extensions(&r, q, err);
}

/* The first cluster is counted: a new image of which the disk got the head only has zeroes there. */
static int check_refcount(struct reader *r, const struct qcow2 *q, struct vmf_error *err)
{
	unsigned char entry[8];
	uint64_t block;

	if (fq_pread(r->fd, entry, sizeof(entry), (off_t)q->table_offset) < 0)
		return broken(r, err, "its table of reference counts is cut off");
	block = qcow2_get64(entry) & ~(uint64_t)0x1ff;
	if (block == 0 || fq_pread(r->fd, entry, sizeof(entry), (off_t)block) < 0 || qcow2_get64(entry) == 0)
		return broken(r, err, "its reference counts are missing");
	return 0;
}

int qcow2_check(const struct vmf_call *c, int fd, const char *path, const struct qcow2 *q, struct vmf_error *err)
{
	struct reader r = {.c = c, .path = path, .fd = fd};
	uint64_t cluster = (uint64_t)1 << q->cluster_bits;
	int64_t length = fq_fd_size(fd);

	if (q->incompatible & ~(uint64_t)QCOW2_KNOWN)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "qemu-img info names them; qemu-img convert gets rid of them",
			"%s uses features of a newer QEMU (bits 0x%llx)", path, (unsigned long long)q->incompatible);
	if (q->crypt_method)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "qemu-img convert makes a plain image of it",
			"%s is encrypted, which vmf cannot use", path);
	if (q->incompatible & QCOW2_DATA_FILE)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "qemu-img convert -O qcow2 puts all into one file",
			"%s keeps its data in another file, which vmf cannot use", path);
	if (q->incompatible & QCOW2_CORRUPT)
		return c->host->fail(err, VMF_E_FAILED, 0, c->host->printf(c, "qemu-img check -r all %s", path),
			"%s is marked as corrupt", path);
	if (length < 0)
		return fq_fail_errno(c, err, errno, NULL, "cannot look at %s", path);
	if (q->l1_offset % cluster || q->table_offset % cluster || q->l1_entries > QCOW2_MAX_L1 / 8)
		return broken(&r, err, "its tables are not where tables can be");
	if (q->l1_offset > (uint64_t)length || q->l1_entries * UINT64_C(8) > (uint64_t)length - q->l1_offset)
		return broken(&r, err, "it is cut off before the end of its L1 table");
	if (q->l1_entries * (cluster / 8) * (q->incompatible & QCOW2_EXTENDED_L2 ? cluster / 2 : cluster) < q->size)
		return broken(&r, err, "its L1 table is too small for its size");
	return check_refcount(&r, q, err);
}

/* ---- writing ------------------------------------------------------------------------------ */

static uint64_t div_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

/* A count block counts for itself, so the number of blocks is found by going round. */
static void lay_out(struct qcow2_layout *at, const struct qcow2_new *n)
{
	uint64_t cluster = (uint64_t)1 << n->cluster_bits, before;

	*at = (struct qcow2_layout){.header = 1, .table = 1, .blocks = 1};
	at->l1_entries = div_up(n->size, cluster * (cluster / 8));
	at->l1 = div_up(at->l1_entries * 8, cluster);
	do {
		before = at->table + at->blocks;
		at->blocks = div_up(at->header + before + at->l1, cluster / 2);
		at->table = div_up(at->blocks * 8, cluster);
	} while (at->table + at->blocks != before);
}

size_t qcow2_head(char *head, size_t length, const struct qcow2_new *n, const struct qcow2_layout *at)
{
	size_t backing = n->backing ? strlen(n->backing) : 0;
	size_t format = n->backing_format ? strlen(n->backing_format) : 0;
	size_t end = NEW_LENGTH;

	if (NEW_LENGTH + 16 + format + 8 + backing > length || backing > QCOW2_MAX_BACKING)
		return 0;
	memset(head, 0, NEW_LENGTH);
	if (format) {
		qcow2_put32(head + end, EXT_BACKING_FORMAT);
		qcow2_put32(head + end + 4, (uint32_t)format);
		memset(head + end + 8, 0, (format + 7) & ~(size_t)7);
		memcpy(head + end + 8, n->backing_format, format);
		end += 8 + ((format + 7) & ~(size_t)7);
	}
	memset(head + end, 0, 8); /* the end of the extensions */
	end += 8;
	if (backing) {
		memcpy(head + end, n->backing, backing);
		qcow2_put64(head + 8, end);
		qcow2_put32(head + 16, (uint32_t)backing);
		end += backing;
	}
	qcow2_put32(head, QCOW2_MAGIC);
	qcow2_put32(head + 4, 3);
	qcow2_put32(head + 20, n->cluster_bits);
	qcow2_put64(head + 24, n->size);
	qcow2_put32(head + 36, (uint32_t)at->l1_entries);
	qcow2_put64(head + 40, (at->header + at->table + at->blocks) << n->cluster_bits);
	qcow2_put64(head + 48, at->header << n->cluster_bits);
	qcow2_put32(head + 56, (uint32_t)at->table);
	qcow2_put32(head + 96, 4); /* counts of 1 << 4 bits */
	qcow2_put32(head + 100, NEW_LENGTH);
	return end;
}

/* The refcount table and its blocks: a page at a time, as with small clusters there can be many. */
static int write_counts(int fd, const struct qcow2_new *n, const struct qcow2_layout *at)
{
	uint64_t total = at->header + at->table + at->blocks + at->l1;
	off_t table = (off_t)(at->header << n->cluster_bits), blocks = table + (off_t)(at->table << n->cluster_bits);
	char page[4096];
	size_t fill = 0;

	for (uint64_t i = 0; i < at->blocks; i++) {
		qcow2_put64(page + fill, (uint64_t)blocks + (i << n->cluster_bits));
		fill += 8;
		if (fill == sizeof(page) || i + 1 == at->blocks) {
			if (fq_pwrite(fd, page, fill, table) < 0)
				return -1;
			table += (off_t)fill;
			fill = 0;
		}
	}
	/* all blocks are full but the last, and they lie in a row */
	for (size_t i = 0; i < sizeof(page); i += 2)
		qcow2_put16(page + i, 1);
	for (uint64_t bytes = total * 2; bytes; bytes -= fill, blocks += (off_t)fill) {
		fill = bytes < sizeof(page) ? (size_t)bytes : sizeof(page);
		if (fq_pwrite(fd, page, fill, blocks) < 0)
			return -1;
	}
	return 0;
}

int qcow2_write(
	const struct vmf_call *c, int fd, const char *path, const struct qcow2_new *n, struct vmf_error *err)
{
	struct qcow2_layout at;
	char head[2048];
	size_t room = sizeof(head), length;

	lay_out(&at, n);
	if (at.l1_entries * 8 > QCOW2_MAX_L1)
		return c->host->fail(err, VMF_E_CONFIG, 0, "choose a larger cluster_size",
			"%llu GiB are too many for clusters of %u bytes", (unsigned long long)(n->size >> 30),
			1u << n->cluster_bits);
	if (room > (size_t)1 << n->cluster_bits)
		room = (size_t)1 << n->cluster_bits;
	length = qcow2_head(head, room, n, &at);
	if (!length)
		return c->host->fail(err, VMF_E_CONFIG, 0, "choose a larger cluster_size, or shorter names",
			"the backing file's name \"%s\" is too long for the head of %s", n->backing, path);
	/* the head last: without it the file is not an image */
	if (ftruncate(fd, (off_t)((at.header + at.table + at.blocks) << n->cluster_bits) + (off_t)at.l1_entries * 8) < 0 ||
		write_counts(fd, n, &at) < 0 || fq_pwrite(fd, head, length, 0) < 0)
		return fq_fail_errno(c, err, errno, NULL, "cannot write %s", path);
	return 0;
}
