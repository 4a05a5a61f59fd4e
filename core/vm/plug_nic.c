/* SPDX-License-Identifier: ISC */
/*
 * NICs of a running VM come, go and move. The plugin brings up the host's side, QEMU gets its fds (getfd), a
 * netdev on them, then the device; the way back is the opposite. Each part may be done already: by a vmf that
 * was killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "vm/plug.h"
#include "vm/start.h"
#include "vm/steps.h"

#define QMP_MS 10000

static const char *word(json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

/* Is it alive, and is there a connection? One that has ended meanwhile has what was changed at its next
 * start. */
static int connect_alive(struct vm *vm, bool *is_alive, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_of(vm, &state);
	*is_alive = state.pid != 0;
	return *is_alive ? vm_qmp(vm, time_now_ms() + QMP_MS, err) : 0;
}

static int set_link(struct vm *vm, const char *slot, bool up, struct vmf_error *err)
{
	return plug_tell(vm, "set_link", json_pack("{s:s, s:b}", "name", slot, "up", up), NULL, err);
}

int plug_links(struct vm *vm, struct vmf_error *err)
{
	for (size_t i = 0; i < vm->n_nics; i++)
		if (!vm->nics[i].is_linked && set_link(vm, vm->nics[i].slot, false, err) < 0)
			return vmf_context(err, "nic \"%s\"", vm->nics[i].title);
	return 0;
}

/* ---- netdev ------------------------------------------------------------------------------- */

/* What the plugin kept for the slot ends with it. */
static int forget_state(struct vm *vm, const char *slot, struct vmf_error *err)
{
	if (vm_slots_load(vm) < 0 || json_object_del(vm->slots, slot) < 0)
		return 0;
	return vm_slots_save(vm, err);
}

static int remove_netdev(struct vm *vm, const char *slot, struct vmf_error *err)
{
	autofree char *id = command_netdev_id(slot);
	struct vmf_error mine = VMF_ERROR_INIT;
	int rc = plug_tell(vm, "netdev_del", json_pack("{s:s}", "id", id), NULL, &mine);

	if (rc < 0 && mine.message && strstr(mine.message, "not found"))
		rc = 0;
	if (rc < 0)
		error_move(err, &mine);
	error_clear(&mine);
	return rc;
}

/* "12:13": hands QEMU these fds by getfd, and puts the names that they have there in their place. */
static int hand_over(struct vm *vm, const char *slot, json_t *netdev, const char *key, struct vmf_error *err)
{
	const char *numbers = word(netdev, key);
	autostrbuf struct strbuf names = STRBUF_INIT;

	for (unsigned n = 0; numbers && *numbers; n++) {
		char *end;
		int fd = (int)strtol(numbers, &end, 10);
		/* never a name that a vmf that was killed has used: QEMU mixes up the two */
		autofree char *name = str_printf("%s.%s%u.%d", slot, key, n, (int)getpid());

		if (qmp_command_fd(vm->qmp, "getfd", json_pack("{s:s}", "fdname", name), fd, NULL,
			    time_now_ms() + QMP_MS, err) < 0)
			return -1;
		strbuf_printf(&names, "%s%s", n ? ":" : "", name);
		numbers = *end == ':' ? end + 1 : end;
	}
	if (names.length)
		json_object_set_new(netdev, key, json_string(names.data));
	return 0;
}

/* What QEMU is only to have open. */
static int hand_over_kept(
	struct vm *vm, const char *slot, const struct vmf_netdev *netdev, struct vmf_error *err)
{
	for (size_t i = 0; i < netdev->n_keep_fds; i++) {
		autofree char *name = str_printf("%s.keep%zu.%d", slot, i, (int)getpid());

		if (qmp_command_fd(vm->qmp, "getfd", json_pack("{s:s}", "fdname", name), netdev->keep_fds[i],
			    NULL, time_now_ms() + QMP_MS, err) < 0)
			return -1;
	}
	return 0;
}

static int add_netdev(struct vm *vm, const char *slot, struct vmf_netdev *netdev, struct vmf_error *err)
{
	static const char *const keys[] = {"fd", "fds", "vhostfd", "vhostfds"};
	autofree char *id = command_netdev_id(slot);
	struct qemu_args args;
	json_t *json = NULL, *address;
	int rc;

	qemu_args_init(&args, "");
	rc = hand_over_kept(vm, slot, netdev, err);
	if (qemu_args_netdev(&args, id, netdev, rc == 0 ? err : NULL) < 0)
		rc = -1;
	if (rc == 0)
		json = json_loads(args.argv.items[args.argv.count - 1], 0, NULL);
	for (size_t i = 0; rc == 0 && i < VMF_COUNT(keys); i++)
		rc = hand_over(vm, slot, json, keys[i], err);
	address = json_object_get(json, "addr"); /* of a stream */
	if (rc == 0 && str_equal(word(address, "type"), "fd"))
		rc = hand_over(vm, slot, address, "str", err);
	if (rc == 0)
		rc = plug_tell(vm, "netdev_add", json_incref(json), NULL, err);
	json_decref(json);
	qemu_args_free(&args);
	return rc;
}

/* ---- in ----------------------------------------------------------------------------------- */

/* NETDEV may point into R, which is to be freed in any case. */
static int bring_up(
	struct vm *vm, json_t *args, struct vm_recorded *r, struct vmf_netdev *netdev, struct vmf_error *err)
{
	struct vmf_nic nic = {.size = sizeof(nic),
		.mac = word(args, "mac"),
		.model = word(args, "model"),
		.segment = word(args, "segment")};
	struct vm_call call;

