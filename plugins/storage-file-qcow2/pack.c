/* SPDX-License-Identifier: ISC */
/*
 * Writing a qcow2 image in one go: the head's cluster, the L1 table, then L2 tables and the guest's clusters
 * as they come, last the reference counts. Every cluster is used once, so all counts are 1.
 */
#include "qcow2.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define HEAD_LENGTH 112u /* with the compression type, as QEMU writes it */
#define L1_CLUSTER 1u	 /* behind the head */

/* Of the reference counts: the table, and behind it the blocks, in clusters. */
struct counts {
	uint64_t table_at, table, blocks, total; /* total: of the file */
};

static uint64_t div_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

/* A block counts for itself, so the number of blocks is found by going round. */
static struct counts lay_out(const struct qcow2_pack *pack)
{
	uint64_t cluster = (uint64_t)1 << pack->n.cluster_bits, before;
	struct counts at = {.table_at = pack->next, .table = 1, .blocks = 1};

	do {
		before = at.table + at.blocks;
		at.blocks = div_up(at.table_at + before, cluster / 2);
		at.table = div_up(at.blocks * 8, cluster);
	} while (at.table + at.blocks != before);
	at.total = at.table_at + at.table + at.blocks;
	return at;
}

/* The head's bytes at the start of cluster 0, LENGTH at most; 0: the names do not fit. */
static size_t fill_head(char *head, size_t length, const struct qcow2_pack *pack, const struct counts *at)
{
	const struct qcow2_new *n = &pack->n;
	size_t backing = n->backing ? strlen(n->backing) : 0;
	size_t format = n->backing_format ? strlen(n->backing_format) : 0;
	size_t end = HEAD_LENGTH;

	if (HEAD_LENGTH + 16 + format + 8 + backing > length || backing > QCOW2_MAX_BACKING)
		return 0;
	memset(head, 0, HEAD_LENGTH);
	if (format) {
		qcow2_put32(head + end, QCOW2_EXT_BACKING_FORMAT);
		qcow2_put32(head + end + 4, (uint32_t)format);
		memset(head + end + 8, 0, (format + 7) & ~(size_t)7);
		memcpy(head + end + 8, n->backing_format, format);
		end += 8 + ((format + 7) & ~(size_t)7);
	}
	qcow2_put64(head + end, QCOW2_EXT_END);
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
	qcow2_put32(head + 36, (uint32_t)pack->l1_entries);
	qcow2_put64(head + 40, (uint64_t)L1_CLUSTER << n->cluster_bits);
	qcow2_put64(head + 48, at->table_at << n->cluster_bits);
	qcow2_put32(head + 56, (uint32_t)at->table);
	qcow2_put32(head + 96, 4); /* counts of 1 << 4 bits */
	qcow2_put32(head + 100, HEAD_LENGTH);
	return end;
}

/* The table and its blocks: a page at a time, as with small clusters there can be many. */
static int write_counts(const struct qcow2_pack *pack, const struct counts *at)
{
	unsigned bits = pack->n.cluster_bits;
	off_t table = (off_t)(at->table_at << bits), blocks = table + (off_t)(at->table << bits);
	char page[4096];
	size_t fill = 0;

	for (uint64_t i = 0; i < at->blocks; i++) {
		qcow2_put64(page + fill, (uint64_t)blocks + (i << bits));
		fill += 8;
		if (fill == sizeof(page) || i + 1 == at->blocks) {
			if (fq_pwrite(pack->fd, page, fill, table) < 0)
				return -1;
			table += (off_t)fill;
			fill = 0;
		}
	}
	/* all blocks are full but the last, and they lie in a row */
	for (size_t i = 0; i < sizeof(page); i += 2)
		qcow2_put16(page + i, 1);
	for (uint64_t bytes = at->total * 2; bytes; bytes -= fill, blocks += (off_t)fill) {
		fill = bytes < sizeof(page) ? (size_t)bytes : sizeof(page);
		if (fq_pwrite(pack->fd, page, fill, blocks) < 0)
			return -1;
	}
	return 0;
}

static int cannot_write(const struct qcow2_pack *pack, struct vmf_error *err)
{
	return fq_fail_errno(pack->c, err, errno, NULL, "cannot write %s", pack->path);
}

