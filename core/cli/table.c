/* SPDX-License-Identifier: ISC */
/*
 * Tables, by libsmartcols. It is loaded when a table goes to a terminal: most runs print none, and to be
 * linked with it costs a tenth of the time that vmf needs to start. Where it is not installed rows are
 * printed as to a pipe.
 */
#include "cli/cli.h"

#include <dlfcn.h>
#include <libsmartcols/libsmartcols.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/tty.h"

/* ---- the library -------------------------------------------------------------------------- */

#define LIBRARY "libsmartcols.so.1" /* the ABI of its header, since 2014 */

#define FUNCTIONS(F) \
	F(scols_get_library_version) \
	F(scols_line_set_data) \
	F(scols_new_table) \
	F(scols_print_table) \
	F(scols_table_new_column) \
	F(scols_table_new_line) \
	F(scols_unref_table)

static struct {
#define MEMBER(name) __typeof__(&name) name;
	FUNCTIONS(MEMBER)
} lib;

static bool load_library(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	bool is_whole = handle != NULL;

#define LOAD(name) is_whole = is_whole && (lib.name = (__typeof__(&name))dlsym(handle, #name)) != NULL;
	FUNCTIONS(LOAD)
	return is_whole;
}

const char *out_table_library(void)
{
	const char *version = NULL;

	if (load_library())
		lib.scols_get_library_version(&version);
	return version;
}

/* ---- tables ------------------------------------------------------------------------------- */

struct out_table {
	const char *const *columns;
	size_t n_columns;
	struct strv cells; /* row by row */
};

struct out_table *out_table_new(const char *const *columns, size_t n_columns)
{
	struct out_table *table = mem_alloc(sizeof(*table));

	table->columns = columns;
	table->n_columns = n_columns;
	return table;
}

void out_table_row(struct out_table *table, const char *const *cells)
{
	for (size_t i = 0; i < table->n_columns; i++) {
		char *cell = out_clean(cells[i] && *cells[i] ? cells[i] : "-");

		for (char *c = cell; *c; c++) /* a row is a line, a tab is a border */
			if (*c == '\n' || *c == '\t')
				*c = ' ';
		strv_take(&table->cells, cell);
	}
}

static void print_plain(const struct out_table *table)
{
	for (size_t i = 0; i < table->cells.count; i++) {
		fputs(table->cells.items[i], stdout);
		putchar((i + 1) % table->n_columns ? '\t' : '\n');
	}
}

static void print_pretty(const struct out_table *table)
{
	struct libscols_table *pretty;
	struct libscols_line *line = NULL;

	setlocale(LC_CTYPE, "");
	pretty = load_library() ? lib.scols_new_table() : NULL;
	if (!pretty) {
		print_plain(table);
		return;
	}
	for (size_t i = 0; i < table->n_columns; i++) {
		bool is_number = table->columns[i][0] == '>';

		lib.scols_table_new_column(
			pretty, table->columns[i] + is_number, 0, is_number ? SCOLS_FL_RIGHT : 0);
	}
	for (size_t i = 0; i < table->cells.count; i++) {
		if (i % table->n_columns == 0)
			line = lib.scols_table_new_line(pretty, NULL);
		if (line)
			lib.scols_line_set_data(line, i % table->n_columns, table->cells.items[i]);
	}
	lib.scols_print_table(pretty);
	lib.scols_unref_table(pretty);
}

void out_table_print(const struct out_table *table)
{
	if (table->cells.count == 0)
		; /* headings of nothing are noise */
	else if (tty_is(STDOUT_FILENO))
		print_pretty(table);
	else
		print_plain(table);
}

void out_table_free(struct out_table *table)
{
	strv_free(&table->cells);
	free(table);
}
