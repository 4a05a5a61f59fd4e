/* SPDX-License-Identifier: ISC */
/* Plugins: which are found, which are refused and with what words, and the table that they call. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "config/config.h"
#include "plugin/loader.h"
#include "plugin/plugin.h"

#undef fail /* a macro of check.h, and a call of the host table */

static struct strv folders;
static char *built;  /* where the Makefile put the bad plugins */
static char *folder; /* of this test */
static struct vmf_error err;

static void setup(void)
{
	const char *top = getenv("top_builddir");
	char *dir = NULL;

	built = path_join(top ? top : ".", "tests/badplugins");
	dir = realpath(built, NULL);
	ck_assert_ptr_nonnull(dir);
	free(built);
	built = dir;
	folder = str_dup("/tmp/vmf-test-plugin-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	plugin_teardown();
	strv_free(&folders);
	ck_assert_int_eq(file_remove_tree(folder, &ignored), 0);
	free(folder);
	free(built);
	error_clear(&err);
}

static void search(const char *first, const char *second)
{
	strv_add(&folders, first);
	if (second)
		strv_add(&folders, second);
	plugin_setup(&folders);
}

static void copy(const char *name, const char *as, mode_t mode)
{
	autofree char *from = str_printf("%s/%s.so", built, name);
	autofree char *to = str_printf("%s/%s.so", folder, as);
	size_t length;
	char *data = file_read(from, 1 << 24, &length, &err);

	ck_assert_msg(data != NULL, "%s: %s", from, err.message);
	ck_assert_int_eq(file_write(to, data, length, mode, false, &err), 0);
	ck_assert_int_eq(chmod(to, mode), 0);
	free(data);
}

static void put(const char *as, const char *data, size_t length)
{
	autofree char *to = str_printf("%s/%s", folder, as);

	ck_assert_int_eq(file_write(to, data, length, 0644, false, &err), 0);
}

/* The message names the file, says WHAT, and there is a hint. */
static void refused(enum vmf_kind kind, const char *name, const char *what)
{
	autofree char *file = str_printf("%s-%s.so", plugin_kind_name(kind), name);

	ck_assert_ptr_null(plugin_get(kind, name, &err));
	ck_assert_int_eq(err.code, VMF_E_FAILED);
	ck_assert_msg(strstr(err.message, file) != NULL, "no file in: %s", err.message);
	ck_assert_msg(strstr(err.message, what) != NULL, "expected \"%s\" in: %s", what, err.message);
	ck_assert_ptr_null(strchr(err.message, '\n'));
	ck_assert_ptr_nonnull(err.hint);
}

/* ---- loading ------------------------------------------------------------------------------ */

START_TEST(good)
{
	const struct plugin *p, *again;
	struct vmf_call call;
	struct arena arena = {NULL};
	struct host_services services = {.arena = &arena};

	search(folder, built);
	p = plugin_get(VMF_STORAGE, "good", &err);
	ck_assert_msg(p != NULL, "%s", err.message);
	ck_assert_int_eq(p->state, PLUGIN_OK);
	ck_assert_str_eq(p->desc.summary, "for tests");
	ck_assert_uint_eq(p->desc.n_options, 1);
	ck_assert_str_eq(p->desc.options[0].name, "dir");
	again = plugin_get(VMF_STORAGE, "good", &err);
	ck_assert_ptr_eq(p, again);
	host_call_init(&call, &services, NULL, NULL, "files", "root", 0);
	ck_assert_int_eq(p->ops.storage.create(&call, "v", 1, &err), -1);
	ck_assert_str_eq(err.message, "cannot create v");
	ck_assert_str_eq(err.hint, "use another");
	ck_assert_int_eq(err.code, VMF_E_UNSUPPORTED);
	arena_free(&arena);
}
END_TEST

START_TEST(longer_and_shorter)
{
	const struct plugin *p;

	search(built, NULL);
	p = plugin_get(VMF_STORAGE, "longer", &err);
	ck_assert_msg(p != NULL, "%s", err.message);
	ck_assert_uint_eq(p->desc.n_options, 2);
	ck_assert_str_eq(p->desc.options[1].name, "two");
	ck_assert_uint_eq(p->desc.option_stride, sizeof(struct vmf_option));
	p = plugin_get(VMF_STORAGE, "short-ops", &err);
	ck_assert_msg(p != NULL, "%s", err.message);
	ck_assert(p->ops.storage.attach != NULL);
	ck_assert(p->ops.storage.snapshot == NULL);
}
END_TEST

static const struct {
	const char *name, *what;
} bad[] = {
	{"wrong-major", "is made for plugin ABI 2.0, this vmf has 1."},
	{"newer-minor", "this vmf is older and has 1."},
	{"no-symbol", "has no symbol storage_no_symbol_LTX_vmf_plugin"},
	{"undefined", "undefined symbol: nobody_has_this_function"},
	{"truncated", "its struct vmf_plugin has "},
	{"wrong-kind",
		"holds the network plugin \"wrong-kind\", but its file is named as the storage plugin"},
	{"unknown-kind", "is of kind 77"},
	{"wrong-name", "holds the storage plugin \"right-name\", but its file is named as the storage plugin "
		       "\"wrong-name\""},
	{"must-understand", "relies on something that this vmf does not know (flags 0x20000)"},
	{"no-summary", "has no summary"},
	{"no-ops", "has no calls"},
	{"odd-ops", "says that it has 3 bytes"},
	{"lacks-call", "lacks the call attach, which a storage plugin must have"},
	{"option-type", "option what is of type 99"},
	{"option-default", "option count: the default \"many\" is refused"},
	{"option-choices", "option format is an enum without choices"},
	{"option-twice", "has the option dir twice"},
	{"option-help", "option silent has no help text"},
	{"option-stride", "its options have 16 bytes each"},
	{"option-null", "says that it has 2 options, but there is no such table"},
};

START_TEST(bad_plugin)
{
	search(built, NULL);
	refused(VMF_STORAGE, bad[_i].name, bad[_i].what);
	error_clear(&err);
	/* the second time it is remembered, in the same words */
	refused(VMF_STORAGE, bad[_i].name, bad[_i].what);
}
END_TEST

START_TEST(garbage)
{
	search(folder, NULL);
	put("storage-text.so", "this is no program\n", 19);
	put("storage-empty.so", "", 0);
	refused(VMF_STORAGE, "text", "cannot be loaded: ");
	error_clear(&err);
	refused(VMF_STORAGE, "empty", "cannot be loaded: ");
}
END_TEST

START_TEST(folder_as_file)
{
	autofree char *path = path_join(folder, "storage-dir.so");

	search(folder, NULL);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	refused(VMF_STORAGE, "dir", "cannot be loaded: ");
}
END_TEST

START_TEST(renamed)
{
	search(folder, NULL);
	copy("storage-good", "storage-other", 0644);
	refused(VMF_STORAGE, "other", "has no symbol storage_other_LTX_vmf_plugin");
}
END_TEST

START_TEST(writable_by_all)
{
	search(folder, NULL);
	copy("storage-good", "storage-good", 0666);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "good", &err));
	ck_assert_int_eq(err.code, VMF_E_PERMISSION);
	ck_assert_msg(strstr(err.message, "storage-good.so can be written by everybody") != NULL, "%s",
		err.message);
	ck_assert_ptr_nonnull(strstr(err.hint, "chmod o-w"));
}
END_TEST

