/* SPDX-License-Identifier: ISC */
/*
 * LIB/audit.log: who did what, when, from where, and what became of it. A line of JSON before, another one
 * behind, each written in one go to a file that is only appended to; so what was cut off is there, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "cli/gate.h"
#include "config/value.h"

#define READ_MAX (8 << 20) /* of its end */
#define LINES_USUAL 50

static char *audit_path(const struct ctx *ctx)
{
	return path_join(ctx->paths.lib, "audit.log");
}

/* LINE is consumed. */
static int append(const struct ctx *ctx, json_t *line, struct vmf_error *err)
{
	autofree char *path = audit_path(ctx);
	char *json = json_dumps(line, JSON_COMPACT);
	autofree char *text = str_printf("%s\n", json ? json : "");
	size_t length = strlen(text);
	int rc = file_mkdirs(ctx->paths.lib, 0700, err);
	autoclose int fd = -1;

	free(json);
	json_decref(line);
	if (rc < 0)
		return -1;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text, length) != (ssize_t)length)
		return vmf_fail_errno(err, "make room, then try again", "cannot write %s", path);
	return 0;
}

static json_t *head(const struct audit *audit, const char *event)
{
	char when[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s, s:s, s:s, s:o, s:s}", "time", when, "id", audit->id, "who", audit->who,
		"from", out_string(audit->from), "event", event);
}

int audit_begin(const struct ctx *ctx, struct audit *audit, const struct strv *words, const char *text,
	struct vmf_error *err)
{
	json_t *line;

	audit->began_ms = time_now_ms();
	snprintf(audit->id, sizeof(audit->id), "%lld-%d", (long long)time(NULL), (int)getpid());
	line = head(audit, "begin");
	if (text)
		json_object_set_new(line, "text", out_string(text));
	else
		json_object_set_new(line, "words", out_strings(words));
	return append(ctx, line, err);
}

void audit_end(const struct ctx *ctx, const struct audit *audit, const char *result, int code,
	const struct vmf_error *err)
{
	struct vmf_error own = VMF_ERROR_INIT;
	json_t *line = head(audit, "end");

	json_object_set_new(line, "result", json_string(result));
	json_object_set_new(line, "code", json_integer(code));
	if (err && err->code)
		json_object_set_new(line, "message", out_string(err->message));
	json_object_set_new(line, "took_ms", json_integer(time_now_ms() - audit->began_ms));
	if (append(ctx, line, &own) < 0)
		log_warn("%s", own.message);
	error_clear(&own);
}

/* ---- to look at it -------------------------------------------------------------------------- */

/* The end of the file, from the first whole line on; "" if there is none. NULL and err. */
static char *read_end(const struct ctx *ctx, struct vmf_error *err)
{
	autofree char *path = audit_path(ctx);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), from = size > READ_MAX ? size - READ_MAX : 0;
	char *text = mem_alloc((size_t)(size - from) + 1), *line;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return text;
	n = fd < 0 ? -1 : pread(fd, text, (size_t)(size - from), from);
	if (n < 0) {
		free(text);
		vmf_fail_errno(err, NULL, "cannot read %s", path);
		return NULL;
	}
	text[n] = '\0';
	line = from ? strchr(text, '\n') : NULL;
	if (line)
		memmove(text, line + 1, strlen(line + 1) + 1);
	return text;
}

/* One entry for both lines: what the begin says, with the end's words over it. */
static json_t *join(const char *text, const char *who)
{
	json_t *all = json_array(), *open = json_object();

	for (const char *line = text, *next; *line; line = next) {
		size_t n = strcspn(line, "\n");
		json_t *entry = json_loadb(line, n, 0, NULL), *begun;
		const char *id = json_string_value(json_object_get(entry, "id"));
		const char *name = json_string_value(json_object_get(entry, "who"));

		next = line + n + (line[n] == '\n');
		begun = id ? json_object_get(open, id) : NULL;
		if (!id || (who && !str_equal(name, who))) {
			json_decref(entry);
			continue;
		}
		json_object_del(entry, "event");
		if (begun) {
			json_object_del(entry, "time");
			json_object_update(begun, entry);
			json_object_del(open, id);
		} else {
			json_array_append(all, entry);
			if (!json_object_get(entry, "result"))
				json_object_set(open, id, entry);
		}
		json_decref(entry);
	}
	json_decref(open);
	return all;
}

static char *command_of(const json_t *entry)
{
	struct strbuf line = STRBUF_INIT;
	const json_t *words = json_object_get(entry, "words"), *word;
	const char *text = json_string_value(json_object_get(entry, "text"));
	size_t i;

	if (text)
		strbuf_puts(&line, text);
	json_array_foreach(words, i, word)
	{
		const char *w = json_string_value(word);

		strbuf_printf(&line, "%s%s", i ? " " : "", w ? w : "");
	}
	return strbuf_take(&line);
}

int command_audit(struct cli_call *call, struct vmf_error *err)
{
	static const char *const heads[] = {"TIME", "WHO", "FROM", "RESULT", "COMMAND", "WHY"};
	const char *lines = cli_option(call, "--lines", 0);
	autofree char *text = NULL;
	int64_t most = LINES_USUAL;
	struct out_table *table;
	json_t *all;
	size_t n;

	if (call->args.count > 1)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "audit: one owner's name, or none");
	if (lines && value_parse_int(lines, &most, err) < 0)
		return cli_usage(err, "--lines");
	text = read_end(call->ctx, err);
	if (!text)
		return -1;
	all = join(text, call->args.count ? call->args.items[0] : NULL);
	for (n = json_array_size(all); most >= 0 && n > (size_t)most; n--)
		json_array_remove(all, 0);
	if (call->ctx->json) {
		out_json(all);
		return 0;
	}
	table = out_table_new(heads, VMF_COUNT(heads));
	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_array_get(all, i);
		const char *result = json_string_value(json_object_get(e, "result"));
		autofree char *command = command_of(e);

		out_table_row(table,
			(const char *const[]){json_string_value(json_object_get(e, "time")),
				json_string_value(json_object_get(e, "who")),
				json_string_value(json_object_get(e, "from")), result ? result : "unfinished",
				command, json_string_value(json_object_get(e, "message"))});
	}
	out_table_print(table);
	out_table_free(table);
	json_decref(all);
	return 0;
}
