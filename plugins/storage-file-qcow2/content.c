/* SPDX-License-Identifier: ISC */
/*
 * What the guest reads from a volume, piece by piece: from its topmost layer down, or from one of its
 * snapshots.
 *
 * Compressed clusters and sub-clusters are told but not read: qemu-img knows how (see copy.c). What lies
 * behind an image file's end reads as zeroes, as in QEMU.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "qcow2.h"

#define NO_TABLE UINT64_MAX

struct fq_content_layer {
	const char *path;
	int fd;
	enum fq_format format;
	uint64_t size; /* as the layer above sees it */
	bool is_file;  /* may have holes */

	/* qcow2 */
	unsigned bits;
	bool knows_zero;	 /* entries may say "zeroes" */
	uint64_t *l1, *l2;	 /* as in the file */
	uint64_t n_l1, l2_index; /* l2_index: the table that l2 holds */
	uint64_t length;	 /* of the file */
};

static int broken(struct fq_store *s, const struct fq_content_layer *l, struct vmf_error *err)
{
	return s->h->fail(err, VMF_E_FAILED, 0, "qemu-img check tells more; restore it from a copy",
		"%s is broken: its tables make no sense", l->path);
}

/* ---- opening ------------------------------------------------------------------------------ */

static int find_snapshot(struct fq_store *s, struct fq_content_layer *l, const struct qcow2 *q,
	const char *name, struct qcow2_snapshot *found, struct vmf_error *err)
{
	int rc = fq_snapshot_find(s, l->fd, l->path, q, name, found, err);

	if (rc == 0)
		return fq_no_snapshot(s, l->fd, l->path, q, name, err);
	return rc < 0 ? -1 : 0;
}

