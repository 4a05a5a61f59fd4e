/* SPDX-License-Identifier: ISC */
/*
 * What vmf at one end of a connection says to vmf at the other: frames, each a JSON object on a line of its
 * own. What is written waits in a buffer until the other side takes it; what is read is handed out frame by
 * frame.
 */
#ifndef VMF_REMOTE_FRAME_H
#define VMF_REMOTE_FRAME_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

#define FRAME_MAX (8u << 20)	 /* bytes of one frame; the other side sends no longer one */
#define FRAME_DATA 32768u	 /* bytes of output or input in one frame */
#define FRAMES_FULL (256u << 10) /* so much waits to be written: whoever feeds it had better stop */

struct frames {
	int in, out; /* the caller's; both are made non-blocking */
	bool ended;  /* the other side has closed */
	struct strbuf from, to;
	size_t from_at, to_at, scanned;
};

void frames_init(struct frames *frames, int in, int out);
void frames_free(struct frames *frames);

/* Adds a frame, which is consumed, to what is to be written. */
void frames_put(struct frames *frames, json_t *frame);
/* How many bytes wait to be written. */
size_t frames_waiting(const struct frames *frames);
/* Writes what can be written now. -1: the other side takes nothing any more. */
int frames_write(struct frames *frames, struct vmf_error *err);
/* Reads what is there now; frames->ended at the end of it all. */
int frames_read(struct frames *frames, struct vmf_error *err);
/* The next whole frame, a new reference; NULL: there is none yet, or (err set) what came is no frame. */
json_t *frames_next(struct frames *frames, struct vmf_error *err);

/* Adds FRAME, which is consumed, with at most FRAME_DATA bytes as its KEY, which is "in", "out" or "err". Many bytes are no
 * JSON: their number stands in KEYraw, and they follow the line. */
void frames_put_data(struct frames *frames, json_t *frame, const char *key, const char *data, size_t length);
/* FRAME[KEY], or FRAME[KEY64] if the bytes are no UTF-8, are set to at most FRAME_DATA bytes. */
void frame_put_data(json_t *frame, const char *key, const char *data, size_t length);
/* The bytes in such a frame; NULL: it has none. The caller frees. */
char *frame_data(const json_t *frame, const char *key, size_t *length);

#endif
