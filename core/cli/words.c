/* SPDX-License-Identifier: ISC */
/*
 * Words of the command line and what they are: verbs and commands by their names, of one word or of two
 * ("disk add"), and the words and options that one takes.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- names -------------------------------------------------------------------------------- */

static bool is_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	while (words && *words) {
		size_t m = strcspn(words, " ");

		if (m == n && strncmp(words, word, n) == 0)
			return true;
		words += m + (words[m] == ' ');
	}
	return false;
}

const struct cli_verb *cli_find(const struct cli_verb *table, const char *name)
{
	for (; table->name; table++)
		if (str_equal(table->name, name) || is_word(table->aliases, name))
			return table;
	return NULL;
}

bool cli_begins(const struct cli_verb *table, const char *word)
{
	size_t n = strlen(word);

	if (cli_find(table, word))
		return true;
	for (; table->name; table++)
		if (strncmp(table->name, word, n) == 0 && table->name[n] == ' ')
			return true;
	return false;
}

const struct cli_verb *cli_match(const struct cli_verb *table, char *const *argv, int argc, int *n_words)
{
	autofree char *two = argc > 1 ? str_printf("%s %s", argv[0], argv[1]) : NULL;
	const struct cli_verb *verb = two ? cli_find(table, two) : NULL;

	*n_words = verb ? 2 : 1;
	return verb ? verb : cli_find(table, argv[0]);
}

/* "add, rm, resize": the second words of those that begin with WORD. */
static char *second_words(const struct cli_verb *table, const char *word)
{
	struct strbuf text = STRBUF_INIT;
	size_t n = strlen(word);

	for (; table->name; table++)
		if (strncmp(table->name, word, n) == 0 && table->name[n] == ' ')
			strbuf_printf(&text, "%s%s", text.length ? ", " : "", table->name + n + 1);
	return strbuf_take(&text);
}

int cli_unknown(const struct cli_verb *table, char *const *argv, int argc, struct vmf_error *err)
{
	const char *names[96], *near;
	size_t n = 0;
	autofree char *hint = NULL;
	autofree char *quoted = str_quote(argv[0]);
	autofree char *second = second_words(table, argv[0]);
	autofree char *two = argc > 1 ? str_printf("%s %s", argv[0], argv[1]) : NULL;

	for (const struct cli_verb *v = table; v->name && n < VMF_COUNT(names); v++)
		names[n++] = v->name;
	if (*second) {
		hint = str_printf("it has %s", second);
		return two ? vmf_fail(err, VMF_E_USAGE, 0, hint, "there is no \"%s\"", two)
			   : vmf_fail(err, VMF_E_USAGE, 0, hint, "%s wants a word behind it", argv[0]);
	}
	near = str_nearest(argv[0], names, n);
	hint = near ? str_printf("do you mean %s?", near) : str_dup("`vmf help` lists all");
	return vmf_fail(err, VMF_E_USAGE, 0, hint, "no verb %s", quoted);
}

/* ---- options ------------------------------------------------------------------------------ */

const char *cli_option(const struct cli_call *call, const char *name, size_t nth)
{
	for (size_t i = 0; i + 1 < call->options.count; i += 2)
		if (str_equal(call->options.items[i], name) && nth-- == 0)
			return call->options.items[i + 1];
	return NULL;
}

int cli_usage(struct vmf_error *err, const char *what)
{
	err->code = VMF_E_USAGE;
	return vmf_context(err, "%s", what);
}

bool cli_is_number(const char *word)
{
	if (!*word)
		return false;
	for (; *word; word++)
		if (!isdigit((unsigned char)*word))
			return false;
	return true;
}

static const struct cli_option *option_of(const struct cli_verb *verb, const char *word, size_t length)
{
	for (size_t i = 0; i < verb->n_options; i++)
		if (strlen(verb->options[i].name) == length &&
			strncmp(verb->options[i].name, word, length) == 0)
			return &verb->options[i];
	return NULL;
}

static int unknown_option(const struct cli_verb *verb, const char *word, struct vmf_error *err)
{
	const char *names[32];
	size_t n = 0;
	const char *near;
	autofree char *hint = NULL;

	for (; n < verb->n_options && n < 32; n++)
		names[n] = verb->options[n].name;
	near = str_nearest(word, names, n);
	hint = near ? str_printf("do you mean %s?", near)
		    : str_printf("`vmf help %s` shows what it takes", verb->name);
	return vmf_fail(err, VMF_E_USAGE, 0, hint, "%s: no option %s", verb->name, word);
}

/* Takes one option at argv[i]; returns how many words it was, 0: none of the verb's, -1. */
static int take_option(struct cli_call *call, char **argv, int argc, int i, struct vmf_error *err)
{
	const char *word = argv[i], *equals = strchr(word, '=');
	const struct cli_option *o;

	if (!str_starts(word, "--") || !word[2])
		return 0;
	o = option_of(call->verb, word, equals ? (size_t)(equals - word) : strlen(word));
	if (!o)
		return call->verb->args == ARGS_QEMU ? 0 : unknown_option(call->verb, word, err);
	strv_add(&call->options, o->name);
	if (!o->argument) {
		strv_add(&call->options, "");
		return equals ? vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s takes no value", o->name) : 1;
	}
	if (equals) {
		strv_add(&call->options, equals + 1);
		return 1;
	}
	if (i + 1 >= argc)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s wants %s behind it", o->name, o->argument);
	strv_add(&call->options, argv[i + 1]);
	return 2;
}

/* A word that may be left out is one only if it cannot be the next verb. */
static bool is_next_verb(const struct cli_call *call, const char *word)
{
	return cli_begins(cli_verbs, word) || ((call->verb->flags & VERB_SIZE) && cli_is_number(word));
}

static bool takes_word(const struct cli_call *call, const char *word)
{
	switch (call->verb->args) {
	case ARGS_ONE:
		return call->args.count == 0;
	case ARGS_TWO:
		return call->args.count < 2;
	case ARGS_OPTIONAL:
		return call->args.count == 0 && !is_next_verb(call, word);
	case ARGS_ONE_OPTIONAL:
		return call->args.count == 0 || (call->args.count == 1 && !is_next_verb(call, word));
	case ARGS_COUNTED:
		return call->args.count == 0 ||
		       (call->args.count <= (size_t)atoi(call->args.items[0]) && !is_next_verb(call, word));
	case ARGS_SETTINGS:
		return strchr(word, '=') != NULL;
	case ARGS_QEMU:
	case ARGS_REST:
		return true;
	case ARGS_NONE:
		break;
	}
	return false;
}

static size_t words_wanted(const struct cli_verb *verb)
{
	switch (verb->args) {
	case ARGS_ONE:
	case ARGS_ONE_OPTIONAL:
	case ARGS_SETTINGS:
	case ARGS_COUNTED:
		return 1;
	case ARGS_TWO:
		return 2;
	default:
		return 0;
	}
}

int cli_take_words(struct cli_call *call, char **argv, int argc, int i, struct vmf_error *err)
{
	while (i < argc) {
		int n;

		if (str_equal(argv[i], "--")) {
			i++;
			break;
		}
		n = take_option(call, argv, argc, i, err);
		if (n < 0)
			return -1;
		if (n == 0 && !takes_word(call, argv[i]))
			break;
		if (n == 0) {
			strv_add(&call->args, argv[i]);
			n = 1;
		}
		i += n;
	}
	if (call->args.count < words_wanted(call->verb))
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s wants %s behind it", call->verb->name,
			call->verb->usage);
	return i;
}
