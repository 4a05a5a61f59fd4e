/* SPDX-License-Identifier: ISC */
/*
 * All that goes to standard output: lines, tables, JSON. A table is for a terminal; a pipe gets the same rows
 * with tabs between and no headings, whose form stays as it is. Names and logs may hold any bytes: none of
 * them reaches a terminal as a control character.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/tty.h"

/* ---- text --------------------------------------------------------------------------------- */

static bool is_control(const char *text, size_t length)
{
	const unsigned char *s = (const unsigned char *)text;

	if (length == 1)
		return (s[0] < 0x20 && s[0] != '\n' && s[0] != '\t') || s[0] == 0x7f;
	return length == 2 && s[0] == 0xc2 && s[1] < 0xa0; /* C1: 0x9b is as good as ESC [ */
}

static char *escape(const char *text, bool controls)
{
	struct strbuf out = STRBUF_INIT;

	while (*text) {
		size_t n = str_utf8_length(text);

		if (n && !(controls && is_control(text, n))) {
			strbuf_add(&out, text, n);
			text += n;
			continue;
		}
		for (n = n ? n : 1; n; n--)
			strbuf_printf(&out, "\\x%02x", (unsigned char)*text++);
	}
	return strbuf_take(&out);
}

char *out_clean(const char *text)
{
	return escape(text, true);
}

char *out_time(int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[32] = "";
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	return str_dup(text);
}

/* ---- JSON --------------------------------------------------------------------------------- */

void out_json(json_t *json)
{
	log_progress_end();
	json_dumpf(json, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(json);
}

json_t *out_string(const char *text)
{
	autofree char *clean = NULL;
	json_t *json;

	if (!text)
		return json_null();
	json = json_string(text);
	if (json)
		return json;
	clean = escape(text, false);
	return json_string(clean);
}

json_t *out_strings(const struct strv *texts)
{
	json_t *array = json_array();

	for (size_t i = 0; i < texts->count; i++)
		json_array_append_new(array, out_string(texts->items[i]));
	return array;
}

/* ---- what was done, and what would be ------------------------------------------------------ */

void out_result(const struct cli_call *call, json_t *facts, const char *fmt, ...)
{
	va_list ap;

	log_progress_end();
	if (call->ctx->json && !call->ctx->dry_run) {
		json_t *all = json_pack("{s:s*}", "vm", call->vm ? call->vm->name : NULL);

		json_object_update(all, facts);
		out_json(all);
	} else if (!call->ctx->dry_run && log_level() >= 0) {
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
		putchar('\n');
	}
	json_decref(facts);
}

bool out_dry(const struct cli_call *call, const char *fmt, ...)
{
	va_list ap;

	if (!call->ctx->dry_run)
		return false;
	va_start(ap, fmt);
	strv_take(&call->ctx->planned, str_vprintf(fmt, ap));
	va_end(ap);
	return true;
}

void out_plan(const struct cli_call *call, const struct qemu_args *command)
{
	struct strv *steps = &call->ctx->planned;

	if (call->ctx->json) {
		json_t *json = json_pack("{s:s*, s:s, s:b}", "vm", call->vm ? call->vm->name : NULL, "verb",
			call->verb->name, "dry_run", 1);

		json_object_set_new(json, "steps", out_strings(steps));
		if (command)
			json_object_set_new(json, "command", out_strings(&command->argv));
		out_json(json);
	} else {
		for (size_t i = 0; i < steps->count; i++)
			printf("%2zu  %s\n", i + 1, steps->items[i]);
		if (command) {
			autofree char *line = qemu_args_shell(command);

			printf("\n%s\n", line);
		}
	}
	strv_free(steps);
}

int cli_confirm(const char *question, const char *word, struct vmf_error *err)
{
	char answer[128] = "";

	if (!tty_is(STDIN_FILENO))
		return vmf_fail(err, VMF_E_USAGE, 0, "add --yes",
			"it asks first, and there is no terminal to ask on");
	fputs(question, stderr);
	fflush(stderr);
	tty_want("line");
	if (!fgets(answer, sizeof(answer), stdin))
		fputc('\n', stderr);
	answer[strcspn(answer, "\n")] = '\0';
	return str_equal(answer, word) ? 0 : vmf_fail(err, VMF_E_FAILED, 0, NULL, "nothing was done");
}
