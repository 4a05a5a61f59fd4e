/* SPDX-License-Identifier: ISC */
/* From files to statements with values: reading, including, decoding by libconfuse, checking. */
#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/parse.h"
#include "config/paths.h"
#include "config/value.h"

/* A file that is being parsed, and those that led to it. */
struct parse_file {
	const struct parse_file *up;
	dev_t device;
	ino_t inode;
	unsigned depth;
};

/* ---- values ------------------------------------------------------------------------------- */

/* A path as it is stored: absolute. */
static char *absolute_path(struct parse *parse, const char *text)
{
	autofree char *home = NULL;
	autofree char *path = NULL;

	if (*text == '/' || !*text)
		return arena_dup(parse->arena, text);
	if (*text == '~' && (text[1] == '/' || !text[1])) {
		home = paths_home();
		return arena_printf(parse->arena, "%s%s", home, text + 1);
	}
	path = path_join(parse->folder, strncmp(text, "./", 2) == 0 && text[2] ? text + 2 : text);
	return arena_dup(parse->arena, path);
}

static char *stored(struct parse *parse, const struct vmf_option *option, const char *text)
{
	char mac[18];

	if (option->type == VMF_OPT_PATH || option->type == VMF_OPT_SECRET)
		return absolute_path(parse, text);
	if (option->type == VMF_OPT_MAC && value_parse_mac(text, mac, NULL) == 0)
		return arena_dup(parse->arena, mac);
	return arena_dup(parse->arena, text);
}

struct conf_value *parse_value(struct parse *parse, const struct vmf_option *option, const char *const *items,
	size_t count, const char *file, int line)
{
	struct conf_value *value = arena_alloc(parse->arena, sizeof(*value));
	bool ok = true;

	value->option = option;
	value->file = file;
	value->line = line;
	value->n_items = count;
	value->items = arena_alloc(parse->arena, (count + 1) * sizeof(*value->items));
	for (size_t i = 0; i < count; i++) {
		struct vmf_error err = VMF_ERROR_INIT;

		if (value_check(option, items[i], &value->number, &err) < 0) {
			problem_add(&parse->problems, file, line, "%s: %s", option->name, err.message);
			error_clear(&err);
			ok = false;
		}
		value->items[i] = stored(parse, option, items[i]);
	}
	return ok ? value : NULL;
}

/* ---- libconfuse --------------------------------------------------------------------------- */

/* libconfuse's scanner is global and its callbacks carry no data: there is one parse at a time. */
static struct parse *decoding;
static const char *decoding_file;
static int decoding_line; /* where its text begins */

static void told_by_confuse(cfg_t *cfg, const char *fmt, va_list ap) VMF_PRINTF(2, 0);
static void told_by_confuse(cfg_t *cfg, const char *fmt, va_list ap)
{
	char *text = str_vprintf(fmt, ap);

	problem_add(&decoding->problems, decoding_file, decoding_line + cfg->line - 1, "%s", text);
	free(text);
}

/* An option and a section may share a name, for libconfuse they may not: see scan.c, which did the same. */
static char *upper(struct arena *arena, const char *keyword)
{
	char *name = arena_dup(arena, keyword);

	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return name;
}

/* What libconfuse is to know: the options and sections that occur, all scalars as strings. */
static cfg_opt_t *declare(struct arena *arena, const struct used *used)
{
	cfg_opt_t *opts = arena_alloc(arena, (used->n_options + used->n_sections + 1) * sizeof(*opts));

	for (size_t i = 0; used->n_options && i < used->schema->n_options; i++) {
		const struct vmf_option *option = &used->schema->options[i];
		unsigned number = used->options[i];

		if (number && option->type == VMF_OPT_LIST)
			opts[number - 1] = (cfg_opt_t)CFG_STR_LIST(option->name, NULL, CFGF_NODEFAULT);
		else if (number)
			opts[number - 1] = (cfg_opt_t)CFG_STR(option->name, NULL, CFGF_NODEFAULT);
	}
	for (size_t i = 0; used->n_sections && i < used->schema->n_sections; i++) {
		const struct conf_schema *section = &used->schema->sections[i];
		unsigned number = used->sections[i];

		if (number)
			opts[used->n_options + number - 1] = (cfg_opt_t)CFG_SEC(
				upper(arena, section->keyword), declare(arena, &used->subs[i]),
				CFGF_MULTI | (section->flags & VMF_CONF_TITLED ? CFGF_TITLE : 0));
	}
	return opts;
}

/* How many values of each option and section have been fetched, in one section. */
struct fetched {
	size_t *options, *sections;
};

static void fetch(struct parse *parse, cfg_t *cfg, const struct used *used, struct stmt *stmts);

