/* SPDX-License-Identifier: ISC */
/*
 * The CD drive of a running VM. QEMU may be a user who cannot read the image: it gets an open file (add-fd)
 * and opens /dev/fdset/N. QEMU opens the new medium before it takes the old one out, so a refusal changes
 * nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "vm/vm.h"

#define QMP_MS 5000
#define TRAY_MS 1000 /* for the guest to let go of a medium that it has locked */

static const char start_node[] = "cdrom-medium"; /* see command.c */

/* Runs a command until it succeeds: the guest, asked by the first try, may need a moment. Then by force. */
static int with_force(struct vm *vm, const char *command, json_t *arguments, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + TRAY_MS;
	struct vmf_error first = VMF_ERROR_INIT;
	bool is_forced;
	int rc;

	for (;;) {
		is_forced = time_now_ms() >= deadline;
		json_object_set_new(arguments, "force", json_boolean(is_forced));
		error_clear(&first);
		rc = qmp_command(
			vm->qmp, command, json_incref(arguments), NULL, time_now_ms() + QMP_MS, &first);
		/* QEMU has no class of errors for this one */
		if (rc == 0 || is_forced || !first.message || !strstr(first.message, "is locked"))
			break;
		time_sleep_ms(100);
	}
	json_decref(arguments);
	if (rc < 0)
		error_move(err, &first);
	else if (is_forced)
		log_warn("vm \"%s\": the guest had locked the CD drive, it was opened by force", vm->name);
	return rc;
}

/* The fdset of the medium that is in the drive, or -1. */
static int64_t fdset_in_drive(struct vm *vm)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	json_t *answer = NULL, *drive;
	long long set = -1;
	size_t i;

	qmp_command(vm->qmp, "query-block", NULL, &answer, time_now_ms() + QMP_MS, &quiet);
	error_clear(&quiet);
	json_array_foreach(answer, i, drive)
	{
		const char *qdev = json_string_value(json_object_get(drive, "qdev"));
		const char *file =
			json_string_value(json_object_get(json_object_get(drive, "inserted"), "file"));

		if (qdev && str_equal(qdev, "cdrom") && file && sscanf(file, "/dev/fdset/%lld", &set) != 1)
			set = -1;
	}
	json_decref(answer);
	return set;
}

/* What the old medium leaves in QEMU. None of it does harm, so none of it is an error. */
static void clean_up(struct vm *vm, int64_t fdset)
{
	struct vmf_error quiet = VMF_ERROR_INIT;

	qmp_command(vm->qmp, "blockdev-del", json_pack("{s:s}", "node-name", start_node), NULL,
		time_now_ms() + QMP_MS, &quiet);
	error_clear(&quiet);
	if (fdset >= 0)
		qmp_command(vm->qmp, "remove-fd", json_pack("{s:I}", "fdset-id", (json_int_t)fdset), NULL,
			time_now_ms() + QMP_MS, &quiet);
	error_clear(&quiet);
}

static int insert(struct vm *vm, const char *path, struct vmf_error *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *name = NULL;
	json_t *answer = NULL;
	struct stat st;
	int64_t set;
	int rc;

	if (fd < 0)
		return vmf_fail_errno(err, NULL, "cdrom: %s", path);
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
		return vmf_fail(err, VMF_E_CONFIG, 0, "name a file", "cdrom: %s is a folder", path);
	if (qmp_command_fd(vm->qmp, "add-fd", NULL, fd, &answer, time_now_ms() + QMP_MS, err) < 0)
		return vmf_context(err, "cdrom");
	set = json_integer_value(json_object_get(answer, "fdset-id"));
	json_decref(answer);
	name = str_printf("/dev/fdset/%lld", (long long)set);
	rc = with_force(vm, "blockdev-change-medium",
		json_pack("{s:s, s:s, s:s, s:s}", "id", "cdrom", "filename", name, "format", "raw",
			"read-only-mode", "read-only"),
		err);
	if (rc < 0) {
		clean_up(vm, set);
		return vmf_context(err, "cdrom: %s", path);
	}
	return 0;
}

static int take_out(struct vm *vm, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + QMP_MS;

	if (with_force(vm, "blockdev-open-tray", json_pack("{s:s}", "id", "cdrom"), err) < 0 ||
		qmp_command(vm->qmp, "blockdev-remove-medium", json_pack("{s:s}", "id", "cdrom"), NULL,
			deadline, err) < 0 ||
		qmp_command(vm->qmp, "blockdev-close-tray", json_pack("{s:s}", "id", "cdrom"), NULL, deadline,
			err) < 0)
		return vmf_context(err, "cdrom");
	return 0;
}

int vm_change_medium(struct vm *vm, const char *path, struct vmf_error *err)
{
	int64_t old;

	if (vm_qmp(vm, time_now_ms() + QMP_MS, err) < 0)
		return -1;
	old = fdset_in_drive(vm);
	if ((path ? insert(vm, path, err) : take_out(vm, err)) < 0)
		return -1;
	clean_up(vm, old);
	return 0;
}
