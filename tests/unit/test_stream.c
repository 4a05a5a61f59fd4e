/* SPDX-License-Identifier: ISC */
/* stream_attach() in a process of its own, with a terminal or pipes on one side and a socket on the other. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/cli.h"

#define PATIENCE_MS 20000
#define FAILED 100 /* and the code of the error: how the process ends then */

static struct stream_options options;
static pid_t child;
static int peer;     /* the other side of the socket */
static int to, from; /* the person's side: what is typed, what is seen */
static int terminal; /* the pty's slave, kept open to ask for its settings; or -1 */
static struct termios settings;
static char seen[1 << 16];
static size_t n_seen;

static void setup(void)
{
	memset(&options, 0, sizeof(options));
	options.what = "test";
	options.escape = 0x1d;
	options.linger_ms = 60000;
	terminal = -1;
	n_seen = 0;
	log_set_level(-1);
}

static void run_child(int input, int output, int fd)
{
	struct vmf_error err = VMF_ERROR_INIT;
	int how;

	signal(SIGINT, SIG_DFL); /* check's own handlers end the test */
	signal(SIGTERM, SIG_DFL);
	if (terminal >= 0 && (setsid() < 0 || ioctl(input, TIOCSCTTY, 0) < 0))
		_exit(98);
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0)
		_exit(97);
	for (int other = STDERR_FILENO + 1; other < 64; other++)
		if (other != fd)
			close(other);
	how = stream_attach(fd, &options, &err);
	how = how < 0 ? FAILED + err.code : how;
	error_clear(&err);
	_exit(how);
}

static void start(int input, int output)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		run_child(input, output, pair[0]);
	close(pair[0]);
	peer = pair[1];
}

static void start_pipes(void)
{
	int in[2], out[2];

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	start(in[0], out[1]);
	close(in[0]);
	close(out[1]);
	to = in[1];
	from = out[0];
}

static bool is_raw(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(terminal, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO | ISIG)) && !(now.c_oflag & OPOST);
}

static void await_raw(bool raw)
{
	int64_t deadline = time_now_ms() + PATIENCE_MS;

	while (is_raw() != raw) {
		ck_assert_msg(time_now_ms() < deadline, "the terminal did not become %s",
			raw ? "raw" : "as it was");
		time_sleep_ms(2);
	}
}

static void start_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(terminal, 0);
	ck_assert_int_eq(tcgetattr(terminal, &settings), 0);
	/* something that nobody would set by chance */
	settings.c_cc[VERASE] = 'E';
	settings.c_lflag &= ~(tcflag_t)ECHOK;
	ck_assert_int_eq(tcsetattr(terminal, TCSANOW, &settings), 0);
	ck_assert_int_eq(tcgetattr(terminal, &settings), 0);
	start(terminal, terminal);
	to = from = master;
	await_raw(true);
}

static void assert_put_back(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(terminal, &now), 0);
	ck_assert_uint_eq(now.c_iflag, settings.c_iflag);
	ck_assert_uint_eq(now.c_oflag, settings.c_oflag);
	ck_assert_uint_eq(now.c_cflag, settings.c_cflag);
	ck_assert_uint_eq(now.c_lflag, settings.c_lflag);
	ck_assert_mem_eq(now.c_cc, settings.c_cc, sizeof(now.c_cc));
}

static int await_status(void)
{
	int64_t deadline = time_now_ms() + PATIENCE_MS;
	pid_t ended;
	int status;

	/* valgrind knows no pidfds */
	while ((ended = waitpid(child, &status, WNOHANG)) == 0 && time_now_ms() < deadline)
		time_sleep_ms(5);
	if (ended == 0)
		kill(child, SIGKILL);
	ck_assert_msg(ended == child, "it does not end");
	return status;
}

static void assert_ends(int how)
{
	int status = await_status();

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), how);
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads on until TEXT has come; NULL: until the end. */
static void expect(int fd, const char *text)
{
	int64_t deadline = time_now_ms() + PATIENCE_MS;

	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		seen[n_seen] = '\0';
		if (text && strstr(seen, text))
			break;
		ck_assert_msg(poll(&p, 1, (int)(deadline - time_now_ms())) == 1, "%s did not come, only %s",
			text ? text : "an end", seen);
		n = read(fd, seen + n_seen, sizeof(seen) - 1 - n_seen);
		if (n <= 0 && !text)
			return;
		ck_assert_msg(n > 0, "%s did not come, only %s", text, seen);
		n_seen += (size_t)n;
	}
	n_seen = 0;
}

static size_t pending(int fd)
{
	int n = 0;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &n), 0);
	return (size_t)n;
}