START_TEST(folder_writable_by_all)
{
	search(folder, NULL);
	copy("storage-good", "storage-good", 0644);
	ck_assert_int_eq(chmod(folder, 01777), 0);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "good", &err));
	ck_assert_int_eq(err.code, VMF_E_PERMISSION);
	ck_assert_ptr_nonnull(strstr(err.message, "plugin folder"));
}
END_TEST

START_TEST(owned_by_another)
{
	autofree char *path = path_join(folder, "storage-good.so");

	if (geteuid() != 0)
		return;
	search(folder, NULL);
	copy("storage-good", "storage-good", 0644);
	ck_assert_int_eq(chown(path, 54321, 0), 0);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "good", &err));
	ck_assert_int_eq(err.code, VMF_E_PERMISSION);
	ck_assert_ptr_nonnull(strstr(err.message, "belongs to user 54321"));
	error_clear(&err);
	plugin_teardown();
	plugin_setup(&folders);
	ck_assert_int_eq(chown(path, 0, 54321), 0);
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "good", &err));
	ck_assert_ptr_nonnull(strstr(err.message, "can be written by group 54321"));
}
END_TEST

START_TEST(missing)
{
	search(folder, built);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "goof", &err));
	ck_assert_int_eq(err.code, VMF_E_MISSING);
	ck_assert_str_eq(err.message, "no storage plugin \"goof\"");
	ck_assert_ptr_nonnull(strstr(err.hint, "did you mean \"good\"?"));
	error_clear(&err);
	ck_assert_ptr_null(plugin_get(VMF_DISPLAY, "good", &err));
	ck_assert_ptr_nonnull(strstr(err.hint, "no display plugin is installed; looked in: "));
	error_clear(&err);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "../storage-good", &err));
	ck_assert_int_eq(err.code, VMF_E_MISSING);
	error_clear(&err);
	ck_assert_ptr_null(plugin_get(VMF_STORAGE, "", &err));
	ck_assert_int_eq(err.code, VMF_E_MISSING);
}
END_TEST

