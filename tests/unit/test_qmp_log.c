/* SPDX-License-Identifier: ISC */
/* The event log, made up and as QEMU itself writes it; the QMP client against QEMU. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "qemu/process.h"
#include "qemu/qmp.h"

#define GREETING \
	"{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, " \
	"\"capabilities\": []}}\r\n"
#define READY GREETING "{\"return\": {}, \"id\": 1}\r\n"
#define AT(seconds) "{\"timestamp\": {\"seconds\": " #seconds ", \"microseconds\": 5}, \"event\": "

static struct vmf_error err;
static char folder[64];
static int folder_fd;

static int64_t soon(int64_t ms)
{
	return time_now_ms() + ms;
}

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	strcpy(folder, "/tmp/vmf-test-log-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void teardown(void)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	close(folder_fd);
	ck_assert_int_eq(file_remove_tree(folder, &ignored), 0);
	error_clear(&err);
}

static void expect(int code, const char *text)
{
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.message, text) != NULL, "\"%s\" is not in \"%s\"", text, err.message);
	error_clear(&err);
}

#define IO_ERROR(seconds, action) \
	AT(seconds) \
	"\"BLOCK_IO_ERROR\", \"data\": {\"device\": \"\", \"nospace\": true, \"node-name\": \"root\", " \
	"\"reason\": " \
	"\"No space left on device\", \"operation\": \"write\", \"action\": \"" action "\"}}\r\n"
#define SHUTDOWN(guest, reason) \
	AT(50) "\"SHUTDOWN\", \"data\": {\"guest\": " guest ", \"reason\": \"" reason "\"}}\r\n"
#define PANIC(action) AT(7) "\"GUEST_PANICKED\", \"data\": {\"action\": \"" action "\"}}\r\n"
#define STOP(seconds) AT(seconds) "\"STOP\"}\r\n"
#define RESUME(seconds) AT(seconds) "\"RESUME\"}\r\n"
#define RESET AT(60) "\"RESET\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-system-reset\"}}\r\n"
#define WATCHDOG(action) AT(7) "\"WATCHDOG\", \"data\": {\"action\": \"" action "\"}}\r\n"
#define PRELAUNCH \
	"{\"return\": {\"status\": \"prelaunch\", \"singlestep\": false, \"running\": false}, \"id\": " \
	"2}\r\n"

static const struct {
	const char *log, *status, *detail;
	int64_t seconds;
	char how; /* g: the guest's shutdown, p: panic, h: the host's doing */
} logs[] = {
	{"", "", "", 0, 0},
	{"\n\n\r\n", "", "", 0, 0},
	{GREETING "{\"return\": {}}\r\n", "", "", 0, 0},
	{STOP(9), "paused", "", 9, 0},
	{STOP(9) RESUME(10), "running", "", 10, 0},
	{RESUME(9) STOP(10), "paused", "", 10, 0},
	{RESUME(9) STOP(10) GREETING "{\"return\": {}}\r\n", "paused", "", 10, 0},
	{READY PRELAUNCH, "prelaunch", "", 0, 0},
	{READY PRELAUNCH RESUME(9), "running", "", 9, 0},
	{READY PRELAUNCH STOP(9), "paused", "", 9, 0},
	{STOP(9) "{\"return\": {\"status\": \"completed\", \"running\": 5}}\r\n", "paused", "", 9, 0},
	{RESUME(1) IO_ERROR(2, "stop") STOP(3), "io-error", "root: write: No space left on device", 3, 0},
	{IO_ERROR(2, "stop") IO_ERROR(2, "stop") STOP(3) IO_ERROR(4, "stop"), "io-error",
		"root: write: No space left on device", 4, 0},
	{RESUME(1) IO_ERROR(2, "stop"), "io-error", "root: write: No space left on device", 2, 0},
	{IO_ERROR(2, "stop") STOP(3) RESUME(4), "running", "", 4, 0},
	{IO_ERROR(2, "stop") STOP(3) RESUME(4) STOP(5), "paused", "", 5, 0},
	{RESUME(1) IO_ERROR(2, "report") STOP(3), "paused", "", 3, 0},
	{RESUME(1) IO_ERROR(2, "report"), "running", "", 1, 0},
	{RESUME(1) SHUTDOWN("true", "guest-shutdown"), "shutdown", "guest-shutdown", 50, 'g'},
	{RESUME(1) SHUTDOWN("true", "guest-shutdown") STOP(51), "shutdown", "guest-shutdown", 51, 'g'},
	{RESUME(1) SHUTDOWN("false", "host-qmp-quit"), "shutdown", "host-qmp-quit", 50, 'h'},
	{RESUME(1) PANIC("pause") STOP(8), "guest-panicked", "", 8, 'p'},
	{RESUME(1) PANIC("run"), "running", "", 1, 0},
	{RESUME(1) PANIC("poweroff") STOP(8) SHUTDOWN("true", "guest-panic"), "shutdown", "guest-panic", 50,
		'p'},
	{RESUME(1) WATCHDOG("pause") STOP(8), "watchdog", "", 8, 0},
	{RESUME(1) WATCHDOG("reset"), "running", "", 1, 0},
	{RESUME(1) AT(2) "\"SUSPEND\"}\r\n", "suspended", "", 2, 0},
	{RESUME(1) AT(2) "\"SUSPEND\"}\r\n" AT(3) "\"WAKEUP\"}\r\n", "running", "", 3, 0},
	{RESUME(1) PANIC("pause") STOP(8) RESET, "prelaunch", "", 8, 0},
	{RESUME(1) RESET, "running", "", 1, 0},
	{RESUME(1) RESET STOP(70), "paused", "", 70, 0},
	{RESUME(1) AT(2) "\"POWERDOWN\"}\r\n", "running", "", 1, 0},
	/* half a last line, with and without what would change the state */
	{RESUME(9) "{\"timestamp\": {\"seconds\": 10, \"micro", "running", "", 9, 0},
	{RESUME(9) AT(10) "\"STOP\"", "running", "", 9, 0},
	{RESUME(9) AT(10) "\"STOP\"}", "paused", "", 10, 0},
	/* not QEMU's */
	{RESUME(9) "\"event\": \"STOP\"\r\n", "running", "", 9, 0},
	{RESUME(9) "{\"x\": {\"event\": \"STOP\"}}\r\n", "running", "", 9, 0},
	{RESUME(9) "\xff\xfe{}\"event\": \"STOP\" \r\n", "running", "", 9, 0},
	{"{\"event\": \"STOP\", \"timestamp\": 5}\r\n", "paused", "", 0, 0},
	{AT(-5) "\"STOP\"}\r\n", "paused", "", 0, 0},
	{AT(99999999999999999) "\"STOP\"}\r\n", "paused", "", 0, 0},
	{AT(5) "\"BLOCK_IO_ERROR\", \"data\": 7}\r\n" STOP(6), "paused", "", 6, 0},
	{AT(5) "\"SHUTDOWN\"}\r\n", "shutdown", "", 5, 'h'},
};

