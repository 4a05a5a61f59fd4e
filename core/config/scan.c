/* SPDX-License-Identifier: ISC */
/*
 * The grammar and the schema: which statements there are, where they stand, and whatever is wrong with them.
 * A statement that is wrong is blanked out in the clean text, so that the rest can still be looked at.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"

#define SHOWN_MAX 40 /* characters of a word in a message */

enum mode {
	BY_SCHEMA, /* options and sections are known */
	OF_PLUGIN, /* a plugin's section: any option, no section */
	UNKNOWN,   /* inside something that was complained about: the braces are all that counts */
};

/* What stands between one pair of braces. */
struct level {
	enum mode mode;
	const struct conf_schema *schema;
	struct used *used;
	int depth, line; /* line: of the opening brace */
	int *lines;	 /* BY_SCHEMA: where each option was set; 0: not yet */
	unsigned *items; /* and how many items it has */
	struct stmt *first, **tail;
};

static void statements(struct scan *s, struct level *level);

/* ---- tokens ------------------------------------------------------------------------------- */

static void advance(struct scan *s)
{
	s->last_end = s->token.end;
	lex_next(&s->lexer, &s->token);
}

/* The token in quotes, on one line and not too long, for messages. The caller frees. */
static char *quoted(const struct scan *s, const struct token *token)
{
	size_t length = token->end - token->at;
	autofree char *text = str_ndup(s->lexer.text + token->at, length > SHOWN_MAX ? SHOWN_MAX : length);
	bool is_plain = *text == '"' && length <= SHOWN_MAX;

	text[str_utf8_span(text)] = '\0'; /* nothing is cut in the middle */
	for (char *p = text; *p; p++)
		is_plain = is_plain && (unsigned char)*p >= ' ' && *p != 0x7f;
	return is_plain ? str_dup(text) : str_quote(text);
}

static const char *token_dup(struct scan *s, const struct token *token)
{
	size_t length = token->end - token->at;
	char *text = arena_alloc(s->arena, length + 1);

	memcpy(text, s->lexer.text + token->at, length);
	return text;
}

static bool token_is(const struct scan *s, const struct token *token, const char *word)
{
	size_t length = token->end - token->at;

	return strncmp(s->lexer.text + token->at, word, length) == 0 && word[length] == '\0';
}

static bool is_value(enum token_kind kind)
{
	return kind == TOKEN_WORD || kind == TOKEN_STRING || kind == TOKEN_VARIABLE;
}

/* Gives up on the file: no further token. */
static void too_much(struct scan *s, const char *what, unsigned limit)
{
	lex_complain(
		&s->lexer, s->token.line, "too many %s, %u are possible: use several files", what, limit);
	s->lexer.pos = s->lexer.length;
	s->token.kind = TOKEN_END;
	s->gave_up = true;
}

/* lex_complain() with the word in quotes in front. */
static void complain(struct scan *s, const struct token *key, const char *fmt, ...) VMF_PRINTF(3, 4);

static void complain(struct scan *s, const struct token *key, const char *fmt, ...)
{
	autofree char *name = quoted(s, key);
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	lex_complain(&s->lexer, key->line, "%s %s", name, text);
}

/* ---- what is known ------------------------------------------------------------------------ */

static size_t find_option(const struct scan *s, const struct conf_schema *schema, const struct token *key)
{
	return schema_option(schema, s->lexer.text + key->at, key->end - key->at);
}

static size_t find_section(const struct scan *s, const struct conf_schema *schema, const struct token *key)
{
	return schema_section(schema, s->lexer.text + key->at, key->end - key->at);
}

static void complain_unknown(
	struct scan *s, const struct level *level, const struct token *key, const char *what)
{
	autofree char *word = str_ndup(s->lexer.text + key->at, key->end - key->at);
	autofree char *hint = NULL;
	const char *in = level->schema->keyword;

	if (level->mode != BY_SCHEMA)
		return;
	hint = schema_advice(level->schema, word);
	complain(s, key, "is no %s%s%s, %s", what, in ? " of " : "", in ? in : "", hint);
}

