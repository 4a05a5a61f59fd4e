/* SPDX-License-Identifier: ISC */
/*
 * The device-mapper, asked by ioctl(2): a VM's start must not wait for lvm's programs where the device is
 * there already.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lvm.h"

/* ---- status and tables --------------------------------------------------------------------- */

union request {
	struct dm_ioctl head;
	char room[16384];
};

static bool ask(const char *dm_name, uint32_t flags, struct lvm_dm *dm)
{
	int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	union request r;
	const struct dm_target_spec *target;
	int rc;

	if (fd < 0)
		return false;
	memset(&r, 0, sizeof(r));
	r.head.version[0] = DM_VERSION_MAJOR;
	r.head.data_size = sizeof(r);
	r.head.data_start = sizeof(r.head);
	/* no flush: only what the kernel knows already */
	r.head.flags = flags | DM_NOFLUSH_FLAG;
	snprintf(r.head.name, sizeof(r.head.name), "%s", dm_name);
	rc = ioctl(fd, DM_TABLE_STATUS, &r);
	close(fd);
	if (rc < 0 || r.head.target_count < 1 || (r.head.flags & DM_BUFFER_FULL_FLAG))
		return false;
	dm->is_suspended = r.head.flags & DM_SUSPEND_FLAG;
	dm->is_open = r.head.open_count > 0;
	target = (const void *)(r.room + r.head.data_start);
	snprintf(dm->type, sizeof(dm->type), "%s", target->target_type);
	snprintf(dm->params, sizeof(dm->params), "%s", (const char *)(target + 1));
	return true;
}

bool lvm_dm_status(const char *dm_name, struct lvm_dm *dm)
{
	return ask(dm_name, 0, dm);
}

/* A line of /sys/dev/block/MAJOR:MINOR/dm/name. */
static bool name_of(unsigned int major_, unsigned int minor_, char name[DM_NAME_LEN])
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/name", major_, minor_);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, name, DM_NAME_LEN - 1);
	close(fd);
	if (n <= 0)
		return false;
	name[n] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return true;
}

bool lvm_dm_pool_room(const char *dm_name, uint64_t *left_bytes, uint64_t *size_bytes)
{
	unsigned int major_, minor_;
	uint64_t used, total, sectors;
	char pool[DM_NAME_LEN];
	struct lvm_dm dm;

	/* thin: "MAJOR:MINOR ID"; thin-pool's table: "META DATA BLOCK-SECTORS ...", its status: "ID U/T U/T
	 * ..." */
	if (!ask(dm_name, DM_STATUS_TABLE_FLAG, &dm) || strcmp(dm.type, "thin") != 0 ||
		sscanf(dm.params, "%u:%u", &major_, &minor_) != 2 || !name_of(major_, minor_, pool))
		return false;
	if (!ask(pool, DM_STATUS_TABLE_FLAG, &dm) || strcmp(dm.type, "thin-pool") != 0 ||
		sscanf(dm.params, "%*s %*s %" SCNu64, &sectors) != 1)
		return false;
	if (!ask(pool, 0, &dm) || sscanf(dm.params, "%*u %*u/%*u %" SCNu64 "/%" SCNu64, &used, &total) != 2 ||
		used > total)
		return false;
	*left_bytes = (total - used) * sectors * 512;
	*size_bytes = total * sectors * 512;
	return true;
}

bool lvm_dm_merging(const char *dm_name, uint64_t *left)
{
	uint64_t used, total, meta;
	struct lvm_dm dm;

	if (!lvm_dm_status(dm_name, &dm) || strcmp(dm.type, "snapshot-merge") != 0)
		return false;
	/* "USED/TOTAL META" in sectors: done when only metadata is left; or a word, as "Merge failed" */
	*left = sscanf(dm.params, "%" SCNu64 "/%" SCNu64 " %" SCNu64, &used, &total, &meta) == 3 &&
				used > meta
			? (used - meta) * 512
			: 0;
	return true;
}

/* ---- the device ---------------------------------------------------------------------------- */

