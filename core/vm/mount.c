/* SPDX-License-Identifier: ISC */
/*
 * A stopped VM's disk on this host: as a raw file or device, with loop devices on its partitions and mounts
 * of those.
 *
 * None of that ends with us, so a record of it lasts, from before the first thing is done until the last one
 * is undone. It says where to look; what there is to undo is looked up: which loop devices stand on the
 * image, what is mounted from them, whether qemu-storage-daemon lives. So whatever was killed, unmounting
 * works, and can be repeated. While there is anything of it, the VM is not started; a record that a reboot
 * made void is forgotten.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "vm/disk.h"
#include "vm/mount.h"
#include "vm/steps.h"

#define RECORD_MAX (1 << 20)

static const char record_ending[] = ".json";

void mount_paths_init(const struct vm *vm, const char *slot, struct mount_paths *paths)
{
	autofree char *lib = realpath(vm->ctx->paths.lib, NULL);

	/* as the kernel says it, with no link in it */
	paths->folder = str_printf("%s/mounts/%s", lib ? lib : vm->ctx->paths.lib, vm->name);
	paths->record = str_printf("%s/%s%s", paths->folder, slot, record_ending);
	paths->image = str_printf("%s/%s.img", paths->folder, slot);
	paths->lock = str_printf("%s/%s.pid", paths->folder, slot);
	paths->log = str_printf("%s/%s.log", paths->folder, slot);
}

void mount_paths_free(struct mount_paths *paths)
{
	free(paths->folder);
	free(paths->record);
	free(paths->image);
	free(paths->lock);
	free(paths->log);
}

