/* SPDX-License-Identifier: ISC */
/* Frames and agents over a socketpair: what is said at one end is heard at the other, whatever happens in
 * between. */
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/proc.h"
#include "remote/agent.h"
#include "remote/frame.h"
#include "remote/hello.h"

#define PATIENCE_MS 20000

static int ends[2];
static struct frames here, there;
static struct vmf_error err;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	frames_init(&here, ends[0], ends[0]);
	frames_init(&there, ends[1], ends[1]);
}

static void teardown(void)
{
	frames_free(&here);
	frames_free(&there);
	close(ends[0]);
	close(ends[1]);
	error_clear(&err);
}

/* ---- frames ------------------------------------------------------------------------------- */

START_TEST(base64_of_any_length)
{
	static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}}; /* RFC 4648, 10 */

	for (size_t i = 0; i < VMF_COUNT(pairs); i++) {
		autofree char *text = base64_encode(pairs[i][0], strlen(pairs[i][0]));
		size_t length;
		autofree char *back = base64_decode(pairs[i][1], &length);

		ck_assert_str_eq(text, pairs[i][1]);
		ck_assert_ptr_nonnull(back);
		ck_assert_uint_eq(length, strlen(pairs[i][0]));
		ck_assert_str_eq(back, pairs[i][0]);
	}
}
END_TEST

START_TEST(base64_refuses)
{
	static const char *const bad[] = {"Z", "Zg=", "Z===", "Zg=a", "Zm9\n", "Zm 9v", "====", "Zg==Zg=="};
	size_t length;

	for (size_t i = 0; i < VMF_COUNT(bad); i++)
		ck_assert_msg(base64_decode(bad[i], &length) == NULL, "%s", bad[i]);
}
END_TEST

static void put_raw(const char *text)
{
	ck_assert_int_eq((int)write(ends[0], text, strlen(text)), (int)strlen(text));
	ck_assert_int_eq(frames_read(&there, &err), 0);
}

START_TEST(frames_come_in_pieces)
{
	json_t *frame;

	put_raw("{\"id\":1,\"o");
	ck_assert_ptr_null(frames_next(&there, &err));
	put_raw("ut\":\"a\"}\n{\"id\":2}\n{");
	frame = frames_next(&there, &err);
	ck_assert_int_eq((int)json_integer_value(json_object_get(frame, "id")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(frame, "out")), "a");
	json_decref(frame);
	frame = frames_next(&there, &err);
	ck_assert_int_eq((int)json_integer_value(json_object_get(frame, "id")), 2);
	json_decref(frame);
	ck_assert_ptr_null(frames_next(&there, &err));
	ck_assert_int_eq(err.code, 0);
}
END_TEST

/* What a shell prints, what is no object, what is cut off. */
START_TEST(frames_refuse)
{
	static const char *const bad[] = {
		"Welcome to host!\n", "[1]\n", "{\"id\":1\n", "\n", "{\"a\":\"\xff\"}\n"};

	put_raw(bad[_i]);
	ck_assert_ptr_null(frames_next(&there, &err));
	ck_assert_int_eq(err.code, VMF_E_FAILED);
	ck_assert_ptr_nonnull(strstr(err.message, "does not speak vmf's language"));
}
END_TEST

START_TEST(frame_cut_off)
{
	put_raw("{\"id\":1");
	shutdown(ends[0], SHUT_WR);
	ck_assert_int_eq(frames_read(&there, &err), 0);
	ck_assert(there.ended);
	ck_assert_ptr_null(frames_next(&there, &err));
	ck_assert_int_eq(err.code, VMF_E_FAILED);
}
END_TEST

START_TEST(frame_too_long)
{
	static char data[60000];
	size_t sent = 0;

	memset(data, 'x', sizeof(data));
	while (!err.code && sent < 2 * (size_t)FRAME_MAX) {
		ck_assert_int_eq((int)write(ends[0], data, sizeof(data)), (int)sizeof(data));
		sent += sizeof(data);
		ck_assert_int_eq(frames_read(&there, &err), 0);
		ck_assert_ptr_null(frames_next(&there, &err));
	}
	ck_assert_int_eq(err.code, VMF_E_FAILED);
	ck_assert_uint_lt(sent, FRAME_MAX + 200000);
}
END_TEST

