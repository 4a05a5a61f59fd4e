/* SPDX-License-Identifier: ISC */
/* Starting QEMU: fds, privileges, its log, its death. */
#ifndef VMF_QEMU_PROCESS_H
#define VMF_QEMU_PROCESS_H

#include <sys/types.h>

#include "qemu/args.h"

struct qemu_spawn {
	const struct qemu_args *args;
	const char *program;    /* full path */
	int log_fd;             /* stdout and stderr; O_APPEND */
	int pid_fd;             /* a file that QEMU's pid ("123\n") is written to before exec, or -1 */
	const int *listen_fds;  /* bound unix sockets: the child calls listen(2) on them itself, so that SO_PEERCRED of
				 * a client shows QEMU's pid (unix(7)); they must be among args->fds */
	size_t n_listen_fds;
	mode_t umask;           /* for what QEMU makes itself */
	uid_t uid;              /* drop to these if they differ from ours; supplementary groups become GROUPS */
	gid_t gid;
	const gid_t *groups;
	size_t n_groups;
};

/*
 * Forks (vfork semantics: cheap) and executes QEMU in a session of its own, with default signals, stdin
 * from /dev/null, no_new_privs, no fds but those of args. Returns after exec has succeeded, with the pid
 * and a pidfd; -1 and err (VMF_E_MISSING: no such program; ...) otherwise, and then no process is left.
 */
int qemu_spawn(const struct qemu_spawn *spawn, pid_t *pid, int *pidfd, struct vmf_error *err);

/* Is PATH short enough for a unix socket? */
int qemu_socket_check(const char *path, struct vmf_error *err);
/* A bound, not yet listening, close-on-exec unix stream socket with MODE; paths over 107 bytes are an error that
 * says so. A socket that is there already is replaced. Returns the fd or -1. */
int qemu_socket(const char *path, mode_t mode, struct vmf_error *err);

/* The last whole lines of QEMU's log from OFFSET on, for messages: at most MAX bytes, without the final newline
 * and control characters. Never NULL; the caller frees. */
char *qemu_log_tail(const char *path, off_t offset, size_t max);

#endif
