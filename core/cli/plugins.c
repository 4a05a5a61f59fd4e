/* SPDX-License-Identifier: ISC */
/* `plugin`: what there is, what is wrong with it, what it can be told, where it is looked for. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/value.h"
#include "vm/doctor.h"

static const char *const state_words[] = {"ok", "broken", "shadowed"};

static const struct {
	const char *word;
	enum vmf_kind kind;
} kinds[] = {{"storage", VMF_STORAGE}, {"network", VMF_NETWORK}, {"display", VMF_DISPLAY},
	{"placement", VMF_PLACEMENT}};

/* ---- list --------------------------------------------------------------------------------- */

static const char *version_of(const struct plugin *p)
{
	return p->state == PLUGIN_BROKEN ? NULL : p->desc.version;
}

/* Without the path that stands in front of it, which has a column of its own. */
static const char *why_of(const struct plugin *p)
{
	autofree char *prefix = str_printf("plugin %s: ", p->path ? p->path : "");

	return p->why && str_starts(p->why, prefix) ? p->why + strlen(prefix) : p->why;
}

static void list_json(const struct plugin *const *list, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *json = json_pack("{s:s, s:s, s:s}", "kind", plugin_kind_name(list[i]->kind), "name",
			list[i]->name, "state", state_words[list[i]->state]);

		json_object_set_new(json, "version", out_string(version_of(list[i])));
		json_object_set_new(json, "why", out_string(why_of(list[i])));
		json_object_set_new(json, "path", out_string(list[i]->path));
		json_array_append_new(array, json);
	}
	out_json(array);
}

static int list_all(struct cli_call *call)
{
	static const char *const columns[] = {"KIND", "NAME", "VERSION", "STATE", "PATH", "WHY"};
	const struct plugin *const *list;
	size_t count = plugin_list(&list);
	struct out_table *table;

	if (call->ctx->json) {
		list_json(list, count);
		return 0;
	}
	table = out_table_new(columns, VMF_COUNT(columns));
	for (size_t i = 0; i < count; i++) {
		const struct plugin *p = list[i];
		autofree char *by = p->state == PLUGIN_SHADOWED ? str_printf("%s comes first", p->why) : NULL;
		const char *cells[] = {plugin_kind_name(p->kind), p->name, version_of(p),
			state_words[p->state], p->path, by ? by : why_of(p)};

		out_table_row(table, cells);
	}
	out_table_print(table);
	out_table_free(table);
	if (count == 0)
		log_warn("there are no plugins; `vmf plugin path` shows where they are looked for");
	return 0;
}

/* Names alone, without loading anything: for completion. */
static int list_names(struct cli_call *call)
{
	json_t *array = json_array();

	for (size_t k = 0; k < VMF_COUNT(kinds); k++) {
		autostrv struct strv names = STRV_INIT;

		plugin_names(kinds[k].kind, &names);
		for (size_t i = 0; i < names.count; i++) {
			if (!call->ctx->json)
				printf("%s\t%s\n", kinds[k].word, names.items[i]);
			json_array_append_new(array,
				json_pack("{s:s, s:s}", "kind", kinds[k].word, "name", names.items[i]));
		}
	}
	if (call->ctx->json)
		out_json(json_incref(array));
	json_decref(array);
	return 0;
}

/* ---- show --------------------------------------------------------------------------------- */

/* "1M to 16T", "qcow2, raw", or NULL: everything of its type. */
static char *option_limits(const struct vmf_option *o)
{
	struct strbuf text = STRBUF_INIT;

	if (o->type == VMF_OPT_ENUM && o->choices) {
		for (const char *p = o->choices; *p; p++)
			if (*p == '|')
				strbuf_puts(&text, ", ");
			else
				strbuf_putc(&text, *p);
		return strbuf_take(&text);
	}
	if (o->min == o->max)
		return NULL;
	if (o->type == VMF_OPT_INT)
		return str_printf("%lld to %lld", (long long)o->min, (long long)o->max);
	if (o->type == VMF_OPT_TIME)
		return str_printf("%lld s to %lld s", (long long)o->min / 1000, (long long)o->max / 1000);
	if (o->type == VMF_OPT_SIZE) {
		autofree char *min = value_format_size((uint64_t)o->min);
		autofree char *max = value_format_size((uint64_t)o->max);

		return o->max == INT64_MAX ? str_printf("%s and more", min)
					   : str_printf("%s to %s", min, max);
	}
	return NULL;
}

json_t *option_json(const struct vmf_option *o)
{
	json_t *json = json_pack("{s:s, s:s, s:b}", "name", o->name, "type", value_type_name(o->type),
		"required", (o->flags & VMF_OPT_F_REQUIRED) != 0);
	autofree char *limits = option_limits(o);

	json_object_set_new(json, "default", out_string(o->default_value));
	json_object_set_new(json, "limits", out_string(limits));
	json_object_set_new(json, "help", out_string(o->help));
	json_object_set_new(json, "since", out_string(o->since));
	return json;
}

