/* SPDX-License-Identifier: ISC */
/*
 * Save: the guest is paused, its memory written to a file, QEMU ended. The rename of the finished file is the
 * one point where "running" becomes "saved"; before it, an undo lets the guest go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/steps.h"
#include "vm/vm.h"

#define QMP_MS 10000

static int quick(struct vm *vm, const char *command, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + QMP_MS;

	if (vm_qmp(vm, deadline, err) < 0)
		return -1;
	return qmp_command(vm->qmp, command, NULL, NULL, deadline, err);
}

static int pause_guest(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)args;
	(void)data;
	return quick(vm, "stop", err);
}

static int let_go_on(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_of(vm, &state);
	/* QEMU died while saving: nothing can go on, and the unfinished file is removed by the other undo */
	if (!state.pid)
		return 0;
	return json_is_true(json_object_get(args, "was_running")) ? quick(vm, "cont", err) : 0;
}

const struct step step_save_pause = {"save-pause", pause_guest, let_go_on};

/* Waits for the migration's end. -1 and err unless it has completed. */
static int wait_migration(struct vm *vm, struct vmf_error *err)
{
	for (;;) {
		json_t *answer = NULL, *ram;
		const char *status;
		int done;

		if (qmp_command(vm->qmp, "query-migrate", NULL, &answer, time_now_ms() + QMP_MS, err) < 0)
			return -1;
		status = json_string_value(json_object_get(answer, "status"));
		ram = json_object_get(answer, "ram");
		if (log_progress("saving memory",
			    (uint64_t)json_integer_value(json_object_get(ram, "transferred")), 0) < 0)
			vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
		else if (status && str_equal(status, "failed"))
			vmf_fail(err, VMF_E_FAILED, 0, "is there room on the disk?",
				"QEMU could not save the memory: %s",
				json_string_value(json_object_get(answer, "error-desc"))
					? json_string_value(json_object_get(answer, "error-desc"))
					: "the file could not be written");
		else if (status && str_equal(status, "cancelled"))
			vmf_fail(err, VMF_E_FAILED, 0, NULL, "saving was cancelled");
		done = status && str_equal(status, "completed");
		json_decref(answer);
		if (err->code)
			return -1;
		if (done)
			return 0;
		time_sleep_ms(10);
	}
}

static int get_number(
	struct vm *vm, const char *id, const char *property, json_t **number, struct vmf_error *err)
{
	autofree char *path = str_printf("/machine/peripheral/%s", id);

	return qmp_command(vm->qmp, "qom-get", json_pack("{s:s, s:s}", "path", path, "property", property),
		number, time_now_ms() + QMP_MS, err);
}

/* On the controller: one after the other, whichever came first. */
static int scsi_places(struct vm *vm, json_t *places, struct vmf_error *err)
{
	json_t *list = NULL, *entry;
	size_t i;
	int rc = qmp_command(vm->qmp, "qom-list", json_pack("{s:s}", "path", "/machine/peripheral"), &list,
		time_now_ms() + QMP_MS, err);

	json_array_foreach(list, i, entry)
	{
		const char *id = json_string_value(json_object_get(entry, "name"));
		json_t *target = NULL, *lun = NULL;

		if (rc < 0 || !id ||
			!str_equal(json_string_value(json_object_get(entry, "type")), "child<scsi-hd>"))
			continue;
		rc = get_number(vm, id, "scsi-id", &target, err);
		if (rc == 0)
			rc = get_number(vm, id, "lun", &lun, err);
		if (rc == 0)
			json_object_set_new(
				places, id, json_pack("{s:O, s:O}", "scsi-id", target, "lun", lun));
		json_decref(target);
		json_decref(lun);
	}
	json_decref(list);
	return rc;
}

/*
 * Disks that came while the guest ran have a place on the PCI bus that the command line alone would not give
 * them, and those that went leave gaps. The memory fits only a machine that looks the same.
 */
