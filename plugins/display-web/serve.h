/* SPDX-License-Identifier: ISC */
/* The server, apart from libwebsockets' own names. */
#ifndef VMF_WEB_SERVE_H
#define VMF_WEB_SERVE_H

#include <vmf/plugin.h>

/* As struct vmf_display_ops has it. */
int web_serve(const struct vmf_call *c, struct vmf_serve *serve, struct vmf_error *err);

#endif
