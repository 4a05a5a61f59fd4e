/* SPDX-License-Identifier: ISC */
/*
 * relay_run() in a process of its own. The test has both ends: it connects as the client, and the far end is
 * half of a socketpair that the relay's open() sends to it.
 */
#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "base/relay.h"
#include "base/str.h"

#define PATIENCE_MS 20000
#define MIB (1 << 20)

static struct relay_options options;
static pid_t child;
static int control[2]; /* the test's end, the relay's end: far ends come through it */
static struct sockaddr_storage address;
static socklen_t address_length;
static char big[MIB];

/* ---- what the relay calls ------------------------------------------------------------------ */

static void send_fd(int fd)
{
	char byte = 'f', room[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(control[1], &message, 0) != 1)
		_exit(90);
}

static int open_pair(void *data, int client)
{
	int pair[2];

	(void)data;
	(void)client;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	send_fd(pair[1]);
	close(pair[1]);
	return pair[0];
}

static int open_taken(void *data, int client)
{
	(void)data;
	send_fd(client);
	return RELAY_TAKEN;
}

static int open_refused(void *data, int client)
{
	(void)data;
	(void)client;
	errno = ECONNREFUSED;
	return -1;
}

/* Has no room for the first three times. */
static int open_late(void *data, int client)
{
	static int n;

	if (n++ < 3) {
		errno = EAGAIN;
		return -1;
	}
	return open_pair(data, client);
}

/* Every second one. */
static bool admits_some(void *data, const struct sockaddr *peer, socklen_t length)
{
	static unsigned n;

	(void)data;
	(void)peer;
	(void)length;
	return n++ % 2;
}

/* ---- the relay's process ------------------------------------------------------------------- */

static void on_signal(int number)
{
	log_interrupted = number;
}

static int listen_on(int family)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
	struct sockaddr_in *four = (struct sockaddr_in *)&address;
	int s = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(&address, 0, sizeof(address));
	address.ss_family = (sa_family_t)family;
	if (family == AF_INET)
		four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		six->sin6_addr = in6addr_loopback;
	address_length = family == AF_INET ? sizeof(*four) : sizeof(*six);
	if (s < 0 || bind(s, (struct sockaddr *)&address, address_length) < 0 || listen(s, 1024) < 0 ||
		getsockname(s, (struct sockaddr *)&address, &address_length) < 0)
		return -1;
	return s;
}

static void start_on(int family)
{
	options.listener = listen_on(family);
	ck_assert_int_ge(options.listener, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		struct sigaction action = {.sa_handler = on_signal};
		struct vmf_error err = VMF_ERROR_INIT;
		int how;

		sigaction(SIGTERM, &action, NULL);
		close(control[0]);
		how = relay_run(&options, &err);
		error_clear(&err);
		_exit(how < 0 ? 99 : how);
	}
	close(control[1]);
	close(options.listener);
}

static void start(void)
{
	start_on(AF_INET);
}

static void setup(void)
{
	memset(&options, 0, sizeof(options));
	options.open = open_pair;
	options.until_fd = -1;
	child = 0;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i * 7 + i / 251);
	signal(SIGPIPE, SIG_IGN);
}

