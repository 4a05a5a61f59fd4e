/* SPDX-License-Identifier: ISC */
/*
 * type: text as somebody would type it on a keyboard of the US layout. The guest makes characters of keys by
 * the layout that it is set to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/cli.h"
#include "cli/talk.h"
#include "config/value.h"

#define ANSWER_MS 10000
#define HOLD_MS 30 /* a key is down for so long, and as long no key is */
#define DELAY_MAX_MS 10000
#define TEXT_MAX 65536

static const struct {
	const char *plain, *shifted; /* the characters, in the order of the keys */
	const char *const *keys;
} rows[] = {
	{"`1234567890-=", "~!@#$%^&*()_+",
		(const char *const[]){
			"grave_accent", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "minus", "equal"}},
	{"[]\\;',./", "{}|:\"<>?",
		(const char *const[]){"bracket_left", "bracket_right", "backslash", "semicolon", "apostrophe",
			"comma", "dot", "slash"}},
	{" \n\t\r\b\033", "", (const char *const[]){"spc", "ret", "tab", "ret", "backspace", "esc"}},
};

/* The key that makes C, and whether shift is held; false: no key does. */
static bool key_of(char c, char key[16], bool *shift)
{
	*shift = c >= 'A' && c <= 'Z';
	if ((c >= 'a' && c <= 'z') || *shift) {
		key[0] = (char)(c | 0x20);
		key[1] = '\0';
		return true;
	}
	for (size_t i = 0; c && i < VMF_COUNT(rows); i++) {
		const char *plain = strchr(rows[i].plain, c), *shifted = strchr(rows[i].shifted, c);

		if (!plain && !shifted)
			continue;
		*shift = !plain;
		strcpy(key, rows[i].keys[plain ? plain - rows[i].plain : shifted - rows[i].shifted]);
		return true;
	}
	return false;
}

/* All of it can be typed, or nothing is. */
static int check_text(const char *text, struct vmf_error *err)
{
	char key[16];
	bool shift;

	if (!*text)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "type: there is no text");
	if (strlen(text) > TEXT_MAX)
		return vmf_fail(err, VMF_E_USAGE, 0, "its console or a share takes more, and faster",
			"type: more than %d characters", TEXT_MAX);
	for (const char *at = text; *at; at++)
		if (!key_of(*at, key, &shift)) {
			size_t n = str_utf8_length(at);
			autofree char *one = str_ndup(at, n ? n : 1);
			autofree char *quoted = str_quote(one);

			return vmf_fail(err, VMF_E_USAGE, 0, "`sendkey` presses keys by their names",
				"type: no key of the US layout makes %s", quoted);
		}
	return 0;
}

static int press(struct vm *vm, char c, int64_t delay_ms, struct vmf_error *err)
{
	json_t *keys = json_array();
	char key[16];
	bool shift;

	key_of(c, key, &shift);
	if (shift)
		json_array_append_new(keys, json_pack("{s:s, s:s}", "type", "qcode", "data", "shift"));
	json_array_append_new(keys, json_pack("{s:s, s:s}", "type", "qcode", "data", key));
	if (qmp_command(vm->qmp, "send-key", json_pack("{s:o, s:i}", "keys", keys, "hold-time", HOLD_MS),
		    NULL, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	/* QEMU presses in the background, and its queue is short */
	time_sleep_ms(2 * HOLD_MS * (shift ? 2 : 1) + delay_ms);
	return 0;
}

static int type(struct vm *vm, const char *text, int64_t delay_ms, struct vmf_error *err)
{
	autofree char *status = NULL;
	size_t length = strlen(text);

	if (qmp_status(vm->qmp, &status, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	if (!str_equal(status, "running") && !str_equal(status, "suspended"))
		return vmf_fail(
			err, VMF_E_STATE, 0, "`resume` it first", "it is %s: no key would reach it", status);
	for (size_t i = 0; i < length; i++) {
		if (log_progress("typing", 0, 0) < 0)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted after %zu characters", i);
		if (press(vm, text[i], delay_ms, err) < 0)
			return -1;
	}
	log_progress_end();
	return 0;
}

int verb_type(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	const char *delay = cli_option(call, "--delay", 0);
	int64_t delay_ms = 0;
	autofree char *text =
		str_printf("%s%s", call->args.items[0], cli_option(call, "--enter", 0) ? "\n" : "");

	if (check_text(text, err) < 0)
		return -1;
	if (delay && value_parse_time(delay, &delay_ms, err) < 0)
		return cli_usage(err, "--delay");
	if (delay_ms < 0 || delay_ms > DELAY_MAX_MS)
		return vmf_fail(
			err, VMF_E_USAGE, 0, NULL, "--delay: 0 to %d s, not %s", DELAY_MAX_MS / 1000, delay);
	if (out_dry(call, "type %zu characters", strlen(text)))
		return 0;
	if (talk_qmp(vm, true, err) < 0)
		return -1;
	if (type(vm, text, delay_ms, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	out_result(call, json_pack("{s:I}", "typed", (json_int_t)strlen(text)), "%s: typed %zu characters",
		vm->name, strlen(text));
	return 0;
}
