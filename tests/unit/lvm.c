/* SPDX-License-Identifier: ISC */
#include "lvm.h"

#include <stdarg.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "config/config.h"

static struct strv folders;
static const struct plugin *plugin;
const struct vmf_storage_ops *ops;
static struct vmf_opts *opts;
static struct arena arena;
static struct host_services services = {.arena = &arena};
struct vmf_vm_id id = {.size = sizeof(id), .name = "web0", .uuid = UUID};
static struct vmf_host host;
struct vmf_call call;
struct vmf_error err;

/* ---- lvm, as far as we play it ------------------------------------------------------------- */

char *recorded;	       /* what lvs said once */
const char *lvs, *vgs; /* what they say now */
const char *refused;   /* a program that fails ... */
const char *words;     /* ... with these words ... */
int status;	       /* ... and this exit status */
struct strv commands;  /* those that change something */
unsigned n_looks, n_runs, fail_at;
long look_ms; /* how long lvs takes */

static int fake_run(const struct vmf_call *c, struct vmf_run *run, struct vmf_error *e)
{
	const char *program = run->argv[4];
	struct strbuf line = STRBUF_INIT;

	/* always through env, in the C locale */
	ck_assert_str_eq(run->argv[0], "env");
	ck_assert_str_eq(run->argv[1], "LC_ALL=C");
	ck_assert_msg(str_starts(run->argv[3], "PATH="), "%s", run->argv[3]);
	run->out = run->err = (char *)"";
	run->status = 0;
	if (++n_runs == fail_at)
		return vmf_fail(e, VMF_E_TIMEOUT, 0, NULL, "%s took too long", program);
	if (refused && str_equal(program, refused)) {
		run->err = host_table()->strdup(c, words);
		run->status = status;
		return 0;
	}
	if (str_equal(program, "lvs") || str_equal(program, "vgs")) {
		n_looks++;
		if (look_ms)
			nanosleep(&(struct timespec){0, look_ms * 1000000}, NULL);
		run->out = host_table()->strdup(c, program[0] == 'l' ? lvs : vgs);
		return 0;
	}
	for (const char *const *arg = run->argv + 4; *arg; arg++)
		strbuf_printf(&line, "%s%s", line.length ? " " : "", *arg);
	strv_take(&commands, strbuf_take(&line));
	if (str_equal(program, "lvremove"))
		for (const char *const *arg = run->argv + 4; *arg; arg++)
			if (strchr(*arg, '/'))
				run->out = host_table()->printf(c,
					"%s  Logical volume \"%s\" successfully removed.\n", run->out, *arg);
	return 0;
}

static void no_log(const struct vmf_call *c, int level, const char *fmt, ...) VMF_PRINTF(3, 4);

static void no_log(const struct vmf_call *c, int level, const char *fmt, ...)
{
	(void)c;
	(void)level;
	(void)fmt;
}

/* The store's options, as JSON without the braces. */
void use(const char *text)
{
	autofree char *json = str_printf("{%s}", text);

	conf_opts_free(opts);
	opts = conf_opts_load(&plugin->desc, json, &err);
	ck_assert_msg(opts != NULL, "%s", err.message);
	host_call_init(&call, &services, opts, &id, "fast", NULL, 0);
	host = *host_table();
	host.run = fake_run;
	host.log = no_log;
	call.host = &host;
}

void setup(void)
{
	const char *top = getenv("top_srcdir");
	autofree char *path = str_printf("%s/tests/unit/lvm-lvs.json", top ? top : ".");

	recorded = file_read(path, 1 << 20, NULL, &err);
	ck_assert_msg(recorded != NULL, "%s", err.message);
	plugin_search_path(&folders);
	plugin_setup(&folders);
	plugin = plugin_get(VMF_STORAGE, "lvm", &err);
	ck_assert_msg(plugin != NULL, "%s", err.message);
	ops = &plugin->ops.storage;
	lvs = recorded;
	vgs = EMPTY_VG;
	refused = NULL;
	n_looks = n_runs = fail_at = 0;
	look_ms = 0;
	use("");
}

void teardown(void)
{
	conf_opts_free(opts);
	opts = NULL;
	plugin_teardown();
	strv_free(&folders);
	strv_free(&commands);
	free(recorded);
	arena_free(&arena);
	error_clear(&err);
}

/* ---- what tests say -------------------------------------------------------------------------- */

void did(const char *first, ...)
{
	size_t n = 0;
	va_list more;

	va_start(more, first);
	for (const char *expected = first; expected; expected = va_arg(more, const char *), n++) {
		ck_assert_msg(n < commands.count, "missing: %s", expected);
		ck_assert_str_eq(commands.items[n], expected);
	}
	va_end(more);
	ck_assert_msg(n == commands.count, "too much: %s", n < commands.count ? commands.items[n] : "");
	strv_free(&commands);
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
