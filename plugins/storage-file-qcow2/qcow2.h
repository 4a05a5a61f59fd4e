/* SPDX-License-Identifier: ISC */
/* The head of a qcow2 image: read, checked, and written for an image that is new and empty. */
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

/* Where things are in a new image: clusters in this order. */
struct qcow2_layout {
	uint64_t header, table, blocks, l1; /* clusters: of the refcount table, of refcount blocks, of L1 */
	uint64_t l1_entries;
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
/* Makes FD, which is empty, an image without data. */
int qcow2_write(
	const struct vmf_call *c, int fd, const char *path, const struct qcow2_new *n, struct vmf_error *err);
/* The head's bytes at the start of cluster 0, LENGTH at most; 0: the names do not fit. */
size_t qcow2_head(char *head, size_t length, const struct qcow2_new *n, const struct qcow2_layout *at);

#endif
