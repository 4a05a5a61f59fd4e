/* SPDX-License-Identifier: ISC */
/*
 * The store: a dataset with one zvol per volume, and what all calls of the plugin share.
 *
 *   DATASET/NAME                a volume; ours if the user property vmf:owner is set on it itself
 *   DATASET/NAME@SNAPSHOT       a snapshot, marked in the same way
 *   DATASET/NAME@vmf-HEX        a snapshot that nobody asked for: only clones stand on it. ZFS itself removes it
 *                               with the last of them (`zfs destroy -d`)
 *   DATASET/.vmf-HEX            a volume that is not whole yet, or through which a snapshot is read (temp.c)
 *
 * ZFS is spoken to by its program, as its library makes no promise of staying as it is; whether a device is the
 * volume's, and who uses it, is asked from the kernel. Nothing in this folder knows of core: only vmf/plugin.h and
 * libc.
 */
#ifndef ZV_H
#define ZV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vmf/plugin.h>

#define ZV_OWNER "vmf:owner"
#define ZV_NAME_MAX 255 /* bytes of DATASET/NAME@SNAPSHOT */
#define ZV_HEX 16       /* digits of the names that we make up */
#define ZV_OWN_SNAPSHOT "vmf-"
#define ZV_TEMP ".vmf-"
#define ZV_FLOOR ((uint64_t)16 << 20) /* bytes that must be left: a snapshot and a clone are some blocks, too */
#define ZV_MAX_SIZE ((uint64_t)INT64_MAX - (1 << 20)) /* bytes of a volume */

/* ---- what zfs tells (parse.c) ------------------------------------------------------------- */

enum zv_prop {
	ZV_P_TYPE,
	ZV_P_USED,
	ZV_P_AVAILABLE,
	ZV_P_REFERENCED,
	ZV_P_VOLSIZE,
	ZV_P_VOLBLOCKSIZE,
	ZV_P_REFRESERVATION,
	ZV_P_USEDBYDATASET,
	ZV_P_ORIGIN,
	ZV_P_KEYSTATUS,
	ZV_P_CREATION,
	ZV_P_CREATETXG,
	ZV_P_CLONES,
	ZV_P_DEFER_DESTROY,
	ZV_P_USERREFS,
	ZV_P_OWNER,
	ZV_PROPS
};

/* A dataset, volume, snapshot or bookmark. */
struct zv_item {
	const char *name;             /* whole: "tank/web-0@one" */
	const char *value[ZV_PROPS];  /* NULL: not asked for, or "-" */
	bool is_ours;                 /* it carries the mark itself: what is inherited does not count */
};

struct zv_items {
	struct zv_item *items;
	size_t count;
};

/* Reads what `zfs get -Hp -o name,property,value,source` says; TEXT is cut into pieces and must stay. */
void zv_parse(const struct vmf_call *c, char *text, struct zv_items *items);
uint64_t zv_number(const struct zv_item *item, enum zv_prop prop);
bool zv_is(const struct zv_item *item, enum zv_prop prop, const char *value);
/* The name behind the last '/', '@' or '#'. */
const char *zv_base(const char *name);
/* The VM's UUID in the mark, or NULL. */
const char *zv_owner_uuid(const struct zv_item *item);
/* Names that we make up: PREFIX and hexadecimal digits, nothing else. */
bool zv_is_made_up(const char *name, const char *prefix);
/* The next of names that commas part, NULL at the end; *LIST moves on. */
const char *zv_next_name(const struct vmf_call *c, const char **list);

/* ---- zfs.c: the program and its words ------------------------------------------------------ */

struct zv_store;

/* Fails with what it said, and the code and hint that fit. */
int zv_zfs_failed(const struct vmf_call *c, const struct vmf_run *run, struct vmf_error *err);
/* Runs zfs, whose argv[0] is "zfs". What it refuses as busy (udev looks at each new device) is tried again for a while,
 * in which others may have the store's lock. */