int qcow2_pack_begin(struct qcow2_pack *pack, const struct vmf_call *c, int fd, const char *path,
	const struct qcow2_new *n, struct vmf_error *err)
{
	uint64_t cluster = (uint64_t)1 << n->cluster_bits;

	*pack = (struct qcow2_pack){.c = c, .fd = fd, .path = path, .n = *n};
	pack->l1_entries = div_up(n->size, cluster * (cluster / 8));
	if (pack->l1_entries * 8 > QCOW2_MAX_L1)
		return c->host->fail(err, VMF_E_CONFIG, 0, "choose a larger cluster_size",
			"%llu GiB are too many for clusters of %llu bytes",
			(unsigned long long)(n->size >> 30), (unsigned long long)cluster);
	pack->l1 = c->host->alloc(c, pack->l1_entries * 8 + 8);
	pack->next = L1_CLUSTER + div_up(pack->l1_entries * 8, cluster);
	return 0;
}

static int flush_l2(struct qcow2_pack *pack, struct vmf_error *err)
{
	size_t cluster = (size_t)1 << pack->n.cluster_bits;

	if (!pack->l2_at)
		return 0;
	if (fq_pwrite(pack->fd, pack->l2, cluster, (off_t)(pack->l2_at << pack->n.cluster_bits)) < 0)
		return cannot_write(pack, err);
	qcow2_put64(&pack->l1[pack->l2_index], QCOW2_COPIED | pack->l2_at << pack->n.cluster_bits);
	return 0;
}

static int turn_to_l2(struct qcow2_pack *pack, uint64_t index, struct vmf_error *err)
{
	size_t cluster = (size_t)1 << pack->n.cluster_bits;

	if (pack->l2_at && pack->l2_index == index)
		return 0;
	if (flush_l2(pack, err) < 0)
		return -1;
	if (!pack->l2)
		pack->l2 = pack->c->host->alloc(pack->c, cluster);
	memset(pack->l2, 0, cluster);
	pack->l2_index = index;
	pack->l2_at = pack->next++;
	return 0;
}

int qcow2_pack_place(
	struct qcow2_pack *pack, uint64_t offset, uint64_t *length, uint64_t *at, struct vmf_error *err)
{
	unsigned bits = pack->n.cluster_bits;
	uint64_t cluster = (uint64_t)1 << bits, per_table = cluster / 8, inside = offset & (cluster - 1);
	uint64_t slot = (offset >> bits) % per_table, count = 1, entry;

	if (turn_to_l2(pack, (offset >> bits) / per_table, err) < 0)
		return -1;
	entry = qcow2_get64(&pack->l2[slot]) & QCOW2_OFFSET;
	if (!entry) { /* else the cluster was begun by the bytes before */
		entry = pack->next << bits;
		count = div_up(inside + *length, cluster);
		if (count > per_table - slot)
			count = per_table - slot;
		for (uint64_t i = 0; i < count; i++)
			qcow2_put64(&pack->l2[slot + i], QCOW2_COPIED | pack->next++ << bits);
	}
	*at = entry + inside;
	if (*length > count * cluster - inside)
		*length = count * cluster - inside;
	return 0;
}

/* The L1 table, but for zeroes at its ends: those are a hole. */
static int write_l1(struct qcow2_pack *pack)
{
	uint64_t from = 0, to = pack->l1_entries;

	while (from < to && !pack->l1[from])
		from++;
	while (to > from && !pack->l1[to - 1])
		to--;
	return fq_pwrite(pack->fd, pack->l1 + from, (to - from) * 8,
		(off_t)(((uint64_t)L1_CLUSTER << pack->n.cluster_bits) + from * 8));
}

int qcow2_pack_end(struct qcow2_pack *pack, struct vmf_error *err)
{
	struct counts at;
	char head[2048];
	size_t room = sizeof(head), length;

	if (flush_l2(pack, err) < 0)
		return -1;
	at = lay_out(pack);
	if (room > (size_t)1 << pack->n.cluster_bits)
		room = (size_t)1 << pack->n.cluster_bits;
	length = fill_head(head, room, pack, &at);
	if (!length)
		return pack->c->host->fail(err, VMF_E_CONFIG, 0,
			"choose a larger cluster_size, or shorter names",
			"the backing file's name \"%s\" is too long for the head of %s", pack->n.backing,
			pack->path);
	if (ftruncate(pack->fd, (off_t)(at.total << pack->n.cluster_bits)) < 0 || write_l1(pack) < 0 ||
		write_counts(pack, &at) < 0 || fq_pwrite(pack->fd, head, length, 0) < 0)
		return cannot_write(pack, err);
	return 0;
}
