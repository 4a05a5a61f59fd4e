/* SPDX-License-Identifier: ISC */
/* QEMU's command line: fds, structured values, block nodes, network devices, and what a person sees. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "qemu/args.h"

static struct vmf_error err;
static struct qemu_args args;
static char folder[64];
static char *disk, *base;

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	strcpy(folder, "/tmp/vmf-test-args-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	disk = path_join(folder, "disk");
	base = path_join(folder, "base");
	ck_assert_int_eq(file_write(disk, "disk", 4, 0600, false, &err), 0);
	ck_assert_int_eq(file_write(base, "base", 4, 0600, false, &err), 0);
	qemu_args_init(&args, "/usr/bin/qemu");
}

static void teardown(void)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	qemu_args_free(&args);
	ck_assert_int_eq(file_remove_tree(folder, &ignored), 0);
	free(disk);
	free(base);
	error_clear(&err);
}

static void expect(int code, const char *text)
{
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.message, text) != NULL, "\"%s\" is not in \"%s\"", text, err.message);
	error_clear(&err);
}

/* The value that stands last on the line, parsed. */
static json_t *last_json(void)
{
	json_t *json = json_loads(args.argv.items[args.argv.count - 1], 0, NULL);

	ck_assert_ptr_nonnull(json);
	return json;
}

static void expect_json(json_t *json, const char *text)
{
	json_t *wanted = json_loads(text, 0, NULL);
	char *is = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	ck_assert_ptr_nonnull(wanted);
	ck_assert_msg(json_equal(json, wanted), "%s\nis not\n%s", is, text);
	free(is);
	json_decref(wanted);
	json_decref(json);
}

START_TEST(line_for_a_shell)
{
	autofree char *line = NULL;

	qemu_args_add(&args, "-S", NULL);
	qemu_args_addf(&args, "-m", "size=%dK", 1024);
	qemu_args_add(&args, "-name", "it's a $(test)");
	qemu_args_add(&args, "-append", "");
	qemu_args_json(&args, "-device", json_pack("{s:s}", "driver", "virtio-rng-pci"));
	line = qemu_args_shell(&args);
	ck_assert_str_eq(line, "/usr/bin/qemu -S -m size=1024K -name 'it'\\''s a $(test)' -append '' "
			       "-device '{\"driver\":\"virtio-rng-pci\"}'");
}
END_TEST

