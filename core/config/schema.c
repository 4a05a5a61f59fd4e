/* SPDX-License-Identifier: ISC */
/* Looking words up in a schema, and what to say of those that are not in it. */
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"

#define LISTED_MAX 12 /* of the root's words that a message lists; more are for the man page */

size_t schema_option(const struct conf_schema *schema, const char *word, size_t length)
{
	for (size_t i = 0; i < schema->n_options; i++) {
		const char *name = schema->options[i].name;

		if (*name == *word && strncmp(name, word, length) == 0 && name[length] == '\0')
			return i;
	}
	return SIZE_MAX;
}

size_t schema_section(const struct conf_schema *schema, const char *word, size_t length)
{
	for (size_t i = 0; i < schema->n_sections; i++) {
		const char *keyword = schema->sections[i].keyword;

		if (strncmp(keyword, word, length) == 0 && keyword[length] == '\0')
			return i;
	}
	return SIZE_MAX;
}

/* The keyword of the section that the option belongs into, or NULL. */
static const char *section_with(const struct conf_schema *schema, const char *word)
{
	for (size_t i = 0; i < schema->n_sections; i++)
		if (schema_option(&schema->sections[i], word, strlen(word)) != SIZE_MAX)
			return schema->sections[i].keyword;
	return NULL;
}

char *schema_advice(const struct conf_schema *schema, const char *word)
{
	size_t n = schema->n_options + schema->n_sections, i = 0;
	const char **words = mem_alloc((n + 1) * sizeof(*words));
	struct strbuf all = STRBUF_INIT;
	const char *near, *elsewhere = section_with(schema, word);
	char *advice;

	for (size_t j = 0; j < schema->n_options; j++)
		words[i++] = schema->options[j].name;
	for (size_t j = 0; j < schema->n_sections; j++)
		words[i++] = schema->sections[j].keyword;
	near = str_nearest(word, words, n);
	for (i = 0; i < n; i++)
		strbuf_printf(&all, "%s%s", i ? ", " : "", words[i]);
	free(words);
	if (near)
		advice = str_printf("do you mean %s?", near);
	else if (elsewhere)
		advice = str_printf("it belongs into a section: %s", elsewhere);
	else if (n == 0)
		advice = str_dup("remove it");
	else if (n > LISTED_MAX && !schema->keyword)
		advice = str_dup("vmf.conf(5) lists what there is");
	else
		advice = str_printf("there are %s", all.data);
	strbuf_free(&all);
	return advice;
}
