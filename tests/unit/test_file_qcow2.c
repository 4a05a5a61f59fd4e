/* SPDX-License-Identifier: ISC */
/*
 * The plugin storage-file-qcow2, loaded as vmf loads it, against QEMU's own tools: qemu-io writes and checks
 * what is in the volumes, qemu-img looks at the images.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "config/config.h"
#include "plugin/plugin.h"

#undef fail /* a macro of check.h, and a call of the host table */

static struct strv folders;
static char *folder; /* of this test, with the store in it */
static const struct plugin *plugin;
static const struct vmf_storage_ops *ops;
static struct vmf_opts *opts;
static struct arena arena;
static struct host_services services = {.arena = &arena};
static struct vmf_vm_id id = {
	.size = sizeof(id), .name = "web0", .uuid = "11111111-2222-3333-4444-555555555555"};
static struct vmf_call call;
static struct vmf_error err;

/* ---- helpers ------------------------------------------------------------------------------ */

/* A shell's command in the store; its exit status. What it said is in *words, which stay until the next one.
 */
static char *words;
static int shell(const char *fmt, ...) VMF_PRINTF(1, 2);
static void must(const char *fmt, ...) VMF_PRINTF(1, 2);

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

static int shell(const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	return shell_run(text);
}

static void must(const char *fmt, ...)
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

/* The store's options besides its folder: "\"format\": \"raw\"". */
static void use(const char *more)
{
	autofree char *json = str_printf("{\"dir\": \"%s\"%s%s}", folder, *more ? ", " : "", more);

	conf_opts_free(opts);
	opts = conf_opts_load(&plugin->desc, json, &err);
	ck_assert_msg(opts != NULL, "%s", err.message);
	host_call_init(&call, &services, opts, &id, "files", "disk-root", 0);
}

static void setup(void)
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

static void teardown(void)
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

#define OK(call_) ck_assert_msg((call_) == 0, "%s (%s)", err.message, err.hint ? err.hint : "no hint")
/* It fails with that code, these words in its message and a hint. */
#define REFUSED(call_, code_, words_) \
	do { \
		ck_assert_int_eq((call_), -1); \
		ck_assert_msg(err.code == (code_) && strstr(err.message, (words_)), "code %d: %s", err.code, \
			err.message); \
		ck_assert_msg(err.hint != NULL, "no hint: %s", err.message); \
		error_clear(&err); \
	} while (0)

/* Fills a stretch of a volume, in MiB, with one byte. */
static void put(const char *file, unsigned from, unsigned count, unsigned byte)
{
	const char *format = strstr(file, ".raw") ? "raw" : "qcow2";

	must("qemu-io -f %s -c 'write -P %u %uM %uM' '%s'", format, byte, from, count, file);
}

static bool has(const char *file, unsigned from, unsigned count, unsigned byte)
{
	const char *format = strstr(file, ".raw") ? "raw" : "qcow2";

	must("qemu-io -r -f %s -c 'read -P %u %uM %uM' '%s'", format, byte, from, count, file);
	return strstr(words, "verification failed") == NULL;
}

static void same(const char *a, const char *b)
{
	must("qemu-img compare '%s' '%s' && qemu-img info '%s' | grep -F \"$(qemu-img info '%s' | grep "
	     "virtual)\"",
		a, b, a, b);
}

static void sound(const char *file)
{
	must("qemu-img check -q '%s'", file);
}

/* All that is in the folder, sorted, marks and all. */
static char *listing(void)
{
	must("find . -mindepth 1 | LC_ALL=C sort | tr '\\n' ' '");
	return str_dup(words);
}

static void drop(const char *file)
{
	autofree char *path = path_join(folder, file);

	unlink(path);
}

static bool exists(const char *file)
{
	autofree char *path = path_join(folder, file);

	return file_exists(path);
}

static int make_clone(const char *origin, const char *snapshot, const char *name, unsigned copy)
{
	return ops->clone(&call, origin, snapshot, name, copy, &err);
}

