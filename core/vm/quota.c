/* SPDX-License-Identifier: ISC */
#include "vm/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"
#include "vm/owner.h"
#include "vm/place.h"

#define LOCK_MS 60000

/* ---- limits ------------------------------------------------------------------------------- */

static int64_t limit(const struct conf_section *section, const char *key)
{
	return section && conf_is_set(section, key) ? conf_number(section, key) : QUOTA_NONE;
}

static int64_t sent(const json_t *json, const char *key)
{
	const json_t *number = json_object_get(json, key);

	return json_is_integer(number) ? json_integer_value(number) : QUOTA_NONE;
}

void quota_limits(const struct ctx *ctx, const char *owner, struct quota *limits)
{
	const struct conf_section *section = owner_find(ctx, owner);

	if (ctx->is_far) {
		*limits = (struct quota){sent(ctx->quota, "vms"), sent(ctx->quota, "cpus"),
			sent(ctx->quota, "memory_bytes"), sent(ctx->quota, "disk_bytes")};
		return;
	}
	*limits = (struct quota){limit(section, "vms"), limit(section, "cpus"), limit(section, "memory"),
		limit(section, "disk")};
}

static bool is_limited(const struct quota *q)
{
	return q->vms >= 0 || q->cpus >= 0 || q->memory_bytes >= 0 || q->disk_bytes >= 0;
}

/* ---- what was taken by those that run ------------------------------------------------------ */

static char *charge_path(const struct ctx *ctx, const char *name)
{
	return str_printf("%s/.charges/%s", ctx->paths.run, name);
}

/* A new reference, or NULL. */
static json_t *charge_read(const struct ctx *ctx, const char *name)
{
	autofree char *path = charge_path(ctx, name);
	autofree char *text = file_read_at(AT_FDCWD, path, 4096, NULL);

	return text ? json_loads(text, 0, NULL) : NULL;
}

static int charge_write(const struct ctx *ctx, const char *name, const char *owner, const struct quota *need,
	struct vmf_error *err)
{
	autofree char *path = charge_path(ctx, name);
	autofree char *folder = path_parent(path);
	json_t *json = json_pack("{s:s, s:I, s:I}", "owner", owner, "cpus", (json_int_t)need->cpus,
		"memory_bytes", (json_int_t)need->memory_bytes);
	char *text = json_dumps(json, JSON_COMPACT);
	int rc = paths_create(&ctx->paths, err);

	if (rc == 0)
		rc = file_mkdirs(folder, 0700, err);
	if (rc == 0)
		rc = file_write(path, text, strlen(text), 0600, false, err);
	free(text);
	json_decref(json);
	return rc;
}

void quota_give_back(const struct ctx *ctx, const char *name)
{
	autofree char *path = charge_path(ctx, name);

	if (unlink(path) < 0 && errno != ENOENT)
		log_debug("cannot remove %s", path);
}

static bool is_up(struct ctx *ctx, const char *name)
{
	struct vm_state state;

	vm_state_read(ctx, name, &state);
	return state.pid || state.phase == VM_ALIVE || state.phase == VM_STARTING ||
	       state.phase == VM_UNKNOWN;
}

/* All of OWNER's that run here, whatever has become of their definitions; but for BUT. */
static int add_running(
	struct ctx *ctx, const char *owner, const char *but, struct quota *used, struct vmf_error *err)
{
	autofree char *folder = path_join(ctx->paths.run, ".charges");
	autostrv struct strv names = STRV_INIT;

