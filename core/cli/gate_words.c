/* SPDX-License-Identifier: ISC */
#include "cli/gate.h"

#include <string.h>

#define TEXT_MAX 4096u
#define WORDS_MAX 100u

static int wrong(struct vmf_error *err, const char *why)
{
	return vmf_fail(err, VMF_E_USAGE, 0, "as in: web0 start", "the command %s", why);
}

/* One word, from *at on, which is no blank. */
static int take_word(const char **at, struct strbuf *word, struct vmf_error *err)
{
	const char *p = *at;
	char quote = 0;

	for (; *p && (quote || *p != ' '); p++) {
		if (!quote && (*p == '\'' || *p == '"')) {
			quote = *p;
		} else if (quote && *p == quote) {
			quote = 0;
		} else if (*p == '\\' && quote != '\'') {
			if (!*++p)
				return wrong(err, "ends with a backslash");
			strbuf_putc(word, *p);
		} else {
			strbuf_putc(word, *p);
		}
	}
	*at = p;
	return quote ? wrong(err, "has a quote without its other one") : 0;
}

int gate_split(const char *text, struct strv *words, struct vmf_error *err)
{
	if (strlen(text) > TEXT_MAX)
		return wrong(err, "is too long");
	if (text[str_utf8_span(text)])
		return wrong(err, "is no UTF-8");
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < ' ' || *p == 0x7f)
			return wrong(err, "has control characters in it");
	for (const char *p = text; *p;) {
		struct strbuf word = STRBUF_INIT;

		if (*p == ' ') {
			p++;
			continue;
		}
		if (words->count == WORDS_MAX)
			return wrong(err, "has too many words");
		if (take_word(&p, &word, err) < 0) {
			strbuf_free(&word);
			return -1;
		}
		strv_take(words, strbuf_take(&word));
	}
	return 0;
}
