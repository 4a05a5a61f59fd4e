/* SPDX-License-Identifier: ISC */
/*
 * Control sequences of terminals (ECMA-48, and xterm's): where they begin and end, and which of them leave
 * the terminal in another mode than it was in.
 */
#include "cli/talk.h"

#include <string.h>

#define ESC 0x1b
#define CAN 0x18
#define SUB 0x1a
#define BEL 0x07
#define SHIFT_OUT 0x0e
#define SHIFT_IN 0x0f

enum { GROUND, SHORT, CSI, STRING, STRING_ESC };

static enum escape_kind go(struct escape *e, int state, enum escape_kind kind)
{
	e->state = state;
	return kind;
}

static void begin(struct escape *e)
{
	e->n_params = 0;
	e->params[0] = '\0';
	e->state = SHORT;
}

/* One that is too long for us is a sequence nevertheless, but none that we know. */
static void add_param(struct escape *e, unsigned char c)
{
	if (e->n_params + 1 < sizeof(e->params)) {
		e->params[e->n_params++] = (char)c;
		e->params[e->n_params] = '\0';
	} else {
		e->params[0] = '!';
	}
}

static enum escape_kind finish(struct escape *e, unsigned char c, enum escape_kind kind)
{
	e->final = (char)c;
	return go(e, GROUND, kind);
}

static enum escape_kind feed_short(struct escape *e, unsigned char c)
{
	if (c == '[' && !e->n_params)
		return go(e, CSI, ESCAPE_PART);
	if (strchr("]PX^_", c) && c && !e->n_params)
		return go(e, STRING, ESCAPE_PART);
	if (c >= 0x30 && c <= 0x7e)
		return finish(e, c, ESCAPE_SHORT);
	if (c >= 0x20 && c <= 0x2f)
		add_param(e, c);
	return ESCAPE_PART;
}

enum escape_kind escape_feed(struct escape *e, unsigned char c)
{
	if (e->state == STRING_ESC && c == '\\')
		return go(e, GROUND, ESCAPE_OTHER);
	if (e->state == STRING_ESC) /* the string was broken off by another sequence */
		begin(e);
	if (c == ESC && e->state == STRING)
		return go(e, STRING_ESC, ESCAPE_PART);
	if (c == ESC) {
		begin(e);
		return ESCAPE_PART;
	}
	if (e->state == GROUND)
		return ESCAPE_TEXT;
	if (c == CAN || c == SUB || (c == BEL && e->state == STRING) || (c > 0x7f && e->state != STRING))
		return go(e, GROUND, ESCAPE_OTHER);
	if (e->state == SHORT)
		return feed_short(e, c);
	if (e->state == CSI && c >= 0x40 && c <= 0x7e)
		return finish(e, c, ESCAPE_CSI);
	if (e->state == CSI && c >= 0x20 && c <= 0x3f)
		add_param(e, c);
	return ESCAPE_PART;
}

/* ---- modes -------------------------------------------------------------------------------- */

/* ESC [ ? NUMBER h (on) and l (off). The other screen comes last: its end puts the cursor back. */
static const struct {
	int number;
	bool is_normally_on;
} private_modes[] = {
	{1, false}, /* cursor keys of applications */
	{5, false}, /* reverse video */
	{6, false}, /* lines are counted from the region's first */
	{7, true},  /* wrap around */
	{25, true}, /* the cursor can be seen */
	{9, false}, /* mouse ... */
	{1000, false},
	{1002, false},
	{1003, false},
	{1004, false},
	{1005, false},
	{1006, false},
	{1015, false},
	{2004, false}, /* pasted text is marked */
	{47, false},   /* the other screen */
	{1047, false},
	{1049, false},
};

static void set_private(struct term_modes *m, int number, bool on)
{
	for (size_t i = 0; i < VMF_COUNT(private_modes); i++) {
		if (private_modes[i].number != number)
			continue;
		if (on != private_modes[i].is_normally_on)
			m->private_modes |= 1u << i;
		else
			m->private_modes &= ~(1u << i);
	}
}

static void on_csi(struct term_modes *m, const char *params, char final)
{
	if (*params == '?' && (final == 'h' || final == 'l')) {
		for (int number = 0; *params; number = 0) {
			while (*++params >= '0' && *params <= '9')
				number = number < 100000 ? number * 10 + (*params - '0') : number;
			set_private(m, number, final == 'h');
			if (*params != ';')
				break;
		}
	} else if (final == 'm' && strspn(params, "0123456789;:") == strlen(params)) {
		m->has_style = params[strspn(params, "0")] != '\0';
	} else if (final == 'r' && strspn(params, "0123456789;") == strlen(params)) {
		m->has_region = *params != '\0';
	}
}

static void on_short(struct term_modes *m, const char *params, char final)
{
	if (!*params && (final == '=' || final == '>'))
		m->has_keypad = final == '=';
	else if (str_equal(params, "("))
		m->has_charset = final != 'B';
	else if (!*params && final == 'c') /* all is reset */
		memset(m, 0, sizeof(*m));
}

void term_modes_feed(struct term_modes *m, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		switch (escape_feed(&m->escape, (unsigned char)data[i])) {
		case ESCAPE_CSI:
			on_csi(m, m->escape.params, m->escape.final);
			break;
		case ESCAPE_SHORT:
			on_short(m, m->escape.params, m->escape.final);
			break;
		case ESCAPE_TEXT:
			if (data[i] == SHIFT_OUT || data[i] == SHIFT_IN)
				m->has_charset = data[i] == SHIFT_OUT;
			break;
		case ESCAPE_PART:
		case ESCAPE_OTHER:
			break;
		}
	}
}

void term_modes_undo(const struct term_modes *m, struct strbuf *undo)
{
	if (m->escape.state != GROUND) /* half a sequence would swallow what comes next */
		strbuf_putc(undo, CAN);
	if (m->has_charset)
		strbuf_puts(undo, "\017\033(B");
	if (m->has_style)
		strbuf_puts(undo, "\033[m");
	if (m->has_keypad)
		strbuf_puts(undo, "\033>");
	if (m->has_region) /* which moves the cursor */
		strbuf_puts(undo, "\0337\033[r\0338");
	for (size_t i = 0; i < VMF_COUNT(private_modes); i++)
		if (m->private_modes & (1u << i))
			strbuf_printf(undo, "\033[?%d%c", private_modes[i].number,
				private_modes[i].is_normally_on ? 'h' : 'l');
}
