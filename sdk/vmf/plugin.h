/* SPDX-License-Identifier: ISC */
/*
 * vmf/plugin.h - the contract between vmf and its plugins.
 *
 * Reading this file is enough to write a plugin. A plugin is a shared object that exports one symbol,
 * the const struct vmf_plugin made by VMF_PLUGIN(name). It calls nothing of vmf but the functions in
 * the host table that it gets with every call, so the same object runs under vmf, under
 * vmf-plugin-check and linked in statically.
 *
 * Rules that hold for every call:
 *  - A call returns 0 and leaves ERR untouched, or returns -1 and has set ERR through host->fail().
 *  - A plugin never prints, never exits, and never changes the working directory, umask, environment
 *    or signal dispositions.
 *  - Strings that a plugin receives live until the call returns. Strings that it gives back are made
 *    with host->strdup() or host->printf() and belong to the host from then on, which frees them all
 *    when the operation ends.
 *  - Undoing what is already gone succeeds. Tear-down may happen in another process, after the
 *    configuration was edited: rely only on the options in the call and on host->state_get().
 *  - With call->dry_run set nothing may be changed; answers say what would be.
 *
 * Growth: every struct that crosses the line starts with its size; the receiver takes the smaller of
 * the two sizes and treats the rest as zero; fields are appended only. Arrays of structs carry a stride.
 * The major number must match; a plugin of a newer minor than the host's is refused.
 */
#ifndef VMF_PLUGIN_H
#define VMF_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* With clang and _FORTIFY_SOURCE glibc makes printf a macro, which would get hold of host->printf(). Plugins print nothing. */
#undef printf