static const char *word(const json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

/* ---- the record --------------------------------------------------------------------------- */

static json_t *record_read(const char *path)
{
	autofree char *text = file_read_at(AT_FDCWD, path, RECORD_MAX, NULL);

	return text ? json_loads(text, 0, NULL) : NULL;
}

static int record_write(const char *path, const json_t *record, struct vmf_error *err)
{
	autofree char *text = json_dumps(record, JSON_COMPACT);
	autofree char *folder = path_parent(path);

	return file_mkdirs(folder, 0700, err) < 0 ? -1
						  : file_write(path, text, strlen(text), 0600, true, err);
}

char *mount_image(const json_t *record, const struct mount_paths *paths)
{
	const char *mapped = word(record, "mapped");
	char *real = mapped ? realpath(mapped, NULL) : NULL;

	return real ? real : str_dup(mapped ? mapped : paths->image);
}

/* Anything there that uses the disk? */
static bool is_live(const json_t *record, const struct mount_paths *paths)
{
	autofree char *image = mount_image(record, paths);
	autostrv struct strv loops = STRV_INIT;

	loop_list(image, &loops);
	return loops.count || export_is_alive(paths) || mount_is_at(paths->image);
}

/* ---- undoing ------------------------------------------------------------------------------ */

/* The folders that partitions were mounted at; FOLDER itself if we made it. What is not empty stays. */
static void remove_folders(const struct vm *vm, const json_t *record)
{
	const char *folder = word(record, "folder");
	autofree char *own = str_printf("%s/mnt", vm->ctx->paths.lib);
	autofree char *of_vm = path_join(own, vm->name);
	autostrv struct strv names = STRV_INIT;

	if (!folder || dir_list(folder, &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		autofree char *path = path_join(folder, names.items[i]);

		if (str_starts(names.items[i], "part"))
			rmdir(path);
	}
	if (json_is_true(json_object_get(record, "made")))
		rmdir(folder);
	rmdir(of_vm);
	rmdir(own);
}

static int give_back(struct vm *vm, json_t *record, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc = 0;

	if (vm_recorded_load(vm, json_object_get(record, "disk"), &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	if (json_is_true(json_object_get(record, "map"))) {
		if (r.plugin->ops.storage.unmap)
			rc = r.plugin->ops.storage.unmap(&call.call, r.volume, err);
	} else if (r.plugin->ops.storage.detach) {
		rc = r.plugin->ops.storage.detach(&call.call, r.volume, err);
	}
	vm_recorded_free(&r);
	return rc;
}

/* All of one disk. Gone already: 0. */
static int release(struct vm *vm, const char *slot, struct vmf_error *err)
{
	struct mount_paths paths;
	autofree char *image = NULL;
	json_t *record;
	int rc;

	mount_paths_init(vm, slot, &paths);
	record = record_read(paths.record);
	image = mount_image(record, &paths);
	rc = parts_unmount(image, err);
	if (rc == 0)
		rc = export_stop(&paths, err);
	if (rc == 0 && record) {
		remove_folders(vm, record);
		rc = give_back(vm, record, err);
	}
	if (rc == 0 && unlink(paths.record) < 0 && errno != ENOENT)
		rc = vmf_fail_errno(err, NULL, "cannot remove %s", paths.record);
	if (rc == 0)
		rmdir(paths.folder); /* unless another disk is mounted */
	json_decref(record);
	mount_paths_free(&paths);
	return rc;
}

/* ---- steps -------------------------------------------------------------------------------- */

static int write_record(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct mount_paths paths;
	int rc;

	(void)data;
	mount_paths_init(vm, word(args, "slot"), &paths);
	rc = record_write(paths.record, args, err);
	mount_paths_free(&paths);
	return rc;
}

static int undo_all(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return release(vm, word(args, "slot"), err);
}

const struct step step_mount_record = {"mount-record", write_record, undo_all};

static int map(const struct vm_recorded *r, const struct vm_call *call, json_t *record, struct vmf_error *err)
{
	char *path = NULL;

	if (r->plugin->ops.storage.map(&call->call, r->volume,
		    !json_is_true(json_object_get(record, "readonly")), &path, err) < 0)
		return -1;
	if (!path)
		return vmf_fail(
			err, VMF_E_FAILED, 0, NULL, "the plugin does not say where it has mapped it to");
	json_object_set_new(record, "mapped", json_string(path));
	return 0;
}

static int show(struct vm *vm, const struct vm_recorded *r, const struct vm_call *call, json_t *record,
	const struct mount_paths *paths, struct vmf_error *err)
{
	struct vmf_block block = {.size = sizeof(block)};

	block.readonly = json_is_true(json_object_get(record, "readonly"));
	if (r->plugin->ops.storage.attach(&call->call, r->volume, &block, err) < 0)
		return -1;
	if (json_is_true(json_object_get(record, "readonly")))
		block.readonly = 1;
	if (json_is_true(json_object_get(record, "trims")))
		block.discard = 1;
	json_object_set_new(record, "device", json_boolean(block.n_layers && block.layers[0].is_device));
	return export_start(vm, r->slot, &block, paths, err);
}

static int make_image(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	json_t *record = data;
	struct mount_paths paths;
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	(void)args;
	if (vm_recorded_load(vm, json_object_get(record, "disk"), &r, err) < 0)
		return -1;
	mount_paths_init(vm, r.slot, &paths);
	vm_call_recorded(vm, &r, &call);
	rc = json_is_true(json_object_get(record, "map")) ? map(&r, &call, record, err)
							  : show(vm, &r, &call, record, &paths, err);
	if (rc < 0)
		vmf_context(err, "storage \"%s\"", r.instance);
	else
		rc = record_write(paths.record, record, err);
	mount_paths_free(&paths);
	vm_recorded_free(&r);
	return rc;
}

const struct step step_mount_image = {"mount-image", make_image, NULL};

static int mount_all(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	json_t *record = data, *parts = json_array();
	struct mount_paths paths;
	autofree char *image = NULL;
	int rc;

	(void)args;
	json_object_set_new(record, "parts", parts);
	mount_paths_init(vm, word(record, "slot"), &paths);
	image = mount_image(record, &paths);
	rc = mount_folder(record, err);
	if (rc == 0)
		rc = parts_mount(image, word(record, "folder"),
			json_is_true(json_object_get(record, "readonly")), parts, err);
	if (rc == 0)
		rc = record_write(paths.record, record, err);
	mount_paths_free(&paths);
	return rc;
}

const struct step step_mount_parts = {"mount-parts", mount_all, NULL};

static int unmount_all(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return release(vm, word(args, "slot"), err);
}

const struct step step_unmount = {"unmount", unmount_all, NULL};

/* ---- mount -------------------------------------------------------------------------------- */

static int check_root(struct vmf_error *err)
{
	if (geteuid() == 0)
		return 0;
	return vmf_fail(
		err, VMF_E_PERMISSION, 0, "run it as root, or `disk export` it", "mounting needs root");
}

/* Where to: absolute, and either not there or an empty folder. */
static char *choose_folder(
	struct vm *vm, const struct vm_disk *d, const char *wanted, bool *made, struct vmf_error *err)
{
	autofree char *here = wanted && *wanted != '/' ? getcwd(NULL, 0) : NULL;
	char *folder = wanted ? path_join(here ? here : "", wanted)
			      : str_printf("%s/mnt/%s/%s", vm->ctx->paths.lib, vm->name, d->title);
	autostrv struct strv names = STRV_INIT;
	struct stat st;

	*made = stat(folder, &st) < 0;
	if (*made)
		return folder;
	if (S_ISDIR(st.st_mode) && dir_list(folder, &names, err) == 0 && names.count == 0)
		return folder;
	vmf_fail(err, VMF_E_EXISTS, 0, "name another folder, or one that is empty",
		S_ISDIR(st.st_mode) ? "the folder %s is not empty" : "%s is no folder", folder);
	free(folder);
	return NULL;
}

static int check_mountable(
	struct vm *vm, const struct vm_disk *d, const struct vm_mount *m, bool *is_map, struct vmf_error *err)
{
	const struct vmf_storage_ops *ops = &d->plugin->ops.storage;
	struct mount_paths paths;
	struct vmf_volume v;
	bool is_there;

	mount_paths_init(vm, d->slot, &paths);
	is_there = file_exists(paths.record);
	mount_paths_free(&paths);
	if (is_there)
		return vmf_fail(err, VMF_E_STATE, 0, "`disk umount` it first", "it is mounted already");
	*is_map = (vm_disk_caps(vm, d) & VMF_STORAGE_MAP) && ops->map && !(m->trims && ops->attach);
	if (!*is_map && !ops->attach)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`disk export` it, and mount the file",
			"storage \"%s\" (%s) cannot %s", d->instance, d->plugin->name,
			"give volumes to this host");
	if (vm_disk_exists(vm, d, &v, err) < 0)
		return -1;
	return m->writable ? vm_need_bare(vm, d, &v, err) : 0;
}

int plan_show(struct vm *vm, const struct vm_disk *d, struct plan *plan, const struct vm_mount *m,
	json_t **record, struct vmf_error *err)
{
	autofree char *folder = NULL;
	bool is_map = false, made;

	if (vm_disk_off(vm, err) < 0 || (m->writable && vm_need_no_memory(vm, err) < 0) ||
		check_mountable(vm, d, m, &is_map, err) < 0)
		return -1;
	folder = choose_folder(vm, d, m->folder, &made, err);
	if (!folder)
		return -1;
	*record = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:o}", "slot", d->slot, "title",
		d->title, "folder", folder, "made", made, "own", !m->folder, "trims", m->trims, "readonly",
		!m->writable, "map", is_map, "disk",
		vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume));
	plan_add(plan, &step_mount_record, json_incref(*record), "note in %s/mounts that it is mounted",
		vm->ctx->paths.lib);
	plan_add(plan, &step_mount_image, NULL,
		is_map ? "map volume %s of storage \"%s\" (%s)"
		       : "show volume %s of storage \"%s\" (%s) as a raw file, by qemu-storage-daemon",
		d->volume, d->instance, d->plugin->name);
	return 0;
}

