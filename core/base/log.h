/* SPDX-License-Identifier: ISC */
/* Lines for the person on stderr, and progress of long work. Nothing else in vmf writes there. */
#ifndef VMF_BASE_LOG_H
#define VMF_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* 0 errors and warnings only (-q: errors only, -1), 1: -v, 2: -vv */
void log_set_level(int level);
int log_level(void);

void log_warn(const char *fmt, ...) VMF_PRINTF(1, 2);
void log_info(const char *fmt, ...) VMF_PRINTF(1, 2); /* with -v */
void log_debug(const char *fmt, ...) VMF_PRINTF(1, 2); /* with -vv */

/* "vmf: message" and, if there is one, "vmf: hint: ..." */
void log_error(const struct vmf_error *err);

/*
 * Shows how far long work is: on a terminal a line that is drawn over (rate and time left), else one
 * plain line each ten seconds; nothing before two seconds have passed. TOTAL 0: not known; DONE 0, too: only the time
 * is shown. Returns -1 once the person has pressed ^C (see signals in cli/main.c), else 0.
 */
int log_progress(const char *what, uint64_t done, uint64_t total);
/* The work is done: takes the line away. Whoever prints to standard output calls it first. */
void log_progress_end(void);

/* Set by the signal handler: long work ends at the next chance and is undone. */
extern volatile int log_interrupted;

#endif