void option_print(const struct vmf_option *o)
{
	autofree char *limits = option_limits(o);

	printf("  %-14s %s%s%s", o->name, value_type_name(o->type), limits ? ": " : "", limits ? limits : "");
	if (o->default_value)
		printf("; default %s", o->default_value);
	if (o->flags & VMF_OPT_F_REQUIRED)
		printf("; required");
	printf("\n  %-14s %s\n", "", o->help ? o->help : "");
}

static void show_json(const struct plugin *p)
{
	json_t *options = json_array(), *needs = json_array();

	for (size_t i = 0; i < p->desc.n_options; i++)
		json_array_append_new(options, option_json(&p->desc.options[i]));
	for (size_t i = 0; i < p->desc.n_needs; i++) {
		const struct vmf_need *n = &p->desc.needs[i];
		json_t *json = json_pack("{s:s, s:b, s:b}", "what", n->what ? n->what : "root", "optional",
			n->optional != 0, "met", doctor_is_met(n));

		json_object_set_new(json, "package", out_string(n->package));
		json_object_set_new(json, "why", out_string(n->why));
		json_array_append_new(needs, json);
	}
	out_json(json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o}", "kind", plugin_kind_name(p->kind), "name",
		p->name, "version", out_string(p->desc.version), "summary", p->desc.summary, "path",
		out_string(p->path), "options", options, "needs", needs));
}

static void show_text(const struct plugin *p)
{
	printf("%s %s %s: %s\n%s\n", plugin_kind_name(p->kind), p->name,
		p->desc.version ? p->desc.version : "-", p->desc.summary, p->path);
	if (p->desc.n_options)
		printf("\nOptions of %s { ... }:\n", p->name);
	for (size_t i = 0; i < p->desc.n_options; i++)
		option_print(&p->desc.options[i]);
	if (p->desc.n_needs)
		printf("\nNeeds:\n");
	for (size_t i = 0; i < p->desc.n_needs; i++) {
		const struct vmf_need *n = &p->desc.needs[i];
		bool met = doctor_is_met(n);

		printf("  %-14s %s%s%s%s%s%s\n", n->what ? n->what : "root", met ? "there" : "missing",
			n->optional ? ", not always needed" : "", n->why ? ": " : "", n->why ? n->why : "",
			!met && n->package ? "; Debian package " : "", !met && n->package ? n->package : "");
	}
}

/* Which kind NAME is of, if only one has it. */
static int guess_kind(const char *name, enum vmf_kind *kind, struct vmf_error *err)
{
	size_t found = 0;

	for (size_t k = 0; k < VMF_COUNT(kinds); k++) {
		autostrv struct strv names = STRV_INIT;

		plugin_names(kinds[k].kind, &names);
		if (strv_has(&names, name)) {
			*kind = kinds[k].kind;
			found++;
		}
	}
	if (found == 1)
		return 0;
	return vmf_fail(err, found ? VMF_E_USAGE : VMF_E_MISSING, 0,
		found ? "say of which kind: plugin show KIND NAME"
		      : "`vmf plugin list` shows those there are",
		found ? "several plugins are called \"%s\"" : "no plugin \"%s\"", name);
}

static int show(struct cli_call *call, const struct strv *args, struct vmf_error *err)
{
	const struct plugin *plugin;
	const char *name = args->items[args->count - 1];
	enum vmf_kind kind = 0;

	if (args->count == 2) {
		if (guess_kind(name, &kind, err) < 0)
			return -1;
	} else {
		for (size_t k = 0; k < VMF_COUNT(kinds); k++)
			if (str_equal(kinds[k].word, args->items[1]))
				kind = kinds[k].kind;
		if (!kind)
			return vmf_fail(err, VMF_E_USAGE, 0, "storage, network, display and placement are",
				"\"%s\" is no kind of plugin", args->items[1]);
	}
	plugin = plugin_get(kind, name, err);
	if (!plugin)
		return -1;
	if (call->ctx->json)
		show_json(plugin);
	else
		show_text(plugin);
	return 0;
}

/* ---- path, and the command ----------------------------------------------------------------- */

static int show_path(struct cli_call *call)
{
	autostrv struct strv folders = STRV_INIT;

	plugin_search_path(&folders);
	if (call->ctx->json) {
		out_json(out_strings(&folders));
		return 0;
	}
	for (size_t i = 0; i < folders.count; i++)
		puts(folders.items[i]);
	return 0;
}

int command_plugin(struct cli_call *call, struct vmf_error *err)
{
	const struct strv *args = &call->args;
	const char *word = args->count ? args->items[0] : "list";

	if (str_equal(word, "list") && args->count < 2)
		return cli_option(call, "--names", 0) ? list_names(call) : list_all(call);
	if (str_equal(word, "show") && (args->count == 2 || args->count == 3))
		return show(call, args, err);
	if (str_equal(word, "path") && args->count == 1)
		return show_path(call);
	return vmf_fail(err, VMF_E_USAGE, 0, "plugin list, plugin show KIND NAME, or plugin path",
		"plugin %s: too many words, too few, or not one that it knows", word);
}