int vm_disk_mount(struct vm *vm, const char *title, struct vm_mount *m, struct vmf_error *err)
{
	json_t *record = NULL;
	struct vm_disk *d = NULL;
	struct plan *plan;
	int rc = check_root(err);

	if (rc == 0 && m->writable)
		rc = vm_need_unlocked(vm, err);
	/* a locked VM can be looked at */
	if (rc == 0 && (vm->ctx->dry_run || vm_lock(vm, err) == 0) && vm_resolve(vm, err) == 0)
		d = vm_disk_find(vm, title, err);
	if (!d)
		return vm_end_change(vm, -1, err);
	plan = plan_new(vm, "disk-mount", true);
	rc = plan_show(vm, d, plan, m, &record, err);
	if (rc == 0)
		plan_add(plan, &step_mount_parts, NULL, "mount its partitions %s below %s",
			m->writable ? "for writing" : "read-only",
			json_string_value(json_object_get(record, "folder")));
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, record, false, err);
	if (rc < 0)
		vmf_context(err, "disk \"%s\"", title);
	plan_free(plan);
	if (rc == 0)
		m->record = json_incref(record);
	json_decref(record);
	return vm_end_change(vm, rc, err);
}

/* ---- unmount ------------------------------------------------------------------------------ */

json_t *vm_mounts(const struct vm *vm)
{
	struct mount_paths paths;
	autostrv struct strv names = STRV_INIT;
	json_t *all = json_array();

	mount_paths_init(vm, "", &paths);
	if (dir_list(paths.folder, &names, NULL) == 0)
		strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		autofree char *path = path_join(paths.folder, names.items[i]);
		json_t *record = str_ends(path, record_ending) ? record_read(path) : NULL;

		if (record)
			json_array_append_new(all, record);
	}
	mount_paths_free(&paths);
	return all;
}

