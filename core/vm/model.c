/* SPDX-License-Identifier: ISC */
/* From the layers of configuration to a VM: names, identity, disks, NICs, display. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/place.h"
#include "vm/vm.h"

/* ---- names -------------------------------------------------------------------------------- */

int vm_name_check(const char *name, struct vmf_error *err)
{
	const char *hint = "letters, digits, '.', '_' and '-', the first a letter or a digit, at most 64";
	autofree char *quoted = str_quote(name);

	if (!isalnum((unsigned char)name[0]) || strlen(name) > 64)
		return vmf_fail(err, VMF_E_USAGE, 0, hint, "%s is no name for a VM", quoted);
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return vmf_fail(err, VMF_E_USAGE, 0, hint,
				"%s is no name for a VM: '%c' cannot be in it", quoted,
				isprint((unsigned char)*p) ? *p : '?');
	return 0;
}

int vm_names(struct ctx *ctx, struct strv *names, struct vmf_error *err)
{
	autofree char *folder = str_printf("%s/vms", ctx->paths.etc);
	autostrv struct strv files = STRV_INIT;

	if (dir_list(folder, &files, err) < 0)
		return -1;
	for (size_t i = 0; i < files.count; i++) {
		char *f = files.items[i];

		if (f[0] == '.' || !str_ends(f, ".conf"))
			continue;
		strv_take(names, str_ndup(f, strlen(f) - 5));
	}
	strv_sort(names);
	return 0;
}

char *vm_volume_prefix(const struct vm *vm)
{
	return vm->class_ ? str_printf("%s-%s", vm->class_, vm->name) : str_dup(vm->name);
}

/* Namespace of our name-based UUIDs (RFC 4122, 4.3). */
static const uuid_t vmf_namespace = {
	0x7b, 0x1c, 0x5e, 0x52, 0x0d, 0x6a, 0x5b, 0x3e, 0x9c, 0x41, 0x2f, 0x8a, 0x64, 0x77, 0x10, 0xd3};

static void uuid_of_name(const char *name, char out[37])
{
	uuid_t uuid;

	uuid_generate_sha1(uuid, vmf_namespace, name, strlen(name));
	uuid_unparse_lower(uuid, out);
}

void vm_mac(const char *uuid, unsigned index, char out[18])
{
	autofree char *name = str_printf("%s/nic/%u", uuid, index);
	uuid_t hash;

	uuid_generate_sha1(hash, vmf_namespace, name, strlen(name));
	/* 02: locally administered, unicast (IEEE 802, 8.2) */
	snprintf(out, 18, "02:%02x:%02x:%02x:%02x:%02x", hash[0], hash[1], hash[2], hash[3], hash[4]);
}

/* ---- a VM --------------------------------------------------------------------------------- */

static struct vm_stamp stamp_of(const struct stat *st)
{
	return (struct vm_stamp){st->st_dev, st->st_ino, st->st_size, st->st_ctim};
}

static struct vm_stamp stamp_now(const struct vm *vm)
{
	struct stat st = {0};

	if (stat(vm->file, &st) < 0)
		memset(&st, 0, sizeof(st));
	return stamp_of(&st);
}

bool vm_is_current(const struct vm *vm)
{
	struct vm_stamp now = stamp_now(vm);

	return now.dev == vm->stamp.dev && now.ino == vm->stamp.ino && now.size == vm->stamp.size &&
	       now.changed.tv_sec == vm->stamp.changed.tv_sec &&
	       now.changed.tv_nsec == vm->stamp.changed.tv_nsec;
}

/* TEXT stands for the VM's own layer; NULL: its file. */
static int add_definition(struct vm *vm, struct conf *conf, const char *text, struct vmf_error *err)
{
	struct stat st = {0};
	int rc;

	if (!text && str_equal(vm->ctx->pretended, vm->name)) {
		text = vm->ctx->pretended_text;
		vm->is_defined = true;
	}
	if (text)
		return conf_add_text(conf, vm->file, text, strlen(text), err);
	/* one that cannot be read is there all the same */
	rc = layer_add_optional(conf, vm->file, &st, err);
	vm->stamp = stamp_of(&st);
	vm->is_defined = rc < 0 || st.st_ino != 0;
	return rc;
}