/* Numbers without end: what comes out must be what went in. */
static size_t pour(int fd, size_t from_byte, int64_t quiet_ms)
{
	unsigned char block[1000];
	int64_t last = time_now_ms();

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	while (time_now_ms() - last < quiet_ms) {
		ssize_t n;

		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (unsigned char)((from_byte + i) % 251);
		n = write(fd, block, sizeof(block));
		if (n > 0) {
			from_byte += (size_t)n;
			last = time_now_ms();
		} else {
			time_sleep_ms(5);
		}
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return from_byte;
}

static void drain(int fd, size_t count)
{
	unsigned char block[4096];

	for (size_t at = 0; at < count;) {
		struct pollfd p = {fd, POLLIN, 0};
		ssize_t n;

		ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
		n = read(fd, block, sizeof(block));
		ck_assert_int_gt(n, 0);
		for (ssize_t i = 0; i < n; i++, at++)
			ck_assert_uint_eq(block[i], at % 251);
	}
}

/* ---- pipes -------------------------------------------------------------------------------- */

START_TEST(goes_both_ways)
{
	start_pipes();
	say(to, "ls\n");
	expect(peer, "ls\n");
	say(peer, "bin dev\r\n");
	expect(from, "bin dev\r\n");
	close(peer);
	assert_ends(STREAM_CLOSED);
}
END_TEST

START_TEST(keys_are_nothing_special_in_a_pipe)
{
	start_pipes();
	say(to, "a\x1d\x03\x1a"
		"b");
	expect(peer, "a\x1d\x03\x1a"
		     "b");
	close(peer);
	assert_ends(STREAM_CLOSED);
}
END_TEST

START_TEST(until_is_found_across_reads)
{
	options.until = "aab: login";
	options.timeout_ms = PATIENCE_MS;
	start_pipes();
	say(peer, "x aaa");
	expect(from, "x aaa");
	say(peer, "ab: lo");
	expect(from, "ab: lo");
	say(peer, "gin and more");
	assert_ends(STREAM_FOUND);
	expect(from, "gin and more");
}
END_TEST

START_TEST(until_is_found_in_what_was_said_before)
{
	options.until = "login:";
	options.first = "web0 login: ";
	options.first_length = 12;
	start_pipes();
	expect(from, "web0 login: ");
	assert_ends(STREAM_FOUND);
}
END_TEST

START_TEST(until_is_not_looked_for_in_earlier_runs)
{
	options.until = "login:";
	options.first = "web0 login: login";
	options.first_length = 17;
	options.first_old = 12;
	start_pipes();
	expect(from, "web0 login: login");
	time_sleep_ms(100);
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
	say(peer, ":");
	assert_ends(STREAM_FOUND);
}
END_TEST

START_TEST(until_is_not_left_by_silence)
{
	options.until = "done";
	options.linger_ms = 50;
	start_pipes();
	close(to);
	time_sleep_ms(300);
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
	say(peer, "done");
	assert_ends(STREAM_FOUND);
}
END_TEST

START_TEST(until_fails_at_the_deadline)
{
	int64_t began = time_now_ms();

	options.until = "login:";
	options.timeout_ms = 300;
	start_pipes();
	say(peer, "login;");
	assert_ends(FAILED + VMF_E_TIMEOUT);
	ck_assert_int_ge(time_now_ms() - began, 300);
}
END_TEST

START_TEST(until_fails_if_the_other_side_ends)
{
	options.until = "login:";
	start_pipes();
	say(peer, "login");
	close(peer);
	assert_ends(FAILED + VMF_E_FAILED);
	expect(from, "login");
}
END_TEST

START_TEST(leaves_at_the_deadline)
{
	int64_t began = time_now_ms();

	options.timeout_ms = 300;
	options.linger_ms = 10;
	start_pipes();
	close(to); /* nothing was sent: it is only looked at, for all of the time */
	assert_ends(STREAM_TIME);
	ck_assert_int_ge(time_now_ms() - began, 300);
}
END_TEST

START_TEST(lingers_for_the_answer)
{
	int64_t last;

	options.linger_ms = 500;
	options.timeout_ms = PATIENCE_MS;
	start_pipes();
	say(to, "ls\n");
	close(to);
	expect(peer, "ls\n");
	for (int i = 0; i < 4; i++) { /* each within the time, all together beyond it */
		time_sleep_ms(200);
		say(peer, "bin\n");
	}
	last = time_now_ms();
	assert_ends(STREAM_QUIET);
	ck_assert_int_ge(time_now_ms() - last, 450);
	expect(from, "bin\nbin\nbin\nbin\n");
}
END_TEST

START_TEST(a_prompt_needs_less_quiet)
{
	int64_t began = time_now_ms();

	options.prompt = "(qemu) ";
	options.prompt_ms = 50;
	start_pipes();
	say(to, "info status\n");
	close(to);
	say(peer, "(qemu) info status\r\n");
	time_sleep_ms(300); /* no prompt: it waits on */
	say(peer, "VM status: running\r\n(qemu");
	say(peer, ") ");
	assert_ends(STREAM_QUIET);
	ck_assert_int_lt(time_now_ms() - began, 30000);
	expect(from, "running\r\n(qemu) ");
}
END_TEST

START_TEST(last_words_of_the_other_side_are_shown)
{
	size_t count;

	start_pipes();
	count = pour(peer, 0, 200);
	shutdown(peer, SHUT_WR);
	drain(from, count);
	assert_ends(STREAM_CLOSED);
}
END_TEST

START_TEST(other_side_that_takes_nothing_may_still_speak)
{
	start_pipes();
	shutdown(peer, SHUT_RD);
	say(to, "into the void\n");
	time_sleep_ms(50);
	say(peer, "the last word");
	expect(from, "the last word");
	close(peer);
	assert_ends(STREAM_CLOSED);
}
END_TEST

START_TEST(ends_when_nobody_reads)
{
	start_pipes();
	close(from);
	assert_ends(STREAM_NO_OUTPUT); /* without a byte of output */
}
END_TEST

START_TEST(ends_when_nobody_reads_any_more)
{
	start_pipes();
	pour(peer, 0, 100);
	close(from);
	assert_ends(STREAM_NO_OUTPUT);
}
END_TEST

START_TEST(slow_reader_slows_the_other_side)
{
	size_t count;

	start_pipes();
	count = pour(peer, 0, 500);
	ck_assert_uint_lt(count, 1 << 20);
	drain(from, count);
	close(peer);
	assert_ends(STREAM_CLOSED);
}
END_TEST

START_TEST(slow_other_side_slows_the_input)
{
	size_t count;

	options.linger_ms = 10;
	start_pipes();
	count = pour(to, 0, 500);
	ck_assert_uint_lt(count, 1 << 20);
	close(to);
	time_sleep_ms(100); /* much longer than it lingers, yet not all has been taken */
	ck_assert_int_eq(waitpid(child, NULL, WNOHANG), 0);
	drain(peer, count);
	assert_ends(STREAM_QUIET);
}
END_TEST

START_TEST(a_closed_input_is_an_ended_one)
{
	int out[2];

	options.linger_ms = 50;
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	start(open("/dev/null", O_RDONLY | O_CLOEXEC), out[1]);
	assert_ends(STREAM_QUIET);
}
END_TEST

static const int ending[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};

START_TEST(signals_end_it)
{
	start_pipes();
	say(peer, "here");
	expect(from, "here");
	kill(child, ending[_i]);
	assert_ends(FAILED + VMF_E_FAILED);
}
END_TEST

/* ---- a terminal --------------------------------------------------------------------------- */

START_TEST(escape_key_leaves)
{
	start_terminal();
	say(to, "ls\r\x1drm -rf\r");
	assert_ends(STREAM_LEFT);
	assert_put_back();
	expect(peer, NULL);
	ck_assert_str_eq(seen, "ls\r");
}
END_TEST

START_TEST(another_escape_key)
{
	options.escape = 0x01;
	start_terminal();
	say(to, "\x1d");
	expect(peer, "\x1d");
	say(to, "\x01");
	assert_ends(STREAM_LEFT);
	assert_put_back();
}
END_TEST

START_TEST(all_other_keys_are_the_guests)
{
	options.escape = -1;
	start_terminal();
	say(to, "\x03\x1a\x1c\x11\x13\x04\x1d\r\n\x7f");
	expect(peer, "\x03\x1a\x1c\x11\x13\x04\x1d\r\n\x7f");
	say(peer, "a\nb"); /* no newline is translated, nothing is echoed */
	expect(from, "a\nb");
	close(peer);
	assert_ends(STREAM_CLOSED);
	assert_put_back();
}
END_TEST

START_TEST(terminal_is_put_back_after_signals)
{
	start_terminal();
	say(peer, "here");
	expect(from, "here");
	kill(child, ending[_i]);
	assert_ends(FAILED + VMF_E_FAILED);
	assert_put_back();
}
END_TEST

START_TEST(terminal_is_put_back_after_many_signals_at_once)
{
	start_terminal();
	kill(child, SIGSTOP);
	for (size_t i = 0; i < VMF_COUNT(ending); i++)
		kill(child, ending[i]);
	kill(child, SIGCONT);
	await_status();
	assert_put_back();
}
END_TEST

START_TEST(terminal_is_put_back_though_it_takes_no_output)
{
	start_terminal();
	pour(peer, 0, 300);
	kill(child, SIGTERM);
	assert_ends(FAILED + VMF_E_FAILED);
	assert_put_back();
}
END_TEST

START_TEST(terminal_is_put_back_at_the_deadline)
{
	options.timeout_ms = 300;
	options.until = "never";
	start_terminal();
	pour(peer, 0, 100); /* and it takes no output */
	assert_ends(FAILED + VMF_E_TIMEOUT);
	assert_put_back();
}
END_TEST

START_TEST(stop_and_continue)
{
	int status;

	start_terminal();
	kill(child, SIGTSTP);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	assert_put_back();
	kill(child, SIGCONT);
	await_raw(true);
	/* stopped without warning: the shell sets the terminal, and we set it again */
	kill(child, SIGSTOP);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert_int_eq(tcsetattr(terminal, TCSANOW, &settings), 0);
	kill(child, SIGCONT);
	await_raw(true);
	say(to, "\x1d");
	assert_ends(STREAM_LEFT);
	assert_put_back();
}
END_TEST

START_TEST(terminal_that_goes_away)
{
	start_terminal();
	signal(SIGHUP, SIG_IGN);
	close(terminal);
	close(to);
	await_status(); /* by SIGHUP or by the end of its input, whichever comes first */
}
END_TEST

START_TEST(escape_key_works_though_nothing_is_taken)
{
	int64_t deadline = time_now_ms() + PATIENCE_MS;

	options.escape = 0xff; /* which pour() does not pour */
	start_terminal();
	pour(to, 0, 300);
	ck_assert_uint_gt(pending(peer), 0);
	fcntl(to, F_SETFL, O_NONBLOCK);
	while (write(to, "\xff", 1) != 1 && time_now_ms() < deadline)
		time_sleep_ms(10);
	assert_ends(STREAM_LEFT);
	assert_put_back();
}
END_TEST

START_TEST(what_the_guest_has_switched_is_switched_back)
{
	start_terminal();
	say(peer, "\033[?1049h\033[?25l\033[1;31mvi");
	expect(from, "vi");
	say(to, "\x1d");
	assert_ends(STREAM_LEFT);
	expect(from, "\033[m\033[?25h\033[?1049l");
}
END_TEST

static TCase *tcase(Suite *suite, const char *name)
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	suite_add_tcase(suite, t);
	return t;
}

