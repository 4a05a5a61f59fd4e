/* SPDX-License-Identifier: ISC */
/*
 * Trees of configuration: layers merged key by key. A copy shares everything with its base and owns only the
 * sections that a layer of its own has changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/parse.h"

const char conf_built_in[] = "built-in";

/* Values of a new section. */
struct defaults {
	struct defaults *next;
	const struct conf_schema *schema;
	struct conf_value **values;
};

/* A file, text or setting, as it was merged. */
struct layer {
	struct layer *next;
	struct stmt *stmts;
};

struct conf {
	const struct conf_schema *schema;
	struct arena arena;
	struct conf_section *root;
	struct defaults *defaults;	     /* shared by all copies */
	struct layer *layers, **layers_tail; /* since the copy */
};

/* ---- sections ----------------------------------------------------------------------------- */

static void *arena_copy(struct arena *arena, const void *data, size_t size)
{
	return memcpy(arena_alloc(arena, size), data, size);
}

/* Room for that many sections and the NULL behind them: powers of two, so that it need not be kept. */
static size_t room_for(size_t n)
{
	size_t room = 4;

	while (room < n + 1)
		room *= 2;
	return room;
}

static void copy_sections(struct conf *conf, struct conf_section *section, size_t room)
{
	struct conf_section **sections = arena_alloc(&conf->arena, room * sizeof(*sections));

	if (section->n_sections)
		memcpy(sections, section->sections, section->n_sections * sizeof(*sections));
	section->sections = sections;
}

static struct conf_section *new_section(struct conf *conf, const struct conf_schema *schema)
{
	struct conf_section *section = arena_alloc(&conf->arena, sizeof(*section));

	section->schema = schema;
	section->owner = conf;
	for (const struct defaults *d = conf->defaults; schema && d; d = d->next)
		if (d->schema == schema) {
			section->n_values = schema->n_options;
			section->values = arena_copy(
				&conf->arena, d->values, schema->n_options * sizeof(*section->values));
			break;
		}
	return section;
}

static struct conf_section *clone_section(struct conf *conf, const struct conf_section *other)
{
	struct conf_section *section = arena_copy(&conf->arena, other, sizeof(*other));
	struct conf_text **tail = &section->texts;

	section->owner = conf;
	if (section->n_values)
		section->values =
			arena_copy(&conf->arena, other->values, other->n_values * sizeof(*other->values));
	if (section->sections)
		copy_sections(conf, section, room_for(section->n_sections));
	for (const struct conf_text *text = other->texts; text; text = text->next) {
		*tail = arena_copy(&conf->arena, text, sizeof(*text));
		tail = &(*tail)->next;
	}
	return section;
}

static void add_section(struct conf *conf, struct conf_section *in, struct conf_section *section)
{
	if (!in->sections || room_for(in->n_sections + 1) > room_for(in->n_sections))
		copy_sections(conf, in, room_for(in->n_sections + 1));
	in->sections[in->n_sections++] = section;
}

/* The section that a statement speaks of, as one that CONF may change; made if it is not there. */
static struct conf_section *own_section(struct conf *conf, struct conf_section *in, const struct stmt *stmt)
{
	const struct conf_schema *schema = stmt->kind == STMT_SECTION ? stmt->schema : NULL;
	struct conf_section *section = NULL;
	size_t i;

	for (i = 0; i < in->n_sections; i++) {
		section = in->sections[i];
		if (section->schema == schema && (schema || str_equal(section->keyword, stmt->word)) &&
			str_equal(section->title, stmt->title))
			break;
	}
	if (i == in->n_sections) {
		section = new_section(conf, schema);
		section->keyword = stmt->word;
		section->title = stmt->title;
		section->file = stmt->file;
		section->line = stmt->line;
		add_section(conf, in, section);
	} else if (section->owner != conf) {
		section = in->sections[i] = clone_section(conf, section);
	}
	if (!schema) {
		memmove(&in->sections[i], &in->sections[i + 1], (in->n_sections - i - 1) * sizeof(section));
		in->sections[in->n_sections - 1] = section;
	}
	return section;
}

/* ---- merging ------------------------------------------------------------------------------ */

struct conf_value *value_over(
	struct arena *arena, struct conf_value *old, struct conf_value *value, bool append)
{
	struct conf_value *joined;

	if (!append || !old || !old->n_items)
		return value;
	joined = arena_copy(arena, value, sizeof(*value));
	joined->n_items = old->n_items + value->n_items;
	joined->items = arena_alloc(arena, (joined->n_items + 1) * sizeof(*joined->items));
	memcpy(joined->items, old->items, old->n_items * sizeof(*joined->items));
	if (value->n_items)
		memcpy(joined->items + old->n_items, value->items, value->n_items * sizeof(*joined->items));
	return joined;
}

