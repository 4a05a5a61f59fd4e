/* SPDX-License-Identifier: ISC */
/*
 * Changing a person's file: the scanner knows where each statement stands, and only those bytes are replaced.
 * The new text is scanned once more, so that no change can spoil a file.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"

struct edit {
	struct arena *arena;
	const struct conf_schema *schema;
	const char *name;
	char *text; /* in the arena, as all that replace it */
	struct scan scan;
	struct target target;
	bool append;
	const char *value; /* as it goes into quotes; NULL: remove */
	const char *list;  /* "a", "b": the items, if it is a list */
};

char *conf_quote(const char *text)
{
	struct strbuf out = STRBUF_INIT;

	strbuf_putc(&out, '"');
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p == '"' || *p == '\\' || (*p == '$' && p[1] == '{'))
			strbuf_printf(&out, "\\%c", *p);
		else if (*p == '\n')
			strbuf_puts(&out, "\\n");
		else if (*p == '\t')
			strbuf_puts(&out, "\\t");
		else if (*p < ' ' || *p == 0x7f)
			strbuf_printf(&out, "\\x%02x", *p);
		else
			strbuf_putc(&out, (char)*p);
	strbuf_putc(&out, '"');
	return strbuf_take(&out);
}

/* ---- places ------------------------------------------------------------------------------- */

static void splice(struct edit *e, size_t from, size_t to, const char *text)
{
	e->text = arena_printf(e->arena, "%.*s%s%s", (int)from, e->text, text, e->text + to);
}

static int scan(struct edit *e, struct vmf_error *err)
{
	struct problems problems = {0};

	memset(&e->scan, 0, sizeof(e->scan));
	e->scan.arena = e->arena;
	e->scan.may_include = true;
	e->scan.lexer.file = e->name;
	e->scan.lexer.line = 1;
	e->scan.lexer.problems = &problems;
	scan_text(&e->scan, e->schema, e->text, strlen(e->text));
	return problems_report(&problems, err);
}

static size_t line_start(const struct edit *e, size_t at)
{
	while (at && e->text[at - 1] != '\n')
		at--;
	return at;
}

static bool is_blank(const struct edit *e, size_t from, size_t to)
{
	for (; from < to; from++)
		if (e->text[from] != ' ' && e->text[from] != '\t')
			return false;
	return true;
}

/* Where the line behind AT ends, with its newline, if nothing but a comment stands there; else SIZE_MAX. */
static size_t line_rest(const struct edit *e, size_t at)
{
	const char *p = e->text + at;

	for (;;) {
		p += strspn(p, " \t");
		if (*p == '#' || (p[0] == '/' && p[1] == '/'))
			p = strchrnul(p, '\n');
		if (*p == '\n' || !*p)
			return (size_t)(p - e->text) + (*p == '\n');
		if (p[0] != '/' || p[1] != '*')
			return SIZE_MAX;
		for (p += 2; p[0] != '*' || p[1] != '/'; p++)
			if (*p == '\n' || !*p)
				return SIZE_MAX;
		p += 2;
	}
}

static void remove_stmt(struct edit *e, const struct stmt *stmt)
{
	size_t from = line_start(e, stmt->at), to = line_rest(e, stmt->end);

	if (to != SIZE_MAX && is_blank(e, from, stmt->at)) {
		splice(e, from, to, "");
		return;
	}
	for (from = stmt->at; from && (e->text[from - 1] == ' ' || e->text[from - 1] == '\t');)
		from--;
	splice(e, from, stmt->end, "");
}

/* With the empty line that stands before it where another one, or nothing, stands behind it: as add_to_root()
 * puts it. */
static void remove_section(struct edit *e, const struct stmt *section)
{
	size_t at = line_start(e, section->at);
	bool is_apart = at >= 2 && e->text[at - 1] == '\n' && e->text[at - 2] == '\n';

	remove_stmt(e, section);
	if (is_apart && (e->text[at] == '\n' || !e->text[at]))
		splice(e, at - 1, at, "");
}

