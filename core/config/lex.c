/* SPDX-License-Identifier: ISC */
/*
 * Words and strings, as libconfuse's own scanner takes them, only stricter: where libconfuse would guess,
 * drop a character or run on over the end of the line, this one complains.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/parse.h"

void lex_blank(struct lexer *lexer, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (lexer->clean[i] != '\n')
			lexer->clean[i] = ' ';
}

void lex_complain(struct lexer *lexer, int line, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (line == lexer->bad_line)
		return;
	lexer->bad_line = line;
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	problem_add(lexer->problems, lexer->file, line, "%s", text);
	free(text);
}

static bool is_word(char c)
{
	/* a libconfuse word ends at these, too */
	static const bool ends[256] = {['#'] = true,
		['"'] = true,
		['\''] = true,
		['='] = true,
		['{'] = true,
		['}'] = true,
		['('] = true,
		[')'] = true,
		['+'] = true,
		[','] = true,
		['*'] = true,
		[0x7f] = true};

	return (unsigned char)c > ' ' && !ends[(unsigned char)c];
}

bool lex_is_bare(const char *text)
{
	return *text &&
	       text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-")] ==
		       '\0';
}

static char at(const struct lexer *lexer, size_t offset)
{
	return lexer->pos + offset < lexer->length ? lexer->text[lexer->pos + offset] : '\0';
}

static void skip_comment(struct lexer *lexer)
{
	size_t from = lexer->pos;
	int line = lexer->line;

	if (at(lexer, 0) == '/' && at(lexer, 1) == '*') {
		const char *end = strstr(lexer->text + lexer->pos + 2, "*/");

		if (!end)
			lex_complain(lexer, line, "the comment that begins here has no end, add */");
		lexer->pos = end ? (size_t)(end - lexer->text) + 2 : lexer->length;
		for (size_t i = from; i < lexer->pos; i++)
			lexer->line += lexer->text[i] == '\n';
	} else {
		lexer->pos = (size_t)(strchrnul(lexer->text + lexer->pos, '\n') - lexer->text);
	}
	lex_blank(lexer, from, lexer->pos);
}

static void skip_blanks(struct lexer *lexer)
{
	for (; lexer->pos < lexer->length; lexer->pos++) {
		char c = at(lexer, 0);

		if (c == '\n') {
			lexer->line++;
		} else if (c == '#' || (c == '/' && (at(lexer, 1) == '/' || at(lexer, 1) == '*'))) {
			skip_comment(lexer);
			lexer->pos--;
		} else if (c != ' ' && c != '\t') {
			if ((unsigned char)c > ' ' && c != 0x7f)
				return;
			lex_blank(lexer, lexer->pos, lexer->pos + 1);
		}
	}
}

/* Once for each place: files are read again after a change. */
static void warn_if_unset(struct lexer *lexer, const char *name, size_t length)
{
	static struct strv told;
	autofree char *variable = str_ndup(name, length);
	autofree char *text = NULL;

	if (getenv(variable))
		return;
	text = str_printf("%s: ${%s} is not set in the environment and counts as empty, write ${%s:-default}",
		conf_where(lexer->file, lexer->line), variable, variable);
	if (strv_has(&told, text))
		return;
	if (told.count < 100)
		strv_add(&told, text);
	log_warn("%s", text);
}

/* ${name} or ${name:-default}; pos is at the '$'. libconfuse knows neither escapes nor quotes in there. */
static bool variable(struct lexer *lexer)
{
	const char *name = lexer->text + lexer->pos + 2;
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	size_t end = 2 + length;
	bool has_default = strncmp(name + length, ":-", 2) == 0;

	if (has_default)
		end += 2 + strcspn(name + length + 2, "}\"'\n");
	if (!length || isdigit((unsigned char)*name) || at(lexer, end) != '}') {
		lex_complain(lexer, lexer->line, "a variable is written as ${name} or ${name:-default}");
		return false;
	}
	lexer->pos += end + 1;
	if (lexer->warns && !has_default)
		warn_if_unset(lexer, name, length);
	return true;
}