static void fetch_value(
	struct parse *parse, cfg_t *cfg, const struct used *used, struct stmt *stmt, size_t *done)
{
	cfg_opt_t *opt = cfg_getnopt(cfg, used->options[stmt->index] - 1u);
	const char *one[1];
	const char **items = one;

	if (!opt || cfg_opt_size(opt) < *done + stmt->n_items)
		return; /* behind a mistake that libconfuse has told of */
	if (stmt->n_items > 1)
		items = mem_alloc(stmt->n_items * sizeof(*items));
	for (size_t i = 0; i < stmt->n_items; i++)
		items[i] = cfg_opt_getnstr(opt, (unsigned)(*done + i));
	*done += stmt->n_items;
	stmt->value = parse_value(parse, stmt->option, items, stmt->n_items, stmt->file, stmt->line);
	if (items != one)
		free(items);
}

/* Statements and libconfuse's values come in the same order. */
static void fetch(struct parse *parse, cfg_t *cfg, const struct used *used, struct stmt *stmts)
{
	size_t *done = arena_alloc(parse->arena, (used->n_options + used->n_sections + 1) * sizeof(*done));

	for (struct stmt *stmt = stmts; stmt; stmt = stmt->next)
		if (stmt->kind == STMT_VALUE) {
			fetch_value(parse, cfg, used, stmt, &done[used->options[stmt->index]]);
		} else if (stmt->kind == STMT_SECTION) {
			size_t number = used->n_options + used->sections[stmt->index];
			cfg_opt_t *opt = cfg_getnopt(cfg, (unsigned)number - 1);
			cfg_t *section = opt && done[number] < cfg_opt_size(opt)
						 ? cfg_opt_getnsec(opt, (unsigned)done[number]++)
						 : NULL;

			if (section)
				fetch(parse, section, &used->subs[stmt->index], stmt->first);
		}
}

static void decode(struct parse *parse, struct scan *scan, int line)
{
	cfg_t *cfg;
	FILE *fp;

	if (scan->gave_up || (!scan->used.n_options && !scan->used.n_sections))
		return;
	cfg = cfg_init(declare(parse->arena, &scan->used), CFGF_NONE);
	fp = fmemopen(scan->lexer.clean, scan->lexer.length, "r");
	if (cfg && fp) {
		cfg_set_error_function(cfg, told_by_confuse);
		decoding = parse;
		decoding_file = scan->lexer.file;
		decoding_line = line;
		cfg_parse_fp(cfg, fp);
		fetch(parse, cfg, &scan->used, scan->first);
	} else {
		problem_add(&parse->problems, scan->lexer.file, 0, "cannot be parsed: %s", strerror(errno));
	}
	if (fp)
		fclose(fp);
	if (cfg)
		cfg_free(cfg);
}

/* ---- texts and files ---------------------------------------------------------------------- */

/* NUL bytes end a text for libconfuse, and what is not UTF-8 cannot be shown or put into JSON. */
static bool is_text(struct parse *parse, const char *file, const char *text, size_t length)
{
	size_t good = str_utf8_span(text);
	int line = 1;

	if (good == length)
		return true;
	for (size_t i = 0; i < good; i++)
		line += text[i] == '\n';
	if (text[good])
		problem_add(&parse->problems, file, line,
			"byte 0x%02x is not UTF-8, save the file in that encoding",
			(unsigned char)text[good]);
	else
		problem_add(&parse->problems, file, line, "a zero byte: this is no text file");
	return false;
}

char *parse_folder_of(const char *file)
{
	autofree char *parent = path_parent(file);
	autofree char *here = NULL;

	if (*parent == '/')
		return str_dup(parent);
	here = getcwd(NULL, 0);
	return path_join(here ? here : "/", str_equal(parent, ".") ? "" : parent);
}

size_t parse_drop_returns(char *text, size_t length)
{
	char *from = memchr(text, '\r', length), *to = from;

	if (!from)
		return length;
	for (; from < text + length; from++)
		if (from[0] != '\r' || from[1] != '\n')
			*to++ = *from;
	*to = '\0';
	return (size_t)(to - text);
}

static void include(struct parse *parse, struct stmt *stmt)
{
	autofree char *path = str_dup(absolute_path(parse, stmt->title));
	struct vmf_error err = VMF_ERROR_INIT;

	if (++parse->n_files > INCLUDE_MAX_FILES) {
		problem_add(&parse->problems, stmt->file, stmt->line,
			"too many included files, %d are possible", INCLUDE_MAX_FILES);
		return;
	}
	stmt->first = parse_path(parse, path, &err);
	if (err.code)
		problem_add(&parse->problems, stmt->file, stmt->line,
			"include(\"%s\"): %s, mend it or remove this line", stmt->title, err.message);
	error_clear(&err);
}

/* TEXT is in the arena and may be changed. */
static struct stmt *parse_owned(
	struct parse *parse, const char *name, int line, char *text, size_t length, bool may_include)
{
	struct scan scan = {.arena = parse->arena, .may_include = may_include};