/* ---- new statements ----------------------------------------------------------------------- */

static char *literal(struct edit *e)
{
	autofree char *quoted = NULL;

	if (e->list)
		return arena_printf(e->arena, "{%s}", e->list);
	quoted = conf_quote(e->value);
	return arena_dup(e->arena, quoted);
}

/* The heads of the sections around the option that are still to be made, outermost first. */
static size_t heads(struct edit *e, size_t have, bool have_plugin, const char **out)
{
	size_t n = 0;

	for (size_t i = have; i < e->target.depth; i++) {
		const char *title = e->target.in[i].title;

		out[n++] = title ? arena_printf(e->arena, "%s \"%s\"", e->target.in[i].schema->keyword, title)
				 : e->target.in[i].schema->keyword;
	}
	if (e->target.plugin && !have_plugin)
		out[n++] = e->target.plugin;
	return n;
}

/* The statement with the sections around it. INDENT NULL: on one line. */
static char *compose(struct edit *e, const char *const *head, size_t n, const char *indent)
{
	const char *line = indent ? "\n" : " ";
	struct strbuf out = STRBUF_INIT;
	char *text;

	for (size_t i = 0; i <= n; i++) {
		strbuf_puts(&out, indent ? indent : "");
		for (size_t j = 0; indent && j < i; j++)
			strbuf_putc(&out, '\t');
		if (i < n)
			strbuf_printf(&out, "%s {%s", head[i], line);
		else
			strbuf_printf(
				&out, "%s %s %s%s", e->target.name, e->append ? "+=" : "=", literal(e), line);
	}
	for (size_t i = n; i-- > 0;) {
		strbuf_puts(&out, indent ? indent : "");
		for (size_t j = 0; indent && j < i; j++)
			strbuf_putc(&out, '\t');
		strbuf_printf(&out, "}%s", line);
	}
	text = arena_dup(e->arena, out.data);
	strbuf_free(&out);
	return text;
}

/* At the end of a section: before the closing brace. */
static void add_to_section(struct edit *e, const struct stmt *section, const char *const *head, size_t n)
{
	size_t brace = section->value_end, from = line_start(e, brace);

	if (from > section->value_at && is_blank(e, from, brace)) {
		const char *indent = arena_printf(e->arena, "%.*s\t", (int)(brace - from), e->text + from);

		splice(e, from, from, compose(e, head, n, indent));
	} else {
		const char *blank = isspace((unsigned char)e->text[brace - 1]) ? "" : " ";

		splice(e, brace, brace, arena_printf(e->arena, "%s%s", blank, compose(e, head, n, NULL)));
	}
}

/* Options go behind the last one, sections to the end. */
static void add_to_root(struct edit *e, const char *const *head, size_t n)
{
	const struct stmt *last = NULL;
	const char *text = compose(e, head, n, "");
	size_t at = strlen(e->text);

	for (const struct stmt *stmt = e->scan.first; n == 0 && stmt; stmt = stmt->next)
		if (stmt->kind == STMT_VALUE)
			last = stmt;
	if (last) {
		at = line_rest(e, last->end);
		if (at == SIZE_MAX) {
			splice(e, last->end, last->end, arena_printf(e->arena, "\n%s", text));
			return;
		}
	}
	if (at && e->text[at - 1] != '\n')
		text = arena_printf(e->arena, "\n%s%s", n ? "\n" : "", text);
	else if (n && at)
		text = arena_printf(e->arena, "%s%s", at > 1 && e->text[at - 2] == '\n' ? "" : "\n", text);
	splice(e, at, at, text);
}

/* ---- old statements ----------------------------------------------------------------------- */

