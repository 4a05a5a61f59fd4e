/* SPDX-License-Identifier: ISC */
/* send, qmp, sendkey, guest-agent: one request, and its answer. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/tty.h"
#include "cli/cli.h"
#include "cli/talk.h"
#include "vm/guest.h"

#define ANSWER_MS 60000
#define SILENCE_MS 1000 /* what should not answer has not done so then */
#define HOLD_MS 30	/* QEMU lets so much time pass after a key goes down, and after it goes up */

/* ---- send --------------------------------------------------------------------------------- */

/* The monitor for people knows no error codes, but its ways to say it are few. */
static bool is_complaint(const char *answer)
{
	static const char usage[] = "for more information\n";

	return str_starts(answer, "unknown command: ") || str_starts(answer, "Error: ") ||
	       str_starts(answer, "Command '") || str_ends(answer, usage);
}

int verb_send(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	const char *line = call->args.items[0];
	autofree char *answer = NULL;
	autofree char *text = NULL;
	size_t n;

	if (out_dry(call, "send to QEMU's monitor: %s", line))
		return 0;
	if (talk_qmp(vm, true, err) < 0)
		return -1;
	if (qmp_hmp(vm->qmp, line, &answer, time_now_ms() + ANSWER_MS, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	text = out_clean(answer);
	n = strlen(text);
	if (is_complaint(text)) {
		while (n && text[n - 1] == '\n')
			text[--n] = '\0';
		return vmf_fail(err, VMF_E_FAILED, 0, "`send help` lists what QEMU knows",
			"vm \"%s\": QEMU: %s", vm->name, text);
	}
	if (call->ctx->json) {
		out_result(call, json_pack("{s:o}", "answer", out_string(answer)), NULL);
	} else {
		printf("%s%s", text, n && text[n - 1] != '\n' ? "\n" : "");
	}
	return 0;
}

/* ---- qmp ---------------------------------------------------------------------------------- */

/* A bare word is a command without arguments. The caller frees. */
static char *qmp_line(const char *text, struct vmf_error *err)
{
	json_t *json;
	char *line;

	text += strspn(text, " \t\r\n");
	if (*text == '{')
		return str_dup(text);
	json = json_pack("{s:s}", "execute", text);
	line = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!line)
		vmf_fail(err, VMF_E_USAGE, 0, NULL, "qmp: the command is no UTF-8");
	return line;
}

static void print_answer(struct cli_call *call, json_t *answer)
{
	if (tty_is(STDOUT_FILENO) && !call->ctx->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		out_json(json_incref(answer));
	}
}

int verb_qmp(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	autofree char *line = qmp_line(call->args.items[0], err);
	autofree char *answer = NULL;
	json_t *json;
	const json_t *error;

	if (!line)
		return -1;
	if (out_dry(call, "send to QMP: %s", line))
		return 0;
	if (talk_qmp(vm, true, err) < 0)
		return -1;
	if (qmp_raw(vm->qmp, line, &answer, time_now_ms() + ANSWER_MS, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	json = json_loads(answer, 0, NULL);
	error = json_object_get(json, "error");
	if (error) {
		const char *words = json_string_value(json_object_get(error, "desc"));
		autofree char *clean = out_clean(words ? words : answer);

		vmf_fail(err, VMF_E_FAILED, 0, NULL, "vm \"%s\": QEMU: %s", vm->name, clean);
	}
	if (!error || !call->ctx->json) /* the error is said as JSON anyway */
		print_answer(call, json);
	json_decref(json);
	return error ? -1 : 0;
}

/* ---- the guest agent ---------------------------------------------------------------------- */

/* These answer only if they fail. */
static bool has_no_answer(const char *command)
{
	return str_equal(command, "guest-shutdown") || str_starts(command, "guest-suspend-");
}

int verb_guest_agent(struct cli_call *call, struct vmf_error *err)
{
	autofree char *line = qmp_line(call->args.items[0], err);
	json_t *json = line ? json_loads(line, 0, NULL) : NULL, *answer = NULL;
	const char *command = json_string_value(json_object_get(json, "execute"));
	int rc = -1;

	if (!command) {
		json_decref(json);
		return line ? vmf_fail(err, VMF_E_USAGE, 0, "as in '{\"execute\": \"guest-info\"}'",
				      "guest-agent: no JSON object with \"execute\"")
			    : -1;
	}
	if (out_dry(call, "send to the guest agent: %s", line))
		rc = 0;
	else if (talk_need(call->vm, true, err) == 0)
		rc = vm_guest_ask(call->vm, command, json_incref(json_object_get(json, "arguments")), &answer,
			time_now_ms() + (has_no_answer(command) ? SILENCE_MS : ANSWER_MS), err);
	if (rc < 0 && err->code == VMF_E_TIMEOUT && has_no_answer(command)) {
		error_clear(err);
		rc = 0;
	}
	if (answer)
		print_answer(call, answer);
	json_decref(answer);
	json_decref(json);
	return rc;
}

/* ---- sendkey ------------------------------------------------------------------------------ */

/* What people call keys that QEMU calls otherwise. */
static const char *qemu_key(const char *name)
{
	static const char *const also[][2] = {{"enter", "ret"}, {"return", "ret"}, {"space", "spc"},
		{"escape", "esc"}, {"del", "delete"}, {"ins", "insert"}, {"control", "ctrl"},
		{"pageup", "pgup"}, {"pagedown", "pgdn"}, {"win", "meta_l"}, {"<", "less"}};

	for (size_t i = 0; i < VMF_COUNT(also); i++)
		if (str_equal(name, also[i][0]))
			return also[i][1];
	return name;
}

/* "0x1c": a key by its number. */
static bool is_code(const char *key)
{
	return str_starts(key, "0x") && key[2] && key[2 + strspn(key + 2, "0123456789abcdef")] == '\0' &&
	       strlen(key) < 8;
}

/* "ctrl-alt-f2,h,i ret" becomes a list of lists of names. */
static int parse_keys(const char *text, json_t *presses, struct vmf_error *err)
{
	while (*(text += strspn(text, ", \t\n"))) {
		size_t n = strcspn(text, ", \t\n");
		autofree char *press = str_ndup(text, n);
		json_t *names = json_array();

		json_array_append_new(presses, names);
		for (char *key = press, *next; key; key = next) {
			next = strchr(key, '-');
			if (next)
				*next++ = '\0';
			for (char *c = key; *c; c++)
				*c = (char)tolower((unsigned char)*c);
			if (!*key)
				return vmf_fail(err, VMF_E_USAGE, 0,
					"such as ctrl-alt-delete; the key - is called minus",
					"\"%.*s\": a key is missing", (int)n, text);
			json_array_append_new(names, json_string(qemu_key(key)));
		}
		text += n;
	}
	return json_array_size(presses) ? 0
					: vmf_fail(err, VMF_E_USAGE, 0, "such as ctrl-alt-delete", "no keys");
}

/* All names that this QEMU has, from its own description: new reference, or NULL and err. */
static json_t *all_keys(struct vm *vm, struct vmf_error *err)
{
	json_t *schema = NULL, *type, *found = NULL;
	size_t i;

	if (qmp_command(vm->qmp, "query-qmp-schema", NULL, &schema, time_now_ms() + ANSWER_MS, err) < 0)
		return NULL;
	json_array_foreach(schema, i, type)
	{
		json_t *values = json_object_get(type, "values"), *value;
		size_t k;

		json_array_foreach(values, k,
			value) if (!found && str_equal(json_string_value(value), "kp_enter")) found =
			json_incref(values);
	}
	json_decref(schema);
	if (!found)
		vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "this QEMU names no keys");
	return found;
}

static int unknown_key(const char *name, json_t *known, struct vmf_error *err)
{
	const char **names = mem_alloc((json_array_size(known) + 1) * sizeof(*names)), *near;
	autofree char *hint = NULL;
	json_t *value;
	size_t i;

	json_array_foreach(known, i, value) names[i] = json_string_value(value);
	near = str_nearest(name, names, json_array_size(known));
	hint = near ? str_printf("do you mean %s?", near)
		    : str_dup("such as ctrl-alt-delete, f1, ret, spc, minus, a, 1");
	free(names);
	return vmf_fail(err, VMF_E_USAGE, 0, hint, "no key \"%s\"", name);
}

/* All of them are checked before the first is pressed. */
static int check_keys(struct vm *vm, json_t *presses, struct vmf_error *err)
{
	json_t *known = all_keys(vm, err), *press, *key, *value;
	size_t i, k, n;
	int rc = known ? 0 : -1;

	json_array_foreach(presses, i, press)
	{
		json_array_foreach(press, k, key)
		{
			const char *name = json_string_value(key);
			bool is_known = is_code(name ? name : "");

			json_array_foreach(known, n, value) is_known = is_known || json_equal(key, value);
			if (rc == 0 && !is_known)
				rc = unknown_key(name ? name : "", known, err);
		}
	}
	json_decref(known);
	return rc;
}

static int press_keys(struct vm *vm, json_t *press, struct vmf_error *err)
{
	json_t *keys = json_array(), *key;
	size_t i;

	json_array_foreach(press, i, key)
	{
		const char *name = json_string_value(key);

		if (is_code(name))
			json_array_append_new(keys, json_pack("{s:s, s:i}", "type", "number", "data",
							    (int)strtol(name, NULL, 16)));
		else
			json_array_append_new(keys, json_pack("{s:s, s:s}", "type", "qcode", "data", name));
	}
	if (qmp_command(vm->qmp, "send-key", json_pack("{s:o, s:i}", "keys", keys, "hold-time", HOLD_MS),
		    NULL, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	/* QEMU answers at once and presses in the background; its queue is short */
	time_sleep_ms(2 * HOLD_MS * (int64_t)json_array_size(press));
	return 0;
}

static int press_all(struct vm *vm, json_t *presses, struct vmf_error *err)
{
	autofree char *status = NULL;
	json_t *press;
	size_t i;

	if (check_keys(vm, presses, err) < 0 ||
		qmp_status(vm->qmp, &status, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	/* QEMU drops what is pressed while the guest stands still */
	if (!str_equal(status, "running") && !str_equal(status, "suspended"))
		return vmf_fail(
			err, VMF_E_STATE, 0, "`resume` it first", "it is %s: no key would reach it", status);
	json_array_foreach(presses, i, press) if (press_keys(vm, press, err) < 0) return -1;
	return 0;
}

int verb_sendkey(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	const char *keys = call->args.items[0];
	json_t *presses = json_array();
	int rc = parse_keys(keys, presses, err);

	if (rc == 0 && !out_dry(call, "press %s", keys)) {
		rc = talk_qmp(vm, true, err);
		if (rc == 0 && press_all(vm, presses, err) < 0)
			rc = vmf_context(err, "vm \"%s\"", vm->name);
		if (rc == 0)
			out_result(call, json_pack("{s:o}", "pressed", json_incref(presses)),
				"%s: pressed %s", vm->name, keys);
	}
	json_decref(presses);
	return rc;
}
