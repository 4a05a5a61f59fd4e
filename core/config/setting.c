/* SPDX-License-Identifier: ISC */
/* Single settings: "disk.root.size" and a value, as if they stood in a file. */
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"

#define WORDS_MAX (2 * DEPTH_MAX)

/* The words between the dots; those in quotes may hold dots. The number of words, or -1. */
static int split(char *key, const char **words)
{
	int n = 0;

	for (const char *p = key; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return -1;
	for (char *p = key;; p++) {
		char *end;

		if (n == WORDS_MAX)
			return -1;
		if (*p == '"') {
			end = strchr(++p, '"');
			if (!end || end == p)
				return -1;
			*end++ = '\0';
		} else {
			end = p + strcspn(p, ".\"");
		}
		if (end == p || (*end && *end != '.'))
			return -1;
		words[n++] = p;
		if (!*end)
			return n;
		*end = '\0';
		p = end;
	}
}

static int unknown(const struct conf_schema *schema, const char *key, const char *word, struct vmf_error *err)
{
	autofree char *quoted = str_quote(word);
	autofree char *hint = schema_advice(schema, word);

	return vmf_fail(err, VMF_E_CONFIG, 0, hint, "%s: unknown word %s", key, quoted);
}

static bool is_title(const char *title)
{
	for (const char *p = title; *p; p++)
		if ((unsigned char)*p < ' ' || strchr("\\\"\x7f", *p) || (*p == '$' && p[1] == '{'))
			return false;
	return *title && strlen(title) <= TITLE_MAX && !title[str_utf8_span(title)];
}

/* The last word: an option. */
static int find_option(
	const struct conf_schema *schema, const char *key, struct target *t, struct vmf_error *err)
{
	t->index = schema_option(schema, t->name, strlen(t->name));
	if (t->index != SIZE_MAX) {
		t->option = &schema->options[t->index];
		return 0;
	}
	if (schema_section(schema, t->name, strlen(t->name)) != SIZE_MAX)
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s: sections have a name, write %s.NAME.OPTION",
			key, key);
	return unknown(schema, key, t->name, err);
}

static int no_key(const char *key, struct vmf_error *err)
{
	autofree char *quoted = str_quote(key);

	return vmf_fail(err, VMF_E_USAGE, 0, "as in: memory, disk.root.size, disk.\"a.b\".size",
		"%s is no key", quoted);
}

int target_find(struct arena *arena, const struct conf_schema *schema, const char *key, bool may_be_plugin,
	struct target *t, struct vmf_error *err)
{
	const char *words[WORDS_MAX];
	int n = split(arena_dup(arena, key), words), i = 0;
	size_t index;

	memset(t, 0, sizeof(*t));
	if (n < 0)
		return no_key(key, err);
	while (i < n && t->depth < DEPTH_MAX &&
		(index = schema_section(schema, words[i], strlen(words[i]))) != SIZE_MAX) {
		const struct conf_schema *section = &schema->sections[index];

		if ((section->flags & VMF_CONF_TITLED) && ++i == n) {
			i--; /* no title: an option may have the same name */
			break;
		}
		if ((section->flags & VMF_CONF_TITLED) && !is_title(words[i]))
			return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s: \"%s\" is no name for a %s", key,
				words[i], section->keyword);
		t->in[t->depth].schema = section;
		t->in[t->depth].index = index;
		t->in[t->depth++].title = section->flags & VMF_CONF_TITLED ? words[i] : NULL;
		schema = section;
		i++;
	}
	if (i == n)
		return 0;
	t->name = words[n - 1];
	if (n - i == 1 && may_be_plugin && t->depth &&
		schema_option(schema, t->name, strlen(t->name)) == SIZE_MAX) {
		t->plugin = t->name;
		t->name = NULL;
		return 0;
	}
	if (n - i == 1)
		return find_option(schema, key, t, err);
	if (n - i > 2 || !(schema->flags & VMF_CONF_PLUGIN))
		return unknown(schema, key, words[i], err);
	t->plugin = words[i];
	if (!lex_is_bare(t->plugin) || !lex_is_bare(t->name))
		return vmf_fail(
			err, VMF_E_CONFIG, 0, NULL, "%s: letters, digits, '_' and '-' make a name", key);
	return 0;
}

static bool is_list(const char *value)
{
	return value[0] == '{' && str_ends(value, "}");
}

static struct stmt *new_stmt(struct parse *parse, enum stmt_kind kind, const char *word, const char *origin)
{
	struct stmt *stmt = arena_alloc(parse->arena, sizeof(*stmt));

	stmt->kind = kind;
	stmt->word = word;
	stmt->file = origin;
	return stmt;
}

static struct stmt *plugin_stmt(
	struct parse *parse, const struct target *t, bool append, const char *value, const char *origin)
{
	struct stmt *stmt = new_stmt(parse, STMT_PLUGIN, t->plugin, origin);
	autofree char *quoted = is_list(value) ? str_dup(value) : conf_quote(value);

	stmt->text = arena_printf(parse->arena, "%s %s %s\n", t->name, append ? "+=" : "=", quoted);
	return stmt;
}

static struct stmt *value_stmt(
	struct parse *parse, const struct target *t, bool append, const char *value, const char *origin)
{
	struct stmt *stmt = new_stmt(parse, STMT_VALUE, t->name, origin);

	if (append && t->option->type != VMF_OPT_LIST)
		problem_add(
			&parse->problems, origin, 0, "%s takes one value, write = instead of +=", t->name);
	stmt->option = t->option;
	stmt->index = t->index;
	stmt->append = append;
	stmt->value = parse_written(parse, t->option, value, origin);
	return stmt;
}

struct stmt *target_stmt(
	struct parse *parse, const struct target *t, bool append, const char *value, const char *origin)
{
	struct stmt *stmt;

	if (value[str_utf8_span(value)]) {
		problem_add(&parse->problems, origin, 0, "%s: not valid UTF-8", t->name);
		return NULL;
	}
	stmt = t->plugin ? plugin_stmt(parse, t, append, value, origin)
			 : value_stmt(parse, t, append, value, origin);
	for (size_t i = t->depth; i-- > 0;) {
		struct stmt *around = new_stmt(parse, STMT_SECTION, t->in[i].schema->keyword, origin);

		around->schema = t->in[i].schema;
		around->index = t->in[i].index;
		around->title = t->in[i].title;
		around->first = stmt;
		stmt = around;
	}
	return parse->problems.count ? NULL : stmt;
}