START_TEST(fds_are_owned_once)
{
	int fd = open(disk, O_RDONLY | O_CLOEXEC), low, copy;
	autofree char *set = NULL;
	autofree char *again = NULL;
	autofree char *proc = NULL;
	autofree char *wanted = str_printf("fd=%d,set=1", fd);
	autofree char *wanted_proc = str_printf("/proc/self/fd/%d", fd);

	set = qemu_args_fdset(&args, fd);
	ck_assert_str_eq(set, "/dev/fdset/1");
	ck_assert_str_eq(args.argv.items[1], "-add-fd");
	ck_assert_str_eq(args.argv.items[2], wanted);
	again = qemu_args_fdset(&args, open(disk, O_RDONLY | O_CLOEXEC));
	ck_assert_str_eq(again, "/dev/fdset/2");
	proc = qemu_args_procfd(&args, fd);
	ck_assert_str_eq(proc, wanted_proc);
	ck_assert_uint_eq(args.n_fds, 2);
	/* QEMU's stdin is /dev/null: an fd there has to move */
	close(STDIN_FILENO);
	low = open(disk, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(low, STDIN_FILENO);
	copy = qemu_args_fd(&args, low);
	ck_assert_int_gt(copy, STDERR_FILENO);
	ck_assert_int_eq(fcntl(low, F_GETFD), -1);
	ck_assert_int_eq(fcntl(copy, F_GETFD), FD_CLOEXEC);
	qemu_args_free(&args);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(fcntl(copy, F_GETFD), -1);
	qemu_args_init(&args, "x");
}
END_TEST

/* ---- structured values -------------------------------------------------------------------- */

#define TEXT(k, v) \
	{ \
		.key = k, .type = VMF_PROP_STRING, .string = v \
	}
#define NUMBER(k, v) \
	{ \
		.key = k, .type = VMF_PROP_INT, .number = v \
	}
#define TRUTH(k, v) \
	{ \
		.key = k, .type = VMF_PROP_BOOL, .number = v \
	}

static const struct {
	struct vmf_prop items[5];
	const char *json; /* NULL: an error */
} values[] = {
	{{{0}}, "{}"},
	{{TEXT("a", "x"), NUMBER("b", -7), TRUTH("c", 1), TRUTH("d", 0)},
		"{\"a\":\"x\",\"b\":-7,\"c\":true,\"d\":false}"},
	{{TEXT("a.b.c", "x"), NUMBER("a.b.d", 1), NUMBER("a.e", 2)},
		"{\"a\":{\"b\":{\"c\":\"x\",\"d\":1},\"e\":2}}"},
	{{TEXT("l.0.str", "x"), TEXT("l.1.str", "y")}, "{\"l\":[{\"str\":\"x\"},{\"str\":\"y\"}]}"},
	{{TEXT("l.0", "x"), TEXT("l.1", "y")}, "{\"l\":[\"x\",\"y\"]}"},
	{{TEXT("l.0.0", "x"), TEXT("l.0.1", "y")}, "{\"l\":[[\"x\",\"y\"]]}"},
	{{TEXT("0", "x")}, "{\"0\":\"x\"}"},
	{{TEXT("a", "x"), TEXT("a", "y")}, NULL},
	{{TEXT("a", "x"), TEXT("a.b", "y")}, NULL},
	{{TEXT("a.b", "x"), TEXT("a", "y")}, NULL},
	{{TEXT("l.1", "x")}, NULL},
	{{TEXT("l.0", "x"), TEXT("l.2", "y")}, NULL},
	{{TEXT("l.0", "x"), TEXT("l.a", "y")}, NULL},
	{{TEXT("l.999999999999", "x"), TEXT("l.0", "x")}, NULL},
	{{TEXT("", "x"), TEXT("", "x")}, NULL},
	{{TEXT("a.", "x")}, NULL},
	{{TEXT(".a", "x")}, NULL},
	{{TEXT("a..b", "x")}, NULL},
	{{TEXT("a", "\xff")}, NULL},
	{{{.key = "a", .type = 99}}, NULL},
};

START_TEST(structured_values)
{
	struct vmf_props props = {(struct vmf_prop *)values[_i].items, 0, sizeof(struct vmf_prop)};
	json_t *json;

	while (props.count < 5 && values[_i].items[props.count].key)
		props.count++;
	json = qemu_props_json(&props, &err);
	if (values[_i].json) {
		ck_assert_msg(json != NULL, "%s", err.message ? err.message : "");
		expect_json(json, values[_i].json);
	} else {
		ck_assert_ptr_null(json);
		expect(VMF_E_FAILED, "the plugin's value");
	}
}
END_TEST

START_TEST(values_without_a_name)
{
	struct vmf_prop prop = {.type = VMF_PROP_INT};
	struct vmf_props props = {&prop, 1, 0};

	ck_assert_ptr_null(qemu_props_json(&props, &err));
	expect(VMF_E_FAILED, "the plugin's value");
}
END_TEST

/* ---- netdev ------------------------------------------------------------------------------- */

START_TEST(netdev_of_values)
{
	struct vmf_prop items[] = {TEXT("hostfwd.0.str", "tcp:127.0.0.1:2222-:22"), TRUTH("restrict", 1)};
	struct vmf_netdev netdev = {.type = "user", .props = {items, 2, sizeof(items[0])}};

	ck_assert_int_eq(qemu_args_netdev(&args, "n0", &netdev, &err), 0);
	ck_assert_str_eq(args.argv.items[1], "-netdev");
	expect_json(last_json(),
		"{\"type\":\"user\",\"id\":\"n0\",\"hostfwd\":[{\"str\":\"tcp:127.0.0.1:2222-:22\"}],"
		"\"restrict\":true}");
}
END_TEST

START_TEST(netdev_of_fds)
{
	struct vmf_netdev netdev = {
		.type = "tap", .fd_prop = "fds", .n_fds = 2, .n_vhost_fds = 2, .queues = 2};
	autofree char *wanted = NULL;

	for (int i = 0; i < 2; i++) {
		netdev.fds[i] = open(disk, O_RDWR | O_CLOEXEC);
		netdev.vhost_fds[i] = open(disk, O_RDWR | O_CLOEXEC);
	}
	wanted = str_printf(
		"{\"type\":\"tap\",\"id\":\"n0\",\"fds\":\"%d:%d\",\"vhost\":true,\"vhostfds\":\"%d:%d\"}",
		netdev.fds[0], netdev.fds[1], netdev.vhost_fds[0], netdev.vhost_fds[1]);
	ck_assert_int_eq(qemu_args_netdev(&args, "n0", &netdev, &err), 0);
	expect_json(last_json(), wanted);
	ck_assert_uint_eq(args.n_fds, 4);
	ck_assert_uint_eq(netdev.n_fds, 0);
}
END_TEST

START_TEST(netdev_with_an_fd_below)
{
	struct vmf_prop items[] = {TEXT("addr.type", "fd"), TRUTH("server", 0)};
	struct vmf_netdev netdev = {
		.type = "stream", .props = {items, 2, sizeof(items[0])}, .fd_prop = "addr.str", .n_fds = 1};
	autofree char *wanted = NULL;

	netdev.fds[0] = open(disk, O_RDWR | O_CLOEXEC);
	wanted = str_printf("{\"type\":\"stream\",\"id\":\"n0\",\"server\":false,\"addr\":{\"type\":\"fd\","
			    "\"str\":\"%d\"}}",
		netdev.fds[0]);
	ck_assert_int_eq(qemu_args_netdev(&args, "n0", &netdev, &err), 0);
	expect_json(last_json(), wanted);
}
END_TEST

START_TEST(netdev_of_a_bad_plugin)
{
	struct vmf_prop items[] = {TEXT("id", "mine")};
	struct vmf_netdev none = {0}, many = {.type = "tap", .n_fds = 17};
	struct vmf_netdev twice = {.type = "tap", .props = {items, 1, sizeof(items[0])}};

	ck_assert_int_eq(qemu_args_netdev(&args, "n0", &none, &err), -1);
	expect(VMF_E_FAILED, "no type");
	ck_assert_int_eq(qemu_args_netdev(&args, "n0", &many, &err), -1);
	expect(VMF_E_FAILED, "more fds");
	ck_assert_int_eq(qemu_args_netdev(&args, "n0", &twice, &err), -1);
	expect(VMF_E_FAILED, "\"id\"");
	ck_assert_uint_eq(args.argv.count, 1);
}
END_TEST

/* ---- block nodes -------------------------------------------------------------------------- */

#define CACHE(direct, no_flush) "\"cache\":{\"direct\":" direct ",\"no-flush\":" no_flush "}"

START_TEST(block_of_two_layers)
{
	struct vmf_block_layer layers[] = {{"qcow2", disk, -1, 0}, {"raw", base, -1, 0}};
	struct vmf_block block = {.layers = layers,
		.n_layers = 2,
		.layer_stride = sizeof(layers[0]),
		.discard = 1,
		.detect_zeroes = 1,
		.cache = "none",
		.aio = "native"};

	ck_assert_int_eq(qemu_args_block(&args, "root", &block, false, &err), 0);
	ck_assert_uint_eq(args.n_fds, 2);
	ck_assert_int_eq(fcntl(args.fds[0], F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(fcntl(args.fds[1], F_GETFL) & O_ACCMODE, O_RDONLY);
	expect_json(last_json(),
		"{\"driver\":\"qcow2\",\"node-name\":\"root\",\"read-only\":false,\"discard\":\"unmap\","
		"\"detect-zeroes\":\"unmap\"," CACHE("true",
			"false") ",\"file\":{\"driver\":\"file\",\"filename\":"
				 "\"/dev/fdset/"
				 "1\",\"node-name\":\"root-file\",\"read-only\":false,\"auto-read-only\":"
				 "false," CACHE("true",
					 "false") ",\"aio\":\"native\",\"discard\":\"unmap\"},\"backing\":{"
						  "\"driver\":\"raw\","
						  "\"node-name\":\"root-b1\",\"read-only\":true," CACHE(
							  "true",
							  "false") ",\"file\":{\"driver\":\"file\","
								   "\"filename\":\"/dev/fdset/"
								   "2\",\"node-name\":\"root-b1-file\","
								   "\"read-only\":true,"
								   "\"auto-read-only\":false," CACHE("true",
									   "false") ",\"aio\":\"native\"}}}");
}
END_TEST

START_TEST(block_to_read)
{
	struct vmf_block_layer layers[] = {{"raw", disk, -1, 0}};
	struct vmf_block block = {.layers = layers,
		.n_layers = 1,
		.readonly = 1,
		.discard = 1,
		.detect_zeroes = 1,
		.cache = "unsafe"};

	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), 0);
	ck_assert_int_eq(fcntl(args.fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	expect_json(last_json(), "{\"driver\":\"raw\",\"node-name\":\"d\",\"read-only\":true," CACHE("false",
					 "true") ",\"file\":{"
						 "\"driver\":\"file\",\"filename\":\"/dev/fdset/"
						 "1\",\"node-name\":\"d-file\",\"read-only\":true,"
						 "\"auto-read-only\":false," CACHE("false", "true") "}}");
}
END_TEST

START_TEST(block_of_an_fd)
{
	struct vmf_block_layer layers[] = {{"raw", "/no/such/file", open(disk, O_RDWR | O_CLOEXEC), 0}};
	struct vmf_block block = {.layers = layers, .n_layers = 1};
	int fd = layers[0].fd;

	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), 0);
	ck_assert_uint_eq(args.n_fds, 1);
	ck_assert_int_eq(args.fds[0], fd);
	ck_assert_int_eq(layers[0].fd, -1);
}
END_TEST

START_TEST(block_when_dry)
{
	struct vmf_block_layer layers[] = {{"qcow2", "/no/such/file", -1, 0}, {"raw", "/no/device", -1, 1}};
	struct vmf_block block = {.layers = layers, .n_layers = 2};
	json_t *json;

	ck_assert_int_eq(qemu_args_block(&args, "d", &block, true, &err), 0);
	ck_assert_uint_eq(args.n_fds, 0);
	json = last_json();
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json, "file"), "filename")),
		"/no/such/file");
	ck_assert_str_eq(json_string_value(json_object_get(
				 json_object_get(json_object_get(json, "backing"), "file"), "driver")),
		"host_device");
	json_decref(json);
}
END_TEST

