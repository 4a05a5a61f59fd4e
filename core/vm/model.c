/* SPDX-License-Identifier: ISC */
/* From the layers of configuration to a VM: names, identity, disks, NICs, display. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/builtin.h"
#include "vm/vm.h"

/* ---- the layers below a VM ---------------------------------------------------------------- */

static int add_builtin(struct ctx *ctx, struct vmf_error *err)
{
	struct strbuf text = STRBUF_INIT;
	const char *rest = builtin_conf, *at;
	int rc;

	while ((at = strstr(rest, "@LIB@"))) {
		strbuf_add(&text, rest, (size_t)(at - rest));
		strbuf_puts(&text, ctx->paths.lib);
		rest = at + 5;
	}
	strbuf_puts(&text, rest);
	rc = conf_add_text(ctx->base, "built-in", text.data, text.length, err);
	strbuf_free(&text);
	return rc;
}

/* A file that need not be there: *is_there, unless NULL, says whether it is. */
static int add_optional(struct conf *conf, const char *path, bool *is_there, struct vmf_error *err)
{
	struct vmf_error mine = VMF_ERROR_INIT;
	int rc = conf_add_file(conf, path, &mine);
	bool is_missing = rc < 0 && mine.code == VMF_E_NOT_FOUND && !file_exists(path);

	if (is_there)
		*is_there = !is_missing;
	if (rc == 0)
		return 0;
	if (is_missing) {
		error_clear(&mine);
		return 0;
	}
	error_move(err, &mine);
	return -1;
}

int ctx_load(struct ctx *ctx, struct vmf_error *err)
{
	autofree char *main_file = str_printf("%s/vmf.conf", ctx->paths.etc);
	autofree char *default_file = str_printf("%s/classes/default.conf", ctx->paths.etc);

	if (ctx->base)
		return 0;
	ctx->base = conf_new(&vm_schema);
	if (add_builtin(ctx, err) < 0 || add_optional(ctx->base, main_file, NULL, err) < 0)
		goto fail;
	ctx->with_default = conf_copy(ctx->base);
	if (add_optional(ctx->with_default, default_file, NULL, err) < 0)
		goto fail;
	return 0;
fail:
	conf_free(ctx->with_default);
	conf_free(ctx->base);
	ctx->with_default = ctx->base = NULL;
	return -1;
}

void ctx_free(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->class_names.count; i++)
		conf_free(ctx->classes[i]);
	free(ctx->classes);
	strv_free(&ctx->class_names);
	conf_free(ctx->with_default);
	conf_free(ctx->base);
	strv_free(&ctx->settings);
	strv_free(&ctx->planned);
	free(ctx->invoked_class);
	paths_free(&ctx->paths);
}

/* The layers up to and with a class, read once. */
static struct conf *class_conf(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/classes/%s.conf", ctx->paths.etc, name);
	struct conf *conf;

	for (size_t i = 0; i < ctx->class_names.count; i++)
		if (str_equal(ctx->class_names.items[i], name))
			return ctx->classes[i];
	conf = conf_copy(ctx->with_default);
	/* a class without a file is a class all the same: it is part of the volumes' names */
	if (add_optional(conf, path, NULL, err) < 0) {
		conf_free(conf);
		return NULL;
	}
	strv_add(&ctx->class_names, name);
	ctx->classes = mem_resize(ctx->classes, ctx->class_names.count * sizeof(*ctx->classes));
	ctx->classes[ctx->class_names.count - 1] = conf;
	return conf;
}

/* ---- names -------------------------------------------------------------------------------- */