/* Which class the VM is of; the caller frees *class_, which may be NULL. */
static int choose_class(struct vm *vm, const struct conf *conf, char **class_, struct vmf_error *err)
{
	const char *own = conf_string(conf_root(conf), "class"), *invoked = vm->ctx->invoked_class;

	if (own && invoked && !str_equal(own, invoked))
		return vmf_fail(err, VMF_E_CONFIG, 0, "call it as `vmf`, or change class in its definition",
			"vm \"%s\" is of class \"%s\", not \"%s\"", vm->name, own, invoked);
	*class_ = str_dup(invoked ? invoked : own);
	return 0;
}

/* Of a VM that is managed from elsewhere, the classes of its master lie between ours and its definition. */
static int add_master(struct vm *vm, struct conf *conf, const struct conf *below, struct vmf_error *err)
{
	autofree char *path = NULL;

	if (vm->ctx->managed == MANAGED_UNKNOWN) {
		autofree char *folder = path_join(vm->ctx->paths.lib, "managed");

		vm->ctx->managed = file_exists(folder) ? MANAGED_SOME : MANAGED_NONE;
	}
	if (vm->ctx->managed == MANAGED_NONE)
		return 0;
	path = managed_layer(vm->ctx, vm->name);
	if (!file_exists(path))
		return 0;
	vm->master = conf_copy(below);
	if (conf_add_file(vm->master, path, err) < 0)
		return -1;
	conf_rebase(conf, vm->master);
	return 0;
}

static struct conf *load_layers(struct vm *vm, const char *text, char **class_, struct vmf_error *err)
{
	struct conf *conf = conf_copy(vm->ctx->with_default), *below = vm->ctx->with_default;
	int rc = add_definition(vm, conf, text, err);

	*class_ = NULL;
	if (rc == 0)
		rc = choose_class(vm, conf, class_, err);
	if (rc == 0 && *class_) { /* its layer belongs below the VM's */
		below = ctx_class(vm->ctx, *class_, err);
		if (below)
			conf_rebase(conf, below);
		else
			rc = -1;
	}
	if (rc == 0)
		rc = add_master(vm, conf, below, err);
	for (size_t i = 0; rc == 0 && i < vm->ctx->settings.count; i++)
		rc = conf_add_setting(conf, vm->ctx->settings.items[i], "-o", err);
	if (rc == 0)
		return conf;
	conf_free(conf);
	free(*class_);
	*class_ = NULL;
	return NULL;
}

static const char *word(const struct conf_section *section, const char *name, const char *otherwise)
{
	const char *text = section ? conf_string(section, name) : NULL;

	return text ? text : otherwise;
}

struct vm_disk *vm_add_disk(struct vm *vm, const char *title)
{
	struct vm_disk *disk;

	vm->disks = mem_resize(vm->disks, (vm->n_disks + 1) * sizeof(*vm->disks));
	disk = &vm->disks[vm->n_disks];
	memset(disk, 0, sizeof(*disk));
	disk->index = (unsigned)vm->n_disks++;
	disk->title = title;
	disk->slot = arena_printf(&vm->arena, "disk-%s", title);
	disk->bus = conf_string(vm->root, "drive_if");
	disk->instance = conf_string(vm->root, "storage");
	return disk;
}

