/* SPDX-License-Identifier: ISC */
/*
 * The near end of a connection to another host's agent, see agent.h. Nothing in here waits: whoever has one
 * polls the fd of remote_poll() and calls remote_turn(), so that many hosts can be talked with at once.
 */
#ifndef VMF_REMOTE_REMOTE_H
#define VMF_REMOTE_REMOTE_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>

#include "vm/place.h"

struct remote;

/* What a run says. Each may be NULL: that is not wanted. */
struct remote_events {
	void (*out)(void *data, const char *bytes, size_t length);
	void (*err)(void *data, const char *bytes, size_t length);
	void (*note)(void *data, const json_t *note);
	void *data;
};

/* Begins to connect, and says hello. PLACE outlives the connection. TIMEOUT_MS: until the other side's hello.
 */
struct remote *remote_open(struct place *place, int64_t timeout_ms, struct vmf_error *err);
/* The same over a stream that is open already, to an agent on this very host. */
struct remote *remote_open_fd(int fd, int64_t timeout_ms);
void remote_close(struct remote *remote);

/* Asks for a run, one at a time; REQUEST is consumed, EVENTS outlive the run. Does not wait for the hello. */
void remote_run(struct remote *remote, json_t *request, const struct remote_events *events);
bool remote_is_done(const struct remote *remote);
int remote_exit_code(const struct remote *remote);

/* The fd and what to wait for; how long at most, or -1. */
struct pollfd remote_poll(const struct remote *remote);
int remote_wait_ms(const struct remote *remote);
/* Does what can be done now. -1: the connection is of no use any more, as ERR says. */
int remote_turn(struct remote *remote, struct vmf_error *err);
/* Turns until the run is done. */
int remote_finish(struct remote *remote, struct vmf_error *err);

/* How many bytes of input the run can be sent now. */
size_t remote_room(const struct remote *remote);
void remote_input(struct remote *remote, const char *bytes, size_t length);
void remote_input_end(struct remote *remote);
/* For how long input has been on its way without being taken; 0: none is. */
int64_t remote_stuck_ms(const struct remote *remote);
void remote_signal(struct remote *remote, int number);

#endif
