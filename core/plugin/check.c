/* SPDX-License-Identifier: ISC */
/*
 * A plugin is somebody else's memory: everything in it is looked at once, here, so that nobody behind
 * this point has to. Each refusal is one line that names the file and says what, with a hint what to do.
 */
#include "plugin/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/value.h"

/* The structs as they were in ABI 1.0: no plugin may be smaller. */
#define PLUGIN_SIZE_1_0 (offsetof(struct vmf_plugin, ops) + sizeof(void *))
#define OPTION_SIZE_1_0 (offsetof(struct vmf_option, since) + sizeof(char *))
#define NEED_SIZE_1_0 (offsetof(struct vmf_need, why) + sizeof(char *))

#define KNOWN_FLAGS 0u
#define KNOWN_OPTION_FLAGS VMF_OPT_F_REQUIRED
#define MANY 1000 /* no table is that long */

#define REBUILD "rebuild the plugin against this vmf's headers, or remove it"
#define AUTHOR "this is for the plugin's author to mend; until then remove it"

/* ---- the file ----------------------------------------------------------------------------- */

static int check_owner(
	const char *path, const struct stat *st, const struct stat *program, struct vmf_error *err)
{
	autofree char *hint = NULL;
	bool same_owner = program && st->st_uid == program->st_uid;
	bool is_root = geteuid() == 0;

	if (is_root && st->st_uid != 0 && !same_owner) {
		hint = str_printf("if you trust it: chown root %s", path);
		return vmf_fail(err, VMF_E_PERMISSION, 0, hint,
			"%s belongs to user %u, who could have root run anything", path,
			(unsigned)st->st_uid);
	}
	if (st->st_mode & S_IWOTH) {
		hint = str_printf("if you trust what is in it: chmod o-w %s", path);
		return vmf_fail(err, VMF_E_PERMISSION, 0, hint, "%s can be written by everybody", path);
	}
	if (is_root && (st->st_mode & S_IWGRP) && st->st_gid != 0 &&
		!(same_owner && (program->st_mode & S_IWGRP) && st->st_gid == program->st_gid)) {
		hint = str_printf("if you trust what is in it: chmod g-w %s", path);
		return vmf_fail(err, VMF_E_PERMISSION, 0, hint, "%s can be written by group %u", path,
			(unsigned)st->st_gid);
	}
	return 0;
}

int check_trust(const char *file, struct vmf_error *err)
{
	autofree char *folder = path_parent(file);
	struct stat st, program;
	bool has_program = stat("/proc/self/exe", &program) == 0;
	const char *const paths[] = {file, folder};

	for (size_t i = 0; i < VMF_COUNT(paths); i++) {
		if (stat(paths[i], &st) < 0)
			return vmf_fail_errno(err, NULL, "plugin %s", paths[i]);
		if (check_owner(paths[i], &st, has_program ? &program : NULL, err) < 0)
			return vmf_context(err, i == 0 ? "plugin" : "plugin folder");
	}
	return 0;
}

/* ---- the struct --------------------------------------------------------------------------- */

