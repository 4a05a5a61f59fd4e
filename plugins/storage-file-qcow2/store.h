/* SPDX-License-Identifier: ISC */
/*
 * The store: a folder with one file per volume, and what all calls of the plugin share.
 *
 *   DIR/NAME.qcow2, DIR/NAME.raw   the volumes
 *   DIR/.vmf/NAME.qcow2            vmf's mark on a volume (mark.c)
 *   DIR/.vmf/NAME.qcow2.base       "overlays stand on it" (mark.c)
 *   DIR/.vmf-NAME.PID.tmp          a volume that is not whole yet, where that needs a name (temp.c)
 *
 * Nothing in this folder knows of core: only vmf/plugin.h and libc.
 */
#ifndef FQ_STORE_H
#define FQ_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <vmf/plugin.h>

#define FQ_MARKS ".vmf"
#define FQ_TEMP_PREFIX ".vmf-"
#define FQ_TEMP_SUFFIX ".tmp"
#define FQ_NAME_LENGTH 220 /* leaves room for the temporary name's ends */
#define FQ_MAX_LAYERS 64
#define FQ_MAX_SIZE ((uint64_t)INT64_MAX - 511) /* bytes of a volume */

enum fq_format { FQ_QCOW2, FQ_RAW };

struct fq_store {
	const struct vmf_call *c;
	const struct vmf_host *h;
	const char *dir;
	int fd;      /* of the folder; -1: it is not there (yet) */
	int mark_fd; /* of DIR/.vmf, opened when needed; -1 */
	int lock_fd; /* held while names change hands; -1 */
};

struct fq_volume {
	char name[NAME_MAX + 1];
	char file[NAME_MAX + 1]; /* name and ending */
	const char *path;        /* dir and file; memory of the host */
	enum fq_format format;
	struct stat st;          /* of the directory entry: links are not followed */
};

/* ---- store.c ------------------------------------------------------------------------------ */

/* Opens the folder. With MAKE it is made if it is missing; else fd stays -1 then. */
int fq_store_open(const struct vmf_call *c, struct fq_store *s, bool make, struct vmf_error *err);
void fq_store_close(struct fq_store *s);

/* host->fail() with the code that fits errnum (no space, permission, ... or VMF_E_FAILED). */
#define fq_fail_errno(c, err, errnum, hint, ...) \
	((c)->host->fail((err), fq_code_of(errnum), (errnum), (hint), __VA_ARGS__))
int fq_code_of(int errnum);

const char *fq_ending(enum fq_format format); /* ".qcow2" */
const char *fq_format_name(enum fq_format format); /* "qcow2" */
/* The volume's name if FILE is named like one of ours and its format; false: it is something else. */
bool fq_parse_file(const char *file, char name[NAME_MAX + 1], enum fq_format *format);

int fq_name_check(const struct vmf_call *c, const char *name, struct vmf_error *err);
/* Fills V: 1, 0 if there is none, -1. */
int fq_find(struct fq_store *s, const char *name, struct fq_volume *v, struct vmf_error *err);
/* The same, but none is VMF_E_NOT_FOUND. */
int fq_find_or_fail(struct fq_store *s, const char *name, struct fq_volume *v, struct vmf_error *err);
/* Fails with VMF_E_EXISTS if NAME is taken in either format. */
int fq_find_none(struct fq_store *s, const char *name, struct vmf_error *err);
/* Opens the volume's file, which may be a link; it must be a regular file or a block device. */
int fq_open(struct fq_store *s, const struct fq_volume *v, int flags, struct vmf_error *err);

