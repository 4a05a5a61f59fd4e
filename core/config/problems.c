/* SPDX-License-Identifier: ISC */
/* What is wrong with the files, gathered and then told at once. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/parse.h"

void problem_add(struct problems *problems, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	if (problems->count >= PROBLEMS_MAX) {
		problems->more++;
		return;
	}
	problems->items = mem_resize(problems->items, (problems->count + 1) * sizeof(*problems->items));
	va_start(ap, fmt);
	problems->items[problems->count++] = (struct problem){file, line, str_vprintf(fmt, ap)};
	va_end(ap);
}

/* Lines of one file in their order; files in the order that they were found in. */
static void sort(struct problems *problems)
{
	struct problem *items = problems->items;

	for (size_t i = 1; i < problems->count; i++) {
		struct problem one = items[i];
		size_t to = i, file = i;

		while (file > 0 && !str_equal(items[file - 1].file, one.file))
			file--;
		for (to = file;
			to > 0 && str_equal(items[to - 1].file, one.file) && items[to - 1].line > one.line;)
			to--;
		if (file == 0)
			continue; /* the first of its file */
		memmove(&items[to + 1], &items[to], (i - to) * sizeof(one));
		items[to] = one;
	}
}

int problems_report(struct problems *problems, struct vmf_error *err)
{
	struct strbuf text = STRBUF_INIT;
	int rc = problems->count ? -1 : 0;

	sort(problems);
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *p = &problems->items[i];

		strbuf_printf(&text, "%s%s%s%s", i ? "\n" : "", conf_where(p->file, p->line),
			*p->file ? ": " : "", p->text);
		free(p->text);
	}
	if (problems->more)
		strbuf_printf(&text, "\n%s: %zu more like these", problems->items[0].file, problems->more);
	if (rc < 0)
		vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s", text.data);
	strbuf_free(&text);
	free(problems->items);
	memset(problems, 0, sizeof(*problems));
	return rc;
}