static int configured_disks(struct vm *vm, struct vmf_error *err)
{
	autofree char *prefix = vm_volume_prefix(vm);

	for (size_t i = 0; i < vm->root->n_sections; i++) {
		const struct conf_section *s = vm->root->sections[i];
		struct vm_disk *disk;

		if (!str_equal(s->keyword, "disk"))
			continue;
		if (vm_name_check(s->title, NULL) < 0)
			return vmf_fail(err, VMF_E_CONFIG, 0, NULL,
				"%s: disk \"%s\": a title has letters, digits, . _ - only",
				conf_where(s->file, s->line), s->title);
		disk = vm_add_disk(vm, s->title);
		disk->section = s;
		disk->bus = word(s, "bus", disk->bus);
		disk->instance = word(s, "storage", disk->instance);
		disk->readonly = conf_number(s, "readonly") != 0;
		disk->volume = word(s, "volume", NULL);
		if (!disk->volume)
			disk->volume = arena_printf(&vm->arena, "%s-%s", prefix, s->title);
	}
	return 0;
}

static int configured_nics(struct vm *vm, struct vmf_error *err)
{
	const char *network = conf_string(vm->root, "network");
	size_t n = 0;

	for (size_t i = 0; i < vm->root->n_sections; i++)
		n += str_equal(vm->root->sections[i]->keyword, "nic");
	if (n == 0 && (!network || str_equal(network, "none")))
		return 0;
	vm->nics = mem_alloc((n ? n : 1) * sizeof(*vm->nics));
	for (size_t i = 0; i <= vm->root->n_sections; i++) {
		const struct conf_section *s = i < vm->root->n_sections ? vm->root->sections[i] : NULL;
		struct vm_nic *nic = &vm->nics[vm->n_nics];
		const char *mac;

		if (s ? !str_equal(s->keyword, "nic") : n > 0)
			continue;
		if (s && vm_name_check(s->title, NULL) < 0)
			return vmf_fail(err, VMF_E_CONFIG, 0, NULL,
				"%s: nic \"%s\": a title has letters, digits, . _ - only",
				conf_where(s->file, s->line), s->title);
		nic->index = (unsigned)vm->n_nics++;
		nic->section = s;
		nic->title = s ? s->title : "0";
		nic->slot = arena_printf(&vm->arena, "nic-%s", nic->title);
		nic->instance = word(s, "network", network);
		nic->model = word(s, "model", conf_string(vm->root, "net_if"));
		nic->segment = word(s, "bridge", NULL);
		if (str_equal(nic->segment, "-"))
			nic->segment = "";
		nic->is_linked = !s || conf_number(s, "link");
		mac = word(s, "mac", NULL);
		if (mac)
			snprintf(nic->mac, sizeof(nic->mac), "%s", mac);
		else
			vm_mac(vm->uuid, nic->index, nic->mac);
	}
	return 0;
}

static void configured_display(struct vm *vm)
{
	const struct conf_section *s = conf_find(vm->root, "display", NULL);
	const char *name = conf_string(vm->root, "display_default");

	/* of several, the one that the highest layer brought in */
	if (s && s->n_sections)
		name = s->sections[s->n_sections - 1]->keyword;
	vm->display.name = name && !str_equal(name, "none") ? name : NULL;
}

/* TEXT stands for the definition's; NULL: its file. */
static int compose(struct vm *vm, const char *text, struct vmf_error *err)
{
	const char *uuid;
	uuid_t parsed;
	char *class_;

	vm->conf = load_layers(vm, text, &class_, err);
	if (!vm->conf)
		return -1;
	vm->class_ = class_ ? arena_dup(&vm->arena, class_) : NULL;
	free(class_);
	vm->root = conf_root(vm->conf);
	uuid = conf_string(vm->root, "uuid");
	if (uuid) {
		const struct conf_value *v = conf_get(vm->root, "uuid");

		if (uuid_parse(uuid, parsed) < 0)
			return vmf_fail(err, VMF_E_CONFIG, 0, "`uuidgen` makes one",
				"%s: uuid: \"%s\" is no UUID", conf_where(v->file, v->line), uuid);
		uuid_unparse_lower(parsed, vm->uuid);
	} else {
		uuid_of_name(vm->name, vm->uuid);
	}
	configured_display(vm);
	if (configured_disks(vm, err) < 0)
		return -1;
	return configured_nics(vm, err);
}

