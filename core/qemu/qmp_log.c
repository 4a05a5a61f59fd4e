/* SPDX-License-Identifier: ISC */
/*
 * The last state of a VM from its event log, read from the end: the last line that says something decides,
 * and earlier ones are looked at only for why. A STOP alone does not tell a pause from an I/O error; the
 * event before it does (QEMU announces the reason, then stops).
 *
 * Lines are looked at with string functions first; only the few that matter are parsed. The log may end in
 * half a line, and what stands in it is not trusted.
 */
#include "qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

#define TAIL_FIRST 4096
#define TAIL_FACTOR 16
#define TAIL_LAST (1 << 20)
#define LINE_MAX_BYTES 16384 /* no event that matters is longer */

/* What has been learnt, going back in time. */
struct look {
	struct qmp_last *last;
	bool is_stopped; /* a STOP was seen: its reason stands before it */
	bool is_reset;	 /* a RESET was seen after that: QEMU calls it prelaunch from then on */
	bool is_failing; /* an I/O error whose STOP has not been written yet */
};

static void set_status(struct qmp_last *last, const char *word)
{
	snprintf(last->status, sizeof(last->status), "%s", word);
}

/* Text of the guest's or QEMU's: no control characters. */
static void set_detail(struct qmp_last *last, const char *text)
{
	snprintf(last->detail, sizeof(last->detail), "%s", text);
	for (char *p = last->detail; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
}

static void set_when(struct qmp_last *last, const json_t *event)
{
	const json_t *t = json_object_get(event, "timestamp");
	json_int_t seconds = json_integer_value(json_object_get(t, "seconds"));
	json_int_t micros = json_integer_value(json_object_get(t, "microseconds"));

	if (!last->when_us && seconds > 0 && seconds < INT64_MAX / 1000000 && micros >= 0 && micros < 1000000)
		last->when_us = seconds * 1000000 + micros;
}

static const char *string_of(const json_t *data, const char *key)
{
	const char *text = json_string_value(json_object_get(data, key));

	return text ? text : "";
}

static void say_io_error(struct qmp_last *last, const json_t *data)
{
	const char *device = string_of(data, "device");
	autofree char *text = str_printf("%s: %s%s%s", *device ? device : string_of(data, "node-name"),
		string_of(data, "operation"), *string_of(data, "reason") ? ": " : "",
		string_of(data, "reason"));

	set_status(last, "io-error");
	set_detail(last, text);
}

/* ---- events, newest first; true: no earlier line is needed -------------------------------- */

static bool on_stop(struct look *l, const json_t *data)
{
	(void)data;
	if (l->is_stopped) { /* two in a row: the later one had no reason */
		set_status(l->last, l->is_reset ? "prelaunch" : "paused");
		return true;
	}
	l->is_stopped = true;
	return false;
}

static bool on_resume(struct look *l, const json_t *data)
{
	(void)data;
	set_status(l->last, l->is_stopped ? (l->is_reset ? "prelaunch" : "paused") : "running");
	if (l->is_failing && !l->is_stopped)
		set_status(l->last, "io-error");
	else
		l->last->detail[0] = '\0';
	return true;
}

static bool on_io_error(struct look *l, const json_t *data)
{
	if (strcmp(string_of(data, "action"), "stop") != 0 || l->is_failing)
		return false;
	if (!l->is_stopped) { /* its STOP is to come, or requests that failed after it */
		l->is_failing = true;
		say_io_error(l->last, data);
		return false;
	}
	if (l->is_reset)
		set_status(l->last, "prelaunch");
	else
		say_io_error(l->last, data);
	return true;
}

static bool on_shutdown(struct look *l, const json_t *data)
{
	const char *reason = string_of(data, "reason");

	if (l->is_reset) {
		set_status(l->last, "prelaunch");
		return true;
	}
	set_status(l->last, "shutdown");
	set_detail(l->last, reason);
	if (strcmp(reason, "guest-panic") == 0)
		l->last->guest_panicked = true;
	else if (json_is_true(json_object_get(data, "guest")))
		l->last->guest_shutdown = true;
	else
		l->last->host_quit = true;
	return true;
}

static bool on_panic(struct look *l, const json_t *data)
{
	if (strcmp(string_of(data, "action"), "run") == 0)
		return false;
	if (l->is_reset) {
		set_status(l->last, "prelaunch");
		return true;
	}
	set_status(l->last, "guest-panicked");
	l->last->guest_panicked = true;
	return true;
}

static bool on_watchdog(struct look *l, const json_t *data)
{
	if (strcmp(string_of(data, "action"), "pause") != 0 || !l->is_stopped)
		return false;
	set_status(l->last, l->is_reset ? "prelaunch" : "watchdog");
	return true;
}

static bool on_suspend(struct look *l, const json_t *data)
{
	(void)data;
	set_status(l->last, l->is_reset ? "running" : l->is_stopped ? "paused" : "suspended");
	return true;
}

static bool on_reset(struct look *l, const json_t *data)
{
	(void)data;
	l->is_reset = l->is_reset || !l->is_stopped;
	return false;
}

static const struct {
	const char *name;
	bool (*act)(struct look *l, const json_t *data);
	bool is_state; /* its time is the state's */
} known[] = {
	{"STOP", on_stop, true},
	{"RESUME", on_resume, true},
	{"BLOCK_IO_ERROR", on_io_error, true},
	{"SHUTDOWN", on_shutdown, true},
	{"GUEST_PANICKED", on_panic, true},
	{"WATCHDOG", on_watchdog, false},
	{"SUSPEND", on_suspend, true},
	{"SUSPEND_DISK", on_suspend, true},
	{"WAKEUP", on_resume, true},
	{"RESET", on_reset, false},
};

static bool on_event(struct look *l, const json_t *event, size_t which)
{
	bool was_stopped = l->is_stopped, was_failing = l->is_failing, end;

	end = known[which].act(l, json_object_get(event, "data"));
	if (known[which].is_state && (end || l->is_stopped != was_stopped || l->is_failing != was_failing))
		set_when(l->last, event);
	return end;
}

/* An answer to query-status that somebody asked for on this monitor. */
static bool on_answer(struct look *l, const json_t *answer)
{
	const json_t *result = json_object_get(answer, "return");
	const char *word = string_of(result, "status");

	if (!*word || !json_is_boolean(json_object_get(result, "running")))
		return false;
	if (l->is_stopped)
		set_status(l->last, l->is_reset ? "prelaunch" : "paused");
	else if (!l->is_failing)
		set_status(l->last, word);
	return true;
}

static const char *find(const char *line, size_t length, const char *text)
{
	return memmem(line, length, text, strlen(text));
}

/* The index in known[] of the event that the line seems to be, VMF_COUNT(known) for a status, or -1. */
static int classify(const char *line, size_t length)
{
	static const char key[] = "\"event\": \"";
	const char *name = find(line, length, key), *end = line + length;

	if (!name)
		return find(line, length, "\"running\": ") ? (int)VMF_COUNT(known) : -1;
	name += sizeof(key) - 1;
	for (size_t i = 0; i < VMF_COUNT(known); i++) {
		size_t n = strlen(known[i].name);

		if ((size_t)(end - name) > n && memcmp(name, known[i].name, n) == 0 && name[n] == '"')
			return (int)i;
	}
	return -1;
}

static bool look_at(struct look *l, const char *line, size_t length)
{
	int which = length > LINE_MAX_BYTES ? -1 : classify(line, length);
	json_t *message;
	bool end = false;

	if (which < 0)
		return false;
	message = json_loadb(line, length, 0, NULL);
	if (which == (int)VMF_COUNT(known))
		end = on_answer(l, message);
	else if (str_equal(string_of(message, "event"), known[which].name))
		end = on_event(l, message, (size_t)which);
	json_decref(message);
	return end;
}

/* Looks at DATA's lines, last first. The first line is looked at only if it is whole. */
static bool look_back(const char *data, size_t length, bool first_is_whole, struct qmp_last *last)
{
	struct look l = {.last = last};

	memset(last, 0, sizeof(*last));
	while (length) {
		const char *newline = memrchr(data, '\n', length);
		size_t start = newline ? (size_t)(newline - data) + 1 : 0;

		if (!newline && !first_is_whole)
			break;
		if (length > start && look_at(&l, data + start, length - start))
			return true;
		length = newline ? start - 1 : 0;
	}
	/* nothing before it tells why */
	if (l.is_stopped && !l.is_failing)
		set_status(last, l.is_reset ? "prelaunch" : "paused");
	return false;
}

int qmp_last_state(int dir_fd, const char *name, struct qmp_last *last)
{
	char small[TAIL_FIRST];
	autofree char *large = NULL;
	autoclose int fd = -1;
	struct stat st;

	memset(last, 0, sizeof(*last));
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (fstat(fd, &st) < 0)
		return -1;
	for (off_t want = TAIL_FIRST;; want *= TAIL_FACTOR) {
		size_t room = (size_t)(want < st.st_size ? want : st.st_size);
		char *data = want == TAIL_FIRST ? small : (large = mem_resize(large, room));
		ssize_t n = pread(fd, data, room, st.st_size - (off_t)room);

		if (n < 0)
			return -1;
		if (look_back(data, (size_t)n, room == (size_t)st.st_size, last))
			return 0;
		if ((off_t)room == st.st_size || want >= TAIL_LAST)
			return 0;
	}
}
