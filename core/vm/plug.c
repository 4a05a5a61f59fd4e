/* SPDX-License-Identifier: ISC */
/*
 * Disks of a running VM come and go. QEMU gets open files (add-fd), then a block node on them, then the
 * device; the way back begins with the guest, who may take its time to let go of the device, or not do it at
 * all. Each part may be done already: by a vmf that was killed.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "vm/plug.h"
#include "vm/start.h"
#include "vm/steps.h"

#define QMP_MS 10000
#define UNPLUG_MS 30000 /* for the guest to let go of a disk */
#define NODE_MS 3000	/* for QEMU to let go of it then */

int plug_tell(struct vm *vm, const char *command, json_t *arguments, json_t **answer, struct vmf_error *err)
{
	return qmp_command(vm->qmp, command, arguments, answer, time_now_ms() + QMP_MS, err);
}

static const char *word(json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

/* ---- what QEMU has ------------------------------------------------------------------------ */

int plug_has_device(struct vm *vm, const char *id, bool *has, struct vmf_error *err)
{
	json_t *list = NULL, *entry;
	size_t i;

	*has = false;
	if (plug_tell(vm, "qom-list", json_pack("{s:s}", "path", "/machine/peripheral"), &list, err) < 0)
		return -1;
	json_array_foreach(list, i, entry)
	{
		*has |= str_equal(word(entry, "name"), id);
	}
	json_decref(list);
	return 0;
}

/* SLOT-file, or SLOT-bN-file for a layer below: see args_block.c. */
static bool is_file_of(const char *node, const char *slot)
{
	size_t n = strlen(slot);

	if (!node || strncmp(node, slot, n) != 0)
		return false;
	node += n;
	if (node[0] == '-' && node[1] == 'b' && isdigit((unsigned char)node[2]))
		for (node += 2; isdigit((unsigned char)*node);)
			node++;
	return str_equal(node, "-file");
}

/* The fdsets that a disk's nodes stand on, as an array of numbers. */
static int fdsets_of(struct vm *vm, const char *slot, json_t **sets, struct vmf_error *err)
{
	json_t *nodes = NULL, *node;
	long long set;
	size_t i;

	if (plug_tell(vm, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &nodes, err) < 0)
		return -1;
	*sets = json_array();
	json_array_foreach(nodes, i, node)
	{
		const char *file = word(node, "file");

		if (is_file_of(word(node, "node-name"), slot) && file &&
			sscanf(file, "/dev/fdset/%lld", &set) == 1)
			json_array_append_new(*sets, json_integer(set));
	}
	json_decref(nodes);
	return 0;
}

static int next_fdset(struct vm *vm, unsigned *next, struct vmf_error *err)
{
	json_t *sets = NULL, *set;
	size_t i;

	*next = 1;
	if (plug_tell(vm, "query-fdsets", NULL, &sets, err) < 0)
		return -1;
	json_array_foreach(sets, i, set)
	{
		unsigned id = (unsigned)json_integer_value(json_object_get(set, "fdset-id"));

		if (id >= *next)
			*next = id + 1;
	}
	json_decref(sets);
	return 0;
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void remove_fdsets(struct vm *vm, json_t *sets)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	json_t *set;
	size_t i;

	json_array_foreach(sets, i, set)
	{
		if (plug_tell(vm, "remove-fd", json_pack("{s:O}", "fdset-id", set), NULL, &quiet) < 0)
			log_debug("vm \"%s\": %s", vm->name, quiet.message);
		error_clear(&quiet);
	}
}

/* The node SLOT and all that it stands on. None: 0. */
static int remove_node(struct vm *vm, const char *slot, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + NODE_MS;
	struct vmf_error mine = VMF_ERROR_INIT;
	json_t *sets = NULL;
	int rc;

	if (fdsets_of(vm, slot, &sets, err) < 0)
		return -1;
	do { /* the device's end may be on its way yet */
		error_clear(&mine);
		rc = plug_tell(vm, "blockdev-del", json_pack("{s:s}", "node-name", slot), NULL, &mine);
		if (rc < 0 && mine.message && strstr(mine.message, "Failed to find node"))
			rc = 0;
		if (rc < 0)
			time_sleep_ms(50);
	} while (rc < 0 && mine.code == VMF_E_FAILED && time_now_ms() < deadline);
	if (rc == 0)
		remove_fdsets(vm, sets);
	else
		error_move(err, &mine);
	error_clear(&mine);
	json_decref(sets);
	return rc;
}

/* Hands QEMU the files of ARGS as the fdsets that "-add-fd" there says. */
static int add_fds(struct vm *vm, const struct qemu_args *args, json_t *sets, struct vmf_error *err)
{
	for (size_t i = 0; i + 1 < args->argv.count; i++) {
		unsigned set;
		int fd;

		if (!str_equal(args->argv.items[i], "-add-fd") ||
			sscanf(args->argv.items[i + 1], "fd=%d,set=%u", &fd, &set) != 2)
			continue;
		json_array_append_new(sets, json_integer(set));
		if (qmp_command_fd(vm->qmp, "add-fd", json_pack("{s:I}", "fdset-id", (json_int_t)set), fd,
			    NULL, time_now_ms() + QMP_MS, err) < 0)
			return -1;
	}
	return 0;
}

static int add_node(struct vm *vm, const char *slot, const struct vmf_block *block, struct vmf_error *err)
{
	json_t *sets = json_array();
	struct qemu_args args;
	int rc = -1;

	qemu_args_init(&args, "");
	if (next_fdset(vm, &args.next_set, err) == 0 &&
		qemu_args_block(&args, slot, block, false, err) == 0 && add_fds(vm, &args, sets, err) == 0)
		rc = plug_tell(vm, "blockdev-add", json_loads(args.argv.items[args.argv.count - 1], 0, NULL),
			NULL, err);
	if (rc < 0)
		remove_fdsets(vm, sets);
	qemu_args_free(&args);
	json_decref(sets);
	return rc;
}

/* ---- in ----------------------------------------------------------------------------------- */

/* What QEMU's refusal means for the person. */
static int explain(struct vmf_error *err)
{
	if (!err->message)
		return -1;
	if (strstr(err->message, "does not support hotplugging")) {
		err->code = VMF_E_UNSUPPORTED;
		str_set(&err->hint, "use machine = \"pc\", or `stop` it first");
	} else if (strstr(err->message, "no slot/function available")) {
		err->code = VMF_E_UNSUPPORTED;
		str_set(&err->hint, "--bus scsi puts many disks into one slot; `disk rm` frees one");
	}
	return -1;
}

static int add_device(struct vm *vm, json_t *device, struct vmf_error *err)
{
	return plug_tell(vm, "device_add", json_incref(device), NULL, err) < 0 ? explain(err) : 0;
}

static int attach(struct vm *vm, json_t *args, struct vmf_block *block, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	*block = (struct vmf_block){.size = sizeof(*block)};
	block->readonly = json_is_true(json_object_get(args, "readonly"));
	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.storage.attach(&call.call, r.volume, block, err);
	if (rc < 0)
		vmf_context(err, "storage \"%s\"", r.instance);
	if (json_is_true(json_object_get(args, "readonly")))
		block->readonly = 1;
	vm_recorded_free(&r);
	return rc;
}

static int plug(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	json_t *controller = json_object_get(args, "controller");
	const char *slot = word(args, "slot");
	struct vm_state state;
	struct vmf_block block;
	bool is_there;

	(void)data;
	vm_state_of(vm, &state);
	if (!state.pid) /* it has ended meanwhile: the next start has the disk */
		return 0;
	if (vm_qmp(vm, time_now_ms() + QMP_MS, err) < 0 || plug_has_device(vm, slot, &is_there, err) < 0)
		return -1;
	if (is_there)
		return 0;
	if (remove_node(vm, slot, err) < 0 || plan_start_record(vm, &step_disk_attach, slot, args, err) < 0 ||
		attach(vm, args, &block, err) < 0 || add_node(vm, slot, &block, err) < 0)
		return -1;
	if (controller) {
		if (plug_has_device(vm, word(controller, "id"), &is_there, err) < 0)
			return -1;
		if (!is_there && add_device(vm, controller, err) < 0)
			return -1;
	}
	return add_device(vm, json_object_get(args, "device"), err);
}

/* ---- out ---------------------------------------------------------------------------------- */

/* Waits for an event that concerns ID, a while. What it says is in *refused. */
static void wait_event(struct vm *vm, const char *id, int64_t deadline_ms, bool *refused)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	bool is_it = false;
	json_t *event;

	while (!is_it && qmp_event(vm->qmp, &event, deadline_ms, &quiet) == 0) {
		const char *name = word(event, "event");

		is_it = str_equal(word(json_object_get(event, "data"), "device"), id);
		*refused |= is_it && str_equal(name, "DEVICE_UNPLUG_GUEST_ERROR");
		is_it &= str_equal(name, "DEVICE_DELETED") || *refused;
		json_decref(event);
	}
	error_clear(&quiet);
}

