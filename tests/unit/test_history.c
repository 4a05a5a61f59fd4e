/* SPDX-License-Identifier: ISC */
/* Control sequences, and the end of a log that is shown again. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/talk.h"

/* What there is, and what of it is shown again. */
static const struct {
	const char *said, *shown;
} cleaned[] = {
	{"plain\r\ntext\t\b\b\n", "plain\r\ntext\t\b\b\n"},
	{"\303\244\342\202\254 \360\237\220\247", "\303\244\342\202\254 \360\237\220\247"},
	{"\033[1;31mred\033[0m\033[K\033[3D\033[m", "\033[1;31mred\033[0m\033[K\033[3D\033[m"},
	/* questions: where is the cursor, what are you, how are you set, what is your title or colour */
	{"a\033[6nb\033[?6nc\033[5nd", "abcd"},
	{"a\033[cb\033[0cc\033[>cd\033[=ce\033Zf", "abcdef"},
	{"a\033[18tb\033[xc\033[?2004$pd\033[>qe\033[?uf", "abcdef"},
	{"a\033]10;?\007b\033]52;c;?\033\\c", "abc"},
	{"a\033P$qm\033\\b\033P+q544e\033\\c", "abc"},
	{"a\005b", "ab"},
	{"a\033[\0056nb\033[\005mc", "ab\033[mc"},
	/* a short form of ESC [ */
	{"a\302\2336nb", "a6nb"},
	/* modes, and another screen's pictures */
	{"a\033[?1049hb\033[?25lc\033[4hd\033=e\033(0f\016g\017h\033ci", "abcdefghi"},
	{"a\033[Hb\033[2Jc\033[1;5fd\033[2;9re", "abcde"},
	/* broken off by the next, by CAN, by the end */
	{"a\033[1\033[6nb", "ab"},
	{"a\033[6\033[32mb", "a\033[32mb"},
	{"a\033[6\030nb", "anb"},
	{"a\033]0;title\033[6nb", "ab"},
	{"a\033[6", "a"},
	{"a\033", "a"},
	{"a\033]0;title", "a"},
	/* longer than it is kept */
	{"a\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1mb", "ab"},
};

START_TEST(history_is_cleaned)
{
	char *data = str_dup(cleaned[_i].said);
	size_t n = history_clean(data, strlen(data));

	data[n] = '\0';
	ck_assert_str_eq(data, cleaned[_i].shown);
	free(data);
}
END_TEST

static int log_of(const char *text)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void assert_lines(const char *text, size_t lines, const char *shown)
{
	struct strbuf out = STRBUF_INIT;
	int fd = log_of(text);
	size_t old;

	ck_assert_int_eq(history_read(fd, 0, (off_t)strlen(text), lines, &out, &old), 0);
	ck_assert_uint_eq(old, 0);
	ck_assert_str_eq(out.data ? out.data : "", shown);
	strbuf_free(&out);
	close(fd);
}

START_TEST(last_lines)
{
	assert_lines("", 3, "");
	assert_lines("one\ntwo\nthree\n", 0, "");
	assert_lines("one\ntwo\nthree\n", 1, "three\n");
	assert_lines("one\ntwo\nthree\n/ # ", 1, "/ # ");
	assert_lines("one\ntwo\nthree\n/ # ", 3, "two\nthree\n/ # ");
	assert_lines("one\ntwo\n", 2, "one\ntwo\n");
	assert_lines("one\ntwo\n", 1000, "one\ntwo\n");
	assert_lines("\n\n\n", 2, "\n\n");
}
END_TEST

START_TEST(not_beyond_the_given_end)
{
	struct strbuf out = STRBUF_INIT;
	int fd = log_of("one\ntwo\nthree\n");
	size_t old;

	ck_assert_int_eq(history_read(fd, 0, 8, 1, &out, &old), 0);
	ck_assert_str_eq(out.data, "two\n");
	ck_assert_int_eq(history_read(fd, 0, 1000, 1, &out, &old), -1);
	strbuf_free(&out);
	close(fd);
}
END_TEST

