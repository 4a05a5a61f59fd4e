/* SPDX-License-Identifier: ISC */
/* The table of everything that can be typed. */
#include "cli/cli.h"
#include "cli/serve.h"

#define OPTIONS(table) table, VMF_COUNT(table)
#define NO_OPTIONS NULL, 0

const struct cli_option cli_globals[] = {
	{"-o", "KEY=VALUE", "a setting that holds for this run only; may be given again", NULL},
	{"-C", "DIR", "keep everything below DIR; so does VMF_HOME", NULL},
	{"--home", "DIR", "the same", NULL},
	{"--json", NULL, "facts as JSON, a line for each verb", NULL},
	{"--dry-run", NULL, "show what would be done, and do nothing; so does -n", NULL},
	{"-q", NULL, "say nothing but errors", NULL},
	{"-v", NULL, "say more; -vv still more", NULL},
	{"--help", NULL, "this", NULL},
	{"--version", NULL, "the version", NULL},
	{NULL, NULL, NULL, NULL},
};
static const struct cli_option create_options[] = {
	{"--class", "NAME", "the class whose settings it takes", "class"},
	{"--memory", "SIZE", "as in 2G", "memory"},
	{"--cpus", "N", "number of CPUs", "cpus"},
	{"--disk", "SIZE", "make a disk; may be given again", NULL},
	{"--image", "FILE", "the first disk is a copy of that image", NULL},
	{"--cdrom", "FILE", "an image in the CD drive", "cdrom"},
	{"--nic", "NET", "a NIC on that network, NET:BRIDGE in that bridge; may be given again", NULL},
	{"--host", "NAME", "where it lives; auto: where there is most room", "host"},
	{"--explain", NULL, "with --host auto: only show which host would be chosen, and why", NULL},
	{"--template", "FILE", "a definition to start from", NULL},
};
static const struct cli_option drives_options[] = {{"--names", NULL, "titles and numbers only", NULL}};
static const struct cli_option disk_add_options[] = {
	{"--name", "TITLE", "its name; the next number unless told", NULL},
	{"--storage", "NAME", "the storage that its volume is made in", NULL},
	{"--bus", "BUS", "virtio, scsi, ide, nvme or usb", NULL},
	{"--image", "FILE", "it is to be a copy of that image", NULL},
	{"--format", "FORMAT", "what the image is: raw, qcow2 or own; seen by its content unless told", NULL},
};
static const struct cli_option disk_import_options[] = {
	{"--format", "FORMAT", "what the image is: raw, qcow2 or own; seen by its content unless told", NULL},
	{"--yes", NULL, "do not ask", NULL},
};
static const struct cli_option disk_export_options[] = {
	{"--format", "FORMAT", "raw, qcow2 or own, the storage's stream; by the file's ending unless told",
		NULL},
	{"--compress", NULL, "pack it; for qcow2", NULL},
};
static const struct cli_option disk_mount_options[] = {{"--rw", NULL, "for writing, too", NULL}};
static const struct cli_option net_show_options[] = {
	{"--names", NULL, "segments' names only", NULL},
	{"--all", NULL, "also those that net_ignore leaves out", NULL},
};
static const struct cli_option net_wire_options[] = {
	{"--create", NULL, "make namespaces and bridges that are missing", NULL},
	{"--remove", NULL, "take the wire away", NULL},
};
static const struct cli_option net_ignore_options[] = {{"--remove", NULL, "show those again", NULL}};
static const struct cli_option addresses_options[] = {
	{"--dnsmasq", NULL, "as lines for dnsmasq: dhcp-host=...", NULL},
	{"--dhcpd", NULL, "as lines for ISC's dhcpd: host ... { ... }", NULL},
};
static const struct cli_option forward_options[] = {
	{"--nic", "N", "its NIC; the first that can, unless told", NULL},
};
static const struct cli_option ifadd_options[] = {
	{"--network", "NET", "the network that the bridges are on", NULL},
	{"--model", "MODEL", "QEMU's device: virtio-net-pci, e1000, ...", NULL},
	{"--prop", "KEY=VALUE", "a further property of the device; may be given again", NULL},
};
static const struct cli_option storage_list_options[] = {
	{"--names", NULL, "names only; no storage is asked", NULL}};
