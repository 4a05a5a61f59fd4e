/* SPDX-License-Identifier: ISC */
/*
 * `config`: all layers merged, as a file that would mean the same. Plugins' sections are resolved by their
 * own tables, so this loads the plugins that the configuration names.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct show {
	const struct conf_section *root;
	bool origin, diff;
	json_t *list; /* --json: one object per value */
};

static bool is_built_in(const struct conf_value *v)
{
	return !v->file || str_equal(v->file, "built-in");
}

/* ---- one value ---------------------------------------------------------------------------- */

static void put_written(struct strbuf *out, const struct conf_value *v)
{
	bool is_list = v->option->type == VMF_OPT_LIST;
	bool is_bare = v->option->type == VMF_OPT_INT || v->option->type == VMF_OPT_BOOL ||
		       v->option->type == VMF_OPT_PORT;

	strbuf_puts(out, is_list ? "{" : "");
	for (size_t i = 0; i < v->n_items; i++) {
		autofree char *quoted = conf_quote(v->items[i]);

		strbuf_printf(out, "%s%s", i ? ", " : "", is_bare ? v->items[i] : quoted);
	}
	strbuf_puts(out, is_list ? "}" : "");
}

static json_t *json_value(const struct conf_value *v)
{
	json_t *array;

	switch (v->option->type) {
	case VMF_OPT_BOOL:
		return json_boolean(v->number);
	case VMF_OPT_INT:
	case VMF_OPT_SIZE:
	case VMF_OPT_PORT:
		return json_integer(v->number);
	case VMF_OPT_TIME:
		return json_real((double)v->number / 1000.0);
	case VMF_OPT_LIST:
		array = json_array();
		for (size_t i = 0; i < v->n_items; i++)
			json_array_append_new(array, out_string(v->items[i]));
		return array;
	default:
		return out_string(v->items[0]);
	}
}

static void put_value(
	struct show *show, struct strbuf *out, int depth, const char *prefix, const struct conf_value *v)
{
	size_t begin = out->length, width;

	if (show->list) {
		autofree char *key = str_printf("%s%s", prefix, v->option->name);
		json_t *json = json_pack("{s:s, s:o}", "key", key, "value", json_value(v));

		json_object_set_new(json, "file", is_built_in(v) ? json_null() : out_string(v->file));
		json_object_set_new(
			json, "line", is_built_in(v) || !v->line ? json_null() : json_integer(v->line));
		json_array_append_new(show->list, json);
	}
	strbuf_printf(out, "%*s%s = ", 4 * depth, "", v->option->name);
	put_written(out, v);
	width = out->length - begin;
	if (show->origin)
		strbuf_printf(out, "%*s # %s", width < 40 ? (int)(40 - width) : 0, "",
			is_built_in(v) ? "built-in" : conf_where(v->file, v->line));
	strbuf_putc(out, '\n');
}

/* ---- plugins' sections --------------------------------------------------------------------- */

/* Is V what BELOW says already? */
static bool is_inherited(const struct vmf_opts *below, const struct conf_value *v)
{
	const struct conf_value *b = below ? conf_opts_get(below, v->option->name) : NULL;

	return b && str_equal(b->file, v->file) && b->line == v->line;
}

static int put_options(struct show *show, struct strbuf *out, int depth, const char *prefix,
	const struct plugin *plugin, const struct conf_section *const layers[2], struct vmf_error *err)
{
	struct vmf_opts *all = conf_opts_resolve(&plugin->desc, layers, 2, err), *below = NULL;

	if (!all)
		return -1;
	if (layers[0])
		below = conf_opts_resolve(&plugin->desc, layers, 1, err);
	for (size_t i = 0; i < plugin->desc.n_options; i++) {
		const struct conf_value *v = conf_opts_get(all, plugin->desc.options[i].name);

		if (v && v->n_items && !(show->diff && is_built_in(v)) && !is_inherited(below, v))
			put_value(show, out, depth, prefix, v);
	}
	conf_opts_free(below);
	conf_opts_free(all);
	return 0;
}

static void put_plugin(struct show *show, struct strbuf *out, int depth, const char *prefix,
	const struct conf_section *section, const struct conf_section *own)
{
	const struct conf_section *layers[2];
	autofree char *inner = str_printf("%s%s.", prefix, own->keyword);
	autostrbuf struct strbuf body = STRBUF_INIT;
	struct vmf_error err = VMF_ERROR_INIT;
	const struct plugin *plugin;
	enum vmf_kind kind;

	if (!vm_plugin_layers(show->root, section, own, &kind, layers))
		return;
	plugin = plugin_get(kind, own->keyword, &err);
	if (!plugin)
		vmf_context(&err, "%s", conf_where(own->file, own->line));
	if (!plugin || put_options(show, &body, depth + 1, inner, plugin, layers, &err) < 0) {
		log_warn("%s", err.message);
		error_clear(&err);
		return;
	}
	if (body.length)
		strbuf_printf(
			out, "%*s%s {\n%s%*s}\n", 4 * depth, "", own->keyword, body.data, 4 * depth, "");
	else if (!show->diff || !str_equal(own->file, "built-in"))
		strbuf_printf(out, "%*s%s { }\n", 4 * depth, "", own->keyword);
}

/* ---- core's sections ----------------------------------------------------------------------- */

static void put_section(struct show *show, struct strbuf *out, int depth, const char *prefix,
	const struct conf_section *section)
{
	for (size_t i = 0; i < section->schema->n_options; i++) {
		const struct conf_value *v = conf_get(section, section->schema->options[i].name);

		if (v && v->n_items && !(show->diff && is_built_in(v)))
			put_value(show, out, depth, prefix, v);
	}
	for (size_t i = 0; i < section->n_sections; i++) {
		const struct conf_section *s = section->sections[i];
		bool has_dot = s->title && strchr(s->title, '.');
		autofree char *title = s->title ? conf_quote(s->title) : NULL;
		autofree char *inner = str_printf("%s%s.%s%s", prefix, s->keyword,
			!s->title ? ""
			: has_dot ? title
				  : s->title,
			s->title ? "." : "");
		autostrbuf struct strbuf body = STRBUF_INIT;

		if (!s->schema) {
			put_plugin(show, out, depth, prefix, section, s);
			continue;
		}
		put_section(show, &body, depth + 1, inner, s);
		if (body.length || !show->diff)
			strbuf_printf(out, "%s%*s%s%s%s {\n%s%*s}\n", depth ? "" : "\n", 4 * depth, "",
				s->keyword, title ? " " : "", title ? title : "", body.data ? body.data : "",
				4 * depth, "");
	}
}

int verb_config(struct cli_call *call, struct vmf_error *err)
{
	struct show show = {.root = call->vm->root,
		.origin = cli_option(call, "--origin", 0) != NULL,
		.diff = cli_option(call, "--diff", 0) != NULL,
		.list = call->ctx->json ? json_array() : NULL};
	autostrbuf struct strbuf text = STRBUF_INIT;

	(void)err;
	put_section(&show, &text, 0, "", call->vm->root);
	if (show.list)
		out_json(json_pack("{s:s, s:o, s:o}", "vm", call->vm->name, "file",
			out_string(call->vm->file), "settings", show.list));
	else if (text.data)
		fputs(text.data, stdout);
	return 0;
}