/* A disk that is mounted, whatever the definition says of it by now. NULL and err. The caller drops it. */
static json_t *find_mount(const struct vm *vm, const char *title, struct vmf_error *err)
{
	json_t *all = vm_mounts(vm), *found = NULL, *record;
	autostrbuf struct strbuf known = STRBUF_INIT;
	autofree char *hint = NULL;
	size_t i;

	json_array_foreach(all, i, record)
	{
		strbuf_printf(&known, "%s%s", i ? ", " : "", word(record, "title"));
		if (str_equal(word(record, "title"), title))
			found = json_incref(record);
	}
	json_decref(all);
	if (found)
		return found;
	hint = known.length ? str_printf("mounted are %s", known.data) : str_dup("none of its disks is");
	vmf_fail(err, VMF_E_NOT_FOUND, 0, hint, "vm \"%s\": disk \"%s\" is not mounted", vm->name, title);
	return NULL;
}

int vm_disk_umount(struct vm *vm, const char *title, char **folder, struct vmf_error *err)
{
	json_t *record = NULL;
	struct plan *plan;
	int rc = check_root(err);

	*folder = NULL;
	/* the lock first: it undoes what a mount that was killed has left */
	if (rc == 0 && !vm->ctx->dry_run)
		rc = vm_lock(vm, err);
	if (rc == 0)
		record = find_mount(vm, title, err);
	if (!record) {
		vm_unlock(vm);
		return -1;
	}
	*folder = str_dup(word(record, "folder"));
	plan = plan_new(vm, "disk-umount", true);
	plan_forward(plan);
	plan_add(plan, &step_unmount, json_pack("{s:s}", "slot", word(record, "slot")),
		"unmount what is below %s", *folder);
	if (vm->ctx->dry_run)
		plan_describe(plan);
	else if (plan_run(plan, NULL, false, err) < 0)
		rc = vmf_context(err, "vm \"%s\": disk \"%s\"", vm->name, title);
	plan_free(plan);
	json_decref(record);
	vm_unlock(vm);
	return rc;
}

/* ---- others must not ---------------------------------------------------------------------- */

static int need_free(struct vm *vm, bool readers_too, struct vmf_error *err)
{
	json_t *all = vm_mounts(vm), *record;
	size_t i;
	int rc = 0;

	json_array_foreach(all, i, record)
	{
		const char *slot = word(record, "slot"), *title = word(record, "title");
		struct mount_paths paths;
		bool live;

		mount_paths_init(vm, slot, &paths);
		live = is_live(record, &paths);
		mount_paths_free(&paths);
		if (live && (readers_too || !json_is_true(json_object_get(record, "readonly")))) {
			autofree char *hint = str_printf("`vmf %s disk umount %s`", vm->name, title);

			rc = vmf_fail(err, VMF_E_STATE, 0, hint, "its disk \"%s\" is mounted at %s", title,
				word(record, "folder"));
		} else if (!live && !vm->ctx->dry_run) { /* a reboot has done it */
			rc = release(vm, slot, err);
		}
		if (rc < 0)
			break;
	}
	json_decref(all);
	return rc;
}

int vm_need_unmounted(struct vm *vm, struct vmf_error *err)
{
	return need_free(vm, true, err);
}

int vm_need_unwritten(struct vm *vm, struct vmf_error *err)
{
	return need_free(vm, false, err);
}