/* ---- values ------------------------------------------------------------------------------- */

static struct stmt *add_stmt(
	struct scan *s, struct level *level, enum stmt_kind kind, const struct token *key)
{
	struct stmt *stmt = arena_alloc(s->arena, sizeof(*stmt));

	stmt->kind = kind;
	stmt->file = s->lexer.file;
	stmt->line = key->line;
	stmt->at = key->at;
	stmt->end = s->last_end;
	*level->tail = stmt;
	level->tail = &stmt->next;
	return stmt;
}

/* {"a", "b"}: the number of items, or -1. The next token is the one behind the opening brace. */
static int list(struct scan *s, int line)
{
	int n = 0;

	while (s->token.kind != TOKEN_CLOSE) {
		if (!is_value(s->token.kind)) {
			if (s->token.kind == TOKEN_END || s->token.kind == TOKEN_SET ||
				s->token.kind == TOKEN_OPEN)
				lex_complain(&s->lexer, line, "the list that begins here has no end, add }");
			else if (s->token.kind != TOKEN_BAD)
				lex_complain(&s->lexer, s->token.line,
					"a string is missing here, lists are written {\"a\", \"b\"}");
			goto recover;
		}
		if (++n + s->n_values > VALUES_MAX) {
			too_much(s, "values", VALUES_MAX);
			return -1;
		}
		advance(s);
		if (s->token.kind == TOKEN_COMMA) {
			advance(s);
		} else if (s->token.kind != TOKEN_CLOSE) {
			if (s->token.kind == TOKEN_END || s->token.kind == TOKEN_SET)
				lex_complain(&s->lexer, line, "the list that begins here has no end, add }");
			else if (s->token.kind != TOKEN_BAD)
				lex_complain(&s->lexer, s->token.line,
					"a comma is missing, lists are written {\"a\", \"b\"}");
			goto recover;
		}
	}
	advance(s);
	return n;
recover:
	while (s->token.kind != TOKEN_CLOSE && s->token.kind != TOKEN_END && s->token.kind != TOKEN_SET &&
		s->token.kind != TOKEN_OPEN)
		advance(s);
	if (s->token.kind == TOKEN_CLOSE)
		advance(s);
	else
		s->lexer.bad_line =
			s->token.line; /* where the list took the next option's name for an item */
	return -1;
}

/* KEY = ...; the next token is the = or +=. */
static void assignment(struct scan *s, struct level *level, const struct token *key)
{
	bool append = s->token.kind == TOKEN_ADD, is_list, ok = true;
	size_t index = level->mode == BY_SCHEMA ? find_option(s, level->schema, key) : SIZE_MAX;
	const struct vmf_option *option = index == SIZE_MAX ? NULL : &level->schema->options[index];
	struct token value, operator= s->token;
	struct stmt *stmt;
	int n = 1;

	advance(s);
	value = s->token;
	is_list = value.kind == TOKEN_OPEN;
	if (is_list || (is_value(value.kind) && value.line == operator.line)) {
		advance(s);
		if (is_list)
			n = list(s, value.line);
	} else {
		if (value.kind != TOKEN_BAD)
			complain(s, key, "has no value, write one behind the =");
		else
			advance(s);
		n = -1;
	}
	ok = n >= 0;
	if (level->mode == BY_SCHEMA && !option) {
		if (find_section(s, level->schema, key) != SIZE_MAX)
			complain(s, key, "is a section, write it with { and }");
		else
			complain_unknown(s, level, key, "option");
		ok = false;
	} else if (option && option->type != VMF_OPT_LIST && (is_list || append)) {
		complain(s, key, "takes one value, write %s = VALUE", option->name);
		ok = false;
	} else if (option && !append && level->lines[index]) {
		complain(s, key, "is set here and in line %d, remove one of them", level->lines[index]);
		ok = false;
	}
	if (option && !level->lines[index])
		level->lines[index] = key->line;
	s->n_values += n > 0 ? (size_t)n : 1;
	if (option && n > 0) { /* what is appended to is copied, and counts again */
		s->n_values += level->items[index];
		level->items[index] += (unsigned)n;
	}
	if (s->n_values > VALUES_MAX)
		too_much(s, "values", VALUES_MAX);
	if (!ok || level->mode == UNKNOWN) {
		lex_blank(&s->lexer, key->at, s->last_end);
		return;
	}
	stmt = add_stmt(s, level, STMT_VALUE, key);
	stmt->word = option ? option->name : token_dup(s, key);
	stmt->option = option;
	stmt->index = index;
	stmt->append = append;
	stmt->n_items = (size_t)n;
	stmt->value_kind = value.kind;
	stmt->value_at = value.at;
	stmt->value_end = s->last_end;
	if (option && !level->used->options[index])
		level->used->options[index] = (unsigned short)++level->used->n_options;
}

