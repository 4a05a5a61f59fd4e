/* SPDX-License-Identifier: ISC */
#include "file_qcow2.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"
#include "config/config.h"

static struct strv folders;
char *folder;
static const struct plugin *plugin;
const struct vmf_storage_ops *ops;
static struct vmf_opts *opts;
static struct arena arena;
struct host_services services = {.arena = &arena};
struct vmf_vm_id id = {.size = sizeof(id), .name = "web0", .uuid = "11111111-2222-3333-4444-555555555555"};
struct vmf_call call;
struct vmf_error err;

char *words;

static int shell_run(const char *text)
{
	autofree char *line = str_printf("cd '%s' && { %s; } 2>&1", folder, text);
	const char *const argv[] = {"sh", "-c", line, NULL};
	struct vmf_run run = {.size = sizeof(run), .argv = argv};

	ck_assert_int_eq(proc_run(&run, 0, &err), 0);
	free(words);
	words = run.out;
	free(run.err);
	return run.status;
}

int shell(const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	return shell_run(text);
}

void must(const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;
	int status;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	status = shell_run(text);
	ck_assert_msg(status == 0, "%s: exit status %d: %s", text, status, words);
}

void use(const char *more)
{
	autofree char *json = str_printf("{\"dir\": \"%s\"%s%s}", folder, *more ? ", " : "", more);

	conf_opts_free(opts);
	opts = conf_opts_load(&plugin->desc, json, &err);
	ck_assert_msg(opts != NULL, "%s", err.message);
	host_call_init(&call, &services, opts, &id, "files", "disk-root", 0);
}

void setup(void)
{
	plugin_search_path(&folders);
	plugin_setup(&folders);
	plugin = plugin_get(VMF_STORAGE, "file-qcow2", &err);
	ck_assert_msg(plugin != NULL, "%s", err.message);
	ops = &plugin->ops.storage;
	folder = str_dup("/tmp/vmf-test-qcow2-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	use("");
}

void teardown(void)
{
	conf_opts_free(opts);
	opts = NULL;
	plugin_teardown();
	strv_free(&folders);
	file_remove_tree(folder, NULL);
	free(folder);
	free(words);
	words = NULL;
	arena_free(&arena);
	error_clear(&err);
}

void put(const char *file, unsigned from, unsigned count, unsigned byte)
{
	const char *format = strstr(file, ".raw") ? "raw" : "qcow2";

	must("qemu-io -f %s -c 'write -P %u %uM %uM' '%s'", format, byte, from, count, file);
}

bool has(const char *file, unsigned from, unsigned count, unsigned byte)
{
	const char *format = strstr(file, ".raw") ? "raw" : "qcow2";

	must("qemu-io -r -f %s -c 'read -P %u %uM %uM' '%s'", format, byte, from, count, file);
	return strstr(words, "verification failed") == NULL;
}

void same(const char *a, const char *b)
{
	must("qemu-img compare '%s' '%s' && qemu-img info '%s' | grep -F \"$(qemu-img info '%s' | grep "
	     "virtual)\"",
		a, b, a, b);
}

void sound(const char *file)
{
	must("qemu-img check -q '%s'", file);
}

char *listing(void)
{
	must("find . -mindepth 1 | LC_ALL=C sort | tr '\\n' ' '");
	return str_dup(words);
}

void drop(const char *file)
{
	autofree char *path = path_join(folder, file);

	unlink(path);
}

bool exists(const char *file)
{
	autofree char *path = path_join(folder, file);

	return file_exists(path);
}

int make_clone(const char *origin, const char *snapshot, const char *name, unsigned copy)
{
	return ops->clone(&call, origin, snapshot, name, copy, &err);
}

struct user use_image(const char *file)
{
	autofree char *path = path_join(folder, file);
	int in[2], out[2];
	struct user user;
	char c;

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	user.pid = fork();
	if (user.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execlp("qemu-io", "qemu-io", path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	user.in = in[1];
	ck_assert_int_eq(read(out[0], &c, 1), 1); /* its prompt: it has opened it */
	close(out[0]);
	return user;
}

void let_go(struct user user)
{
	int status;

	close(user.in);
	waitpid(user.pid, &status, 0);
}

/* What full copies are made of, all with the same content at their top. */
const char *const sources[N_SOURCES] = {
	"qemu-img create -q -f qcow2 s.qcow2 33M",
	"qemu-img create -q -f qcow2 -o cluster_size=512 s.qcow2 33M",
	"qemu-img create -q -f qcow2 -o cluster_size=2M s.qcow2 33M",
	"qemu-img create -q -f qcow2 -o compat=0.10 s.qcow2 33M",
	"qemu-img create -q -f qcow2 -o extended_l2=on s.qcow2 33M",
	"qemu-img create -q -f qcow2 -o preallocation=metadata s.qcow2 33M",
	"qemu-img create -q -f qcow2 low.qcow2 20M && qemu-io -c 'write -P 5 0 20M' low.qcow2 &&"
	"qemu-img create -q -f qcow2 -b low.qcow2 -F qcow2 s.qcow2 33M",
	"qemu-img create -q -f raw low.raw 21M && qemu-io -f raw -c 'write -P 5 3M 7M' low.raw &&"
	"qemu-img create -q -f qcow2 -b low.raw -F raw mid.qcow2 40M && qemu-io -c 'write -z 4M 1M' "
	"mid.qcow2 &&"
	"qemu-img create -q -f qcow2 -o cluster_size=4k -b mid.qcow2 -F qcow2 s.qcow2 33M",
	"qemu-img create -q -f qcow2 -o compression_type=zstd one.qcow2 33M && qemu-io -c 'write -P 4 1M 9M' "
	"one.qcow2 &&"
	"qemu-img convert -c -O qcow2 one.qcow2 s.qcow2 && rm one.qcow2",
	"truncate -s 33M s.raw && qemu-io -f raw -c 'write -P 6 5M 5M' s.raw",
};

void scribble(const char *file, unsigned seed)
{
	struct strbuf line = STRBUF_INIT;
	const char *format = strstr(file, ".raw") ? "raw" : "qcow2";

	srandom(seed);
	strbuf_printf(&line, "qemu-io -f %s", format);
	for (unsigned i = 0; i < 60; i++) {
		unsigned at = (unsigned)random() % 8000, count = 1 + (unsigned)random() % (i % 10 ? 20 : 400);

		strbuf_printf(&line, " -c '%s %uk %uk'",
			i % 5 == 3   ? "write -z"
			: i % 5 == 4 ? "discard"
			: i % 2	     ? "write -P 171"
				     : "write -P 205",
			at * 4, count * 4);
	}
	strbuf_printf(&line, " '%s'", file);
	must("%s", line.data);
	strbuf_free(&line);
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