/* Another program that has the image open for writing, until let_go(). */
struct user {
	pid_t pid;
	int in;
};

static struct user use_image(const char *file)
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

static void let_go(struct user user)
{
	int status;

	close(user.in);
	waitpid(user.pid, &status, 0);
}

/* ---- new volumes -------------------------------------------------------------------------- */

static const char *const preallocations[] = {"off", "metadata", "falloc", "full"};

START_TEST(create_allocated)
{
	autofree char *more = str_printf("\"preallocation\": \"%s\"", preallocations[_i]);
	autofree char *raw = str_printf("%s, \"format\": \"raw\"", more);

	use(more);
	OK(ops->create(&call, "v", 16 << 20, &err));
	sound("v.qcow2");
	ck_assert(has("v.qcow2", 0, 16, 0));
	must("test $(stat -c %%b v.qcow2) %s 32000", _i < 2 ? "-lt" : "-gt");
	must("qemu-img info v.qcow2 | grep -q '16777216 bytes'");
	/* all clusters have a place, so that the guest's writes need none */
	must("qemu-img check v.qcow2 | grep -q '^256/256 =' %s", _i ? "" : "&& exit 1 || exit 0");
	if (_i == 1)
		return;
	use(raw);
	OK(ops->create(&call, "r", (16 << 20) - 5, &err));
	must("test $(stat -c %%s r.raw) = 16777216");
	must("test $(stat -c %%b r.raw) %s 32000", _i < 2 ? "-lt" : "-gt");
}
END_TEST

START_TEST(create_odd_sizes)
{
	static const char *const clusters[] = {"512", "4K", "64K", "2M"};
	static const uint64_t sizes[] = {512, 65536 + 512, (uint64_t)3 << 30};

	for (size_t i = 0; i < VMF_COUNT(clusters); i++)
		for (size_t k = 0; k < VMF_COUNT(sizes); k++) {
			autofree char *more = str_printf("\"cluster_size\": \"%s\"", clusters[i]);
			autofree char *name = str_printf("v%zu-%zu", i, k);
			autofree char *file = str_printf("%s.qcow2", name);

			use(more);
			OK(ops->create(&call, name, sizes[k], &err));
			sound(file);
			must("qemu-img info %s | grep -q '(%llu bytes)'", file, (unsigned long long)sizes[k]);
		}
}
END_TEST

START_TEST(grow_keeps_data)
{
	use("\"format\": \"raw\", \"preallocation\": \"full\"");
	OK(ops->create(&call, "r", 4 << 20, &err));
	put("r.raw", 1, 2, 77);
	OK(ops->grow(&call, "r", 8 << 20, &err));
	ck_assert(has("r.raw", 1, 2, 77));
	ck_assert(has("r.raw", 4, 4, 0));
	must("test $(stat -c %%b r.raw) -ge 16384");
	use("");
	OK(ops->create(&call, "q", 4 << 20, &err));
	put("q.qcow2", 1, 2, 78);
	OK(ops->grow(&call, "q", 8 << 20, &err));
	ck_assert(has("q.qcow2", 1, 2, 78));
	must("qemu-img info q.qcow2 | grep -q '8388608 bytes'");
}
END_TEST

/* ---- clones ------------------------------------------------------------------------------- */

