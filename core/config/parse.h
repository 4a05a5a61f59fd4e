/* SPDX-License-Identifier: ISC */
/*
 * Between the files of core/config only: from the bytes of a file to statements with checked values.
 *
 *     lex.c     words, strings, punctuation, with lines; comments are blanked out
 *     scan.c    the grammar and the schema: statements with positions, every mistake in one go
 *     parse.c   reading files, includes; the values as libconfuse decodes them, checked
 *     setting.c the same statements from "disk.root.size=20G"
 *     tree.c    statements merged into a tree, layer by layer
 *     opts.c    plugins' options, from the texts that the tree keeps of their sections
 *     edit.c    changes in a text, where scan.c says that a statement stands
 *
 * libconfuse stops at the first mistake and counts lines wrong after comments. So it is given only text that
 * scan.c has found right, without comments, and only the options that occur in it.
 */
#ifndef VMF_CONFIG_PARSE_H
#define VMF_CONFIG_PARSE_H

#include "config/config.h"

#define FILE_MAX_BYTES (4u << 20)
#define INCLUDE_MAX_DEPTH 16
#define INCLUDE_MAX_FILES 256
#define DEPTH_MAX 16	  /* of sections in sections, unknown ones too */
#define VALUES_MAX 65536  /* values and list items in one file */
#define SECTIONS_MAX 4096 /* in one file */
#define PROBLEMS_MAX 50	  /* that are told one by one */
#define TITLE_MAX 200

extern const char conf_built_in[]; /* what conf_value.file is for the lowest layer */

/* ---- what is wrong ------------------------------------------------------------------------ */

struct problem {
	const char *file;
	int line;
	char *text;
};

struct problems {
	struct problem *items;
	size_t count, more;
};

void problem_add(struct problems *problems, const char *file, int line, const char *fmt, ...)
	VMF_PRINTF(4, 5);
/* 0 if there are none; else -1 and err set to all of them, a line each. Empties the list. */
int problems_report(struct problems *problems, struct vmf_error *err);

/* ---- words -------------------------------------------------------------------------------- */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,	/* memory, 2G */
	TOKEN_STRING,	/* "..." or '...' */
	TOKEN_VARIABLE, /* ${name} or ${name:-default} */
	TOKEN_SET,	/* = */
	TOKEN_ADD,	/* += */
	TOKEN_OPEN,	/* { */
	TOKEN_CLOSE,	/* } */
	TOKEN_COMMA,
	TOKEN_PAREN,   /* ( */
	TOKEN_UNPAREN, /* ) */
	TOKEN_BAD,     /* a problem was told */
};

struct token {
	enum token_kind kind;
	size_t at, end; /* positions in the text */
	int line;
};

struct lexer {
	const char *file, *text;
	size_t length, pos;
	int line;
	char *clean; /* a copy of the text that ends up without comments */
	bool warns;  /* of variables that are not set */
	struct problems *problems;
	int bad_line; /* one complaint about the grammar for each line is enough */
};

void lex_next(struct lexer *lexer, struct token *token);
/* Replaces a part of the clean copy with spaces; lines stay. */
void lex_blank(struct lexer *lexer, size_t from, size_t to);
/* A problem in the grammar; those that follow on the same line are consequences, and not told. */
void lex_complain(struct lexer *lexer, int line, const char *fmt, ...) VMF_PRINTF(3, 4);
/* A word that needs no quotes. */
bool lex_is_bare(const char *text);

/* ---- the schema --------------------------------------------------------------------------- */

/* Which of the options or sections it is; SIZE_MAX: none. */
size_t schema_option(const struct conf_schema *schema, const char *word, size_t length);
size_t schema_section(const struct conf_schema *schema, const char *word, size_t length);
/* What to do about an unknown word: the one that was meant, or all that there are. The caller frees. */
char *schema_advice(const struct conf_schema *schema, const char *word);

/* ---- statements --------------------------------------------------------------------------- */

enum stmt_kind {
	STMT_VALUE,   /* memory = 2G */
	STMT_SECTION, /* disk "root" { ... } */
	STMT_PLUGIN,  /* lvm { ... } */
	STMT_INCLUDE, /* include("more.conf") */
};

