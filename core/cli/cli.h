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
	ARGS_TWO,      /* two words */
	ARGS_ONE_OPTIONAL, /* one word, and another unless that is a verb */
	ARGS_SETTINGS, /* one or more KEY=VALUE */
	ARGS_QEMU,     /* all up to --, or up to the end */
	ARGS_REST,     /* commands: all words */
	ARGS_COUNTED,  /* a number, and up to so many words, each unless it is a verb */
};

struct cli_call;

struct cli_verb {
	const char *name;    /* one word, or two: "disk add" */
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
#define VERB_SIZE 0x2u     /* its optional word is no bare number: that is a wait */
#define VERB_TRACE 0x4u    /* also for a VM whose definition is gone, while something of it is left */
#define VERB_BROKEN 0x8u   /* also for a VM whose definition cannot be read */
#define VERB_LIVE 0x10u    /* for what runs, whatever has become of its definition */

/* What `status` answers with; 0: it runs. Errors have the codes of enum vmf_code. */
enum cli_status { STATUS_OFF = 20, STATUS_PAUSED, STATUS_SAVED, STATUS_CRASHED, STATUS_HUNG, STATUS_HALTED, STATUS_BUSY };

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
extern const struct cli_option cli_globals[]; /* what stands before both; ends with a NULL name */

/* ---- words (words.c) ----------------------------------------------------------------------- */

/* By its whole name, "disk add", or an alias. */
const struct cli_verb *cli_find(const struct cli_verb *table, const char *name);
/* The one whose name ARGV begins with; *n_words says how many words that is. NULL: none. */
const struct cli_verb *cli_match(const struct cli_verb *table, char *const *argv, int argc, int *n_words);
/* Is WORD a name, or the first word of names? */
bool cli_begins(const struct cli_verb *table, const char *word);
/* Fails: ARGV begins with none of the table, but with what may be meant. */
int cli_unknown(const struct cli_verb *table, char *const *argv, int argc, struct vmf_error *err);
bool cli_is_number(const char *word);
/* Reads the call's words from argv[i] on; returns where the next verb begins, or -1. */
int cli_take_words(struct cli_call *call, char **argv, int argc, int i, struct vmf_error *err);
/* Next match after the first: options may be given several times. NULL: not given. */
const char *cli_option(const struct cli_call *call, const char *name, size_t nth);
/* A value on the command line is wrong, as ERR says: of WHAT. Returns -1. */
int cli_usage(struct vmf_error *err, const char *what);
int cli_main(int argc, char **argv);
/* A command and its words, or a VM and its chain. */
int cli_words(struct ctx *ctx, int argc, char **argv, int *exit_code, struct vmf_error *err);
void cli_say_error(const struct ctx *ctx, const struct vmf_error *err);

/* ---- output (output.c, table.c) ----------------------------------------------------------- */

/* Prints JSON on a line of its own; consumes it. */
void out_json(json_t *json);
/* A JSON string of any bytes: what is no UTF-8 becomes \xNN. NULL gives null. */
json_t *out_string(const char *text);
json_t *out_strings(const struct strv *texts);
/* TEXT as it may go to a terminal: control characters, but for newline and tab, as \xNN. The caller frees. */
char *out_clean(const char *text);
/* "2026-11-25 21:04:00", in local time. The caller frees. */
char *out_time(int64_t seconds);
/* What a verb has done: a line, unless -q; with --json FACTS (consumed), to which "vm" is added. Nothing in a dry
 * run. */
void out_result(const struct cli_call *call, json_t *facts, const char *fmt, ...) VMF_PRINTF(3, 4);
/* In a dry run: notes what would be done, and true. */
bool out_dry(const struct cli_call *call, const char *fmt, ...) VMF_PRINTF(2, 3);
/* Prints and forgets what a dry run has noted, and QEMU's command line, if there is one. */
void out_plan(const struct cli_call *call, const struct qemu_args *command);

/* Asks the person, who must type WORD to go on. VMF_E_USAGE: there is no terminal to ask on. */
int cli_confirm(const char *question, const char *word, struct vmf_error *err);

struct out_table;
/* COLUMNS: "NAME", ...; those that start with '>' are numbers: right-aligned. */
struct out_table *out_table_new(const char *const *columns, size_t n_columns);
/* Copies the cells, one per column; NULL or "": "-". */
void out_table_row(struct out_table *table, const char *const *cells);
/* On a terminal a table, else plain lines with tabs and without headings. */
void out_table_print(const struct out_table *table);
void out_table_free(struct out_table *table);
/* The version of the library that draws tables; NULL: it is not here, and tables are plain. */
const char *out_table_library(void);

/* ---- a terminal's two-way stream (stream.c) ------------------------------------------------ */

struct stream_options {
	const char *what;    /* "console of web0": for messages */
	int escape;          /* the key that leaves, if our input is a terminal; or -1 */
	int64_t timeout_ms;  /* 0: none */
	const char *until;   /* leave once this text was seen, or NULL */
	int64_t linger_ms;   /* after our input has ended: leave once the other side was quiet this long */
	const char *prompt;  /* ... or prompt_ms, if what it said last ends so; may be NULL */
	int64_t prompt_ms;
	const char *first;   /* shown before anything else */
	size_t first_length;
	size_t first_old;    /* how much of it UNTIL does not look through */
	int log_fd;          /* what the other side says is written there, too; 0: nowhere */
	/* If our input is a terminal: called at the beginning, and when it has another size; or NULL. */
	void (*resized)(void *data);
	void *data;
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

/* ---- what several verbs show ---------------------------------------------------------------- */

/* A disk and its volume. (disks.c) */
json_t *disk_json(const struct vm_disk *disk, const struct vmf_volume *volume);
/* A NIC, and what its plugin says of it; ERR is set if that failed. (nics.c) */
json_t *nic_json(struct vm *vm, const struct vm_nic *nic, bool is_running, struct vmf_error *err);
/* An option of the configuration or of a plugin: two lines of help, or JSON. (plugins.c) */
void option_print(const struct vmf_option *option);
json_t *option_json(const struct vmf_option *option);
int status_code(const struct vm_state *state); /* enum cli_status (look.c) */
/* What the person can do about it, or NULL; "running (pid 1, since ...): detail". The caller frees. */
char *status_advice(const struct vm_state *state, const char *name);
char *status_line(const struct vm_state *state);
json_t *status_json(const struct vm_state *state, const char *name);

/* ---- verbs, by file ------------------------------------------------------------------------ */

int verb_create(struct cli_call *, struct vmf_error *); /* define.c */
int verb_destroy(struct cli_call *, struct vmf_error *);
int verb_rename(struct cli_call *, struct vmf_error *);
int verb_move(struct cli_call *, struct vmf_error *); /* move.c */
int verb_set(struct cli_call *, struct vmf_error *);
int verb_ram(struct cli_call *, struct vmf_error *);
int verb_smp(struct cli_call *, struct vmf_error *);
int verb_cdrom(struct cli_call *, struct vmf_error *);
int verb_eject(struct cli_call *, struct vmf_error *);
int verb_lock(struct cli_call *, struct vmf_error *);
int verb_unlock(struct cli_call *, struct vmf_error *);
int verb_edit(struct cli_call *, struct vmf_error *); /* edit.c */
int verb_config(struct cli_call *, struct vmf_error *); /* settings.c */
int verb_newimg(struct cli_call *, struct vmf_error *); /* disks.c */
int verb_drives(struct cli_call *, struct vmf_error *);
int verb_disk_add(struct cli_call *, struct vmf_error *); /* disk.c */
int verb_disk_rm(struct cli_call *, struct vmf_error *);
int verb_disk_resize(struct cli_call *, struct vmf_error *);
int verb_disk_compress(struct cli_call *, struct vmf_error *);
int verb_disk_trim(struct cli_call *, struct vmf_error *);
int verb_disk_import(struct cli_call *, struct vmf_error *);
int verb_disk_export(struct cli_call *, struct vmf_error *);
int verb_disk_mount(struct cli_call *, struct vmf_error *);
int verb_disk_umount(struct cli_call *, struct vmf_error *);
int verb_ifadd(struct cli_call *, struct vmf_error *); /* nics.c */
int verb_ifdel(struct cli_call *, struct vmf_error *);
int verb_connect(struct cli_call *, struct vmf_error *);
int verb_disconnect(struct cli_call *, struct vmf_error *);
int verb_ifstat(struct cli_call *, struct vmf_error *);
int verb_addresses(struct cli_call *, struct vmf_error *); /* addresses.c */
int command_addresses(struct cli_call *, struct vmf_error *);
int verb_forward_add(struct cli_call *, struct vmf_error *);
int verb_forward_rm(struct cli_call *, struct vmf_error *);
int verb_snapshot(struct cli_call *, struct vmf_error *); /* snapshots.c */
int verb_snapshots(struct cli_call *, struct vmf_error *);
int verb_rollback(struct cli_call *, struct vmf_error *);
int verb_clone(struct cli_call *, struct vmf_error *);
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
int verb_log(struct cli_call *, struct vmf_error *);
int verb_info(struct cli_call *, struct vmf_error *); /* info.c */
int verb_console(struct cli_call *, struct vmf_error *); /* talk.c */
int verb_monitor(struct cli_call *, struct vmf_error *);
int verb_send(struct cli_call *, struct vmf_error *);
int verb_qmp(struct cli_call *, struct vmf_error *);
int verb_guest_agent(struct cli_call *, struct vmf_error *);
int verb_sendkey(struct cli_call *, struct vmf_error *);
int verb_screenshot(struct cli_call *, struct vmf_error *);
int verb_vnc(struct cli_call *, struct vmf_error *); /* vnc.c */
int verb_web(struct cli_call *, struct vmf_error *); /* web.c */
int verb_relay(struct cli_call *, struct vmf_error *); /* relay.c */
int verb_serial_relay(struct cli_call *, struct vmf_error *);
int verb_type(struct cli_call *, struct vmf_error *); /* type.c */
int command_top(struct cli_call *, struct vmf_error *); /* top.c */
int command_relays(struct cli_call *, struct vmf_error *); /* relays.c */
int command_list(struct cli_call *, struct vmf_error *); /* list.c */
int command_storage_list(struct cli_call *, struct vmf_error *); /* storage.c */
int command_storage_volumes(struct cli_call *, struct vmf_error *);
int command_storage_orphans(struct cli_call *, struct vmf_error *);
int command_net_show(struct cli_call *, struct vmf_error *); /* net.c */
int command_net_add(struct cli_call *, struct vmf_error *);
int command_net_delete(struct cli_call *, struct vmf_error *);
int command_net_segment(struct cli_call *, struct vmf_error *);
int command_net_wire(struct cli_call *, struct vmf_error *);
int command_net_ignore(struct cli_call *, struct vmf_error *);
int command_doctor(struct cli_call *, struct vmf_error *);
int command_state(struct cli_call *, struct vmf_error *);
int command_plugin(struct cli_call *, struct vmf_error *); /* plugins.c */
int command_help(struct cli_call *, struct vmf_error *); /* help.c */
int command_version(struct cli_call *, struct vmf_error *);
int command_completion(struct cli_call *, struct vmf_error *); /* completion.c */
int command_agent(struct cli_call *, struct vmf_error *); /* agent.c */
int command_backup(struct cli_call *, struct vmf_error *); /* backup.c */
int command_restore(struct cli_call *, struct vmf_error *);
int command_host_list(struct cli_call *, struct vmf_error *); /* hosts.c */
int command_host_ping(struct cli_call *, struct vmf_error *);
int command_host_info(struct cli_call *, struct vmf_error *);
int command_host_add(struct cli_call *, struct vmf_error *);
int command_host_rm(struct cli_call *, struct vmf_error *);

#endif
