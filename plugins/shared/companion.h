/* SPDX-License-Identifier: ISC */
/*
 * A program that stays beside a VM's QEMU, and ends by itself: when the other end of something that it has open is closed. For
 * plugins that need one; it knows nothing but the SDK.
 */
#ifndef PLUGINS_COMPANION_H
#define PLUGINS_COMPANION_H

#include <stddef.h>
#include <sys/types.h>

#include <vmf/plugin.h>

#define COMPANION_FD 3 /* it has FDS by the numbers from here on */

struct companion {
	const char *package; /* Debian's, for the message if there is no such program */
	const char *instead; /* what can be done without it */
	pid_t pid;           /* set */
	int words;           /* set: what it says, the caller's until companion_end() */
};

/* Starts ARGV with no more files open than these, in a session of its own. VMF_E_MISSING, ... */
int companion_start(const struct vmf_call *c, struct companion *p, const char *const *argv, const int *fds,
	size_t n_fds, struct vmf_error *err);
/* It has failed: sets ERR to its last words. Returns -1. */
int companion_fail(
	const struct vmf_call *c, const struct companion *p, const char *program, struct vmf_error *err);
/* It is started: what it says from now on is nobody's. */
void companion_end(struct companion *p);

#endif
