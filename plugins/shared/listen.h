/* SPDX-License-Identifier: ISC */
/* The options that displays have in common which are seen by TCP: bind, port, many, timeout, allow and any_user. */
#ifndef PLUGINS_LISTEN_H
#define PLUGINS_LISTEN_H

#include <vmf/plugin.h>

/* EXAMPLE: of ports, as in "5900-5999", for the message. */
int listen_check(const struct vmf_call *c, const char *example, struct vmf_error *err);
/* What they say, into the fields of INFO for relays, if that is so large; after listen_check(). */
void listen_info(const struct vmf_call *c, struct vmf_display_info *info);
/* Can the files of these names in DIR be read? HINT: what to do, or NULL. */
int listen_check_files(const struct vmf_call *c, const char *dir, const char *const *files, size_t count,
	const char *hint, struct vmf_error *err);

#endif