/* ${name:-DEFAULT}, maybe in quotes: where DEFAULT stands. */
static bool find_default(const struct edit *e, const struct stmt *stmt, size_t *from, size_t *to)
{
	bool is_quoted = stmt->value_kind == TOKEN_STRING && e->text[stmt->value_at] == '"';
	const char *start = e->text + stmt->value_at + is_quoted,
		   *end = e->text + stmt->value_end - is_quoted;
	const char *mark, *brace;

	if ((!is_quoted && stmt->value_kind != TOKEN_VARIABLE) || strncmp(start, "${", 2) != 0)
		return false;
	brace = memchr(start, '}', (size_t)(end - start));
	mark = strstr(start, ":-");
	if (brace != end - 1 || !mark || mark > brace || strpbrk(e->value, "}\"'\n"))
		return false;
	*from = (size_t)(mark - e->text) + 2;
	*to = (size_t)(brace - e->text);
	return true;
}

static void replace_value(struct edit *e, const struct stmt *stmt)
{
	const char *text = literal(e);
	size_t from = stmt->value_at, to = stmt->value_end, operator_at = stmt->at + strlen(stmt->word);

	if (!e->list && find_default(e, stmt, &from, &to))
		text = e->value;
	else if (!e->list && stmt->value_kind == TOKEN_WORD && lex_is_bare(e->value))
		text = e->value;
	splice(e, from, to, text);
	if (stmt->append)
		splice(e, operator_at, stmt->value_at, " = ");
}

/* New items behind the last one of a list. */
static void append_items(struct edit *e, const struct stmt *stmt)
{
	struct lexer lexer = e->scan.lexer;
	struct token token = {.kind = TOKEN_OPEN, .end = stmt->value_at + 1}, next;
	const char *items = e->list;

	if (stmt->value_kind != TOKEN_OPEN) {
		splice(e, stmt->value_at, stmt->value_end,
			arena_printf(e->arena, "{%.*s, %s}", (int)(stmt->value_end - stmt->value_at),
				e->text + stmt->value_at, items));
		return;
	}
	lexer.pos = token.end;
	for (lex_next(&lexer, &next); next.kind != TOKEN_CLOSE && next.kind != TOKEN_END;
		lex_next(&lexer, &next))
		token = next;
	if (stmt->n_items)
		items = arena_printf(e->arena, "%s %s", token.kind == TOKEN_COMMA ? "" : ",", items);
	splice(e, token.end, token.end, items);
}

/* The statements of LIST that set NAME; from the last to the first, so that positions hold while they are
 * changed. */
