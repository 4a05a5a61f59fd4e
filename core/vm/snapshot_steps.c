/* SPDX-License-Identifier: ISC */
/*
 * The steps of making and removing snapshots and of rolling back: one volume each, but for a running VM, of
 * whose disks QEMU makes them at one moment.
 */
#include "base/proc.h"
#include "vm/journal.h"
#include "vm/steps.h"
#include "vm/vm.h"

#define TRANSACTION_MS 60000 /* QEMU writes out what it has of each disk */

static const char *word(json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

static int do_snapshot(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	return r->plugin->ops.storage.snapshot(&call->call, r->volume, word(args, "snapshot"), err);
}

static int volume_snapshot(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_snapshot, err);
}

/* No volume had one of that name when the plan was made: what is there now is of the plan's making. */
static int do_unsnapshot(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	return r->plugin->ops.storage.snapshot_remove(&call->call, r->volume, word(args, "snapshot"), err);
}

static int volume_unsnapshot(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return vm_on_volume(vm, args, do_unsnapshot, err);
}

const struct step step_volume_snapshot = {"volume-snapshot", volume_snapshot, volume_unsnapshot};

/* Of a running VM: what the stores tell QEMU of it, QEMU does at one moment, and all of it or nothing. */
static int guest_snapshot(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	json_t *disk, *actions;
	size_t i;
	int rc = 0;

	vm->transaction = json_array();
	json_array_foreach(json_object_get(args, "disks"), i, disk)
	{
		if (rc == 0)
			rc = fault_point("volume-snapshot", err) < 0 ? -1
								     : volume_snapshot(vm, disk, data, err);
	}
	actions = vm->transaction;
	vm->transaction = NULL;
	if (rc == 0 && json_array_size(actions))
		rc = qmp_command(vm->qmp, "transaction", json_pack("{s:O}", "actions", actions), NULL,
			time_now_ms() + TRANSACTION_MS, err);
	json_decref(actions);
	return rc;
}

static int guest_unsnapshot(struct vm *vm, json_t *args, struct vmf_error *err)
{
	json_t *disk;
	size_t i;
	int rc = 0;

	json_array_foreach(json_object_get(args, "disks"), i, disk)
	{
		if (volume_unsnapshot(vm, disk, rc < 0 ? NULL : err) < 0)
			rc = -1;
	}
	return rc;
}

const struct step step_guest_snapshot = {"guest-snapshot", guest_snapshot, guest_unsnapshot};

static int volume_forget(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return volume_unsnapshot(vm, args, err);
}

const struct step step_snapshot_remove = {"snapshot-remove", volume_forget, NULL};

static int do_rollback(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	return r->plugin->ops.storage.rollback(&call->call, r->volume, word(args, "snapshot"),
		(uint32_t)json_integer_value(json_object_get(args, "flags")), err);
}

static int volume_rollback(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_rollback, err);
}

const struct step step_volume_rollback = {"volume-rollback", volume_rollback, NULL};

static int guest_resume(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return step_save_pause.undo(vm, args, err);
}

const struct step step_guest_resume = {"guest-resume", guest_resume, NULL};
