/* SPDX-License-Identifier: ISC */
/* The person's own program that shows a screen. */
#ifndef VMF_CLI_VIEWER_H
#define VMF_CLI_VIEWER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

struct viewer {
	struct strv words;  /* with {socket}, {host}, {port}, {display} in them */
	bool takes_socket;  /* else host and port */
};

/* Is there a screen to show anything on? */
bool viewer_has_screen(void);
/* LINE, if not NULL, names the program (and its arguments); else the first that is installed, of those that take a socket
 * if HAS_SOCKET. 0, or -1: VMF_E_MISSING. */
int viewer_find(const char *line, bool has_socket, struct viewer *viewer, struct vmf_error *err);
/* Starts it on SOCKET, or on HOST and PORT; its pid, or -1. */
pid_t viewer_start(
	const struct viewer *viewer, const char *socket, const char *host, unsigned port, struct vmf_error *err);
void viewer_free(struct viewer *viewer);

#endif
