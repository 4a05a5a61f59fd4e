/* SPDX-License-Identifier: ISC */
#include "remote/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"

#define RAW_MIN 1024u /* from so many bytes on it is not worth while to make JSON of them */
#define READ_SIZE 65536u

static void no_waiting(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void frames_init(struct frames *frames, int in, int out)
{
	memset(frames, 0, sizeof(*frames));
	frames->in = in;
	frames->out = out;
	no_waiting(in);
	no_waiting(out);
}

void frames_free(struct frames *frames)
{
	strbuf_free(&frames->from);
	strbuf_free(&frames->to);
}

/* Drops what was used of a buffer, once that is worth the copying. */
static void compact(struct strbuf *buf, size_t *at)
{
	if (*at < buf->length && *at < READ_SIZE)
		return;
	memmove(buf->data, buf->data + *at, buf->length - *at);
	buf->length -= *at;
	*at = 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

void frames_put(struct frames *frames, json_t *frame)
{
	char *text = json_dumps(frame, JSON_COMPACT);

	if (text) {
		strbuf_puts(&frames->to, text);
		strbuf_putc(&frames->to, '\n');
	}
	free(text);
	json_decref(frame);
}

size_t frames_waiting(const struct frames *frames)
{
	return frames->to.length - frames->to_at;
}

int frames_write(struct frames *frames, struct vmf_error *err)
{
	while (frames_waiting(frames)) {
		ssize_t n = write(frames->out, frames->to.data + frames->to_at, frames_waiting(frames));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return vmf_fail_errno(err, NULL, "the connection broke");
		frames->to_at += (size_t)n;
	}
	if (frames->to.data)
		compact(&frames->to, &frames->to_at);
	return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

int frames_read(struct frames *frames, struct vmf_error *err)
{
	char data[READ_SIZE];
	ssize_t n = read(frames->in, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return vmf_fail_errno(err, NULL, "the connection broke");
	if (n <= 0) {
		frames->ended = true;
		return 0;
	}
	if (frames->from.data) {
		frames->scanned -= frames->from_at;
		compact(&frames->from, &frames->from_at);
		frames->scanned += frames->from_at;
	}
	strbuf_add(&frames->from, data, (size_t)n);
	return 0;
}

static json_t *not_a_frame(const char *line, size_t length, struct vmf_error *err)
{
	autofree char *start = str_ndup(line, length < 60 ? length : 60);
	autofree char *quoted = str_quote(start);

	vmf_fail(err, VMF_E_FAILED, 0,
		"a shell's start-up file must print nothing when it is not a terminal's",
		"the other side does not speak vmf's language: %s", quoted);
	return NULL;
}

/* The key of the bytes that follow the frame, or NULL. */
static const char *raw_key(const json_t *frame)
{
	static const char *const keys[] = {"out", "in", "err"};
	static const char *const raw[] = {"outraw", "inraw", "errraw"};

	for (size_t i = 0; i < VMF_COUNT(keys); i++) {
		json_int_t length = json_integer_value(json_object_get(frame, raw[i]));

		if (length > 0 && length <= (json_int_t)FRAME_DATA)
			return keys[i];
	}
	return NULL;
}

/* The bytes behind a frame whose line has *N become its KEY, if they are there; *n is then what they take,
 * too. */
static bool take_raw(struct frames *frames, json_t *frame, const char *key, size_t *n)
{
	autofree char *raw = str_printf("%sraw", key);
	size_t length = (size_t)json_integer_value(json_object_get(frame, raw));
	size_t begin = frames->from_at + *n + 1;

	if (frames->from.length - begin < length)
		return false;
	json_object_set_new(frame, key, json_stringn_nocheck(frames->from.data + begin, length));
	*n += length;
	return true;
}

json_t *frames_next(struct frames *frames, struct vmf_error *err)
{
	char *line, *end;
	json_t *frame;
	size_t n;

	if (!frames->from.data)
		return NULL;
	line = frames->from.data + frames->from_at;
	/* a long frame comes in many pieces: what was looked through is not looked through again */
	end = memchr(frames->from.data + frames->scanned, '\n', frames->from.length - frames->scanned);
	n = end ? (size_t)(end - line) : frames->from.length - frames->from_at;
	if (n > FRAME_MAX)
		return not_a_frame(line, n, err);
	if (!end) {
		frames->scanned = frames->from.length;
		/* the other side has said something, and then no more */
		return frames->ended && n ? not_a_frame(line, n, err) : NULL;
	}
	frame = json_loadb(line, n, 0, NULL);
	if (json_is_object(frame)) {
		const char *key = raw_key(frame);

		if (key && !take_raw(frames, frame, key, &n)) {
			json_decref(frame);
			return frames->ended ? not_a_frame(line, n, err) : NULL;
		}
		frames->from_at += n + 1;
		frames->scanned = frames->from_at;
		return frame;
	}
	frames->from_at += n + 1;
	frames->scanned = frames->from_at;
	json_decref(frame);
	return not_a_frame(line, n, err);
}

/* ---- bytes in a frame --------------------------------------------------------------------- */

void frame_put_data(json_t *frame, const char *key, const char *data, size_t length)
{
	autofree char *text = str_ndup(data, length);
	autofree char *key64 = NULL;
	autofree char *coded = NULL;

	/* a NUL in it ends the text early */
	if (strlen(text) == length && str_utf8_span(text) == length) {
		json_object_set_new(frame, key, json_stringn_nocheck(text, length));
		return;
	}
	key64 = str_printf("%s64", key);
	coded = base64_encode(data, length);
	json_object_set_new(frame, key64, json_string(coded));
}

void frames_put_data(struct frames *frames, json_t *frame, const char *key, const char *data, size_t length)
{
	autofree char *raw = str_printf("%sraw", key);

	if (length < RAW_MIN) {
		frame_put_data(frame, key, data, length);
		frames_put(frames, frame);
		return;
	}
	json_object_set_new(frame, raw, json_integer((json_int_t)length));
	frames_put(frames, frame);
	strbuf_add(&frames->to, data, length);
}

char *frame_data(const json_t *frame, const char *key, size_t *length)
{
	autofree char *key64 = str_printf("%s64", key);
	char *data;
	const json_t *plain = json_object_get(frame, key), *coded = json_object_get(frame, key64);

	if (json_is_string(plain)) {
		*length = json_string_length(plain);
		/* there may be a NUL in it */
		data = mem_alloc(*length + 1);
		memcpy(data, json_string_value(plain), *length);
		return data;
	}
	return json_is_string(coded) ? base64_decode(json_string_value(coded), length) : NULL;
}
