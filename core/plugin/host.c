/* SPDX-License-Identifier: ISC */
/* The host table: what plugins may call, on top of core's own services. */
#include "plugin/plugin.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "config/config.h"

static int host_fail(struct vmf_error *err, int code, int errnum, const char *hint, const char *fmt, ...)
	VMF_PRINTF(5, 6);
static int host_context(struct vmf_error *err, const char *fmt, ...) VMF_PRINTF(2, 3);
static void host_log(const struct vmf_call *call, int level, const char *fmt, ...) VMF_PRINTF(3, 4);
static char *host_printf(const struct vmf_call *call, const char *fmt, ...) VMF_PRINTF(2, 3);

static const struct host_services *services_of(const struct vmf_call *call)
{
	return call->host_data;
}

static struct arena *arena_of(const struct vmf_call *call)
{
	return services_of(call)->arena;
}

/* ---- errors and words --------------------------------------------------------------------- */

static int host_fail(struct vmf_error *err, int code, int errnum, const char *hint, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (!err)
		return -1;
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	vmf_fail(err, code, errnum, hint, "%s", text);
	free(text);
	return -1;
}

static int host_context(struct vmf_error *err, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (!err)
		return -1;
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	vmf_context(err, "%s", text);
	free(text);
	return -1;
}

static void host_log(const struct vmf_call *call, int level, const char *fmt, ...)
{
	void (*say)(const char *, ...) VMF_PRINTF(1, 2) = log_debug;
	const char *vm = call->vm && call->vm->name ? call->vm->name : NULL;
	const char *what = call->slot ? call->slot : call->instance;
	va_list ap;
	char *text;

	if (level == VMF_LOG_WARN)
		say = log_warn;
	else if (level == VMF_LOG_INFO)
		say = log_info;
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	say("%s%s%s%s%s", vm ? vm : "", vm ? ": " : "", what ? what : "", what ? ": " : "", text);
	free(text);
}

static int host_progress(const struct vmf_call *call, const char *what, uint64_t done, uint64_t total)
{
	(void)call;
	return log_progress(what, done, total);
}

/* ---- options ------------------------------------------------------------------------------ */

static const struct conf_value *value_of(const struct vmf_call *call, const char *name)
{
	return call->opts ? conf_opts_get(call->opts, name) : NULL;
}

static const char *host_opt_item(const struct vmf_call *call, const char *name, size_t index)
{
	const struct conf_value *v = value_of(call, name);

	return v && index < v->n_items ? v->items[index] : NULL;
}

static const char *host_opt_string(const struct vmf_call *call, const char *name)
{
	return host_opt_item(call, name, 0);
}

static size_t host_opt_count(const struct vmf_call *call, const char *name)
{
	const struct conf_value *v = value_of(call, name);

	return v ? v->n_items : 0;
}

static int64_t host_opt_int(const struct vmf_call *call, const char *name)
{
	const struct conf_value *v = value_of(call, name);

	return v && v->n_items ? v->number : 0;
}

static int host_opt_bool(const struct vmf_call *call, const char *name)
{
	return host_opt_int(call, name) != 0;
}

static int host_opt_is_set(const struct vmf_call *call, const char *name)
{
	const struct conf_value *v = value_of(call, name);

	return v && v->n_items && v->file && !str_equal(v->file, "built-in");
}

static const char *host_opt_origin(const struct vmf_call *call, const char *name)
{
	const struct conf_value *v = value_of(call, name);

	if (v && v->file && host_opt_is_set(call, name))
		return arena_dup(arena_of(call), conf_where(v->file, v->line));
	return call->opts && call->opts->plugin ? call->opts->plugin : "built-in";
}

/* ---- state -------------------------------------------------------------------------------- */

static const char *host_state_get(const struct vmf_call *call, const char *key)
{
	const struct host_services *s = services_of(call);

	/* a copy: a later state_set() must not pull it away */
	return s->state_get ? arena_dup(s->arena, s->state_get(s->data, call->slot, key)) : NULL;
}

static int host_state_set(
	const struct vmf_call *call, const char *key, const char *value, struct vmf_error *err)
{
	const struct host_services *s = services_of(call);

	if (!s->state_set)
		return vmf_fail(
			err, VMF_E_UNSUPPORTED, 0, NULL, "no state is kept for this call (key %s)", key);
	return s->state_set(s->data, call->slot, key, value, err);
}

/* ---- memory ------------------------------------------------------------------------------- */

static char *host_strdup(const struct vmf_call *call, const char *text)
{
	return arena_dup(arena_of(call), text);
}

static char *host_printf(const struct vmf_call *call, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = arena_vprintf(arena_of(call), fmt, ap);
	va_end(ap);
	return text;
}