/* Bytes of a file or a block device, -1 and errno. */
int64_t fq_fd_size(int fd);
/* pread() and pwrite() of all: 0, or -1 and errno; a short read is ENODATA. */
int fq_pread(int fd, void *data, size_t length, off_t offset);
int fq_pwrite(int fd, const void *data, size_t length, off_t offset);
/* The volume's size as the guest sees it. */
int fq_virtual_size(struct fq_store *s, const struct fq_volume *v, uint64_t *size, struct vmf_error *err);
/* TEXT as a JSON string with its quotes; host's memory. */
const char *fq_json_string(const struct vmf_call *c, const char *text);
#define FQ_LONG_MS INT64_C(604800000) /* a week: nobody knows how large and how slow */
/* Runs qemu-img; TIMEOUT_MS 0: the call's own. */
int fq_qemu_img(struct fq_store *s, const char *const *argv, int64_t timeout_ms, struct vmf_error *err);
/* The same for what changes the image V: fails without leaving anything in it. */
int fq_qemu_img_change(
	struct fq_store *s, const struct fq_volume *v, const char *const *argv, struct vmf_error *err);
/* Clusters that nothing uses; what goes wrong is passed over. */
void fq_give_back_leaks(struct fq_store *s, const struct fq_volume *v);
/* The volume as qemu-img wants to be told of it, whatever characters are in its path. */
const char *fq_qemu_img_name(struct fq_store *s, const struct fq_volume *v);
/* Fails with VMF_E_NO_SPACE if the folder's filesystem has not BYTES left. */
int fq_need_space(struct fq_store *s, uint64_t bytes, struct vmf_error *err);

/* ---- mark.c ------------------------------------------------------------------------------- */

/* Serialises those who give and take names in this store; dropped by fq_store_close() at the latest. */
int fq_lock(struct fq_store *s, struct vmf_error *err);
void fq_unlock(struct fq_store *s);
/* Whether FILE, whose directory entry is ST, is ours; *uuid: its VM's, host's memory, may be NULL. */
bool fq_mark_is_ours(struct fq_store *s, const char *file, const struct stat *st, const char **uuid);
/* Marks FD's file as the volume FILE; what ALSO_FD (or -1) is the file of counts as well. */
int fq_mark_write(struct fq_store *s, const char *file, int fd, int also_fd, const char *uuid, struct vmf_error *err);
void fq_mark_remove(struct fq_store *s, const char *file);
/* VMF_E_PERMISSION unless V is ours; DOING: "removed". */
int fq_must_be_ours(struct fq_store *s, const struct fq_volume *v, const char *doing, struct vmf_error *err);
/* The note that overlays stand on a volume; it may be there in vain, never missing for our own overlays. */
int fq_base_note(struct fq_store *s, const char *file, struct vmf_error *err);
bool fq_base_is_noted(struct fq_store *s, const char *file);
void fq_base_forget(struct fq_store *s, const char *file);

/* ---- temp.c ------------------------------------------------------------------------------- */

struct fq_temp {
	int fd;                  /* O_RDWR */
	char file[NAME_MAX + 1]; /* empty: it has no name yet (O_TMPFILE) */
	const char *path;        /* by which a program can open it while we live */
};

/* A file in the making. It vanishes if we die; see fq_temp_clean(). */
int fq_temp_new(struct fq_store *s, const char *name, struct fq_temp *t, struct vmf_error *err);
/* Gives it the volume's name, marked for the call's VM; VMF_E_EXISTS if that is taken. Closes T. */
int fq_temp_publish(
	struct fq_store *s, struct fq_temp *t, const char *name, enum fq_format format, struct vmf_error *err);
/* Gives it V's name in V's place, all or nothing, and V's VM. Closes T. */
int fq_temp_replace(struct fq_store *s, struct fq_temp *t, const struct fq_volume *v, struct vmf_error *err);
void fq_temp_drop(struct fq_store *s, struct fq_temp *t);
/* Is that the name of one? */
bool fq_temp_is(const char *file);
/* Removes a temporary file that a dead process left behind. */
void fq_temp_clean(struct fq_store *s, const char *file);
/* The same for all of them in the folder. */
void fq_temp_clean_all(struct fq_store *s);

/* ---- lock.c ------------------------------------------------------------------------------- */