START_TEST(block_errors)
{
	struct vmf_block_layer layers[] = {{"raw", disk, -1, 0}, {"raw", base, -1, 0}};
	struct vmf_block block = {.layers = layers, .n_layers = 2};

	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_FAILED, "raw layer");
	block.n_layers = 0;
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_FAILED, "0 layers");
	block.n_layers = 1;
	block.cache = "writethrough";
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_CONFIG, "\"writethrough\"");
	block.cache = NULL;
	block.aio = "native";
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	ck_assert_ptr_nonnull(err.hint);
	expect(VMF_E_CONFIG, "native");
	block.aio = "posix";
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_CONFIG, "\"posix\"");
	block.aio = NULL;
	layers[0].driver = "vmdk";
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_UNSUPPORTED, "vmdk");
	layers[0].driver = "raw";
	layers[0].path = folder;
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_FAILED, folder);
	block.readonly = 1;
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_CONFIG, "neither a file nor a block device");
	layers[0].path = "/no/such/file";
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_NOT_FOUND, "/no/such/file");
	layers[0].path = NULL;
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_FAILED, "neither a path nor an fd");
	ck_assert_uint_eq(args.argv.count, 1);
}
END_TEST

START_TEST(fifo_does_not_hold_us)
{
	autofree char *fifo = path_join(folder, "fifo");
	struct vmf_block_layer layers[] = {{"raw", fifo, -1, 0}};
	struct vmf_block block = {.layers = layers, .n_layers = 1, .readonly = 1};

	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_CONFIG, "neither a file nor a block device");
}
END_TEST