static void change(struct edit *e, const struct stmt *list, const struct stmt *section,
	const char *const *head, size_t n)
{
	const struct stmt *first = NULL, *last = NULL;

	for (const struct stmt *stmt = list; stmt && !n; stmt = stmt->next)
		if (stmt->kind == STMT_VALUE && str_equal(stmt->word, e->target.name)) {
			first = first ? first : stmt;
			last = stmt;
		}
	if (!first && e->value) {
		if (section)
			add_to_section(e, section, head, n);
		else
			add_to_root(e, head, n);
		return;
	}
	if (!first)
		return;
	if (e->value && e->append) {
		append_items(e, last);
		return;
	}
	while (first != last) {
		const struct stmt *before = first;

		for (const struct stmt *stmt = first; stmt != last; stmt = stmt->next)
			if (stmt->kind == STMT_VALUE && str_equal(stmt->word, e->target.name))
				before = stmt;
		remove_stmt(e, last);
		last = before;
	}
	if (e->value)
		replace_value(e, first);
	else
		remove_stmt(e, first);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static const struct stmt *find_section(
	const struct stmt *list, const struct conf_schema *schema, const char *title)
{
	for (; list; list = list->next)
		if (list->kind == STMT_SECTION && list->schema == schema && str_equal(list->title, title))
			return list;
	return NULL;
}

static const struct stmt *find_plugin(const struct stmt *list, const char *word)
{
	for (; list; list = list->next)
		if (list->kind == STMT_PLUGIN && str_equal(list->word, word))
			return list;
	return NULL;
}

static void apply(struct edit *e)
{
	const struct target *t = &e->target;
	const struct stmt *list = e->scan.first, *section = NULL, *next;
	const char *head[DEPTH_MAX + 1];
	size_t have = 0, n;
	bool have_plugin = false;

	for (; have < t->depth; have++) {
		next = find_section(list, t->in[have].schema, t->in[have].title);
		if (!next)
			break;
		section = next;
		list = next->first;
	}
	next = have == t->depth && t->plugin ? find_plugin(list, t->plugin) : NULL;
	if (next) {
		have_plugin = true;
		section = next;
		list = next->first;
	}
	n = heads(e, have, have_plugin, head);
	if (t->name)
		change(e, list, section, head, n);
	else if (n == 0)
		remove_section(e, section);
}

/* The items of a list as they stand between the braces. */
static char *join_items(struct arena *arena, const struct conf_value *value)
{
	struct strbuf out = STRBUF_INIT;
	char *text;

	for (size_t i = 0; i < value->n_items; i++) {
		autofree char *quoted = conf_quote(value->items[i]);

		strbuf_printf(&out, "%s%s", i ? ", " : "", quoted);
	}
	text = arena_dup(arena, out.data ? out.data : "");
	strbuf_free(&out);
	return text;
}

/* Checks the value; paths become absolute, since the person's current folder is not the file's. */
static int prepare(struct edit *e, const char *value, struct vmf_error *err)
{
	autofree char *folder = parse_folder_of("");
	struct parse parse = {.arena = e->arena, .schema = e->schema, .folder = folder};
	const struct stmt *stmt = target_stmt(&parse, &e->target, e->append, value, "");

	if (problems_report(&parse.problems, err) < 0)
		return -1;
	while (stmt->kind == STMT_SECTION)
		stmt = stmt->first;
	e->value = value;
	if (stmt->kind == STMT_PLUGIN && *value == '{' && str_ends(value, "}"))
		e->list = arena_printf(e->arena, "%.*s", (int)strlen(value) - 2, value + 1);
	else if (stmt->kind == STMT_PLUGIN && e->append)
		e->list = arena_dup(e->arena, literal(e));
	else if (stmt->kind == STMT_VALUE && stmt->option->type == VMF_OPT_LIST)
		e->list = join_items(e->arena, stmt->value);
	else if (stmt->kind == STMT_VALUE)
		e->value = stmt->value->items[0];
	return 0;
}

static char *with_returns(const char *text)
{
	struct strbuf out = STRBUF_INIT;

	for (; *text; text++) {
		if (*text == '\n')
			strbuf_putc(&out, '\r');
		strbuf_putc(&out, *text);
	}
	return strbuf_take(&out);
}

static char *edit(struct edit *e, const char *key, const char *value, struct vmf_error *err)
{
	bool has_returns = strstr(e->text, "\r\n") != NULL;
	struct vmf_error broken = VMF_ERROR_INIT;

	if (e->text[str_utf8_span(e->text)] || strlen(e->text) > FILE_MAX_BYTES) {
		vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s: not a text file in UTF-8, or too large", e->name);
		return NULL;
	}
	parse_drop_returns(e->text, strlen(e->text));
	e->append = str_ends(key, "+");
	key = arena_printf(e->arena, "%.*s", (int)strlen(key) - e->append, key);
	if (target_find(e->arena, e->schema, key, !value, &e->target, err) < 0 || scan(e, err) < 0)
		return NULL;
	if (value && !e->target.name) {
		vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s is a section, name an option in it", key);
		return NULL;
	}
	if (value && prepare(e, value, err) < 0)
		return NULL;
	apply(e);
	if (scan(e, &broken) < 0) {
		vmf_fail(err, VMF_E_FAILED, 0, "change it with an editor", "%s: %s cannot be changed: %s",
			e->name, key, broken.message);
		error_clear(&broken);
		return NULL;
	}
	return has_returns ? with_returns(e->text) : str_dup(e->text);
}

char *conf_edit_text(const struct conf_schema *schema, const char *name, const char *text, const char *key,
	const char *value, struct vmf_error *err)
{
	struct arena arena = {0};
	struct edit e = {.arena = &arena, .schema = schema, .name = name, .text = arena_dup(&arena, text)};
	char *result = edit(&e, key, value, err);

	arena_free(&arena);
	return result;
}
