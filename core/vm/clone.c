/* SPDX-License-Identifier: ISC */
/*
 * Clones: a new VM with another's settings and disks, but an identity of its own. The other one is held all
 * the while, so that it neither starts nor changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/disk.h"
#include "vm/steps.h"
#include "vm/vm.h"

/* ---- steps -------------------------------------------------------------------------------- */

static int do_clone(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	return r->plugin->ops.storage.clone(&call->call, json_string_value(json_object_get(args, "origin")),
		json_string_value(json_object_get(args, "snapshot")), r->volume,
		json_is_true(json_object_get(args, "copy")), err);
}

static int volume_clone(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_clone, err);
}

static int volume_unclone(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return step_volume_create.undo(vm, args, err);
}

const struct step step_volume_clone = {"volume-clone", volume_clone, volume_unclone};

static int file_copy(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	const char *from = json_string_value(json_object_get(args, "from"));
	const char *to = json_string_value(json_object_get(args, "to"));
	autoclose int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	autoclose int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)vm;
	(void)data;
	if (out < 0 || fd_copy_all(out, in) < 0)
		return vmf_fail_errno(err, NULL, "cannot copy %s to %s", from, to);
	return 0;
}

/* It was not there when the plan was made. */
static int file_uncopy(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *to = json_string_value(json_object_get(args, "to"));

	(void)vm;
	if (unlink(to) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", to);
	return 0;
}

const struct step step_file_copy = {"file-copy", file_copy, file_uncopy};

/* ---- the definition ----------------------------------------------------------------------- */

/* A disk that several VMs read, by the name that the definition gives it: the clone reads it as well. */
static bool is_shared(const struct vm_disk *d)
{
	return d->readonly && d->section && conf_is_set(d->section, "volume");
}

/* What in the definition is the origin's own and must not be the clone's: "key=" removes a line. */
static void own_settings(const struct vm *origin, struct strv *settings)
{
	if (conf_is_set(origin->root, "locked"))
		strv_add(settings, "locked=");
	for (size_t i = 0; i < origin->n_nics; i++)
		if (origin->nics[i].section && conf_is_set(origin->nics[i].section, "mac"))
			strv_addf(settings, "nic.\"%s\".mac=", origin->nics[i].title);
	for (size_t i = 0; i < origin->n_disks; i++) {
		const struct vm_disk *d = &origin->disks[i];

		if (d->section && conf_is_set(d->section, "volume") && !is_shared(d))
			strv_addf(settings, "disk.\"%s\".volume=", d->title);
	}
}

/* ---- the disks ---------------------------------------------------------------------------- */

/* As the new VM will look for it: see configured_disks() and find_volumes() in model.c. */
static char *new_volume(const struct vm *origin, const struct vm_disk *d, const char *new_prefix)
{
	autofree char *prefix = vm_volume_prefix(origin);
	size_t n = strlen(prefix);

	if (d->section)
		return str_printf("%s-%s", new_prefix, d->title);
	return str_printf("%s%s", new_prefix, strncmp(d->volume, prefix, n) == 0 ? d->volume + n : d->volume);
}

static int try_clone(struct vm *vm, const struct vm_disk *d, const struct vm_clone_options *o,
	const char *volume, bool copy, struct vmf_error *err)
{
	struct vm_call call;

	vm_call_disk(vm, d, &call);
	call.call.dry_run = 1;
	return d->plugin->ops.storage.clone(&call.call, d->volume, o->snapshot, volume, copy, err);
}

/* Copy-on-write where the store can, unless told otherwise; *copy: it is to be a full copy. */
static int choose(struct vm *vm, const struct vm_disk *d, const struct vm_clone_options *o,
	const char *volume, bool *copy, struct vmf_error *err)
{
	const struct vmf_storage_ops *ops = &d->plugin->ops.storage;
	struct vmf_error first = VMF_ERROR_INIT;
	struct vmf_pool pool = {.size = sizeof(pool)};
	struct vm_call call;

	vm_call_disk(vm, d, &call);
	if (ops->check && ops->check(&call.call, &pool, err) < 0)
		return -1;
	if (!ops->clone)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"make a new disk and copy the files over in the guests", "it cannot clone volumes");
	*copy = o->how == CLONE_COPY || !(pool.caps & VMF_STORAGE_COW_CLONE);
	if (*copy && o->how == CLONE_COW)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "leave out --cow: then a full copy is made",
			"it has no copy-on-write clones");
	if (try_clone(vm, d, o, volume, *copy, &first) == 0)
		return 0;
	if (*copy || o->how == CLONE_COW || first.code != VMF_E_UNSUPPORTED) {
		error_move(err, &first);
		return -1;
	}
	log_info("disk \"%s\": a full copy, as %s", d->title, first.message);
	error_clear(&first);
	*copy = true;
	return try_clone(vm, d, o, volume, true, err);
}

