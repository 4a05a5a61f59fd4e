/* SPDX-License-Identifier: ISC */
/* Help and version. All texts come from the tables: verbs.c, and vm/schema.c for the configuration. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"

static const struct {
	int code;
	const char *text;
} codes[] = {
	{0, "done; status: it runs"},
	{VMF_E_FAILED, "it was tried and failed"},
	{VMF_E_USAGE, "the command line is wrong"},
	{VMF_E_CONFIG, "the configuration or a definition is wrong"},
	{VMF_E_NOT_FOUND, "no such VM, volume, network, file"},
	{VMF_E_EXISTS, "it is there already, or the name is taken"},
	{VMF_E_STATE, "not possible in the state that the VM is in"},
	{VMF_E_BUSY, "another vmf is at work on it"},
	{VMF_E_PERMISSION, "not allowed"},
	{VMF_E_MISSING, "a program, a plugin or something of the kernel is missing"},
	{VMF_E_TIMEOUT, "no answer in time"},
	{VMF_E_NO_SPACE, "storage or memory is full"},
	{VMF_E_UNSUPPORTED, "this plugin cannot do that"},
	{STATUS_OFF, "status: it is off"},
	{STATUS_PAUSED, "status: it is paused"},
	{STATUS_SAVED, "status: it is off, its memory is saved"},
	{STATUS_CRASHED, "status: QEMU has died"},
	{STATUS_HUNG, "status: QEMU does not answer"},
	{STATUS_HALTED, "status: QEMU halted it: an I/O error, a panic of the guest"},
	{STATUS_BUSY, "status: another vmf is at work on it, or died while it was"},
};

/* ---- the overview ------------------------------------------------------------------------- */

/* The options that stand in a usage text are for `help VERB`. */
static char *short_usage(const struct cli_verb *v)
{
	const char *options = strstr(v->usage, "[--");
	size_t n = options ? (size_t)(options - v->usage) : strlen(v->usage);

	if (str_starts(v->usage + n, "[--]")) /* start's is no option, but a word */
		n = strlen(v->usage);
	while (n && v->usage[n - 1] == ' ')
		n--;
	return str_printf("%s%s%.*s", v->name, n ? " " : "", (int)n, v->usage);
}

static void print_table(const struct cli_verb *table)
{
	for (; table->name; table++) {
		autofree char *usage = short_usage(table);

		printf("  %-31s %s\n", usage, table->summary);
	}
}

static void print_option(const struct cli_option *o)
{
	autofree char *usage =
		str_printf("%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");

	printf("  %-31s %s\n", usage, o->help);
}

static void print_all(void)
{
	puts("usage: vmf [OPTION]... VM VERB [ARG]... [VERB [ARG]...]...\n"
	     "       vmf [OPTION]... COMMAND [ARG]...\n\n"
	     "Options:");
	for (const struct cli_option *o = cli_globals; o->name; o++)
		print_option(o);
	puts("\nVerbs, done in turn until one fails; a number waits so many seconds:");
	print_table(cli_verbs);
	puts("\nCommands:");
	print_table(cli_commands);
	puts("\n`vmf help WORD` tells more of a verb, a command, a keyword of the configuration; `vmf help "
	     "keywords`\n"
	     "lists those, `vmf help exit-codes` what the exit codes mean.");
}

/* ---- one word ----------------------------------------------------------------------------- */

static void print_verb(const struct cli_verb *v, bool is_command)
{
	printf("usage: vmf %s%s%s%s\n\n%s\n", is_command ? "" : "VM ", v->name, *v->usage ? " " : "",
		v->usage, v->summary);
	if (v->aliases)
		printf("also: %s\n", v->aliases);
	if (v->n_options)
		puts("\nOptions:");
	for (size_t i = 0; i < v->n_options; i++)
		print_option(&v->options[i]);
}

static void print_section(const struct conf_schema *s)
{
	printf("%s%s { ... }: %s\n", s->keyword, s->flags & VMF_CONF_TITLED ? " \"NAME\"" : "",
		s->help ? s->help : "");
	for (size_t i = 0; i < s->n_options; i++)
		option_print(&s->options[i]);
	if (s->flags & VMF_CONF_PLUGIN)
		printf("  PLUGIN { ... }: the plugin's own, see `vmf plugin list` and `vmf plugin show`\n");
}

/* Every keyword of that name, in the root and in sections; "disk.bus" says in which. */
static bool print_keyword(const char *word)
{
	bool found = false;

	for (size_t i = 0; i < vm_schema.n_options; i++)
		if (str_equal(vm_schema.options[i].name, word)) {
			option_print(&vm_schema.options[i]);
			found = true;
		}
	for (size_t k = 0; k < vm_schema.n_sections; k++) {
		const struct conf_schema *s = &vm_schema.sections[k];

		if (str_equal(s->keyword, word)) {
			print_section(s);
			found = true;
		}
		for (size_t i = 0; i < s->n_options; i++) {
			autofree char *full = str_printf("%s.%s", s->keyword, s->options[i].name);

			if (str_equal(full, word) || str_equal(s->options[i].name, word)) {
				printf("in %s { ... }:\n", s->keyword);
				option_print(&s->options[i]);
				found = true;
			}
		}
	}
	return found;
}