	if (!is_text(parse, name, text, length))
		return NULL;
	length = parse_drop_returns(text, length);
	scan.lexer.file = name;
	scan.lexer.line = line;
	scan.lexer.warns = true;
	scan.lexer.problems = &parse->problems;
	scan_text(&scan, parse->schema, text, length);
	decode(parse, &scan, line);
	for (struct stmt *stmt = scan.first; stmt; stmt = stmt->next)
		if (stmt->kind == STMT_INCLUDE)
			include(parse, stmt);
	return scan.first;
}

struct stmt *parse_text(
	struct parse *parse, const char *name, int line, const char *text, size_t length, bool may_include)
{
	char *copy;

	if (length > FILE_MAX_BYTES) {
		problem_add(&parse->problems, name, 0, "too large, at most %u MiB", FILE_MAX_BYTES >> 20);
		return NULL;
	}
	copy = arena_alloc(parse->arena, length + 1);
	memcpy(copy, text, length);
	return parse_owned(parse, name, line, copy, length, may_include);
}

/* All of a regular file, in the arena. */
static char *read_fd(struct parse *parse, int fd, const struct stat *st, size_t *length)
{
	size_t room = (size_t)st->st_size + 1, have = 0;
	char *text;

	if (st->st_size > (off_t)FILE_MAX_BYTES) {
		errno = EFBIG;
		return NULL;
	}
	text = arena_alloc(parse->arena, room + 1);
	for (;;) {
		ssize_t n = read(fd, text + have, room - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return NULL;
		have += (size_t)n;
		/* the room for one more than there was is left: this is the end, without asking again */
		if (n == 0 || have < room)
			break;
		if (have > FILE_MAX_BYTES) {
			errno = EFBIG;
			return NULL;
		} else {
			char *larger = arena_alloc(parse->arena, 2 * room + 1);

			memcpy(larger, text, have);
			text = larger;
			room *= 2;
		}
	}
	text[have] = '\0';
	*length = have;
	return text;
}

static struct stmt *parse_opened(struct parse *parse, int fd, const char *path, struct vmf_error *err)
{
	const struct parse_file *up = parse->stack;
	struct parse_file here = {.up = up, .depth = up ? up->depth + 1 : 0};
	const char *folder = parse->folder;
	autofree char *own_folder = NULL;
	struct stmt *stmts;
	struct stat st;
	size_t length;
	char *text;

	if (fstat(fd, &st) < 0) {
		vmf_fail_errno(err, NULL, "%s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is %s, not a file", path,
			S_ISDIR(st.st_mode) ? "a folder" : "a device, socket or pipe");
		return NULL;
	}
	if (parse->st)
		*parse->st = st;
	parse->st = NULL;
	here.device = st.st_dev;
	here.inode = st.st_ino;
	for (const struct parse_file *f = up; f; f = f->up)
		if (f->device == st.st_dev && f->inode == st.st_ino) {
			vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s includes itself in the end", path);
			return NULL;
		}
	if (here.depth > INCLUDE_MAX_DEPTH) {
		vmf_fail(err, VMF_E_CONFIG, 0, NULL, "too many files include each other, %d are possible",
			INCLUDE_MAX_DEPTH);
		return NULL;
	}
	text = read_fd(parse, fd, &st, &length);
	if (!text) {
		vmf_fail(err, VMF_E_CONFIG, errno, NULL, "%s", path);
		return NULL;
	}
	own_folder = parse_folder_of(path);
	parse->folder = own_folder;
	parse->stack = &here;
	stmts = parse_owned(parse, arena_dup(parse->arena, path), 1, text, length, true);
	parse->stack = up;
	parse->folder = folder;
	return stmts;
}

struct stmt *parse_path(struct parse *parse, const char *path, struct vmf_error *err)
{
	/* O_NONBLOCK: opening a pipe must not wait for its other end */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		vmf_fail_errno(err, NULL, "%s", path);
		return NULL;
	}
	return parse_opened(parse, fd, path, err);
}

struct conf_value *parse_written(
	struct parse *parse, const struct vmf_option *option, const char *text, const char *file)
{
	const struct conf_schema one = {.options = option, .n_options = 1};
	struct parse sub = *parse;
	autofree char *line = NULL;
	struct stmt *stmt;

	if (option->type != VMF_OPT_LIST || *text != '{')
		return parse_value(parse, option, &text, 1, file, 0);
	line = str_printf("%s = %s\n", option->name, text);
	sub.schema = &one;
	stmt = parse_text(&sub, file, 0, line, strlen(line), false);
	parse->problems = sub.problems;
	if (!stmt || stmt->next || stmt->kind != STMT_VALUE)
		return NULL;
	if (stmt->value)
		stmt->value->line = 0;
	return stmt->value;
}