static void teardown(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

/* How the relay ends. */
static int ended(void)
{
	int64_t deadline = time_now_ms() + PATIENCE_MS;
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		ck_assert_msg(time_now_ms() < deadline, "the relay does not end");
		time_sleep_ms(2);
	}
	child = 0;
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static size_t count_fds(void)
{
	autofree char *path = str_printf("/proc/%d/fd", (int)child);
	DIR *dir = opendir(path);
	size_t n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* It closes what it no longer needs soon, not at once. */
static void wait_for_fds(size_t fds)
{
	int64_t deadline = time_now_ms() + PATIENCE_MS;

	while (count_fds() > fds && time_now_ms() < deadline)
		time_sleep_ms(5);
	ck_assert_uint_eq(count_fds(), fds);
}

/* The relay's memory, in KiB. */
static long resident(void)
{
	autofree char *path = str_printf("/proc/%d/statm", (int)child);
	FILE *file = fopen(path, "re");
	long all, pages = 0;

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%ld %ld", &all, &pages), 2);
	fclose(file);
	return pages * 4;
}

/* ---- the test's two ends ------------------------------------------------------------------- */

static void patient(int fd)
{
	struct timeval t = {PATIENCE_MS / 1000, 0};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static int dial_may_fail(void)
{
	int s = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(s, 0);
	patient(s);
	if (connect(s, (struct sockaddr *)&address, address_length) == 0)
		return s;
	close(s);
	return -1;
}

static int dial(void)
{
	int s = dial_may_fail();

	ck_assert_int_ge(s, 0);
	return s;
}

static int far_end(void)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	int fd;

	patient(control[0]);
	ck_assert_int_eq(recvmsg(control[0], &message, MSG_CMSG_CLOEXEC), 1);
	ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	patient(fd);
	return fd;
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void hear(int fd, const char *text)
{
	char got[64] = "";

	ck_assert_int_eq(recv(fd, got, strlen(text), MSG_WAITALL), (ssize_t)strlen(text));
	ck_assert_str_eq(got, text);
}

/* The other side has ended, cleanly or not. */
static void hear_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	ck_assert_msg(n == 0 || (n < 0 && errno == ECONNRESET), "%zd: %s", n, strerror(errno));
}

static void say_big(int fd)
{
	size_t done = 0;

	while (done < sizeof(big)) {
		ssize_t n = send(fd, big + done, sizeof(big) - done, MSG_NOSIGNAL);

		ck_assert_int_gt(n, 0);
		done += (size_t)n;
	}
}

static void hear_big(int fd)
{
	static char got[MIB];

	ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_WAITALL), (ssize_t)sizeof(got));
	ck_assert_mem_eq(got, big, sizeof(got));
}

/* Sends until nothing more is taken for a while; how much that was. */
static size_t flood(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	size_t done = 0;

	while (poll(&p, 1, 300) == 1 && done < (256u << 20)) {
		size_t at = done % sizeof(big);
		ssize_t n = send(fd, big + at, sizeof(big) - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			done += (size_t)n;
	}
	return done;
}

static void one_goes_through(void)
{
	int client = dial(), far = far_end();

	say(client, "to and");
	hear(far, "to and");
	say(far, "fro");
	hear(client, "fro");
	close(client);
	hear_end(far);
	close(far);
}

/* ---- bytes --------------------------------------------------------------------------------- */

START_TEST(half_close_is_kept)
{
	int client, far;

	start();
	client = dial();
	far = far_end();
	say(client, "question");
	shutdown(client, SHUT_WR);
	hear(far, "question");
	hear_end(far);
	/* what is on its way is not lost */
	if (fork() == 0) {
		say_big(far);
		_exit(0);
	}
	close(far);
	hear_big(client);
	hear_end(client);
	close(client);
	wait(NULL);

	/* and the other way round */
	client = dial();
	far = far_end();
	say(far, "bye");
	shutdown(far, SHUT_WR);
	hear(client, "bye");
	hear_end(client);
	say(client, "last words");
	hear(far, "last words");
	close(client);
	hear_end(far);
	close(far);
	one_goes_through();
}
END_TEST

START_TEST(who_reads_nothing_stalls_nobody)
{
	int slow[8], far[8], client, other;
	long before;

	start();
	one_goes_through();
	before = resident();
	for (int i = 0; i < 8; i++) {
		slow[i] = dial();
		far[i] = far_end();
		ck_assert_uint_lt(flood(far[i]), 64u << 20);
	}
	client = dial();
	other = far_end();
	for (int i = 0; i < 100; i++) {
		say(client, "ping");
		hear(other, "ping");
		say(other, "pong");
		hear(client, "pong");
	}
	/* the other way of a connection whose one way is full goes on */
	say(slow[0], "still here");
	hear(far[0], "still here");
	ck_assert_int_lt(resident() - before, 8 * 512 + 1024);
	/* and when one begins to read, all comes */
	close(far[1]);
	hear_big(slow[1]);
}
END_TEST

START_TEST(resets_and_garbage_concern_only_themselves)
{
	struct linger at_once = {1, 0};
	int client, far, other, other_far;
	char byte;

	start();
	other = dial();
	other_far = far_end();
	for (int i = 0; i < 50; i++) {
		client = dial();
		far = far_end();
		ck_assert_int_gt(send(client, big + i * 1000, 1000, 0), 0);
		setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(client);
		while (recv(far, &byte, 1, 0) > 0)
			;
		close(far);
	}
	/* the far end breaks off while the client sends */
	client = dial();
	far = far_end();
	flood(client);
	close(far);
	while (send(client, big, sizeof(big), MSG_NOSIGNAL) > 0)
		;
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	close(client);
	say(other, "unmoved");
	hear(other_far, "unmoved");
}
END_TEST

START_TEST(a_hundred_at_once)
{
	int client[100], far[100];
	char text[16];

	start_on(_i ? AF_INET6 : AF_INET);
	for (int i = 0; i < 100; i++) {
		client[i] = dial();
		far[i] = far_end();
	}
	for (int i = 99; i >= 0; i--) {
		snprintf(text, sizeof(text), "number %d.", i);
		say(client[i], text);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "number %d.", i);
		hear(far[i], text);
		say(far[i], text);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "number %d.", i);
		hear(client[i], text);
		close(client[i]);
		hear_end(far[i]);
		close(far[i]);
	}
}
END_TEST