static void write_log(const char *text, size_t length)
{
	ck_assert_int_eq(file_write_at(folder_fd, "events", text, length, 0600), 0);
}

START_TEST(last_state)
{
	struct qmp_last last;

	write_log(logs[_i].log, strlen(logs[_i].log));
	ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), 0);
	ck_assert_str_eq(last.status, logs[_i].status);
	ck_assert_str_eq(last.detail, logs[_i].detail);
	ck_assert_int_eq(last.when_us, logs[_i].seconds ? logs[_i].seconds * 1000000 + 5 : 0);
	ck_assert_int_eq(last.guest_shutdown, logs[_i].how == 'g');
	ck_assert_int_eq(last.guest_panicked, logs[_i].how == 'p');
	ck_assert_int_eq(last.host_quit, logs[_i].how == 'h');
}
END_TEST

/* Whatever the log's length, and wherever a read begins, the answer is the same. */
START_TEST(last_state_of_long_logs)
{
	static const char filler[] =
		AT(30) "\"RTC_CHANGE\", \"data\": {\"offset\": 1, \"qom-path\": \"/machine\"}}\r\n";
	autostrbuf struct strbuf log = STRBUF_INIT;
	struct qmp_last last;

	strbuf_puts(&log, RESUME(1) IO_ERROR(2, "stop") STOP(3));
	while (log.length < 300000) {
		for (int i = 0; i < (log.length < 20000 ? 1 : 200); i++)
			strbuf_puts(&log, filler);
		write_log(log.data, log.length);
		ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), 0);
		ck_assert_str_eq(last.status, "io-error");
		ck_assert_int_eq(last.when_us, 3000005);
	}
	/* beyond what is looked at, nothing is known */
	while (log.length < (2 << 20))
		strbuf_puts(&log, filler);
	write_log(log.data, log.length);
	ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), 0);
	ck_assert_str_eq(last.status, "");
}
END_TEST

