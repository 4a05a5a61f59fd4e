/* SPDX-License-Identifier: ISC */
/* Forwarded ports that come and go while the VM runs. */
#ifndef LIVE_H
#define LIVE_H

#include <vmf/plugin.h>

#include "forward.h"

#define MAX_FORWARDS 64
#define STATE "hostfwd" /* those that are, "tcp:127.0.0.1:2222-:22", with blanks between */

/* Can this host's port be listened on? ORIGIN: where it was set. */
int forward_check(const struct vmf_call *c, const struct forward *f, const char *origin, struct vmf_error *err);
int user_forward(const struct vmf_call *c, struct vmf_forward *forward, struct vmf_error *err);

#endif