START_TEST(shadowed)
{
	const struct plugin *const *list;
	size_t count, ok = 0, hidden = 0, broken = 0;

	search(folder, built);
	copy("storage-good", "storage-good", 0644);
	put("nonsense.so", "x", 1);
	put("storage-good.la", "x", 1);
	count = plugin_list(&list);
	for (size_t i = 0; i < count; i++) {
		if (str_equal(list[i]->name, "good")) {
			ok += list[i]->state == PLUGIN_OK && str_starts(list[i]->path, folder);
			hidden += list[i]->state == PLUGIN_SHADOWED && str_starts(list[i]->path, built) &&
				  str_starts(list[i]->why, folder);
		}
		broken += list[i]->state == PLUGIN_BROKEN;
		if (list[i]->state != PLUGIN_OK)
			ck_assert_ptr_nonnull(list[i]->why);
	}
	ck_assert_uint_eq(ok, 1);
	ck_assert_uint_eq(hidden, 1);
	ck_assert_uint_eq(broken, VMF_COUNT(bad) + 1);
}
END_TEST

START_TEST(names)
{
	struct strv found = STRV_INIT;

	search(folder, built);
	copy("storage-good", "storage-good", 0644);
	put("network-one.so", "", 0);
	put("network-.so", "", 0);
	put("network-a.b.so", "", 0);
	plugin_names(VMF_NETWORK, &found);
	ck_assert_uint_eq(found.count, 1);
	ck_assert_str_eq(found.items[0], "one");
	strv_free(&found);
	plugin_names(VMF_STORAGE, &found);
	ck_assert(strv_has(&found, "good"));
	ck_assert_uint_ge(found.count, VMF_COUNT(bad) + 3);
	strv_free(&found);
}
END_TEST

START_TEST(search_path)
{
	struct strv list = STRV_INIT;
	autofree char *path = str_printf("%s:%s::%s:/no/such/folder", folder, built, folder);

	ck_assert_int_eq(setenv("VMF_PLUGIN_PATH", path, 1), 0);
	plugin_search_path(&list);
	ck_assert_uint_ge(list.count, 4);
	ck_assert_str_eq(list.items[0], folder);
	ck_assert_str_eq(list.items[1], built);
	ck_assert_str_eq(list.items[2], "/no/such/folder");
	for (size_t i = 3; i < list.count; i++)
		ck_assert_str_ne(list.items[i], folder);
	strv_free(&list);
}
END_TEST

START_TEST(relative_path)
{
	struct loader_module module;

	ck_assert_int_eq(loader_open("storage-good.so", &module, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "not absolute"));
}
END_TEST

/* ---- the host table ----------------------------------------------------------------------- */

static struct arena arena;
static struct vmf_call call;
static char state_key[32], state_value[32];

static const char *state_get(void *data, const char *slot, const char *key)
{
	ck_assert_ptr_eq(data, &arena);
	ck_assert_str_eq(slot, "root");
	return str_equal(key, state_key) ? state_value : NULL;
}

static int state_set(void *data, const char *slot, const char *key, const char *value, struct vmf_error *e)
{
	(void)e;
	ck_assert_ptr_eq(data, &arena);
	ck_assert_str_eq(slot, "root");
	snprintf(state_key, sizeof(state_key), "%s", key);
	snprintf(state_value, sizeof(state_value), "%s", value);
	return 0;
}