static const struct cli_option storage_orphans_options[] = {
	{"--remove", NULL, "remove them; asks first", NULL},
	{"--yes", NULL, "do not ask", NULL},
};
static const struct cli_option doctor_options[] = {
	{"--install", NULL, "let apt-get install the packages that are missing; asks first", NULL},
	{"--yes", NULL, "do not ask", NULL},
};
static const struct cli_option destroy_options[] = {{"--yes", NULL, "do not ask", NULL}};
static const struct cli_option config_options[] = {
	{"--origin", NULL, "show where each value comes from", NULL},
	{"--diff", NULL, "only what differs from the built-in defaults", NULL},
};
static const struct cli_option start_options[] = {
	{"--paused", NULL, "do not let the guest run yet", NULL},
	{"--discard-saved", NULL, "boot, though there is saved memory", NULL},
};
static const struct cli_option shutdown_options[] = {
	{"--timeout", "TIME", "how long to wait for the guest", NULL},
	{"--force", NULL, "then stop it", NULL},
};
static const struct cli_option wait_options[] = {{"--timeout", "TIME", "give up after that", NULL}};
static const struct cli_option info_options[] = {
	{"--command", NULL, "only QEMU's command line", NULL},
};
static const struct cli_option log_options[] = {
	{"--lines", "N", "only the last N lines", NULL},
	{"--path", NULL, "only where the log is", NULL},
};
static const struct cli_option console_options[] = {
	{"--port", "N", "the serial port, 0 unless told", NULL},
	{"--escape", "KEY", "the key that leaves, as in ^]; none: no key does", NULL},
	{"--history", "N", "show the last N lines first", NULL},
	{"--until", "TEXT", "leave once TEXT was seen", NULL},
	{"--timeout", "TIME", "leave after that; with --until: fail", NULL},
	{"--watch", NULL, "only look, beside the one who types", NULL},
	{"--log", "FILE", "add what is shown to FILE, too", NULL},
};
static const struct cli_option monitor_options[] = {
	{"--escape", "KEY", "the key that leaves, as in ^]; none: no key does", NULL},
};
static const struct cli_option vnc_options[] = {
	SERVE_OPTIONS,
	{"--password", NULL, "a new password for this relay, where the display asks for one", NULL},
	{"--viewer", "PROGRAM", "show it with that, in place of the configured one", NULL},
};
static const struct cli_option web_options[] = {
	SERVE_OPTIONS,
	{"--password", NULL, "a new password for it, where the display asks for one", NULL},
};
static const struct cli_option relay_options[] = {SERVE_OPTIONS};
static const struct cli_option type_options[] = {
	{"--enter", NULL, "press Enter behind it", NULL},
	{"--delay", "TIME", "wait so long after each key, for a guest that is slow", NULL},
};
static const struct cli_option top_options[] = {
	{"--interval", "TIME", "look so often; 2 s unless told", NULL},
	{"--count", "N", "so many times, then end; 0: for ever", NULL},
};
static const struct cli_option relays_options[] = {
	{"--end", "ID", "end that one; may be given again", NULL},
	{"--all", NULL, "end all", NULL},
};
static const struct cli_option snapshot_options[] = {
	{"--disk", "DISK", "only of that disk; may be given again", NULL},
	{"--delete", "NAME", "remove that one", NULL},
};
static const struct cli_option rollback_options[] = {
	{"--disk", "DISK", "only that disk; may be given again", NULL},
	{"--later-too", NULL, "also where the store must drop later snapshots for it", NULL},
};
static const struct cli_option clone_options[] = {
	{"--from", "VM[@SNAPSHOT]", "the VM to be cloned, as it is or as it was", NULL},
	{"--volume", "STORE:NAME[@SNAPSHOT]", "its next disk is a clone of that volume", NULL},
	{"--copy", NULL, "full copies of its disks", NULL},
	{"--cow", NULL, "copy-on-write or nothing", NULL},
};
static const struct cli_option list_options[] = {
	{"--columns", "LIST",
		"of "
		"name,state,class,cpus,memory,nics,host,owner,pid,since,description,uuid,detail,disks,"
		"addresses",
		NULL},
	{"--running", NULL, "only those that are neither off nor saved", NULL},
	{"--names", NULL, "names only", NULL},
	{"--timeout", "TIME", "how long other hosts may take to answer, 3s unless told", NULL},
};

