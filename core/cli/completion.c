/* SPDX-License-Identifier: ISC */
/*
 * Completion scripts. What the shells do is in completion.bash, .zsh and .fish beside this file; the marks
 * in them, @VERBS@ and the like, are filled in from the tables of verbs and of configuration keywords. Names
 * of VMs and plugins are asked of vmf when the person presses the key.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/scripts.h"

struct script {
	const char *shell, *text;
	bool is_zsh; /* arrays in parentheses */
};

/* ---- words from the tables ----------------------------------------------------------------- */

/* Where the second word of a name begins, or NULL. */
static const char *second_of(const struct cli_verb *v)
{
	const char *blank = strchr(v->name, ' ');

	return blank ? blank + 1 : NULL;
}

/* Is V the first of those that begin with its first word? Such a word stands for all of them. */
static bool is_first_of_group(const struct cli_verb *table, const struct cli_verb *v)
{
	size_t n = strcspn(v->name, " ") + 1;

	return second_of(v) && (v == table || strncmp(v[-1].name, v->name, n) != 0);
}

static bool is_in_group(const struct cli_verb *v, const struct cli_verb *first)
{
	return v->name && second_of(v) && strncmp(v->name, first->name, strcspn(first->name, " ") + 1) == 0;
}

/* "add rm resize" */
static void put_seconds(struct strbuf *out, const struct cli_verb *first, const char *separator)
{
	for (const struct cli_verb *v = first; is_in_group(v, first); v++)
		strbuf_printf(out, "%s%s", v == first ? "" : separator, second_of(v));
}

/* The words that a line can go on with: of names of two words the first. */
static void put_names(
	struct strbuf *out, const struct cli_verb *table, const char *separator, bool with_aliases)
{
	bool any = false;

	for (const struct cli_verb *v = table; v->name; v++) {
		if (second_of(v) && !is_first_of_group(table, v))
			continue;
		strbuf_printf(out, "%s%.*s", any ? separator : "", (int)strcspn(v->name, " "), v->name);
		any = true;
		for (const char *a = v->aliases; with_aliases && a && *a;) {
			size_t n = strcspn(a, " ");

			strbuf_printf(out, "%s%.*s", separator, (int)n, a);
			a += n + (a[n] == ' ');
		}
	}
}

/* A verb's name and aliases; a name of two words in double quotes. */
static void put_name(struct strbuf *out, const struct cli_verb *v, const char *separator)
{
	const struct cli_verb one[2] = {*v, {.name = NULL}};

	if (second_of(v))
		strbuf_printf(out, "\"%s\"", v->name);
	else
		put_names(out, one, separator, true);
}

/* The verb whose words are QEMU's. */
static const struct cli_verb *qemu_verb(void)
{
	const struct cli_verb *v = cli_verbs;

	while (v->name && v->args != ARGS_QEMU)
		v++;
	return v;
}

/* What a verb's own word is, as its usage says it: a mark for the scripts, or the words themselves. */
static char *own_word(const struct cli_verb *v)
{
	struct strbuf words = STRBUF_INIT;

	if (v->args == ARGS_NONE || v->args == ARGS_QEMU)
		return str_dup("");
	if (v->args == ARGS_SETTINGS)
		return str_dup("SETTING");
	if (str_starts(v->usage, "FILE"))
		return str_dup("FILE");
	if (str_starts(v->usage, "DISK"))
		return str_dup("DISK");
	if (str_starts(v->usage, "[STORE]"))
		return str_dup("STORE");
	if (str_starts(v->usage, "[SEGMENT]") || str_starts(v->usage, "SEGMENT...") ||
		str_starts(v->usage, "BRIDGE"))
		return str_dup("SEGMENT");
	if (str_starts(v->usage, "[HOST...]") || str_equal(v->usage, "HOST"))
		return str_dup("HOST");
	if (str_starts(v->usage, "[PATTERN] "))
		return str_dup("VM");
	if (str_starts(v->usage, "STATE"))
		return str_dup("running paused off saved crashed io-error hung ip");
	if (strstr(v->usage, "show KIND NAME"))
		return str_dup("PLUGIN");
	if (str_starts(v->usage, "[WORD")) {
		put_names(&words, cli_verbs, " ", false);
		strbuf_putc(&words, ' ');
		put_names(&words, cli_commands, " ", false);
		strbuf_puts(&words, " keywords exit-codes");
	} else if (strchr(v->usage, '|')) {
		for (const char *p = v->usage; *p; p++)
			strbuf_putc(&words, *p == '|' ? ' ' : *p);
	}
	return strbuf_take(&words);
}

