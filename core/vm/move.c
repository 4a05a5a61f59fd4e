/* SPDX-License-Identifier: ISC */
#include "vm/disk.h"
#include "vm/move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "config/value.h"
#include "vm/place.h"
#include "vm/steps.h"

/* Besides the disks: memory, the order of its devices, the firmware's variables. */
static const struct {
	const char *folder, *suffix;
} files[] = {{"saved", ""}, {"places", ".json"}, {"nvram", ".fd"}};

/* ---- the mark ------------------------------------------------------------------------------ */

static char *mark_path(const struct ctx *ctx, const char *name)
{
	return str_printf("%s/managed/%s.moving", ctx->paths.lib, name);
}

int move_mark(const struct ctx *ctx, const char *name, struct vmf_error *err)
{
	autofree char *path = mark_path(ctx, name);

	return file_write(path, "", 0, 0600, true, err);
}

void move_unmark(const struct ctx *ctx, const char *name)
{
	autofree char *path = mark_path(ctx, name);

	unlink(path);
}

bool move_is_marked(const struct ctx *ctx, const char *name)
{
	autofree char *path = mark_path(ctx, name);

	return file_exists(path);
}

int move_drop(struct ctx *ctx, const char *name, const char *uuid, struct vmf_error *err)
{
	struct vm *vm;
	int rc = 0;

	if (!move_is_marked(ctx, name))
		return 0;
	vm = vm_load(ctx, name, true, err);
	if (!vm)
		return -1;
	ctx->ends_move = true;
	if (vm->is_defined && !str_equal(vm->uuid, uuid))
		rc = vmf_fail(err, VMF_E_EXISTS, 0, NULL, "vm \"%s\" there is another one by now", name);
	else if (vm_lock_any(vm, err) < 0)
		rc = -1;
	else if (vm->is_defined)
		rc = vm_destroy(vm, err);
	ctx->ends_move = false;
	vm_free(vm);
	if (rc == 0) {
		managed_forget(ctx, name);
		move_unmark(ctx, name);
	}
	return rc;
}

/* ---- what there is ------------------------------------------------------------------------- */

static int check_bare(struct vm *vm, const struct vm_disk *d, struct vmf_error *err)
{
	struct vmf_snapshot_list list = {.stride = sizeof(struct vmf_snapshot)};
	struct vm_call call;

	if (!d->plugin->ops.storage.snapshots)
		return 0;
	vm_call_disk(vm, d, &call);
	if (d->plugin->ops.storage.snapshots(&call.call, d->volume, &list, err) < 0)
		return vmf_context(err, "storage \"%s\"", d->instance);
	return list.count == 0 ? 0
			       : vmf_fail(err, VMF_E_STATE, 0, "`snapshot --delete NAME` removes one",
					 "it has snapshots, which do not go along");
}

static int add_disk(struct vm *vm, const struct vm_disk *d, json_t *disks, struct vmf_error *err)
{
	struct vmf_volume v;

	if (vm_disk_exists(vm, d, &v, err) < 0)
		return -1;
	if (!vm_disk_is_ours(vm, &v))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "take the disk out of its definition first",
			"volume %s was not made by vmf for it", d->volume);
	if (!d->plugin->ops.storage.send || !(vm_disk_caps(vm, d) & VMF_STORAGE_STREAM))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "storage \"%s\" (%s) sends no volumes",
			d->instance, d->plugin->name);
	if (check_bare(vm, d, err) < 0)
		return -1;
	json_array_append_new(disks,
		json_pack("{s:s, s:s, s:s, s:i, s:I}", "title", d->title, "storage", d->instance, "volume",
			d->volume, "index", (int)d->index, "size", (json_int_t)v.virtual_bytes));
	return 0;
}

static int put_disks(struct vm *vm, json_t *disks, struct vmf_error *err)
{
	for (size_t i = 0; i < vm->n_disks; i++)
		if (add_disk(vm, &vm->disks[i], disks, err) < 0)
			return vmf_context(err, "vm \"%s\": disk \"%s\"", vm->name, vm->disks[i].title);
	return 0;
}