int zv_zfs(struct zv_store *s, const char *const *argv, struct vmf_error *err);
/* What goes through zfs, and how that is shown. */
struct zv_stream {
	int in, out; /* 0: none */
	const char *what;
	uint64_t total;
};
/* The same, once, for however long it takes, without the lock; zfs ends if we do. */
int zv_zfs_stream(struct zv_store *s, const char *const *argv, const struct zv_stream *stream, struct vmf_error *err);
/* Runs `zfs get`: 0 if it ran, whatever it said. What is told to a call whose `records` is set is believed for ten seconds by
 * those whose `may_recall` is: a snapshot is planned and then made, which needs no second look. */
int zv_ask(struct zv_store *s, const char *const *argv, struct vmf_run *run, struct vmf_error *err);
/* What was told to that question, if it still counts; a copy, or NULL. */
char *zv_recall(struct zv_store *s, const char *const *argv);

/* ---- look.c -------------------------------------------------------------------------------- */

struct zv_store {
	const struct vmf_call *c;
	const struct vmf_host *h;
	const char *dataset;
	int lock_fd;               /* held while something is changed; -1 */
	bool records, may_recall;  /* see zv_ask() */
	/* what zv_look() has seen: */
	struct zv_item self;       /* the dataset */
	struct zv_items inside;    /* its volumes and filesystems */
	struct zv_item volume;     /* the one that was named; its name is NULL if there is none */
	struct zv_items snapshots; /* its snapshots and bookmarks, the oldest first */
};

enum zv_scope {
	ZV_SELF,   /* the dataset */
	ZV_INSIDE, /* and what is directly in it */
	ZV_VOLUME, /* the named volume only */
};

/* Fills S by one call of zfs; NAME: the volume of which snapshots are wanted, or NULL. */
int zv_look(struct zv_store *s, enum zv_scope scope, const char *name, struct vmf_error *err);
/* What has these whole names, NULL-terminated. */
int zv_look_at(struct zv_store *s, const char *const *names, struct zv_items *items, struct vmf_error *err);

/* ---- store.c ------------------------------------------------------------------------------- */

/* Checks the options; nothing is asked from ZFS yet. */
int zv_open(const struct vmf_call *c, struct zv_store *s, struct vmf_error *err);
void zv_close(struct zv_store *s);
/* "DATASET/NAME" */
const char *zv_full(const struct zv_store *s, const char *name);
/* The same with "@SNAPSHOT". */
const char *zv_full_snapshot(const struct zv_store *s, const char *name, const char *snapshot);
/* "vmf:owner=UUID", for -o */
const char *zv_mark(const struct zv_store *s);
int zv_name_check(const struct zv_store *s, const char *name, struct vmf_error *err);
int zv_snapshot_name_check(
	const struct zv_store *s, const char *name, const char *snapshot, struct vmf_error *err);
/* A name that nobody has: PREFIX and random digits. */
const char *zv_make_up(const struct zv_store *s, const char *prefix);

/* Takes the lock, looks (see zv_look()), and removes what a killed run left behind; in a dry run only looks. For what
 * changes something. */
int zv_begin(struct zv_store *s, enum zv_scope scope, const char *name, struct vmf_error *err);

/* The volume of that name or NULL; after zv_look() inside. */
const struct zv_item *zv_find(const struct zv_store *s, const char *name);
const struct zv_item *zv_find_or_fail(const struct zv_store *s, const char *name, struct vmf_error *err);
/* Fails with VMF_E_EXISTS if NAME is taken by whatever. */
int zv_find_none(const struct zv_store *s, const char *name, struct vmf_error *err);
/* VMF_E_PERMISSION unless ITEM is ours; DOING: "removed". */
int zv_must_be_ours(
	const struct zv_store *s, const struct zv_item *item, const char *doing, struct vmf_error *err);
/* VMF_E_NO_SPACE unless the dataset has BYTES left. */
int zv_need_space(const struct zv_store *s, const char *what, uint64_t bytes, struct vmf_error *err);
/* VMF_E_NO_SPACE unless there is room for a snapshot of VOLUME. */
int zv_need_space_for_snapshot(const struct zv_store *s, const struct zv_item *volume, struct vmf_error *err);
/* "a, b and 3 more" */
const char *zv_add_name(const struct zv_store *s, const char *names, size_t count, const char *name);

/* ---- device.c ------------------------------------------------------------------------------ */

enum zv_use { ZV_FREE, ZV_READ, ZV_WRITTEN };