	if (dir_list(folder, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		json_t *charge =
			vm_name_check(names.items[i], NULL) == 0 ? charge_read(ctx, names.items[i]) : NULL;

		if (!str_equal(names.items[i], but) &&
			str_equal(json_string_value(json_object_get(charge, "owner")), owner) &&
			is_up(ctx, names.items[i])) {
			used->cpus += json_integer_value(json_object_get(charge, "cpus"));
			used->memory_bytes += json_integer_value(json_object_get(charge, "memory_bytes"));
		}
		json_decref(charge);
	}
	return 0;
}

/* ---- what is defined ----------------------------------------------------------------------- */

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* One that lives elsewhere. */
static void add_defined(struct ctx *ctx, const struct vm *vm, struct quota *used)
{
	json_t *charge = charge_read(ctx, vm->name);

	used->cpus +=
		larger(conf_number(vm->root, "cpus"), json_integer_value(json_object_get(charge, "cpus")));
	used->memory_bytes += larger(
		(int64_t)vm_memory_bytes(vm), json_integer_value(json_object_get(charge, "memory_bytes")));
	json_decref(charge);
}

static int add_disks(struct vm *vm, struct quota *used, struct vmf_error *err)
{
	struct vmf_volume *volumes;

	if (vm_resolve(vm, err) < 0 || vm_disk_volumes(vm, &volumes, err) < 0)
		return -1;
	for (size_t i = 0; i < vm->n_disks; i++)
		if (!vm->disks[i].readonly)
			used->disk_bytes += (int64_t)volumes[i].virtual_bytes;
	return 0;
}

/* Where VM lives, NULL: here; the caller frees. */
static char *host_of(struct vm *vm)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	const char *host = conf_string(vm->root, "host");
	struct place *place = NULL;
	char *name;

	if (!host || str_equal(host, "local") || vm->ctx->is_far)
		return NULL;
	/* one that cannot be found counts as elsewhere: what it takes is not known here */
	name = place_of(vm, &place, &ignored) < 0 ? str_dup(host) : place ? str_dup(place->name) : NULL;
	place_free(place);
	error_clear(&ignored);
	return name;
}

static int add_vm(struct ctx *ctx, struct vm *vm, const char *host, bool with_disks, struct quota *used,
	struct vmf_error *err)
{
	autofree char *lives = host_of(vm);

	if (host && str_equal(lives, host))
		return 0;
	used->vms++;
	if (lives || host)
		add_defined(ctx, vm, used);
	return with_disks && !lives ? add_disks(vm, used, err) : 0;
}

/* BUT: a VM that is not to be counted, or NULL. */
static int count(struct ctx *ctx, const char *owner, const char *host, const char *but, bool with_disks,
	struct quota *used, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	char *asked_for = ctx->owner;
	bool remembers = ctx->volumes != NULL;
	int rc;

	memset(used, 0, sizeof(*used));
	if (vm_names(ctx, &names, err) < 0 || (!host && add_running(ctx, owner, but, used, err) < 0))
		return -1;
	if (with_disks && !remembers)
		ctx_remember_volumes(ctx);
	ctx->owner = NULL;
	rc = 0;
	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		struct vmf_error broken = VMF_ERROR_INIT;
		struct vm *vm =
			str_equal(names.items[i], but) ? NULL : vm_load(ctx, names.items[i], true, &broken);

		/* whose a broken one is cannot be told; it cannot be started either */
		if (vm && vm->is_defined && str_equal(conf_string(vm->root, "owner"), owner))
			rc = add_vm(ctx, vm, host, with_disks, used, err);
		vm_free(vm);
		error_clear(&broken);
	}
	ctx->owner = asked_for;
	if (with_disks && !remembers)
		ctx_forget_volumes(ctx);
	return rc < 0 ? vmf_context(err, "owner \"%s\"", owner) : 0;
}

int quota_used(struct ctx *ctx, const char *owner, const char *host, bool with_disks, struct quota *used,
	struct vmf_error *err)
{
	return count(ctx, owner, host, NULL, with_disks, used, err);
}

/* ---- taking -------------------------------------------------------------------------------- */

