/* SPDX-License-Identifier: ISC */
/* Verbs that make, change and remove a VM's definition. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/tty.h"
#include "config/value.h"

/* ---- settings as people type them ---------------------------------------------------------- */

static const struct vmf_option *find_option(
	const struct vmf_option *options, size_t count, const char *name, size_t length)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
			return &options[i];
	return NULL;
}

/* Core's option that KEY (LENGTH bytes) leads to: "memory", "shared.data.path"; NULL for a plugin's. */
static const struct vmf_option *option_of_key(const char *key, size_t length)
{
	const char *dot = memchr(key, '.', length), *last = memrchr(key, '.', length);

	if (!dot)
		return find_option(vm_schema.options, vm_schema.n_options, key, length);
	for (size_t i = 0; i < vm_schema.n_sections; i++) {
		const struct conf_schema *s = &vm_schema.sections[i];

		if (strlen(s->keyword) == (size_t)(dot - key) &&
			strncmp(s->keyword, key, (size_t)(dot - key)) == 0)
			return find_option(
				s->options, s->n_options, last + 1, length - (size_t)(last + 1 - key));
	}
	return NULL;
}

/* A relative path means one thing in a file, beside that file, and another on a command line. */
static void add_setting(struct strv *settings, const char *key, const char *value)
{
	const struct vmf_option *option = option_of_key(key, strlen(key));
	autofree char *here = NULL;
	autofree char *path = NULL;

	if (option && option->type == VMF_OPT_PATH && *value && !strchr("/$\"", *value)) {
		here = getcwd(NULL, 0);
		path = here ? path_join(here, str_starts(value, "./") ? value + 2 : value) : NULL;
	}
	strv_addf(settings, "%s=%s", key, path ? path : value);
}

/* What of SETTINGS a QEMU that runs already does not notice. */
static void add_later(const struct strv *settings, struct strv *later)
{
	static const char *const at_once[] = {
		"description", "owner", "locked", "drive_size", "shutdown_timeout", "cdrom"};

	for (size_t i = 0; i < settings->count; i++) {
		char *key = str_ndup(settings->items[i], strcspn(settings->items[i], "+="));
		bool is_later = true;

		for (size_t k = 0; k < VMF_COUNT(at_once); k++)
			is_later &= !str_equal(key, at_once[k]);
		if (is_later && !strv_has(later, key))
			strv_take(later, key);
		else
			free(key);
	}
}

/* Changes the definition and says what was changed (TEXT; NULL: the settings) and from when on it counts. */
static int change(struct cli_call *call, const struct strv *settings, const char *text, struct vmf_error *err)
{
	autostrv struct strv later = STRV_INIT;
	autofree char *all = strv_join(settings, " ");
	autofree char *keys = NULL;
	struct vm_state state;

	if (vm_need_unlocked(call->vm, err) < 0 || vm_set(call->vm, settings, err) < 0)
		return -1;
	vm_state_read(call->ctx, call->vm->name, &state);
	if (state.phase == VM_ALIVE)
		add_later(settings, &later);
	keys = strv_join(&later, ", ");
	out_result(call,
		json_pack("{s:o, s:o}", "set", out_strings(settings), "at_next_start", out_strings(&later)),
		"%s: %s%s%s%s", call->vm->name, text ? text : all, later.count ? " (at its next start: " : "",
		later.count ? keys : "", later.count ? ")" : "");
	return 0;
}

int verb_set(struct cli_call *call, struct vmf_error *err)
{
	autostrv struct strv settings = STRV_INIT;

	for (size_t i = 0; i < call->args.count; i++) {
		const char *word = call->args.items[i], *equals = strchr(word, '=');
		autofree char *key = str_ndup(word, (size_t)(equals - word));

		add_setting(&settings, key, equals + 1);
	}
	return change(call, &settings, NULL, err);
}

static int set_one(
	struct cli_call *call, const char *key, const char *value, const char *text, struct vmf_error *err)
{
	autostrv struct strv settings = STRV_INIT;

	add_setting(&settings, key, value);
	return change(call, &settings, text, err);
}

