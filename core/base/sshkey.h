/* SPDX-License-Identifier: ISC */
/* OpenSSH's public keys, as they stand in authorized_keys and NAME.pub. */
#ifndef VMF_BASE_SSHKEY_H
#define VMF_BASE_SSHKEY_H

#include "base/error.h"

/* A line, without options before the key, as "TYPE BASE64 [COMMENT]"; the comment is cut down to plain characters. The caller
 * frees. NULL and VMF_E_USAGE: it is no public key, cut off, or a private one. */
char *sshkey_parse(const char *line, struct vmf_error *err);
/* Are both, as sshkey_parse() gives them, the same key? */
int sshkey_is_same(const char *a, const char *b);

#endif
