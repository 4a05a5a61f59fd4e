/* SPDX-License-Identifier: ISC */
/* What owners come through: what they say, what of it they may say, and what is written down of it. */
#ifndef VMF_CLI_GATE_H
#define VMF_CLI_GATE_H

#include "cli/cli.h"

/*
 * The words of a command line that came by ssh, as a shell would take them apart, but for all that a shell does besides:
 * blanks part words, quotes and backslashes keep them together, and every other character is itself. VMF_E_USAGE:
 * control characters, a quote without its other one, too much. (gate_words.c)
 */
int gate_split(const char *text, struct strv *words, struct vmf_error *err);

/* Whether the words, a VM and its chain, are for OWNER (a section of vmf.conf, the context's owner) to say: VMF_E_NOT_FOUND
 * if the VM is not hers, VMF_E_PERMISSION if there is a verb, option or word that is not for her. (gate_rules.c) */
int gate_check(struct ctx *ctx, const struct conf_section *owner, int argc, char **argv, struct vmf_error *err);
/* May she use that verb on a VM whose settings are ROOT? */
bool gate_allows(const struct conf_section *owner, const struct conf_section *root, const struct cli_verb *verb);
/* Of a verb that can pass the gate at all: how it is written there, or NULL. */
const char *gate_usage(const struct cli_verb *verb);

/* ---- the log of it (audit.c) ---------------------------------------------------------------- */

struct audit {
	char id[48];
	const char *who, *from;
	int64_t began_ms;
};

/* Notes what is going to be done; if that cannot be written, it must not be done. TEXT: as it came, if it has no WORDS. */
int audit_begin(const struct ctx *ctx, struct audit *audit, const struct strv *words, const char *text,
	struct vmf_error *err);
/* What has become of it: "ok", "denied", "failed". ERR: why, its code 0: of no consequence. */
void audit_end(const struct ctx *ctx, const struct audit *audit, const char *result, int code,
	const struct vmf_error *err);

#endif
