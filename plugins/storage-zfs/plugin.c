/* SPDX-License-Identifier: ISC */
/* storage-zfs: volumes as ZFS volumes in one dataset. What vmf sees of it: options and calls. */
#include <string.h>

#include "zv.h"

static const struct vmf_option options[] = {
	{.name = "dataset",
		.type = VMF_OPT_STRING,
		.default_value = "tank",
		.help = "the pool or filesystem that holds the volumes",
		.since = "0.1"},
	{.name = "sparse",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "new volumes take up room as they are written; no: all of it is reserved at once",
		.since = "0.1"},
	{.name = "volblocksize",
		.type = VMF_OPT_SIZE,
		.min = 512,
		.max = 1 << 20,
		.help = "the unit in which new volumes are stored, a power of two; not set: what ZFS takes",
		.since = "0.1"},
	{.name = "compression",
		.type = VMF_OPT_STRING,
		.help = "of new volumes, as in lz4 or zstd-3; not set: as the dataset has it",
		.since = "0.1"},
	{.name = "discard",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "what the guest trims is given back to the pool",
		.since = "0.1"},
	{.name = "detect_zeroes",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "zeroes that the guest writes become holes",
		.since = "0.1"},
	{.name = "cache",
		.type = VMF_OPT_ENUM,
		.default_value = "none",
		.choices = "none|writeback|unsafe",
		.help = "none: ZFS' own cache only; unsafe: the guest's flushes are ignored",
		.since = "0.1"},
	{.name = "aio",
		.type = VMF_OPT_ENUM,
		.default_value = "threads",
		.choices = "threads|native|io_uring",
		.help = "how QEMU reads and writes; native needs cache = none",
		.since = "0.1"},
	{.name = "device_timeout",
		.type = VMF_OPT_TIME,
		.default_value = "10s",
		.min = 0,
		.max = 600000,
		.help = "how long to wait for a volume's device, or for it to be let go of",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_PROGRAM, .what = "zfs", .package = "zfsutils-linux", .why = "all of it"},
	{.type = VMF_NEED_FILE,
		.what = "/dev/zfs",
		.package = "zfs-dkms",
		.why = "all of it: the kernel's module"},
};

bool zv_opt_is(const struct vmf_call *c, const char *option, const char *value)
{
	const char *set = c->host->opt_string(c, option);

	return set && strcmp(set, value) == 0;
}

static const struct vmf_storage_ops ops = {
	.size = sizeof(ops),
	.check = zv_check,
	.list = zv_list,
	.create = zv_create,
	.remove = zv_remove,
	.rename = zv_rename,
	.grow = zv_grow,
	.attach = zv_attach,
	.detach = zv_detach,
	.snapshot = zv_snapshot,
	.snapshots = zv_snapshots,
	.rollback = zv_rollback,
	.snapshot_remove = zv_snapshot_remove,
	.clone = zv_clone,
	.send_own = zv_send_own,
	.own_size = zv_own_size,
	.receive_own = zv_receive_own,
	.send = zv_send,
	.receive = zv_receive,
	.map = zv_map,
	.unmap = zv_unmap,
};

VMF_PLUGIN(storage_zfs) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_STORAGE,
	.name = "zfs",
	.version = PLUGIN_VERSION,
	.summary = "disks as ZFS volumes",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(needs[0]),
	.ops = &ops,
};