static int qmp(void *data, const char *command, const char *arguments, int fd, const char *fd_name,
	char **answer, struct vmf_error *e)
{
	(void)data;
	(void)arguments;
	(void)fd;
	(void)fd_name;
	if (str_equal(command, "bad"))
		return vmf_fail(e, VMF_E_FAILED, 0, NULL, "no such command");
	if (answer)
		*answer = str_dup("{}");
	return 0;
}

static const struct host_services services = {
	.arena = &arena, .data = &arena, .state_get = state_get, .state_set = state_set, .qmp = qmp};

START_TEST(host_basics)
{
	static const struct host_services bare = {.arena = &arena};
	const struct vmf_host *h = host_table();
	char *answer = NULL, *text;

	host_call_init(&call, &services, NULL, NULL, "files", "root", 2);
	ck_assert_uint_eq(call.size, sizeof(call));
	ck_assert_ptr_eq(call.host, h);
	ck_assert_uint_eq(call.slot_index, 2);
	ck_assert_int_eq(h->fail(&err, VMF_E_BUSY, ENOSPC, "wait", "disk %d", 1), -1);
	ck_assert_int_eq(h->context(&err, "vm %s", "a"), -1);
	ck_assert_str_eq(err.message, "vm a: disk 1: No space left on device");
	ck_assert_int_eq(h->fail(NULL, VMF_E_BUSY, 0, NULL, "nobody listens"), -1);
	ck_assert_int_eq(h->context(NULL, "nobody"), -1);
	error_clear(&err);

	text = h->printf(&call, "%s-%d", "x", 3);
	ck_assert_str_eq(text, "x-3");
	ck_assert_str_eq(h->strdup(&call, text), "x-3");
	ck_assert_ptr_null(h->strdup(&call, NULL));
	ck_assert_int_eq(*(int *)h->alloc(&call, sizeof(int)), 0);

	ck_assert_ptr_null(h->state_get(&call, "tap"));
	ck_assert_int_eq(h->state_set(&call, "tap", "tap0", &err), 0);
	ck_assert_str_eq(h->state_get(&call, "tap"), "tap0");

	ck_assert_int_eq(h->qmp(&call, "stop", NULL, -1, NULL, &answer, &err), 0);
	ck_assert_str_eq(answer, "{}");
	ck_assert_int_eq(h->qmp(&call, "stop", NULL, -1, NULL, NULL, &err), 0);
	ck_assert_int_eq(h->qmp(&call, "bad", NULL, -1, NULL, &answer, &err), -1);
	error_clear(&err);

	host_call_init(&call, &bare, NULL, NULL, "files", NULL, 0);
	ck_assert_ptr_null(h->state_get(&call, "tap"));
	ck_assert_int_eq(h->state_set(&call, "tap", "x", &err), -1);
	error_clear(&err);
	ck_assert_int_eq(h->qmp(&call, "stop", NULL, -1, NULL, NULL, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_STATE);
	ck_assert_ptr_null(h->opt_string(&call, "dir"));
	ck_assert_uint_eq(h->opt_count(&call, "dir"), 0);
	ck_assert_int_eq(h->opt_int(&call, "dir"), 0);
	arena_free(&arena);
}
END_TEST

START_TEST(host_run)
{
	const struct vmf_host *h = host_table();
	const char *words[] = {"sh", "-c", "echo out; echo 'one.' >&2; echo two >&2; exit 3", NULL};
	const char *quiet[] = {"sh", "-c", "exit 4", NULL};
	const char *none[] = {"no-such-program-here", NULL};
	struct vmf_run run = {.size = sizeof(run), .argv = words};

	host_call_init(&call, &services, NULL, NULL, NULL, NULL, 0);
	ck_assert_int_eq(h->run(&call, &run, &err), 0);
	ck_assert_int_eq(run.status, 3);
	ck_assert_str_eq(run.out, "out\n");
	ck_assert_str_eq(run.err, "one.\ntwo\n");
	ck_assert_int_eq(h->run_checked(&call, &run, &err), -1);
	ck_assert_str_eq(err.message, "sh failed: one; two");
	error_clear(&err);
	run.argv = quiet;
	ck_assert_int_eq(h->run_checked(&call, &run, &err), -1);
	ck_assert_str_eq(err.message, "sh failed with exit code 4");
	error_clear(&err);
	run.argv = none;
	ck_assert_int_eq(h->run(&call, &run, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_MISSING);
	error_clear(&err);
	run.argv = words;
	run.size = 8;
	ck_assert_int_eq(h->run(&call, &run, &err), -1);
	arena_free(&arena);
}
END_TEST

/* A program that is out of time may still tidy up; one that does not want to end is ended. */
START_TEST(host_run_ends)
{
	const struct vmf_host *h = host_table();
	const char *polite[] = {"sh", "-c",
		"trap 'echo tidied; exit 0' TERM; echo ready; while :; do sleep 0.05; done", NULL};
	const char *stubborn[] = {"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done", NULL};
	struct vmf_run run = {.size = sizeof(run), .argv = polite, .timeout_ms = 500};

	host_call_init(&call, &services, NULL, NULL, NULL, NULL, 0);
	ck_assert_int_eq(h->run(&call, &run, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_TIMEOUT);
	ck_assert_str_eq(run.out, "ready\ntidied\n");
	ck_assert_int_eq(run.status, 0);
	error_clear(&err);
	run.argv = stubborn;
	ck_assert_int_eq(h->run(&call, &run, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_TIMEOUT);
	ck_assert_int_eq(run.status, 128 + SIGKILL);
	error_clear(&err);
	arena_free(&arena);
}
END_TEST

START_TEST(host_options)
{
	static const struct vmf_option table[] = {
		{.name = "dir", .type = VMF_OPT_STRING, .default_value = "/srv", .help = "h"},
		{.name = "size", .type = VMF_OPT_SIZE, .help = "h"},
		{.name = "sync", .type = VMF_OPT_BOOL, .default_value = "yes", .help = "h"},
		{.name = "list", .type = VMF_OPT_LIST, .help = "h"},
	};
	static const struct vmf_plugin plugin = {.size = sizeof(plugin),
		.name = "test",
		.options = table,
		.n_options = VMF_COUNT(table),
		.option_stride = sizeof(table[0])};
	const struct vmf_host *h = host_table();
	struct vmf_opts *opts = conf_opts_load(&plugin, "{\"size\": \"2K\", \"list\": [\"a\", \"b\"]}", &err);

	ck_assert_msg(opts != NULL, "%s", err.message);
	host_call_init(&call, &services, opts, NULL, NULL, NULL, 0);
	ck_assert_str_eq(h->opt_string(&call, "dir"), "/srv");
	ck_assert(!h->opt_is_set(&call, "dir"));
	ck_assert_str_eq(h->opt_origin(&call, "dir"), "test");
	ck_assert_int_eq(h->opt_int(&call, "size"), 2048);
	ck_assert(h->opt_is_set(&call, "size"));
	ck_assert_int_eq(h->opt_bool(&call, "sync"), 1);
	ck_assert_uint_eq(h->opt_count(&call, "list"), 2);
	ck_assert_str_eq(h->opt_item(&call, "list", 1), "b");
	ck_assert_ptr_null(h->opt_item(&call, "list", 2));
	conf_opts_free(opts);
	arena_free(&arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugin");
	TCase *loading = tcase_create("loading"), *host = tcase_create("host");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(loading, setup, teardown);
	tcase_add_test(loading, good);
	tcase_add_test(loading, longer_and_shorter);
	tcase_add_loop_test(loading, bad_plugin, 0, (int)VMF_COUNT(bad));
	tcase_add_test(loading, garbage);
	tcase_add_test(loading, folder_as_file);
	tcase_add_test(loading, renamed);
	tcase_add_test(loading, writable_by_all);
	tcase_add_test(loading, folder_writable_by_all);
	tcase_add_test(loading, owned_by_another);
	tcase_add_test(loading, missing);
	tcase_add_test(loading, shadowed);
	tcase_add_test(loading, names);
	tcase_add_test(loading, search_path);
	tcase_add_test(loading, relative_path);
	suite_add_tcase(suite, loading);
	tcase_add_checked_fixture(host, setup, teardown);
	tcase_set_timeout(host, 60);
	tcase_add_test(host, host_basics);
	tcase_add_test(host, host_run);
	tcase_add_test(host, host_run_ends);
	tcase_add_test(host, host_options);
	suite_add_tcase(suite, host);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