int verb_ram(struct cli_call *call, struct vmf_error *err)
{
	return set_one(call, "memory", call->args.items[0], NULL, err);
}

int verb_smp(struct cli_call *call, struct vmf_error *err)
{
	return set_one(call, "cpus", call->args.items[0], NULL, err);
}

int verb_cdrom(struct cli_call *call, struct vmf_error *err)
{
	const char *file = call->args.items[0];
	autofree char *text = str_printf("%s is in its CD drive", file);

	if (access(file, R_OK) < 0)
		return vmf_fail_errno(err, NULL, "cdrom: %s", file);
	return set_one(call, "cdrom", file, text, err);
}

/* Would there be a medium if the definition said nothing about it? */
static int class_has_medium(struct vm *vm, bool *has, struct vmf_error *err)
{
	autofree char *text = file_read(vm->file, 4 << 20, NULL, err);
	autofree char *without = NULL;
	struct strv settings = STRV_INIT;
	struct vm *trial;

	strv_add(&settings, "cdrom=");
	without = text ? vm_edit_text(vm, text, &settings, err) : NULL;
	strv_free(&settings);
	trial = without ? vm_try(vm, without, err) : NULL;
	if (!trial)
		return -1;
	*has = vm_cdrom(trial->root) != NULL;
	vm_free(trial);
	return 0;
}

int verb_eject(struct cli_call *call, struct vmf_error *err)
{
	bool hide;

	if (class_has_medium(call->vm, &hide, err) < 0)
		return -1;
	return set_one(call, "cdrom", hide ? "\"\"" : "", "its CD drive is empty", err);
}

int verb_lock(struct cli_call *call, struct vmf_error *err)
{
	autostrv struct strv settings = STRV_INIT;

	strv_add(&settings, "locked=yes");
	if (!conf_number(call->vm->root, "locked") && vm_set(call->vm, &settings, err) < 0)
		return -1;
	out_result(call, json_pack("{s:b}", "locked", 1), "%s: locked", call->vm->name);
	return 0;
}

int verb_unlock(struct cli_call *call, struct vmf_error *err)
{
	static const char *const ways[] = {
		"locked=", "locked=no"}; /* the second one where a class says yes */

	for (size_t i = 0; i < VMF_COUNT(ways) && conf_number(call->vm->root, "locked"); i++) {
		autostrv struct strv settings = STRV_INIT;

		strv_add(&settings, ways[i]);
		if (vm_set(call->vm, &settings, err) < 0)
			return -1;
		if (call->ctx->dry_run)
			break;
	}
	out_result(call, json_pack("{s:b}", "locked", 0), "%s: unlocked", call->vm->name);
	return 0;
}

/* ---- create, destroy, rename --------------------------------------------------------------- */

/* NET, or NET:BRIDGE. */
static void add_nic(struct vm_create_options *options, size_t i, const char *text)
{
	const char *colon = strchr(text, ':');

	strv_addf(&options->settings, "nic.%zu.network=%.*s", i,
		colon ? (int)(colon - text) : (int)strlen(text), text);
	if (colon)
		strv_addf(&options->settings, "nic.%zu.bridge=%s", i, colon + 1);
}

static int create_options(const struct cli_call *call, struct vm_create_options *options, struct image *image,
	struct vmf_error *err)
{
	const char *text;

	options->template = cli_option(call, "--template", 0);
	text = cli_option(call, "--image", 0);
	if (text && image_look(text, NULL, image, err) < 0)
		return vmf_context(err, "create");
	options->image = text ? image : NULL;
	for (size_t i = 0; i < call->verb->n_options; i++) {
		const struct cli_option *o = &call->verb->options[i];

		text = o->setting ? cli_option(call, o->name, 0) : NULL;
		if (text)
			add_setting(&options->settings, o->setting, text);
	}
	for (size_t i = 0; (text = cli_option(call, "--nic", i)); i++)
		if (str_equal(text, "none"))
			strv_add(&options->settings, "network=none");
		else
			add_nic(options, i, text);
	while ((text = cli_option(call, "--disk", options->n_disks))) {
		uint64_t size;

		if (value_parse_size(text, 1, &size, err) < 0)
			return cli_usage(err, "--disk");
		options->disk_sizes =
			mem_resize(options->disk_sizes, (options->n_disks + 1) * sizeof(uint64_t));
		options->disk_sizes[options->n_disks++] = size;
	}
	return 0;
}