START_TEST(a_thousand_connects_leave_nothing)
{
	size_t fds;
	long before;

	start();
	one_goes_through();
	time_sleep_ms(200); /* it has to see that, too */
	fds = count_fds();
	before = resident();
	for (int i = 0; i < 1000; i++) {
		int client = dial(), far = far_end();

		if (i % 3 == 0)
			say(client, "x");
		close(i % 2 ? far : client);
		if (i % 6 == 0)
			hear(far, "x");
		hear_end(i % 2 ? client : far);
		close(i % 2 ? client : far);
	}
	wait_for_fds(fds);
	ck_assert_int_lt(resident() - before, 512);
	one_goes_through();
}
END_TEST

/* ---- who comes ----------------------------------------------------------------------------- */

START_TEST(more_than_most_wait)
{
	int a, b, c, far_a, far_b, far_c;
	struct pollfd p = {.fd = -1, .events = POLLIN};

	options.most = 2;
	start();
	a = dial();
	far_a = far_end();
	b = dial();
	far_b = far_end();
	c = dial();
	say(c, "me, too");
	p.fd = control[0];
	ck_assert_int_eq(poll(&p, 1, 200), 0);
	close(a);
	hear_end(far_a);
	close(far_a);
	far_c = far_end();
	hear(far_c, "me, too");
	say(b, "here");
	hear(far_b, "here");
}
END_TEST

START_TEST(only_some_are_admitted)
{
	int refused, client, far;

	options.admits = admits_some;
	start();
	refused = dial();
	hear_end(refused);
	client = dial();
	far = far_end();
	say(client, "in");
	hear(far, "in");
}
END_TEST

START_TEST(without_a_far_end_it_is_sent_away)
{
	options.open = open_refused;
	start();
	hear_end(dial());
	hear_end(dial());
}
END_TEST

START_TEST(a_far_end_without_room_is_tried_again)
{
	int client, far;

	options.open = open_late;
	start();
	client = dial();
	say(client, "patience");
	far = far_end();
	hear(far, "patience");
}
END_TEST

START_TEST(one_that_is_taken_is_left_alone)
{
	int client[2], taken[2];
	size_t fds;

	options.open = open_taken;
	start();
	fds = count_fds();
	for (int i = 0; i < 2; i++) {
		client[i] = dial();
		taken[i] = far_end();
	}
	for (int i = 0; i < 2; i++) {
		say(client[i], "hello");
		hear(taken[i], "hello");
		say(taken[i], "there");
		hear(client[i], "there");
	}
	wait_for_fds(fds);
	close(taken[0]);
	hear_end(client[0]);
}
END_TEST

/* ---- ends ---------------------------------------------------------------------------------- */