	*netdev = (struct vmf_netdev){.size = sizeof(*netdev)};
	if (vm_recorded_load(vm, args, r, err) < 0)
		return -1;
	vm_call_recorded(vm, r, &call);
	if (r->plugin->ops.network.up(&call.call, &nic, netdev, err) < 0)
		return vmf_context(err, "%s", r->plugin->name);
	return 0;
}

static int explain(struct vmf_error *err)
{
	if (!err->message)
		return -1;
	if (strstr(err->message, "does not support hotplugging")) {
		err->code = VMF_E_UNSUPPORTED;
		str_set(&err->hint, "use machine = \"pc\", or `stop` it first");
	} else if (strstr(err->message, "no slot/function available")) {
		err->code = VMF_E_UNSUPPORTED;
		str_set(&err->hint, "`disk rm` or fewer NICs free a slot");
	} else if (strstr(err->message, "is not a valid device model name")) {
		err->code = VMF_E_CONFIG;
		str_set(&err->hint, "`qemu-system-x86_64 -device help` lists those it has");
	}
	return -1;
}

static int plug_in(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *slot = word(args, "slot");
	struct vm_recorded r = {.plugin = NULL};
	struct vmf_netdev netdev;
	json_t *device;
	int rc;

	if (remove_netdev(vm, slot, err) < 0 || plan_start_record(vm, &step_nic_up, slot, args, err) < 0)
		return -1;
	rc = bring_up(vm, args, &r, &netdev, err);
	if (rc == 0)
		rc = add_netdev(vm, slot, &netdev, err);
	vm_recorded_free(&r);
	if (rc < 0)
		return -1;
	device = json_copy(json_object_get(args, "device"));
	command_nic_fit(device, &netdev);
	return plug_tell(vm, "device_add", device, NULL, err) < 0 ? explain(err) : 0;
}

static int nic_plug(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *slot = word(args, "slot");
	bool is_alive, is_there = false;

	if (connect_alive(vm, &is_alive, err) < 0 ||
		(is_alive && plug_has_device(vm, slot, &is_there, err) < 0))
		return -1;
	if (!is_alive)
		return 0;
	if (!is_there && plug_in(vm, args, err) < 0)
		return vmf_context(err, "nic \"%s\"", word(args, "title"));
	return json_is_false(json_object_get(args, "link")) ? set_link(vm, slot, false, err) : 0;
}

/* ---- out ---------------------------------------------------------------------------------- */

static int nic_unplug(struct vm *vm, json_t *args, struct vmf_error *err)
{
	const char *slot = word(args, "slot");
	bool is_alive;

	if (connect_alive(vm, &is_alive, err) < 0)
		return -1;
	if (!is_alive)
		return 0;
	if (plug_remove_device(vm, slot, "NIC", err) < 0 || remove_netdev(vm, slot, err) < 0 ||
		step_nic_up.undo(vm, args, err) < 0 || forget_state(vm, slot, err) < 0)
		return vmf_context(err, "nic \"%s\"", word(args, "title"));
	return plan_start_record(vm, &step_nic_up, slot, NULL, err);
}

static int run_plug(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return nic_plug(vm, args, err);
}

static int run_unplug(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return nic_unplug(vm, args, err);
}

const struct step step_nic_plug = {"nic-plug", run_plug, nic_unplug};
const struct step step_nic_unplug = {"nic-unplug", run_unplug, nic_plug};

/* ---- elsewhere ---------------------------------------------------------------------------- */

static int move(struct vm *vm, json_t *args, const char *segment, struct vmf_error *err)
{
	const char *slot = word(args, "slot");
	bool is_linked = !json_is_false(json_object_get(args, "link"));
	struct vm_recorded r;
	struct vm_call call;
	bool is_alive;
	int rc;

	if (connect_alive(vm, &is_alive, err) < 0)
		return -1;
	if (!is_alive)
		return 0;
	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	/* as with a cable: the guest sees it go and come, and may ask for an address anew */
	rc = set_link(vm, slot, false, err);
	if (rc == 0 && r.plugin->ops.network.reconnect(&call.call, *segment ? segment : NULL, err) < 0)
		rc = vmf_context(err, "nic \"%s\": %s", word(args, "title"), r.plugin->name);
	if (rc == 0 && is_linked)
		rc = set_link(vm, slot, true, err);
	vm_recorded_free(&r);
	return rc;
}

static int run_move(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return move(vm, args, word(args, "segment"), err);
}

static int undo_move(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return move(vm, args, word(args, "was"), err);
}

const struct step step_nic_move = {"nic-move", run_move, undo_move};

static int change_link(struct vm *vm, json_t *args, bool up, struct vmf_error *err)
{
	bool is_alive;

	if (connect_alive(vm, &is_alive, err) < 0)
		return -1;
	return is_alive ? set_link(vm, word(args, "slot"), up, err) : 0;
}

static int run_link(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return change_link(vm, args, json_is_true(json_object_get(args, "link")), err);
}

static int undo_link(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return change_link(vm, args, !json_is_true(json_object_get(args, "link")), err);
}

const struct step step_nic_link = {"nic-link", run_link, undo_link};

/* ---- records ------------------------------------------------------------------------------ */

json_t *plug_nic_record(struct vm *vm, const struct vm_nic *n)
{
	json_t *args = vm_record(vm, n->plugin, n->opts, n->instance, n->slot, n->index, NULL);

	json_object_set_new(args, "title", json_string(n->title));
	json_object_set_new(args, "mac", json_string(n->mac));
	json_object_set_new(args, "model", json_string(n->model));
	if (n->segment)
		json_object_set_new(args, "segment", json_string(n->segment));
	json_object_set_new(args, "link", json_boolean(n->is_linked));
	json_object_set_new(args, "device", command_nic_device(n));
	return args;
}