enum fq_use { FQ_FREE, FQ_READ, FQ_WRITTEN };
/* What QEMU (or a tool of its) does with the image, by its locks on it. */
enum fq_use fq_use_of(int fd);
/* Keeps writers away until FD is closed, as a reader of QEMU's does; false: somebody writes to it. */
bool fq_hold(int fd);
/* VMF_E_BUSY if the volume is open: for writing, or at all. */
int fq_must_be_free(struct fq_store *s, const struct fq_volume *v, bool readers_too, struct vmf_error *err);
/* The volume is written to and the call is for a VM's disk: its QEMU is to be asked. */
bool fq_is_live(struct fq_store *s, const struct fq_volume *v);

/* ---- chain.c ------------------------------------------------------------------------------ */

struct fq_layer {
	const char *path;
	enum fq_format format;
	struct stat st;
};

/* What V stands on, V first. Layers outside of the store's folders, loops, unknown formats are errors. */
int fq_chain(struct fq_store *s, const struct fq_volume *v, struct fq_layer layers[FQ_MAX_LAYERS], size_t *count,
	struct vmf_error *err);
/* The path that BACKING, as written in the image PATH, means; NULL: not a file's name. Host's memory. */
const char *fq_backing_path(const struct vmf_call *c, const char *path, const char *backing);
/* Names of the volumes in this folder that stand directly on V, as "a, b and 3 more"; NULL: none. -1: failed. */
int fq_overlays(struct fq_store *s, const struct fq_volume *v, char **names, struct vmf_error *err);
/* VMF_E_STATE if something stands on V; DOING: "removed", REMEDY: the hint's end. */
int fq_must_be_bare(struct fq_store *s, const struct fq_volume *v, const char *doing, struct vmf_error *err);

/* ---- content.c ---------------------------------------------------------------------------- */

struct fq_content_layer;

/* What a volume, or a snapshot in it, holds for the guest. */
struct fq_content {
	struct fq_store *s;
	uint64_t size;             /* as the guest sees it */
	const char *snapshot_id;   /* qemu-img's, or NULL */
	bool is_plain;             /* false: only qemu-img can read it */
	bool has_snapshots;
	const char *path;          /* the topmost layer's */
	int fd;
	struct fq_content_layer *layers;
	size_t n_layers;
	bool is_borrowed;
};

enum fq_extent_kind { FQ_BELOW, FQ_ZERO, FQ_DATA, FQ_PACKED };

struct fq_extent {
	enum fq_extent_kind kind; /* what fq_content_next() gives is never FQ_BELOW */
	uint64_t length, at;      /* DATA: at that place of fd */
	const struct fq_content_layer *layer;
	int fd;
};

/* Opens all layers and keeps writers away from them; a snapshot of a volume that is written to is fine, though. */
int fq_content_open(struct fq_store *s, const struct fq_volume *v, const char *snapshot, struct fq_content *content,
	struct vmf_error *err);
/* The bytes of a file of the caller's. */
void fq_content_file(struct fq_store *s, int fd, const char *path, struct fq_content *content);
void fq_content_close(struct fq_content *content);
/* What begins at OFFSET, which is less than the size; length > 0. Only while is_plain. */
int fq_content_next(struct fq_content *content, uint64_t offset, struct fq_extent *e, struct vmf_error *err);
/* Looks at all tables: how much data there is, and whether is_plain holds. */
int fq_content_measure(struct fq_content *content, uint64_t *data_bytes, struct vmf_error *err);

/* ---- sink.c ------------------------------------------------------------------------------- */

struct qcow2_pack;

/* A new volume that gets its data in ascending order, laid out as the store's options say. */
struct fq_sink {
	struct fq_store *s;
	struct fq_temp temp;
	enum fq_format format;
	uint64_t size;
	const char *name, *path; /* path: what it will be called */
	struct qcow2_pack *pack;
};

enum fq_format fq_opt_format(const struct vmf_call *c);
/* SIZE is rounded up to sectors. On failure there is nothing to drop. */
int fq_sink_open(
	struct fq_store *s, const char *name, uint64_t size, struct fq_sink *sink, struct vmf_error *err);