/* Is a file or folder what may stand behind the first word? */
static bool has_file_behind(const struct cli_verb *v)
{
	return str_starts(v->usage, "DISK FILE") || str_starts(v->usage, "DISK [FOLDER]");
}

/* Or a segment? */
static bool has_segment_behind(const struct cli_verb *v)
{
	return str_starts(v->usage, "N [BRIDGE]");
}

enum which { ALL_OPTIONS, WITH_WORD, WITH_FILE };

static void put_options(struct strbuf *out, const struct cli_verb *v, enum which which)
{
	bool any = false;

	for (size_t i = 0; i < v->n_options; i++) {
		const struct cli_option *o = &v->options[i];

		if ((which == WITH_WORD && !o->argument) ||
			(which == WITH_FILE && !str_equal(o->argument, "FILE")))
			continue;
		strbuf_printf(out, "%s%s", any ? " " : "", o->name);
		any = true;
	}
}

static void put_cases(struct strbuf *out, const struct script *script)
{
	static const char *const names[] = {"opts", "args", "files"};
	const struct cli_verb *const tables[] = {cli_verbs, cli_commands};

	for (size_t t = 0; t < VMF_COUNT(tables); t++)
		for (const struct cli_verb *v = tables[t]; v->name; v++) {
			autofree char *word = own_word(v);

			if (is_first_of_group(tables[t], v)) {
				strbuf_printf(out, "\t%.*s) word='", (int)strcspn(v->name, " "), v->name);
				put_seconds(out, v, " ");
				strbuf_puts(out, "' ;;\n");
			}
			strbuf_putc(out, '\t');
			put_name(out, v, "|");
			strbuf_puts(out, ")");
			for (size_t k = 0; k < VMF_COUNT(names) && v->n_options; k++) {
				strbuf_printf(out, " %s=%s", names[k], script->is_zsh ? "(" : "'");
				put_options(out, v, (enum which)k);
				strbuf_puts(out, script->is_zsh ? ")" : "'");
			}
			if (*word)
				strbuf_printf(out, " word='%s'", word);
			if (has_file_behind(v))
				strbuf_puts(out, " behind=FILE");
			if (has_segment_behind(v))
				strbuf_puts(out, " behind=SEGMENT");
			strbuf_puts(out, " ;;\n");
		}
}

static void put_values(struct strbuf *out, const struct script *script)
{
	(void)script;
	for (size_t i = 0; i < vm_schema.n_options; i++) {
		const struct vmf_option *o = &vm_schema.options[i];

		if (o->type == VMF_OPT_BOOL)
			strbuf_printf(out, "\t%s) echo 'yes no' ;;\n", o->name);
		else if (o->type == VMF_OPT_PATH)
			strbuf_printf(out, "\t%s) echo FILE ;;\n", o->name);
		if (o->type != VMF_OPT_ENUM)
			continue;
		strbuf_printf(out, "\t%s) echo '", o->name);
		for (const char *p = o->choices; *p; p++)
			strbuf_putc(out, *p == '|' ? ' ' : *p);
		strbuf_puts(out, "' ;;\n");
	}
}

static void put_keys(struct strbuf *out, const struct script *script)
{
	(void)script;
	for (size_t i = 0; i < vm_schema.n_options; i++)
		strbuf_printf(out, "%s%s=", i ? " " : "", vm_schema.options[i].name);
}

static void put_globals(struct strbuf *out, const struct script *script)
{
	(void)script;
	for (const struct cli_option *o = cli_globals; o->name; o++)
		strbuf_printf(out, "%s%s", o == cli_globals ? "" : " ", o->name);
}

/* ---- descriptions -------------------------------------------------------------------------- */

static void put_quoted(struct strbuf *out, const char *text)
{
	strbuf_putc(out, '\'');
	for (; *text; text++)
		if (*text == '\'')
			strbuf_puts(out, "'\\''");
		else
			strbuf_putc(out, *text);
	strbuf_putc(out, '\'');
}