static void print_keywords(void)
{
	puts("In vmf.conf, in classes and in definitions:");
	for (size_t i = 0; i < vm_schema.n_options; i++)
		option_print(&vm_schema.options[i]);
	for (size_t k = 0; k < vm_schema.n_sections; k++) {
		putchar('\n');
		print_section(&vm_schema.sections[k]);
	}
}

static void print_codes(void)
{
	for (size_t i = 0; i < VMF_COUNT(codes); i++)
		printf("%4d  %s\n", codes[i].code, codes[i].text);
}

static int no_such_word(const char *word, struct vmf_error *err)
{
	const char *names[160];
	size_t n = 0;
	const char *near;
	autofree char *hint = NULL;

	for (const struct cli_verb *v = cli_verbs; v->name && n < VMF_COUNT(names); v++)
		names[n++] = v->name;
	for (const struct cli_verb *v = cli_commands; v->name && n < VMF_COUNT(names); v++)
		names[n++] = v->name;
	for (size_t i = 0; i < vm_schema.n_options && n < VMF_COUNT(names); i++)
		names[n++] = vm_schema.options[i].name;
	near = str_nearest(word, names, n);
	hint = near ? str_printf("do you mean %s?", near)
		    : str_dup("`vmf help` and `vmf help keywords` list all");
	return vmf_fail(err, VMF_E_USAGE, 0, hint, "there is no help on \"%s\"", word);
}

/* ---- for programs ------------------------------------------------------------------------- */

static json_t *verbs_json(const struct cli_verb *table)
{
	json_t *array = json_array();

	for (; table->name; table++) {
		json_t *options = json_array();

		for (size_t i = 0; i < table->n_options; i++)
			json_array_append_new(options,
				json_pack("{s:s, s:s*, s:s}", "name", table->options[i].name, "argument",
					table->options[i].argument, "help", table->options[i].help));
		json_array_append_new(array, json_pack("{s:s, s:s*, s:s, s:s, s:o}", "name", table->name,
						     "aliases", table->aliases, "usage", table->usage,
						     "summary", table->summary, "options", options));
	}
	return array;
}

static json_t *keywords_json(const struct conf_schema *schema)
{
	json_t *options = json_array(), *sections = json_array();

	for (size_t i = 0; i < schema->n_options; i++)
		json_array_append_new(options, option_json(&schema->options[i]));
	for (size_t i = 0; i < schema->n_sections; i++)
		json_array_append_new(sections, keywords_json(&schema->sections[i]));
	return json_pack("{s:s*, s:s*, s:o, s:o}", "keyword", schema->keyword, "help", schema->help,
		"options", options, "sections", sections);
}

static void all_json(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < VMF_COUNT(codes); i++)
		json_array_append_new(
			list, json_pack("{s:i, s:s}", "code", codes[i].code, "meaning", codes[i].text));
	out_json(json_pack("{s:o, s:o, s:o, s:o}", "verbs", verbs_json(cli_verbs), "commands",
		verbs_json(cli_commands), "configuration", keywords_json(&vm_schema), "exit_codes", list));
}

/* ---- the commands ------------------------------------------------------------------------- */

/* A verb or command, and all that begin with that word. */
static bool print_named(const struct cli_verb *table, const char *name)
{
	const struct cli_verb *v = cli_find(table, name);
	size_t n = strlen(name);
	bool found = v != NULL;

	if (v)
		print_verb(v, table == cli_commands);
	for (const struct cli_verb *w = table; w->name; w++)
		if (strncmp(w->name, name, n) == 0 && w->name[n] == ' ') {
			if (found)
				putchar('\n');
			print_verb(w, table == cli_commands);
			found = true;
		}
	return found;
}

int command_help(struct cli_call *call, struct vmf_error *err)
{
	autofree char *word = call->args.count ? strv_join(&call->args, " ") : NULL;
	bool found = false;

	if (call->ctx->json) {
		all_json();
		return 0;
	}
	if (!word) {
		print_all();
		return 0;
	}
	if (str_equal(word, "exit-codes")) {
		print_codes();
		return 0;
	}
	if (str_equal(word, "keywords")) {
		print_keywords();
		return 0;
	}
	found = print_named(cli_verbs, word);
	found |= print_named(cli_commands, word);
	if (print_keyword(word))
		found = true;
	return found ? 0 : no_such_word(word, err);
}

int command_version(struct cli_call *call, struct vmf_error *err)
{
	const char *smartcols = out_table_library();

	(void)err;
	if (call->ctx->json) {
		autofree char *abi = str_printf("%d.%d", VMF_ABI_MAJOR, VMF_ABI_MINOR);

		out_json(json_pack("{s:s, s:s, s:s, s:s*}", "vmf", VMF_VERSION, "plugin_abi", abi, "jansson",
			jansson_version_str(), "libsmartcols", smartcols));
		return 0;
	}
	printf("vmf %s\nplugin ABI %d.%d\njansson %s, libsmartcols %s\n", VMF_VERSION, VMF_ABI_MAJOR,
		VMF_ABI_MINOR, jansson_version_str(), smartcols ? smartcols : "?");
	return 0;
}