int main(void)
{
	Suite *suite = suite_create("stream");
	TCase *t = tcase(suite, "pipes");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN);
	tcase_add_test(t, goes_both_ways);
	tcase_add_test(t, keys_are_nothing_special_in_a_pipe);
	tcase_add_test(t, until_is_found_across_reads);
	tcase_add_test(t, until_is_found_in_what_was_said_before);
	tcase_add_test(t, until_is_not_looked_for_in_earlier_runs);
	tcase_add_test(t, until_is_not_left_by_silence);
	tcase_add_test(t, until_fails_at_the_deadline);
	tcase_add_test(t, until_fails_if_the_other_side_ends);
	tcase_add_test(t, leaves_at_the_deadline);
	tcase_add_test(t, lingers_for_the_answer);
	tcase_add_test(t, a_prompt_needs_less_quiet);
	tcase_add_test(t, last_words_of_the_other_side_are_shown);
	tcase_add_test(t, other_side_that_takes_nothing_may_still_speak);
	tcase_add_test(t, ends_when_nobody_reads);
	tcase_add_test(t, ends_when_nobody_reads_any_more);
	tcase_add_test(t, slow_reader_slows_the_other_side);
	tcase_add_test(t, slow_other_side_slows_the_input);
	tcase_add_test(t, a_closed_input_is_an_ended_one);
	tcase_add_loop_test(t, signals_end_it, 0, VMF_COUNT(ending));
	t = tcase(suite, "terminal");
	tcase_add_test(t, escape_key_leaves);
	tcase_add_test(t, another_escape_key);
	tcase_add_test(t, all_other_keys_are_the_guests);
	tcase_add_loop_test(t, terminal_is_put_back_after_signals, 0, VMF_COUNT(ending));
	tcase_add_test(t, terminal_is_put_back_after_many_signals_at_once);
	tcase_add_test(t, terminal_is_put_back_though_it_takes_no_output);
	tcase_add_test(t, terminal_is_put_back_at_the_deadline);
	tcase_add_test(t, stop_and_continue);
	tcase_add_test(t, terminal_that_goes_away);
	tcase_add_test(t, escape_key_works_though_nothing_is_taken);
	tcase_add_test(t, what_the_guest_has_switched_is_switched_back);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