/* host->fail() with the code that fits errnum. */
#define zv_fail_errno(c, err, errnum, hint, ...) \
	((c)->host->fail((err), zv_code_of(errnum), (errnum), (hint), __VA_ARGS__))
int zv_code_of(int errnum);

/* Where udev makes the volume's link. */
const char *zv_device_path(const struct zv_store *s, const char *name);
/* Opens the volume's device; waits for it if it is not there yet. -1: err is set. */
int zv_device_open(struct zv_store *s, const char *name, int flags, struct vmf_error *err);
/* The same without waiting or complaining: -1 if there is none. */
int zv_device_peek(const struct zv_store *s, const char *name, int flags);
/* What QEMU (or a tool of its, or a copy of ours) does with it, by its locks. */
enum zv_use zv_use_of(const struct zv_store *s, const char *name);
/* All locks of the machine, as the kernel lists them, or NULL: to look at many volumes without opening them. */
const char *zv_locks(const struct zv_store *s);
/* Whether the volume's device has one of those. */
bool zv_is_locked(const struct zv_store *s, const char *name, const char *locks);
/* VMF_E_BUSY if somebody uses the volume, also if it is mounted. */
int zv_must_be_free(struct zv_store *s, const char *name, struct vmf_error *err);
/* VMF_E_BUSY if it is mounted or a part of a mapping. */
int zv_must_not_be_claimed(struct zv_store *s, const char *name, struct vmf_error *err);
/* The device's size; WHAT is for errors. */
int zv_size_of(struct zv_store *s, int fd, const char *what, uint64_t *size, struct vmf_error *err);
/* Shows others that we read (or write) it, and keeps writers away until FD is closed; false: somebody writes to it. */
bool zv_hold(int fd, bool writes);
/* What the host still keeps in memory for the device reaches the volume. */
int zv_device_flush(struct zv_store *s, const char *name, struct vmf_error *err);
int64_t zv_now_ms(void);
void zv_sleep_ms(int64_t ms);

/* ---- temp.c -------------------------------------------------------------------------------- */

/* Serialises those who change something, on the whole machine. Each zfs that is run meanwhile holds it, too: if we are
 * killed, the next one waits until what we have begun is done. */
int zv_lock(struct zv_store *s, struct vmf_error *err);
void zv_unlock(struct zv_store *s);
/* For those who only look: waits, but not for long, until nobody has the lock. */
void zv_settle(void);

/* A volume in the making. Under the lock until its device is open. */
struct zv_temp {
	const char *name; /* NULL: none */
	int fd;           /* -1 */
};

/* An empty one of SIZE bytes, open for writing. Drops the lock. */
int zv_temp_new(struct zv_store *s, uint64_t size, struct zv_temp *t, struct vmf_error *err);
/* One that shows what SNAPSHOT (a whole name) has, open for reading. Drops the lock. */
int zv_temp_of_snapshot(struct zv_store *s, const char *snapshot, struct zv_temp *t, struct vmf_error *err);
/* It is whole: gives it the volume's name, or removes it and fails. */
int zv_temp_publish(struct zv_store *s, struct zv_temp *t, const char *name, struct vmf_error *err);
void zv_temp_drop(struct zv_store *s, struct zv_temp *t);
/* The same with its snapshots. */
void zv_temp_drop_all(struct zv_store *s, struct zv_temp *t);
/* For one that zfs makes itself, which has no device to be opened yet: it is at work as long as the fd that is returned is
 * open. -1 and errno. */
int zv_temp_claim(const char *name);
/* Removes those that dead processes left behind: whether there were any. With the lock held. */
bool zv_temp_clean(struct zv_store *s);

/* ---- copy.c: bytes ------------------------------------------------------------------------- */

#define ZV_BUFFER ((size_t)1 << 20)

struct zv_progress {
	const char *what;
	uint64_t done, total;
};

char *zv_buffer_new(const struct vmf_call *c, struct vmf_error *err);
void zv_buffer_free(char *buffer);
/* Counts BYTES more; -1 and err if the person wants it to stop. */
int zv_progress_add(const struct vmf_call *c, struct zv_progress *p, uint64_t bytes, struct vmf_error *err);
bool zv_is_zero(const char *data, size_t length);
/* Writes to the device of a new volume, around zeroes. DATA has room up to a multiple of 512 bytes. */
int zv_write_sparse(struct zv_store *s, int fd, const char *what, char *data, size_t length, uint64_t offset,
	struct vmf_error *err);