/* Any bytes, far more than the socket holds, both sides in turn. */
START_TEST(frames_carry_bytes)
{
	size_t n_sent = 0, n_got = 0, length;
	unsigned seed = 1;
	char data[FRAME_DATA];

	for (int i = 0; i < 100; i++) {
		json_t *frame = json_object();

		for (size_t k = 0; k < sizeof(data); k++)
			data[k] = i % 2 ? (char)rand_r(&seed) : (char)('a' + k % 26);
		length = (size_t)rand_r(&seed) % sizeof(data) + 1;
		frame_put_data(frame, "out", data, length);
		frames_put(&here, frame);
		n_sent += length;
	}
	while (n_got < n_sent) {
		json_t *frame;

		ck_assert_int_eq(frames_write(&here, &err), 0);
		ck_assert_int_eq(frames_read(&there, &err), 0);
		while ((frame = frames_next(&there, &err))) {
			autofree char *got = frame_data(frame, "out", &length);

			ck_assert_ptr_nonnull(got);
			n_got += length;
			json_decref(frame);
		}
		ck_assert_int_eq(err.code, 0);
	}
	ck_assert_uint_eq(n_got, n_sent);
	ck_assert_uint_eq(frames_waiting(&here), 0);
}
END_TEST

START_TEST(frames_keep_bytes)
{
	static const struct {
		const char *bytes;
		size_t length;
		bool is_text;
	} all[] = {{"plain", 5, true}, {"\xc3\xa4\n\x1b[m", 6, true}, {"\xc3", 1, false}, {"a\0b", 3, false},
		{"\xff\xfe", 2, false}};
	json_t *frame = json_object();
	size_t length;
	autofree char *back = NULL;

	frame_put_data(frame, "err", all[_i].bytes, all[_i].length);
	ck_assert(json_is_string(json_object_get(frame, all[_i].is_text ? "err" : "err64")));
	back = frame_data(frame, "err", &length);
	ck_assert_uint_eq(length, all[_i].length);
	ck_assert_int_eq(memcmp(back, all[_i].bytes, length), 0);
	json_decref(frame);
}
END_TEST

/* ---- hello -------------------------------------------------------------------------------- */

START_TEST(hello_of_this_version)
{
	json_t *hello = hello_new();

	ck_assert_int_eq(hello_check(hello, "it", &err), 0);
	json_decref(hello);
}
END_TEST

START_TEST(hello_refuses)
{
	static const struct {
		const char *json, *says;
	} bad[] = {
		{"{\"id\":1}", "it does not say what it is"},
		{"{\"hello\":{\"version\":\"0.0.1\",\"protocol\":0,\"abi\":[1,0]}}",
			"it has vmf \"0.0.1\", which speaks protocol 0; this is vmf"},
		{"{\"hello\":{\"version\":\"9\",\"protocol\":2,\"abi\":[2,0]}}", "plugins are of ABI 2"},
		{"{\"hello\":{}}", "protocol 0"},
	};
	json_t *hello = json_loads(bad[_i].json, 0, NULL);

	ck_assert_int_eq(hello_check(hello, "it", &err), -1);
	ck_assert_msg(strstr(err.message, bad[_i].says) != NULL, "%s", err.message);
	json_decref(hello);
}
END_TEST

/* ---- an agent ----------------------------------------------------------------------------- */

static pid_t agent;

/* What the tests' runs do: the words of a shell. */
static int run_shell(const json_t *request, int notes, void *data)
{
	const char *command = json_string_value(json_object_get(request, "sh"));

	(void)data;
	if (json_object_get(request, "note"))
		dprintf(notes, "{\"a\":1}\n{\"b\":2}\n");
	if (!command)
		return 3;
	signal(SIGPIPE, SIG_DFL);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	return 127;
}

static void agent_setup(void)
{
	const struct agent_ops ops = {.run = run_shell};

	setup();
	signal(SIGPIPE, SIG_IGN);
	agent = fork();
	ck_assert_int_ge(agent, 0);
	if (agent == 0) {
		close(ends[0]);
		_exit(agent_serve(ends[1], ends[1], &ops, &err) == 0 ? 0 : 9);
	}
	close(ends[1]);
}

static void agent_teardown(void)
{
	int status = -1;

	close(ends[0]);
	for (int64_t until = time_now_ms() + PATIENCE_MS; time_now_ms() < until; time_sleep_ms(5))
		if (waitpid(agent, &status, WNOHANG) == agent)
			break;
	if (status == -1)
		kill(agent, SIGKILL);
	frames_free(&here);
	frames_free(&there);
	error_clear(&err);
	ck_assert_msg(WIFEXITED(status), "the agent did not end by itself");
}

static void say(json_t *frame)
{
	frames_put(&here, frame);
	ck_assert_int_eq(frames_write(&here, &err), 0);
}

static void run(int id, const char *command)
{
	say(json_pack("{s:i, s:{s:s}}", "id", id, "run", "sh", command));
}