json_t *move_manifest(struct vm *vm, struct vmf_error *err)
{
	json_t *disks, *list;

	if (vm_need_unlocked(vm, err) < 0 || vm_lock(vm, err) < 0)
		return NULL;
	if (vm_need_off(vm, err) < 0) {
		if (err->hint)
			str_set(&err->hint, "`save`, `shutdown` or `stop` it first");
		return NULL;
	}
	if (plan_undo_start(vm, err) < 0 || vm_need_unmounted(vm, err) < 0 || vm_resolve(vm, err) < 0)
		return NULL;
	disks = json_array();
	if (put_disks(vm, disks, err) < 0) {
		json_decref(disks);
		return NULL;
	}
	list = json_array();
	for (size_t i = 0; i < VMF_COUNT(files); i++) {
		autofree char *path = vm_lib_path(vm, files[i].folder, files[i].suffix);

		if (file_exists(path))
			json_array_append_new(list, json_integer((json_int_t)i));
	}
	return json_pack("{s:s, s:o, s:o}", "uuid", vm->uuid, "disks", disks, "files", list);
}

/* ---- out ----------------------------------------------------------------------------------- */

/* Runs the coder in a process of its own, which ends with the pipe. -1: no process. */
static pid_t begin_coder(int (*code)(int from, int to), int from, int to, int other)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(other);
		_exit(code(from, to) == 0 ? 0 : errno == EBADMSG ? 2 : 1);
	}
	return pid;
}

static int end_coder(pid_t pid, bool has_failed, struct vmf_error *err)
{
	int status;

	if (has_failed)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (has_failed)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return vmf_fail(err, VMF_E_FAILED, 0, "try again", "what came is not what was sent");
	return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the stream was cut off");
}

static int send_disk(struct vm *vm, const struct vm_disk *d, int fd, struct vmf_error *err)
{
	struct vm_call call;
	int pipes[2], rc;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return vmf_fail_errno(err, NULL, "pipe");
	pid = begin_coder(move_encode, pipes[0], fd, pipes[1]);
	close(pipes[0]);
	vm_call_disk(vm, d, &call);
	rc = pid < 0 ? vmf_fail_errno(err, NULL, "fork")
		     : d->plugin->ops.storage.send(&call.call, d->volume, pipes[1], err);
	/* half of a disk must not look like all of it */
	if (pid >= 0 && rc < 0)
		end_coder(pid, true, err);
	close(pipes[1]);
	if (rc == 0)
		rc = end_coder(pid, false, err);
	return rc < 0 ? vmf_context(err, "disk \"%s\"", d->title) : 0;
}

static int send_file(struct vm *vm, size_t i, int to, struct vmf_error *err)
{
	autofree char *path = vm_lib_path(vm, files[i].folder, files[i].suffix);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || move_encode(fd, to) < 0 ? vmf_fail_errno(err, NULL, "cannot send %s", path) : 0;
}

static size_t file_of(const json_t *item)
{
	return json_is_integer(item) && json_integer_value(item) >= 0 &&
			       json_integer_value(item) < (json_int_t)VMF_COUNT(files)
		       ? (size_t)json_integer_value(item)
		       : VMF_COUNT(files);
}