static void add_body(struct conf *conf, struct conf_section *section, const struct stmt *stmt)
{
	struct conf_text *text = arena_alloc(&conf->arena, sizeof(*text)), **tail = &section->texts;

	text->text = stmt->text;
	text->file = stmt->file;
	text->line = stmt->text_line;
	while (*tail)
		tail = &(*tail)->next;
	*tail = text;
	section->file = stmt->file;
	section->line = stmt->line;
}

static void merge(struct conf *conf, struct conf_section *into, const struct stmt *stmts)
{
	for (const struct stmt *stmt = stmts; stmt; stmt = stmt->next)
		switch (stmt->kind) {
		case STMT_VALUE:
			into->values[stmt->index] = value_over(
				&conf->arena, into->values[stmt->index], stmt->value, stmt->append);
			break;
		case STMT_SECTION:
			merge(conf, own_section(conf, into, stmt), stmt->first);
			break;
		case STMT_PLUGIN:
			add_body(conf, own_section(conf, into, stmt), stmt);
			break;
		case STMT_INCLUDE:
			merge(conf, into, stmt->first);
			break;
		}
}

static int add_layer(struct conf *conf, struct parse *parse, struct stmt *stmts, struct vmf_error *err)
{
	struct layer *layer;

	if (problems_report(&parse->problems, err) < 0)
		return -1;
	layer = arena_alloc(&conf->arena, sizeof(*layer));
	layer->stmts = stmts;
	*conf->layers_tail = layer;
	conf->layers_tail = &layer->next;
	merge(conf, conf->root, stmts);
	return 0;
}

int conf_add_file(struct conf *conf, const char *path, struct vmf_error *err)
{
	return conf_add_file_stat(conf, path, NULL, err);
}

int conf_add_file_stat(struct conf *conf, const char *path, struct stat *st, struct vmf_error *err)
{
	struct parse parse = {.arena = &conf->arena, .schema = conf->schema, .st = st};
	struct vmf_error mine = VMF_ERROR_INIT;
	struct stmt *stmts = parse_path(&parse, path, &mine);

	if (mine.code) {
		error_move(err, &mine);
		return -1;
	}
	return add_layer(conf, &parse, stmts, err);
}

int conf_add_text(struct conf *conf, const char *name, const char *text, size_t length, struct vmf_error *err)
{
	const char *file = str_equal(name, conf_built_in) ? conf_built_in : arena_dup(&conf->arena, name);
	autofree char *folder = parse_folder_of(name);
	struct parse parse = {.arena = &conf->arena, .schema = conf->schema, .folder = folder};

	return add_layer(conf, &parse, parse_text(&parse, file, 1, text, length, *name == '/'), err);
}

int conf_add_setting(struct conf *conf, const char *setting, const char *origin, struct vmf_error *err)
{
	autofree char *folder = parse_folder_of("");
	struct parse parse = {.arena = &conf->arena, .schema = conf->schema, .folder = folder};
	const char *value = strchr(setting, '=');
	struct target target;
	bool append;
	char *key;

	if (!value || value == setting) {
		autofree char *quoted = str_quote(setting);

		return vmf_fail(
			err, VMF_E_USAGE, 0, "as in: -o memory=2G", "%s: %s is no KEY=VALUE", origin, quoted);
	}
	key = arena_dup(&conf->arena, setting);
	append = value[-1] == '+';
	key[value - setting - append] = '\0';
	if (target_find(&conf->arena, conf->schema, key, false, &target, err) < 0)
		return vmf_context(err, "%s", origin);
	if (!target.name)
		return vmf_fail(
			err, VMF_E_USAGE, 0, NULL, "%s: %s is a section, write %s.OPTION", origin, key, key);
	return add_layer(conf, &parse,
		target_stmt(&parse, &target, append, value + 1, arena_dup(&conf->arena, origin)), err);
}

/* ---- trees -------------------------------------------------------------------------------- */

static void add_defaults(struct conf *conf, struct parse *parse, const struct conf_schema *schema)
{
	struct defaults *d = arena_alloc(&conf->arena, sizeof(*d));

	d->schema = schema;
	d->values = arena_alloc(&conf->arena, (schema->n_options + 1) * sizeof(*d->values));
	for (size_t i = 0; i < schema->n_options; i++)
		if (schema->options[i].default_value)
			d->values[i] = parse_written(
				parse, &schema->options[i], schema->options[i].default_value, conf_built_in);
	d->next = conf->defaults;
	conf->defaults = d;
	for (size_t i = 0; i < schema->n_sections; i++)
		add_defaults(conf, parse, &schema->sections[i]);
}