static struct vm *new_vm(struct ctx *ctx, const char *name)
{
	struct vm *vm = mem_alloc(sizeof(*vm));

	vm->ctx = ctx;
	vm->name = str_dup(name);
	vm->file = str_printf("%s/vms/%s.conf", ctx->paths.etc, name);
	vm->run_dir = str_printf("%s/%s", ctx->paths.run, name);
	vm->run_fd = vm->op_fd = -1;
	return vm;
}

struct vm *vm_load_broken(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	struct vm *vm;

	if (vm_name_check(name, err) < 0 || ctx_load(ctx, err) < 0)
		return NULL;
	vm = new_vm(ctx, name);
	vm->stamp = stamp_now(vm);
	vm->is_defined = file_exists(vm->file);
	vm->conf = conf_copy(ctx->with_default);
	vm->root = conf_root(vm->conf);
	return vm;
}

struct vm *vm_load(struct ctx *ctx, const char *name, bool may_miss, struct vmf_error *err)
{
	struct vm *vm;

	if (vm_name_check(name, err) < 0 || ctx_load(ctx, err) < 0)
		return NULL;
	vm = new_vm(ctx, name);
	if (compose(vm, NULL, err) < 0)
		goto fail;
	if (!vm->is_defined && !may_miss) {
		autostrv struct strv names = STRV_INIT;
		const char *near = NULL;
		autofree char *hint = NULL;

		if (vm_names(ctx, &names, NULL) == 0)
			near = str_nearest(name, (const char *const *)names.items, names.count);
		hint = near ? str_printf("do you mean \"%s\"? `vmf list` shows all", near)
			    : str_printf("`vmf %s create` makes it", name);
		vmf_fail(err, VMF_E_NOT_FOUND, 0, hint, "no vm \"%s\"", name);
		goto fail;
	}
	return vm;
fail:
	vm_free(vm);
	return NULL;
}

static void forget(struct vm *vm)
{
	for (size_t i = 0; i < vm->n_disks; i++)
		conf_opts_free(vm->disks[i].opts);
	for (size_t i = 0; i < vm->n_nics; i++)
		conf_opts_free(vm->nics[i].opts);
	conf_opts_free(vm->display.opts);
	memset(&vm->display, 0, sizeof(vm->display));
	free(vm->disks);
	free(vm->nics);
	vm->disks = NULL;
	vm->nics = NULL;
	vm->n_disks = vm->n_nics = 0;
	vm->class_ = NULL;
	vm->is_resolved = false;
	memset(&vm->seen, 0, sizeof(vm->seen));
	conf_free(vm->conf);
	conf_free(vm->master);
	vm->conf = vm->master = NULL;
	arena_free(&vm->arena);
}

int vm_reload(struct vm *vm, struct vmf_error *err)
{
	forget(vm);
	return compose(vm, NULL, err);
}

int vm_become(struct vm *vm, const char *text, struct vmf_error *err)
{
	forget(vm);
	return compose(vm, text, err) < 0 ? -1 : vm_check_plugins(vm->root, vm->file, err);
}

struct vm *vm_try(const struct vm *vm, const char *text, struct vmf_error *err)
{
	struct vm *trial = new_vm(vm->ctx, vm->name);

	if (vm_become(trial, text, err) == 0)
		return trial;
	vm_free(trial);
	return NULL;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	vm_unlock(vm);
	vm_qmp_close(vm);
	if (vm->run_fd >= 0)
		close(vm->run_fd);
	json_decref(vm->slots);
	forget(vm);
	free(vm->name);
	free(vm->file);
	free(vm->run_dir);
	free(vm);
}

uint64_t vm_memory_bytes(const struct vm *vm)
{
	return (uint64_t)conf_number(vm->root, "memory");
}

const char *vm_cdrom(const struct conf_section *root)
{
	const char *path = conf_string(root, "cdrom");

	return path && *path ? path : NULL;
}
