/* SPDX-License-Identifier: ISC */
/* What the talking verbs are made of: who is there, terminals' control sequences, and what a guest said before. */
#ifndef VMF_CLI_TALK_H
#define VMF_CLI_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vm/vm.h"

/* ---- who can be talked with (talk.c) ------------------------------------------------------ */

/* Fails unless the VM is alive, does not hang as far as can be seen, and may be changed by us if that is meant. */
int talk_need(struct vm *vm, bool to_change, struct vmf_error *err);
/* The same, and a connection to its QMP: vm->qmp. */
int talk_qmp(struct vm *vm, bool to_change, struct vmf_error *err);

/* One of QEMU's sockets for people. It serves one client; a second one is let wait, without a word. */
struct talk_line {
	const char *name; /* "console" */
	char socket[8];	  /* below the run folder */
	char chardev[16]; /* QEMU's name for it */
	off_t lock_byte;  /* of run/NAME/clients; a console's is its port's number */
};

/* The serial port of that number, NULL: the first. VMF_E_USAGE or VMF_E_NOT_FOUND if there is none. */
int talk_serial(struct vm *vm, const char *number, struct talk_line *line, struct vmf_error *err);
/* The right to talk on the line, while *claim_fd (the caller's) is open in this process. VMF_E_BUSY, and who has it. */
int talk_claim(struct vm *vm, const struct talk_line *line, int *claim_fd, struct vmf_error *err);
/* A stream to it. VMF_E_BUSY if another program has it. */
int talk_connect(struct vm *vm, const struct talk_line *line, struct vmf_error *err);

/* "somebody types on it (pid 17)" or "nobody types on it"; valid until the next call. */
const char *talk_holder(struct vm *vm, const struct talk_line *line);
/* A stream of what the line says from now on, out of the log that QEMU writes; what is sent to it goes nowhere. It ends
 * with QEMU. *begin: where in the log. -1 and err. (watch.c) */
int watch_open(struct vm *vm, const struct talk_line *line, off_t *begin, struct vmf_error *err);

/* ---- control sequences (escape.c) --------------------------------------------------------- */

enum escape_kind {
	ESCAPE_TEXT,  /* this byte stands outside of any sequence */
	ESCAPE_PART,  /* it is inside of one that goes on */
	ESCAPE_SHORT, /* it ends one of ESC, `params` (if any) and `final` */
	ESCAPE_CSI,   /* it ends one of ESC [ `params` `final` */
	ESCAPE_OTHER, /* it ends a string (title, query, ...), or one that was given up */
};

/* A reader of sequences, byte by byte; starts zeroed. */
struct escape {
	int state;       /* 0: outside of any sequence */
	char params[32]; /* NUL-terminated */
	size_t n_params;
	char final;
};

enum escape_kind escape_feed(struct escape *escape, unsigned char c);

/* What a guest's programs have switched in the terminal that shows them; starts zeroed. */
struct term_modes {
	struct escape escape;
	unsigned private_modes; /* bits of a table in escape.c */
	bool has_keypad, has_style, has_charset, has_region;
};

void term_modes_feed(struct term_modes *modes, const char *data, size_t length);
/* The sequences that switch it all back, added to UNDO; nothing if nothing is switched. */
void term_modes_undo(const struct term_modes *modes, struct strbuf *undo);

/* ---- what was said before (history.c) ----------------------------------------------------- */

/*
 * Takes out, in place, what must not be shown a second time: sequences that question the terminal (the answer would
 * be typed into the guest), switch its modes, or move about the screen. Returns the new length.
 */
size_t history_clean(char *data, size_t length);
/*
 * The last LINES lines of the log FD before its byte END, a last line without a newline counted, cleaned and added to
 * OUT; only the end of the log is read, and never more than 1 MiB. RUN is the byte that the present run of QEMU begins
 * at (beyond END: not known, all is); *old gets how much of what was added comes from earlier ones. 0, or -1 with errno.
 */
int history_read(int fd, off_t run, off_t end, size_t lines, struct strbuf *out, size_t *old);

#endif