struct stmt {
	enum stmt_kind kind;
	struct stmt *next, *first; /* first: what is in the section, or in the included file */
	const char *file;
	int line;
	const char *word;		  /* the option's name, the section's keyword */
	const char *title;		  /* the section's, or NULL; the included path */
	const struct conf_schema *schema; /* SECTION */
	const struct vmf_option *option;  /* VALUE; NULL in a plugin's section */
	size_t index;			  /* of the option or section in its schema */
	bool append;			  /* += */
	size_t n_items;			  /* VALUE */
	struct conf_value *value;	  /* VALUE, once decoded */
	const char *text;		  /* PLUGIN: its body, owned by the arena */
	int text_line;
	size_t at, end;		    /* where the statement stands in the text */
	size_t value_at, value_end; /* where its value, or what is between a section's braces, stands */
	enum token_kind value_kind; /* TOKEN_OPEN: a list */
};

/* Which options and sections of a schema occur, numbered from 1 in the order that libconfuse will know them
 * in. */
struct used {
	const struct conf_schema *schema;
	unsigned short *options, *sections; /* 0: does not occur */
	struct used *subs;		    /* one for each section of the schema */
	size_t n_options, n_sections;
};

struct scan {
	struct lexer lexer;
	struct token token; /* the next one */
	size_t last_end;    /* the end of the one before */
	struct arena *arena;
	bool may_include, gave_up;
	size_t n_values, n_sections;
	struct used used;
	struct stmt *first;
};

/*
 * Scans TEXT (NUL-terminated, of that length). The scan's arena, lexer.file, .line, .warns and .problems are
 * set by the caller, everything else is zero. Afterwards lexer.clean (in the arena) is what libconfuse may
 * see.
 */
void scan_text(struct scan *scan, const struct conf_schema *schema, const char *text, size_t length);

/* ---- whole files -------------------------------------------------------------------------- */

/* Where something is parsed: strings and values go to the arena. */
struct parse {
	struct arena *arena;
	const struct conf_schema *schema;
	struct problems problems;
	const char *folder; /* relative paths begin here */
	size_t n_files;
	const struct parse_file *stack;
	struct stat *st; /* gets what the next file was when it was opened, then NULL; or NULL */
};

/* Statements of a file or text, or NULL if there are none (or problems). A file that is not there or cannot
 * be read sets err; what is wrong in it goes to the problems. */
struct stmt *parse_path(struct parse *parse, const char *path, struct vmf_error *err);
struct stmt *parse_text(
	struct parse *parse, const char *name, int line, const char *text, size_t length, bool may_include);
/* The value of an option from COUNT items as somebody wrote them; on a mistake NULL and a problem. */
struct conf_value *parse_value(struct parse *parse, const struct vmf_option *option, const char *const *items,
	size_t count, const char *file, int line);
/* A value as it stands behind `name =` in a file, and as defaults are written: lists as {"a", "b"}. */
struct conf_value *parse_written(
	struct parse *parse, const struct vmf_option *option, const char *text, const char *file);

/* Lines may end in CR LF: makes it LF, and returns the new length. */
size_t parse_drop_returns(char *text, size_t length);
/* The folder that relative paths in FILE begin in; the current one for "-o" and the like. The caller frees.
 */
char *parse_folder_of(const char *file);

/* ---- single settings ---------------------------------------------------------------------- */

/* What a key like disk.root.size or display.vnc-tcp.port speaks of. */
struct target {
	struct {
		const struct conf_schema *schema;
		size_t index;	   /* among the sections of the schema around it */
		const char *title; /* or NULL */
	} in[DEPTH_MAX];
	size_t depth;
	const char *plugin;		 /* keyword of a plugin's section in there, or NULL */
	const char *name;		 /* the option; NULL: the section as a whole */
	const struct vmf_option *option; /* NULL: a plugin's */
	size_t index;
};

/* MAY_BE_PLUGIN: display.vnc-tcp speaks of the plugin's section as a whole. */
int target_find(struct arena *arena, const struct conf_schema *schema, const char *key, bool may_be_plugin,
	struct target *target, struct vmf_error *err);
/* The setting as statements, as if it stood in a file; NULL on problems. */
struct stmt *target_stmt(
	struct parse *parse, const struct target *target, bool append, const char *value, const char *origin);
/* ---- trees -------------------------------------------------------------------------------- */

/* Bodies of a plugin's section, in the order of their layers. */
struct conf_text {
	struct conf_text *next;
	const char *text, *file;
	int line;
};

/* VALUE put on top of OLD (or NULL): with APPEND, lists are joined. */
struct conf_value *value_over(
	struct arena *arena, struct conf_value *old, struct conf_value *value, bool append);

#endif
