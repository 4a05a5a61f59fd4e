/* SPDX-License-Identifier: ISC */
/*
 * Bytes both ways between clients that a listening socket brings and a far end for each of them: the one engine of all
 * relays. Half-close is kept, whoever is slow slows only its own other side down, and memory is bounded.
 */
#ifndef VMF_BASE_RELAY_H
#define VMF_BASE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

#define RELAY_TAKEN (-2)

struct relay_options {
	int listener; /* listening; it stays the caller's, but is closed by relay_run() once no more client is wanted */
	/*
	 * The far end for CLIENT, which has come: a connected stream's fd, also one whose connection is still being made
	 * (EINPROGRESS), which becomes the relay's. RELAY_TAKEN: somebody else has a copy of CLIENT and serves it; the
	 * relay only closes its own. -1 with errno EAGAIN: not now, try again soon. -1 with another errno: the client is
	 * sent away.
	 */
	int (*open)(void *data, int client);
	/* Whether that peer may come; NULL: all may. */
	bool (*admits)(void *data, const struct sockaddr *peer, socklen_t length);
	/* Told of each client that has its far end or was taken (COUNT: how many there were), NULL: nobody cares. */
	void (*came)(void *data, const struct sockaddr *peer, socklen_t length, unsigned count);
	void *data;
	bool once;       /* the first client that has its far end, or was taken, is the last */
	int64_t wait_ms; /* end if none has come for so long, 0: never */
	int until_fd;    /* end when it becomes readable (a pidfd: when the process ends), -1: none */
	size_t most;     /* so many clients at once; more wait in the listener's queue. 0: 1000 */
};

enum relay_end {
	RELAY_SERVED,	   /* once: it has come and gone */
	RELAY_NOBODY,	   /* nobody came in time */
	RELAY_OVER,	   /* until_fd became readable */
	RELAY_INTERRUPTED, /* a signal (log_interrupted) */
};

/* Relays until an end; all connections are closed then. -1 and err. */
int relay_run(const struct relay_options *options, struct vmf_error *err);

#endif