int plan_volume_clone(struct vm *vm, struct plan *plan, const struct vm_disk *d,
	const struct vm_clone_options *o, const char *volume, struct vmf_error *err)
{
	json_t *args;
	bool copy;

	if (choose(vm, d, o, volume, &copy, err) < 0)
		return vmf_context(
			err, "disk \"%s\": storage \"%s\" (%s)", d->title, d->instance, d->plugin->name);
	args = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, volume);
	json_object_set_new(args, "origin", json_string(d->volume));
	if (o->snapshot)
		json_object_set_new(args, "snapshot", json_string(o->snapshot));
	json_object_set_new(args, "copy", json_boolean(copy));
	plan_add(plan, &step_volume_clone, args, "%s volume %s%s%s to %s in storage \"%s\" (%s)",
		copy ? "copy" : "clone (copy-on-write)", d->volume, o->snapshot ? "@" : "",
		o->snapshot ? o->snapshot : "", volume, d->instance, d->plugin->name);
	return 0;
}

static int plan_disk(struct vm *vm, struct plan *plan, struct vm *origin, const struct vm_disk *d,
	const struct vm_clone_options *o, struct vmf_error *err)
{
	autofree char *prefix = vm_volume_prefix(vm);
	autofree char *volume = new_volume(origin, d, prefix);

	return plan_volume_clone(vm, plan, d, o, volume, err);
}

/* UEFI's variables: what is to be booted. */
static int plan_nvram(struct vm *vm, struct plan *plan, const struct vm *origin, struct vmf_error *err)
{
	autofree char *from = vm_lib_path(origin, "nvram", ".fd");
	autofree char *to = vm_lib_path(vm, "nvram", ".fd");

	if (!file_exists(from))
		return 0;
	if (file_exists(to))
		return vmf_fail(err, VMF_E_EXISTS, 0, "remove it, or choose another name",
			"there is a %s already", to);
	plan_add(plan, &step_file_copy, json_pack("{s:s, s:s}", "from", from, "to", to), "copy %s to %s",
		from, to);
	return 0;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int clone_held(
	struct vm *vm, struct vm *origin, const struct vm_clone_options *o, struct vmf_error *err)
{
	struct vm_create_options create = {.template = origin->file};
	struct plan *plan;
	int rc;

	if (vm_need_unwritten(origin, err) < 0 || vm_resolve(origin, err) < 0)
		return -1;
	plan = plan_new(vm, "clone", true);
	own_settings(origin, &create.settings);
	rc = plan_definition(vm, plan, &create, err);
	for (size_t i = 0; rc == 0 && i < origin->n_disks; i++)
		if (!is_shared(&origin->disks[i]))
			rc = plan_disk(vm, plan, origin, &origin->disks[i], o, err);
	if (rc == 0)
		rc = plan_nvram(vm, plan, origin, err);
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, NULL, false, err);
	plan_free(plan);
	strv_free(&create.settings);
	return rc;
}

int vm_clone(struct vm *vm, const struct vm_clone_options *o, struct vmf_error *err)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct vm *origin;
	int rc = 0;

	if (str_equal(vm->name, o->origin))
		return vmf_fail(err, VMF_E_USAGE, 0,
			"the new VM's name comes first: `vmf NEW clone --from OLD`",
			"vm \"%s\" cannot be a clone of itself", vm->name);
	origin = vm_load(vm->ctx, o->origin, false, err);
	if (!origin)
		return -1;
	if (!vm->ctx->dry_run && (vm_lock(vm, err) < 0 || vm_lock(origin, err) < 0))
		rc = -1;
	if (rc == 0)
		rc = clone_held(vm, origin, o, err);
	vm_free(origin);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	if (rc == 0)
		return vm->ctx->dry_run ? 0 : vm_reload(vm, err);
	/* from here on it is what its file says, which is not there */
	vm_reload(vm, &quiet);
	error_clear(&quiet);
	return rc;
}
