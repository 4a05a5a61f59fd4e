/* SPDX-License-Identifier: ISC */
/*
 * One plugin for each thing that a plugin can get wrong: built once per name in the Makefile's list, with
 * MODULE as the entry symbol's stem and IS_<module> defined. storage-good is what the others depart from.
 * Those that load but have no manners are for vmf-plugin-check.
 */
#include <vmf/plugin.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern int nobody_has_this_function(void);

static int list(
	const struct vmf_call *c, const char *prefix, struct vmf_volume_list *l, struct vmf_error *err)
{
	(void)c;
	(void)prefix;
	(void)err;
#ifdef IS_storage_undefined
	nobody_has_this_function();
#elif defined(IS_storage_prints)
	puts("a plugin never prints");
#elif defined(IS_storage_crashes)
	abort();
#elif defined(IS_storage_exits)
	exit(7);
#elif defined(IS_storage_moves)
	if (chdir("/") < 0)
		return c->host->fail(err, VMF_E_FAILED, 0, NULL, "it could not even move");
#elif defined(IS_storage_leaks)
	if (dup(0) < 0)
		return c->host->fail(err, VMF_E_FAILED, 0, NULL, "it could not even leak");
#elif defined(IS_storage_says_nothing)
	return -1;
#endif
	l->count = 0;
	return 0;
}

static int create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	(void)size_bytes;
	return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "use another", "cannot create %s", name);
}

static int drop(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	(void)c;
	(void)name;
	(void)err;
	return 0;
}

static int attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err)
{
	(void)block;
	return c->host->fail(err, VMF_E_NOT_FOUND, 0, NULL, "no volume %s", name);
}

static int snapshot(const struct vmf_call *c, const char *name, const char *tag, struct vmf_error *err)
{
	(void)tag;
	return attach(c, name, NULL, err);
}

static const struct vmf_storage_ops ops = {
#ifdef IS_storage_short_ops
	.size = offsetof(struct vmf_storage_ops, snapshot),
#elif defined(IS_storage_odd_ops)
	.size = 3,
#else
	.size = sizeof(struct vmf_storage_ops),
#endif
	.list = list,
	.create = create,
	.remove = drop,
#ifndef IS_storage_lacks_call
	.attach = attach,
#endif
	.snapshot = snapshot,
	.detach = drop,
};

static const struct vmf_option options[] = {
	{.name = "dir", .type = VMF_OPT_PATH, .help = "the folder", .since = "1.0"},
#ifdef IS_storage_option_type
	{.name = "what", .type = 99, .help = "of an unknown type", .since = "1.0"},
#elif defined(IS_storage_option_default)
	{.name = "count", .type = VMF_OPT_INT, .default_value = "many", .help = "how many", .since = "1.0"},
#elif defined(IS_storage_option_choices)
	{.name = "format", .type = VMF_OPT_ENUM, .help = "of the file", .since = "1.0"},
#elif defined(IS_storage_option_twice)
	{.name = "dir", .type = VMF_OPT_STRING, .help = "the folder again", .since = "1.0"},
#elif defined(IS_storage_option_help)
	{.name = "silent", .type = VMF_OPT_BOOL, .since = "1.0"},
#endif
};

/* As a plugin of a later minor version would have it: everything is longer. */
struct long_plugin {
	struct vmf_plugin plugin;
	const void *later[4];
};

#ifdef IS_storage_longer
struct long_option {
	struct vmf_option option;
	const void *later[2];
};
static const struct long_option long_options[] = {
	{{.name = "one", .type = VMF_OPT_BOOL, .help = "the first", .since = "1.0"}, {"", ""}},
	{{.name = "two", .type = VMF_OPT_BOOL, .help = "the second", .since = "1.0"}, {"", ""}},
};
#endif

#define SYMBOL_(module) module##_LTX_vmf_plugin
#define SYMBOL(module) SYMBOL_(module)

#ifdef IS_storage_no_symbol
#undef MODULE
#define MODULE something_else
#endif

extern VMF_EXPORT const struct long_plugin SYMBOL(MODULE);
VMF_EXPORT const struct long_plugin SYMBOL(MODULE) = {
	.plugin =
		{
#ifdef IS_storage_truncated
			.size = offsetof(struct vmf_plugin, n_options),
#elif defined(IS_storage_longer)
			.size = sizeof(struct long_plugin),
#else
			.size = sizeof(struct vmf_plugin),
#endif
#ifdef IS_storage_wrong_major
			.abi_major = VMF_ABI_MAJOR + 1,
#else
			.abi_major = VMF_ABI_MAJOR,
#endif
#ifdef IS_storage_newer_minor
			.abi_minor = VMF_ABI_MINOR + 1,
#else
			.abi_minor = VMF_ABI_MINOR,
#endif
#ifdef IS_storage_wrong_kind
			.kind = VMF_NETWORK,
#elif defined(IS_storage_unknown_kind)
			.kind = 77,
#else
			.kind = VMF_STORAGE,
#endif
#ifdef IS_storage_must_understand
			.flags = 0x20000,
#elif defined(IS_storage_longer)
			.flags = 0x4, /* may be ignored */
#endif
#ifdef IS_storage_wrong_name
			.name = "right-name",
#else
			.name = NAME,
#endif
			.version = "1",
#ifndef IS_storage_no_summary
			.summary = "for tests",
#endif
#ifdef IS_storage_longer
			.options = &long_options[0].option,
			.n_options = 2,
			.option_stride = sizeof(long_options[0]),
#elif defined(IS_storage_option_stride)
			.options = options,
			.n_options = 1,
			.option_stride = 16,
#elif defined(IS_storage_option_null)
			.n_options = 2,
			.option_stride = sizeof(options[0]),
#else
			.options = options,
			.n_options = VMF_COUNT(options),
			.option_stride = sizeof(options[0]),
#endif
#ifndef IS_storage_no_ops
			.ops = &ops,
#endif
		},
};