/* Asks the guest to let go of the device, and waits until it has. */
int plug_remove_device(struct vm *vm, const char *id, const char *what, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + UNPLUG_MS;
	struct vmf_error mine = VMF_ERROR_INIT;
	autofree char *text = str_printf("waiting for the guest to let go of the %s", what);
	bool is_there, refused = false;

	if (plug_has_device(vm, id, &is_there, err) < 0)
		return -1;
	if (is_there && plug_tell(vm, "device_del", json_pack("{s:s}", "id", id), NULL, &mine) < 0 &&
		!(mine.message && strstr(mine.message, "already in the process of unplug"))) {
		error_move(err, &mine);
		return -1;
	}
	error_clear(&mine);
	while (is_there) {
		int64_t now = time_now_ms();

		wait_event(vm, id, now + 500 < deadline ? now + 500 : deadline, &refused);
		if (plug_has_device(vm, id, &is_there, err) < 0)
			return -1;
		if (is_there && refused)
			return vmf_fail(err, VMF_E_STATE, 0,
				"make sure that it does not use it, then try again",
				"the guest does not let go of it");
		if (is_there && log_progress(text, 0, 0) < 0)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted; the guest was asked");
		if (is_there && time_now_ms() >= deadline)
			return vmf_fail(err, VMF_E_TIMEOUT, 0,
				"is the guest up, and does it know ACPI? try again, or `stop` it first",
				"the guest has not let go of it within %d s", UNPLUG_MS / 1000);
	}
	return 0;
}