#ifdef __cplusplus
extern "C" {
#endif

#define VMF_ABI_MAJOR 1
#define VMF_ABI_MINOR 0

#if defined(__GNUC__)
#define VMF_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define VMF_EXPORT __attribute__((visibility("default")))
#else
#define VMF_PRINTF(fmt, args)
#define VMF_EXPORT
#endif

/* ---- what a plugin is --------------------------------------------------------------------- */

enum vmf_kind {
	VMF_STORAGE = 1,
	VMF_NETWORK = 2,
	VMF_DISPLAY = 3,
	VMF_PLACEMENT = 4,
};

enum vmf_option_type {
	VMF_OPT_STRING = 1,
	VMF_OPT_BOOL,   /* true, false, yes, no, on, off */
	VMF_OPT_INT,    /* decimal; min and max hold if they differ */
	VMF_OPT_SIZE,   /* bytes; K, M, G, T are powers of 1024 */
	VMF_OPT_PATH,   /* absolute, or relative to the file that it stands in */
	VMF_OPT_ENUM,   /* one of `choices`, which are parted by '|' */
	VMF_OPT_LIST,   /* {"a", "b"}: a list of strings */
	VMF_OPT_MAC,    /* aa:bb:cc:dd:ee:ff */
	VMF_OPT_PORT,   /* 1 to 65535 */
	VMF_OPT_SECRET, /* the path of a file that holds it; never shown */
	VMF_OPT_TIME,   /* milliseconds; ms, s, m, h */
};

/* One option, as data: gives validation with file and line, help, man page and completion. */
struct vmf_option {
	const char *name;
	uint32_t type;             /* enum vmf_option_type */
	uint32_t flags;            /* VMF_OPT_F_* */
	const char *default_value; /* as written in a file; NULL: none */
	int64_t min, max;          /* for INT, SIZE and TIME; both 0: no limit */
	const char *choices;       /* for ENUM: "qcow2|raw" */
	const char *help;          /* one line, lower case, no full stop */
	const char *since;         /* the version that brought it */
};

#define VMF_OPT_F_REQUIRED 0x1u

/* Something that the plugin cannot work without: for `vmf plugin show` and clear errors. */
enum vmf_need_type { VMF_NEED_PROGRAM = 1, VMF_NEED_FILE, VMF_NEED_ROOT };

struct vmf_need {
	uint32_t type;       /* enum vmf_need_type */
	uint32_t optional;   /* non-zero: only some verbs need it */
	const char *what;    /* program or path */
	const char *package; /* Debian's package that has it, or NULL */
	const char *why;     /* what is lost without it */
};

struct vmf_plugin {
	uint32_t size; /* sizeof(struct vmf_plugin) */
	uint16_t abi_major, abi_minor;
	uint32_t kind; /* enum vmf_kind */
	uint32_t flags;
	const char *name;    /* the keyword in the configuration: "lvm", "tap-bridge" */
	const char *version; /* the plugin's own */
	const char *summary;
	const struct vmf_option *options;
	size_t n_options, option_stride;
	const struct vmf_need *needs;
	size_t n_needs, need_stride;
	const void *ops; /* struct vmf_storage_ops, _network_ops, _display_ops or _placement_ops */
};

#define VMF_PLUGIN_F_MUST_UNDERSTAND 0xffff0000u /* the host refuses flags in here that it does not know */

/*
 * The exported symbol. MODULE is the file's name without .so, every character that is not a letter or a
 * digit made '_': libltdl finds it in shared and in preloaded modules alike.
 *
 *     VMF_PLUGIN(storage_example) = { .size = sizeof(struct vmf_plugin), ... };
 */
#define VMF_PLUGIN(module) \
	extern VMF_EXPORT const struct vmf_plugin module##_LTX_vmf_plugin; \
	const struct vmf_plugin module##_LTX_vmf_plugin

#define VMF_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what the host gives ------------------------------------------------------------------ */

struct vmf_error; /* opaque; filled through host->fail() */
struct vmf_opts;  /* opaque; one set of resolved options */

/* Error codes. They become vmf's exit codes, so choose with care. */
enum vmf_code {
	VMF_E_FAILED = 1,      /* the operation was tried and failed */
	VMF_E_USAGE = 2,       /* the command line is wrong */
	VMF_E_CONFIG = 3,      /* the configuration or a definition is wrong */
	VMF_E_NOT_FOUND = 4,   /* no such VM, volume, network ... */
	VMF_E_EXISTS = 5,      /* it is there already, or the name is taken */
	VMF_E_STATE = 6,       /* not possible in the state that the VM is in */
	VMF_E_BUSY = 7,        /* someone else is at work on it */
	VMF_E_PERMISSION = 8,  /* not allowed */
	VMF_E_MISSING = 9,     /* a program, plugin or kernel feature is missing */
	VMF_E_TIMEOUT = 10,    /* no answer within the deadline */
	VMF_E_NO_SPACE = 11,   /* storage or memory is full */
	VMF_E_UNSUPPORTED = 12 /* this plugin cannot do that; the hint names another way */
};

enum vmf_log_level { VMF_LOG_WARN = 1, VMF_LOG_INFO, VMF_LOG_DEBUG };

/* A VM, as far as a plugin needs to know it. */
struct vmf_vm_id {
	uint32_t size;
	const char *name;
	const char *uuid;    /* 36 characters */
	const char *class_;  /* or NULL */
	const char *run_dir; /* the VM's run folder, or NULL where there is none */
	uint32_t qemu_uid, qemu_gid; /* QEMU will run as these */
	const char *group;   /* the group that may use the VM's sockets, or NULL */
};

/* One call's surroundings. */
struct vmf_call {
	uint32_t size;
	const struct vmf_host *host;
	const struct vmf_opts *opts; /* this storage's, network's, display's or host's options, resolved */
	const struct vmf_vm_id *vm;  /* or NULL */
	const char *instance;        /* the section's title: "fast" in storage "fast" { ... } */
	const char *slot;            /* the disk's, nic's or display's name in the VM, or NULL */
	uint32_t slot_index;
	uint32_t dry_run;
	int64_t deadline_ms;         /* CLOCK_MONOTONIC, 0: none */
	const void *host_data;       /* the host's own */
	const char *run_dir;         /* placement: a folder for sockets, which a reboot empties; or NULL */
};

/* A program to be run: no shell, never inherits anything but the given fds and stderr's capture. */
struct vmf_run {
	uint32_t size;
	const char *const *argv; /* NULL-terminated; argv[0] is looked up in the system's PATH */
	int stdin_fd;            /* 0: /dev/null */
	int stdout_fd;           /* 0: captured into out */
	int64_t timeout_ms;      /* 0: the call's deadline, at most ten minutes */
	char *out;               /* set by the host: captured output, NUL-terminated, host's memory */
	char *err;               /* set by the host: the last 4 KiB of stderr */
	int status;              /* set by the host: exit code, or 128 + signal */
	uint32_t flags;          /* VMF_RUN_* */
	/* if not NULL, the position of stdin_fd, else of stdout_fd, if that is a file, is shown as progress by these words */
	const char *progress;
	uint64_t progress_total; /* bytes, 0: unknown */
};

/* If the host is killed, so is the program: for one that leaves nothing half done, and that must not go on behind the
 * back of whoever repairs or repeats the operation. */
#define VMF_RUN_DIES_WITH_HOST 0x1u

struct vmf_host {
	uint32_t size;
	uint16_t abi_major, abi_minor;

	/* errors: returns -1 always, so that `return h->fail(...)` reads well. errnum 0: none. hint may be NULL. */
	int (*fail)(struct vmf_error *err, int code, int errnum, const char *hint, const char *fmt, ...)
		VMF_PRINTF(5, 6);
	/* adds "text: " in front of the message; returns -1. Does nothing if err is not set. */
	int (*context)(struct vmf_error *err, const char *fmt, ...) VMF_PRINTF(2, 3);
	/* One line for the person: warn is shown, info with -v, debug with -vv. */
	void (*log)(const struct vmf_call *call, int level, const char *fmt, ...) VMF_PRINTF(3, 4);

	/* options: the resolved value, never failing for names that are in the plugin's own table */
	const char *(*opt_string)(const struct vmf_call *call, const char *name); /* NULL: not set */
	int64_t (*opt_int)(const struct vmf_call *call, const char *name);        /* INT, SIZE, PORT, TIME; 0 */
	int (*opt_bool)(const struct vmf_call *call, const char *name);
	size_t (*opt_count)(const struct vmf_call *call, const char *name);       /* LIST */
	const char *(*opt_item)(const struct vmf_call *call, const char *name, size_t index);
	int (*opt_is_set)(const struct vmf_call *call, const char *name); /* set by a person, not the default */
	/* "file:line" where the option was set, or the plugin's name: for messages */
	const char *(*opt_origin)(const struct vmf_call *call, const char *name);

	/* key/value state, kept per VM and slot in the run folder until the VM is torn down */
	const char *(*state_get)(const struct vmf_call *call, const char *key); /* NULL: none */
	int (*state_set)(const struct vmf_call *call, const char *key, const char *value, struct vmf_error *err);

	/* memory that lives until the operation ends; never NULL */
	char *(*strdup)(const struct vmf_call *call, const char *text);
	char *(*printf)(const struct vmf_call *call, const char *fmt, ...) VMF_PRINTF(2, 3);
	void *(*alloc)(const struct vmf_call *call, size_t size); /* zeroed */

	/* Runs a program and waits. 0 if it ran (whatever its status), -1 if it could not or took too long. */
	int (*run)(const struct vmf_call *call, struct vmf_run *run, struct vmf_error *err);
	/* The same, but an exit code other than 0 is an error that quotes the program's own words. */
	int (*run_checked)(const struct vmf_call *call, struct vmf_run *run, struct vmf_error *err);

	/* Long work says how far it is, in bytes or any unit; -1: the person wants it to stop. total 0: unknown. */
	int (*progress)(const struct vmf_call *call, const char *what, uint64_t done, uint64_t total);

	/* A QMP command to the running VM of this call; arguments and answer are JSON text.
	 * fd >= 0 is passed along first (getfd, named fd_name). */
	int (*qmp)(const struct vmf_call *call, const char *command, const char *arguments_json, int fd,
		   const char *fd_name, char **answer_json, struct vmf_error *err);
};

/* A structured value for QEMU: core turns these into JSON. Keys may be paths: "hostfwd.0.str". */
enum vmf_prop_type { VMF_PROP_STRING = 1, VMF_PROP_INT, VMF_PROP_BOOL };

struct vmf_prop {
	const char *key;
	uint32_t type; /* enum vmf_prop_type */
	const char *string;
	int64_t number; /* INT, BOOL */
};

struct vmf_props {
	struct vmf_prop *items; /* from host->alloc() */
	size_t count, stride;   /* stride: sizeof(struct vmf_prop) */
};

/* ---- storage ------------------------------------------------------------------------------ */

#define VMF_STORAGE_COW_CLONE 0x01u      /* clone(copy = 0) is copy-on-write */
#define VMF_STORAGE_SNAPSHOT 0x02u       /* snapshots of a stopped VM's volume */
#define VMF_STORAGE_LIVE_SNAPSHOT 0x04u  /* snapshots of a running VM's volume */
#define VMF_STORAGE_SHARED 0x08u         /* several hosts see the same volumes */
#define VMF_STORAGE_LIVE_GROW 0x10u
#define VMF_STORAGE_RENAME 0x20u
#define VMF_STORAGE_STREAM 0x40u         /* send and receive */
#define VMF_STORAGE_MAP 0x80u            /* map and unmap */
#define VMF_STORAGE_COMPRESS 0x100u
#define VMF_STORAGE_OWN_STREAM 0x200u    /* send_own, own_size and receive_own */

struct vmf_pool {
	uint32_t size;
	uint32_t caps;                   /* VMF_STORAGE_* */
	uint64_t size_bytes, free_bytes; /* 0: unknown */
	int32_t data_percent, meta_percent; /* thin pools' fill; -1: does not apply */
	const char *description;         /* "volume group vg0", "/srv/vmf" */
};

struct vmf_volume {
	uint32_t size;
	const char *name;       /* "lab-web0-0": unique within the store */
	const char *id;         /* what people call it: path of file or device */
	const char *format;     /* "qcow2", "raw" */
	uint64_t virtual_bytes; /* as the guest sees it */
	uint64_t used_bytes;    /* in the store; 0: unknown */
	uint32_t is_ours;       /* carries vmf's mark */
	const char *owner_uuid; /* the VM's that it is marked for, or NULL */
	const char *origin;     /* the volume (or volume@snapshot) that it stands on, or NULL */
	uint32_t in_use;        /* opened by somebody */
	const char *trouble;    /* why a guest cannot write to it: "thin pool vg0/pool is full", or NULL */
	const char *remedy;     /* the command that mends it: "lvextend -L +1G vg0/pool", or NULL */
};

struct vmf_volume_list {
	struct vmf_volume *items; /* from host->alloc() */
	size_t count, stride;
};

struct vmf_snapshot {
	uint32_t size;
	const char *name;
	int64_t created; /* seconds since the epoch, 0: unknown */
	uint64_t used_bytes;
	uint32_t is_ours;
};

struct vmf_snapshot_list {
	struct vmf_snapshot *items;
	size_t count, stride;
};

/* One layer of a block device: layer 0 is the one the guest writes to, each next one backs it. */
struct vmf_block_layer {
	const char *driver; /* "qcow2" or "raw": the format */
	const char *path;
	int fd;             /* opened by the plugin, handed over; -1: core opens path */
	uint32_t is_device; /* block device rather than a file */
};

struct vmf_block {
	uint32_t size;
	struct vmf_block_layer *layers; /* from host->alloc() */
	size_t n_layers, layer_stride;
	uint32_t readonly;
	uint32_t discard;       /* pass the guest's trims on */
	uint32_t detect_zeroes; /* turn written zeroes into holes */
	const char *cache;      /* "none", "writeback", "unsafe" or NULL: writeback */
	const char *aio;        /* "threads", "native", "io_uring" or NULL */
};

#define VMF_SNAPSHOT_LATER_TOO 0x1u /* rollback may drop the later snapshots */

struct vmf_storage_ops {
	uint32_t size;
	/* Is the pool there and usable? Fills what it knows. */
	int (*check)(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err);
	/* Volumes whose name starts with prefix (NULL: all), in one look; foreign ones too, is_ours 0. */
	int (*list)(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err);
	/* A new volume, marked with the call's VM. size_bytes > 0. Fails with VMF_E_EXISTS if the name is taken. */
	int (*create)(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
	/* Only ours: a volume without the mark is refused with VMF_E_PERMISSION. Already gone: 0. */
	int (*remove)(const struct vmf_call *c, const char *name, struct vmf_error *err);
	int (*rename)(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err);
	/* Larger only. The call's VM may be running if caps has LIVE_GROW. */
	int (*grow)(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err);
	/* What QEMU needs to use the volume; detach undoes what attach did on the host. */
	int (*attach)(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err);
	int (*detach)(const struct vmf_call *c, const char *name, struct vmf_error *err);
	int (*snapshot)(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err);
	int (*snapshots)(const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list,
			 struct vmf_error *err);
	int (*rollback)(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags,
			struct vmf_error *err);
	int (*snapshot_remove)(const struct vmf_call *c, const char *name, const char *snapshot,
			       struct vmf_error *err);
	/* new_name from origin (or origin's snapshot, may be NULL); copy: all data, else copy-on-write. */
	int (*clone)(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name,
		     uint32_t copy, struct vmf_error *err);
	/* The volume as a stream of raw bytes, sparse where the store can; fd belongs to the caller. */
	int (*send)(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
	int (*receive)(const struct vmf_call *c, const char *name, uint64_t size_bytes, int fd, struct vmf_error *err);
	/* A raw block device or file on the host with the volume's content; unmap gives it back. */
	int (*map)(const struct vmf_call *c, const char *name, uint32_t writable, char **path, struct vmf_error *err);
	int (*unmap)(const struct vmf_call *c, const char *name, struct vmf_error *err);
	/* Packs a volume that nobody uses: the same content in less room, all or nothing. */
	int (*compress)(const struct vmf_call *c, const char *name, struct vmf_error *err);
	/* The volume with its snapshots in the store's own words (as of `zfs send`), for a store of the same kind. */
	int (*send_own)(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
	/* The size of the volume in such a stream, which is a file whose position stays; VMF_E_UNSUPPORTED: it is none. */
	int (*own_size)(const struct vmf_call *c, int fd, uint64_t *size_bytes, struct vmf_error *err);
	int (*receive_own)(const struct vmf_call *c, const char *name, int fd, struct vmf_error *err);
};

/* ---- network ------------------------------------------------------------------------------ */

#define VMF_NETWORK_SEGMENTS 0x1u /* the segment_ calls work */
#define VMF_NETWORK_RECONNECT 0x2u
#define VMF_NETWORK_FORWARD 0x4u  /* forwards host ports to the guest */

struct vmf_nic {
	uint32_t size;
	const char *mac;
	const char *model;
	const char *segment; /* the nic's `bridge`, or NULL: the network's own; "": none */
};

struct vmf_netdev {
	uint32_t size;
	const char *type;        /* QEMU's: "user", "tap", "stream", ... */
	struct vmf_props props;  /* besides type and id */
	int fds[16];             /* handed to QEMU; their numbers are put into fd_prop */
	size_t n_fds;
	const char *fd_prop;     /* "fd" or "fds" */
	int vhost_fds[16];
	size_t n_vhost_fds;
	uint32_t queues;         /* 0 or 1: one */
	uint32_t mtu;            /* told to the guest where the model can; 0: not */
	const char *note;        /* a line for the person: "port 2222 of this host leads to port 22", or NULL */
	/* From here on only if SIZE says that they are there. */
	int keep_fds[4];         /* QEMU gets them and keeps them open until it ends, and does nothing with them */
	size_t n_keep_fds;
};

struct vmf_nic_info {
	uint32_t size;
	uint32_t link_up;
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* as the guest sees them */
	const char *segment;
	const char *ifname;
	const char **addresses; /* NULL-terminated, or NULL */
	const char **forwards;  /* "tcp:127.0.0.1:2222-:22", NULL-terminated, or NULL */
};

/* What is plugged into a segment. */
struct vmf_port {
	uint32_t size;
	const char *name;
	const char *type;       /* "tap", "veth", "vlan", "vxlan", ... or NULL */
	const char *vm, *slot;  /* of a NIC: whose, and which; else NULL */
	const char *word;       /* by which segment_create() makes it again, or NULL: it is not the plugin's to make */
	const struct vmf_wire *wire; /* it is one end of that, or NULL */
	uint32_t is_ours, link_up;
	uint64_t in_bytes, out_bytes, in_packets, out_packets; /* into the segment by this port, and out of it */
};

struct vmf_segment {
	uint32_t size;
	const char *name; /* NULL: what is the plugin's, but plugged into nothing */
	const char *type; /* "bridge", "vlan", "vxlan", ... */
	uint32_t is_ours;
	const char **ports; /* NULL-terminated */
	uint32_t mtu;
	const char *word;   /* by which segment_create() makes it again; NULL: it was not made by command */
	const struct vmf_port *port_items; /* the same as ports, in full */
	size_t n_port_items, port_stride;
};

/* A cable between segments of two network namespaces; NULL: the one that vmf runs in. */
struct vmf_wire {
	uint32_t size;
	const char *namespaces[2]; /* names, as in /run/netns */
	const char *segments[2];
	uint32_t create;           /* make namespaces and segments that are missing */
	uint32_t remove;           /* take the cable away; gone already: 0 */
};

struct vmf_segment_list {
	struct vmf_segment *items;
	size_t count, stride;
};

/* A port of this host that is to lead, or to lead no more, to the guest. */
struct vmf_forward {
	uint32_t size;
	uint32_t remove;
	uint32_t apply;   /* 0: only check it and fill in item and rule; 1: TEXT is a rule, do it in the running VM, whose
			   * netdev has the id SLOT.net; one that is done already: 0 */
	const char *text; /* as a person writes it */
	const char *item; /* set: what stands for it in the plugin's option hostfwd, which is a list */
	const char *rule; /* set: "tcp:127.0.0.1:2222-:22"; NULL: there is none in the running VM */
};

/* What on the host keeps something from working that no call would fail by. */
struct vmf_trouble {
	uint32_t size;
	const char *what;   /* a sentence */
	const char *remedy; /* the command that mends it, or NULL */
};

struct vmf_trouble_list {
	struct vmf_trouble *items; /* from host->alloc() */
	size_t count, stride;
};

struct vmf_network_ops {
	uint32_t size;
	uint32_t (*caps)(const struct vmf_call *c); /* VMF_NETWORK_* */
	/* Would up() work? Everything that can be checked without changing anything. */
	int (*check)(const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_error *err);
	int (*up)(const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_netdev *netdev,
		  struct vmf_error *err);
	int (*down)(const struct vmf_call *c, struct vmf_error *err);
	/* The running VM's NIC goes to another segment; NULL: none. */
	int (*reconnect)(const struct vmf_call *c, const char *segment, struct vmf_error *err);
	int (*info)(const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_nic_info *info,
		    struct vmf_error *err);
	/* Makes the segment unless it is there, and plugs these ports into it (a NULL-terminated list), which are made if
	 * need be; all or nothing. NAME NULL: only makes the ports. Behind a name may stand ",key=value". */
	int (*segment_create)(const struct vmf_call *c, const char *name, const char *const *ports,
			      struct vmf_error *err);
	/* Of a segment or a port; only what the plugin made: else VMF_E_PERMISSION. Gone already: 0. */
	int (*segment_remove)(const struct vmf_call *c, const char *name, struct vmf_error *err);
	int (*segment_list)(const struct vmf_call *c, struct vmf_segment_list *list, struct vmf_error *err);
	int (*wire)(const struct vmf_call *c, const struct vmf_wire *wire, struct vmf_error *err);
	/* Of plugins with VMF_NETWORK_FORWARD. */
	int (*forward)(const struct vmf_call *c, struct vmf_forward *forward, struct vmf_error *err);
	/* For `doctor`: looks at the host and changes nothing. */
	int (*examine)(const struct vmf_call *c, struct vmf_trouble_list *list, struct vmf_error *err);
	/* QEMU is about to end: what would go with it, NIC by NIC, may be taken away together. CALLS: of all NICs of the VM
	 * that this plugin has brought up, at least two. What cannot be done is left; down() comes as always. */
	void (*leave)(const struct vmf_call *const *calls, size_t count);
};

/* ---- display ------------------------------------------------------------------------------ */

struct vmf_display {
	uint32_t size;
	const char *vnc;        /* QEMU's -vnc address without options: "unix:/path", "none"; NULL: no VNC */
	struct vmf_props props; /* options of -vnc: "password", "share", ... */
	const char *note;
	/* From here on only if SIZE says that they are there. */
	const char *tls_dir;    /* the folder of the server's x509 credentials, as QEMU names them; NULL: no TLS */
	uint32_t tls_verify;    /* clients must have a certificate of the same authority */
};

struct vmf_display_info {
	uint32_t size;
	const char *type;    /* "vnc" */
	const char *path;    /* unix socket, or NULL */
	const char *address; /* host, or NULL */
	uint32_t port;
	const char *how;     /* a command that a person can type to see it */
	/* From here on only if SIZE says that they are there: how a relay from TCP to it is, unless the person says. */
	uint32_t relay;              /* VMF_RELAY_* */
	const char *relay_address;   /* where it listens; NULL: 127.0.0.1 */
	uint32_t relay_ports[2];     /* the first free one of these, from the first to the last; 0: 5900 to 5999 */
	int64_t relay_timeout_ms;    /* ends if nobody comes for so long; 0: as the verb does */
	const char **relay_allow;    /* who may come: "192.0.2.0/24", NULL-terminated; NULL: all */
};

#define VMF_RELAY_OFFERED 0x1u  /* to be seen through a relay: `vmf VM vnc` starts one */
#define VMF_RELAY_MANY 0x2u     /* for as many clients as come, not for one */
#define VMF_RELAY_PASSWORD 0x4u /* QEMU wants a password, which the relay makes */
#define VMF_RELAY_ANY_USER 0x8u /* also other users of this machine may come */

/* How a relay that is not of VNC's own protocol serves those who come, as a browser; all calls are the host's. */
struct vmf_serve {
	uint32_t size;
	int listener;        /* listening and non-blocking: the plugin's, which closes it at its end */
	int until_fd;        /* end once it is readable */
	uint32_t is_many;    /* serve all who come; else one, and end with that one */
	int64_t wait_ms;     /* end if nobody sees the screen for so long; 0: never */
	const char *token;   /* who does not know it is sent away */
	void *data;          /* for the calls */
	/* 0: end, as somebody wants it; to be asked at least every second. */
	int (*goes_on)(void *data);
	/* May that peer (a struct sockaddr) come? 0: no. */
	int (*admits)(void *data, const void *peer, uint32_t length);
	/* A connected, non-blocking stream to the screen for that peer, who has shown the token: becomes the plugin's.
	 * -1: there is none, and the host has said why. */
	int (*open)(void *data, const void *peer, uint32_t length);
	uint32_t end;        /* set by the plugin: VMF_END_* */
};

#define VMF_END_SERVED 0u /* one came, and is gone */
#define VMF_END_NOBODY 1u /* wait_ms are over */
#define VMF_END_UNTIL 2u  /* until_fd */
#define VMF_END_WANTED 3u /* goes_on said so */

struct vmf_display_ops {
	uint32_t size;
	int (*check)(const struct vmf_call *c, struct vmf_error *err);
	/* What QEMU is to show its screen on. */
	int (*prepare)(const struct vmf_call *c, struct vmf_display *display, struct vmf_error *err);
	int (*cleanup)(const struct vmf_call *c, struct vmf_error *err);
	/* Where the running VM's display can be reached. */
	int (*info)(const struct vmf_call *c, struct vmf_display_info *info, struct vmf_error *err);
	/* A connected stream to the running VM's display, for a viewer or a relay. */
	int (*open)(const struct vmf_call *c, int *fd, struct vmf_error *err);
	/* From here on only in plugins that serve screens themselves, of whatever VM. What a person opens to see the screen
	 * that is served there; *url from host->alloc(). Fails if serve() would: VMF_E_MISSING, ... */
	int (*url)(const struct vmf_call *c, const char *address, uint32_t port, const char *token, const char **url,
		struct vmf_error *err);
	/* Serves until an end. */
	int (*serve)(const struct vmf_call *c, struct vmf_serve *serve, struct vmf_error *err);
};

/* ---- placement ---------------------------------------------------------------------------- */

#define VMF_PLACEMENT_HERE 0x1u /* requests run in this very process: nothing needs to be carried */

struct vmf_host_info {
	uint32_t size;
	const char *name;
	uint32_t is_alive;
	uint32_t cpus, cpus_used;
	uint64_t memory_bytes, memory_used_bytes;
	double load;             /* of the last minute */
	int32_t temperature_millicelsius; /* INT32_MIN: unknown */
	const char *version;     /* vmf's there */
};

struct vmf_placement_ops {
	uint32_t size;
	uint32_t (*caps)(const struct vmf_call *c); /* VMF_PLACEMENT_* */
	/* The host of this call's instance: alive, load, capacity. */
	int (*probe)(const struct vmf_call *c, struct vmf_host_info *info, struct vmf_error *err);
	/* A two-way byte stream to `vmf agent --stdio` on the host; NULL where caps has HERE. */
	int (*connect)(const struct vmf_call *c, int *fd, struct vmf_error *err);
	/* Ends what connect() began. */
	int (*disconnect)(const struct vmf_call *c, int fd, struct vmf_error *err);
	/* A stream to a unix socket on the host. */
	int (*forward)(const struct vmf_call *c, const char *remote_path, int *fd, struct vmf_error *err);
};

#ifdef __cplusplus
}
#endif
#endif
