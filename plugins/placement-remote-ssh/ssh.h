/* SPDX-License-Identifier: ISC */
/* Between the files of placement-remote-ssh. */
#ifndef SSH_H
#define SSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmf/plugin.h>

/* An ssh that runs, and where its words go. */
struct link {
	int fd;	   /* our end of its standard input and output */
	int words; /* a file in memory: its standard error */
	int pid;
	struct link *next;
};

/* Starts ssh with the call's options and what is added to them: a forward (-W), or a command. */
int link_open(
	const struct vmf_call *c, const char *forward, const char *command, int *fd, struct vmf_error *err);
/* Runs a command there and gives what it prints; NULL: it failed. */
char *link_ask(const struct vmf_call *c, const char *command, struct vmf_error *err);
/* Ends it. If ssh itself has ended before, ERR says why. An fd that is none of ours: 0. */
int link_close(const struct vmf_call *c, int fd, struct vmf_error *err);
/* What STATUS (an exit code, or 128 + signal) and the words of an ssh mean. -1, always. (words.c) */
int words_fail(const struct vmf_call *c, int status, char *words, struct vmf_error *err);

#endif
