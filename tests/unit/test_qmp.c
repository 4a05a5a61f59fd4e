/* SPDX-License-Identifier: ISC */
/* The QMP client against a made-up QEMU that misbehaves. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
#define RUNNING \
	"{\"return\": {\"status\": \"running\", \"singlestep\": false, \"running\": true}, \"id\": 2}\r\n"
#define AT(seconds) "{\"timestamp\": {\"seconds\": " #seconds ", \"microseconds\": 5}, \"event\": "

static struct vmf_error err;
static struct qmp *qmp;
static int peer;
static char folder[64];
static int folder_fd;

static int64_t soon(int64_t ms)
{
	return time_now_ms() + ms;
}

static void setup(void)
{
	int fds[2];

	memset(&err, 0, sizeof(err));
	strcpy(folder, "/tmp/vmf-test-qmp-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	qmp = qmp_from_fd(fds[0], -1);
	peer = fds[1];
}

static void teardown(void)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	qmp_close(qmp);
	if (peer >= 0)
		close(peer);
	close(folder_fd);
	ck_assert_int_eq(file_remove_tree(folder, &ignored), 0);
	error_clear(&err);
}

/* What the made-up QEMU says, put into the socket beforehand. */
static void say(const char *text)
{
	ck_assert_int_eq(fd_write_all(peer, text, strlen(text)), 0);
}

static void hang_up(void)
{
	close(peer);
	peer = -1;
}

static void get_ready(const char *more)
{
	say(READY);
	say(more);
	ck_assert_int_eq(qmp_finish(qmp, soon(2000), &err), 0);
}

static void expect(int code, const char *text)
{
	ck_assert_int_eq(err.code, code);
	ck_assert_msg(strstr(err.message, text) != NULL, "\"%s\" is not in \"%s\"", text, err.message);
	error_clear(&err);
}

START_TEST(negotiates_and_asks)
{
	char *status = NULL, sent[512] = "";

	get_ready(RUNNING);
	ck_assert_int_eq(qmp_status(qmp, &status, soon(2000), &err), 0);
	ck_assert_str_eq(status, "running");
	free(status);
	ck_assert_int_gt(read(peer, sent, sizeof(sent) - 1), 0);
	ck_assert_ptr_nonnull(strstr(sent, "\"execute\":\"qmp_capabilities\""));
	ck_assert_ptr_nonnull(strstr(sent, "\"execute\":\"query-status\""));
	ck_assert_ptr_nonnull(strstr(sent, "\"id\":2}\n"));
	ck_assert_int_eq(qmp_peer_pid(qmp), getpid());
}
END_TEST

START_TEST(keeps_events_in_order)
{
	json_t *event;

	get_ready(AT(1) "\"STOP\"}\r\n" AT(2) "\"RESUME\"}\r\n{\"return\": {}, \"id\": 2}\r\n" AT(
		3) "\"RESET\"}\r\n");
	ck_assert_int_eq(qmp_command(qmp, "cont", NULL, NULL, soon(2000), &err), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"STOP", "RESUME", "RESET"};

		ck_assert_int_eq(qmp_event(qmp, &event, soon(2000), &err), 0);
		ck_assert_str_eq(json_string_value(json_object_get(event, "event")), names[i]);
		json_decref(event);
	}
	ck_assert_int_eq(qmp_event(qmp, &event, soon(20), &err), -1);
	expect(VMF_E_TIMEOUT, "no event");
	hang_up();
	ck_assert_int_eq(qmp_event(qmp, &event, soon(2000), &err), -1);
	expect(VMF_E_NOT_FOUND, "closed the connection");
}
END_TEST

START_TEST(event_flood_is_bounded)
{
	char line[200];
	json_t *event = NULL;
	pid_t pid;
	int n = 0;

	get_ready("");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		for (int i = 0; i < 5000; i++) {
			snprintf(line, sizeof(line), AT(% d) "\"STOP\"}\r\n", i);
			say(line);
		}
		say("{\"return\": {}, \"id\": 2}\r\n");
		_exit(0);
	}
	ck_assert_int_eq(qmp_command(qmp, "x", NULL, NULL, soon(20000), &err), 0);
	waitpid(pid, NULL, 0);
	while (qmp_event(qmp, &event, soon(0), &err) == 0) {
		n++;
		json_decref(event);
	}
	ck_assert_int_eq(n, 1024);
}
END_TEST

