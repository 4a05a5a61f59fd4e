/* SPDX-License-Identifier: ISC */
/*
 * Every word that core understands in a configuration: the same in vmf.conf, in class files and in VMs'
 * files, so that any of them can set a default. Help, man page and completion are made from it.
 */
#include "config/value.h"
#include "vm/vm.h"

#define OPT(name_, type_, default_, help_) \
	{ \
		.name = name_, .type = VMF_OPT_##type_, .default_value = default_, .help = help_, \
		.since = "0.1" \
	}
#define OPT_RANGE(name_, type_, default_, min_, max_, help_) \
	{ \
		.name = name_, .type = VMF_OPT_##type_, .default_value = default_, .min = min_, .max = max_, \
		.help = help_, .since = "0.1" \
	}
#define OPT_ENUM(name_, default_, choices_, help_) \
	{ \
		.name = name_, .type = VMF_OPT_ENUM, .default_value = default_, .choices = choices_, \
		.help = help_, .since = "0.1" \
	}

static const struct vmf_option root_options[] = {
	OPT("class", STRING, NULL, "the class whose file is read before the VM's own"),
	OPT("description", STRING, NULL, "a line for people"),
	OPT("uuid", STRING, NULL, "the VM's identity; MAC addresses come from it"),
	{.name = "memory",
		.type = VMF_OPT_SIZE,
		.flags = VALUE_F_MIB,
		.default_value = "512M",
		.min = 1 << 20,
		.max = INT64_C(1) << 44,
		.help = "memory; a bare number is in MiB",
		.since = "0.1"},
	OPT_RANGE("cpus", INT, "1", 1, 1024, "number of CPUs"),
	OPT("cpu", STRING, NULL, "QEMU's CPU model; host with KVM, max without, unless told"),
	OPT("machine", STRING, "pc", "QEMU's machine type"),
	OPT_ENUM("accel", "auto", "auto|kvm|tcg", "how the CPU is run; auto: KVM where it works, else TCG"),
	OPT("firmware", STRING, "bios", "bios, uefi, or the path of a firmware image"),
	OPT("kernel", PATH, NULL, "a Linux kernel to boot directly"),
	OPT("initrd", PATH, NULL, "its initial ram disk"),
	OPT("append", STRING, NULL, "its command line"),
	OPT("cdrom", PATH, NULL, "an image in the CD drive"),
	OPT("boot", STRING, NULL, "boot order as QEMU writes it: c disk, d CD, n network"),
	OPT("tablet", BOOL, "yes", "a USB tablet: the pointer is where the viewer's is"),
	OPT("rng", BOOL, "yes", "a virtio random number generator"),
	OPT("guest_agent", BOOL, "no", "a channel for QEMU's guest agent, which knows the guest's addresses"),
	OPT_RANGE("serial", INT, "1", 0, 4, "number of serial ports"),
	OPT_ENUM("rtc", "utc", "utc|localtime", "what the guest's clock shows"),
	OPT_ENUM("vga", "std", "std|virtio|qxl|vmware|cirrus|none", "the graphics card"),
	OPT("args", LIST, NULL, "further arguments for QEMU"),
	OPT("qemu", STRING, "qemu-system-x86_64", "the QEMU program"),
	OPT("user", STRING, NULL,
		"as root: the user that QEMU runs as; vmf if there is such a user, else nobody"),
	OPT("group", STRING, NULL, "the group that may use the VM's sockets"),
	OPT("sandbox", BOOL, "yes", "forbid QEMU system calls that it does not need"),
	OPT("storage", STRING, NULL, "the storage that new disks are made in"),
	OPT("network", STRING, NULL, "the network of NICs that name none; none: no NIC by default"),
	OPT("display_default", STRING, NULL, "the display of VMs that name none; none: no display"),
	OPT("viewer", STRING, NULL,
		"what shows a screen: a program, with {socket}, or {host} and {port}, in its arguments"),
	OPT_RANGE("drive_size", SIZE, "10G", 512, INT64_MAX, "the size of a new disk that none is given for"),
	OPT("gold", STRING, "gold",
		"what `clone` takes unless told: [STORE:]NAME[@SNAPSHOT] of volume [CLASS-]NAME, or of VM "
		"NAME"),
	OPT_ENUM("drive_if", "virtio", "virtio|scsi|ide|nvme|usb",
		"how disks that do not say so are attached"),
	OPT("net_if", STRING, "virtio-net-pci", "the model of NICs that do not say theirs"),
	OPT("net_ignore", LIST, NULL, "patterns of interfaces that net show and state leave out"),
	OPT("host", STRING, "local", "where the VM lives"),
	OPT("owner", STRING, NULL, "whose VM this is"),
	OPT("allow", LIST, NULL, "the verbs that its owner may use by the gate; all: all that pass it"),
	OPT("locked", BOOL, "no", "the VM can be looked at, not changed"),
	OPT("post", PATH, NULL, "a program that is run after the VM has started, with its name as argument"),
	OPT_RANGE("shutdown_timeout", TIME, "60s", 0, INT64_C(86400000),
		"how long shutdown waits for the guest"),
};