static const struct cli_option agent_options[] = {{"--stdio", NULL, "on standard input and output", NULL}};
static const struct cli_option host_list_options[] = {
	{"--names", NULL, "names only; no host is asked", NULL},
	{"--timeout", "TIME", "how long each may take to answer, 3s unless told", NULL},
};
static const struct cli_option host_ping_options[] = {
	{"--timeout", "TIME", "how long each may take to answer, 3s unless told", NULL},
};
static const struct cli_option host_add_options[] = {
	{"--user", "NAME", "the user there", NULL},
	{"--port", "PORT", "sshd's port there", NULL},
	{"--identity", "FILE", "the private key to use", NULL},
	{"--config", "FILE", "a file to be read in place of ssh_config", NULL},
	{"--command", "COMMAND", "what vmf is called there", NULL},
	{"--cpus", "N", "CPUs that VMs may use there", NULL},
	{"--memory", "SIZE", "memory that VMs may use there", NULL},
};
static const struct cli_option plugin_options[] = {
	{"--names", NULL, "list: kinds and names only; nothing is loaded", NULL},
};

const struct cli_verb cli_verbs[] = {
	{"create", "make", ARGS_NONE, "[OPTIONS]", "define the VM and make its disks",
		OPTIONS(create_options), VERB_MAY_MISS, verb_create},
	{"destroy", "rm drop", ARGS_NONE, "[--yes]", "remove the VM and all that vmf made for it",
		OPTIONS(destroy_options), VERB_TRACE, verb_destroy},
	{"rename", "name", ARGS_ONE, "NEW", "give it another name; UUID and MAC addresses stay", NO_OPTIONS,
		0, verb_rename},
	{"move", "push", ARGS_ONE, "HOST", "take it, off or saved, to another host with all its disks",
		NO_OPTIONS, 0, verb_move},
	{"set", NULL, ARGS_SETTINGS, "KEY=VALUE...", "change its definition; KEY= removes a line", NO_OPTIONS,
		VERB_MAY_MISS, verb_set},
	{"ram", NULL, ARGS_ONE, "SIZE", "set its memory", NO_OPTIONS, VERB_MAY_MISS, verb_ram},
	{"smp", NULL, ARGS_ONE, "N", "set its number of CPUs", NO_OPTIONS, VERB_MAY_MISS, verb_smp},
	{"cdrom", NULL, ARGS_ONE, "FILE", "put an image into the CD drive, also while it runs", NO_OPTIONS,
		VERB_MAY_MISS, verb_cdrom},
	{"eject", NULL, ARGS_NONE, "", "take it out", NO_OPTIONS, 0, verb_eject},
	{"edit", NULL, ARGS_NONE, "", "open its definition in $EDITOR, and check it", NO_OPTIONS, VERB_BROKEN,
		verb_edit},
	{"config", NULL, ARGS_NONE, "[--origin] [--diff]", "show its settings, all layers merged",
		OPTIONS(config_options), VERB_MAY_MISS, verb_config},
	{"newimg", "newimage", ARGS_OPTIONAL, "[SIZE]", "make its next disk", NO_OPTIONS,
		VERB_MAY_MISS | VERB_SIZE, verb_newimg},
	{"drives", NULL, ARGS_NONE, "[--names]", "the volumes that it uses", OPTIONS(drives_options), 0,
		verb_drives},
	{"disk add", NULL, ARGS_OPTIONAL, "[SIZE] [--name TITLE]", "make a further disk, also while it runs",
		OPTIONS(disk_add_options), VERB_MAY_MISS | VERB_SIZE, verb_disk_add},
	{"disk rm", NULL, ARGS_ONE, "DISK [--yes]", "remove a disk and all that is on it, also while it runs",
		OPTIONS(destroy_options), 0, verb_disk_rm},
	{"disk resize", NULL, ARGS_TWO, "DISK SIZE",
		"make a disk larger, also while it runs; +SIZE: by so much", NO_OPTIONS, 0, verb_disk_resize},
	{"disk compress", NULL, ARGS_ONE, "DISK", "pack what a disk of a stopped VM takes up", NO_OPTIONS, 0,
		verb_disk_compress},
	{"disk trim", NULL, ARGS_ONE, "DISK", "give back what a disk of a stopped VM does not need",
		NO_OPTIONS, 0, verb_disk_trim},
	{"disk import", NULL, ARGS_TWO, "DISK FILE [--yes]",
		"a disk of a stopped VM becomes a copy of an image", OPTIONS(disk_import_options), 0,
		verb_disk_import},
	{"disk export", NULL, ARGS_TWO, "DISK FILE [--compress]",
		"copy a disk of a stopped VM to an image file", OPTIONS(disk_export_options), 0,
		verb_disk_export},
	{"disk mount", NULL, ARGS_ONE_OPTIONAL, "DISK [FOLDER] [--rw]",
		"show the files on a disk of a stopped VM", OPTIONS(disk_mount_options), VERB_SIZE,
		verb_disk_mount},
	{"disk umount", NULL, ARGS_ONE, "DISK", "unmount it", NO_OPTIONS, VERB_MAY_MISS | VERB_BROKEN,
		verb_disk_umount},
	{"ifadd", NULL, ARGS_COUNTED, "N [BRIDGE]... [--model MODEL]",
		"give it N NICs, each in a bridge or on a network; -: in none", OPTIONS(ifadd_options),
		VERB_SIZE, verb_ifadd},
	{"ifdel", NULL, ARGS_NONE, "", "take all its NICs away, also while it runs", NO_OPTIONS, 0,
		verb_ifdel},
	{"connect", NULL, ARGS_ONE_OPTIONAL, "N [BRIDGE]", "plug a NIC in, also while it runs", NO_OPTIONS,
		VERB_SIZE, verb_connect},
	{"disconnect", NULL, ARGS_ONE, "N", "pull a NIC's cable, also while it runs", NO_OPTIONS, 0,
		verb_disconnect},
	{"ifstat", NULL, ARGS_NONE, "", "its NICs, and the command that makes them", NO_OPTIONS, 0,
		verb_ifstat},
	{"addresses", NULL, ARGS_NONE, "[--dnsmasq] [--dhcpd]", "the IP addresses that its guest is known by",
		OPTIONS(addresses_options), 0, verb_addresses},
	{"forward add", NULL, ARGS_ONE, "PORT:GUEST-PORT [--nic N]",
		"let a port of this host lead to it, also while it runs", OPTIONS(forward_options), 0,
		verb_forward_add},
	{"forward rm", NULL, ARGS_ONE, "PORT:GUEST-PORT [--nic N]", "let it lead there no more",
		OPTIONS(forward_options), 0, verb_forward_rm},
	{"snapshot", NULL, ARGS_OPTIONAL, "[NAME] [--disk DISK] [--delete NAME]",
		"keep the state of all its disks under a name", OPTIONS(snapshot_options), 0, verb_snapshot},
	{"snapshots", NULL, ARGS_NONE, "", "its snapshots", NO_OPTIONS, 0, verb_snapshots},
	{"rollback", NULL, ARGS_ONE, "NAME [--disk DISK] [--later-too]",
		"put all its disks back to a snapshot; what came after is lost", OPTIONS(rollback_options), 0,
		verb_rollback},
	{"clone", NULL, ARGS_NONE, "[--from VM[@SNAPSHOT]] [--copy] [--cow]",
		"make it: another VM's settings and disks, or its next disk", OPTIONS(clone_options),
		VERB_MAY_MISS, verb_clone},
	{"start", "exec", ARGS_QEMU, "[QEMU-ARG...] [--]", "start it; _ stands for the configured arguments",
		OPTIONS(start_options), 0, verb_start},
	{"stop", "quit", ARGS_NONE, "", "end it at once", NO_OPTIONS, VERB_LIVE, verb_stop},
	{"shutdown", "poff", ARGS_NONE, "[--timeout TIME] [--force]", "press the power button and wait",
		OPTIONS(shutdown_options), VERB_LIVE, verb_shutdown},
	{"reset", "reboot", ARGS_NONE, "", "press the reset button", NO_OPTIONS, VERB_LIVE, verb_reset},
	{"pause", "suspend", ARGS_NONE, "", "let the guest stand still", NO_OPTIONS, VERB_LIVE, verb_pause},
	{"resume", "cont", ARGS_NONE, "", "let it go on", NO_OPTIONS, VERB_LIVE, verb_resume},
	{"save", NULL, ARGS_NONE, "", "write its memory to disk and end it; start goes on from there",
		NO_OPTIONS, 0, verb_save},
	{"kill", NULL, ARGS_NONE, "", "end it with SIGKILL", NO_OPTIONS, VERB_LIVE, verb_kill},
	{"status", NULL, ARGS_NONE, "", "its state; the exit code says whether it runs", NO_OPTIONS,
		VERB_LIVE, verb_status},
	{"info", NULL, ARGS_NONE, "[--command]", "all about it", OPTIONS(info_options), VERB_TRACE,
		verb_info},
	{"wait", NULL, ARGS_ONE, "STATE [--timeout TIME]",
		"wait until it is running, paused, off, ...; ip: has an address", OPTIONS(wait_options),
		VERB_LIVE, verb_wait},
	{"log", "qlog", ARGS_NONE, "[--lines N] [--path]", "what QEMU said", OPTIONS(log_options), VERB_LIVE,
		verb_log},
	{"console", "serial serial0", ARGS_NONE, "[--port N] [--history N] [--watch]",
		"its serial port; ^] leaves", OPTIONS(console_options), VERB_LIVE, verb_console},
	{"serial relay", NULL, ARGS_OPTIONAL, "[N] [--port PORT[-PORT]]",
		"its serial port by TCP, for those who come", OPTIONS(relay_options), VERB_LIVE,
		verb_serial_relay},
	{"monitor", "qmon", ARGS_NONE, "", "QEMU's monitor for people; ^] leaves", OPTIONS(monitor_options),
		VERB_LIVE, verb_monitor},
	{"send", NULL, ARGS_ONE, "HMP", "one line to QEMU's monitor", NO_OPTIONS, VERB_LIVE, verb_send},
	{"qmp", NULL, ARGS_ONE, "JSON", "one command to QMP: a name or a JSON object", NO_OPTIONS, VERB_LIVE,
		verb_qmp},
	{"guest-agent", NULL, ARGS_ONE, "JSON", "one command to QEMU's guest agent: a name or a JSON object",
		NO_OPTIONS, VERB_LIVE, verb_guest_agent},
	{"sendkey", NULL, ARGS_ONE, "KEYS", "press keys: ctrl-alt-delete", NO_OPTIONS, VERB_LIVE,
		verb_sendkey},
	{"type", NULL, ARGS_ONE, "TEXT [--enter]", "type text, as on a US keyboard", OPTIONS(type_options),
		VERB_LIVE, verb_type},
	{"screenshot", NULL, ARGS_ONE, "FILE", "its screen as .png or .ppm", NO_OPTIONS, VERB_LIVE,
		verb_screenshot},
	{"vnc", NULL, ARGS_NONE, "[--port PORT[-PORT]] [--many] [--detach]",
		"its screen: in a viewer, or by TCP for those who come", OPTIONS(vnc_options), VERB_LIVE,
		verb_vnc},
	{"web", NULL, ARGS_NONE, "[--port PORT[-PORT]] [--many] [--detach]", "its screen in a browser",
		OPTIONS(web_options), VERB_LIVE, verb_web},
	{"relay", NULL, ARGS_ONE, "GUEST-PORT [--port PORT[-PORT]] [--many]",
		"a TCP port of the guest, for those who come", OPTIONS(relay_options), VERB_LIVE, verb_relay},
	{"lock", NULL, ARGS_NONE, "", "forbid changes", NO_OPTIONS, 0, verb_lock},
	{"unlock", NULL, ARGS_NONE, "", "allow them again", NO_OPTIONS, 0, verb_unlock},
	{NULL, NULL, 0, NULL, NULL, NULL, 0, 0, NULL},
};

