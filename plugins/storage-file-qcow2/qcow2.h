/* SPDX-License-Identifier: ISC */
/* qcow2 images: their heads and snapshots read and checked, new ones written. */
#ifndef FQ_QCOW2_H
#define FQ_QCOW2_H

#include "store.h"

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */
#define QCOW2_DIRTY 0x1u        /* incompatible features */
#define QCOW2_CORRUPT 0x2u
#define QCOW2_DATA_FILE 0x4u
#define QCOW2_COMPRESSION 0x8u
#define QCOW2_EXTENDED_L2 0x10u
#define QCOW2_KNOWN 0x1fu

#define QCOW2_EXT_END 0u /* extensions of the head */
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau

#define QCOW2_COPIED (UINT64_C(1) << 63) /* entries of L1 and L2 tables: counted once */
#define QCOW2_PACKED (UINT64_C(1) << 62) /* L2: compressed, the rest is laid out otherwise */
#define QCOW2_ZERO UINT64_C(1)           /* L2, version 3: reads as zeroes */
#define QCOW2_OFFSET UINT64_C(0x00fffffffffffe00)

#define QCOW2_MIN_BITS 9
#define QCOW2_MAX_BITS 21
#define QCOW2_MAX_L1 ((uint64_t)32 << 20) /* bytes: QEMU's own limit */
#define QCOW2_MAX_BACKING 1023

struct qcow2 {
	uint32_t version, cluster_bits, crypt_method;
	uint64_t size; /* as the guest sees it */
	uint64_t l1_offset, table_offset; /* table: of refcounts */
	uint32_t l1_entries, table_clusters, refcount_order;
	uint32_t n_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompatible;
	uint64_t backing_offset;
	uint32_t backing_length, header_length;
	char backing[QCOW2_MAX_BACKING + 1]; /* empty: none */
	char backing_format[32];             /* empty: not said */
};

struct qcow2_new {
	uint64_t size;
	uint32_t cluster_bits;
	const char *backing, *backing_format; /* NULL: none */
};

struct qcow2_snapshot {
	const char *id, *name; /* host's memory; the id is unique, the name need not be */
	int64_t created;       /* seconds since the epoch */
	uint64_t l1_offset, size;
	uint32_t l1_entries;
};

/* An image in the making: its clusters are given out one after the other, its head comes last. */
struct qcow2_pack {
	const struct vmf_call *c;
	int fd;
	const char *path; /* for messages */
	struct qcow2_new n;
	uint64_t *l1, *l2; /* as they will stand in the file */
	uint64_t l1_entries;
	uint64_t l2_index, l2_at; /* the L2 table at work and its cluster; l2_at 0: none yet */
	uint64_t next;            /* cluster */
};

uint64_t qcow2_get64(const void *at);
uint32_t qcow2_get32(const void *at);
uint16_t qcow2_get16(const void *at);
void qcow2_put64(void *at, uint64_t value);
void qcow2_put32(void *at, uint32_t value);
void qcow2_put16(void *at, uint16_t value);

/* Reads the head. What makes no sense is an error that names PATH. */
int qcow2_read(const struct vmf_call *c, int fd, const char *path, struct qcow2 *q, struct vmf_error *err);
/* What QEMU or we could not use: encrypted, corrupt, cut off, with a part elsewhere. */
int qcow2_check(const struct vmf_call *c, int fd, const char *path, const struct qcow2 *q, struct vmf_error *err);
/* All of q->n_snapshots; the list is host's memory. */
int qcow2_read_snapshots(const struct vmf_call *c, int fd, const char *path, const struct qcow2 *q,
	struct qcow2_snapshot **list, struct vmf_error *err);

/* ---- pack.c ------------------------------------------------------------------------------- */

/* Begins an image in FD, which is empty and stays the caller's. N's strings must live until the end. */
int qcow2_pack_begin(struct qcow2_pack *pack, const struct vmf_call *c, int fd, const char *path,
	const struct qcow2_new *n, struct vmf_error *err);
/*
 * Where the guest's bytes from OFFSET on belong: *at in the file, for *length of them at most, which becomes
 * less if they do not lie in a row. Offsets must ascend. What is placed and not written reads as zeroes.
 */
int qcow2_pack_place(
	struct qcow2_pack *pack, uint64_t offset, uint64_t *length, uint64_t *at, struct vmf_error *err);
/* Tables, counts and head: only now it is an image. */
int qcow2_pack_end(struct qcow2_pack *pack, struct vmf_error *err);

#endif