int vm_name_check(const char *name, struct vmf_error *err)
{
	const char *hint = "letters, digits, '.', '_' and '-', the first a letter or a digit, at most 64";
	autofree char *quoted = str_quote(name);

	if (!isalnum((unsigned char)name[0]) || strlen(name) > 64)
		return vmf_fail(err, VMF_E_USAGE, 0, hint, "%s is no name for a VM", quoted);
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return vmf_fail(err, VMF_E_USAGE, 0, hint, "%s is no name for a VM: '%c' cannot be in it",
				quoted, isprint((unsigned char)*p) ? *p : '?');
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

/* TEXT stands for the VM's own layer; NULL: its file. */
static int add_definition(struct vm *vm, struct conf *conf, const char *text, struct vmf_error *err)
{
	if (text)
		return conf_add_text(conf, vm->file, text, strlen(text), err);
	return add_optional(conf, vm->file, &vm->is_defined, err);
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

static struct conf *load_layers(struct vm *vm, const char *text, char **class_, struct vmf_error *err)
{
	struct conf *conf = conf_copy(vm->ctx->with_default), *below;
	int rc = add_definition(vm, conf, text, err);

	*class_ = NULL;
	if (rc == 0)
		rc = choose_class(vm, conf, class_, err);
	if (rc == 0 && *class_) { /* its layer belongs below the VM's */
		below = class_conf(vm->ctx, *class_, err);
		if (below)
			conf_rebase(conf, below);
		else
			rc = -1;
	}
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

static struct vm_disk *add_disk(struct vm *vm, const char *title)
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
			return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s: disk \"%s\": a title has letters, digits, . _ - only",
				conf_where(s->file, s->line), s->title);
		disk = add_disk(vm, s->title);
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
			return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s: nic \"%s\": a title has letters, digits, . _ - only",
				conf_where(s->file, s->line), s->title);
		nic->index = (unsigned)vm->n_nics++;
		nic->section = s;
		nic->title = s ? s->title : "0";
		nic->slot = arena_printf(&vm->arena, "nic-%s", nic->title);
		nic->instance = word(s, "network", network);
		nic->model = word(s, "model", conf_string(vm->root, "net_if"));
		nic->segment = word(s, "bridge", NULL);
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
			return vmf_fail(err, VMF_E_CONFIG, 0, "`uuidgen` makes one", "%s: uuid: \"%s\" is no UUID",
				conf_where(v->file, v->line), uuid);
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
		hint = near ? str_printf("do you mean \"%s\"? `vmf list` shows all", near) :
			      str_printf("`vmf %s create` makes it", name);
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
	conf_free(vm->conf);
	vm->conf = NULL;
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

/* ---- plugins and volumes ------------------------------------------------------------------ */

static int resolve_opts(struct vm *vm, const struct conf_section *own, const char *keyword, const char *instance,
	enum vmf_kind kind, const struct plugin **plugin, struct vmf_opts **opts, struct vmf_error *err)
{
	struct vm_instance found;
	const struct conf_section *layers[2];

	if (!instance)
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "no %s is named", keyword);
	if (vm_instance_find(vm->root, keyword, instance, kind, &found, err) < 0)
		return -1;
	layers[0] = found.section;
	layers[1] = own ? conf_find(own, found.plugin->name, NULL) : NULL;
	*plugin = found.plugin;
	*opts = conf_opts_resolve(&found.plugin->desc, layers, 2, err);
	return *opts ? 0 : -1;
}

static bool has_volume(const struct vm *vm, const char *instance, const char *volume)
{
	for (size_t i = 0; i < vm->n_disks; i++)
		if (str_equal(vm->disks[i].volume, volume) && str_equal(vm->disks[i].instance, instance))
			return true;
	return false;
}

/* N of "PREFIX-N", or -1. */
static int volume_number(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);
	char *end;
	long number;

	if (strncmp(name, prefix, n) != 0 || name[n] != '-' || !isdigit((unsigned char)name[n + 1]))
		return -1;
	number = strtol(name + n + 1, &end, 10);
	return *end || number > 9999 ? -1 : (int)number;
}

/* The default store's volumes of this VM, asked for once: PREFIX-N with any N. */
static int list_own(struct vm *vm, const struct plugin **plugin, struct vmf_opts **opts,
	struct vmf_volume_list *list, struct vmf_error *err)
{
	const char *instance = conf_string(vm->root, "storage");
	autofree char *prefix = vm_volume_prefix(vm);
	autofree char *dashed = str_printf("%s-", prefix);
	struct vm_disk unnamed = {.instance = instance, .title = "?", .slot = (char *)"disk-?"};
	struct vm_call call;