static const struct vmf_option disk_options[] = {
	OPT("storage", STRING, NULL, "the storage that the volume is in"),
	OPT("volume", STRING, NULL, "the volume's name, if it is not VM-TITLE"),
	OPT_RANGE("size", SIZE, NULL, 512, INT64_MAX, "how large `create` makes it"),
	OPT_ENUM("bus", NULL, "virtio|scsi|ide|nvme|usb", "how it is attached"),
	OPT("readonly", BOOL, "no", "the guest cannot write to it"),
	OPT_RANGE("bootindex", INT, NULL, 0, 1000, "its place in the boot order"),
	OPT("serial", STRING, NULL, "the serial number that the guest sees"),
};

static const struct vmf_option nic_options[] = {
	OPT("network", STRING, NULL, "the network that it is on"),
	OPT("mac", MAC, NULL, "its address, if not the one that comes from the VM's UUID"),
	OPT("model", STRING, NULL, "QEMU's device: virtio-net-pci, e1000, ..."),
	OPT("bridge", STRING, NULL,
		"the segment that it is plugged into, if not the network's own; \"-\": none"),
	OPT("link", BOOL, "yes", "its cable is plugged in"),
	OPT("props", LIST, NULL, "further properties of the device: {\"speed=1000\"}"),
};

static const struct vmf_option shared_options[] = {
	OPT("path", PATH, NULL, "the folder of this host that the guest sees (9p)"),
	OPT("readonly", BOOL, "no", "the guest cannot write to it"),
};

static const struct vmf_option host_options[] = {
	OPT_RANGE("cpus", INT, NULL, 0, 100000, "CPUs that VMs may use there"),
	{.name = "memory",
		.type = VMF_OPT_SIZE,
		.flags = VALUE_F_MIB,
		.help = "memory that VMs may use there; a bare number is in MiB",
		.since = "0.1"},
};

static const struct vmf_option owner_options[] = {
	OPT("enabled", BOOL, "yes", "the gate lets the owner in"),
	OPT_RANGE("vms", INT, NULL, 0, 1000000, "how many VMs may be the owner's"),
	OPT_RANGE("cpus", INT, NULL, 0, 1000000, "how many CPUs those that run may have together"),
	{.name = "memory",
		.type = VMF_OPT_SIZE,
		.flags = VALUE_F_MIB,
		.help = "how much memory those that run may have together; a bare number is in MiB",
		.since = "0.1"},
	OPT("disk", SIZE, NULL, "how large their disks may be together, on each host"),
	OPT("allow", LIST, NULL,
		"verbs that the owner may use on all own VMs, besides those that they allow"),
	OPT("classes", LIST, NULL, "the classes that the owner may name when making a VM"),
	OPT("keys", LIST, NULL, "the public keys that the owner is known by"),
};

#define OPTIONS(table) .options = table, .n_options = VMF_COUNT(table)

static const struct conf_schema root_sections[] = {
	{.keyword = "storage", .flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN, .help = "a place for volumes"},
	{.keyword = "network",
		.flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN,
		.help = "what NICs are plugged into"},
	{.keyword = "host",
		.flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN,
		.help = "a machine that VMs run on",
		OPTIONS(host_options)},
	{.keyword = "owner",
		.flags = VMF_CONF_TITLED,
		.help = "one whom VMs belong to, in vmf.conf: what she may have",
		OPTIONS(owner_options)},
	{.keyword = "disk",
		.flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN,
		.help = "a disk of the VM",
		OPTIONS(disk_options)},
	{.keyword = "nic",
		.flags = VMF_CONF_TITLED | VMF_CONF_PLUGIN,
		.help = "a NIC of the VM",
		OPTIONS(nic_options)},
	{.keyword = "display", .flags = VMF_CONF_PLUGIN, .help = "where the VM's screen is shown"},
	{.keyword = "shared",
		.flags = VMF_CONF_TITLED,
		.help = "a folder shared with the guest",
		OPTIONS(shared_options)},
};

const struct conf_schema vm_schema = {
	.keyword = NULL,
	OPTIONS(root_options),
	.sections = root_sections,
	.n_sections = VMF_COUNT(root_sections),
};