/* ---- sections ----------------------------------------------------------------------------- */

static void init_used(struct scan *s, struct used *used, const struct conf_schema *schema)
{
	used->schema = schema;
	used->options =
		arena_alloc(s->arena, (schema->n_options + schema->n_sections + 1) * sizeof(unsigned short));
	used->sections = used->options + schema->n_options;
	used->subs =
		schema->n_sections ? arena_alloc(s->arena, schema->n_sections * sizeof(*used->subs)) : NULL;
}

static void init_level(
	struct scan *s, struct level *level, const struct conf_schema *schema, struct used *used)
{
	level->mode = BY_SCHEMA;
	level->schema = schema;
	level->used = used;
	if (!used->schema)
		init_used(s, used, schema);
	level->lines = arena_alloc(s->arena, (schema->n_options + 1) * (sizeof(int) + sizeof(unsigned)));
	level->items = (unsigned *)(level->lines + schema->n_options + 1);
}

/* A title that is fit to be compared and shown, without quotes; NULL if it is not. */
static const char *title_of(struct scan *s, const struct token *token, size_t max)
{
	size_t quote = token->kind == TOKEN_STRING;
	size_t length = token->end - token->at - 2 * quote;
	const char *from = s->lexer.text + token->at + quote;
	char *title;

	if (token->kind == TOKEN_VARIABLE || length == 0 || length > max)
		return NULL;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)from[i] < ' ' || strchr("\\\"\x7f", from[i]) ||
			(from[i] == '$' && from[i + 1] == '{'))
			return NULL;
	title = arena_alloc(s->arena, length + 1);
	memcpy(title, from, length);
	return title;
}

static const struct stmt *find_stmt(
	const struct level *level, const struct conf_schema *schema, const char *word, const char *title)
{
	for (const struct stmt *stmt = level->first; stmt; stmt = stmt->next)
		if ((schema ? stmt->schema == schema
			    : stmt->kind == STMT_PLUGIN && str_equal(stmt->word, word)) &&
			str_equal(stmt->title, title))
			return stmt;
	return NULL;
}

/* What is between the braces; the next token is the one behind the opening brace. Returns where the text
 * ends. */
static size_t body(struct scan *s, struct level *in, int depth, int line)
{
	in->depth = depth + 1;
	in->line = line;
	in->tail = &in->first;
	if (in->depth > DEPTH_MAX)
		too_much(s, "sections in sections", DEPTH_MAX);
	statements(s, in);
	return s->last_end ? s->last_end - 1 : 0;
}

static void plugin_section(
	struct scan *s, struct level *level, const struct token *key, const struct token *open)
{
	struct level in = {.mode = OF_PLUGIN};
	const struct stmt *twin;
	const char *word = token_dup(s, key);
	bool warns = s->lexer.warns;
	size_t end;
	struct stmt *stmt;
	char *text;

	twin = find_stmt(level, NULL, word, NULL);
	if (twin)
		lex_complain(&s->lexer, key->line, "%s stands here and in line %d, put all into one", word,
			twin->line);
	s->lexer.warns = false; /* when it is used */
	end = body(s, &in, level->depth, open->line);
	s->lexer.warns = warns;
	lex_blank(&s->lexer, key->at, s->last_end);
	stmt = add_stmt(s, level, STMT_PLUGIN, key);
	stmt->word = word;
	stmt->first = in.first;
	stmt->value_at = open->end;
	stmt->value_end = end > open->end ? end : open->end;
	text = arena_alloc(s->arena, stmt->value_end - stmt->value_at + 1);
	memcpy(text, s->lexer.text + stmt->value_at, stmt->value_end - stmt->value_at);
	stmt->text = text;
	stmt->text_line = open->line;
}

