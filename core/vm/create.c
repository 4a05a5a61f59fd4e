/* SPDX-License-Identifier: ISC */
/* Definitions and volumes come into being: create, newimg. All or nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"
#include "vm/quota.h"
#include "vm/steps.h"
#include "vm/vm.h"

/* ---- steps -------------------------------------------------------------------------------- */

static int definition_write(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	const char *path = json_string_value(json_object_get(args, "path"));
	const char *text = json_string_value(json_object_get(args, "text"));
	autofree char *folder = path_parent(path);

	(void)vm;
	(void)data;
	return file_mkdirs(folder, 0755, err) < 0 ? -1
						  : file_create(path, text, strlen(text), 0644, true, err);
}

static int definition_remove(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *path = json_string_value(json_object_get(args, "path"));
	const char *text = json_string_value(json_object_get(args, "text"));
	autofree char *now = file_read_at(AT_FDCWD, path, 1 << 20, NULL);

	(void)vm;
	/* a kill before the link, and then somebody else's file under this name: not ours to remove */
	if (!now || !str_equal(now, text))
		return 0;
	if (unlink(path) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", path);
	return 0;
}

const struct step step_definition = {"definition", definition_write, definition_remove};

/* ---- create ------------------------------------------------------------------------------- */

char *vm_edit_text(struct vm *vm, const char *text, const struct strv *settings, struct vmf_error *err)
{
	char *now = str_dup(text);

	for (size_t i = 0; i < settings->count; i++) {
		autofree char *key = str_dup(settings->items[i]);
		char *value = strchr(key, '='), *edited;

		if (!value || value == key) {
			vmf_fail(err, VMF_E_USAGE, 0, "as in: set memory=2G", "\"%s\" is no KEY=VALUE", key);
			free(now);
			return NULL;
		}
		*value++ = '\0';
		edited = conf_edit_text(&vm_schema, vm->file, now, key,
			!*value			   ? NULL
			: str_equal(value, "\"\"") ? ""
						   : value,
			err);
		free(now);
		if (!edited)
			return NULL;
		now = edited;
	}
	return now;
}

/* A relative path in a template means a file beside the template. */
static char *absolute_paths(
	const struct conf_section *root, const char *file, char *text, struct vmf_error *err)
{
	for (size_t i = 0; text && i < root->n_values; i++) {
		const struct conf_value *v = root->values[i];
		char *edited;

		if (!v || v->option->type != VMF_OPT_PATH || !str_equal(v->file, file) || !*v->items[0])
			continue;
		edited = conf_edit_text(&vm_schema, file, text, v->option->name, v->items[0], err);
		free(text);
		text = edited;
	}
	return text;
}

/* A template's text, checked under its own name, without its identity. */
static char *read_template(struct vm *vm, const char *file, struct vmf_error *err)
{
	autofree char *path = realpath(file, NULL);
	autofree char *text = path ? file_read(path, 4 << 20, NULL, err) : NULL;
	struct conf *trial;
	char *result = NULL;

	if (!path)
		vmf_fail_errno(err, NULL, "template %s", file);
	if (!text)
		return NULL;
	trial = conf_copy(vm->ctx->with_default);
	if (conf_add_text(trial, path, text, strlen(text), err) == 0)
		result = conf_edit_text(&vm_schema, path, text, "uuid", NULL, err);
	if (result)
		result = absolute_paths(conf_root(trial), path, result, err);
	conf_free(trial);
	return result;
}

static char *new_definition(struct vm *vm, const struct vm_create_options *options, struct vmf_error *err)
{
	autofree char *base = NULL;
	autofree char *text = NULL;
	autostrbuf struct strbuf head = STRBUF_INIT;
	char uuid[37];
	uuid_t fresh;

	uuid_generate(fresh);
	uuid_unparse_lower(fresh, uuid);
	strbuf_printf(&head, "uuid = \"%s\"\n", uuid);
	if (options && options->template) {
		base = read_template(vm, options->template, err);
		if (!base)
			return NULL;
		strbuf_puts(&head, base);
	}
	text = strbuf_take(&head);
	if (vm->ctx->invoked_class) {
		char *edited =
			conf_edit_text(&vm_schema, vm->file, text, "class", vm->ctx->invoked_class, err);

		if (!edited)
			return NULL;
		free(text);
		text = edited;
	}
	if (vm->ctx->owner) {
		char *edited = conf_edit_text(&vm_schema, vm->file, text, "owner", vm->ctx->owner, err);

		if (!edited)
			return NULL;
		free(text);
		text = edited;
	}
	if (options)
		return vm_edit_text(vm, text, &options->settings, err);
	return str_dup(text);
}

/* What a new VM names must be there; later, its file may run ahead of vmf.conf. */
static int check_name(
	const struct conf_section *root, const char *keyword, const char *name, struct vmf_error *err)
{
	const char *names[64];
	const char *near;
	autofree char *hint = NULL;
	size_t n = 0;

	if (!name || str_equal(name, "none") || conf_find(root, keyword, name))
		return 0;
	for (size_t i = 0; i < root->n_sections && n < VMF_COUNT(names); i++)
		if (str_equal(root->sections[i]->keyword, keyword))
			names[n++] = root->sections[i]->title;
	near = str_nearest(name, names, n);
	hint = near ? str_printf("do you mean \"%s\"?", near)
		    : str_printf("define it in vmf.conf: %s \"%s\" { ... }", keyword, name);
	return vmf_fail(err, VMF_E_CONFIG, 0, hint, "there is no %s \"%s\"", keyword, name);
}

static int check_names(const struct conf_section *root, bool is_far, struct vmf_error *err)
{
	static const char *const keywords[] = {"storage", "network", "host"};
	static const char *const sections[] = {"disk", "nic"};

	/* its host's name is the near end's, and means this very one */
	for (size_t i = 0; i < VMF_COUNT(keywords) - is_far; i++)
		if (check_name(root, keywords[i], conf_string(root, keywords[i]), err) < 0)
			return -1;
	for (size_t i = 0; i < root->n_sections; i++)
		for (size_t k = 0; k < VMF_COUNT(sections); k++) /* a disk names a storage, a NIC a network */
			if (str_equal(root->sections[i]->keyword, sections[k]) &&
				check_name(root, keywords[k], conf_string(root->sections[i], keywords[k]),
					err) < 0)
				return vmf_context(err, "%s \"%s\"", sections[k], root->sections[i]->title);
	return 0;
}

int plan_definition(
	struct vm *vm, struct plan *plan, const struct vm_create_options *options, struct vmf_error *err)
{
	autofree char *text = NULL;

	if (file_exists(vm->file))
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or `destroy` it first",
			"there is one already (%s)", vm->file);
	text = new_definition(vm, options, err);
	if (!text || vm_become(vm, text, err) < 0 || check_names(vm->root, vm->ctx->is_far, err) < 0 ||
		vm_check_macs(vm, NULL, err) < 0)
		return -1;
	plan_needs(plan, &(struct quota){.vms = 1});
	plan_add(plan, &step_definition, json_pack("{s:s, s:s}", "path", vm->file, "text", text), "write %s",
		vm->file);
	return 0;
}

