/* SPDX-License-Identifier: ISC */
/*
 * ZFS' own stream, out and in: a volume with its snapshots, as `zfs send -R` writes it. What is sent is a
 * snapshot of our own, which carries the volume's size: the stream has that only deep inside.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zv.h"

#define SIZE_PROP "vmf:size"

/* ---- out ---------------------------------------------------------------------------------- */

static int send_snapshot(struct zv_store *s, const char *snapshot, int fd, struct vmf_error *err)
{
	/* a clone's earlier snapshots would be sent as changes of its origin, which is not in the stream */
	bool is_clone = s->volume.value[ZV_P_ORIGIN] != NULL;
	const char *const argv[] = {"zfs", "send", is_clone ? "-p" : "-R", snapshot, NULL};
	const char *name = zv_base(s->volume.name);
	struct zv_stream stream = {.out = fd,
		.what = s->h->printf(s->c, "sending %s", name),
		.total = zv_number(&s->volume, ZV_P_REFERENCED)};

	if (is_clone && s->snapshots.count)
		s->h->log(s->c, VMF_LOG_WARN, "%s is a clone: it is sent without its snapshots", name);
	return zv_zfs_stream(s, argv, &stream, err);
}

static int send_found(struct zv_store *s, const char *name, int fd, struct vmf_error *err)
{
	const char *snapshot = zv_full_snapshot(s, name, zv_make_up(s, ZV_OWN_SNAPSHOT));
	const char *size = s->h->printf(s->c, SIZE_PROP "=%s", s->volume.value[ZV_P_VOLSIZE]);
	const char *const make[] = {"zfs", "snapshot", "-o", zv_mark(s), "-o", size, snapshot, NULL};
	const char *const destroy[] = {"zfs", "destroy", snapshot, NULL};
	struct zv_temp none;
	int device, rc;

	if (zv_must_be_ours(s, &s->volume, "given the snapshot that is sent", err) < 0 ||
		zv_need_space_for_snapshot(s, &s->volume, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	if (zv_device_flush(s, name, err) < 0 || zv_zfs(s, make, err) < 0)
		return -1;
	/* as long as the device is read nobody takes the snapshot for a dead one's; the lock is dropped */
	rc = zv_source_open(s, &s->volume, NULL, &none, &device, err);
	if (rc == 0) {
		rc = send_snapshot(s, snapshot, fd, err);
		/* before the device is let go of */
		if (zv_lock(s, rc == 0 ? err : NULL) < 0)
			rc = -1;
		zv_source_close(s, &none, device);
	}
	/* where it stays it goes with the next change of this volume */
	zv_zfs(s, destroy, NULL);
	return rc;
}

int zv_send_own(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err)
{
	struct zv_store s;
	int rc;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	rc = zv_begin(&s, ZV_VOLUME, name, err);
	if (rc == 0)
		rc = zv_must_be_there(&s, name, err);
	if (rc == 0)
		rc = send_found(&s, name, fd, err);
	zv_close(&s);
	return rc;
}

/* ---- its size ----------------------------------------------------------------------------- */

/* include/sys/zfs_ioctl.h of OpenZFS, dmu_replay_record: a type, the payload's length, the magic number; the
 * payload of the first is an nvlist in XDR (RFC 4506). Fields that are not in XDR are in the sender's byte
 * order. */
#define HEAD 312
#define MAGIC UINT64_C(0x2f5bacbac)
#define MAX_PAYLOAD ((size_t)1 << 20)
#define XDR_STRING 9 /* DATA_TYPE_STRING */

static uint32_t xdr(const char *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return be32toh(word);
}

/* The value of the property in text that begins behind its name. 0: it is none. */
static uint64_t size_at(const char *at, size_t left)
{
	char digits[24] = "";
	size_t length;
	char *end;
	uint64_t size;

	if (left < 12 || xdr(at) != XDR_STRING || xdr(at + 4) != 1)
		return 0;
	length = xdr(at + 8);
	if (length == 0 || length >= sizeof(digits) || length > left - 12)
		return 0;
	memcpy(digits, at + 12, length);
	size = strtoull(digits, &end, 10);
	return *end || size > ZV_MAX_SIZE ? 0 : size;
}

int zv_own_size(const struct vmf_call *c, int fd, uint64_t *size_bytes, struct vmf_error *err)
{
	static const char word[] = SIZE_PROP; /* with XDR's padding it is as long as it is */
	size_t name = sizeof(word) - 1;
	char head[HEAD], *payload, *at;
	off_t begin = lseek(fd, 0, SEEK_CUR);
	uint64_t magic = 0, size = 0;
	uint32_t length = 0;

	if (begin >= 0 && pread(fd, head, sizeof(head), begin) == (ssize_t)sizeof(head)) {
		memcpy(&length, head + 4, sizeof(length));
		memcpy(&magic, head + 8, sizeof(magic));
		if (magic == __builtin_bswap64(MAGIC)) {
			length = __builtin_bswap32(length);
			magic = MAGIC;
		}
	}
	if (magic != MAGIC)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0,
			"`disk export --format own` writes such streams", "this is no stream of ZFS");
	if (length > MAX_PAYLOAD)
		length = MAX_PAYLOAD;
	payload = c->host->alloc(c, (size_t)length + 1);
	if (pread(fd, payload, length, begin + HEAD) != (ssize_t)length)
		length = 0;
	/* an earlier one may be in it as well, and volumes only grow */
	for (at = payload; (at = memmem(at, (size_t)(payload + length - at), word, name)); at += name) {
		uint64_t found = size_at(at + name, (size_t)(payload + length - at) - name);

		size = found > size ? found : size;
	}
	if (!size)
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0,
			"`zfs receive` it, and name that volume in the disk's section, or `clone` it",
			"this stream of ZFS was not written by vmf and does not say how large the volume is");
	*size_bytes = size;
	return 0;
}

