/* SPDX-License-Identifier: ISC */
/*
 * The configuration: files read with libconfuse, merged layer by layer into one tree whose every value
 * knows where it came from.
 *
 *     built-in < vmf.conf < class default < class NAME < the VM < -o key=value
 *
 * Later layers override key by key; sections of the same keyword and title merge. A list written with
 * += is appended to what the earlier layers gave.
 *
 * Sub-sections named after plugins (VMF_CONF_PLUGIN below) are kept as text and parsed only when
 * somebody asks for the plugin's options: so only plugins that are used are loaded, and a broken, unused
 * one disturbs nobody. This file knows no plugin and no VM; the schema is given by the caller.
 */
#ifndef VMF_CONFIG_CONFIG_H
#define VMF_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/str.h"

/* What may stand in a file: options, and sections of further ones. */
struct conf_schema {
	const char *keyword;                /* "disk"; NULL for the root */
	unsigned flags;                     /* VMF_CONF_* */
	const char *help;
	const struct vmf_option *options;
	size_t n_options;
	const struct conf_schema *sections;
	size_t n_sections;
};

#define VMF_CONF_TITLED 0x1u /* disk "root" { ... }; without: one section, given once per file */
#define VMF_CONF_PLUGIN 0x2u /* sub-sections of any other keyword are a plugin's, kept as text */

struct conf_value {
	const struct vmf_option *option;
	char **items;          /* NULL-terminated; scalars have one */
	size_t n_items;
	int64_t number;        /* scalars of INT, SIZE, BOOL, PORT, TIME: parsed */
	const char *file;      /* owned by the tree; "built-in", "-o" or a path */
	int line;              /* 0: none */
};

struct conf_section {
	const struct conf_schema *schema; /* NULL: a plugin's section */
	const char *keyword, *title;      /* title may be NULL */
	const char *file;
	int line;
	const struct conf *owner;         /* copies of a tree share what they do not change */
	/* In order of first appearance, but plugins' sections in the order in which they were last touched: of
	 * several, the last one is the highest layer's. NULL-terminated, or NULL. */
	struct conf_section **sections;
	size_t n_sections;
	struct conf_value **values;       /* one per option of the schema, in its order; NULL: not set, no default */
	size_t n_values;
	struct conf_text *texts;          /* a plugin's section: its bodies, layer by layer */
};

struct conf;

/* A new tree with the schema's defaults as lowest layer. SCHEMA outlives the tree. Never NULL. */
struct conf *conf_new(const struct conf_schema *schema);
/* A deep enough copy: layers can be added to it without touching the original, which must outlive it. */
struct conf *conf_copy(const struct conf *base);
/* Puts the layers that were added since conf_copy() on top of another tree of the same schema, without reading them
 * again. BASE must outlive CONF; sections and values that were got before are gone. */
void conf_rebase(struct conf *conf, const struct conf *base);
void conf_free(struct conf *conf);
/* What was added to CONF since it was made or copied, as a file would say it, but for the option BUT. */
void conf_put_layers(const struct conf *conf, const char *but, struct strbuf *out);

/* Reads a file and merges it. All errors in it are reported together, one "file:line: what" a line in
 * err's message. A missing file: VMF_E_NOT_FOUND. `include("path")` is relative to the file. */
int conf_add_file(struct conf *conf, const char *path, struct vmf_error *err);
/* The same; *st gets what the file was when it was opened, unless it could not be. */
int conf_add_file_stat(struct conf *conf, const char *path, struct stat *st, struct vmf_error *err);
/* The same for text (tests, fuzzing, definitions that arrive by stream); NAME stands for the file. */
int conf_add_text(struct conf *conf, const char *name, const char *text, size_t length, struct vmf_error *err);
/* One setting: "memory=2G", "disk.root.size=20G", "display.vnc-tcp.port=5901", "args+=-snapshot".
 * Titles with dots are quoted: disk."a.b".size=1G. The value is taken as it is, but for lists, which may be written
 * {"a", "b"}. ORIGIN: "-o". */
int conf_add_setting(struct conf *conf, const char *setting, const char *origin, struct vmf_error *err);

const struct conf_section *conf_root(const struct conf *conf);
/* The first section of that keyword (and title, unless NULL), or NULL. */
const struct conf_section *conf_find(const struct conf_section *in, const char *keyword, const char *title);
/* The value, the schema's default included; NULL if neither is there. */
const struct conf_value *conf_get(const struct conf_section *in, const char *name);
/* Shorthands; for the default-less and unset: NULL, 0, false. */
const char *conf_string(const struct conf_section *in, const char *name);
int64_t conf_number(const struct conf_section *in, const char *name);
bool conf_is_set(const struct conf_section *in, const char *name); /* by any layer above built-in */
/* "file:line" or "built-in", into a static ring of four buffers. */
const char *conf_where(const char *file, int line);

/* ---- plugins' options --------------------------------------------------------------------- */

/* Resolved options of one use of a plugin. Plugins see it through the host's opt_ calls. */
struct vmf_opts {
	struct conf_value **values; /* one per option of the table, in its order */
	size_t n_values;
	const char *plugin;
};

/*
 * Resolves a plugin's options: its table's defaults < SECTIONS[0] < SECTIONS[1] ... (each a plugin's
 * section or NULL: the storage's own, then the disk's). Unknown keys, wrong values and missing
 * required options are errors with file:line. Free with conf_opts_free().
 */
struct vmf_opts *conf_opts_resolve(const struct vmf_plugin *plugin, const struct conf_section *const *sections,
	size_t n_sections, struct vmf_error *err);
/* The same from "key=value" lines, as kept in run folders (see conf_opts_save()). */
struct vmf_opts *conf_opts_load(const struct vmf_plugin *plugin, const char *json, struct vmf_error *err);
/* A JSON object of all that is set; the caller frees. */
char *conf_opts_save(const struct vmf_opts *opts);
const struct conf_value *conf_opts_get(const struct vmf_opts *opts, const char *name);
void conf_opts_free(struct vmf_opts *opts);

/* ---- changing a person's file ------------------------------------------------------------- */

/*
 * Sets KEY (the same words as conf_add_setting()) in the text of a file and returns the new text: one
 * line changes, every comment stays. A value written as ${var:-default} keeps its wrapper and gets a
 * new default. VALUE NULL removes the line. Sections that are missing are appended. The value is checked
 * against the schema; plugin sections' keys are taken as they are. The caller frees; NULL on error.
 */
char *conf_edit_text(const struct conf_schema *schema, const char *name, const char *text, const char *key,
	const char *value, struct vmf_error *err);

/* Quotes a string as the files want it. The caller frees. */
char *conf_quote(const char *text);

#endif
