/* SPDX-License-Identifier: ISC */
/* Verbs that look at a VM and change nothing: its state, its log. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/tty.h"
#include "config/value.h"

#define ASK_MS 1000
#define LOG_SHOWN ((off_t)8 << 20) /* of a larger log the end is shown */

/* ---- status ------------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (str_equal(word, *words))
			return true;
	return false;
}

int status_code(const struct vm_state *state)
{
	static const char *const halted[] = {
		"io-error", "internal-error", "guest-panicked", "watchdog", "shutdown", NULL};

	switch (state->phase) {
	case VM_OFF:
	case VM_ENDED:
		return STATUS_OFF;
	case VM_SAVED:
		return STATUS_SAVED;
	case VM_CRASHED:
		return STATUS_CRASHED;
	case VM_STARTING:
	case VM_UNKNOWN:
	case VM_INTERRUPTED:
		return STATUS_BUSY;
	case VM_ALIVE:
		break;
	}
	if (str_equal(state->status, "running"))
		return 0;
	if (str_equal(state->status, "hung"))
		return STATUS_HUNG;
	return is_one_of(state->status, halted) ? STATUS_HALTED : STATUS_PAUSED;
}

/* What the person can do about it, or NULL. REMEDY: what mends the storage, or NULL. The caller frees. */
static char *advice_on(const struct vm_state *state, const char *name, const char *remedy)
{
	switch (status_code(state)) {
	case STATUS_CRASHED:
		return str_printf(
			"`vmf %s log` has QEMU's last words, `vmf %s start` starts it anew", name, name);
	case STATUS_HUNG:
		return str_printf("`vmf %s kill` ends it", name);
	case STATUS_HALTED:
		if (str_equal(state->status, "io-error") && remedy)
			return str_printf("`%s`, then `vmf %s resume`; or `vmf %s stop`", remedy, name, name);
		if (str_equal(state->status, "io-error"))
			return str_printf(
				"mend the storage, then `vmf %s resume`; or `vmf %s stop`", name, name);
		return str_printf("`vmf %s reset` boots it again, `vmf %s stop` ends it", name, name);
	default:
		return NULL;
	}
}

char *status_advice(const struct vm_state *state, const char *name)
{
	return advice_on(state, name, NULL);
}

char *status_line(const struct vm_state *state)
{
	struct strbuf line = STRBUF_INIT;

	strbuf_puts(&line, state->status);
	if (state->pid) {
		strbuf_printf(&line, " (pid %d", (int)state->pid);
		if (state->since) {
			autofree char *since = out_time(state->since);

			strbuf_printf(&line, ", since %s", since);
		}
		strbuf_putc(&line, ')');
	}
	if (state->detail[0])
		strbuf_printf(&line, ": %s", state->detail);
	return strbuf_take(&line);
}

json_t *status_json(const struct vm_state *state, const char *name)
{
	autofree char *advice = status_advice(state, name);
	json_t *json = json_pack("{s:s}", "state", state->status);

	json_object_set_new(json, "detail", out_string(state->detail[0] ? state->detail : NULL));
	json_object_set_new(json, "advice", out_string(advice));
	json_object_set_new(json, "pid", state->pid ? json_integer(state->pid) : json_null());
	json_object_set_new(json, "since", state->since ? json_integer(state->since) : json_null());
	return json;
}

int verb_status(struct cli_call *call, struct vmf_error *err)
{
	const char *name = call->vm->name;
	struct vm_state state;
	struct vm_trouble trouble = {.what = NULL};
	autofree char *line = NULL;
	autofree char *advice = NULL;
	json_t *json;

	(void)err;
	vm_state_ask(call->vm, &state, time_now_ms() + ASK_MS);
	call->exit_code = status_code(&state);
	/* the storage is asked only if it is to blame */
	if (str_equal(state.status, "io-error"))
		vm_storage_trouble(call->vm, &trouble);
	line = status_line(&state);
	advice = advice_on(&state, name, trouble.remedy);
	json = status_json(&state, name);
	json_object_set_new(json, "advice", out_string(advice));
	json_object_set_new(json, "trouble", out_string(trouble.what));
	json_object_set_new(json, "remedy", out_string(trouble.remedy));
	out_result(call, json, "%s: %s%s%s%s%s", name, line, trouble.what ? ": " : "",
		trouble.what ? trouble.what : "", advice ? "\n    " : "", advice ? advice : "");
	vm_trouble_free(&trouble);
	return 0;
}

/* ---- log ---------------------------------------------------------------------------------- */

/* The end of a file, at most LOG_SHOWN of it, as text; NULL and errno. */
static char *read_end(const char *path)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	off_t from;
	ssize_t n;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	from = st.st_size > LOG_SHOWN ? st.st_size - LOG_SHOWN : 0;
	text = mem_alloc((size_t)(st.st_size - from) + 1);
	n = pread(fd, text, (size_t)(st.st_size - from), from);
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = '?';
	return text;
}

/* Where the last COUNT lines begin. */
static const char *last_lines(const char *text, int64_t count)
{
	const char *p = text + strlen(text);

	if (p > text && p[-1] == '\n')
		p--;
	for (; p > text; p--)
		if (p[-1] == '\n' && --count <= 0)
			break;
	return p;
}

static void put_log_json(const struct cli_call *call, const char *path, const char *text)
{
	json_t *lines = json_array();

	while (*text) {
		size_t n = strcspn(text, "\n");
		autofree char *line = str_ndup(text, n);

		json_array_append_new(lines, out_string(line));
		text += n + (text[n] == '\n');
	}
	out_json(
		json_pack("{s:s, s:o, s:o}", "vm", call->vm->name, "path", out_string(path), "lines", lines));
}

int verb_log(struct cli_call *call, struct vmf_error *err)
{
	const char *lines = cli_option(call, "--lines", 0), *from;
	autofree char *path = vm_lib_path(call->vm, "log", ".log");
	autofree char *text = NULL;
	int64_t count = 0;

	if (lines && value_parse_int(lines, &count, err) < 0)
		return cli_usage(err, "--lines");
	if (cli_option(call, "--path", 0)) {
		if (call->ctx->json)
			out_json(json_pack("{s:s, s:o}", "vm", call->vm->name, "path", out_string(path)));
		else
			puts(path);
		return 0;
	}
	text = read_end(path);
	if (!text && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "%s", path);
	if (!text)
		log_warn("vm \"%s\" has no log: it was never started", call->vm->name);
	from = !text || (lines && count <= 0) ? "" : lines ? last_lines(text, count) : text;
	if (call->ctx->json) {
		put_log_json(call, path, from);
	} else if (tty_is(STDOUT_FILENO)) {
		autofree char *clean = out_clean(from);

		fputs(clean, stdout);
	} else {
		fputs(from, stdout);
	}
	return 0;
}
