/* SPDX-License-Identifier: ISC */
/*
 * What is in a raw image, and mounts of it. Each filesystem gets a loop device of its own, on its part of the
 * image: that works whether or not this kernel reads partition tables. What there is, util-linux' partx and
 * blkid tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/proc.h"
#include "vm/mount.h"

#define PROGRAM_MS 30000
#define GONE_MS 5000 /* for a loop device, once nothing is mounted from it */
#define SECTOR 512

/* ---- what there is ------------------------------------------------------------------------ */

/* Runs a program of util-linux; its output (the caller frees), "" if it found nothing. NULL and err. */
static char *ask(const char *const *argv, struct vmf_error *err)
{
	struct vmf_run run = {.size = sizeof(run), .argv = argv, .timeout_ms = PROGRAM_MS};
	int rc = proc_run(&run, 0, err);

	free(run.err);
	if (rc < 0) {
		free(run.out);
		return NULL;
	}
	if (run.status) {
		free(run.out);
		return str_dup("");
	}
	return run.out;
}

/* KEY's value in blkid's KEY=VALUE lines, or NULL. The caller frees. */
static char *value_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; *line; line = strchrnul(line, '\n') + (*strchrnul(line, '\n') == '\n'))
		if (strncmp(line, key, n) == 0 && line[n] == '=')
			return str_ndup(line + n + 1, strcspn(line + n + 1, "\n"));
	return NULL;
}

/* What a stretch of the image holds: the caller frees *type, NULL if nothing is known. SIZE 0: to the end. */
static int probe(const char *image, uint64_t offset, uint64_t size, char **type, bool *is_filesystem,
	struct vmf_error *err)
{
	autofree char *from = str_printf("--offset=%llu", (unsigned long long)offset);
	autofree char *length = str_printf("--size=%llu", (unsigned long long)size);
	const char *const part[] = {"blkid", "-p", "-o", "export", from, length, image, NULL};
	const char *const whole[] = {"blkid", "-p", "-o", "export", image, NULL};
	autofree char *text = ask(size ? part : whole, err);
	autofree char *usage = text ? value_of(text, "USAGE") : NULL;

	*type = text ? value_of(text, "TYPE") : NULL;
	*is_filesystem = str_equal(usage, "filesystem");
	return text ? 0 : -1;
}

/* A folder of ours is for root alone: the guest's users are other people than this host's of the same
 * numbers. */
int mount_folder(const json_t *record, struct vmf_error *err)
{
	return file_mkdirs(json_string_value(json_object_get(record, "folder")),
		json_is_true(json_object_get(record, "own")) ? 0700 : 0755, err);
}

/* ---- one filesystem ----------------------------------------------------------------------- */

static const struct {
	const char *type;
	const char *kernel;  /* what mount(2) calls it, if otherwise */
	const char *options; /* always */
	const char *dirty;   /* read-only, though it was not unmounted cleanly: what is in its journal is not
				seen */
} types[] = {
	{"ext4", NULL, "", "noload"},
	{"ext3", "ext4", "", "noload"},
	{"ext2", "ext4", "", NULL},
	{"xfs", NULL, "nouuid", "nouuid,norecovery"}, /* clones have one UUID */
	{"btrfs", NULL, "", "rescue=nologreplay"},
	{"ntfs", "ntfs3", "", NULL},
};

static int try_mount(const char *device, const char *target, const char *type, bool readonly)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | (readonly ? MS_RDONLY : 0);
	const char *kernel = type, *options = "", *dirty = NULL;

	for (size_t i = 0; i < VMF_COUNT(types); i++)
		if (str_equal(types[i].type, type)) {
			kernel = types[i].kernel ? types[i].kernel : type;
			options = types[i].options;
			dirty = types[i].dirty;
		}
	if (mount(device, target, kernel, flags, options) == 0)
		return 0;
	if (!readonly || !dirty || (errno != EROFS && errno != EACCES))
		return -1;
	if (mount(device, target, kernel, flags, dirty) < 0)
		return -1;
	log_warn(
		"%s was not unmounted cleanly: what its journal has is not to be seen; with --rw it would be",
		target);
	return 0;
}

static void note(json_t *parts, const char *name, const char *type, const char *path, const char *why)
{
	json_array_append_new(parts,
		json_pack("{s:s, s:s*, s:s*, s:s*}", "part", name, "type", type, "path", path, "why", why));
}

struct stretch {
	const char *image, *name; /* name: "part1", "whole" */
	uint64_t offset, size;
	bool readonly;
};