static int write_places(struct vm *vm, struct vmf_error *err)
{
	autofree char *path = vm_lib_path(vm, "places", ".json");
	autofree char *folder = path_parent(path);
	autofree char *text = NULL;
	json_t *buses = NULL, *places = json_object(), *device;
	int rc = qmp_command(vm->qmp, "query-pci", NULL, &buses, time_now_ms() + QMP_MS, err);
	size_t i;

	json_array_foreach(json_object_get(json_array_get(buses, 0), "devices"), i, device)
	{
		const char *id = json_string_value(json_object_get(device, "qdev_id"));
		char place[16];

		snprintf(place, sizeof(place), "%x.%x",
			(unsigned)json_integer_value(json_object_get(device, "slot")) & 31,
			(unsigned)json_integer_value(json_object_get(device, "function")) & 7);
		if (id && *id)
			json_object_set_new(places, id, json_pack("{s:s}", "addr", place));
	}
	if (rc == 0)
		rc = scsi_places(vm, places, err);
	text = json_dumps(places, JSON_COMPACT);
	if (rc == 0)
		rc = file_mkdirs(folder, 0700, err) < 0
			     ? -1
			     : file_write(path, text, strlen(text), 0600, true, err);
	json_decref(buses);
	json_decref(places);
	return rc;
}

static int write_memory(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	const char *path = json_string_value(json_object_get(args, "path"));
	const char *temporary = json_string_value(json_object_get(args, "temporary"));
	autofree char *folder = path_parent(path);
	int64_t deadline = time_now_ms() + QMP_MS;
	autoclose int fd = -1;
	/* the guest stands still: there is no reason to go easy on the disk; 0 is QEMU's "no limit" */
	json_t *limit = json_pack("{s:I}", "max-bandwidth", (json_int_t)0);

	(void)data;
	if (file_mkdirs(folder, 0700, err) < 0 || write_places(vm, err) < 0) {
		json_decref(limit);
		return -1;
	}
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		json_decref(limit);
		return vmf_fail_errno(err, NULL, "cannot write %s", temporary);
	}
	if (qmp_command(vm->qmp, "migrate-set-parameters", limit, NULL, deadline, err) < 0 ||
		qmp_command_fd(vm->qmp, "getfd", json_pack("{s:s}", "fdname", "saved"), fd, NULL, deadline,
			err) < 0 ||
		qmp_command(vm->qmp, "migrate", json_pack("{s:s}", "uri", "fd:saved"), NULL, deadline, err) <
			0 ||
		wait_migration(vm, err) < 0)
		return -1;
	if (fsync(fd) < 0 || rename(temporary, path) < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s", path);
	file_sync_parent(path);
	return 0;
}

static int discard_memory(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct vm_state state;

	vm_state_of(vm, &state);
	if (state.pid)
		quick(vm, "migrate_cancel", &quiet);
	error_clear(&quiet);
	if (unlink(json_string_value(json_object_get(args, "temporary"))) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove the unfinished memory");
	/* undone, the guest goes on: its memory on disk would be of the past */
	return vm_forget_saved(vm, err);
}

const struct step step_save_write = {"save-write", write_memory, discard_memory};

int vm_save(struct vm *vm, struct vmf_error *err)
{
	autofree char *path = vm_lib_path(vm, "saved", "");
	autofree char *temporary = str_printf("%s.part", path);
	struct vm_state state;
	struct plan *plan;
	int rc;

	if (vm_need_unlocked(vm, err) < 0 || vm_need_alive(vm, &state, err) < 0)
		return -1;
	if (!str_equal(state.status, "running") && !str_equal(state.status, "paused"))
		return vmf_fail(err, VMF_E_STATE, 0, "mend what stopped it, then `resume`, then `save`",
			"vm \"%s\": it is %s and cannot be saved", vm->name, state.status);
	plan = plan_new(vm, "save", true);
	plan_then_end(plan);
	plan_add(plan, &step_save_pause,
		json_pack("{s:b}", "was_running", str_equal(state.status, "running")), "pause the guest");
	plan_add(plan, &step_save_write, json_pack("{s:s, s:s}", "path", path, "temporary", temporary),
		"write its memory to %s", path);
	if (vm->ctx->dry_run) {
		plan_describe(plan);
		plan_free(plan);
		return 0;
	}
	rc = vm_lock(vm, err);
	if (rc == 0)
		rc = plan_run(plan, NULL, true, err);
	if (rc == 0)
		rc = vm_stop_locked(vm, STOP_QUIT, err);
	if (rc == 0)
		rc = plan_done(plan, err);
	plan_free(plan);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	return rc;
}