/* The first disk is the image's copy, in its size unless another one is given. */
static int add_new(struct vm *vm, struct plan *plan, const struct vm_create_options *options,
	struct new_volume *new, struct vmf_error *err)
{
	if (new->index == 0 && options)
		new->image = options->image;
	return plan_volume(vm, plan, new, err);
}

/* The disks of the definition that have a size, then those that were asked for. */
static int plan_disks(
	struct vm *vm, struct plan *plan, const struct vm_create_options *options, struct vmf_error *err)
{
	autofree char *prefix = vm_volume_prefix(vm);
	unsigned index = 0;

	for (size_t i = 0; i < vm->root->n_sections; i++) {
		const struct conf_section *s = vm->root->sections[i];
		autofree char *name = str_printf("%s-%s", prefix, s->title ? s->title : "");
		const char *own_name;
		struct new_volume new = {.own = s, .index = index};

		if (!str_equal(s->keyword, "disk") || !conf_number(s, "size"))
			continue;
		own_name = conf_string(s, "volume");
		new.name = own_name ? own_name : name;
		new.instance = conf_string(s, "storage");
		new.size_bytes = (uint64_t)conf_number(s, "size");
		index++;
		if (add_new(vm, plan, options, &new, err) < 0)
			return vmf_context(err, "disk \"%s\"", s->title);
	}
	for (size_t i = 0; options && i < options->n_disks; i++) {
		autofree char *name = str_printf("%s-%zu", prefix, i);
		struct new_volume new = {
			.name = name, .size_bytes = options->disk_sizes[i], .index = index++};

		if (add_new(vm, plan, options, &new, err) < 0)
			return -1;
	}
	if (index == 0 && options && options->image) {
		autofree char *name = str_printf("%s-0", prefix);
		struct new_volume new = {.name = name, .size_bytes = options->image->size_bytes};

		return add_new(vm, plan, options, &new, err);
	}
	return 0;
}

static int create_locked(struct vm *vm, const struct vm_create_options *options, struct vmf_error *err)
{
	struct plan *plan = plan_new(vm, "create", true);
	int rc = plan_definition(vm, plan, options, err);

	if (rc == 0)
		rc = plan_disks(vm, plan, options, err);
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, NULL, false, err);
	plan_free(plan);
	return rc;
}

int vm_end_change(struct vm *vm, int rc, struct vmf_error *err)
{
	struct vmf_error quiet = VMF_ERROR_INIT;

	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	if (rc == 0)
		return vm_reload(vm, err);
	vm_reload(vm, &quiet);
	error_clear(&quiet);
	return rc;
}

int vm_create(struct vm *vm, const struct vm_create_options *options, struct vmf_error *err)
{
	if (!vm->ctx->dry_run && vm_lock(vm, err) < 0)
		return -1;
	return vm_end_change(vm, create_locked(vm, options, err), err);
}

int vm_newimg(struct vm *vm, uint64_t size_bytes, char **volume, struct vmf_error *err)
{
	struct plan *plan;
	int rc = 0;

	*volume = NULL;
	if (vm_need_unlocked(vm, err) < 0 || (!vm->ctx->dry_run && vm_lock(vm, err) < 0))
		return -1;
	plan = plan_new(vm, "newimg", true);
	if (!vm->is_defined) /* nbsvm's way: the first image makes the VM */
		rc = plan_definition(vm, plan, NULL, err);
	if (rc == 0) {
		*volume = vm_next_volume(vm, conf_string(vm->root, "storage"), err);
		rc = *volume ? plan_volume(vm, plan,
				       &(struct new_volume){.name = *volume, .size_bytes = size_bytes}, err)
			     : -1;
	}
	if (rc == 0 && vm->ctx->dry_run)
		plan_describe(plan);
	else if (rc == 0)
		rc = plan_run(plan, NULL, false, err);
	plan_free(plan);
	if (rc < 0) {
		free(*volume);
		*volume = NULL;
	}
	return vm_end_change(vm, rc, err);
}