/* The next frame; NULL: the agent has closed. */
static json_t *hear(void)
{
	int64_t until = time_now_ms() + PATIENCE_MS;
	json_t *frame;

	while (!(frame = frames_next(&here, &err))) {
		struct pollfd p = {ends[0], (short)(POLLIN | (frames_waiting(&here) ? POLLOUT : 0)), 0};

		ck_assert_msg(!err.code, "%s", err.message ? err.message : "");
		if (here.ended)
			return NULL;
		ck_assert_msg(time_now_ms() < until, "the agent says nothing");
		poll(&p, 1, 100);
		frames_write(&here, &err);
		ck_assert_int_eq(frames_read(&here, &err), 0);
	}
	return frame;
}

static void greet(void)
{
	json_t *hello = hear();

	ck_assert_int_eq(hello_check(hello, "it", &err), 0);
	json_decref(hello);
	say(hello_new());
}

/* All that run ID says until it ends; its exit code. */
static int listen_for(int id, struct strbuf *out, struct strbuf *errors, json_t *notes)
{
	for (;;) {
		json_t *frame = hear(), *code = json_object_get(frame, "exit");
		size_t length;
		autofree char *text = frame_data(frame, "out", &length);
		autofree char *said = NULL;

		ck_assert_ptr_nonnull(frame);
		ck_assert_int_eq((int)json_integer_value(json_object_get(frame, "id")), id);
		if (text && out)
			strbuf_add(out, text, length);
		said = frame_data(frame, "err", &length);
		if (said && errors)
			strbuf_add(errors, said, length);
		if (notes && json_object_get(frame, "note"))
			json_array_append(notes, json_object_get(frame, "note"));
		if (code) {
			int value = (int)json_integer_value(code);

			json_decref(frame);
			return value;
		}
		json_decref(frame);
	}
}

START_TEST(agent_runs)
{
	autostrbuf struct strbuf out = STRBUF_INIT;
	autostrbuf struct strbuf errors = STRBUF_INIT;

	greet();
	run(7, "echo one; echo two >&2; exit 5");
	ck_assert_int_eq(listen_for(7, &out, &errors, NULL), 5);
	ck_assert_str_eq(out.data, "one\n");
	ck_assert_str_eq(errors.data, "two\n");
	run(8, "printf 'a\\0b'; kill -9 $$");
	ck_assert_int_eq(listen_for(8, &out, NULL, NULL), 137);
	ck_assert_uint_eq(out.length, 4 + 3);
}
END_TEST

START_TEST(agent_takes_notes)
{
	json_t *notes = json_array();

	greet();
	say(json_pack("{s:i, s:{s:b}}", "id", 1, "run", "note", 1));
	ck_assert_int_eq(listen_for(1, NULL, NULL, notes), 3);
	ck_assert_uint_eq(json_array_size(notes), 2);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json_array_get(notes, 1), "b")), 2);
	json_decref(notes);
}
END_TEST

START_TEST(agent_gives_input)
{
	autostrbuf struct strbuf out = STRBUF_INIT;

	greet();
	run(1, "cat; echo end");
	say(json_pack("{s:i, s:s}", "id", 1, "in", "typed\n"));
	say(json_pack("{s:i, s:s}", "id", 1, "in64", "AP8="));
	say(json_pack("{s:i, s:b}", "id", 1, "in_end", 1));
	ck_assert_int_eq(listen_for(1, &out, NULL, NULL), 0);
	ck_assert_uint_eq(out.length, 12);
	ck_assert_int_eq(memcmp(out.data,
				 "typed\n\0\xff"
				 "end\n",
				 12),
		0);
}
END_TEST

/* Input that nobody reads is not said to be taken, and a signal passes it. */
START_TEST(agent_signals_past_input)
{
	static char much[AGENT_INPUT_MAX / 2];
	json_int_t took = 0;
	json_t *frame;

	memset(much, 'x', sizeof(much) - 1);
	greet();
	run(1, "trap 'exit 42' INT; while :; do sleep 0.02; done");
	for (int i = 0; i < 4; i++)
		say(json_pack("{s:i, s:s}", "id", 1, "in", much));
	time_sleep_ms(300); /* until its trap is set */
	ck_assert_int_eq(frames_read(&here, &err), 0);
	while ((frame = frames_next(&here, &err))) {
		took += json_integer_value(json_object_get(frame, "took"));
		json_decref(frame);
	}
	ck_assert_int_le((int)took, 65536); /* what a pipe holds */
	say(json_pack("{s:i, s:i}", "id", 1, "signal", SIGINT));
	ck_assert_int_eq(listen_for(1, NULL, NULL, NULL), 42);
}
END_TEST