static int load_l1(struct fq_store *s, struct fq_content_layer *l, uint64_t offset, struct vmf_error *err)
{
	uint64_t bytes = l->n_l1 * 8;

	if (bytes > QCOW2_MAX_L1 || offset > l->length || bytes > l->length - offset)
		return broken(s, l, err);
	l->l1 = s->h->alloc(s->c, bytes + 8);
	if (fq_pread(l->fd, l->l1, bytes, (off_t)offset) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot read %s", l->path);
	l->l2 = s->h->alloc(s->c, (size_t)1 << l->bits);
	l->l2_index = NO_TABLE;
	return 0;
}

static int open_qcow2(
	struct fq_content *content, struct fq_content_layer *l, const char *snapshot, struct vmf_error *err)
{
	struct fq_store *s = content->s;
	struct qcow2_snapshot chosen;
	struct qcow2 q;
	int64_t length = fq_fd_size(l->fd);

	if (qcow2_read(s->c, l->fd, l->path, &q, err) < 0 || qcow2_check(s->c, l->fd, l->path, &q, err) < 0)
		return -1;
	chosen =
		(struct qcow2_snapshot){.l1_offset = q.l1_offset, .l1_entries = q.l1_entries, .size = q.size};
	if (snapshot && find_snapshot(s, l, &q, snapshot, &chosen, err) < 0)
		return -1;
	if (snapshot)
		content->snapshot_id = chosen.id;
	content->is_plain &= !(q.incompatible & QCOW2_EXTENDED_L2);
	if (l == content->layers)
		content->has_snapshots = q.n_snapshots != 0;
	l->bits = q.cluster_bits;
	l->knows_zero = q.version >= 3;
	l->size = chosen.size;
	l->n_l1 = chosen.l1_entries;
	l->length = length < 0 ? 0 : (uint64_t)length;
	/* with sub-clusters entries have twice the length: qemu-img reads those */
	return content->is_plain ? load_l1(s, l, chosen.l1_offset, err) : 0;
}

static int open_layer(struct fq_content *content, const struct fq_layer *from, struct fq_content_layer *l,
	const char *snapshot, struct vmf_error *err)
{
	struct fq_store *s = content->s;
	struct stat st;
	int64_t size;

	*l = (struct fq_content_layer){.path = from->path, .format = from->format};
	l->fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (l->fd < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot open %s", l->path);
	content->n_layers++;
	if (fstat(l->fd, &st) < 0 || st.st_ino != from->st.st_ino || st.st_dev != from->st.st_dev)
		return s->h->fail(err, VMF_E_BUSY, 0, NULL, "%s was replaced just now", l->path);
	/* what a snapshot holds stays as it is while the guest goes on writing */
	if (!fq_hold(l->fd) && !snapshot)
		return s->h->fail(err, VMF_E_BUSY, 0,
			"stop the VM that uses it, or take a snapshot and clone that",
			"%s is open for writing", l->path);
	l->is_file = S_ISREG(st.st_mode);
	if (l->format == FQ_QCOW2)
		return open_qcow2(content, l, snapshot, err);
	if (snapshot)
		return fq_raw_has_none(s, l->path, err);
	size = fq_fd_size(l->fd);
	if (size < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot look at %s", l->path);
	l->size = (uint64_t)size;
	return 0;
}

int fq_content_open(struct fq_store *s, const struct fq_volume *v, const char *snapshot,
	struct fq_content *content, struct vmf_error *err)
{
	struct fq_layer found[FQ_MAX_LAYERS];
	size_t count;

	*content = (struct fq_content){.s = s, .is_plain = true};
	if (fq_chain(s, v, found, &count, err) < 0)
		return -1;
	content->layers = s->h->alloc(s->c, count * sizeof(*content->layers));
	for (size_t i = 0; i < count; i++)
		if (open_layer(content, &found[i], &content->layers[i], i ? NULL : snapshot, err) < 0) {
			fq_content_close(content);
			return -1;
		}
	content->size = content->layers[0].size;
	content->path = v->path;
	content->fd = content->layers[0].fd;
	return 0;
}

void fq_content_file(struct fq_store *s, int fd, const char *path, struct fq_content *content)
{
	struct stat st;

	*content = (struct fq_content){
		.s = s, .is_plain = true, .n_layers = 1, .path = path, .fd = fd, .is_borrowed = true};
	content->layers = s->h->alloc(s->c, sizeof(*content->layers));
	content->layers[0] = (struct fq_content_layer){.path = path, .fd = fd, .format = FQ_RAW};
	if (fstat(fd, &st) == 0) {
		content->size = content->layers[0].size = (uint64_t)fq_fd_size(fd);
		content->layers[0].is_file = S_ISREG(st.st_mode);
	}
}

void fq_content_close(struct fq_content *content)
{
	for (size_t i = 0; i < content->n_layers && !content->is_borrowed; i++)
		close(content->layers[i].fd);
	content->n_layers = 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A file that says where its holes are; else all of it is data. */
static void next_raw(const struct fq_content_layer *l, uint64_t offset, uint64_t max, struct fq_extent *e)
{
	off_t data = l->is_file ? lseek(l->fd, (off_t)offset, SEEK_DATA) : (off_t)offset, hole;

	*e = (struct fq_extent){.kind = FQ_DATA, .length = max, .layer = l, .fd = l->fd, .at = offset};
	if (data < 0 && errno == ENXIO) {
		e->kind = FQ_ZERO;
	} else if (data >= 0 && (uint64_t)data > offset) {
		e->kind = FQ_ZERO;
		e->length = (uint64_t)data - offset < max ? (uint64_t)data - offset : max;
	} else if (data >= 0 && l->is_file) {
		hole = lseek(l->fd, (off_t)offset, SEEK_HOLE);
		if (hole > 0 && (uint64_t)hole > offset && (uint64_t)hole - offset < max)
			e->length = (uint64_t)hole - offset;
	}
}

/* Where an L2 table is; 0: there is none. */
static uint64_t l2_offset(const struct fq_content_layer *l, uint64_t index)
{
	return index < l->n_l1 ? qcow2_get64(&l->l1[index]) & QCOW2_OFFSET : 0;
}

static int load_l2(struct fq_store *s, struct fq_content_layer *l, uint64_t index, struct vmf_error *err)
{
	uint64_t cluster = (uint64_t)1 << l->bits, at = l2_offset(l, index);

	if (l->l2_index == index)
		return 0;
	if (at % cluster || at > l->length || cluster > l->length - at)
		return broken(s, l, err);
	l->l2_index = NO_TABLE;
	if (fq_pread(l->fd, l->l2, cluster, (off_t)at) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot read %s", l->path);
	l->l2_index = index;
	return 0;
}

/* How far there are no tables at all: large and mostly empty images are quickly passed. */
static uint64_t without_tables(const struct fq_content_layer *l, uint64_t offset, uint64_t max)
{
	uint64_t cluster = (uint64_t)1 << l->bits, reach = cluster * (cluster / 8),
		 index = offset / reach + 1;

	while (index < l->n_l1 && l2_offset(l, index) == 0)
		index++;
	if (index >= l->n_l1 || index > UINT64_MAX / reach || index * reach - offset > max)
		return max;
	return index * reach - offset;
}

static enum fq_extent_kind kind_of(const struct fq_content_layer *l, uint64_t entry)
{
	if (entry & QCOW2_PACKED)
		return FQ_PACKED;
	if (l->knows_zero && (entry & QCOW2_ZERO))
		return FQ_ZERO;
	return entry & QCOW2_OFFSET ? FQ_DATA : FQ_BELOW;
}

/* The run of clusters of one kind that OFFSET is in, as far as their L2 table goes. */
static int next_qcow2(struct fq_store *s, struct fq_content_layer *l, uint64_t offset, uint64_t max,
	struct fq_extent *e, struct vmf_error *err)
{
	uint64_t cluster = (uint64_t)1 << l->bits, per_table = cluster / 8, inside = offset & (cluster - 1);
	uint64_t index = (offset >> l->bits) / per_table, slot = (offset >> l->bits) % per_table, entry, n;

	if (l2_offset(l, index) == 0) {
		*e = (struct fq_extent){.kind = FQ_BELOW, .length = without_tables(l, offset, max)};
		return 0;
	}
	if (load_l2(s, l, index, err) < 0)
		return -1;
	entry = qcow2_get64(&l->l2[slot]);
	*e = (struct fq_extent){.kind = kind_of(l, entry), .layer = l, .fd = l->fd};
	if (e->kind == FQ_DATA && (entry & QCOW2_OFFSET) % cluster)
		return broken(s, l, err);
	e->at = (entry & QCOW2_OFFSET) + inside;
	for (n = 1; slot + n < per_table && n * cluster - inside < max; n++) {
		uint64_t next = qcow2_get64(&l->l2[slot + n]);

		if (kind_of(l, next) != e->kind ||
			(e->kind == FQ_DATA && (next & QCOW2_OFFSET) != (entry & QCOW2_OFFSET) + n * cluster))
			break;
	}
	e->length = n * cluster - inside < max ? n * cluster - inside : max;
	return 0;
}

int fq_content_next(struct fq_content *content, uint64_t offset, struct fq_extent *e, struct vmf_error *err)
{
	uint64_t max = content->size - offset;

	for (size_t i = 0; i < content->n_layers; i++) {
		struct fq_content_layer *l = &content->layers[i];

		if (offset >= l->size) /* a base that is smaller than what stands on it */
			break;
		if (max > l->size - offset)
			max = l->size - offset;
		if (l->format == FQ_RAW) {
			next_raw(l, offset, max, e);
			return 0;
		}
		if (next_qcow2(content->s, l, offset, max, e, err) < 0)
			return -1;
		if (e->kind != FQ_BELOW)
			return 0;
		max = e->length;
	}
	*e = (struct fq_extent){.kind = FQ_ZERO, .length = max, .fd = -1};
	return 0;
}

int fq_content_measure(struct fq_content *content, uint64_t *data_bytes, struct vmf_error *err)
{
	struct fq_extent e;

	*data_bytes = 0;
	for (uint64_t offset = 0; content->is_plain && offset < content->size; offset += e.length) {
		if (fq_content_next(content, offset, &e, err) < 0)
			return -1;
		content->is_plain = e.kind != FQ_PACKED;
		*data_bytes += e.kind == FQ_ZERO ? 0 : e.length;
	}
	return 0;
}