START_TEST(hidden_backing_is_refused)
{
	unsigned char head[104] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3, [15] = 0x70};
	struct vmf_block_layer layers[] = {{"qcow2", disk, -1, 0}, {"raw", base, -1, 0}};
	struct vmf_block block = {.layers = layers, .n_layers = 1};

	ck_assert_int_eq(file_write(disk, (const char *)head, sizeof(head), 0600, false, &err), 0);
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), -1);
	expect(VMF_E_CONFIG, "needs another image below it");
	block.n_layers = 2;
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), 0);
	head[15] = 0;
	block.n_layers = 1;
	ck_assert_int_eq(file_write(disk, (const char *)head, sizeof(head), 0600, false, &err), 0);
	ck_assert_int_eq(qemu_args_block(&args, "d", &block, false, &err), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("args");
	TCase *tc = tcase_create("args");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, line_for_a_shell);
	tcase_add_test(tc, fds_are_owned_once);
	tcase_add_loop_test(tc, structured_values, 0, VMF_COUNT(values));
	tcase_add_test(tc, values_without_a_name);
	tcase_add_test(tc, netdev_of_values);
	tcase_add_test(tc, netdev_of_fds);
	tcase_add_test(tc, netdev_with_an_fd_below);
	tcase_add_test(tc, netdev_of_a_bad_plugin);
	tcase_add_test(tc, block_of_two_layers);
	tcase_add_test(tc, block_to_read);
	tcase_add_test(tc, block_of_an_fd);
	tcase_add_test(tc, block_when_dry);
	tcase_add_test(tc, block_errors);
	tcase_add_test(tc, fifo_does_not_hold_us);
	tcase_add_test(tc, hidden_backing_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
