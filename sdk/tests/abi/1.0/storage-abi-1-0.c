/* SPDX-License-Identifier: ISC */
/*
 * A plugin as it was written for ABI 1.0, built against the header as it was then (beside this file).
 * Neither is ever changed: as long as the major number is 1, every vmf must load and call this.
 */
#include <vmf/plugin.h>

#include <string.h>

#if VMF_ABI_MAJOR != 1 || VMF_ABI_MINOR != 0
#error "built against the wrong header"
#endif

static int check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err)
{
	if (c->size < sizeof(*c) || c->host->size < sizeof(*c->host) || pool->size < sizeof(*pool))
		return c->host->fail(err, VMF_E_FAILED, 0, NULL, "the host's structs became smaller");
	if (strcmp(c->host->opt_string(c, "word"), "hello") != 0 || c->host->opt_int(c, "room") != 2048)
		return c->host->fail(err, VMF_E_FAILED, 0, NULL, "the options' defaults did not arrive");
	pool->description = c->host->printf(c, "%s", c->instance);
	pool->data_percent = pool->meta_percent = -1;
	return 0;
}

static int list(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err)
{
	(void)prefix;
	(void)err;
	list->items = c->host->alloc(c, sizeof(*list->items));
	list->items[0].size = sizeof(*list->items);
	list->items[0].name = c->host->strdup(c, "only");
	list->items[0].id = list->items[0].format = "raw";
	list->count = 1;
	list->stride = sizeof(*list->items);
	return 0;
}

static int create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	(void)size_bytes;
	return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "use another storage", "no volume \"%s\" can be made", name);
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
	return c->host->fail(err, VMF_E_NOT_FOUND, 0, NULL, "no volume \"%s\"", name);
}

static const struct vmf_storage_ops ops = {
	.size = sizeof(ops),
	.check = check,
	.list = list,
	.create = create,
	.remove = drop,
	.attach = attach,
	.detach = drop,
};

static const struct vmf_option options[] = {
	{.name = "word", .type = VMF_OPT_STRING, .default_value = "hello", .help = "a word", .since = "1.0"},
	{.name = "room", .type = VMF_OPT_SIZE, .default_value = "2K", .help = "a size", .since = "1.0"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_PROGRAM, .what = "sh", .package = "dash", .why = "nothing at all"},
};

VMF_PLUGIN(storage_abi_1_0) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_STORAGE,
	.name = "abi-1-0",
	.version = "1.0",
	.summary = "a plugin of the first ABI",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(needs[0]),
	.ops = &ops,
};