/* PATH, if that is the device: a link can be left over, or be a file that somebody wrote in its place. */
static int open_device(const char *path, const char *name, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char found[DM_NAME_LEN];
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) &&
		name_of(major(st.st_rdev), minor(st.st_rdev), found) && strcmp(found, name) == 0)
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

int lvm_dm_open(const struct vmf_call *c, const char *vg, const char *lv, int flags, const char **path)
{
	const char *name = lvm_dm_name(c, vg, lv, ""), *used = c->host->printf(c, "/dev/%s/%s", vg, lv);
	int fd = open_device(used, name, flags);

	if (fd < 0 && errno == ENOENT) { /* without udev's links */
		used = c->host->printf(c, "/dev/mapper/%s", name);
		fd = open_device(used, name, flags);
	}
	if (path)
		*path = used;
	return fd;
}

/* ---- strays --------------------------------------------------------------------------------- */

#define LIST_ROOM ((size_t)1 << 20)

/* One of the ioctls that want a device's name only. */
static bool control(int fd, unsigned long what, const char *name, struct dm_ioctl *head)
{
	memset(head, 0, sizeof(*head));
	head->version[0] = DM_VERSION_MAJOR;
	head->data_size = head->data_start = sizeof(*head);
	snprintf(head->name, sizeof(head->name), "%s", name);
	return ioctl(fd, what, head) == 0;
}

/* A device's UUID is "LVM-", the VG's, the LV's without its dashes, and "-cow" or the like for a layer of it.
 */
static bool is_of_lv(const char *dm_uuid, const char *lv_uuid)
{
	if (strncmp(dm_uuid, "LVM-", 4) != 0 || strlen(dm_uuid) < 4 + 64)
		return false;
	dm_uuid += 4 + 32;
	for (; *lv_uuid; lv_uuid++)
		if (*lv_uuid != '-' && *lv_uuid != *dm_uuid++)
			return false;
	return !*dm_uuid || *dm_uuid == '-';
}

static unsigned remove_strays(int fd, const struct dm_name_list *at, const char *start, const char *lv_uuid)
{
	unsigned removed = 0;
	struct dm_ioctl head;

	for (; at->dev; at = (const void *)((const char *)at + at->next)) {
		if (strncmp(at->name, start, strlen(start)) == 0 &&
			control(fd, DM_DEV_STATUS, at->name, &head) && is_of_lv(head.uuid, lv_uuid) &&
			head.open_count == 0 && control(fd, DM_DEV_REMOVE, at->name, &head))
			removed++;
		if (!at->next)
			break;
	}
	return removed;
}

void lvm_dm_sweep(const struct vmf_call *c, const char *vg, const char *lv_uuid)
{
	int fd = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	const char *start = lvm_dm_name(c, vg, "", "");
	struct dm_ioctl *list;
	unsigned removed = 1;

	if (fd < 0)
		return;
	list = c->host->alloc(c, LIST_ROOM);
	while (removed) { /* once one has gone, what it stood on is closed */
		memset(list, 0, sizeof(*list));
		list->version[0] = DM_VERSION_MAJOR;
		list->data_size = LIST_ROOM;
		list->data_start = sizeof(*list);
		if (ioctl(fd, DM_LIST_DEVICES, list) < 0 || (list->flags & DM_BUFFER_FULL_FLAG))
			break;
		removed = remove_strays(
			fd, (const void *)((const char *)list + list->data_start), start, lv_uuid);
	}
	close(fd);
}

/* ---- who uses it ---------------------------------------------------------------------------- */

/* QEMU says by locks on single bytes what it does with an image: byte 101 and 103 are held by those who write
 * to it or change its size. */
bool lvm_dm_is_written(int fd)
{
	static const off_t bytes[] = {101, 103};

	for (size_t i = 0; i < VMF_COUNT(bytes); i++) {
		struct flock lock = {
			.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = bytes[i], .l_len = 1};

		if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
			return true;
	}
	return false;
}