/* Where in temp.fd the *length bytes at OFFSET go; *length becomes less if they do not lie in a row. */
int fq_sink_place(struct fq_sink *sink, uint64_t offset, uint64_t *length, uint64_t *at, struct vmf_error *err);
/* LENGTH bytes at OFFSET are zeroes. */
int fq_sink_zero(struct fq_sink *sink, uint64_t offset, uint64_t length, struct vmf_error *err);
/* Makes it whole; DURABLE: on the disk, too. What fails is to be dropped. */
int fq_sink_end(struct fq_sink *sink, bool durable, struct vmf_error *err);
/* Gives it its name; it is closed then, whatever the outcome. */
int fq_sink_publish(struct fq_sink *sink, struct vmf_error *err);
void fq_sink_drop(struct fq_sink *sink);

/* ---- copy.c ------------------------------------------------------------------------------- */

/* How far long work is. */
struct fq_progress {
	const char *what;
	uint64_t done, total;
};

/* Tells the host; the person's wish to stop is an error that names PATH. */
int fq_progress_add(struct fq_store *s, struct fq_progress *p, uint64_t bytes, const char *path, struct vmf_error *err);
/* Buffers of this size; NULL and err if there is no memory. */
#define FQ_BUFFER ((size_t)1 << 20)
char *fq_buffer_new(struct fq_store *s, struct vmf_error *err);
void fq_buffer_free(char *buffer);
bool fq_is_zero(const void *data, size_t length);
/* All that CONTENT has into SINK. */
int fq_copy_content(struct fq_content *content, struct fq_sink *sink, struct vmf_error *err);
/* By qemu-img, which reads everything: V (or CONTENT's snapshot of it) into T. */
int fq_copy_convert(struct fq_store *s, const struct fq_volume *v, const struct fq_content *content,
	const struct fq_temp *t, enum fq_format format, const char *options, struct vmf_error *err);
/* V's file byte by byte into T: as a reflink where the filesystem can. */
int fq_copy_file(struct fq_store *s, const struct fq_volume *v, int from, const struct fq_temp *t, const char *path,
	struct vmf_error *err);

/* ---- snapshots.c -------------------------------------------------------------------------- */

struct qcow2;
struct qcow2_snapshot;

/* The snapshot of that name: 1, 0 if there is none, -1 (also where there are two). */
int fq_snapshot_find(struct fq_store *s, int fd, const char *path, const struct qcow2 *q, const char *name,
	struct qcow2_snapshot *found, struct vmf_error *err);
/* Errors, in the same words for all calls. */
int fq_no_snapshot(struct fq_store *s, int fd, const char *path, const struct qcow2 *q, const char *name,
	struct vmf_error *err);
int fq_raw_has_none(struct fq_store *s, const char *path, struct vmf_error *err);

/* ---- options ------------------------------------------------------------------------------ */

uint64_t fq_opt_cluster_size(const struct vmf_call *c);
int fq_opt_check(const struct vmf_call *c, struct vmf_error *err);
bool fq_opt_is(const struct vmf_call *c, const char *option, const char *value);

/* What the store can do; new raw volumes have no snapshots and stand on nothing. */
#define FQ_CAPS_QCOW2 \
	(VMF_STORAGE_COW_CLONE | VMF_STORAGE_SNAPSHOT | VMF_STORAGE_LIVE_SNAPSHOT | VMF_STORAGE_COMPRESS)
#define FQ_CAPS (VMF_STORAGE_LIVE_GROW | VMF_STORAGE_RENAME | VMF_STORAGE_STREAM)

/* ---- calls -------------------------------------------------------------------------------- */

int fq_check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err);
int fq_list(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err);
int fq_create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
int fq_remove(const struct vmf_call *c, const char *name, struct vmf_error *err);
int fq_rename(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err);
int fq_grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
int fq_attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err);
int fq_detach(const struct vmf_call *c, const char *name, struct vmf_error *err);
int fq_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
int fq_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err);
int fq_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags, struct vmf_error *err);
int fq_compress(const struct vmf_call *c, const char *name, struct vmf_error *err);
int fq_snapshot_remove(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
int fq_clone(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name, uint32_t copy,
	struct vmf_error *err);
int fq_send(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
int fq_receive(const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err);

#endif