START_TEST(agent_runs_many)
{
	int left = 40, seen[41] = {0};

	greet();
	for (int id = 1; id <= 40; id++) {
		autofree char *command = str_printf("sleep 0.0%d; echo %d; exit %d", id % 7, id, id);

		run(id, command);
	}
	while (left) {
		json_t *frame = hear(), *code = json_object_get(frame, "exit");
		int id = (int)json_integer_value(json_object_get(frame, "id"));

		ck_assert_ptr_nonnull(frame);
		if (code) {
			ck_assert_int_eq((int)json_integer_value(code), id);
			ck_assert_int_eq(seen[id]++, 0);
			left--;
		}
		json_decref(frame);
	}
}
END_TEST

/* Somebody who is slow to listen slows it down, and loses nothing. */
START_TEST(agent_waits_for_us)
{
	autostrbuf struct strbuf out = STRBUF_INIT;

	greet();
	run(1, "head -c 3000000 /dev/zero | tr '\\0' x");
	time_sleep_ms(200);
	ck_assert_int_eq(listen_for(1, &out, NULL, NULL), 0);
	ck_assert_uint_eq(out.length, 3000000);
}
END_TEST

/* A program that was left behind holds the run's output open. */
START_TEST(agent_ends_with_the_run)
{
	int64_t began = time_now_ms();

	greet();
	run(1, "sleep 3 & exit 6");
	ck_assert_int_eq(listen_for(1, NULL, NULL, NULL), 6);
	ck_assert_int_lt((int)(time_now_ms() - began), 2500);
}
END_TEST

/* Its near end gone, what it runs gets a hang-up; the teardown sees that it ends. */
START_TEST(agent_hangs_up)
{
	char path[] = "/tmp/vmf-hup.XXXXXX", text[8] = "";
	int fd = mkstemp(path);
	autofree char *command =
		str_printf("trap 'echo hup >%s; exit' HUP; echo up; while :; do sleep 0.02; done", path);
	json_t *frame;

	ck_assert_int_ge(fd, 0);
	greet();
	run(1, command);
	frame = hear();
	ck_assert_str_eq(json_string_value(json_object_get(frame, "out")), "up\n");
	json_decref(frame);
	shutdown(ends[0], SHUT_RDWR);
	for (int64_t until = time_now_ms() + PATIENCE_MS; !*text && time_now_ms() < until; time_sleep_ms(10))
		ck_assert_int_ge((int)pread(fd, text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "hup\n");
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(agent_wants_a_hello)
{
	json_t *frame = hear();

	json_decref(frame);
	run(1, "echo never");
	ck_assert_ptr_null(hear());
}
END_TEST

static TCase *agent_cases(void)
{
	TCase *agents = tcase_create("agent");

	tcase_set_timeout(agents, 30);
	tcase_add_checked_fixture(agents, agent_setup, agent_teardown);
	tcase_add_test(agents, agent_runs);
	tcase_add_test(agents, agent_takes_notes);
	tcase_add_test(agents, agent_gives_input);
	tcase_add_test(agents, agent_signals_past_input);
	tcase_add_test(agents, agent_runs_many);
	tcase_add_test(agents, agent_waits_for_us);
	tcase_add_test(agents, agent_ends_with_the_run);
	tcase_add_test(agents, agent_hangs_up);
	tcase_add_test(agents, agent_wants_a_hello);
	return agents;
}

int main(void)
{
	Suite *suite = suite_create("remote");
	TCase *frames = tcase_create("frames");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(frames, setup, teardown);
	tcase_add_test(frames, base64_of_any_length);
	tcase_add_test(frames, base64_refuses);
	tcase_add_test(frames, frames_come_in_pieces);
	tcase_add_loop_test(frames, frames_refuse, 0, 5);
	tcase_add_test(frames, frame_cut_off);
	tcase_add_test(frames, frame_too_long);
	tcase_add_test(frames, frames_carry_bytes);
	tcase_add_loop_test(frames, frames_keep_bytes, 0, 5);
	tcase_add_test(frames, hello_of_this_version);
	tcase_add_loop_test(frames, hello_refuses, 0, 4);
	suite_add_tcase(suite, frames);
	/* Debian 12's valgrind knows no pidfd_open(2): an agent would never see that a run has ended */
	if (!getenv("VMF_VALGRIND"))
		suite_add_tcase(suite, agent_cases());
	signal(SIGHUP, SIG_DFL); /* what is ignored here, as below nohup, a shell cannot trap */
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