START_TEST(clone_overlay)
{
	struct vmf_volume_list list = {0};
	struct vmf_block block = {.size = sizeof(block)};

	OK(ops->create(&call, "gold", 16 << 20, &err));
	put("gold.qcow2", 0, 4, 1);
	id.uuid = "99999999-2222-3333-4444-555555555555";
	OK(make_clone("gold", NULL, "web", 0));
	sound("web.qcow2");
	same("gold.qcow2", "web.qcow2");
	put("web.qcow2", 0, 2, 2);
	ck_assert(has("gold.qcow2", 0, 4, 1));
	ck_assert(has("web.qcow2", 0, 2, 2) && has("web.qcow2", 2, 2, 1) && has("web.qcow2", 4, 12, 0));
	OK(ops->list(&call, "web", &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.items[0].origin, "gold");
	ck_assert_str_eq(list.items[0].owner_uuid, id.uuid);
	OK(ops->attach(&call, "web", &block, &err));
	ck_assert_uint_eq(block.n_layers, 2);
	ck_assert(str_ends(block.layers[1].path, "/gold.qcow2"));
	ck_assert_uint_eq(block.discard, 1);
	ck_assert_uint_eq(block.detect_zeroes, 1);

	/* an overlay cannot lose its base */
	REFUSED(ops->remove(&call, "gold", &err), VMF_E_STATE, "web stands on it");
	REFUSED(ops->rename(&call, "gold", "silver", &err), VMF_E_STATE, "web stands on it");
	REFUSED(ops->attach(&call, "gold", &block, &err), VMF_E_STATE, "web stands on it");
	must("qemu-img snapshot -c one gold.qcow2");
	REFUSED(ops->rollback(&call, "gold", "one", 0, &err), VMF_E_STATE, "web stands on it");
	block = (struct vmf_block){.size = sizeof(block), .readonly = 1};
	OK(ops->attach(&call, "gold", &block, &err));
	OK(ops->remove(&call, "web", &err));
	block = (struct vmf_block){.size = sizeof(block)};
	OK(ops->attach(&call, "gold", &block, &err));
	OK(ops->remove(&call, "gold", &err));
	ck_assert(!exists("gold.qcow2") && !exists(".vmf/gold.qcow2.base"));
}
END_TEST

/* Foreign images as bases: raw, of an odd size, a link, a name with a colon, and overlays on overlays. */
START_TEST(clone_of_foreign)
{
	must("qemu-img create -f raw gold.raw 4M && truncate -s 4194805 gold.raw");
	put("gold.raw", 0, 4, 3);
	must("printf x | dd of=gold.raw bs=1 seek=4194804 conv=notrunc");
	OK(make_clone("gold", NULL, "a", 0));
	same("gold.raw", "a.qcow2");
	must("mkdir sub && mv a.qcow2 sub/a.qcow2 && ln -s sub/a.qcow2 'a:b.qcow2'");
	OK(make_clone("a:b", NULL, "c", 0));
	same("gold.raw", "c.qcow2");
	put("c.qcow2", 1, 1, 9);
	OK(make_clone("c", NULL, "d", 1));
	must("rm c.qcow2 a:b.qcow2 sub/a.qcow2 gold.raw");
	ck_assert(has("d.qcow2", 0, 1, 3) && has("d.qcow2", 1, 1, 9) && has("d.qcow2", 2, 2, 3));
}
END_TEST

START_TEST(clone_refusals)
{
	struct user user;
	autofree char *before = NULL, *after = NULL;

	OK(ops->create(&call, "gold", 4 << 20, &err));
	OK(ops->create(&call, "taken", 4 << 20, &err));
	OK(ops->snapshot(&call, "gold", "one", &err));
	before = listing();
	REFUSED(make_clone("gold", NULL, "taken", 0), VMF_E_EXISTS, "exists");
	REFUSED(make_clone("gold", NULL, "taken", 1), VMF_E_EXISTS, "exists");
	REFUSED(make_clone("gold", NULL, "a/b", 1), VMF_E_USAGE, "not a volume's name");
	REFUSED(make_clone("gold", "one", "web", 0), VMF_E_UNSUPPORTED, "nothing can stand on a snapshot");
	REFUSED(make_clone("gold", "two", "web", 1), VMF_E_NOT_FOUND, "no snapshot \"two\"");
	user = use_image("gold.qcow2");
	REFUSED(make_clone("gold", NULL, "web", 0), VMF_E_BUSY, "open for writing");
	REFUSED(make_clone("gold", NULL, "web", 1), VMF_E_BUSY, "open for writing");
	call.dry_run = 1;
	REFUSED(make_clone("gold", NULL, "web", 0), VMF_E_BUSY, "open for writing");
	call.dry_run = 0;
	/* a snapshot stays as it is while somebody writes */
	OK(make_clone("gold", "one", "from-one", 1));
	OK(ops->remove(&call, "from-one", &err));
	let_go(user);
	use("\"format\": \"raw\"");
	REFUSED(make_clone("gold", NULL, "web", 0), VMF_E_UNSUPPORTED, "raw volume cannot stand on");
	call.dry_run = 1;
	use("");
	call.dry_run = 1;
	OK(make_clone("gold", NULL, "web", 0));
	OK(make_clone("gold", NULL, "web", 1));
	after = listing();
	ck_assert_str_eq(before, after);
}
END_TEST

/* What full copies are made of, all with the same content at their top. */
static const char *const sources[] = {
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

/* Scattered writes, zeroes and holes, the same in every run. */
static void scribble(const char *file, unsigned seed)
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

START_TEST(copies)
{
	static const char *const kinds[] = {"", "\"format\": \"raw\"", "\"cluster_size\": \"4K\"",
		"\"cluster_size\": \"2M\"", "\"preallocation\": \"metadata\"",
		"\"preallocation\": \"full\", \"format\": \"raw\""};
	const char *source = strstr(sources[_i], "s.raw") ? "s.raw" : "s.qcow2";

	must("%s", sources[_i]);
	scribble(source, (unsigned)_i);
	for (size_t k = 0; k < VMF_COUNT(kinds); k++) {
		autofree char *name = str_printf("copy%zu", k);
		autofree char *file = str_printf("%s.%s", name, strstr(kinds[k], "raw") ? "raw" : "qcow2");

		use(kinds[k]);
		OK(make_clone("s", NULL, name, 1));
		same(source, file);
		if (strstr(file, "qcow2")) {
			sound(file);
			must("qemu-img info '%s' | grep -q 'backing' && exit 1 || exit 0", file);
		}
	}
	if (_i == 0 || _i == 9) /* holes stay holes */
		must("test $(stat -c %%b copy1.raw) -lt $((33 * 2048 - 4000))");
}
END_TEST

START_TEST(copy_of_snapshot)
{
	OK(ops->create(&call, "v", 8 << 20, &err));
	put("v.qcow2", 0, 2, 1);
	OK(ops->snapshot(&call, "v", "a,b", &err)); /* QEMU's options part words by commas */
	put("v.qcow2", 0, 4, 2);
	OK(ops->grow(&call, "v", 16 << 20, &err));
	OK(make_clone("v", "a,b", "old", 1));
	OK(make_clone("v", NULL, "new", 1));
	sound("old.qcow2");
	sound("new.qcow2");
	ck_assert(has("old.qcow2", 0, 2, 1) && has("old.qcow2", 2, 6, 0));
	ck_assert(has("new.qcow2", 0, 4, 2) && has("new.qcow2", 4, 12, 0));
	must("qemu-img info old.qcow2 | grep -q '(8388608 bytes)'");
	must("qemu-img snapshot -l new.qcow2 | grep -q a,b && exit 1 || exit 0");
	/* and where only qemu-img can read it */
	must("qemu-img create -q -f qcow2 -o extended_l2=on e.qcow2 8M && qemu-io -c 'write -P 7 0 1M' "
	     "e.qcow2 &&"
	     "qemu-img snapshot -c 5 e.qcow2 && qemu-io -c 'write -P 8 0 1M' e.qcow2 && qemu-img snapshot -c "
	     "1 e.qcow2");
	OK(make_clone("e", "5", "e5", 1));
	OK(make_clone("e", "1", "e1", 1));
	ck_assert(has("e5.qcow2", 0, 1, 7) && has("e1.qcow2", 0, 1, 8));
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------- */

START_TEST(snapshots)
{
	struct vmf_snapshot_list list;
	/* names that are other snapshots' numbers: qemu-img would take the number */
	static const char *const names[] = {"2", "1", "x", "it's \"so\""};

	OK(ops->create(&call, "v", 8 << 20, &err));
	for (unsigned i = 0; i < VMF_COUNT(names); i++) {
		put("v.qcow2", 0, 1, i + 1);
		OK(ops->snapshot(&call, "v", names[i], &err));
		REFUSED(ops->snapshot(&call, "v", names[i], &err), VMF_E_EXISTS, "already");
	}
	put("v.qcow2", 0, 1, 99);
	OK(ops->snapshots(&call, "v", &list, &err));
	ck_assert_uint_eq(list.count, VMF_COUNT(names));
	for (unsigned i = 0; i < VMF_COUNT(names); i++) {
		ck_assert_str_eq(list.items[i].name, names[i]);
		ck_assert_uint_eq(list.items[i].is_ours, 1);
		ck_assert_int_gt(list.items[i].created, 1500000000);
	}
	for (unsigned i = VMF_COUNT(names); i-- > 0;) {
		OK(ops->rollback(&call, "v", names[i], 0, &err));
		ck_assert_msg(has("v.qcow2", 0, 1, i + 1), "snapshot %s", names[i]);
	}
	OK(ops->snapshot_remove(&call, "v", "1", &err));
	OK(ops->snapshot_remove(&call, "v", "1", &err)); /* gone already */
	OK(ops->snapshots(&call, "v", &list, &err));
	ck_assert_uint_eq(list.count, VMF_COUNT(names) - 1);
	ck_assert_str_eq(list.items[0].name, "2");
	REFUSED(ops->rollback(&call, "v", "1", 0, &err), VMF_E_NOT_FOUND, "no snapshot \"1\"");
	OK(ops->rollback(&call, "v", "x", 0, &err));
	ck_assert(has("v.qcow2", 0, 1, 3));
	sound("v.qcow2");
	must("qemu-img snapshot -c x v.qcow2");
	REFUSED(ops->rollback(&call, "v", "x", 0, &err), VMF_E_STATE, "2 snapshots \"x\"");
}
END_TEST

START_TEST(snapshot_refusals)
{
	struct vmf_snapshot_list list;
	struct user user;

	must("qemu-img create -q -f qcow2 foreign.qcow2 4M && qemu-img snapshot -c one foreign.qcow2");
	REFUSED(ops->snapshot(&call, "foreign", "two", &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->rollback(&call, "foreign", "one", 0, &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->snapshot_remove(&call, "foreign", "one", &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->remove(&call, "foreign", &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->rename(&call, "foreign", "mine", &err), VMF_E_PERMISSION, "not made by vmf");
	OK(ops->snapshots(&call, "foreign", &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_uint_eq(list.items[0].is_ours, 0);

	use("\"format\": \"raw\"");
	OK(ops->create(&call, "r", 4 << 20, &err));
	use("");
	REFUSED(ops->snapshot(&call, "r", "one", &err), VMF_E_UNSUPPORTED, "raw");
	REFUSED(ops->rollback(&call, "r", "one", 0, &err), VMF_E_UNSUPPORTED, "raw");
	REFUSED(make_clone("r", "one", "c", 1), VMF_E_UNSUPPORTED, "raw");
	OK(ops->snapshots(&call, "r", &list, &err));
	ck_assert_uint_eq(list.count, 0);

	/* another file under the volume's name is foreign, though the mark is there */
	OK(ops->create(&call, "v", 4 << 20, &err));
	OK(ops->snapshot(&call, "v", "one", &err));
	user = use_image("v.qcow2");
	REFUSED(ops->rollback(&call, "v", "one", 0, &err), VMF_E_STATE, "in use");
	let_go(user);
	must("cp v.qcow2 other && mv other v.qcow2");
	REFUSED(ops->rollback(&call, "v", "one", 0, &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->snapshot_remove(&call, "v", "one", &err), VMF_E_PERMISSION, "not made by vmf");
}
END_TEST

static char asked[256];

static int record_qmp(void *data, const char *command, const char *arguments, int fd, const char *fd_name,
	char **answer, struct vmf_error *e)
{
	(void)data;
	(void)fd;
	(void)fd_name;
	(void)answer;
	(void)e;
	snprintf(asked, sizeof(asked), "%s %s", command, arguments);
	return 0;
}

/* With a VM on the volume it is QEMU that is asked, on the slot's node. */
START_TEST(snapshot_live)
{
	struct user user;

	OK(ops->create(&call, "v", 4 << 20, &err));
	OK(ops->snapshot(&call, "v", "old", &err));
	services.qmp = record_qmp;
	user = use_image("v.qcow2");
	OK(ops->snapshot(&call, "v", "a\"b", &err));
	ck_assert_str_eq(
		asked, "blockdev-snapshot-internal-sync {\"device\": \"disk-root\", \"name\": \"a\\\"b\"}");
	OK(ops->snapshot_remove(&call, "v", "old", &err));
	ck_assert_str_eq(asked,
		"blockdev-snapshot-delete-internal-sync {\"device\": \"disk-root\", \"name\": \"old\"}");
	asked[0] = '\0';
	call.dry_run = 1;
	OK(ops->snapshot(&call, "v", "new", &err));
	REFUSED(ops->snapshot(&call, "v", "old", &err), VMF_E_EXISTS, "already");
	ck_assert_str_eq(asked, "");
	call.dry_run = 0;
	/* without a VM in the call there is nobody to ask */
	call.vm = NULL;
	REFUSED(ops->snapshot(&call, "v", "new", &err), VMF_E_BUSY, "in use");
	let_go(user);
	services.qmp = NULL;
}
END_TEST

/* ---- streams ------------------------------------------------------------------------------ */

static int send_to(const char *name, const char *file)
{
	autofree char *path = path_join(folder, file);
	autoclose int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return ops->send(&call, name, fd, &err);
}

static int receive_from(const char *file, const char *name, uint64_t size)
{
	autofree char *path = path_join(folder, file);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	return ops->receive(&call, name, size, fd, &err);
}

START_TEST(streams)
{
	autofree char *before = NULL, *after = NULL;
	const char *source = strstr(sources[_i], "s.raw") ? "s.raw" : "s.qcow2";
	int fds[2], status;
	pid_t pid;

	must("%s", sources[_i]);
	scribble(source, (unsigned)_i);
	must("qemu-img convert -O raw %s expected", source);
	OK(send_to("s", "sent"));
	must("cmp sent expected");
	if (_i == 0 || _i == 9) /* holes stay holes */
		must("test $(stat -c %%b sent) -lt $((33 * 2048 - 4000))");
	/* through a pipe, straight into another volume */
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		_exit(ops->send(&call, "s", fds[1], &err) == 0 ? 0 : 1);
	}
	close(fds[1]);
	OK(ops->receive(&call, "r", 33 << 20, fds[0], &err));
	close(fds[0]);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	sound("r.qcow2");
	same("r.qcow2", source);
	use("\"format\": \"raw\"");
	OK(receive_from("sent", "raw", 33 << 20));
	must("cmp sent raw.raw && test $(stat -c %%b raw.raw) -lt $((33 * 2048 - 4000))");
	use("\"preallocation\": \"metadata\", \"cluster_size\": \"1M\"");
	OK(receive_from("sent", "full", 33 << 20));
	same("full.qcow2", source);
	sound("full.qcow2");
	before = listing();
	REFUSED(receive_from("sent", "short", (33 << 20) + 1), VMF_E_FAILED,
		"ended after 34603008 of 34603009 bytes");
	REFUSED(receive_from("sent", "raw", 33 << 20), VMF_E_EXISTS, "exists");
	after = listing();
	ck_assert_str_eq(before, after);
}
END_TEST

/* Where a file has bytes already, or the fd appends, nothing is left out. */
START_TEST(send_behind)
{
	autofree char *path = str_printf("%s/out", folder);
	autoclose int fd = -1;

	OK(ops->create(&call, "v", 2 << 20, &err));
	put("v.qcow2", 1, 1, 9);
	must("yes | head -c 5000000 >out");
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(lseek(fd, 100, SEEK_SET), 100);
	OK(ops->send(&call, "v", fd, &err));
	must("qemu-img convert -O raw v.qcow2 raw && cmp -n 2097152 -i 100:0 out raw && test $(stat -c %%s "
	     "out) = 5000000");
	close(fd);
	must("printf abc >out");
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	OK(ops->send(&call, "v", fd, &err));
	must("cmp -i 3:0 out raw && test $(stat -c %%s out) = 2097155");
}
END_TEST

/* ---- failing and dying ------------------------------------------------------------------------ */

/* A small filesystem of this process's own in the store's place. */
static bool small_folder(const char *size)
{
	autofree char *options = str_printf("size=%s", size);
	int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS;

	if (unshare(flags) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	return mount("tmpfs", folder, "tmpfs", 0, options) == 0;
}

START_TEST(no_space)
{
	autofree char *before = NULL, *after = NULL;

	if (!small_folder("12m")) {
		fprintf(stderr, "no mount namespace here: no_space is not tested\n");
		return;
	}
	OK(ops->create(&call, "v", 64 << 20, &err));
	put("v.qcow2", 0, 4, 1);
	OK(ops->snapshot(&call, "v", "one", &err));
	put("v.qcow2", 0, 4, 2);
	must("truncate -s 4G zero");
	before = listing();
	REFUSED(make_clone("v", "one", "c", 1), VMF_E_NO_SPACE, "MiB left");
	use("\"preallocation\": \"full\"");
	REFUSED(ops->create(&call, "c", 64 << 20, &err), VMF_E_NO_SPACE, "MiB left");
	use("");
	must("head -c 5M /dev/zero | tr '\\0' x >/tmp/${PWD##*/}.in");
	{
		autofree char *path = str_printf("%s.in", folder);
		autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

		unlink(path);
		ck_assert_int_eq(ops->receive(&call, "c", 5 << 20, fd, &err), -1);
		ck_assert_int_eq(err.code, VMF_E_NO_SPACE);
		error_clear(&err);
	}
	after = listing();
	ck_assert_str_eq(before, after);
	must("test $(df --output=used -k . | tail -n 1) -lt 8800");
	ck_assert(has("v.qcow2", 0, 4, 2));
}
END_TEST

/* Killed at any point of a copy: the clone is there whole, or nothing of it is. */
START_TEST(killed)
{
	static const char *const with[] = {
		"", "\"preallocation\": \"full\", \"format\": \"raw\"", "\"cluster_size\": \"4K\""};
	unsigned whole = 0, rounds = 0;
	int64_t delay_us = 300;
	const char *ending = _i == 1 ? ".raw" : ".qcow2";
	autofree char *before = NULL, *marks = NULL;

	use(with[_i]);
	must("qemu-img create -q -f qcow2 v.qcow2 256M && qemu-io -c 'write -P 1 0 96M' -c 'write -P 2 128M "
	     "64M' v.qcow2 &&"
	     "qemu-img snapshot -c one v.qcow2 && mkdir .vmf");
	before = listing();
	marks = str_printf("./.vmf/c%s ", ending);
	while (rounds++ < 60 && whole < 2) {
		pid_t pid = fork();
		autofree char *after = NULL;
		int status;

		if (pid == 0)
			_exit(make_clone("v", "one", "c", 1) == 0 ? 0 : 1);
		usleep((useconds_t)delay_us);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		delay_us += delay_us / 4;
		if (shell("test -e c%s", ending) == 0) {
			whole++;
			must("qemu-img convert -l snapshot.name=one -O qcow2 v.qcow2 expected && qemu-img "
			     "compare expected c%s",
				ending);
			must("rm expected c%s .vmf/c%s", ending, ending);
		}
		/* a mark without its volume means nothing and is written over */
		must("rm -f .vmf/c%s", ending);
		after = listing();
		ck_assert_str_eq(before, after);
	}
	ck_assert_msg(whole == 2, "not done after %u rounds", rounds);
	ck_assert_uint_gt(rounds, 5);
	OK(make_clone("v", "one", "c", 1));
}
END_TEST

/* A name of a dead process's, where the filesystem has no nameless files: gone when somebody comes by. */
START_TEST(left_behind)
{
	OK(ops->create(&call, "v", 4 << 20, &err));
	must("touch .vmf-c.12345.tmp");
	OK(make_clone("v", NULL, "c", 1));
	ck_assert(!exists(".vmf-c.12345.tmp"));
}
END_TEST

/* Whatever is in an image's tables: an error or a volume, but no crash and no endless work. */
START_TEST(garbled)
{
	autofree char *path = str_printf("%s/g.qcow2", folder);
	autofree char *whole = NULL;
	autoclose int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	size_t length;

	must("qemu-img create -q -f raw low.raw 1M && qemu-img create -q -f qcow2 -o cluster_size=512 -b "
	     "low.raw -F raw "
	     "g.qcow2 1M && qemu-io -c 'write 0 9k' -c 'write -z 10k 2k' g.qcow2 && qemu-img snapshot -c s "
	     "g.qcow2 &&"
	     "qemu-io -c 'write 4k 20k' g.qcow2");
	whole = file_read(path, 1 << 24, &length, &err);
	ck_assert_ptr_nonnull(whole);
	srandom(1);
	for (unsigned round = 0; round < (getenv("VMF_LONG") ? 20000u : 500u); round++) {
		struct vmf_block block = {.size = sizeof(block)};
		struct vmf_snapshot_list list;
		autofree char *copy = mem_alloc(length);

		memcpy(copy, whole, length);
		for (unsigned n = 1 + (unsigned)random() % 4; n; n--) {
			/* half of them in the head, the rest anywhere; often values at the edges */
			size_t at = (size_t)random() % (random() % 2 ? 112 : length);

			copy[at] = (char)(random() % 3 ? random() : random() % 2 ? 0xff : 0x7f);
		}
		ck_assert_int_eq(file_write(path, copy, random() % 8 ? length : (size_t)random() % length,
					 0600, false, &err),
			0);
		ops->attach(&call, "g", &block, &err);
		error_clear(&err);
		ops->snapshots(&call, "g", &list, &err);
		error_clear(&err);
		ops->send(&call, "g", sink, &err);
		error_clear(&err);
		make_clone("g", round % 2 ? "s" : NULL, "c", 1);
		error_clear(&err);
		drop("c.qcow2");
		arena_free(&arena);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file-qcow2");
	TCase *volumes = tcase_create("volumes"), *broken = tcase_create("broken");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(volumes, setup, teardown);
	tcase_set_timeout(volumes, 300);
	tcase_add_loop_test(volumes, create_allocated, 0, (int)VMF_COUNT(preallocations));
	tcase_add_test(volumes, create_odd_sizes);
	tcase_add_test(volumes, grow_keeps_data);
	tcase_add_test(volumes, clone_overlay);
	tcase_add_test(volumes, clone_of_foreign);
	tcase_add_test(volumes, clone_refusals);
	tcase_add_loop_test(volumes, copies, 0, (int)VMF_COUNT(sources));
	tcase_add_test(volumes, copy_of_snapshot);
	tcase_add_test(volumes, snapshots);
	tcase_add_test(volumes, snapshot_refusals);
	tcase_add_test(volumes, snapshot_live);
	tcase_add_loop_test(volumes, streams, 0, (int)VMF_COUNT(sources));
	tcase_add_test(volumes, send_behind);
	tcase_add_test(volumes, no_space);
	tcase_add_loop_test(volumes, killed, 0, 3);
	tcase_add_test(volumes, left_behind);
	suite_add_tcase(suite, volumes);
	tcase_add_checked_fixture(broken, setup, teardown);
	tcase_set_timeout(broken, 3000);
	tcase_add_test(broken, garbled);
	suite_add_tcase(suite, broken);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
