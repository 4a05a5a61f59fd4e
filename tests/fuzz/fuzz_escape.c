/* SPDX-License-Identifier: ISC */
/* What a guest writes to its terminal: what is shown again of it must ask nothing, and modes must be undone.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No sequence but colours and a line's editing, and nothing that a second look would take out. */
static void check_clean(const char *text, size_t length)
{
	char *again = mem_alloc(length + 1);

	if (length)
		memcpy(again, text, length);
	if (history_clean(again, length) != length || memcmp(again, text, length) != 0)
		abort();
	free(again);
	for (size_t i = 0; i < length; i++) {
		if (text[i] == 0x05)
			abort();
		if (text[i] != 0x1b)
			continue;
		if (i + 2 >= length || text[i + 1] != '[')
			abort();
		for (i += 2; i < length && strchr("0123456789;:", text[i]) && text[i]; i++)
			;
		if (i >= length || !strchr("@ABCDGKPXm", text[i]))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct term_modes modes = {0};
	struct strbuf undo = STRBUF_INIT;
	char *text = mem_alloc(size + 1);

	if (size)
		memcpy(text, data, size);
	check_clean(text, history_clean(text, size));
	free(text);
	term_modes_feed(&modes, (const char *)data, size);
	term_modes_undo(&modes, &undo);
	/* the undoing undoes */
	term_modes_feed(&modes, undo.data ? undo.data : "", undo.length);
	undo.length = 0;
	term_modes_undo(&modes, &undo);
	if (undo.length)
		abort();
	strbuf_free(&undo);
	return 0;
}