bool check_name(const char *name)
{
	return name && *name && name[0] != '-' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static int refuse(struct vmf_error *err, const char *hint, const char *fmt, ...) VMF_PRINTF(3, 4);

static int refuse(struct vmf_error *err, const char *hint, const char *fmt, ...)
{
	va_list ap;
	autofree char *text = NULL;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	return vmf_fail(err, VMF_E_FAILED, 0, hint, "%s", text);
}

/* Before anything else of it is read: is it a struct that we know? */
static int check_head(const struct vmf_plugin *p, struct vmf_error *err)
{
	if (p->abi_major != VMF_ABI_MAJOR)
		return refuse(err, REBUILD, "is made for plugin ABI %u.%u, this vmf has %u.%u", p->abi_major,
			p->abi_minor, VMF_ABI_MAJOR, VMF_ABI_MINOR);
	if (p->abi_minor > VMF_ABI_MINOR)
		return refuse(err, "install a newer vmf, or an older plugin",
			"is made for plugin ABI %u.%u, this vmf is older and has %u.%u", p->abi_major,
			p->abi_minor, VMF_ABI_MAJOR, VMF_ABI_MINOR);
	if (p->size < PLUGIN_SIZE_1_0)
		return refuse(err, REBUILD, "its struct vmf_plugin has %u bytes, ABI %u.0 has %zu", p->size,
			VMF_ABI_MAJOR, PLUGIN_SIZE_1_0);
	if (p->flags & VMF_PLUGIN_F_MUST_UNDERSTAND & ~KNOWN_FLAGS)
		return refuse(err, "install a newer vmf, or an older plugin",
			"relies on something that this vmf does not know (flags 0x%x)",
			p->flags & VMF_PLUGIN_F_MUST_UNDERSTAND & ~KNOWN_FLAGS);
	return 0;
}

static int check_identity(
	const struct vmf_plugin *p, enum vmf_kind kind, const char *name, struct vmf_error *err)
{
	if (p->kind < VMF_STORAGE || p->kind > VMF_PLACEMENT)
		return refuse(err, REBUILD, "is of kind %u, which this vmf does not know", p->kind);
	if (!check_name(p->name))
		return refuse(err, AUTHOR, "its name %s%s%s is not made of small letters, digits and dashes",
			p->name ? "\"" : "", p->name ? p->name : "(none)", p->name ? "\"" : "");
	if (p->kind != kind || !str_equal(p->name, name))
		return refuse(err, "restore the file's name, or remove it",
			"holds the %s plugin \"%s\", but its file is named as the %s plugin \"%s\"",
			plugin_kind_name((enum vmf_kind)p->kind), p->name, plugin_kind_name(kind), name);
	if (!p->version || !p->summary)
		return refuse(err, AUTHOR, "has no %s", p->version ? "summary" : "version");
	return 0;
}

static bool in_choices(const char *choices, const char *text)
{
	size_t length = strlen(text);

	for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
		if (strcspn(at, "|") == length && strncmp(at, text, length) == 0)
			return true;
	return false;
}

static int check_option(const struct vmf_option *o, struct vmf_error *err)
{
	struct vmf_error inner = VMF_ERROR_INIT;
	int64_t number;

	if (!o->name || !*o->name || o->name[strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789_-")])
		return refuse(err, AUTHOR, "has an option without a proper name");
	if (o->type < VMF_OPT_STRING || o->type > VMF_OPT_TIME)
		return refuse(err, REBUILD, "option %s is of type %u, which this vmf does not know", o->name,
			o->type);
	if (o->flags & ~KNOWN_OPTION_FLAGS)
		return refuse(err, REBUILD, "option %s has flags (0x%x) that this vmf does not know", o->name,
			o->flags & ~KNOWN_OPTION_FLAGS);
	if (o->type == VMF_OPT_ENUM && (!o->choices || !*o->choices))
		return refuse(err, AUTHOR, "option %s is an enum without choices", o->name);
	if (o->min > o->max)
		return refuse(err, AUTHOR, "option %s has a least value above the greatest", o->name);
	if (!o->help || !*o->help)
		return refuse(err, AUTHOR, "option %s has no help text", o->name);
	if (!o->default_value || o->type == VMF_OPT_LIST)
		return 0;
	if (o->type == VMF_OPT_ENUM && !in_choices(o->choices, o->default_value))
		return refuse(err, AUTHOR, "option %s: the default \"%s\" is none of %s", o->name,
			o->default_value, o->choices);
	if (value_check(o, o->default_value, &number, &inner) < 0) {
		refuse(err, AUTHOR, "option %s: the default \"%s\" is refused: %s", o->name, o->default_value,
			inner.message);
		error_clear(&inner);
		return -1;
	}
	return 0;
}

static int check_options(const struct vmf_plugin *p, struct vmf_error *err)
{
	for (size_t i = 0; i < p->n_options; i++) {
		if (check_option(&p->options[i], err) < 0)
			return -1;
		for (size_t j = 0; j < i; j++)
			if (str_equal(p->options[i].name, p->options[j].name))
				return refuse(err, AUTHOR, "has the option %s twice", p->options[i].name);
	}
	return 0;
}

static int check_needs(const struct vmf_plugin *p, struct vmf_error *err)
{
	for (size_t i = 0; i < p->n_needs; i++)
		if (p->needs[i].type < VMF_NEED_PROGRAM || p->needs[i].type > VMF_NEED_ROOT ||
			(p->needs[i].type != VMF_NEED_ROOT && !p->needs[i].what))
			return refuse(
				err, REBUILD, "has a need (number %zu) that this vmf does not understand", i);
	return 0;
}

/* ---- copies ------------------------------------------------------------------------------- */

/* COUNT structs of STRIDE bytes each become structs of SIZE bytes. */
static void *copy_array(const void *given, size_t count, size_t stride, size_t size)
{
	char *copy = mem_alloc(count * size + 1);

	for (size_t i = 0; i < count; i++)
		memcpy(copy + i * size, (const char *)given + i * stride, stride < size ? stride : size);
	return copy;
}

static int copy_table(const char *what, const void **table, size_t count, size_t *stride, size_t least,
	size_t size, struct vmf_error *err)
{
	if (!count) {
		*table = NULL;
		*stride = size;
		return 0;
	}
	if (!*table || count > MANY)
		return refuse(
			err, REBUILD, "says that it has %zu %s, but there is no such table", count, what);
	if (*stride < least || *stride % sizeof(void *) || *stride > 4096)
		return refuse(err, REBUILD, "its %s have %zu bytes each, ABI %u.0 has %zu", what, *stride,
			VMF_ABI_MAJOR, least);
	*table = copy_array(*table, count, *stride, size);
	*stride = size;
	return 0;
}

static int copy_tables(struct vmf_plugin *p, struct vmf_error *err)
{
	const void *options = p->options, *needs = p->needs;
	int rc = copy_table("options", &options, p->n_options, &p->option_stride, OPTION_SIZE_1_0,
		sizeof(struct vmf_option), err);

	p->options = rc == 0 ? options : NULL;
	p->needs = NULL;
	if (rc == 0)
		rc = copy_table("needs", &needs, p->n_needs, &p->need_stride, NEED_SIZE_1_0,
			sizeof(struct vmf_need), err);
	if (rc == 0)
		p->needs = needs;
	return rc;
}

/* ---- calls -------------------------------------------------------------------------------- */

struct required {
	uint32_t kind;
	size_t offset; /* of the call in its table */
	const char *name;
};

#define CALL(kind, table, call) \
	{ \
		kind, offsetof(struct vmf_##table##_ops, call), #call \
	}

/* What vmf cannot use a plugin without; all other calls may be NULL. */
static const struct required required[] = {
	CALL(VMF_STORAGE, storage, list),
	CALL(VMF_STORAGE, storage, create),
	CALL(VMF_STORAGE, storage, remove),
	CALL(VMF_STORAGE, storage, attach),
	CALL(VMF_NETWORK, network, up),
	CALL(VMF_DISPLAY, display, prepare),
	CALL(VMF_PLACEMENT, placement, caps),
	CALL(VMF_PLACEMENT, placement, probe),
};

static int copy_ops(struct plugin *plugin, const void *ops, struct vmf_error *err)
{
	uint32_t size;
	uintptr_t call;

	if (!ops)
		return refuse(err, AUTHOR, "has no calls (ops is NULL)");
	memcpy(&size, ops, sizeof(size));
	if (size < sizeof(void *) || size > 65536 || size % sizeof(void *))
		return refuse(
			err, REBUILD, "its table of calls says that it has %u bytes, which cannot be", size);
	memset(&plugin->ops, 0, sizeof(plugin->ops));
	memcpy(&plugin->ops, ops, size < sizeof(plugin->ops) ? size : sizeof(plugin->ops));
	for (size_t i = 0; i < VMF_COUNT(required); i++) {
		if (required[i].kind != plugin->desc.kind)
			continue;
		memcpy(&call, (const char *)&plugin->ops + required[i].offset, sizeof(call));
		if (!call)
			return refuse(err, AUTHOR, "lacks the call %s, which a %s plugin must have",
				required[i].name, plugin_kind_name(plugin->kind));
	}
	return 0;
}

int check_describe(const struct vmf_plugin *given, struct plugin *plugin, struct vmf_error *err)
{
	int rc = check_head(given, err);

	if (rc == 0) {
		memset(&plugin->desc, 0, sizeof(plugin->desc));
		memcpy(&plugin->desc, given,
			given->size < sizeof(plugin->desc) ? given->size : sizeof(plugin->desc));
		plugin->desc.size = sizeof(plugin->desc);
		rc = copy_tables(&plugin->desc, err);
	}
	if (rc == 0)
		rc = check_identity(&plugin->desc, plugin->kind, plugin->name, err);
	if (rc == 0)
		rc = check_options(&plugin->desc, err);
	if (rc == 0)
		rc = check_needs(&plugin->desc, err);
	if (rc == 0)
		rc = copy_ops(plugin, plugin->desc.ops, err);
	if (rc < 0) {
		check_release(plugin);
		return vmf_context(err, "plugin %s", plugin->path);
	}
	plugin->desc.ops = &plugin->ops;
	return 0;
}

void check_release(struct plugin *plugin)
{
	free((void *)plugin->desc.options);
	free((void *)plugin->desc.needs);
	memset(&plugin->desc, 0, sizeof(plugin->desc));
	memset(&plugin->ops, 0, sizeof(plugin->ops));
}
