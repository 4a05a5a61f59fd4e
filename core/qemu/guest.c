/* SPDX-License-Identifier: ISC */
/*
 * The guest agent's protocol: JSON lines, one answer for each command. What was left over by somebody who
 * went away is passed over by guest-sync-delimited: a byte that is in no JSON, and a number that comes back.
 */
#include "qemu/guest.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/str.h"
#include "qemu/qmp_wire.h"

#define SYNC_MS 3000 /* an agent that runs answers at once, whatever the command takes */
#define DELIMITER '\xff'

struct talk {
	int fd;
	int64_t deadline_ms;
	struct strbuf in; /* what was read and not yet looked at */
};

static int fail_timeout(struct vmf_error *err)
{
	return vmf_fail(err, VMF_E_TIMEOUT, 0, "does qemu-ga run in it (Debian's package qemu-guest-agent)?",
		"its guest agent does not answer");
}

static int wait_for(const struct talk *t, short events, struct vmf_error *err)
{
	for (;;) {
		struct pollfd p = {t->fd, events, 0};
		int64_t left = t->deadline_ms - time_now_ms();
		int n = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (n > 0)
			return 0;
		if (n == 0)
			return fail_timeout(err);
		if (errno != EINTR)
			return vmf_fail_errno(err, NULL, "guest agent");
	}
}

static int put(const struct talk *t, const char *text, size_t length, struct vmf_error *err)
{
	while (length) {
		ssize_t n = send(t->fd, text, length, MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			length -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			return vmf_fail_errno(err, NULL, "guest agent");
		} else if (wait_for(t, POLLOUT, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static int get_more(struct talk *t, struct vmf_error *err)
{
	char room[4096];
	ssize_t n;

	if (t->in.length > GUEST_ANSWER_MAX)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "its guest agent says too much");
	if (wait_for(t, POLLIN, err) < 0)
		return -1;
	n = recv(t->fd, room, sizeof(room), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "the VM has ended");
	strbuf_add(&t->in, room, (size_t)n);
	return 0;
}

/* Forgets what stands before byte AT. */
static void drop(struct talk *t, size_t at)
{
	memmove(t->in.data, t->in.data + at, t->in.length - at);
	t->in.length -= at;
	t->in.data[t->in.length] = '\0';
}

/* The next line's JSON object (new reference); NULL and err. Lines that are none are passed over. */
static json_t *get_object(struct talk *t, struct vmf_error *err)
{
	for (;;) {
		char *end = t->in.length ? memchr(t->in.data, '\n', t->in.length) : NULL;
		json_t *json;

		if (!end) {
			if (get_more(t, err) < 0)
				return NULL;
			continue;
		}
		json = json_loadb(t->in.data, (size_t)(end - t->in.data), 0, NULL);
		drop(t, (size_t)(end + 1 - t->in.data));
		if (json_is_object(json))
			return json;
		json_decref(json);
	}
}

static int say(const struct talk *t, const char *before, const char *command, json_t *arguments,
	struct vmf_error *err)
{
	json_t *json = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
	autofree char *text = json_dumps(json, JSON_COMPACT);
	autofree char *line = str_printf("%s%s\n", before, text);

	json_decref(json);
	return put(t, line, strlen(line), err);
}

/* What comes from here on is an answer to what is said from here on. */
static int synchronize(struct talk *t, struct vmf_error *err)
{
	const char before[] = {DELIMITER, '\0'};
	uint32_t number;
	json_t *json;
	bool is_it = false;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return vmf_fail_errno(err, NULL, "no random numbers");
	if (say(t, before, "guest-sync-delimited", json_pack("{s:I}", "id", (json_int_t)number), err) < 0)
		return -1;
	while (!is_it) {
		char *at = t->in.length ? memrchr(t->in.data, DELIMITER, t->in.length) : NULL;

		if (!at) {
			t->in.length = 0;
			if (get_more(t, err) < 0)
				return -1;
			continue;
		}
		drop(t, (size_t)(at + 1 - t->in.data));
		json = get_object(t, err);
		if (!json)
			return -1;
		is_it = json_integer_value(json_object_get(json, "return")) == (json_int_t)number;
		json_decref(json);
	}
	return 0;
}

static int take_answer(json_t *json, json_t **answer, struct vmf_error *err)
{
	const json_t *error = json_object_get(json, "error");
	const char *words = json_string_value(json_object_get(error, "desc"));

	if (error) {
		autofree char *clean = qmp_io_clean(words ? words : "", words ? strlen(words) : 0);

		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "its guest agent says: %s", clean);
	}
	if (answer)
		*answer = json_incref(json_object_get(json, "return"));
	return 0;
}

int guest_ask(const char *path, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ms,
	struct vmf_error *err)
{
	struct talk t = {.fd = qmp_wire_connect(path), .deadline_ms = deadline_ms, .in = STRBUF_INIT};
	int64_t sync_ms = time_now_ms() + SYNC_MS;
	json_t *json = NULL;
	int rc = -1;

	if (t.fd < 0) {
		json_decref(arguments);
		return errno == EAGAIN ? fail_timeout(err) : vmf_fail_errno(err, NULL, "%s", path);
	}
	if (sync_ms < deadline_ms)
		t.deadline_ms = sync_ms;
	rc = synchronize(&t, err);
	t.deadline_ms = deadline_ms;
	if (rc < 0)
		json_decref(arguments);
	else if (say(&t, "", command, arguments, err) == 0)
		json = get_object(&t, err);
	rc = -1;
	if (json)
		rc = take_answer(json, answer, err);
	json_decref(json);
	strbuf_free(&t.in);
	close(t.fd);
	return rc;
}