/* All of it is on the disks. */
int zv_sync(struct zv_store *s, int fd, const char *what, struct vmf_error *err);
/* What FROM has into TO, whose name is going to be NAME; synced. */
int zv_copy(struct zv_store *s, int from, uint64_t size, int to, const char *name, struct vmf_error *err);
/* The device of volume ITEM, read-only and kept from writers (*t: none), or of its snapshot through T. Drops the lock. */
int zv_source_open(struct zv_store *s, const struct zv_item *item, const char *snapshot, struct zv_temp *t,
	int *fd, struct vmf_error *err);
void zv_source_close(struct zv_store *s, struct zv_temp *t, int fd);

/* ---- snapshots.c --------------------------------------------------------------------------- */

/* Whether people see it: not those that only clones stand on. */
bool zv_is_visible(const struct zv_item *snapshot);
/* The volume's of that name, or NULL. */
const struct zv_item *zv_snapshot_find(const struct zv_store *s, const char *snapshot);
/* The same, but none is VMF_E_NOT_FOUND. */
const struct zv_item *zv_snapshot_find_or_fail(const struct zv_store *s, const char *snapshot, struct vmf_error *err);
/* If clones stand on the snapshot, gives it a name of our own; *name: what it is called behind the '@' now. */
int zv_snapshot_hide(
	struct zv_store *s, const struct zv_item *snapshot, const char **name, struct vmf_error *err);
/* Lets go of a snapshot of ours on which clones may stand: it is gone with the last of them, at once if there are none. */
int zv_snapshot_dissolve(struct zv_store *s, const struct zv_item *snapshot, struct vmf_error *err);
/* VMF_E_BUSY if a person has put a hold on it. */
int zv_must_not_be_held(const struct zv_store *s, const struct zv_item *snapshot, struct vmf_error *err);
/* Lets go of the volume's snapshots of our own that a killed run did not: whether there were any. With the lock held. */
bool zv_snapshots_clean(struct zv_store *s);
/* VMF_E_NOT_FOUND unless the volume that was looked at is there. */
int zv_must_be_there(const struct zv_store *s, const char *name, struct vmf_error *err);

/* ---- calls --------------------------------------------------------------------------------- */

bool zv_opt_is(const struct vmf_call *c, const char *option, const char *value);
int zv_size_check(const struct vmf_call *c, uint64_t size_bytes, struct vmf_error *err);
/* Switches of `zfs create` and `zfs clone` for a new volume, the mark among them: adds at most 8 to ARGV at *n. */
void zv_opt_new(const struct zv_store *s, const char **argv, size_t *n, bool is_clone);

#define ZV_CAPS \
	(VMF_STORAGE_COW_CLONE | VMF_STORAGE_SNAPSHOT | VMF_STORAGE_LIVE_SNAPSHOT | VMF_STORAGE_LIVE_GROW | \
		VMF_STORAGE_RENAME | VMF_STORAGE_STREAM | VMF_STORAGE_OWN_STREAM | VMF_STORAGE_MAP)

int zv_check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err);
int zv_list(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err);
int zv_create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
int zv_remove(const struct vmf_call *c, const char *name, struct vmf_error *err);
int zv_rename(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err);
int zv_grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
int zv_attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err);
int zv_detach(const struct vmf_call *c, const char *name, struct vmf_error *err);
int zv_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
int zv_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err);
int zv_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags,
	struct vmf_error *err);
int zv_snapshot_remove(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
int zv_clone(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name,
	uint32_t copy, struct vmf_error *err);
int zv_send(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
int zv_receive(
	const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err);
int zv_send_own(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
int zv_own_size(const struct vmf_call *c, int fd, uint64_t *size_bytes, struct vmf_error *err);
int zv_receive_own(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
int zv_map(
	const struct vmf_call *c, const char *name, uint32_t writable, char **path, struct vmf_error *err);
int zv_unmap(const struct vmf_call *c, const char *name, struct vmf_error *err);

#endif