	memset(list, 0, sizeof(*list));
	if (!instance)
		return 0;
	if (resolve_opts(vm, NULL, "storage", instance, VMF_STORAGE, plugin, opts, err) < 0)
		return -1;
	unnamed.plugin = *plugin;
	unnamed.opts = *opts;
	vm_call_disk(vm, &unnamed, &call);
	list->stride = sizeof(struct vmf_volume);
	if (!(*plugin)->ops.storage.list)
		return 0;
	if ((*plugin)->ops.storage.list(&call.call, dashed, list, err) < 0)
		return vmf_context(err, "storage \"%s\"", instance);
	return 0;
}

const struct vmf_volume *vm_volume_at(const struct vmf_volume_list *list, size_t i)
{
	return (const struct vmf_volume *)((const char *)list->items + i * (list->stride ? list->stride : sizeof(*list->items)));
}

static int find_volumes(struct vm *vm, struct vmf_error *err)
{
	const struct plugin *plugin = NULL;
	struct vmf_opts *opts = NULL;
	struct vmf_volume_list list;
	autofree char *prefix = vm_volume_prefix(vm);
	const char *instance = conf_string(vm->root, "storage");
	struct strv found = STRV_INIT;

	if (list_own(vm, &plugin, &opts, &list, err) < 0) {
		conf_opts_free(opts);
		return -1;
	}
	for (size_t i = 0; i < list.count; i++)
		if (volume_number(vm_volume_at(&list, i)->name, prefix) >= 0)
			strv_add(&found, vm_volume_at(&list, i)->name);
	conf_opts_free(opts);
	strv_sort(&found);
	for (size_t i = 0; i < found.count; i++)
		if (!has_volume(vm, instance, found.items[i])) {
			const char *number = found.items[i] + strlen(prefix) + 1;
			struct vm_disk *disk = add_disk(vm, arena_dup(&vm->arena, number));

			disk->volume = arena_dup(&vm->arena, found.items[i]);
		}
	strv_free(&found);
	return 0;
}

char *vm_next_volume(struct vm *vm, struct vmf_error *err)
{
	const struct plugin *plugin = NULL;
	struct vmf_opts *opts = NULL;
	struct vmf_volume_list list;
	autofree char *prefix = vm_volume_prefix(vm);
	int next = 0;
	bool moved = true;

	if (list_own(vm, &plugin, &opts, &list, err) < 0) {
		conf_opts_free(opts);
		return NULL;
	}
	conf_opts_free(opts);
	while (moved) { /* the first number that is free */
		moved = false;
		for (size_t i = 0; i < list.count; i++)
			if (volume_number(vm_volume_at(&list, i)->name, prefix) == next) {
				next++;
				moved = true;
			}
	}
	return str_printf("%s-%d", prefix, next);
}

int vm_resolve(struct vm *vm, struct vmf_error *err)
{
	if (vm->is_resolved)
		return 0;
	if (find_volumes(vm, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	for (size_t i = 0; i < vm->n_disks; i++) {
		struct vm_disk *d = &vm->disks[i];

		if (resolve_opts(vm, d->section, "storage", d->instance, VMF_STORAGE, &d->plugin, &d->opts, err) < 0)
			return vmf_context(err, "vm \"%s\": disk \"%s\"", vm->name, d->title);
	}
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vm_nic *n = &vm->nics[i];

		if (resolve_opts(vm, n->section, "network", n->instance, VMF_NETWORK, &n->plugin, &n->opts, err) < 0)
			return vmf_context(err, "vm \"%s\": nic \"%s\"", vm->name, n->title);
	}
	if (vm->display.name) {
		const struct conf_section *section = conf_find(vm->root, "display", NULL), *layers[1];

		vm->display.plugin = plugin_get(VMF_DISPLAY, vm->display.name, err);
		if (!vm->display.plugin)
			return vmf_context(err, "vm \"%s\": display", vm->name);
		layers[0] = section ? conf_find(section, vm->display.name, NULL) : NULL;
		vm->display.opts = conf_opts_resolve(&vm->display.plugin->desc, layers, 1, err);
		if (!vm->display.opts)
			return vmf_context(err, "vm \"%s\": display", vm->name);
	}
	vm->is_resolved = true;
	return 0;
}
