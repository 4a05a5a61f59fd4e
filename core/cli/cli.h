/* SPDX-License-Identifier: ISC */
/*
 * The command line: one table of verbs and commands, from which the parser, the help, the man page's
 * list and the completions are made.
 */
#ifndef VMF_CLI_CLI_H
#define VMF_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "vm/vm.h"

struct cli_option {
	const char *name;     /* "--memory" */
	const char *argument; /* "SIZE"; NULL: a switch */
	const char *help;
	const char *setting;  /* create: the key that it sets */
};

/* What a verb takes besides its options. */
enum cli_args {
	ARGS_NONE,
	ARGS_OPTIONAL, /* one word, unless it is a verb */
	ARGS_ONE,      /* one word, whatever it is */
	ARGS_SETTINGS, /* one or more KEY=VALUE */
	ARGS_QEMU,     /* all up to --, or up to the end */
	ARGS_REST,     /* commands: all words */
};

struct cli_call;

struct cli_verb {
	const char *name;
	const char *aliases; /* words with blanks between, or NULL */
	enum cli_args args;
	const char *usage;   /* "[SIZE]" */
	const char *summary;
	const struct cli_option *options;
	size_t n_options;
	unsigned flags;      /* VERB_* */
	int (*run)(struct cli_call *call, struct vmf_error *err);
};

#define VERB_MAY_MISS 0x1u /* the VM need not be defined */
#define VERB_SIZE 0x2u     /* its optional word is a size with a unit: a bare number is a wait */

struct cli_call {
	struct ctx *ctx;
	struct vm *vm;       /* NULL for commands */
	const struct cli_verb *verb;
	struct strv args;
	struct strv options; /* "--name" and its value, by turns; switches have "" */
	bool is_last;        /* of its chain */
	int exit_code;       /* set by verbs whose answer is one (status) */
};

extern const struct cli_verb cli_verbs[];    /* of VMs; ends with a NULL name */
extern const struct cli_verb cli_commands[]; /* the others */

const struct cli_verb *cli_find(const struct cli_verb *table, const char *word);
/* Next match after the first: options may be given several times. NULL: not given. */
const char *cli_option(const struct cli_call *call, const char *name, size_t nth);
int cli_main(int argc, char **argv);

/* ---- output (output.c) -------------------------------------------------------------------- */

/* Prints JSON with a newline; consumes it. */
void out_json(json_t *json);

struct out_table;
/* COLUMNS: "NAME", ...; numbers are right-aligned where a heading starts with '>' */
struct out_table *out_table_new(const char *const *columns, size_t n_columns);
void out_table_row(struct out_table *table, const char *const *cells);
/* On a terminal a table, else plain lines with tabs and without headings. */
void out_table_print(struct out_table *table);

/* ---- a terminal's two-way stream (stream.c) ------------------------------------------------ */

struct stream_options {
	const char *what;    /* "console of web0": for messages */
	int escape;          /* the key that leaves, if our input is a terminal; or -1 */
	int64_t timeout_ms;  /* 0: none */
	const char *until;   /* leave once this text was seen, or NULL */
	int64_t linger_ms;   /* after our input has ended: leave once the other side was quiet this long */
	const char *prompt;  /* ... or prompt_ms, if what it said last ends so; may be NULL */
	int64_t prompt_ms;
	const char *first;   /* shown (and looked through) before anything else */
	size_t first_length;
};

enum stream_end {
	STREAM_LEFT,      /* by the escape key */
	STREAM_FOUND,     /* UNTIL was seen */
	STREAM_QUIET,     /* our input has ended, and nothing more came */
	STREAM_TIME,      /* the timeout has passed */
	STREAM_CLOSED,    /* by the other side */
	STREAM_NO_OUTPUT, /* nobody reads what we write, or the terminal is gone */
};

/*
 * Connects the terminal (or pipes) and the socket FD, which stays the caller's, until one side ends; the terminal is
 * put back as it was. SIGPIPE must be ignored. Returns enum stream_end, or -1 and err: a signal (VMF_E_FAILED), UNTIL
 * not seen in time (VMF_E_TIMEOUT) or before the other side ended (VMF_E_FAILED).
 */
int stream_attach(int fd, const struct stream_options *options, struct vmf_error *err);

/* ---- verbs, by file ------------------------------------------------------------------------ */

int verb_create(struct cli_call *, struct vmf_error *); /* define.c */
int verb_destroy(struct cli_call *, struct vmf_error *);
int verb_rename(struct cli_call *, struct vmf_error *);
int verb_set(struct cli_call *, struct vmf_error *);
int verb_ram(struct cli_call *, struct vmf_error *);
int verb_smp(struct cli_call *, struct vmf_error *);
int verb_cdrom(struct cli_call *, struct vmf_error *);
int verb_eject(struct cli_call *, struct vmf_error *);
int verb_lock(struct cli_call *, struct vmf_error *);
int verb_unlock(struct cli_call *, struct vmf_error *);
int verb_edit(struct cli_call *, struct vmf_error *); /* edit.c */
int verb_config(struct cli_call *, struct vmf_error *);
int verb_newimg(struct cli_call *, struct vmf_error *); /* disks.c */
int verb_drives(struct cli_call *, struct vmf_error *);
int verb_start(struct cli_call *, struct vmf_error *); /* power.c */
int verb_stop(struct cli_call *, struct vmf_error *);
int verb_kill(struct cli_call *, struct vmf_error *);
int verb_shutdown(struct cli_call *, struct vmf_error *);
int verb_reset(struct cli_call *, struct vmf_error *);
int verb_pause(struct cli_call *, struct vmf_error *);
int verb_resume(struct cli_call *, struct vmf_error *);
int verb_save(struct cli_call *, struct vmf_error *);
int verb_wait(struct cli_call *, struct vmf_error *);
int verb_status(struct cli_call *, struct vmf_error *); /* look.c */
int verb_info(struct cli_call *, struct vmf_error *);
int verb_log(struct cli_call *, struct vmf_error *);
int verb_console(struct cli_call *, struct vmf_error *); /* talk.c */
int verb_monitor(struct cli_call *, struct vmf_error *);
int verb_send(struct cli_call *, struct vmf_error *);
int verb_qmp(struct cli_call *, struct vmf_error *);
int verb_sendkey(struct cli_call *, struct vmf_error *);
int verb_screenshot(struct cli_call *, struct vmf_error *);
int command_list(struct cli_call *, struct vmf_error *); /* list.c */
int command_plugin(struct cli_call *, struct vmf_error *); /* plugins.c */
int command_help(struct cli_call *, struct vmf_error *); /* help.c */
int command_version(struct cli_call *, struct vmf_error *);
int command_completion(struct cli_call *, struct vmf_error *); /* completion.c */

#endif
