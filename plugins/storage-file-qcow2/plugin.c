/* SPDX-License-Identifier: ISC */
/* storage-file-qcow2: volumes as qcow2 or raw files in one folder. What vmf sees of it: options and calls. */
#include <string.h>

#include "qcow2.h"

static const struct vmf_option options[] = {
	{.name = "dir", .type = VMF_OPT_PATH, .help = "the folder that holds the images", .since = "0.1"},
	{.name = "format",
		.type = VMF_OPT_ENUM,
		.default_value = "qcow2",
		.choices = "qcow2|raw",
		.help = "what new volumes are",
		.since = "0.1"},
	{.name = "preallocation",
		.type = VMF_OPT_ENUM,
		.default_value = "off",
		.choices = "off|metadata|falloc|full",
		.help = "what a new volume takes up at once; metadata is for qcow2 only",
		.since = "0.1"},
	{.name = "cluster_size",
		.type = VMF_OPT_SIZE,
		.default_value = "64K",
		.min = 512,
		.max = 2 << 20,
		.help = "the unit in which new qcow2 volumes grow: a power of two",
		.since = "0.1"},
	{.name = "discard",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "what the guest trims is given back to the filesystem",
		.since = "0.1"},
	{.name = "detect_zeroes",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "zeroes that the guest writes become holes",
		.since = "0.1"},
	{.name = "cache",
		.type = VMF_OPT_ENUM,
		.default_value = "writeback",
		.choices = "none|writeback|unsafe",
		.help = "none: around the host's page cache; unsafe: the guest's flushes are ignored",
		.since = "0.1"},
	{.name = "aio",
		.type = VMF_OPT_ENUM,
		.default_value = "threads",
		.choices = "threads|native|io_uring",
		.help = "how QEMU reads and writes; native needs cache = none",
		.since = "0.1"},
	{.name = "backing_dirs",
		.type = VMF_OPT_LIST,
		.help = "further folders that volumes may stand on images of",
		.since = "0.1"},
	{.name = "write_base",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "let guests write to volumes that overlays stand on, which ruins the overlays",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_PROGRAM,
		.optional = 1,
		.what = "qemu-img",
		.package = "qemu-utils",
		.why = "snapshots of stopped VMs, growing and compressing qcow2 volumes, copies of "
		       "compressed images"},
};

bool fq_opt_is(const struct vmf_call *c, const char *option, const char *value)
{
	const char *set = c->host->opt_string(c, option);

	return set && strcmp(set, value) == 0;
}

uint64_t fq_opt_cluster_size(const struct vmf_call *c)
{
	int64_t size = c->host->opt_int(c, "cluster_size");

	return size > 0 ? (uint64_t)size : 65536;
}

int fq_opt_check(const struct vmf_call *c, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	uint64_t cluster = fq_opt_cluster_size(c);

	if (cluster & (cluster - 1))
		return h->fail(err, VMF_E_CONFIG, 0, "use 4K, 64K, 256K, 1M or the like",
			"%s: cluster_size is not a power of two", h->opt_origin(c, "cluster_size"));
	if (fq_opt_is(c, "aio", "native") && !fq_opt_is(c, "cache", "none"))
		return h->fail(err, VMF_E_CONFIG, 0, "set cache = \"none\", or aio = \"io_uring\"",
			"%s: aio = \"native\" needs cache = \"none\"", h->opt_origin(c, "aio"));
	if (fq_opt_is(c, "format", "raw") && fq_opt_is(c, "preallocation", "metadata"))
		return h->fail(err, VMF_E_CONFIG, 0, "use off, falloc or full",
			"%s: preallocation = \"metadata\" is for qcow2, and the format is raw",
			h->opt_origin(c, "preallocation"));
	return 0;
}

static const struct vmf_storage_ops ops = {
	.size = sizeof(ops),
	.check = fq_check,
	.list = fq_list,
	.create = fq_create,
	.remove = fq_remove,
	.rename = fq_rename,
	.grow = fq_grow,
	.attach = fq_attach,
	.detach = fq_detach,
	.snapshot = fq_snapshot,
	.snapshots = fq_snapshots,
	.rollback = fq_rollback,
	.snapshot_remove = fq_snapshot_remove,
	.clone = fq_clone,
	.send = fq_send,
	.receive = fq_receive,
	.compress = fq_compress,
};

VMF_PLUGIN(storage_file_qcow2) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_STORAGE,
	.name = "file-qcow2",
	.version = PLUGIN_VERSION,
	.summary = "disks as qcow2 or raw files in a folder",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(needs[0]),
	.ops = &ops,
};
