/* SPDX-License-Identifier: ISC */
/*
 * What a stopped VM's disk takes up and nobody needs is given back: what its filesystems say is free (FITRIM,
 * once they are mounted), and what holds nothing but zeroes. The disk is mounted for that as `disk mount`
 * does it, with the same record: whatever is killed meanwhile, the next command unmounts it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/disk.h"
#include "vm/journal.h"
#include "vm/mount.h"
#include "vm/steps.h"

#define PART ((size_t)64 << 10) /* zeroes are looked for in pieces of that length */
#define BUFFER ((size_t)1 << 20)

/* ---- what filesystems do not use ---------------------------------------------------------- */

static void trim_filesystem(const char *name, const char *path)
{
	struct fstrim_range range = {.len = UINT64_MAX};
	autoclose int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, FITRIM, &range) < 0)
		log_warn("%s: its filesystem is not trimmed: %s", name, strerror(errno));
	else
		log_info("%s: its filesystem has given back %llu bytes", name, (unsigned long long)range.len);
}

/* Nothing in it that can be mounted is no failure. */
static int trim_parts(const char *image, const json_t *record, struct vmf_error *err)
{
	const char *folder = json_string_value(json_object_get(record, "folder"));
	struct vmf_error mine = VMF_ERROR_INIT;
	json_t *parts = json_array(), *part;
	size_t i;
	int rc = mount_folder(record, err);

	if (rc == 0 && parts_mount(image, folder, false, parts, &mine) < 0) {
		if (mine.code == VMF_E_UNSUPPORTED) {
			log_info("%s", mine.message);
		} else {
			error_move(err, &mine);
			rc = -1;
		}
	}
	error_clear(&mine);
	json_array_foreach(parts, i, part)
	{
		const char *path = json_string_value(json_object_get(part, "path"));

		if (rc == 0 && path)
			trim_filesystem(json_string_value(json_object_get(part, "part")), path);
	}
	json_decref(parts);
	return rc < 0 ? -1 : parts_unmount(image, err);
}

/* ---- zeroes ------------------------------------------------------------------------------- */

struct scan {
	const char *path;
	int fd;
	uint64_t size;
	uint64_t from, to; /* zeroes that are not given back yet */
	char *buffer;
	bool is_done; /* nothing can be given back here */
};

static bool is_zero(const char *data, size_t length)
{
	return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

/* Of a block device the kernel does that only if the blocks read as zeroes afterwards. */
static int give_back(struct scan *s, struct vmf_error *err)
{
	if (s->to > s->from && !s->is_done &&
		fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)s->from,
			(off_t)(s->to - s->from)) < 0) {
		if (errno != EOPNOTSUPP)
			return vmf_fail_errno(err, NULL, "cannot give back zeroes of %s", s->path);
		log_info("zeroes cannot be given back here");
		s->is_done = true;
	}
	s->from = s->to = 0;
	return 0;
}

static int scan_buffer(struct scan *s, uint64_t offset, size_t length, struct vmf_error *err)
{
	for (size_t at = 0; at < length; at += PART) {
		size_t part = length - at < PART ? length - at : PART;

		if (is_zero(s->buffer + at, part)) {
			if (s->to != offset + at || s->to == s->from) {
				if (give_back(s, err) < 0)
					return -1;
				s->from = offset + at;
			}
			s->to = offset + at + part;
		} else if (give_back(s, err) < 0) {
			return -1;
		}
	}
	return 0;
}

