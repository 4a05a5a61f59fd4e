/* SPDX-License-Identifier: ISC */
/* Verbs on a VM that lives on another host: the near end of them. */
#ifndef VMF_CLI_FAR_H
#define VMF_CLI_FAR_H

#include "vm/place.h"

struct strbuf;
struct remote;

#define FAR_HELLO_MS 20000 /* until another host's vmf must have said hello */

/* Where VM lives, or is going to if the chain ARGV begins with its creation; *place NULL: here. */
int far_place(struct vm *vm, int argc, char **argv, struct place **place, struct vmf_error *err);
/* Runs a chain, which has been checked, there. ARGV[0]: the VM's name. What goes wrong there is said there
 * already: then *exit_code tells. */
int far_chain(
	struct vm *vm, struct place *place, int argc, char **argv, int *exit_code, struct vmf_error *err);

/* What its classes say, for the far end. The caller frees. */
char *far_layer(const struct vm *vm);
/* A request to run WORDS, with how this vmf was called. */
json_t *far_request(const struct ctx *ctx, int argc, char *const *argv);
/* Runs it with this process's input and output until its end; TO: where its output goes instead, or NULL;
 * NOTE may be NULL. (far_io.c) */
int far_run(struct remote *remote, json_t *request, struct strbuf *to,
	void (*note)(void *data, const json_t *note), void *data, struct vmf_error *err);

struct claim;

/* The same for a first part that makes the VM, with room for it taken there. 1: there is no room. */
int far_claim(struct vm *vm, struct place *place, int argc, char **argv, const struct claim *claim, int *exit_code,
	struct vmf_error *err);
/* What this host has, as `host info` says it; NULL and err. (hosts.c) */
json_t *hosts_this(struct ctx *ctx, struct vmf_error *err);

#endif
