/* SPDX-License-Identifier: ISC */
/* Speaks with QEMU's guest agent, a program in the guest, through the socket of its channel. */
#ifndef VMF_QEMU_GUEST_H
#define VMF_QEMU_GUEST_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

#define GUEST_ANSWER_MAX (1u << 20)

/*
 * Runs COMMAND with ARGUMENTS (consumed, or NULL); *answer, the caller's, is what it returned, unless ANSWER is NULL.
 * VMF_E_TIMEOUT: no agent answers, or another program speaks with it; VMF_E_FAILED: the agent's own words. What the
 * agent says is the guest's, who may be anybody: it is bounded, and believed by nobody but the person.
 * (QEMU's qemu-ga-ref: guest-sync-delimited)
 */
int guest_ask(const char *path, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ms,
	struct vmf_error *err);

#endif
