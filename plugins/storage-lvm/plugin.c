/* SPDX-License-Identifier: ISC */
/* storage-lvm: volumes as logical volumes, thick or thin. What vmf sees of it: options and calls. */
#include <string.h>

#include "lvm.h"

static const struct vmf_option options[] = {
	{.name = "vg",
		.type = VMF_OPT_STRING,
		.default_value = "vg0",
		.help = "the volume group that holds the volumes",
		.since = "0.1"},
	{.name = "pool",
		.type = VMF_OPT_STRING,
		.help = "a thin pool of the volume group: new volumes are thin volumes in it",
		.since = "0.1"},
	{.name = "snapshot_size",
		.type = VMF_OPT_SIZE,
		.default_value = "2G",
		.min = 1 << 20,
		.max = INT64_C(1) << 60,
		.help = "the room that a thick volume's snapshot or copy-on-write clone has for changes",
		.since = "0.1"},
	{.name = "snapshot_percent",
		.type = VMF_OPT_INT,
		.min = 1,
		.max = 100,
		.help = "the same in percent of the origin's size, in place of snapshot_size",
		.since = "0.1"},
	{.name = "zero",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "fill new thick volumes with zeroes, so that nothing of former volumes can be read",
		.since = "0.1"},
	{.name = "lvcreate",
		.type = VMF_OPT_LIST,
		.help = "further arguments of lvcreate for new thick volumes",
		.since = "0.1"},
	{.name = "discard",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "what the guest trims is given back to the pool, or to the disk below",
		.since = "0.1"},
	{.name = "detect_zeroes",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "zeroes that the guest writes take no room in a thin volume",
		.since = "0.1"},
	{.name = "cache",
		.type = VMF_OPT_ENUM,
		.default_value = "none",
		.choices = "none|writeback|unsafe",
		.help = "none: around the host's page cache; unsafe: the guest's flushes are ignored",
		.since = "0.1"},
	{.name = "aio",
		.type = VMF_OPT_ENUM,
		.choices = "threads|native|io_uring",
		.help = "how QEMU reads and writes; without it native where cache = none, else threads",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_PROGRAM, .what = "lvs", .package = "lvm2", .why = "all that LVM does"},
	{.type = VMF_NEED_FILE,
		.what = "/dev/mapper/control",
		.package = "dmsetup",
		.why = "the kernel's device mapper"},
	{.type = VMF_NEED_ROOT, .what = "root", .why = "LVM wants it"},
	{.type = VMF_NEED_PROGRAM,
		.optional = 1,
		.what = "thin_check",
		.package = "thin-provisioning-tools",
		.why = "thin pools, which LVM checks before it uses them"},
};

const char *lvm_opt_aio(const struct vmf_call *c)
{
	const char *aio = c->host->opt_string(c, "aio"), *cache = c->host->opt_string(c, "cache");

	if (aio)
		return aio;
	return cache && strcmp(cache, "none") == 0 ? "native" : "threads";
}

int lvm_opt_check(const struct vmf_call *c, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *vg = h->opt_string(c, "vg"), *pool = h->opt_string(c, "pool"),
		   *cache = h->opt_string(c, "cache");

	if (!vg || !lvm_is_plain_name(vg))
		return h->fail(err, VMF_E_CONFIG, 0, "letters, digits and + _ . - only, as `vgs` shows them",
			"%s: \"%s\" is no volume group's name", h->opt_origin(c, "vg"), vg ? vg : "");
	if (pool && !lvm_is_plain_name(pool))
		return h->fail(err, VMF_E_CONFIG, 0, "the name alone, without the volume group's",
			"%s: \"%s\" is no thin pool's name", h->opt_origin(c, "pool"), pool);
	if (strcmp(lvm_opt_aio(c), "native") == 0 && !(cache && strcmp(cache, "none") == 0))
		return h->fail(err, VMF_E_CONFIG, 0, "set cache = \"none\", or aio = \"io_uring\"",
			"%s: aio = \"native\" needs cache = \"none\"", h->opt_origin(c, "aio"));
	return 0;
}

static const struct vmf_storage_ops ops = {
	.size = sizeof(ops),
	.check = lvm_check,
	.list = lvm_list,
	.create = lvm_create,
	.remove = lvm_remove,
	.rename = lvm_rename,
	.grow = lvm_grow,
	.attach = lvm_attach,
	.detach = lvm_detach,
	.snapshot = lvm_snapshot,
	.snapshots = lvm_snapshots,
	.rollback = lvm_rollback,
	.snapshot_remove = lvm_snapshot_remove,
	.clone = lvm_clone,
	.send = lvm_send,
	.receive = lvm_receive,
	.map = lvm_map,
	.unmap = lvm_unmap,
};

VMF_PLUGIN(storage_lvm) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_STORAGE,
	.name = "lvm",
	.version = PLUGIN_VERSION,
	.summary = "disks as logical volumes of LVM, thick or in a thin pool",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(needs[0]),
	.ops = &ops,
};