static int lock_owner(const struct ctx *ctx, const char *owner, struct vmf_error *err)
{
	autofree char *folder = path_join(ctx->paths.lib, "quota");
	autofree char *path = path_join(folder, owner);
	int fd;

	if (file_mkdirs(folder, 0700, err) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && lock_wait(fd, 0, time_now_ms() + LOCK_MS) == 0)
		return fd;
	if (fd >= 0 && errno == EAGAIN)
		vmf_fail(err, VMF_E_BUSY, 0, "try again when that has ended",
			"owner \"%s\": another vmf is at work on one of the VMs", owner);
	else
		vmf_fail_errno(err, NULL, "cannot lock %s", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

static int too_much(const char *owner, const char *what, int64_t most, int64_t used, int64_t need,
	bool is_size, struct vmf_error *err)
{
	autofree char *a = is_size ? value_format_size((uint64_t)larger(most, 0))
				   : str_printf("%lld", (long long)larger(most, 0));
	autofree char *b = is_size ? value_format_size((uint64_t)used) : str_printf("%lld", (long long)used);
	autofree char *c = is_size ? value_format_size((uint64_t)need) : str_printf("%lld", (long long)need);

	if (most < 0 || !need || used + need <= most)
		return 0;
	return vmf_fail(err, VMF_E_NO_SPACE, 0,
		"`vmf user list` shows what is used, `vmf user set` gives more",
		"owner \"%s\" may have %s %s: %s are taken, and this is %s more", owner, a, what, b, c);
}

static int check(const char *owner, const struct quota *most, const struct quota *used,
	const struct quota *need, struct vmf_error *err)
{
	if (too_much(owner, "VMs", most->vms, used->vms, need->vms, false, err) < 0 ||
		too_much(owner, "CPUs", most->cpus, used->cpus, need->cpus, false, err) < 0 ||
		too_much(owner, "of memory", most->memory_bytes, used->memory_bytes, need->memory_bytes, true,
			err) < 0 ||
		too_much(owner, "of disk", most->disk_bytes, used->disk_bytes, need->disk_bytes, true, err) <
			0)
		return -1;
	return 0;
}

int quota_take(struct vm *vm, const struct quota *need, bool start, int *lock, struct vmf_error *err)
{
	const char *owner = conf_string(vm->root, "owner");
	struct quota most, used;
	int fd, rc = 0;

	*lock = -1;
	if (!owner || owner_name_check(owner, NULL) < 0 ||
		(!need->vms && !need->disk_bytes && !need->cpus && !need->memory_bytes))
		return 0;
	fd = lock_owner(vm->ctx, owner, err);
	if (fd < 0)
		return -1;
	quota_limits(vm->ctx, owner, &most);
	if (is_limited(&most))
		rc = count(vm->ctx, owner, NULL, start ? vm->name : NULL,
			need->disk_bytes && most.disk_bytes >= 0, &used, err);
	if (rc == 0 && is_limited(&most))
		rc = check(owner, &most, &used, need, err);
	if (rc == 0 && start)
		rc = charge_write(vm->ctx, vm->name, owner, need, err);
	if (rc < 0 || start) { /* those that start can be seen from here on */
		close(fd);
		return rc;
	}
	*lock = fd;
	return 0;
}

/* ---- other hosts --------------------------------------------------------------------------- */

static void put_left(json_t *left, const char *key, int64_t most, int64_t used)
{
	if (most >= 0)
		json_object_set_new(left, key, json_integer(larger(most - used, 0)));
}

int quota_for_host(struct vm *vm, const char *owner, const char *host, bool changes, json_t **left, int *lock,
	struct vmf_error *err)
{
	struct quota most, used;

	*left = NULL;
	*lock = -1;
	if (!owner || owner_name_check(owner, NULL) < 0)
		return 0;
	quota_limits(vm->ctx, owner, &most);
	if (!is_limited(&most))
		return 0;
	if (changes) {
		*lock = lock_owner(vm->ctx, owner, err);
		if (*lock < 0)
			return -1;
	}
	if (count(vm->ctx, owner, host, NULL, false, &used, err) < 0) {
		if (*lock >= 0)
			close(*lock);
		*lock = -1;
		return -1;
	}
	*left = json_object();
	put_left(*left, "vms", most.vms, used.vms);
	put_left(*left, "cpus", most.cpus, used.cpus);
	put_left(*left, "memory_bytes", most.memory_bytes, used.memory_bytes);
	put_left(*left, "disk_bytes", most.disk_bytes, 0);
	return 0;
}

void quota_note_far(struct ctx *ctx, const char *name, bool is_sure)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct vm *vm = vm_load(ctx, name, true, &ignored);
	const char *owner = vm && vm->is_defined ? conf_string(vm->root, "owner") : NULL;
	struct quota now = {0};

	if (owner && is_sure)
		now = (struct quota){
			.cpus = conf_number(vm->root, "cpus"), .memory_bytes = (int64_t)vm_memory_bytes(vm)};
	else if (owner)
		add_defined(ctx, vm, &now);
	if (owner)
		charge_write(ctx, name, owner, &now, &ignored);
	vm_free(vm);
	error_clear(&ignored);
}
