/* SPDX-License-Identifier: ISC */
/* Plugins' options: resolved from the sections that are theirs, and kept as JSON for tear-down. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/parse.h"

struct opts {
	struct vmf_opts public; /* first: what is handed out is this */
	struct arena arena;
	const struct vmf_option *table;
};

static struct opts *new_opts(const struct vmf_plugin *plugin, struct parse *parse)
{
	struct opts *opts = mem_alloc(sizeof(*opts));

	opts->table = plugin->options;
	opts->public.n_values = plugin->n_options;
	opts->public.values =
		arena_alloc(&opts->arena, (plugin->n_options + 1) * sizeof(*opts->public.values));
	opts->public.plugin = plugin->name;
	parse->arena = &opts->arena;
	for (size_t i = 0; i < plugin->n_options; i++)
		if (plugin->options[i].default_value)
			opts->public.values[i] = parse_written(
				parse, &plugin->options[i], plugin->options[i].default_value, conf_built_in);
	return opts;
}

/* The options, if nothing was wrong with them. */
static struct vmf_opts *finish(struct opts *opts, struct parse *parse, struct vmf_error *err)
{
	if (problems_report(&parse->problems, err) == 0)
		return &opts->public;
	conf_opts_free(&opts->public);
	return NULL;
}

static void add_section(struct opts *opts, struct parse *parse, const struct conf_section *section)
{
	for (const struct conf_text *text = section->texts; text; text = text->next) {
		autofree char *folder = parse_folder_of(text->file);
		const char *file =
			text->file == conf_built_in ? conf_built_in : arena_dup(&opts->arena, text->file);

		parse->folder = folder;
		for (struct stmt *stmt =
				parse_text(parse, file, text->line, text->text, strlen(text->text), false);
			stmt; stmt = stmt->next)
			if (stmt->kind == STMT_VALUE && stmt->value) {
				struct conf_value **value = &opts->public.values[stmt->index];

				*value = value_over(&opts->arena, *value, stmt->value, stmt->append);
			}
	}
}

struct vmf_opts *conf_opts_resolve(const struct vmf_plugin *plugin,
	const struct conf_section *const *sections, size_t n_sections, struct vmf_error *err)
{
	const struct conf_schema schema = {
		.keyword = plugin->name, .options = plugin->options, .n_options = plugin->n_options};
	struct parse parse = {.schema = &schema, .folder = "/"};
	struct opts *opts = new_opts(plugin, &parse);
	const struct conf_section *first = NULL;

	for (size_t i = 0; i < n_sections; i++)
		if (sections[i]) {
			first = first ? first : sections[i];
			add_section(opts, &parse, sections[i]);
		}
	for (size_t i = 0; i < plugin->n_options; i++)
		if ((plugin->options[i].flags & VMF_OPT_F_REQUIRED) && !opts->public.values[i] &&
			!parse.problems.count)
			problem_add(&parse.problems, first ? first->file : plugin->name,
				first ? first->line : 0, "%s needs %s, add %s = ... (%s)", plugin->name,
				plugin->options[i].name, plugin->options[i].name,
				plugin->options[i].help ? plugin->options[i].help : "");
	return finish(opts, &parse, err);
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* What was set stands as it is; defaults, which another version of the plugin may have changed, as
 * {"default": ...}. */
char *conf_opts_save(const struct vmf_opts *opts)
{
	json_t *object = json_object();
	char *text;

	for (size_t i = 0; i < opts->n_values; i++) {
		const struct conf_value *value = opts->values[i];
		json_t *json;

		if (!value)
			continue;
		json = value->option->type == VMF_OPT_LIST ? json_array() : json_string(value->items[0]);
		for (size_t j = 0; json_is_array(json) && j < value->n_items; j++)
			json_array_append_new(json, json_string(value->items[j]));
		if (value->file == conf_built_in)
			json = json_pack("{s:o}", "default", json);
		json_object_set_new(object, value->option->name, json);
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

/* An item as text: strings, whole numbers and truth. NULL if it is nothing of these; the caller frees. */
static char *item_text(const json_t *json)
{
	if (json_is_string(json))
		return str_dup(json_string_value(json));
	if (json_is_integer(json))
		return str_printf("%" JSON_INTEGER_FORMAT, json_integer_value(json));
	if (json_is_boolean(json))
		return str_dup(json_is_true(json) ? "yes" : "no");
	return NULL;
}

static void load_value(struct opts *opts, struct parse *parse, size_t index, const json_t *json)
{
	const struct vmf_option *option = &opts->table[index];
	const json_t *given = json_object_get(json, "default");
	struct strv items = STRV_INIT;
	const char *file = given ? conf_built_in : opts->public.plugin;
	char *text;

	json = given ? given : json;
	if (json_is_array(json) && option->type == VMF_OPT_LIST) {
		for (size_t i = 0; i < json_array_size(json); i++) {
			text = item_text(json_array_get(json, i));
			if (text)
				strv_take(&items, text);
			else
				problem_add(&parse->problems, file, 0, "%s: item %zu is no string",
					option->name, i);
		}
	} else {
		text = item_text(json);
		if (text)
			strv_take(&items, text);
		else
			problem_add(&parse->problems, file, 0, "%s: no string, number or truth value",
				option->name);
	}
	if (items.count || json_is_array(json))
		opts->public.values[index] =
			parse_value(parse, option, (const char *const *)items.items, items.count, file, 0);
	strv_free(&items);
}

struct vmf_opts *conf_opts_load(const struct vmf_plugin *plugin, const char *json, struct vmf_error *err)
{
	autofree char *folder = parse_folder_of("");
	struct parse parse = {.folder = folder};
	json_error_t why;
	json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, &why), *value;
	struct opts *opts;
	const char *key;

	if (!json_is_object(object)) {
		vmf_fail(err, VMF_E_FAILED, 0, NULL, "options of %s: no JSON object%s%s", plugin->name,
			object ? "" : ": ", object ? "" : why.text);
		json_decref(object);
		return NULL;
	}
	opts = new_opts(plugin, &parse);
	json_object_foreach(object, key, value)
	{
		size_t i = 0;

		while (i < plugin->n_options && !str_equal(plugin->options[i].name, key))
			i++;
		if (i < plugin->n_options)
			load_value(opts, &parse, i, value);
		else /* kept by another version: no reason not to tear down */
			log_debug("%s: the option %s is not known any more", plugin->name, key);
	}
	json_decref(object);
	return finish(opts, &parse, err);
}

/* ---- use ---------------------------------------------------------------------------------- */

const struct conf_value *conf_opts_get(const struct vmf_opts *opts, const char *name)
{
	const struct vmf_option *table = ((const struct opts *)(const void *)opts)->table;

	for (size_t i = 0; i < opts->n_values; i++)
		if (str_equal(table[i].name, name))
			return opts->values[i];
	return NULL;
}

void conf_opts_free(struct vmf_opts *opts)
{
	struct opts *own = (struct opts *)(void *)opts;

	if (!opts)
		return;
	arena_free(&own->arena);
	free(own);
}