static void known_section(struct scan *s, struct level *level, const struct token *key,
	const struct token *open, size_t index, const char *title)
{
	const struct conf_schema *schema = &level->schema->sections[index];
	const struct stmt *twin = find_stmt(level, schema, NULL, title);
	struct level in = {0};
	struct stmt *stmt;

	if (twin)
		lex_complain(&s->lexer, key->line, "%s%s%s%s stands here and in line %d, put all into one",
			schema->keyword, title ? " \"" : "", title ? title : "", title ? "\"" : "",
			twin->line);
	init_level(s, &in, schema, &level->used->subs[index]);
	body(s, &in, level->depth, open->line);
	if (twin) {
		lex_blank(&s->lexer, key->at, s->last_end);
		return;
	}
	/* `storage = ...` and `storage "fast" { ... }` go together: libconfuse knows the sections in capitals
	 */
	for (size_t i = key->at; i < key->end; i++)
		s->lexer.clean[i] = (char)toupper((unsigned char)s->lexer.clean[i]);
	stmt = add_stmt(s, level, STMT_SECTION, key);
	stmt->word = schema->keyword;
	stmt->title = title;
	stmt->schema = schema;
	stmt->index = index;
	stmt->first = in.first;
	stmt->value_at = open->end;
	stmt->value_end = s->last_end ? s->last_end - 1 : 0;
	if (!level->used->sections[index])
		level->used->sections[index] = (unsigned short)++level->used->n_sections;
}

/* Something that is not to be understood, up to its closing brace. */
static void unknown_section(
	struct scan *s, struct level *level, const struct token *key, const struct token *open)
{
	struct level in = {.mode = UNKNOWN};

	body(s, &in, level->depth, open->line);
	lex_blank(&s->lexer, key->at, s->last_end);
}

/* What is wrong with the head of a section, told; NULL title for those that have none. */
static bool head_is_right(struct scan *s, struct level *level, const struct token *key,
	const struct token *title, const struct conf_schema *schema)
{
	bool titled = schema && (schema->flags & VMF_CONF_TITLED);

	if (level->mode == OF_PLUGIN)
		complain(s, key, "cannot stand here: a plugin's section holds options only");
	else if (!schema && find_option(s, level->schema, key) != SIZE_MAX)
		complain(s, key, "is an option, write NAME = VALUE");
	else if (!schema && !(level->schema->flags & VMF_CONF_PLUGIN))
		complain_unknown(s, level, key, "section");
	else if (title && !titled)
		complain(s, key, "has no name of its own, write { behind it");
	else if (titled && !title)
		complain(s, key, "has no name, write %s \"NAME\" { ... }", schema->keyword);
	else if (titled && !title_of(s, title, TITLE_MAX))
		complain(s, title,
			"is no name for a %s: no backslash, quote or variable, at most 200 characters",
			schema->keyword);
	else
		return true;
	return false;
}

/* KEYWORD [TITLE] {; the next token is the one behind the keyword. */
static void section(struct scan *s, struct level *level, const struct token *key)
{
	size_t index = level->mode == BY_SCHEMA ? find_section(s, level->schema, key) : SIZE_MAX;
	const struct conf_schema *schema = index == SIZE_MAX ? NULL : &level->schema->sections[index];
	struct token title = s->token, open;
	bool has_title = is_value(title.kind);

	if (has_title && (schema || title.line == key->line))
		advance(s);
	open = s->token;
	if (open.kind != TOKEN_OPEN) {
		if (schema)
			complain(s, key, "is a section, write it with { and }");
		else
			complain(s, key,
				"stands alone, write NAME = VALUE, and quotes around a value with blanks");
		lex_blank(&s->lexer, key->at, s->last_end);
		return;
	}
	advance(s);
	if (++s->n_sections > SECTIONS_MAX)
		too_much(s, "sections", SECTIONS_MAX);
	if (level->mode == UNKNOWN || !head_is_right(s, level, key, has_title ? &title : NULL, schema))
		unknown_section(s, level, key, &open);
	else if (schema)
		known_section(s, level, key, &open, index, has_title ? title_of(s, &title, TITLE_MAX) : NULL);
	else
		plugin_section(s, level, key, &open);
}

