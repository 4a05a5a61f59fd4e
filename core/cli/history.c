/* SPDX-License-Identifier: ISC */
/* The end of a serial port's log, fit to be shown again. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/talk.h"

#define CHUNK 65536
#define HISTORY_MAX (1 << 20)
#define ENQ 0x05
#define ESC 0x1b
#define SHIFT_OUT 0x0e
#define SHIFT_IN 0x0f

/* Colours and the editing of a line; all else is of a screen that is no more. */
static bool is_shown(const struct escape *e, enum escape_kind kind)
{
	return kind == ESCAPE_CSI && strchr("@ABCDGKPXm", e->final) && e->final &&
	       strspn(e->params, "0123456789;:") == strlen(e->params);
}

/* ESC [ has a short form in UTF-8, too: the code points 0x80 to 0x9f. */
static bool is_control(const char *data, size_t length, unsigned char c)
{
	return length && (unsigned char)data[length - 1] == 0xc2 && c >= 0x80 && c <= 0x9f;
}

size_t history_clean(char *data, size_t length)
{
	struct escape escape = {0};
	size_t n = 0, begin = 0; /* of what is kept: its length, and where the last sequence begins */

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)data[i];
		bool was_text = escape.state == 0;
		enum escape_kind kind = escape_feed(&escape, c);

		if (c == ESC && was_text)
			begin = n;
		else if (c == ESC) /* the one before was broken off */
			n = begin;
		if (kind == ESCAPE_TEXT && is_control(data, n, c)) {
			n--;
			continue;
		}
		/* control characters are obeyed even inside of sequences */
		if (kind == ESCAPE_TEXT ? c != ENQ && c != SHIFT_OUT && c != SHIFT_IN
					: c == ESC || (c >= 0x20 && c != 0x7f))
			data[n++] = (char)c;
		if (kind != ESCAPE_TEXT && kind != ESCAPE_PART && !is_shown(&escape, kind))
			n = begin;
	}
	return escape.state == 0 ? n : begin;
}

/* Where the last LINES lines before END begin, but not before FIRST. -1 and errno. */
static off_t find_lines(int fd, off_t first, off_t end, size_t lines)
{
	char chunk[CHUNK];
	off_t at = end;

	while (at > first) {
		size_t n = at - first < CHUNK ? (size_t)(at - first) : CHUNK;

		at -= (off_t)n;
		if (pread(fd, chunk, n, at) != (ssize_t)n)
			return -1;
		while (n--) /* the newline at the very end begins no line */
			if (chunk[n] == '\n' && at + (off_t)n + 1 < end && --lines == 0)
				return at + (off_t)n + 1;
	}
	return first;
}

int history_read(int fd, off_t run, off_t end, size_t lines, struct strbuf *out, size_t *old)
{
	off_t first = end > HISTORY_MAX ? end - HISTORY_MAX : 0, start;
	autofree char *data = NULL;
	size_t length, before;

	*old = 0;
	if (lines == 0 || end <= 0)
		return 0;
	errno = EIO; /* if the log is shorter than END by now */
	start = find_lines(fd, first, end, lines);
	if (start < 0)
		return -1;
	length = (size_t)(end - start);
	data = mem_alloc(length);
	if (pread(fd, data, length, start) != (ssize_t)length)
		return -1;
	before = run > start && run <= end ? (size_t)(run - start) : 0;
	*old = history_clean(data, before);
	strbuf_add(out, data, *old);
	strbuf_add(out, data + before, history_clean(data + before, length - before));
	return 0;
}