/* A backslash in "...": what libconfuse would refuse, and what would cut the string off. */
static bool escape(struct lexer *lexer)
{
	const char *p = lexer->text + lexer->pos + 1;
	size_t digits = strspn(p, "0123456789");
	size_t hex = *p == 'x' ? strspn(p + 1, "0123456789abcdefABCDEF") : 0;
	bool is_zero = false;

	if (digits) {
		long value = strtol(p, NULL, 8);

		if (digits > 3 || strspn(p, "01234567") < digits || value > 255) {
			lex_complain(lexer, lexer->line,
				"\\%.*s is no character, octal ones go from \\001 to \\377",
				digits > 8 ? 8 : (int)digits, p);
			return false;
		}
		is_zero = value == 0;
		lexer->pos += 1 + digits;
	} else if (hex) {
		hex = hex > 2 ? 2 : hex;
		is_zero = strspn(p + 1, "0") >= hex;
		lexer->pos += 2 + hex;
	} else {
		lexer->pos += 2;
	}
	if (is_zero)
		lex_complain(lexer, lexer->line, "a string cannot hold a zero byte");
	return !is_zero;
}

static bool string(struct lexer *lexer)
{
	char quote = at(lexer, 0);
	bool ok = true;

	lexer->pos++;
	while (lexer->pos < lexer->length && at(lexer, 0) != quote && at(lexer, 0) != '\n') {
		char c = at(lexer, 0), next = at(lexer, 1);

		if (quote == '"' && c == '\\' && next && next != '\n') {
			ok = escape(lexer) && ok;
		} else if (c == '\\' && next) {
			lexer->line += next == '\n';
			lexer->pos += 2;
			continue;
		} else if (quote == '"' && c == '$' && next == '{') {
			ok = variable(lexer) && ok;
		} else {
			lexer->pos++;
			continue;
		}
		if (!ok) /* on to the end of it, without looking any closer */
			while (lexer->pos < lexer->length && at(lexer, 0) != quote && at(lexer, 0) != '\n')
				lexer->pos++;
	}
	if (at(lexer, 0) != quote) {
		lex_complain(lexer, lexer->line,
			"the string has no end on its line, add %c (or \\ at the end of the line)", quote);
		return false;
	}
	lexer->pos++;
	return ok;
}

static bool word(struct lexer *lexer)
{
	bool ok = true;

	for (; is_word(at(lexer, 0)); lexer->pos++)
		if ((at(lexer, 0) == '$' && at(lexer, 1) == '{') ||
			(at(lexer, 0) == '/' && (at(lexer, 1) == '/' || at(lexer, 1) == '*')))
			ok = false;
	if (!ok)
		lex_complain(lexer, lexer->line, "put the whole value in quotes");
	return ok;
}

/* Something that stands glued to a word or string belongs to it in the person's mind, and not in
 * libconfuse's. */
static bool ends_well(struct lexer *lexer)
{
	char c = at(lexer, 0);

	if (!is_word(c) && c != '"' && c != '\'' && c != '*' && !(c == '+' && at(lexer, 1) != '='))
		return true;
	lex_complain(lexer, lexer->line, "put the whole value in quotes");
	while (lexer->pos < lexer->length && !strchr(" \t\n{}", at(lexer, 0)))
		lexer->pos++;
	return false;
}

static enum token_kind punctuation(struct lexer *lexer)
{
	char c = at(lexer, 0);

	lexer->pos++;
	switch (c) {
	case '=':
		return TOKEN_SET;
	case '{':
		return TOKEN_OPEN;
	case '}':
		return TOKEN_CLOSE;
	case ',':
		return TOKEN_COMMA;
	case '(':
		return TOKEN_PAREN;
	case ')':
		return TOKEN_UNPAREN;
	case '+':
		if (at(lexer, 0) == '=') {
			lexer->pos++;
			return TOKEN_ADD;
		}
		break;
	}
	lex_complain(lexer, lexer->line, "'%c' cannot stand here, put a value that has it in quotes", c);
	return TOKEN_BAD;
}

void lex_next(struct lexer *lexer, struct token *token)
{
	bool ok;
	char c;

	skip_blanks(lexer);
	c = at(lexer, 0);
	token->at = lexer->pos;
	token->line = lexer->line;
	if (lexer->pos >= lexer->length) {
		token->kind = TOKEN_END;
	} else if (!is_word(c) && c != '"' && c != '\'') {
		token->kind = punctuation(lexer);
	} else {
		if (c == '"' || c == '\'') {
			token->kind = TOKEN_STRING;
			ok = string(lexer);
		} else if (c == '$' && at(lexer, 1) == '{') {
			token->kind = TOKEN_VARIABLE;
			ok = variable(lexer);
		} else {
			token->kind = TOKEN_WORD;
			ok = word(lexer);
		}
		if (!ends_well(lexer) || !ok)
			token->kind = TOKEN_BAD;
	}
	token->end = lexer->pos;
}