/* include("path"); the next token is the opening parenthesis. */
static void include(struct scan *s, struct level *level, const struct token *key)
{
	const char *path = NULL;
	struct stmt *stmt;
	bool ok;

	advance(s);
	ok = s->token.kind == TOKEN_STRING;
	if (ok)
		path = title_of(s, &s->token, 4000);
	if (is_value(s->token.kind))
		advance(s);
	ok = ok && s->token.kind == TOKEN_UNPAREN;
	if (s->token.kind == TOKEN_UNPAREN)
		advance(s);
	lex_blank(&s->lexer, key->at, s->last_end);
	if (!token_is(s, key, "include"))
		lex_complain(
			&s->lexer, key->line, "a ( cannot stand here, put a value that has it in quotes");
	else if (!ok || !path)
		lex_complain(&s->lexer, key->line,
			"write it as include(\"path\"), without backslashes and variables");
	else if (level->depth)
		lex_complain(&s->lexer, key->line, "include() cannot stand in a section, move it out");
	else if (!s->may_include)
		lex_complain(&s->lexer, key->line,
			"only files can include others, write out what is in \"%s\"", path);
	else {
		stmt = add_stmt(s, level, STMT_INCLUDE, key);
		stmt->word = "include";
		stmt->title = path;
	}
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void statement(struct scan *s, struct level *level)
{
	struct token key = s->token;

	advance(s);
	if (key.kind == TOKEN_WORD && (s->token.kind == TOKEN_SET || s->token.kind == TOKEN_ADD)) {
		assignment(s, level, &key);
	} else if (key.kind == TOKEN_WORD && s->token.kind == TOKEN_PAREN) {
		include(s, level, &key);
	} else if (key.kind == TOKEN_WORD && (s->token.kind == TOKEN_OPEN || is_value(s->token.kind))) {
		section(s, level, &key);
	} else {
		if (key.kind == TOKEN_STRING)
			complain(s, &key, "cannot stand here: write NAME = VALUE, the name without quotes");
		else if (key.kind != TOKEN_BAD && s->token.kind != TOKEN_BAD)
			complain(s, &key, "cannot stand here alone: write NAME = VALUE");
		lex_blank(&s->lexer, key.at, key.end);
	}
}

static void statements(struct scan *s, struct level *level)
{
	for (;;) {
		if (s->token.kind == TOKEN_END) {
			if (level->depth && !s->gave_up)
				lex_complain(&s->lexer, level->line,
					"the section that begins here has no end, add }");
			s->last_end = s->lexer.length;
			return;
		}
		if (s->token.kind == TOKEN_CLOSE) {
			struct token brace = s->token;

			advance(s);
			if (level->depth)
				return;
			lex_complain(&s->lexer, brace.line,
				"there is no section that this } could end, remove it");
			lex_blank(&s->lexer, brace.at, brace.end);
			continue;
		}
		statement(s, level);
	}
}

void scan_text(struct scan *s, const struct conf_schema *schema, const char *text, size_t length)
{
	struct level root = {0};

	s->lexer.text = text;
	s->lexer.length = length;
	s->lexer.bad_line = -1;
	s->lexer.pos = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* an editor's mark of UTF-8 */
	s->lexer.clean = arena_alloc(s->arena, length + 1);
	memcpy(s->lexer.clean, text, length);
	lex_blank(&s->lexer, 0, s->lexer.pos);
	init_level(s, &root, schema, &s->used);
	root.tail = &root.first;
	lex_next(&s->lexer, &s->token);
	statements(s, &root);
	s->first = root.first;
}