/* What its word is for; of a word that stands for several: those. */
static char *text_of(const struct cli_verb *table, const struct cli_verb *v)
{
	struct strbuf text = STRBUF_INIT;

	if (!is_first_of_group(table, v))
		return str_dup(v->summary);
	put_seconds(&text, v, ", ");
	return strbuf_take(&text);
}

static void put_texts(struct strbuf *out, const struct cli_verb *table)
{
	for (const struct cli_verb *v = table; v->name; v++) {
		autofree char *what = text_of(table, v);
		autofree char *text = str_printf("%.*s:%s", (int)strcspn(v->name, " "), v->name, what);

		if (second_of(v) && !is_first_of_group(table, v))
			continue;
		strbuf_puts(out, "\t\t");
		put_quoted(out, text);
		strbuf_putc(out, '\n');
	}
}

static void put_fish_word(struct strbuf *out, const char *where, const char *word, size_t n, const char *text)
{
	strbuf_printf(out, "complete -c vmf -n '%s' -a %.*s -d ", where, (int)n, word);
	put_quoted(out, text);
	strbuf_putc(out, '\n');
}

/* What V takes behind it: options and words. */
static void put_fish_words(struct strbuf *out, const struct cli_verb *v)
{
	static const struct {
		const char *mark, *give;
	} givers[] = {{"FILE", "' -F\n"}, {"VM", "' -a '(__vmf list --names)'\n"},
		{"PLUGIN", "' -a '(__vmf_plugin)'\n"}, {"DISK", "' -a '(__vmf_disks)'\n"},
		{"STORE", "' -a '(__vmf storage list --names)'\n"},
		{"SEGMENT", "' -a '(__vmf net show --names)'\n"},
		{"HOST", "' -a '(__vmf host list --names)'\n"}};
	autofree char *word = own_word(v);

	for (size_t i = 0; i < v->n_options; i++) {
		const struct cli_option *o = &v->options[i];

		strbuf_puts(out, "complete -c vmf -n '__vmf_is ");
		put_name(out, v, " ");
		strbuf_printf(out, "' -l %s%s -d ", o->name + 2,
			!o->argument			 ? ""
			: str_equal(o->argument, "FILE") ? " -r -F"
							 : " -x");
		put_quoted(out, o->help);
		strbuf_putc(out, '\n');
	}
	if (!*word)
		return;
	strbuf_puts(out, "complete -c vmf -n '__vmf_is ");
	put_name(out, v, " ");
	for (size_t i = 0; i < VMF_COUNT(givers); i++)
		if (str_equal(word, givers[i].mark)) {
			strbuf_puts(out, givers[i].give);
			return;
		}
	strbuf_puts(out, "' -a '");
	if (str_equal(word, "SETTING"))
		put_keys(out, NULL);
	else
		strbuf_puts(out, word);
	strbuf_puts(out, "'\n");
}

/* fish wants a line for each word and option. */
static void put_fish_table(struct strbuf *out, const struct cli_verb *table, const char *where)
{
	for (const struct cli_verb *v = table; v->name; v++) {
		const char *second = second_of(v);
		size_t n = strcspn(v->name, " ");

		if (!second || is_first_of_group(table, v)) {
			autofree char *text = text_of(table, v);

			put_fish_word(out, where, v->name, n, text);
		}
		if (second) {
			autofree char *is_first = str_printf("__vmf_is %.*s", (int)n, v->name);

			put_fish_word(out, is_first, second, strlen(second), v->summary);
		}
		put_fish_words(out, v);
	}
}

static void put_fish(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_fish_table(out, cli_commands, "__vmf_is first");
	put_fish_table(out, cli_verbs, "__vmf_in_chain");
	for (const struct cli_option *o = cli_globals; o->name; o++) {
		bool is_long = str_starts(o->name, "--");

		strbuf_printf(out, "complete -c vmf -n '__vmf_is first' -%c %s%s -d ", is_long ? 'l' : 's',
			o->name + (is_long ? 2 : 1), o->argument ? " -x" : "");
		put_quoted(out, o->help);
		strbuf_putc(out, '\n');
	}
}

/* ---- marks -------------------------------------------------------------------------------- */

static void put_verbs(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_names(out, cli_verbs, " ", false);
}

static void put_verbs_words(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_names(out, cli_verbs, " ", true);
}