/* ---- in ----------------------------------------------------------------------------------- */

/* What has come carries its sender's marks: now they are ours. Our own snapshots have done their work. */
static int take_over(struct zv_store *s, const char *name, struct vmf_error *err)
{
	const char **argv;
	size_t n = 3;

	if (zv_look(s, ZV_VOLUME, name, err) < 0 || zv_must_be_there(s, name, err) < 0)
		return -1;
	argv = s->h->alloc(s->c, (s->snapshots.count + n + 1) * sizeof(*argv));
	argv[0] = "zfs";
	argv[1] = "set";
	argv[2] = zv_mark(s);
	for (size_t i = 0; i < s->snapshots.count; i++)
		if (strchr(s->snapshots.items[i].name, '@'))
			argv[n++] = s->snapshots.items[i].name;
	if (n == 3)
		return 0;
	if (zv_zfs(s, argv, err) < 0 || zv_look(s, ZV_VOLUME, name, err) < 0)
		return -1;
	zv_snapshots_clean(s);
	return 0;
}

static int receive_new(struct zv_store *s, const char *name, int fd, uint64_t bytes, struct vmf_error *err)
{
	struct zv_temp t = {.name = zv_make_up(s, ZV_TEMP), .fd = -1};
	const char *const argv[] = {"zfs", "receive", "-u", "-o", zv_mark(s), zv_full(s, t.name), NULL};
	struct zv_stream stream = {
		.in = fd, .what = s->h->printf(s->c, "receiving %s", name), .total = bytes};
	int alive = zv_temp_claim(t.name), rc = -1;

	if (alive < 0)
		return zv_fail_errno(s->c, err, errno, NULL, "cannot lock %s", t.name);
	zv_unlock(s);
	if (zv_zfs_stream(s, argv, &stream, err) == 0 && zv_lock(s, err) == 0 &&
		take_over(s, t.name, err) == 0)
		rc = zv_temp_publish(s, &t, name, err);
	else
		zv_temp_drop_all(s, &t);
	close(alive);
	return rc;
}

int zv_receive_own(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err)
{
	off_t at = lseek(fd, 0, SEEK_CUR), end = lseek(fd, 0, SEEK_END);
	struct zv_store s;
	int rc;

	if (at >= 0)
		lseek(fd, at, SEEK_SET);
	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	rc = zv_begin(&s, ZV_INSIDE, NULL, err);
	if (rc == 0)
		rc = zv_find_none(&s, name, err);
	if (rc == 0 && !c->dry_run)
		rc = receive_new(&s, name, fd, end > at ? (uint64_t)(end - at) : 0, err);
	zv_close(&s);
	return rc;
}