int move_send(struct vm *vm, const json_t *manifest, int fd, struct vmf_error *err)
{
	json_t *item;
	size_t i;

	for (i = 0; i < vm->n_disks; i++)
		if (send_disk(vm, &vm->disks[i], fd, err) < 0)
			return -1;
	json_array_foreach(json_object_get(manifest, "files"), i, item)
	{
		if (send_file(vm, file_of(item), fd, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- in ------------------------------------------------------------------------------------ */

static int receive_into(const struct vm_recorded *r, const struct vm_call *call, uint64_t size_bytes,
	int from, struct vmf_error *err)
{
	int pipes[2], rc;
	pid_t pid;

	if (!r->plugin->ops.storage.receive)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "%s receives no volumes", r->plugin->name);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return vmf_fail_errno(err, NULL, "pipe");
	pid = begin_coder(move_decode, from, pipes[1], pipes[0]);
	close(pipes[1]);
	rc = pid < 0 ? vmf_fail_errno(err, NULL, "fork")
		     : r->plugin->ops.storage.receive(&call->call, r->volume, size_bytes, pipes[0], err);
	close(pipes[0]);
	return pid < 0 ? -1 : end_coder(pid, rc < 0, err);
}

static int volume_receive(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = receive_into(
		&r, &call, (uint64_t)json_integer_value(json_object_get(args, "size")), *(int *)data, err);
	if (rc < 0)
		vmf_context(err, "storage \"%s\": volume \"%s\"", r.instance, r.volume);
	vm_recorded_free(&r);
	return rc;
}

static int volume_unreceive(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return step_volume_create.undo(vm, args, err);
}

const struct step step_volume_receive = {"volume-receive", volume_receive, volume_unreceive};

static int file_receive(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	const char *path = json_string_value(json_object_get(args, "path"));
	autofree char *folder = path_parent(path);
	struct file_new file;

	(void)vm;
	if (file_mkdirs(folder, 0755, err) < 0)
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", path);
	if (file_new_open(&file, path, err) < 0)
		return -1;
	if (move_decode(*(int *)data, file.fd) < 0) {
		vmf_fail_errno(err, NULL, "cannot write %s", path);
		file_new_drop(&file);
		return -1;
	}
	fchmod(file.fd, 0600);
	return file_new_publish(&file, err);
}

static int file_unreceive(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return step_file_remove.run(vm, args, NULL, err);
}

const struct step step_file_receive = {"file-receive", file_receive, file_unreceive};

static struct vm_disk *configured(struct vm *vm, const char *title)
{
	for (size_t i = 0; i < vm->n_disks; i++)
		if (str_equal(vm->disks[i].title, title) && vm->disks[i].section)
			return &vm->disks[i];
	return NULL;
}

static int add_volume(struct vm *vm, struct plan *plan, const json_t *disk, struct vmf_error *err)
{
	const char *title = json_string_value(json_object_get(disk, "title"));
	const struct vm_disk *own = configured(vm, title);
	const struct new_volume new = {.name = json_string_value(json_object_get(disk, "volume")),
		.instance = json_string_value(json_object_get(disk, "storage")),
		.own = own ? own->section : NULL,
		.index = (unsigned)json_integer_value(json_object_get(disk, "index")),
		.size_bytes = (uint64_t)json_integer_value(json_object_get(disk, "size")),
		.is_received = true};

	if (!title || !new.name || !new.instance)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the other host says nonsense of a disk");
	return plan_volume(vm, plan, &new, err) < 0 ? vmf_context(err, "disk \"%s\"", title) : 0;
}

static int make_plan(struct vm *vm, struct plan *plan, const json_t *manifest, struct vmf_error *err)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(manifest, "disks"), i, item)
	{
		if (add_volume(vm, plan, item, err) < 0)
			return -1;
	}
	json_array_foreach(json_object_get(manifest, "files"), i, item)
	{
		size_t n = file_of(item);
		autofree char *path = NULL;

		if (n == VMF_COUNT(files))
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the other host says nonsense of a file");
		path = vm_lib_path(vm, files[n].folder, files[n].suffix);
		plan_add(plan, &step_file_receive, json_pack("{s:s}", "path", path), "write %s", path);
	}
	return 0;
}

/* What a move has left that did not come to its end: marked for this VM, which is not defined here. */
static int remove_stale(struct vm *vm, const json_t *disk, struct vmf_error *err)
{
	const char *volume = json_string_value(json_object_get(disk, "volume"));
	const char *storage = json_string_value(json_object_get(disk, "storage"));
	struct vm_disk d = {.title = volume, .volume = volume, .slot = (char *)"disk-stale"};
	struct vm_instance in;
	struct vm_call call;
	struct vmf_volume v;
	int rc;

	if (!volume || !storage || vm_instance_find(vm->root, "storage", storage, VMF_STORAGE, &in, err) < 0)
		return volume && storage ? -1 : 0;
	d.instance = in.name;
	d.plugin = in.plugin;
	d.opts = vm_instance_opts(&in, NULL, err);
	if (!d.opts)
		return -1;
	rc = vm_disk_volume(vm, &d, &v, err);
	if (rc == 0 && v.name && vm_disk_is_ours(vm, &v) && v.owner_uuid && d.plugin->ops.storage.remove) {
		vm_call_disk(vm, &d, &call);
		rc = d.plugin->ops.storage.remove(&call.call, volume, err);
	}
	conf_opts_free(d.opts);
	return rc;
}

int move_check(struct vm *vm, const json_t *manifest, struct vmf_error *err)
{
	struct plan *plan;
	json_t *item;
	size_t i;
	bool was_dry = vm->ctx->dry_run;
	int rc = 0;

	json_array_foreach(json_object_get(manifest, "disks"), i, item)
	{
		if (!was_dry && remove_stale(vm, item, err) < 0)
			return -1;
	}
	/* the stores say whether there is room */
	vm->ctx->dry_run = true;
	plan = plan_new(vm, "move-in", true);
	rc = make_plan(vm, plan, manifest, err);
	plan_free(plan);
	vm->ctx->dry_run = was_dry;
	return rc;
}

int move_receive(struct vm *vm, const json_t *manifest, int fd, struct vmf_error *err)
{
	struct plan *plan = plan_new(vm, "move-in", true);
	int rc = make_plan(vm, plan, manifest, err);

	if (rc == 0)
		rc = plan_run(plan, &fd, false, err);
	plan_free(plan);
	return rc;
}