static void *host_alloc(const struct vmf_call *call, size_t size)
{
	return arena_alloc(arena_of(call), size);
}

/* malloc'd text becomes the operation's */
static char *adopt(const struct vmf_call *call, char *text)
{
	char *copy = text ? arena_dup(arena_of(call), text) : NULL;

	free(text);
	return copy;
}

/* ---- programs ----------------------------------------------------------------------------- */

#define RUN_SIZE_1_0 (offsetof(struct vmf_run, status) + sizeof(int))

static int host_run(const struct vmf_call *call, struct vmf_run *given, struct vmf_error *err)
{
	size_t size = given->size < sizeof(struct vmf_run) ? given->size : sizeof(struct vmf_run);
	struct vmf_run run = {0};
	int rc;

	if (size < RUN_SIZE_1_0 || !given->argv || !given->argv[0])
		return vmf_fail(err, VMF_E_FAILED, 0, "this is for the plugin's author to mend",
			"a plugin asked for a program with a struct vmf_run that is not filled in");
	memcpy(&run, given, size);
	run.size = sizeof(run);
	run.out = run.err = NULL;
	rc = proc_run(&run, call->deadline_ms, err);
	run.out = adopt(call, run.out);
	run.err = adopt(call, run.err);
	run.size = given->size;
	memcpy(given, &run, size);
	return rc;
}

/* The last lines of what a program said, on one line: "lvcreate: no such group; giving up". */
static char *last_words(const char *text)
{
	struct strbuf words = STRBUF_INIT;
	const char *lines[3] = {NULL, NULL, NULL};
	size_t n = 0;

	for (const char *at = text; at && *at; at += strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n')) {
		at += strspn(at, " \t\r\n");
		if (*at)
			lines[n++ % VMF_COUNT(lines)] = at;
	}
	for (size_t i = n > VMF_COUNT(lines) ? n - VMF_COUNT(lines) : 0; i < n; i++) {
		const char *line = lines[i % VMF_COUNT(lines)];
		size_t length = strcspn(line, "\n");

		while (length && strchr(" \t\r.", line[length - 1]))
			length--;
		if (words.length)
			strbuf_puts(&words, "; ");
		strbuf_add(&words, line, length);
	}
	return strbuf_take(&words);
}

static int host_run_checked(const struct vmf_call *call, struct vmf_run *run, struct vmf_error *err)
{
	autofree char *words = NULL;

	if (host_run(call, run, err) < 0)
		return -1;
	if (run->status == 0)
		return 0;
	words = last_words(run->err && *run->err ? run->err : run->out);
	if (*words)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s failed: %s", run->argv[0], words);
	if (run->status > 128)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s was ended by signal %d", run->argv[0],
			run->status - 128);
	return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s failed with exit code %d", run->argv[0], run->status);
}

/* ---- QEMU --------------------------------------------------------------------------------- */

static int host_qmp(const struct vmf_call *call, const char *command, const char *arguments_json, int fd,
	const char *fd_name, char **answer_json, struct vmf_error *err)
{
	const struct host_services *s = services_of(call);
	char *answer = NULL;

	if (!s->qmp)
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "%s needs a running VM", command);
	if (s->qmp(s->data, command, arguments_json, fd, fd_name, answer_json ? &answer : NULL, err) < 0)
		return -1;
	if (answer_json)
		*answer_json = adopt(call, answer);
	return 0;
}

/* ---- the table ---------------------------------------------------------------------------- */

static const struct vmf_host table = {
	.size = sizeof(struct vmf_host),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.fail = host_fail,
	.context = host_context,
	.log = host_log,
	.opt_string = host_opt_string,
	.opt_int = host_opt_int,
	.opt_bool = host_opt_bool,
	.opt_count = host_opt_count,
	.opt_item = host_opt_item,
	.opt_is_set = host_opt_is_set,
	.opt_origin = host_opt_origin,
	.state_get = host_state_get,
	.state_set = host_state_set,
	.strdup = host_strdup,
	.printf = host_printf,
	.alloc = host_alloc,
	.run = host_run,
	.run_checked = host_run_checked,
	.progress = host_progress,
	.qmp = host_qmp,
};

const struct vmf_host *host_table(void)
{
	return &table;
}

void host_call_init(struct vmf_call *call, const struct host_services *services, const struct vmf_opts *opts,
	const struct vmf_vm_id *vm, const char *instance, const char *slot, unsigned slot_index)
{
	*call = (struct vmf_call){
		.size = sizeof(*call),
		.host = &table,
		.opts = opts,
		.vm = vm,
		.instance = instance,
		.slot = slot,
		.slot_index = slot_index,
		.host_data = services,
	};
}