static int detach(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return step_disk_attach.undo(vm, args, err) < 0
		       ? -1
		       : plan_start_record(vm, &step_disk_attach, word(args, "slot"), NULL, err);
}

int plug_out(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *slot = word(args, "slot");

	if (vm_qmp(vm, time_now_ms() + QMP_MS, err) < 0 || plug_remove_device(vm, slot, "disk", err) < 0 ||
		remove_node(vm, slot, err) < 0)
		return -1;
	return detach(vm, args, err);
}

static int unplug(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_of(vm, &state);
	return state.pid ? plug_out(vm, args, err) : 0;
}

const struct step step_disk_plug = {"disk-plug", plug, unplug};

/* ---- plans -------------------------------------------------------------------------------- */

static int check_bus(const struct vm *vm, const struct vm_disk *d, struct vmf_error *err)
{
	if (str_equal(d->bus, "ide"))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"use --bus virtio or --bus scsi, or `stop` it first",
			"IDE disks come and go only while a VM is off");
	if (str_equal(d->bus, "usb") && !conf_number(vm->root, "tablet"))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"use --bus virtio, or set tablet = yes and start it anew",
			"the running VM has no USB controller");
	return 0;
}

int plug_in_later(struct vm *vm, struct plan *plan, const struct vm_disk *d, struct vmf_error *err)
{
	json_t *args;

	if (check_bus(vm, d, err) < 0)
		return -1;
	args = plug_record(vm, d);
	json_object_set_new(args, "device", command_disk_device(d));
	if (str_equal(d->bus, "scsi"))
		json_object_set_new(args, "controller", command_scsi_controller());
	plan_then(plan, &step_disk_plug, args, "plug it into the running VM as a %s disk", d->bus);
	return 0;
}

json_t *plug_record(struct vm *vm, const struct vm_disk *d)
{
	json_t *args = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);

	json_object_set_new(args, "readonly", json_boolean(d->readonly));
	return args;
}