const struct cli_verb cli_commands[] = {
	{"list", "ls", ARGS_REST, "[PATTERN] [--columns LIST]", "all VMs", OPTIONS(list_options), 0,
		command_list},
	{"storage list", NULL, ARGS_REST, "[--names]",
		"the storages: what they are, what they hold and can do", OPTIONS(storage_list_options), 0,
		command_storage_list},
	{"storage volumes", NULL, ARGS_REST, "[STORE]", "all volumes, vmf's and others", NO_OPTIONS, 0,
		command_storage_volumes},
	{"storage orphans", NULL, ARGS_REST, "[--remove] [--yes]", "volumes that vmf made and no VM uses",
		OPTIONS(storage_orphans_options), 0, command_storage_orphans},
	{"top", NULL, ARGS_REST, "[--interval TIME] [--count N]",
		"what the VMs that run take, again and again", OPTIONS(top_options), 0, command_top},
	{"relays", NULL, ARGS_REST, "[--end ID] [--all]", "the relays that run: show them, or end them",
		OPTIONS(relays_options), 0, command_relays},
	{"net show", NULL, ARGS_REST, "[SEGMENT] [--names]",
		"the host's segments, what is plugged in, and whose that is", OPTIONS(net_show_options), 0,
		command_net_show},
	{"net add", NULL, ARGS_REST, "NAME...", "make bridges, veth pairs, VLANs, VXLANs, as their names say",
		NO_OPTIONS, 0, command_net_add},
	{"net segment", NULL, ARGS_REST, "BRIDGE [PORT]...", "make a bridge, and plug these into it",
		NO_OPTIONS, 0, command_net_segment},
	{"net delete", NULL, ARGS_REST, "SEGMENT...", "delete bridges and ports that vmf made", NO_OPTIONS, 0,
		command_net_delete},
	{"net wire", NULL, ARGS_REST, "NS BRIDGE NS BRIDGE",
		"a cable between bridges of two network namespaces; -: here", OPTIONS(net_wire_options), 0,
		command_net_wire},
	{"net ignore", NULL, ARGS_REST, "[PATTERN]...", "leave interfaces out of net show and state",
		OPTIONS(net_ignore_options), 0, command_net_ignore},
	{"addresses", NULL, ARGS_REST, "[--dnsmasq] [--dhcpd]", "MAC and IP addresses of all VMs",
		OPTIONS(addresses_options), 0, command_addresses},
	{"state", NULL, ARGS_REST, "", "the commands that make segments and running VMs what they are",
		NO_OPTIONS, 0, command_state},
	{"host list", NULL, ARGS_REST, "[HOST...] [--names] [--timeout TIME]",
		"the hosts: alive or not, what they have and what is used", OPTIONS(host_list_options), 0,
		command_host_list},
	{"host ping", NULL, ARGS_REST, "[HOST...] [--timeout TIME]",
		"which hosts answer, how fast, their load", OPTIONS(host_ping_options), 0, command_host_ping},
	{"host info", NULL, ARGS_REST, "", "what this host has, and what its VMs use", NO_OPTIONS, 0,
		command_host_info},
	{"host add", NULL, ARGS_REST, "NAME ADDRESS [--user NAME]", "a host that is led to by ssh",
		OPTIONS(host_add_options), 0, command_host_add},
	{"host rm", NULL, ARGS_REST, "HOST", "a host that no VM lives on is forgotten", NO_OPTIONS, 0,
		command_host_rm},
	{"backup", NULL, ARGS_REST, "FILE", "all definitions and settings, not the disks, in one archive",
		NO_OPTIONS, 0, command_backup},
	{"restore", NULL, ARGS_REST, "FILE", "what backup has written comes back, where there are no VMs",
		NO_OPTIONS, 0, command_restore},
	{"doctor", NULL, ARGS_REST, "[--install] [--yes]", "what of this host does not do, and what mends it",
		OPTIONS(doctor_options), 0, command_doctor},
	{"plugin", NULL, ARGS_REST, "list|show KIND NAME|path", "plugins: state, options, folders",
		OPTIONS(plugin_options), 0, command_plugin},
	{"agent", NULL, ARGS_REST, "--stdio", "the far end of another vmf's connection",
		OPTIONS(agent_options), 0, command_agent},
	{"help", NULL, ARGS_REST, "[WORD]", "this, or all about a word", NO_OPTIONS, 0, command_help},
	{"version", NULL, ARGS_REST, "", "versions of vmf and its parts", NO_OPTIONS, 0, command_version},
	{"completion", NULL, ARGS_REST, "bash|zsh|fish", "the shell's completion script", NO_OPTIONS, 0,
		command_completion},
	{NULL, NULL, 0, NULL, NULL, NULL, 0, 0, NULL},
};
