/* SPDX-License-Identifier: ISC */
/* `move`: a VM goes to another host, and one vmf in the middle sees to it. */
#ifndef VMF_CLI_MOVE_H
#define VMF_CLI_MOVE_H

#include "cli/cli.h"
#include "vm/place.h"

struct remote;

struct move {
	struct vm *vm;       /* as its definition at this end has it, which is current */
	struct place *from;  /* where it lives; NULL: here */
	const char *host;    /* where it is to go */
	const char *master, *layer; /* as in each request, see far.c */
	struct place *to;    /* set, the caller's: NULL: here */
	uint64_t bytes;      /* set: what went through */
};

/*
 * Moves it. At one point, when the definition at this end names the new host, the VM changes sides; what comes after that
 * is finished by move_finish() if it fails now. With --dry-run only looks.
 */
int move_run(struct move *move, struct vmf_error *err);
/* Does what a move of the VM has left to do, if there was one. */
int move_finish(struct ctx *ctx, const char *name, struct vmf_error *err);

void move_say(const struct cli_call *call, const struct move *move);

/* The far ends of that (move_far.c): a run of the agent. NOTE consumes what it is given. */
int move_far(struct ctx *ctx, const json_t *request, void (*note)(json_t *note), struct vmf_error *err);
/* An agent on this very host; its fd, or -1. (agent.c) */
int agent_here(struct ctx *ctx, struct vmf_error *err);

#endif
