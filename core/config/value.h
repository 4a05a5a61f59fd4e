/* SPDX-License-Identifier: ISC */
/*
 * Scalars as people write them: the one place that turns text into sizes, numbers, times and truth.
 * An option's type and limits come from struct vmf_option (see vmf/plugin.h), core's own options and
 * the plugins' alike.
 */
#ifndef VMF_CONFIG_VALUE_H
#define VMF_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Flags of core's own options, beside the VMF_OPT_F_* that plugins may use too. */
#define VALUE_F_MIB 0x10000u /* SIZE: a bare number is in MiB, not in bytes */

/* "2G", "512M", "1.5T", "4096": bytes. UNIT is the factor of a bare number (memory: 1 MiB; disks: 1). */
int value_parse_size(const char *text, uint64_t unit, uint64_t *bytes, struct vmf_error *err);
int value_parse_int(const char *text, int64_t *number, struct vmf_error *err); /* decimal, no blanks */
int value_parse_bool(const char *text, bool *truth, struct vmf_error *err);
int value_parse_time(const char *text, int64_t *ms, struct vmf_error *err); /* bare number: seconds */
/* Checks one item against type, limits and choices; *number gets INT, SIZE, BOOL, PORT and TIME.
 * Messages have no location: the caller adds it. */
int value_check(const struct vmf_option *option, const char *text, int64_t *number, struct vmf_error *err);
/* "1.5G": shortest exact or rounded form for people, in powers of 1024. The caller frees. */
char *value_format_size(uint64_t bytes);
/* "1536M": never rounded, for files. The caller frees. */
char *value_exact_size(uint64_t bytes);
/* Lower-case canonical form of a MAC into OUT[18]. Multicast addresses are refused. */
int value_parse_mac(const char *text, char *out, struct vmf_error *err);
/* "string", "size", ... for help texts */
const char *value_type_name(uint32_t type);

#endif