struct conf *conf_new(const struct conf_schema *schema)
{
	struct conf *conf = mem_alloc(sizeof(*conf));
	struct parse parse = {.arena = &conf->arena, .schema = schema, .folder = "/"};
	struct vmf_error err = VMF_ERROR_INIT;

	conf->schema = schema;
	conf->layers_tail = &conf->layers;
	add_defaults(conf, &parse, schema);
	conf->root = new_section(conf, schema);
	conf->root->keyword = "";
	conf->root->file = conf_built_in;
	if (problems_report(&parse.problems, &err) < 0)
		log_warn("%s", err.message); /* a mistake in the schema itself */
	error_clear(&err);
	return conf;
}

struct conf *conf_copy(const struct conf *base)
{
	struct conf *conf = mem_alloc(sizeof(*conf));

	conf->schema = base->schema;
	conf->defaults = base->defaults;
	conf->layers_tail = &conf->layers;
	conf->root = clone_section(conf, base->root);
	return conf;
}

void conf_rebase(struct conf *conf, const struct conf *base)
{
	conf->defaults = base->defaults;
	conf->root = clone_section(conf, base->root);
	for (const struct layer *layer = conf->layers; layer; layer = layer->next)
		merge(conf, conf->root, layer->stmts);
}

/* ---- a layer as text ---------------------------------------------------------------------- */

static void put_stmts(struct strbuf *out, const struct stmt *stmts, const char *but)
{
	for (const struct stmt *s = stmts; s; s = s->next) {
		autofree char *title = s->title ? conf_quote(s->title) : NULL;

		if (s->kind == STMT_INCLUDE)
			put_stmts(out, s->first, but);
		if (s->kind == STMT_PLUGIN)
			strbuf_printf(out, "%s {%s\n}\n", s->word, s->text);
		if (s->kind == STMT_SECTION) {
			strbuf_printf(out, "%s %s {\n", s->word, title ? title : "");
			put_stmts(out, s->first, NULL);
			strbuf_puts(out, "}\n");
		}
		if (s->kind != STMT_VALUE || str_equal(s->word, but))
			continue;
		strbuf_printf(out, "%s %s {", s->word, s->append ? "+=" : "=");
		if (s->option->type != VMF_OPT_LIST) /* in place of the brace */
			out->data[--out->length] = '\0';
		for (size_t i = 0; i < s->value->n_items; i++) {
			autofree char *quoted = conf_quote(s->value->items[i]);

			strbuf_printf(out, "%s%s", i ? ", " : "", quoted);
		}
		strbuf_puts(out, s->option->type == VMF_OPT_LIST ? "}\n" : "\n");
	}
}

void conf_put_layers(const struct conf *conf, const char *but, struct strbuf *out)
{
	for (const struct layer *layer = conf->layers; layer; layer = layer->next)
		put_stmts(out, layer->stmts, but);
}

void conf_free(struct conf *conf)
{
	if (!conf)
		return;
	arena_free(&conf->arena);
	free(conf);
}

/* ---- looking ------------------------------------------------------------------------------ */

const struct conf_section *conf_root(const struct conf *conf)
{
	return conf->root;
}

const struct conf_section *conf_find(const struct conf_section *in, const char *keyword, const char *title)
{
	for (size_t i = 0; in && i < in->n_sections; i++)
		if (str_equal(in->sections[i]->keyword, keyword) &&
			(!title || str_equal(in->sections[i]->title, title)))
			return in->sections[i];
	return NULL;
}

const struct conf_value *conf_get(const struct conf_section *in, const char *name)
{
	for (size_t i = 0; in && i < in->n_values; i++) {
		const char *option = in->schema->options[i].name;

		if (*option == *name && str_equal(option, name))
			return in->values[i];
	}
	return NULL;
}

const char *conf_string(const struct conf_section *in, const char *name)
{
	const struct conf_value *value = conf_get(in, name);

	return value && value->n_items ? value->items[0] : NULL;
}

int64_t conf_number(const struct conf_section *in, const char *name)
{
	const struct conf_value *value = conf_get(in, name);

	return value ? value->number : 0;
}

bool conf_is_set(const struct conf_section *in, const char *name)
{
	const struct conf_value *value = conf_get(in, name);

	return value && value->file != conf_built_in;
}

const char *conf_where(const char *file, int line)
{
	static char ring[4][512];
	static unsigned next;
	char *text = ring[next++ % VMF_COUNT(ring)];

	if (!file || str_equal(file, conf_built_in) || line <= 0)
		return file ? file : conf_built_in;
	if (snprintf(text, sizeof(ring[0]), "%s:%d", file, line) >= (int)sizeof(ring[0])) /* keep the line */
		snprintf(text, sizeof(ring[0]), "...%s:%d", file + strlen(file) - (sizeof(ring[0]) - 20),
			line);
	return text;
}
