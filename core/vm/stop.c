/* SPDX-License-Identifier: ISC */
/* Ending and steering a running VM. Tear-down is the start's journal, undone. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/vm.h"

#define QMP_MS 5000

static int tear_down(struct vm *vm, struct vmf_error *err)
{
	vm_qmp_close(vm);
	return plan_undo_start(vm, err);
}

/* Nothing is waited for but the end: quit follows the capabilities at once, and while QEMU ends the plugins
 * that will tidy up are loaded. */
static bool ask_to_quit(struct vm *vm)
{
	autofree char *path = str_printf("%s/qmp", vm->run_dir);
	struct vmf_error quiet = VMF_ERROR_INIT;
	bool is_sent;

	if (!vm->qmp)
		vm->qmp = qmp_begin(path, -1, &quiet);
	is_sent = vm->qmp && qmp_post(vm->qmp, "quit", time_now_ms() + 2000, &quiet) == 0;
	error_clear(&quiet);
	plan_prepare_undo(vm, is_sent);
	return is_sent;
}

/* From polite to rude; each has its time. What is stopped by a signal hears nothing but SIGKILL. */
static int end_alive(struct vm *vm, enum vm_stop_how how, struct vm_state *state, struct vmf_error *err)
{
	autoclose int pidfd = state->pid > 0 ? proc_pidfd(state->pid) : -1;
	bool is_hung = str_equal(state->status, "hung");

	if (pidfd < 0) /* dead already, or never known: the undo sorts it out */
		return 0;
	if (how == STOP_QUIT && !is_hung) {
		if (proc_wait_end(pidfd, time_now_ms() + (ask_to_quit(vm) ? 7000 : 0)))
			return 0;
		log_warn("vm \"%s\": QEMU does not listen, it is ended by SIGTERM", vm->name);
		proc_signal(pidfd, SIGTERM);
		if (proc_wait_end(pidfd, time_now_ms() + 2000))
			return 0;
	}
	if (how == STOP_QUIT)
		log_warn("vm \"%s\": QEMU hangs, it is killed", vm->name);
	proc_signal(pidfd, SIGKILL);
	if (!proc_wait_end(pidfd, time_now_ms() + 10000))
		return vmf_fail(err, VMF_E_TIMEOUT, 0, "the kernel holds it: is its storage there?",
			"QEMU (pid %d) does not die", (int)state->pid);
	return 0;
}

int vm_stop_locked(struct vm *vm, enum vm_stop_how how, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_of(vm, &state);
	if (state.phase == VM_CRASHED)
		log_warn("vm \"%s\": it had crashed; what was left of it is removed", vm->name);
	else if (state.phase == VM_OFF || state.phase == VM_SAVED)
		log_info("vm \"%s\": it is %s already", vm->name, state.status);
	else if (plan_mark_ending(vm, err) < 0)
		return -1;
	/* a save that has just been committed is an interrupted one to those who do not know us */
	if ((state.phase == VM_ALIVE || state.phase == VM_INTERRUPTED) && end_alive(vm, how, &state, err) < 0)
		return -1;
	return tear_down(vm, err);
}

int vm_stop(struct vm *vm, enum vm_stop_how how, struct vmf_error *err)
{
	int rc;

	if (vm_need_unlocked(vm, err) < 0 || vm_lock(vm, err) < 0)
		return -1;
	rc = vm_stop_locked(vm, how, err);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	return rc;
}

int vm_shutdown(struct vm *vm, int64_t timeout_ms, struct vmf_error *err)
{
	struct vm_state state;
	int64_t deadline = time_now_ms() + timeout_ms;
	int64_t press = 0;
	autoclose int pidfd = -1;

	if (vm_need_unlocked(vm, err) < 0 || vm_need_alive(vm, &state, err) < 0)
		return -1;
	pidfd = state.pid > 0 ? proc_pidfd(state.pid) : -1;
	/* a guest that is still booting may not have heard it: the button is pressed again each few seconds
	 */
	while (pidfd >= 0) {
		int64_t now = time_now_ms(), next;

		if (now >= press) {
			if (vm_qmp(vm, now + QMP_MS, err) < 0 ||
				qmp_command(vm->qmp, "system_powerdown", NULL, NULL, now + QMP_MS, err) < 0) {
				if (proc_wait_end(pidfd, time_now_ms() + 500)) {
					error_clear(err);
					break;
				}
				return -1;
			}
			press = now + 5000;
		}
		next = now + 500 < deadline ? now + 500 : deadline;
		if (proc_wait_end(pidfd, next))
			break;
		if (log_progress("waiting for the guest to shut down", 0, 0) < 0)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL,
				"vm \"%s\": interrupted; the guest was asked", vm->name);
		if (time_now_ms() >= deadline)
			return vmf_fail(err, VMF_E_TIMEOUT, 0, "`stop` ends it at once, or give --force",
				"vm \"%s\": the guest has not shut down within %lld s", vm->name,
				(long long)timeout_ms / 1000);
	}
	return vm_stop(vm, STOP_QUIT, err);
}

/* A QMP command that needs no answer; the VM must be alive. */
static int tell(struct vm *vm, const char *command, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + QMP_MS;

	if (vm_need_unlocked(vm, err) < 0 || vm_need_alive(vm, NULL, err) < 0 ||
		vm_qmp(vm, deadline, err) < 0)
		return -1;
	if (qmp_command(vm->qmp, command, NULL, NULL, deadline, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	return 0;
}

int vm_pause(struct vm *vm, struct vmf_error *err)
{
	return tell(vm, "stop", err);
}

int vm_resume(struct vm *vm, struct vmf_error *err)
{
	/* after an interrupted restore the memory on disk is still there: it is of the past from here on */
	if (vm_need_unlocked(vm, err) < 0 || vm_need_alive(vm, NULL, err) < 0 || vm_forget_saved(vm, err) < 0)
		return -1;
	return tell(vm, "cont", err);
}

int vm_reset(struct vm *vm, struct vmf_error *err)
{
	return tell(vm, "system_reset", err);
}
