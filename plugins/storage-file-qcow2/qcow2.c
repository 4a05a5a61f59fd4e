/* SPDX-License-Identifier: ISC */
/*
 * qcow2, as docs/interop/qcow2.txt of QEMU has it: big-endian, in clusters. Cluster 0 holds the head, its
 * extensions and the backing file's name. The refcount table points to blocks of 16-bit counts, one per
 * cluster of the file; the L1 table to L2 tables, and those to the guest's clusters. This file reads and
 * checks heads and lists of snapshots; content.c reads what is in an image, pack.c writes one.
 */
#include "qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define V2_LENGTH 72u
#define V3_LENGTH 104u

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
	if (length <= r->have && offset <= r->have - length) {
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
		if (type == QCOW2_EXT_END)
			return 0;
		if (length > end - at)
			return broken(r, err, "an extension of its head runs over");
		if (type == QCOW2_EXT_BACKING_FORMAT) {
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
		return r->c->host->fail(err, VMF_E_UNSUPPORTED, 0,
			"qemu-img convert makes an image of version 3 from it",
			"%s is a qcow image of version %u", r->path, q->version);
	}
	if (q->cluster_bits < QCOW2_MIN_BITS || q->cluster_bits > QCOW2_MAX_BITS)
		return broken(r, err, "its clusters have no proper size");
	if (q->version == 3 && (q->header_length < V3_LENGTH || q->header_length > 1u << q->cluster_bits))
		return broken(r, err, "its head has no proper length");
	if (q->refcount_order > 6 || q->size > FQ_MAX_SIZE)
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
			"if it is a raw image, give it the ending .raw; else convert it with qemu-img "
			"convert",
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

int qcow2_check(
	const struct vmf_call *c, int fd, const char *path, const struct qcow2 *q, struct vmf_error *err)
{
	struct reader r = {.c = c, .path = path, .fd = fd};
	uint64_t cluster = (uint64_t)1 << q->cluster_bits;
	int64_t length = fq_fd_size(fd);

	if (q->incompatible & ~(uint64_t)QCOW2_KNOWN)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0,
			"qemu-img info names them; qemu-img convert gets rid of them",
			"%s uses features of a newer QEMU (bits 0x%llx)", path,
			(unsigned long long)q->incompatible);
	if (q->crypt_method)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "qemu-img convert makes a plain image of it",
			"%s is encrypted, which vmf cannot use", path);
	if (q->incompatible & QCOW2_DATA_FILE)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0,
			"qemu-img convert -O qcow2 puts all into one file",
			"%s keeps its data in another file, which vmf cannot use", path);
	if (q->incompatible & QCOW2_CORRUPT)
		return c->host->fail(err, VMF_E_FAILED, 0,
			c->host->printf(c, "qemu-img check -r all %s", path), "%s is marked as corrupt",
			path);
	if (length < 0)
		return fq_fail_errno(c, err, errno, NULL, "cannot look at %s", path);
	if (q->l1_offset % cluster || q->table_offset % cluster || q->l1_entries > QCOW2_MAX_L1 / 8)
		return broken(&r, err, "its tables are not where tables can be");
	if (q->l1_offset > (uint64_t)length || q->l1_entries * UINT64_C(8) > (uint64_t)length - q->l1_offset)
		return broken(&r, err, "it is cut off before the end of its L1 table");
	if (q->l1_entries * (cluster / 8) * (q->incompatible & QCOW2_EXTENDED_L2 ? cluster / 2 : cluster) <
		q->size)
		return broken(&r, err, "its L1 table is too small for its size");
	return check_refcount(&r, q, err);
}

/* ---- snapshots ---------------------------------------------------------------------------- */

#define MAX_SNAPSHOTS 65536u /* QEMU's own limit */
#define ENTRY_LENGTH 40u
#define SNAPSHOT_SIZE_END 16u /* of the extra data, with the disk's size in it */

/* Reads the entry at *AT and moves on to the next one. */
static int read_snapshot(struct reader *r, const struct qcow2 *q, uint64_t *at,
	struct qcow2_snapshot *snapshot, struct vmf_error *err)
{
	unsigned char entry[ENTRY_LENGTH], extra[SNAPSHOT_SIZE_END];
	uint32_t extra_length, id_length, name_length;
	uint64_t names;
	char *text;

	if (fetch(r, entry, sizeof(entry), *at) < 0)
		return broken(r, err, "its list of snapshots is cut off");
	id_length = qcow2_get16(entry + 12);
	name_length = qcow2_get16(entry + 14);
	extra_length = qcow2_get32(entry + 36);
	names = *at + ENTRY_LENGTH + extra_length;
	text = r->c->host->alloc(r->c, (size_t)id_length + name_length + 2);
	if (extra_length > 1024 || fetch(r, text, id_length, names) < 0 ||
		fetch(r, text + id_length + 1, name_length, names + id_length) < 0)
		return broken(r, err, "its list of snapshots makes no sense");
	snapshot->id = text;
	snapshot->name = text + id_length + 1;
	snapshot->created = qcow2_get32(entry + 16);
	snapshot->l1_offset = qcow2_get64(entry);
	snapshot->l1_entries = qcow2_get32(entry + 8);
	snapshot->size = q->size;
	if (extra_length >= SNAPSHOT_SIZE_END) {
		if (fetch(r, extra, sizeof(extra), *at + ENTRY_LENGTH) < 0)
			return broken(r, err, "its list of snapshots is cut off");
		snapshot->size = qcow2_get64(extra + 8);
	}
	if (snapshot->size > FQ_MAX_SIZE)
		return broken(r, err, "its list of snapshots makes no sense");
	*at = (names + id_length + name_length + 7) & ~(uint64_t)7;
	return 0;
}

int qcow2_read_snapshots(const struct vmf_call *c, int fd, const char *path, const struct qcow2 *q,
	struct qcow2_snapshot **list, struct vmf_error *err)
{
	struct reader r = {.c = c, .path = path, .fd = fd};
	uint64_t at = q->snapshots_offset;

	*list = NULL;
	if (q->n_snapshots > MAX_SNAPSHOTS || at > INT64_MAX)
		return broken(&r, err, "its list of snapshots makes no sense");
	if (q->n_snapshots)
		*list = c->host->alloc(c, q->n_snapshots * sizeof(**list));
	for (uint32_t i = 0; i < q->n_snapshots; i++)
		if (read_snapshot(&r, q, &at, &(*list)[i], err) < 0)
			return -1;
	return 0;
}