/* Mounts it at TARGET if it is a filesystem: 1, 0 if that cannot be, -1. */
static int mount_one(const struct stretch *s, const char *target, json_t *parts, struct vmf_error *err)
{
	autofree char *type = NULL;
	autofree char *device = NULL;
	autoclose int fd = -1;
	bool is_filesystem;

	if (probe(s->image, s->offset, s->size, &type, &is_filesystem, err) < 0)
		return -1;
	if (!is_filesystem) {
		note(parts, s->name, type, NULL, type ? "no filesystem" : "nothing known is in it");
		return 0;
	}
	if (file_mkdirs(target, 0755, err) < 0)
		return -1;
	fd = loop_attach(s->image, s->offset, s->size, s->readonly, &device, err);
	if (fd < 0)
		return -1;
	if (try_mount(device, target, type, s->readonly) < 0) {
		note(parts, s->name, type, NULL,
			errno == ENODEV ? "this kernel does not know it" : strerror(errno));
		log_warn("%s: cannot mount %s: %s", s->name, type,
			errno == ENODEV ? "this kernel does not know it" : strerror(errno));
		rmdir(target);
		return 0;
	}
	note(parts, s->name, type, target, NULL);
	return 1;
}

/* ---- all of them -------------------------------------------------------------------------- */

static int mount_table(const char *image, const char *folder, const char *table, bool readonly, json_t *parts,
	struct vmf_error *err)
{
	unsigned long long number, start, count;
	int mounted = 0;

	for (const char *line = table; *line;
		line = strchrnul(line, '\n') + (*strchrnul(line, '\n') == '\n')) {
		autofree char *name = NULL;
		autofree char *target = NULL;
		struct stretch s = {.image = image, .readonly = readonly};
		int rc;

		if (sscanf(line, "%llu %llu %llu", &number, &start, &count) != 3 || !count)
			continue;
		name = str_printf("part%llu", number);
		target = path_join(folder, name);
		s.name = name;
		s.offset = start * SECTOR;
		s.size = count * SECTOR;
		rc = mount_one(&s, target, parts, err);
		if (rc < 0)
			return -1;
		mounted += rc;
	}
	return mounted;
}

/* "part1 is LVM2_member; part2: nothing known is in it" */
static int nothing(const json_t *parts, struct vmf_error *err)
{
	autostrbuf struct strbuf text = STRBUF_INIT;
	json_t *part;
	size_t i;

	json_array_foreach(parts, i, part)
	{
		const char *type = json_string_value(json_object_get(part, "type"));

		strbuf_printf(&text, "%s%s: %s%s%s", i ? "; " : "",
			json_string_value(json_object_get(part, "part")), type ? type : "", type ? ", " : "",
			json_string_value(json_object_get(part, "why")));
	}
	return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "start the VM, and look at it from the inside",
		"nothing in it can be mounted (%s)", text.data ? text.data : "it is empty");
}

int parts_mount(const char *image, const char *folder, bool readonly, json_t *parts, struct vmf_error *err)
{
	const char *const partx[] = {"partx", "-r", "-g", "-o", "NR,START,SECTORS", image, NULL};
	struct stretch whole = {.image = image, .name = "whole", .readonly = readonly};
	autofree char *table = NULL;
	autofree char *type = NULL;
	bool is_filesystem;
	int mounted;

	/* a filesystem's first sector may look like a partition table */
	if (probe(image, 0, 0, &type, &is_filesystem, err) < 0)
		return -1;
	table = is_filesystem ? str_dup("") : ask(partx, err);
	if (!table)
		return -1;
	mounted = *table ? mount_table(image, folder, table, readonly, parts, err)
			 : mount_one(&whole, folder, parts, err);
	if (mounted == 0)
		return nothing(parts, err);
	return mounted < 0 ? -1 : 0;
}

/* ---- and back ----------------------------------------------------------------------------- */

static int wait_gone(const char *image, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + GONE_MS;

	for (;;) {
		autostrv struct strv left = STRV_INIT;

		loop_list(image, &left);
		if (left.count == 0)
			return 0;
		if (time_now_ms() > deadline)
			return vmf_fail(err, VMF_E_BUSY, 0,
				"`lsblk` and `fuser -v` on it show by whom; try again then",
				"%s is still in use: by another mount namespace, or a program",
				left.items[0]);
		time_sleep_ms(20);
	}
}

int parts_unmount(const char *image, struct vmf_error *err)
{
	autostrv struct strv devices = STRV_INIT;

	loop_list(image, &devices);
	for (size_t i = 0; i < devices.count; i++) {
		autostrv struct strv points = STRV_INIT;

		mount_list(devices.items[i], &points);
		for (size_t k = 0; k < points.count; k++)
			if (umount2(points.items[k], UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
				return vmf_fail_errno(err,
					"end what uses it (`fuser -vm` shows that), then try again",
					"cannot unmount %s", points.items[k]);
	}
	return wait_gone(image, err);
}
