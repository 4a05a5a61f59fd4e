/* SPDX-License-Identifier: ISC */
/*
 * One error object, filled by whoever notices, given context by each layer that it passes.
 *
 * The contract of every function that takes one: it returns 0 (or a count) and leaves the object
 * untouched, or returns -1 (or NULL) and has set it.
 */
#ifndef VMF_BASE_ERROR_H
#define VMF_BASE_ERROR_H

#include <vmf/plugin.h>

struct vmf_error {
	int code;       /* enum vmf_code; 0: nothing happened */
	int errnum;     /* errno of the failing call, or 0 */
	char *message;  /* lower case, no full stop */
	char *hint;     /* what to do, or NULL */
	unsigned more;  /* further errors that were told to the log on the way */
};

#define VMF_ERROR_INIT \
	{ 0, 0, NULL, NULL, 0 }

/* Sets ERR; errnum's text is added behind the message. Returns -1. An error that is already set is kept. */
int vmf_fail(struct vmf_error *err, int code, int errnum, const char *hint, const char *fmt, ...) VMF_PRINTF(5, 6);

/* The code that fits an errno: EACCES gives VMF_E_PERMISSION, ENOSPC VMF_E_NO_SPACE, else FALLBACK. */
int error_code_of(int errnum, int fallback);

/* vmf_fail() with the code that fits errno as it is now. */
#define vmf_fail_errno(err, hint, ...) \
	vmf_fail((err), error_code_of(errno, VMF_E_FAILED), errno, (hint), __VA_ARGS__)

/* Puts "text: " in front of the message, unless it begins so already. Returns -1. */
int vmf_context(struct vmf_error *err, const char *fmt, ...) VMF_PRINTF(2, 3);

/* Frees and resets. */
void error_clear(struct vmf_error *err);

/* Moves FROM to TO, which must be clear; NULL: nobody wants to know. */
void error_move(struct vmf_error *to, struct vmf_error *from);

/* The word for a code: "not-found". Stable, used in JSON. */
const char *error_code_name(int code);

#endif