START_TEST(once_is_once)
{
	int client, far;

	options.once = true;
	start();
	client = dial();
	far = far_end();
	say(client, "first");
	hear(far, "first");
	ck_assert_int_eq(dial_may_fail(), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	say(far, "on");
	hear(client, "on");
	close(client);
	hear_end(far);
	close(far);
	ck_assert_int_eq(ended(), RELAY_SERVED);
}
END_TEST

START_TEST(once_ends_at_once_when_taken)
{
	int client, taken;

	options.once = true;
	options.open = open_taken;
	start();
	client = dial();
	taken = far_end();
	ck_assert_int_eq(ended(), RELAY_SERVED);
	ck_assert_int_eq(dial_may_fail(), -1);
	say(client, "goes on");
	hear(taken, "goes on");
}
END_TEST

/* One that finds nothing, or may not come, is not the one. */
START_TEST(once_waits_for_one_that_counts)
{
	int refused, client, far;

	options.once = true;
	options.admits = admits_some;
	start();
	refused = dial();
	hear_end(refused);
	client = dial();
	far = far_end();
	say(client, "it is me");
	hear(far, "it is me");
}
END_TEST

START_TEST(nobody_comes)
{
	int64_t from = time_now_ms();

	options.wait_ms = 300;
	start();
	ck_assert_int_eq(ended(), RELAY_NOBODY);
	ck_assert_int_ge(time_now_ms() - from, 300);
	ck_assert_int_lt(time_now_ms() - from, 5000);
	ck_assert_int_eq(dial_may_fail(), -1);
}
END_TEST

/* The time counts from when the last one has gone. */
START_TEST(somebody_is_there)
{
	int client, far;

	options.wait_ms = 200;
	start();
	client = dial();
	far = far_end();
	time_sleep_ms(500);
	say(client, "still");
	hear(far, "still");
	close(client);
	close(far);
	ck_assert_int_eq(ended(), RELAY_NOBODY);
}
END_TEST

START_TEST(it_ends_with_something_else)
{
	int until[2], client, far;

	ck_assert_int_eq(pipe2(until, O_CLOEXEC), 0);
	options.until_fd = until[0];
	start();
	client = dial();
	far = far_end();
	say(client, "a");
	hear(far, "a");
	close(until[0]);
	ck_assert_int_eq(write(until[1], "x", 1), 1);
	ck_assert_int_eq(ended(), RELAY_OVER);
	hear_end(client);
	hear_end(far);
}
END_TEST

START_TEST(a_signal_ends_it)
{
	int client, far;

	start();
	client = dial();
	far = far_end();
	kill(child, SIGTERM);
	ck_assert_int_eq(ended(), RELAY_INTERRUPTED);
	hear_end(client);
	hear_end(far);
}
END_TEST

START_TEST(a_kill_leaves_nothing)
{
	int client, far;

	start();
	client = dial();
	far = far_end();
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
	hear_end(client);
	hear_end(far);
	ck_assert_int_eq(dial_may_fail(), -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("relay");
	TCase *c = tcase_create("relay");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, half_close_is_kept);
	tcase_add_test(c, who_reads_nothing_stalls_nobody);
	tcase_add_test(c, resets_and_garbage_concern_only_themselves);
	tcase_add_loop_test(c, a_hundred_at_once, 0, 2);
	tcase_add_test(c, a_thousand_connects_leave_nothing);
	tcase_add_test(c, more_than_most_wait);
	tcase_add_test(c, only_some_are_admitted);
	tcase_add_test(c, without_a_far_end_it_is_sent_away);
	tcase_add_test(c, a_far_end_without_room_is_tried_again);
	tcase_add_test(c, one_that_is_taken_is_left_alone);
	tcase_add_test(c, once_is_once);
	tcase_add_test(c, once_ends_at_once_when_taken);
	tcase_add_test(c, once_waits_for_one_that_counts);
	tcase_add_test(c, nobody_comes);
	tcase_add_test(c, somebody_is_there);
	tcase_add_test(c, it_ends_with_something_else);
	tcase_add_test(c, a_signal_ends_it);
	tcase_add_test(c, a_kill_leaves_nothing);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