START_TEST(last_state_without_a_log)
{
	struct qmp_last last;

	ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), 0);
	ck_assert_str_eq(last.status, "");
	ck_assert_int_eq(mkdirat(folder_fd, "events", 0700), 0);
	ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), -1);
	ck_assert_int_eq(errno, EISDIR);
}
END_TEST

/* ---- QEMU itself -------------------------------------------------------------------------- */

static int start_qemu(const char *main_path, const char *events_path, pid_t *pid)
{
	autofree char *program = proc_find_program("qemu-system-x86_64");
	autofree char *set = NULL;
	autoclose int log_fd = openat(folder_fd, "log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct qemu_args args;
	struct qemu_spawn spawn = {.args = &args, .program = program, .log_fd = log_fd, .pid_fd = -1};
	int listen_fds[2], pidfd = -1;
	autoclose int probe = proc_pidfd(getpid());

	if (!program || (probe < 0 && errno == ENOSYS)) /* valgrind knows no pidfds */
		return -1;
	spawn.uid = geteuid();
	spawn.gid = getegid();
	qemu_args_init(&args, program);
	qemu_args_add(&args, "-S", NULL);
	qemu_args_add(&args, "-accel", "tcg");
	qemu_args_add(&args, "-nodefaults", NULL);
	qemu_args_add(&args, "-display", "none");
	listen_fds[0] = qemu_args_fd(&args, qemu_socket(main_path, 0600, &err));
	listen_fds[1] = qemu_args_fd(&args, qemu_socket(events_path, 0600, &err));
	set = qemu_args_fdset(
		&args, openat(folder_fd, "events", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
	qemu_args_addf(&args, "-chardev", "socket,id=qmp,fd=%d,server=on,wait=off", listen_fds[0]);
	qemu_args_addf(&args, "-chardev", "socket,id=ev,fd=%d,server=on,wait=off,logfile=%s,logappend=on",
		listen_fds[1], set);
	qemu_args_add(&args, "-mon", "chardev=qmp,mode=control");
	qemu_args_add(&args, "-mon", "chardev=ev,mode=control");
	spawn.listen_fds = listen_fds;
	spawn.n_listen_fds = 2;
	ck_assert_msg(qemu_spawn(&spawn, pid, &pidfd, &err) == 0, "%s", err.message);
	qemu_args_free(&args);
	return pidfd;
}

static void expect_last(const char *status)
{
	struct qmp_last last;
	int64_t deadline = soon(5000);

	do {
		ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), 0);
	} while (!str_equal(last.status, status) && time_now_ms() < deadline);
	ck_assert_str_eq(last.status, status);
}

START_TEST(qemu_itself)
{
	autofree char *main_path = path_join(folder, "qmp");
	autofree char *events_path = path_join(folder, "ev");
	struct qmp *q, *ev;
	char *text = NULL;
	const char *path = main_path;
	int answered, pidfd;
	json_t *event, *answer = NULL;
	struct qmp_last last;
	pid_t pid;

	if (getenv("VMF_VALGRIND"))
		return; /* it does not know pidfd_open() */
	pidfd = start_qemu(main_path, events_path, &pid);
	if (pidfd < 0)
		return; /* not on this machine */
	q = qmp_begin(main_path, pidfd, &err);
	ev = qmp_begin(events_path, pidfd, &err);
	ck_assert_msg(q && qmp_finish(q, soon(30000), &err) == 0, "%s", err.message);
	ck_assert_int_eq(qmp_finish(ev, soon(30000), &err), 0);
	ck_assert_int_eq(qmp_peer_pid(q), pid);
	expect_last("");
	ck_assert_int_eq(qmp_status(ev, &text, soon(10000), &err), 0);
	ck_assert_str_eq(text, "prelaunch");
	free(text);
	qmp_close(ev);
	expect_last("prelaunch");
	ck_assert_int_eq(qmp_command_fd(q, "getfd", json_pack("{s:s}", "fdname", "x"), folder_fd, NULL,
				 soon(10000), &err),
		0);
	ck_assert_int_eq(
		qmp_command(q, "closefd", json_pack("{s:s}", "fdname", "x"), NULL, soon(10000), &err), 0);
	ck_assert_int_eq(
		qmp_command(q, "closefd", json_pack("{s:s}", "fdname", "x"), NULL, soon(10000), &err), -1);
	expect(VMF_E_FAILED, "closefd: ");
	ck_assert_int_eq(qmp_command(q, "query-qmp-schema", NULL, &answer, soon(10000), &err), 0);
	ck_assert_uint_gt(json_array_size(answer), 100);
	json_decref(answer);
	ck_assert_int_eq(qmp_hmp(q, "info status", &text, soon(10000), &err), 0);
	ck_assert_ptr_null(strchr(text, '\r'));
	ck_assert_ptr_nonnull(strstr(text, "VM status: paused"));
	free(text);
	ck_assert_int_eq(qmp_command(q, "cont", NULL, NULL, soon(10000), &err), 0);
	expect_last("running");
	ck_assert_int_eq(qmp_command(q, "stop", NULL, NULL, soon(10000), &err), 0);
	expect_last("paused");
	ck_assert_int_eq(qmp_event(q, &event, soon(10000), &err), 0);
	ck_assert_str_eq(json_string_value(json_object_get(event, "event")), "RESUME");
	json_decref(event);
	/* a second client of a monitor is not greeted */
	qmp_status_many(&path, 1, &text, &answered, soon(100));
	ck_assert_int_eq(answered, 0);
	qmp_close(q);
	qmp_status_many(&path, 1, &text, &answered, soon(10000));
	ck_assert_int_eq(answered, 1);
	ck_assert_str_eq(text, "paused");
	free(text);
	q = qmp_open(main_path, soon(10000), &err);
	ck_assert_ptr_nonnull(q);
	ck_assert_int_eq(qmp_command(q, "quit", NULL, NULL, soon(10000), &err), 0);
	ck_assert_int_eq(proc_wait_end(pidfd, soon(10000)), 1);
	ck_assert_int_eq(qmp_command(q, "stop", NULL, NULL, soon(10000), &err), -1);
	error_clear(&err);
	qmp_close(q);
	ck_assert_int_eq(qmp_last_state(folder_fd, "events", &last), 0);
	ck_assert_str_eq(last.status, "shutdown");
	ck_assert(last.host_quit);
	waitpid(pid, NULL, 0);
	close(pidfd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qmp_log");
	TCase *log = tcase_create("log"), *qemu = tcase_create("qemu");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(log, setup, teardown);
	tcase_set_timeout(log, 60);
	tcase_add_loop_test(log, last_state, 0, VMF_COUNT(logs));
	tcase_add_test(log, last_state_of_long_logs);
	tcase_add_test(log, last_state_without_a_log);
	suite_add_tcase(suite, log);
	tcase_add_checked_fixture(qemu, setup, teardown);
	tcase_set_timeout(qemu, 120);
	tcase_add_test(qemu, qemu_itself);
	suite_add_tcase(suite, qemu);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