static void add_made(const char *volume, uint64_t size_bytes, struct strbuf *text, json_t *disks)
{
	autofree char *size = value_format_size(size_bytes);

	strbuf_printf(text, "%s%s (%s)", text->length ? ", " : ", with disk ", volume, size);
	json_array_append_new(
		disks, json_pack("{s:s, s:I}", "volume", volume, "size_bytes", (json_int_t)size_bytes));
}

int verb_create(struct cli_call *call, struct vmf_error *err)
{
	struct vm_create_options options = {.n_disks = 0};
	struct vm *vm = call->vm;
	struct image image = {.path = NULL};
	int rc = create_options(call, &options, &image, err);

	if (rc == 0)
		rc = vm_create(vm, &options, err);
	if (rc == 0) {
		autofree char *prefix = vm_volume_prefix(vm);
		autostrbuf struct strbuf text = STRBUF_INIT;
		json_t *disks = json_array();

		for (size_t i = 0; i < vm->n_disks; i++)
			if (conf_number(vm->disks[i].section, "size"))
				add_made(vm->disks[i].volume,
					(uint64_t)conf_number(vm->disks[i].section, "size"), &text, disks);
		for (size_t i = 0; i < options.n_disks; i++) {
			autofree char *volume = str_printf("%s-%zu", prefix, i);

			add_made(volume, options.disk_sizes[i], &text, disks);
		}
		if (options.image && json_array_size(disks) == 0) {
			autofree char *volume = str_printf("%s-0", prefix);

			add_made(volume, image.size_bytes, &text, disks);
		}
		out_result(call,
			json_pack("{s:o, s:s, s:o}", "file", out_string(vm->file), "uuid", vm->uuid, "disks",
				disks),
			"%s: created%s", vm->name, text.data ? text.data : "");
	}
	strv_free(&options.settings);
	free(options.disk_sizes);
	image_free(&image);
	return rc;
}

static int confirm(struct vm *vm, struct vmf_error *err)
{
	autostrbuf struct strbuf volumes = STRBUF_INIT;
	autofree char *question = NULL;

	if (tty_is(STDIN_FILENO) && vm_resolve(vm, err) < 0)
		return -1;
	for (size_t i = 0; i < vm->n_disks; i++)
		strbuf_printf(&volumes, "%s%s", i ? ", " : " and its volumes ", vm->disks[i].volume);
	question = str_printf("This removes %s%s. Type the VM's name to go on: ", vm->name,
		volumes.data ? volumes.data : "");
	return cli_confirm(question, vm->name, err) < 0 ? vmf_context(err, "vm \"%s\": destroy", vm->name)
							: 0;
}

int verb_destroy(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;

	if (vm_need_unlocked(vm, err) < 0 || vm_need_off(vm, err) < 0)
		return -1;
	if (vm->is_defined) {
		if (!cli_option(call, "--yes", 0) && !call->ctx->dry_run && confirm(vm, err) < 0)
			return -1;
		if (vm_destroy(vm, err) < 0)
			return -1;
	} else if (!out_dry(call, "remove what an interrupted command has left of %s", vm->name)) {
		if (vm_lock(vm, err) < 0 || plan_undo_start(vm, err) < 0)
			return -1;
		vm_unlock(vm);
	}
	out_result(call, json_pack("{s:b}", "destroyed", 1), "%s: destroyed", vm->name);
	return 0;
}

int verb_rename(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	autofree char *was = str_dup(vm->name);

	if (cli_begins(cli_commands, call->args.items[0]))
		return vmf_fail(err, VMF_E_USAGE, 0, "choose another name", "\"%s\" is a command's name",
			call->args.items[0]);
	if (vm_rename(vm, call->args.items[0], err) < 0)
		return -1;
	out_result(call, json_pack("{s:s}", "was", was), "%s: renamed to %s", was, vm->name);
	return 0;
}
