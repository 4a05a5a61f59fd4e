/* SPDX-License-Identifier: ISC */
/* Verbs that start, steer and end the running VM. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"

#define ASK_MS 1000

/* The state that a verb has led to, asked of QEMU itself where it runs. */
static int say_state(struct cli_call *call)
{
	struct vm_state state;

	if (call->ctx->dry_run)
		return 0;
	vm_state_ask(call->vm, &state, time_now_ms() + ASK_MS);
	out_result(call,
		json_pack("{s:s, s:o}", "state", state.status, "pid",
			state.pid ? json_integer(state.pid) : json_null()),
		"%s: %s", call->vm->name, state.status);
	return 0;
}

/* ---- start -------------------------------------------------------------------------------- */

static int dry_start(struct cli_call *call, const struct vm_start_options *options, struct vmf_error *err)
{
	struct vm_started started;
	struct qemu_args args;

	if (vm_start(call->vm, options, &started, err) < 0 || vm_command(call->vm, options, &args, err) < 0)
		return -1;
	out_plan(call, &args);
	qemu_args_free(&args);
	return 0;
}

/* A verb among QEMU's arguments was hardly meant for QEMU. */
static void hint_at_verbs(const struct cli_call *call, struct vmf_error *err)
{
	for (size_t i = 0; i < call->args.count; i++)
		if (cli_begins(cli_verbs, call->args.items[i])) {
			free(err->hint);
			err->hint = str_printf(
				"start takes all words up to --: \"start -- %s\"", call->args.items[i]);
			return;
		}
}