START_TEST(flood_without_answer_ends_at_the_deadline)
{
	int64_t began = time_now_ms();
	pid_t pid;

	get_ready("");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		for (;;)
			if (fd_write_all(peer, AT(1) "\"STOP\"}\r\n", strlen(AT(1) "\"STOP\"}\r\n")) < 0)
				_exit(0);
	}
	ck_assert_int_eq(qmp_command(qmp, "x", NULL, NULL, soon(200), &err), -1);
	expect(VMF_E_TIMEOUT, "does not answer");
	ck_assert_int_lt(time_now_ms() - began, 2000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(refusal_has_qemus_words)
{
	json_t *answer = NULL;

	get_ready("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\u001b[31m such\\nthing\"}, "
		  "\"id\": 2}\r\n");
	ck_assert_int_eq(
		qmp_command(qmp, "eject", json_pack("{s:s}", "id", "cd"), &answer, soon(2000), &err), -1);
	ck_assert_ptr_null(answer);
	expect(VMF_E_FAILED, "eject: no [31m such thing");
}
END_TEST

START_TEST(error_without_words)
{
	get_ready("{\"error\": 7, \"id\": 2}\r\n");
	ck_assert_int_eq(qmp_command(qmp, "eject", NULL, NULL, soon(2000), &err), -1);
	expect(VMF_E_FAILED, "no reason given");
}
END_TEST

START_TEST(stale_and_foreign_answers_are_passed_over)
{
	char *status = NULL;

	get_ready("");
	ck_assert_int_eq(qmp_status(qmp, &status, soon(20), &err), -1);
	expect(VMF_E_TIMEOUT, "query-status: QEMU does not answer");
	say("{\"return\": {\"status\": \"paused\"}, \"id\": 2}\r\n{\"return\": {}, \"id\": "
	    "\"x\"}\r\n{\"return\": {}}\r\n");
	say("{\"return\": {\"status\": \"running\"}, \"id\": 3}\r\n");
	ck_assert_int_eq(qmp_status(qmp, &status, soon(2000), &err), 0);
	ck_assert_str_eq(status, "running");
	free(status);
}
END_TEST

START_TEST(answers_of_odd_shapes)
{
	char *status = NULL, *text = NULL;

	get_ready("{\"return\": [], \"id\": 2}\r\n{\"return\": {\"status\": 5}, \"id\": 3}\r\n{\"return\": "
		  "{}, \"id\": 4}\r\n");
	ck_assert_int_eq(qmp_status(qmp, &status, soon(2000), &err), -1);
	expect(VMF_E_FAILED, "no status");
	ck_assert_int_eq(qmp_status(qmp, &status, soon(2000), &err), -1);
	expect(VMF_E_FAILED, "no status");
	ck_assert_int_eq(qmp_hmp(qmp, "info", &text, soon(2000), &err), 0);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(hmp_has_plain_newlines)
{
	char *text = NULL;

	get_ready("{\"return\": \"a\\r\\nb\\r\\n\", \"id\": 2}\r\n");
	ck_assert_int_eq(qmp_hmp(qmp, "info", &text, soon(2000), &err), 0);
	ck_assert_str_eq(text, "a\nb\n");
	free(text);
	ck_assert_int_eq(qmp_hmp(qmp, "\xff", &text, soon(2000), &err), -1);
	expect(VMF_E_USAGE, "UTF-8");
}
END_TEST

START_TEST(raw_lines)
{
	char *text = NULL;

	get_ready(
		"{\"return\": {}, \"id\": \"mine\"}\r\n{\"error\": {\"class\": \"X\", \"desc\": \"y\"}}\r\n");
	ck_assert_int_eq(
		qmp_raw(qmp, "{\"execute\": \"stop\", \"id\": \"mine\"}", &text, soon(2000), &err), 0);
	ck_assert_str_eq(text, "{\"return\": {}, \"id\": \"mine\"}");
	free(text);
	ck_assert_int_eq(qmp_raw(qmp, "{\"execute\": \"stop\"}", &text, soon(2000), &err), 0);
	ck_assert_str_eq(text, "{\"error\": {\"class\": \"X\", \"desc\": \"y\"}}");
	free(text);
	ck_assert_int_eq(qmp_raw(qmp, "{\"execute\": ", &text, soon(2000), &err), -1);
	expect(VMF_E_USAGE, "no JSON");
	ck_assert_int_eq(qmp_raw(qmp, "[]", &text, soon(2000), &err), -1);
	expect(VMF_E_USAGE, "one JSON object");
}
END_TEST

static const char *const garbage[] = {
	"HTTP/1.1 400 Bad Request\r\n\r\n",
	"{\"return\": {}\r\n",
	"[1, 2]\r\n",
	"\xff\xfe\xfd\n",
	"{\"return\": {}, \"return\": 1}\n",
};

START_TEST(garbage_is_an_error_at_once)
{
	int64_t began = time_now_ms();

	say(garbage[_i]);
	ck_assert_int_eq(qmp_finish(qmp, soon(10000), &err), -1);
	expect(VMF_E_FAILED, "no QMP");
	ck_assert_int_lt(time_now_ms() - began, 2000);
	ck_assert_int_eq(qmp_command(qmp, "x", NULL, NULL, soon(2000), &err), -1);
	expect(VMF_E_FAILED, "broken");
}
END_TEST

START_TEST(no_greeting)
{
	say("{\"return\": {}, \"id\": 1}\r\n");
	ck_assert_int_eq(qmp_finish(qmp, soon(2000), &err), -1);
	expect(VMF_E_FAILED, "did not greet");
}
END_TEST

START_TEST(blank_lines_are_nothing)
{
	say("\r\n\n  \r\n" READY "\n\n");
	ck_assert_int_eq(qmp_finish(qmp, soon(2000), &err), 0);
}
END_TEST

START_TEST(endless_line_is_given_up)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char spaces[65536];

		close(qmp_fd(qmp));
		memset(spaces, ' ', sizeof(spaces));
		for (int i = 0; i < 1024; i++)
			if (send(peer, spaces, sizeof(spaces), MSG_NOSIGNAL) < 0)
				_exit(0);
		_exit(0);
	}
	hang_up();
	ck_assert_int_eq(qmp_finish(qmp, soon(30000), &err), -1);
	expect(VMF_E_FAILED, "without an end");
	qmp_close(qmp);
	qmp = NULL;
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(long_answer_arrives)
{
	size_t size = 1 << 20;
	char *text = mem_alloc(size + 64);
	json_t *answer = NULL;
	pid_t pid;

	get_ready("");
	strcpy(text, "{\"return\": \"");
	memset(text + strlen(text), 'x', size);
	strcat(text, "\", \"id\": 2}\r\n");
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		say(text);
		_exit(0);
	}
	ck_assert_int_eq(qmp_command(qmp, "x", NULL, &answer, soon(20000), &err), 0);
	ck_assert_uint_eq(json_string_length(answer), size);
	json_decref(answer);
	free(text);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(slow_halves_make_a_whole)
{
	static const char text[] = READY;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		for (size_t i = 0; i < sizeof(text) - 1; i += 13) {
			char part[14] = "";

			memcpy(part, text + i, sizeof(text) - 1 - i < 13 ? sizeof(text) - 1 - i : 13);
			say(part);
			time_sleep_ms(2);
		}
		_exit(0);
	}
	ck_assert_int_eq(qmp_finish(qmp, soon(5000), &err), 0);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(silence_is_a_timeout)
{
	int64_t began = time_now_ms();

	say(GREETING "{\"return\"");
	ck_assert_int_eq(qmp_finish(qmp, soon(100), &err), -1);
	ck_assert_ptr_nonnull(err.hint);
	expect(VMF_E_TIMEOUT, "QEMU does not answer");
	ck_assert_int_ge(time_now_ms() - began, 95);
	/* what is there already is taken even after the deadline */
	say(": {}, \"id\": 1}\r\n");
	ck_assert_int_eq(qmp_finish(qmp, soon(-1), &err), 0);
}
END_TEST

START_TEST(full_socket_is_a_timeout)
{
	char *long_text = mem_alloc((4 << 20) + 1);

	get_ready("");
	memset(long_text, 'x', 4 << 20);
	ck_assert_int_eq(
		qmp_command(qmp, "x", json_pack("{s:s}", "a", long_text), NULL, soon(100), &err), -1);
	expect(VMF_E_TIMEOUT, "does not answer");
	ck_assert_int_eq(qmp_command(qmp, "x", NULL, NULL, soon(100), &err), -1);
	expect(VMF_E_FAILED, "broken");
	free(long_text);
}
END_TEST

START_TEST(closed_in_between)
{
	get_ready("{\"return\": ");
	hang_up();
	ck_assert_int_eq(qmp_command(qmp, "x", NULL, NULL, soon(2000), &err), -1);
	expect(VMF_E_NOT_FOUND, "closed the connection");
}
END_TEST

START_TEST(death_is_noticed)
{
	int64_t began = time_now_ms();
	pid_t pid = fork();
	int fds[2], pidfd;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	pidfd = proc_pidfd(pid);
	if (pidfd < 0 && errno == ENOSYS) { /* valgrind knows no pidfds */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return;
	}
	ck_assert_int_ge(pidfd, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	qmp_close(qmp);
	qmp = qmp_from_fd(fds[0], pidfd);
	close(peer);
	peer = fds[1];
	kill(pid, SIGKILL);
	ck_assert_int_eq(qmp_finish(qmp, soon(10000), &err), -1);
	expect(VMF_E_FAILED, "QEMU ended");
	ck_assert_int_lt(time_now_ms() - began, 2000);
	waitpid(pid, NULL, 0);
	close(pidfd);
}
END_TEST

/* The number of a pidfd that was closed may be anything's by now. */
START_TEST(death_can_be_forgotten)
{
	int fds[2], readable[2];

	ck_assert_int_eq(pipe2(readable, O_CLOEXEC), 0);
	close(readable[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	qmp_close(qmp);
	qmp = qmp_from_fd(fds[0], readable[0]);
	close(peer);
	peer = fds[1];
	qmp_forget_death(NULL);
	qmp_forget_death(qmp);
	ck_assert_int_eq(qmp_finish(qmp, soon(50), &err), -1);
	expect(VMF_E_TIMEOUT, "QEMU does not answer");
	close(readable[0]);
}
END_TEST

START_TEST(nobody_listens)
{
	autofree char *path = path_join(folder, "qmp");
	autofree char *long_path = str_printf("%s/%0120d", folder, 0);

	ck_assert_ptr_null(qmp_open(path, soon(100), &err));
	expect(VMF_E_NOT_FOUND, "no QEMU listens");
	close(qemu_socket(path, 0600, &err));
	ck_assert_ptr_null(qmp_open(path, soon(100), &err));
	expect(VMF_E_NOT_FOUND, "no QEMU listens");
	ck_assert_ptr_null(qmp_open(long_path, soon(100), &err));
	expect(VMF_E_FAILED, "too long");
}
END_TEST

START_TEST(full_queue_is_a_timeout)
{
	autofree char *path = path_join(folder, "qmp");
	int fd = qemu_socket(path, 0600, &err);
	struct qmp *first, *second;

	ck_assert_int_eq(listen(fd, 0), 0);
	first = qmp_begin(path, -1, &err);
	ck_assert_ptr_nonnull(first);
	second = qmp_open(path, soon(100), &err);
	ck_assert_ptr_null(second);
	expect(VMF_E_TIMEOUT, "does not answer");
	qmp_close(first);
	close(fd);
}
END_TEST

START_TEST(passes_an_fd_along)
{
	char data[512], control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	get_ready("{\"return\": {}, \"id\": 2}\r\n");
	ck_assert_int_gt(read(peer, data, sizeof(data)), 0);
	ck_assert_int_eq(qmp_command_fd(qmp, "getfd", json_pack("{s:s}", "fdname", "x"), folder_fd, NULL,
				 soon(2000), &err),
		0);
	ck_assert_int_gt(recvmsg(peer, &msg, MSG_CMSG_CLOEXEC), 0);
	c = CMSG_FIRSTHDR(&msg);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(c->cmsg_type, SCM_RIGHTS);
	close(*(int *)(void *)CMSG_DATA(c));
	ck_assert_int_ge(fcntl(folder_fd, F_GETFD), 0);
}
END_TEST

/* ---- many --------------------------------------------------------------------------------- */

#define MANY 40

/* Answers at every third socket; every third is silent; nobody listens at the rest. */
static void serve_many(const int *fds)
{
	for (int i = 0; i < MANY; i += 3) {
		int fd = accept(fds[i], NULL, NULL);

		if (i == 3)
			(void)!write(fd, "garbage\r\n", 9);
		else
			(void)!write(fd, READY RUNNING, strlen(READY RUNNING));
	}
	pause();
}

START_TEST(many_at_once)
{
	char *paths[MANY], *status[MANY];
	int fds[MANY], answered[MANY];
	int64_t began;
	pid_t pid;

	for (int i = 0; i < MANY; i++) {
		paths[i] = str_printf("%s/%d", folder, i);
		fds[i] = qemu_socket(paths[i], 0600, &err);
		ck_assert_int_ge(fds[i], 0);
		if (i % 3 < 2)
			ck_assert_int_eq(listen(fds[i], 1), 0);
	}
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		serve_many(fds);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	began = time_now_ms();
	qmp_status_many((const char *const *)paths, MANY, status, answered, soon(1000));
	ck_assert_int_lt(time_now_ms() - began, 3000);
	for (int i = 0; i < MANY; i++) {
		bool is_ok = i % 3 == 0 && i != 3;

		ck_assert_int_eq(answered[i], is_ok ? 1 : i % 3 == 2 ? -1 : 0);
		if (is_ok)
			ck_assert_str_eq(status[i], "running");
		else
			ck_assert_ptr_null(status[i]);
		free(status[i]);
		free(paths[i]);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(many_of_none)
{
	qmp_status_many(NULL, 0, NULL, NULL, soon(1000));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("qmp");
	TCase *client = tcase_create("client");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_add_checked_fixture(client, setup, teardown);
	tcase_set_timeout(client, 60);
	tcase_add_test(client, negotiates_and_asks);
	tcase_add_test(client, keeps_events_in_order);
	tcase_add_test(client, event_flood_is_bounded);
	tcase_add_test(client, flood_without_answer_ends_at_the_deadline);
	tcase_add_test(client, refusal_has_qemus_words);
	tcase_add_test(client, error_without_words);
	tcase_add_test(client, stale_and_foreign_answers_are_passed_over);
	tcase_add_test(client, answers_of_odd_shapes);
	tcase_add_test(client, hmp_has_plain_newlines);
	tcase_add_test(client, raw_lines);
	tcase_add_loop_test(client, garbage_is_an_error_at_once, 0, VMF_COUNT(garbage));
	tcase_add_test(client, no_greeting);
	tcase_add_test(client, blank_lines_are_nothing);
	tcase_add_test(client, endless_line_is_given_up);
	tcase_add_test(client, long_answer_arrives);
	tcase_add_test(client, slow_halves_make_a_whole);
	tcase_add_test(client, silence_is_a_timeout);
	tcase_add_test(client, full_socket_is_a_timeout);
	tcase_add_test(client, closed_in_between);
	tcase_add_test(client, death_is_noticed);
	tcase_add_test(client, death_can_be_forgotten);
	tcase_add_test(client, nobody_listens);
	tcase_add_test(client, full_queue_is_a_timeout);
	tcase_add_test(client, passes_an_fd_along);
	tcase_add_test(client, many_at_once);
	tcase_add_test(client, many_of_none);
	suite_add_tcase(suite, client);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
