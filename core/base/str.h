/* SPDX-License-Identifier: ISC */
/*
 * Strings, string lists and growing buffers. Memory that runs out ends the program: a command line
 * tool that holds no state has nothing better to do. All results are freed by the caller with free().
 */
#ifndef VMF_BASE_STR_H
#define VMF_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmf/plugin.h>

void *mem_alloc(size_t size); /* zeroed */
void *mem_resize(void *old, size_t size);

char *str_dup(const char *text); /* NULL gives NULL */
char *str_ndup(const char *text, size_t length);
char *str_printf(const char *fmt, ...) VMF_PRINTF(1, 2);
char *str_vprintf(const char *fmt, va_list ap) VMF_PRINTF(1, 0);
/* Frees *where and puts a copy of text there. */
void str_set(char **where, const char *text);

static inline bool str_equal(const char *a, const char *b)
{
	return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}
bool str_starts(const char *text, const char *prefix);
bool str_ends(const char *text, const char *suffix);
/* The length of the UTF-8 character (RFC 3629) that TEXT begins with, or 0 if that is none. */
size_t str_utf8_length(const char *text);
/* The length of the part, from the start, that is valid UTF-8: all of it if text[result] is 0. */
size_t str_utf8_span(const char *text);
/* The text in quotes, control characters as \xNN: for messages. */
char *str_quote(const char *text);
/* Of COUNT words (stride bytes from one char * to the next) the one most like TEXT, or NULL if none is near. */
const char *str_nearest(const char *text, const char *const *words, size_t count);

/* A growing buffer; always NUL-terminated once something was added. */
struct strbuf {
	char *data;
	size_t length, capacity;
};

#define STRBUF_INIT \
	{ NULL, 0, 0 }

void strbuf_add(struct strbuf *buf, const void *data, size_t length);
void strbuf_puts(struct strbuf *buf, const char *text);
void strbuf_putc(struct strbuf *buf, char c);
void strbuf_printf(struct strbuf *buf, const char *fmt, ...) VMF_PRINTF(2, 3);
/* TEXT with every ',' doubled, as QEMU's keyval options want it. */
void strbuf_put_keyval(struct strbuf *buf, const char *text);
/* The text, never NULL; the buffer is empty afterwards. */
char *strbuf_take(struct strbuf *buf);
void strbuf_free(struct strbuf *buf);

/* A NULL-terminated list of owned strings. */
struct strv {
	char **items;
	size_t count;
};

#define STRV_INIT \
	{ NULL, 0 }

void strv_add(struct strv *v, const char *text);
void strv_take(struct strv *v, char *text); /* owns text from now on */
void strv_addf(struct strv *v, const char *fmt, ...) VMF_PRINTF(2, 3);
void strv_add_all(struct strv *v, const struct strv *more);
bool strv_has(const struct strv *v, const char *text);
void strv_sort(struct strv *v);
char *strv_join(const struct strv *v, const char *separator);
void strv_free(struct strv *v);

/* Memory that lives as long as an operation: everything is freed at once. */
struct arena {
	struct arena_block *head;
};

void *arena_alloc(struct arena *arena, size_t size); /* zeroed */
char *arena_dup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *fmt, ...) VMF_PRINTF(2, 3);
char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap) VMF_PRINTF(2, 0);
void arena_free(struct arena *arena);

void cleanup_free(void *where);
void cleanup_close(int *fd);
#define autofree __attribute__((cleanup(cleanup_free)))
#define autoclose __attribute__((cleanup(cleanup_close)))
#define autostrv __attribute__((cleanup(strv_free)))
#define autostrbuf __attribute__((cleanup(strbuf_free)))

#endif
