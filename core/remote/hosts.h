/* SPDX-License-Identifier: ISC */
/*
 * Many hosts asked the same at once: one connection each, all in one loop, a deadline for each. What a host
 * has answered is kept in LIB/hosts; of one that does not answer now, that is given instead, marked as old.
 */
#ifndef VMF_REMOTE_HOSTS_H
#define VMF_REMOTE_HOSTS_H

#include "vm/place.h"

struct host_answer {
	char *name;
	struct place *place; /* NULL: this very host, which is not asked */
	json_t *json;	     /* what it has answered; NULL: nothing, now or ever */
	int64_t when;	     /* seconds since the epoch; 0: now */
	int64_t took_ms;
	struct vmf_error error; /* set: why it did not answer now */
};

struct host_answers {
	struct host_answer *items;
	size_t count;
};

/* Adds the host NAME of the configuration ROOT, unless it is among them; of one that is configured wrongly,
 * the error. */
struct host_answer *hosts_add(
	struct ctx *ctx, const struct conf_section *root, const char *name, struct host_answers *hosts);
/*
 * Has all of them run REQUEST, whose output is one JSON value. KEPT: the name that its answers are kept by.
 * Those that have an error already are not asked. Never fails: each host has its own answer or error.
 */
void hosts_ask(struct ctx *ctx, struct host_answers *hosts, const json_t *request, const char *kept,
	int64_t timeout_ms);
void hosts_free(struct host_answers *hosts);

#endif
