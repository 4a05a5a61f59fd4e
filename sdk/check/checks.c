/* SPDX-License-Identifier: ISC */
/* The list of checks, and those that look at the plugin's table without calling it. */
#include "check.h"

#include <ctype.h>
#include <string.h>

#include "base/proc.h"

/* Lower case (unless it begins with a name in capitals), one line, no full stop. */
static void look_at_words(struct subject *s, const char *where, const char *words)
{
	if (strchr(words, '\n') || strlen(words) > 100)
		complain(s, "%s: one line of at most 100 characters: \"%s\"", where, words);
	if (str_ends(words, "."))
		complain(s, "%s: no full stop: \"%s\"", where, words);
	if (isupper((unsigned char)words[0]) && islower((unsigned char)words[1]))
		complain(s, "%s: begins in lower case: \"%s\"", where, words);
}

static void table_loads(struct subject *s)
{
	(void)s; /* the subject is loaded and described already: see main() */
}

static void table_words(struct subject *s)
{
	const struct vmf_plugin *p = &s->plugin.desc;

	look_at_words(s, "summary", p->summary);
	for (size_t i = 0; i < p->n_options; i++) {
		look_at_words(s, p->options[i].name, p->options[i].help);
		if (!p->options[i].since)
			complain(s, "option %s: since which version?", p->options[i].name);
	}
	for (size_t i = 0; i < p->n_needs; i++)
		if (p->needs[i].why)
			look_at_words(s, "need", p->needs[i].why);
}

static void table_options(struct subject *s)
{
	const struct vmf_plugin *p = &s->plugin.desc;

	for (size_t i = 0; i < p->n_options; i++) {
		const struct vmf_option *o = &p->options[i];

		if ((o->flags & VMF_OPT_F_REQUIRED) && o->default_value)
			complain(s, "option %s: required, but it has a default", o->name);
		if (o->choices && o->type != VMF_OPT_ENUM)
			complain(s, "option %s: choices are for enums", o->name);
		if (o->choices &&
			(strstr(o->choices, "||") || o->choices[0] == '|' || str_ends(o->choices, "|")))
			complain(s, "option %s: an empty choice in \"%s\"", o->name, o->choices);
	}
}

static void table_needs(struct subject *s)
{
	const struct vmf_plugin *p = &s->plugin.desc;
	struct strbuf missing = STRBUF_INIT;

	for (size_t i = 0; i < p->n_needs; i++) {
		autofree char *found =
			p->needs[i].type == VMF_NEED_PROGRAM ? proc_find_program(p->needs[i].what) : NULL;

		if (p->needs[i].type == VMF_NEED_PROGRAM && !found && !p->needs[i].optional)
			strbuf_printf(&missing, "%s%s", missing.length ? ", " : "", p->needs[i].what);
	}
	if (missing.length)
		skip(s, "not installed here: %s", missing.data);
	strbuf_free(&missing);
}

const struct check checks[] = {
	{"loads", "the file can be trusted and loaded, and its table is one that vmf takes", ALL_KINDS, false,
		false, table_loads},
	{"words", "summary and helps are short lines in lower case", ALL_KINDS, false, false, table_words},
	{"options", "the option table makes sense", ALL_KINDS, false, false, table_options},
	{"needs", "the programs that it needs are here", ALL_KINDS, false, false, table_needs},
	{"agrees", "it has the calls that it says it has, and says so of those it has", ALL_KINDS, false,
		true, calls_agree},
	{"dry-run", "every call in a dry run keeps the contract and changes nothing", ALL_KINDS, false, true,
		calls_dry},
	{"faults", "every call keeps the contract when the host's services fail", ALL_KINDS, false, true,
		calls_faults},
	{"nothing-there", "undoing what is not there succeeds",
		OF(VMF_STORAGE) | OF(VMF_NETWORK) | OF(VMF_DISPLAY), true, true, calls_nothing_there},
	{"life", "from making to removing, with what lies between", ALL_KINDS, true, true, calls_life},
	{NULL, NULL, 0, false, false, NULL},
};
