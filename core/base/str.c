/* SPDX-License-Identifier: ISC */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void out_of_memory(void)
{
	static const char text[] = "vmf: out of memory\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(VMF_E_NO_SPACE);
	_exit(VMF_E_NO_SPACE);
}

void *mem_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *mem_resize(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

char *str_dup(const char *text)
{
	return text ? str_ndup(text, strlen(text)) : NULL;
}

char *str_ndup(const char *text, size_t length)
{
	char *copy = mem_resize(NULL, length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *str_vprintf(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		out_of_memory();
	return text;
}

char *str_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	return text;
}

void str_set(char **where, const char *text)
{
	char *copy = str_dup(text);

	free(*where);
	*where = copy;
}

bool str_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && memcmp(text + n - m, suffix, m) == 0;
}

char *str_quote(const char *text)
{
	struct strbuf buf = STRBUF_INIT;

	strbuf_putc(&buf, '"');
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			strbuf_printf(&buf, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			strbuf_printf(&buf, "\\x%02x", *p);
		else
			strbuf_putc(&buf, (char)*p);
	}
	strbuf_putc(&buf, '"');
	return strbuf_take(&buf);
}

size_t str_utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (*p < 0xe0 || !n)
		return n;
	/* no longer forms than needed, no surrogates, nothing above U+10FFFF */
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xed && p[1] > 0x9f) ||
		(*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

size_t str_utf8_span(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n;

	for (; *p; p += n) {
		n = *p < 0x80 ? 1 : str_utf8_length((const char *)p);
		if (!n)
			break;
	}
	return (size_t)((const char *)p - text);
}

/* Levenshtein's distance, given up beyond 63 characters. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	size_t row[64];

	if (n > 63 || m > 63)
		return SIZE_MAX;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[m];
}

const char *str_nearest(const char *text, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	size_t least = strlen(text) / 3 + 1;

	for (size_t i = 0; i < count; i++) {
		size_t d = edit_distance(text, words[i]);

		if (d <= least) {
			if (d < least || !nearest)
				nearest = words[i];
			least = d;
		}
	}
	return nearest;
}

static void strbuf_reserve(struct strbuf *buf, size_t more)
{
	size_t need = buf->length + more + 1;

	if (need <= buf->capacity)
		return;
	buf->capacity = buf->capacity ? buf->capacity : 64;
	while (buf->capacity < need)
		buf->capacity *= 2;
	buf->data = mem_resize(buf->data, buf->capacity);
}

void strbuf_add(struct strbuf *buf, const void *data, size_t length)
{
	strbuf_reserve(buf, length);
	if (length)
		memcpy(buf->data + buf->length, data, length);
	buf->length += length;
	buf->data[buf->length] = '\0';
}

void strbuf_puts(struct strbuf *buf, const char *text)
{
	strbuf_add(buf, text, strlen(text));
}

void strbuf_putc(struct strbuf *buf, char c)
{
	strbuf_add(buf, &c, 1);
}

void strbuf_printf(struct strbuf *buf, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	strbuf_puts(buf, text);
	free(text);
}

void strbuf_put_keyval(struct strbuf *buf, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			strbuf_putc(buf, ',');
		strbuf_putc(buf, *text);
	}
}

char *strbuf_take(struct strbuf *buf)
{
	char *data = buf->data ? buf->data : str_dup("");

	memset(buf, 0, sizeof(*buf));
	return data;
}

void strbuf_free(struct strbuf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

void strv_take(struct strv *v, char *text)
{
	/* room grows in powers of two: count + 2 is about to pass one */
	if (!v->items || ((v->count + 1) & v->count) == 0)
		v->items = mem_resize(v->items, (2 * v->count + 2) * sizeof(char *));
	v->items[v->count++] = text;
	v->items[v->count] = NULL;
}

void strv_add(struct strv *v, const char *text)
{
	strv_take(v, str_dup(text));
}

void strv_addf(struct strv *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strv_take(v, str_vprintf(fmt, ap));
	va_end(ap);
}

void strv_add_all(struct strv *v, const struct strv *more)
{
	for (size_t i = 0; i < more->count; i++)
		strv_add(v, more->items[i]);
}

bool strv_has(const struct strv *v, const char *text)
{
	for (size_t i = 0; i < v->count; i++)
		if (str_equal(v->items[i], text))
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
	if (v->count > 1)
		qsort(v->items, v->count, sizeof(char *), by_text);
}

char *strv_join(const struct strv *v, const char *separator)
{
	struct strbuf buf = STRBUF_INIT;

	for (size_t i = 0; i < v->count; i++) {
		if (i)
			strbuf_puts(&buf, separator);
		strbuf_puts(&buf, v->items[i]);
	}
	return strbuf_take(&buf);
}

void strv_free(struct strv *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i]);
	free(v->items);
	memset(v, 0, sizeof(*v));
}

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	max_align_t data[];
};

/* Under the address sanitizer every allocation has a block of its own, so that a step past its end is seen.
 */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define ARENA_BLOCK_BYTES 0
#else
#define ARENA_BLOCK_BYTES 4000
#endif

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->head;
	size_t rounded = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
	char *data;

	if (!block || block->size - block->used < rounded) {
		size_t room = rounded > ARENA_BLOCK_BYTES ? rounded : ARENA_BLOCK_BYTES;

		block = mem_resize(NULL, sizeof(*block) + room);
		block->used = 0;
		block->size = room;
		block->next = arena->head;
		arena->head = block;
	}
	data = (char *)block->data + block->used;
	block->used += rounded;
	return memset(data, 0, size);
}

char *arena_dup(struct arena *arena, const char *text)
{
	size_t length;
	char *copy;

	if (!text)
		return NULL;
	length = strlen(text);
	copy = arena_alloc(arena, length + 1);
	memcpy(copy, text, length);
	return copy;
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap)
{
	char *text = str_vprintf(fmt, ap);
	char *copy = arena_dup(arena, text);

	free(text);
	return copy;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list ap;
	char *copy;

	va_start(ap, fmt);
	copy = arena_vprintf(arena, fmt, ap);
	va_end(ap);
	return copy;
}

void arena_free(struct arena *arena)
{
	while (arena->head) {
		struct arena_block *next = arena->head->next;

		free(arena->head);
		arena->head = next;
	}
}

void cleanup_free(void *where)
{
	free(*(void **)where);
}

void cleanup_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
