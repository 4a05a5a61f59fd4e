/* SPDX-License-Identifier: ISC */
/* Volumes as streams; and what is left when there is no room, when vmf is killed, when an image is garbled.
 */
#include "file_qcow2.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
	ck_assert_int_eq(umount2(folder, MNT_DETACH), 0);
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
		arena_free(services.arena);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file-qcow2");
	TCase *tests = tcase_create("streams");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 3000);
	tcase_add_loop_test(tests, streams, 0, N_SOURCES);
	tcase_add_test(tests, send_behind);
	tcase_add_test(tests, no_space);
	tcase_add_loop_test(tests, killed, 0, 3);
	tcase_add_test(tests, left_behind);
	tcase_add_test(tests, garbled);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