START_TEST(earlier_runs_are_told_apart)
{
	static const char text[] = "one\033[c\ntwo\033[c\nthree\n";
	static const struct {
		off_t run;
		size_t lines, old;
	} cases[] = {{7, 3, 4}, {14, 3, 8}, {14, 2, 4}, {14, 1, 0}, {0, 3, 0}, {20, 3, 14}, {99, 3, 0}};
	int fd = log_of(text);

	for (size_t i = 0; i < VMF_COUNT(cases); i++) {
		struct strbuf out = STRBUF_INIT;
		size_t old;

		ck_assert_int_eq(history_read(fd, cases[i].run, 20, cases[i].lines, &out, &old), 0);
		ck_assert_uint_eq(old, cases[i].old);
		ck_assert(str_ends("one\ntwo\nthree\n", out.data));
		strbuf_free(&out);
	}
	close(fd);
}
END_TEST

/* Of a file of a GiB, only its end is read. */
START_TEST(large_logs_cost_no_more)
{
	struct strbuf out = STRBUF_INIT;
	struct rusage before, after;
	const off_t size = (off_t)1 << 30;
	int fd = memfd_create("log", MFD_CLOEXEC);
	char line[100];
	size_t old;
	off_t end;

	memset(line, 'x', 99);
	line[99] = '\n';
	ck_assert_int_eq(ftruncate(fd, size), 0);
	for (end = size - 3 * 65536; end + 100 <= size; end += 100)
		ck_assert_int_eq(pwrite(fd, line, 100, end), 100);
	getrusage(RUSAGE_SELF, &before);
	ck_assert_int_eq(history_read(fd, 0, end, 1000, &out, &old), 0);
	ck_assert_uint_eq(out.length, 100000);
	out.length = 0;
	/* lines without end: not all of it is looked through for them, nor shown */
	ck_assert_int_eq(history_read(fd, 0, size, 1000000, &out, &old), 0);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_uint_le(out.length, 1 << 20);
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 16 << 10);
	strbuf_free(&out);
	close(fd);
}
END_TEST

/* What was switched, and what switches it back. */
static const struct {
	const char *said, *undo;
} switched[] = {
	{"plain text\r\n\303\244", ""},
	{"\033[31mred\033[0m \033[1mbold\033[m", ""},
	{"\033[1;31mred", "\033[m"},
	{"\033[38;5;0mblack", "\033[m"},
	{"\033[?1049h\033[?25lvi", "\033[?25h\033[?1049l"},
	{"\033[?1049h\033[?25lvi\033[?25h\033[?1049l", ""},
	{"\033[?1000;1006;2004h", "\033[?1000l\033[?1006l\033[?2004l"},
	{"\033[?7l\033[?1h\033=", "\033>\033[?1l\033[?7h"},
	{"\033(0lqqk", "\017\033(B"},
	{"\016lqqk", "\017\033(B"},
	{"\016lqqk\017", ""},
	{"\033[2;20r", "\0337\033[r\0338"},
	{"\033[2;20r\033[r", ""},
	{"\033[?1049h\033[?25l\033[1m\033c", ""},
	{"\033[>4;1m\033[?6n\033[6n\033[?99999999999h", ""},
	{"\033]0;half a title", "\030"},
	{"\033[1mhalf a seq\033[", "\030\033[m"},
};

START_TEST(modes_are_switched_back)
{
	struct term_modes modes = {0};
	struct strbuf undo = STRBUF_INIT;
	const char *said = switched[_i].said;

	for (size_t i = 0; said[i]; i++) /* in the smallest of pieces */
		term_modes_feed(&modes, said + i, 1);
	term_modes_undo(&modes, &undo);
	ck_assert_str_eq(undo.data ? undo.data : "", switched[_i].undo);
	strbuf_free(&undo);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("history");
	TCase *t = tcase_create("history");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, history_is_cleaned, 0, VMF_COUNT(cleaned));
	tcase_add_test(t, last_lines);
	tcase_add_test(t, not_beyond_the_given_end);
	tcase_add_test(t, earlier_runs_are_told_apart);
	tcase_add_test(t, large_logs_cost_no_more);
	tcase_add_loop_test(t, modes_are_switched_back, 0, VMF_COUNT(switched));
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