static void put_commands(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_names(out, cli_commands, " ", false);
}

static void put_commands_words(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_names(out, cli_commands, " ", true);
}

static void put_commands_case(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_names(out, cli_commands, "|", true);
}

static void put_qemu(struct strbuf *out, const struct script *script)
{
	strbuf_puts(out, script->is_zsh ? "(" : "@(");
	put_name(out, qemu_verb(), "|");
	strbuf_putc(out, ')');
}

static void put_qemu_case(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_name(out, qemu_verb(), "|");
}

static void put_qemu_words(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_name(out, qemu_verb(), " ");
}

static void put_verbs_text(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_texts(out, cli_verbs);
}

static void put_commands_text(struct strbuf *out, const struct script *script)
{
	(void)script;
	put_texts(out, cli_commands);
}

/* Names of two words, each in quotes. */
static void put_pairs(struct strbuf *out, const struct script *script)
{
	const struct cli_verb *const tables[] = {cli_verbs, cli_commands};

	(void)script;
	for (size_t t = 0; t < VMF_COUNT(tables); t++)
		for (const struct cli_verb *v = tables[t]; v->name; v++)
			if (second_of(v))
				strbuf_printf(out, " '%s'", v->name);
}

/* The first words of those. */
static void put_groups(struct strbuf *out, const struct script *script)
{
	const struct cli_verb *const tables[] = {cli_verbs, cli_commands};

	(void)script;
	for (size_t t = 0; t < VMF_COUNT(tables); t++)
		for (const struct cli_verb *v = tables[t]; v->name; v++)
			if (is_first_of_group(tables[t], v))
				strbuf_printf(out, " %.*s", (int)strcspn(v->name, " "), v->name);
}

static const struct {
	const char *mark;
	void (*put)(struct strbuf *out, const struct script *script);
} marks[] = {
	{"CASES", put_cases},
	{"VALUES", put_values},
	{"KEYS", put_keys},
	{"GLOBALS", put_globals},
	{"VERBS", put_verbs},
	{"VERBS_WORDS", put_verbs_words},
	{"VERBS_TEXT", put_verbs_text},
	{"COMMANDS", put_commands},
	{"COMMANDS_WORDS", put_commands_words},
	{"COMMANDS_CASE", put_commands_case},
	{"COMMANDS_TEXT", put_commands_text},
	{"QEMU", put_qemu},
	{"QEMU_CASE", put_qemu_case},
	{"QEMU_WORDS", put_qemu_words},
	{"PAIRS", put_pairs},
	{"GROUPS", put_groups},
	{"FISH", put_fish},
};

/* The mark that begins at TEXT, "@VERBS@", or -1. */
static int mark_at(const char *text)
{
	for (size_t i = 0; i < VMF_COUNT(marks); i++) {
		size_t n = strlen(marks[i].mark);

		if (strncmp(text + 1, marks[i].mark, n) == 0 && text[n + 1] == '@')
			return (int)i;
	}
	return -1;
}

static char *fill_in(const struct script *script)
{
	struct strbuf out = STRBUF_INIT;

	for (const char *p = script->text; *p; p++) {
		int i = *p == '@' ? mark_at(p) : -1;

		if (i < 0) {
			strbuf_putc(&out, *p);
			continue;
		}
		marks[i].put(&out, script);
		p += strlen(marks[i].mark) + 1;
		/* a mark on a line of its own that gave whole lines */
		if (out.length && out.data[out.length - 1] == '\n' && p[1] == '\n')
			p++;
	}
	return strbuf_take(&out);
}

int command_completion(struct cli_call *call, struct vmf_error *err)
{
	static const struct script scripts[] = {{"bash", completion_bash, false},
		{"zsh", completion_zsh, true}, {"fish", completion_fish, false}};
	const char *shell = call->args.count ? call->args.items[0] : "";

	for (size_t i = 0; i < VMF_COUNT(scripts); i++)
		if (str_equal(scripts[i].shell, shell)) {
			autofree char *text = fill_in(&scripts[i]);

			fputs(text, stdout);
			return 0;
		}
	return vmf_fail(err, VMF_E_USAGE, 0, "completion bash, completion zsh, or completion fish",
		*shell ? "completion: no script for \"%s\"" : "completion of which shell?%s", shell);
}