/* All data from OFFSET on that lies in a row; *OFFSET is behind it afterwards. */
static int scan_on(struct scan *s, uint64_t *offset, struct vmf_error *err)
{
	off_t data = lseek(s->fd, (off_t)*offset, SEEK_DATA), hole;
	uint64_t end = s->size;

	if (data < 0 && errno == ENXIO) { /* nothing but holes */
		*offset = s->size;
		return 0;
	}
	if (data >= 0) { /* else, as with a block device, all counts as data */
		*offset = (uint64_t)data;
		hole = lseek(s->fd, data, SEEK_HOLE);
		if (hole > data && (uint64_t)hole < end)
			end = (uint64_t)hole;
	}
	while (*offset < end && !s->is_done) {
		size_t want = end - *offset < BUFFER ? (size_t)(end - *offset) : BUFFER;
		ssize_t n = pread(s->fd, s->buffer, want, (off_t)*offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return vmf_fail_errno(err, NULL, "cannot read %s", s->path);
		if (n == 0 || scan_buffer(s, *offset, (size_t)n, err) < 0)
			return n ? -1
				 : vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s has become shorter", s->path);
		*offset += (uint64_t)n;
		if (log_progress("looking for zeroes", *offset, s->size) < 0)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
	}
	return give_back(s, err);
}

static int trim_zeroes(const char *image, struct vmf_error *err)
{
	autoclose int fd = open(image, O_RDWR | O_CLOEXEC);
	struct scan s = {.path = image, .fd = fd};
	off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	int rc = 0;

	if (end < 0)
		return vmf_fail_errno(err, NULL, "%s", image);
	s.size = (uint64_t)end;
	s.buffer = mem_alloc(BUFFER);
	for (uint64_t offset = 0; rc == 0 && offset < s.size && !s.is_done;)
		rc = scan_on(&s, &offset, err);
	free(s.buffer);
	if (rc == 0 && fsync(fd) < 0)
		rc = vmf_fail_errno(err, NULL, "cannot write %s", image);
	return rc;
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int trim(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	json_t *record = data;
	struct mount_paths paths;
	autofree char *image = NULL;
	int rc;

	(void)args;
	mount_paths_init(vm, json_string_value(json_object_get(record, "slot")), &paths);
	image = mount_image(record, &paths);
	rc = trim_parts(image, record, err);
	if (rc == 0)
		rc = fault_point("zeroes", err);
	/* of a device that has discarded something nobody knows how that reads: only of a file it is zeroes
	 */
	if (rc == 0 && !json_is_true(json_object_get(record, "device")) &&
		!json_is_true(json_object_get(record, "map")))
		rc = trim_zeroes(image, err);
	mount_paths_free(&paths);
	return rc;
}

const struct step step_trim = {"trim", trim, NULL};

static int trim_locked(struct vm *vm, struct vm_disk *d, struct plan *plan, uint64_t *used_bytes,
	json_t **record, struct vmf_error *err)
{
	struct vm_mount m = {.writable = true, .trims = true};
	struct vmf_volume v;

	if (vm_disk_exists(vm, d, &v, err) < 0)
		return -1;
	*used_bytes = v.used_bytes;
	if (!vm_disk_is_ours(vm, &v))
		return vmf_fail(err, VMF_E_PERMISSION, 0, "trim it in the guest: `fstrim`",
			"volume %s was not made by vmf for this VM", d->volume);
	if (plan_show(vm, d, plan, &m, record, err) < 0)
		return -1;
	plan_add(plan, &step_trim, NULL, "trim its filesystems, and give back what is zeroes");
	plan_add(plan, &step_unmount, json_pack("{s:s}", "slot", d->slot), "unmount it");
	return 0;
}

int vm_disk_trim(struct vm *vm, const char *title, uint64_t *before_bytes, uint64_t *after_bytes,
	struct vmf_error *err)
{
	struct vm_disk *d = NULL;
	json_t *record = NULL;
	struct vmf_volume v;
	struct plan *plan;
	int rc = -1;

	*before_bytes = *after_bytes = 0;
	if (geteuid() != 0)
		return vmf_fail(err, VMF_E_PERMISSION, 0,
			"`disk export` and `disk import` it: a copy leaves zeroes out",
			"trimming needs root");
	d = vm_disk_take(vm, title, err);
	if (!d)
		return vm_end_change(vm, -1, err);
	plan = plan_new(vm, "disk-trim", true);
	rc = trim_locked(vm, d, plan, before_bytes, &record, err);
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, record, false, err);
	if (rc < 0)
		vmf_context(err, "disk \"%s\"", title);
	plan_free(plan);
	json_decref(record);
	if (rc == 0 && !vm->ctx->dry_run) {
		rc = vm_disk_volume(vm, d, &v, err);
		*after_bytes = rc < 0 ? 0 : v.used_bytes;
	}
	return vm_end_change(vm, rc, err);
}