int verb_start(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	struct vm_start_options options = {
		.args = call->args.count ? &call->args : NULL,
		.paused = cli_option(call, "--paused", 0) != NULL,
		.discard_saved = cli_option(call, "--discard-saved", 0) != NULL,
	};
	struct vm_started started;
	const char *word;

	if (call->ctx->dry_run)
		return dry_start(call, &options, err);
	if (vm_start(vm, &options, &started, err) < 0) {
		strv_free(&started.notes);
		hint_at_verbs(call, err);
		return -1;
	}
	for (size_t i = 0; i < started.notes.count && !call->ctx->json && log_level() >= 0; i++)
		printf("%s: %s\n", vm->name, started.notes.items[i]);
	word = options.paused ? "paused" : "running";
	out_result(call,
		json_pack("{s:s, s:i, s:b, s:o}", "state", word, "pid", (int)started.pid, "from_saved",
			started.from_saved, "notes", out_strings(&started.notes)),
		"%s: %s%s (pid %d)", vm->name, word, started.from_saved ? " from its saved memory" : "",
		(int)started.pid);
	strv_free(&started.notes);
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------ */

static int end(struct cli_call *call, enum vm_stop_how how, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_read(call->ctx, call->vm->name, &state);
	if (call->ctx->dry_run) {
		if (state.phase == VM_ALIVE)
			out_dry(call, "%s QEMU (pid %d) and tidy up", how == STOP_KILL ? "kill" : "end",
				(int)state.pid);
		return 0;
	}
	return vm_stop(call->vm, how, err) < 0 ? -1 : say_state(call);
}

int verb_stop(struct cli_call *call, struct vmf_error *err)
{
	return end(call, STOP_QUIT, err);
}

int verb_kill(struct cli_call *call, struct vmf_error *err)
{
	return end(call, STOP_KILL, err);
}

int verb_shutdown(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	const char *text = cli_option(call, "--timeout", 0);
	bool force = cli_option(call, "--force", 0) != NULL;
	int64_t timeout_ms = conf_number(vm->root, "shutdown_timeout");
	struct vmf_error problem = VMF_ERROR_INIT;
	struct vm_state state;

	if (text && value_parse_time(text, &timeout_ms, err) < 0)
		return cli_usage(err, "--timeout");
	vm_state_ask(vm, &state, time_now_ms() + ASK_MS);
	if (state.phase != VM_ALIVE && state.phase != VM_STARTING) /* it is down; what is left is tidied */
		return end(call, STOP_QUIT, err);
	if (out_dry(call, "press the power button and wait %lld s%s", (long long)timeout_ms / 1000,
		    force ? ", then end QEMU" : ""))
		return 0;
	if (str_equal(state.status, "running"))
		vm_shutdown(vm, timeout_ms, &problem);
	else
		vmf_fail(&problem, VMF_E_STATE, 0, "`resume` it first, or give --force",
			"vm \"%s\" is %s: its guest cannot hear the button", vm->name, state.status);
	if (problem.code && force && (problem.code == VMF_E_TIMEOUT || problem.code == VMF_E_STATE)) {
		log_warn("%s; it is stopped", problem.message);
		error_clear(&problem);
		vm_stop(vm, STOP_QUIT, &problem);
	}
	if (problem.code) {
		error_move(err, &problem);
		return -1;
	}
	return say_state(call);
}

int verb_save(struct cli_call *call, struct vmf_error *err)
{
	return vm_save(call->vm, err) < 0 ? -1 : say_state(call);
}

/* ---- steering ----------------------------------------------------------------------------- */

int verb_reset(struct cli_call *call, struct vmf_error *err)
{
	if (out_dry(call, "press the reset button"))
		return 0;
	return vm_reset(call->vm, err) < 0 ? -1 : say_state(call);
}

int verb_pause(struct cli_call *call, struct vmf_error *err)
{
	if (out_dry(call, "pause the guest"))
		return 0;
	return vm_pause(call->vm, err) < 0 ? -1 : say_state(call);
}

int verb_resume(struct cli_call *call, struct vmf_error *err)
{
	if (out_dry(call, "let the guest go on"))
		return 0;
	return vm_resume(call->vm, err) < 0 ? -1 : say_state(call);
}

/* ---- wait --------------------------------------------------------------------------------- */

static const char *const states[] = {"running", "paused", "off", "saved", "crashed", "io-error", "hung"};

static int check_state_word(const char *word, struct vmf_error *err)
{
	const char *near;
	autofree char *hint = NULL;

	for (size_t i = 0; i < VMF_COUNT(states); i++)
		if (str_equal(states[i], word))
			return 0;
	near = str_nearest(word, states, VMF_COUNT(states));
	hint = near ? str_printf("do you mean %s?", near)
		    : str_dup("wait for running, paused, off, saved, crashed, io-error or hung");
	return vmf_fail(err, VMF_E_USAGE, 0, hint, "wait: \"%s\" is no state", word);
}

/* "off" is reached by all that is not alive and was not meant otherwise: a saved VM is off, too. */
static bool has_reached(const struct vm_state *state, const char *word)
{
	if (str_equal(word, "off"))
		return state->phase == VM_OFF || state->phase == VM_ENDED || state->phase == VM_SAVED;
	return str_equal(state->status, word);
}

/* Is the guest known by an address? */
static bool has_address(struct vm *vm, const struct vm_state *state)
{
	bool has = false;

	json_decref(vm->slots); /* another vmf may have written it since */
	vm->slots = NULL;
	for (size_t i = 0; state->pid && !has && i < vm->n_nics; i++) {
		struct vmf_error quiet = VMF_ERROR_INIT;
		json_t *nic = nic_json(vm, &vm->nics[i], true, &quiet);

		has = json_array_size(json_object_get(nic, "addresses")) > 0;
		json_decref(nic);
		error_clear(&quiet);
	}
	return has;
}

int verb_wait(struct cli_call *call, struct vmf_error *err)
{
	const char *word = call->args.items[0], *text = cli_option(call, "--timeout", 0);
	int64_t timeout_ms = 0, begin = time_now_ms(), pause_ms = 10;
	struct vm_state state;

	bool for_ip = str_equal(word, "ip");

	if (for_ip ? vm_resolve(call->vm, err) < 0 : check_state_word(word, err) < 0)
		return -1;
	if (text && value_parse_time(text, &timeout_ms, err) < 0)
		return cli_usage(err, "--timeout");
	if (out_dry(call, "wait until it is %s", word))
		return 0;
	for (;;) {
		vm_state_read(call->ctx, call->vm->name, &state);
		if (for_ip ? has_address(call->vm, &state) : has_reached(&state, word))
			break;
		if (state.phase == VM_CRASHED) {
			autofree char *hint = status_advice(&state, call->vm->name);

			return vmf_fail(err, VMF_E_STATE, 0, hint, "vm \"%s\" has crashed: it will not be %s",
				call->vm->name, word);
		}
		if (log_interrupted)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
		if (text && time_now_ms() - begin >= timeout_ms)
			return vmf_fail(err, VMF_E_TIMEOUT, 0, NULL, "vm \"%s\" is %s, not %s, after %g s",
				call->vm->name, state.status, word, (double)timeout_ms / 1000.0);
		time_sleep_ms(pause_ms);
		pause_ms = pause_ms < 80 ? pause_ms * 2 : for_ip ? 300 : 100;
	}
	out_result(call, json_pack("{s:s}", "state", state.status), "%s: %s", call->vm->name, state.status);
	return 0;
}
