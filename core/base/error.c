/* SPDX-License-Identifier: ISC */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

int vmf_fail(struct vmf_error *err, int code, int errnum, const char *hint, const char *fmt, ...)
{
	va_list ap;
	char *text;

	if (!err || err->code)
		return -1;
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	err->code = code ? code : VMF_E_FAILED;
	err->errnum = errnum;
	err->message = errnum ? str_printf("%s: %s", text, strerror(errnum)) : str_dup(text);
	err->hint = hint ? str_dup(hint) : NULL;
	free(text);
	return -1;
}

int error_code_of(int errnum, int fallback)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
	case EROFS:
		return VMF_E_PERMISSION;
	case ENOSPC:
	case EDQUOT:
	case ENOMEM:
		return VMF_E_NO_SPACE;
	case ENOENT:
		return VMF_E_NOT_FOUND;
	case EEXIST:
		return VMF_E_EXISTS;
	case ETIMEDOUT:
		return VMF_E_TIMEOUT;
	case EBUSY:
		return VMF_E_BUSY;
	default:
		return fallback;
	}
}

int vmf_context(struct vmf_error *err, const char *fmt, ...)
{
	va_list ap;
	char *text, *message;

	if (!err || !err->code)
		return -1;
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	message = str_printf("%s: ", text);
	/* layers that know the same thing say it once */
	if (!str_starts(err->message, message)) {
		free(message);
		message = str_printf("%s: %s", text, err->message);
		free(err->message);
		err->message = message;
	} else {
		free(message);
	}
	free(text);
	return -1;
}

void error_clear(struct vmf_error *err)
{
	free(err->message);
	free(err->hint);
	memset(err, 0, sizeof(*err));
}

void error_move(struct vmf_error *to, struct vmf_error *from)
{
	if (!to) {
		error_clear(from);
		return;
	}
	*to = *from;
	memset(from, 0, sizeof(*from));
}

const char *error_code_name(int code)
{
	static const char *const names[] = {"ok", "failed", "usage", "config", "not-found", "exists", "state",
		"busy", "permission", "missing", "timeout", "no-space", "unsupported"};

	if (code < 0 || (size_t)code >= VMF_COUNT(names))
		return "failed";
	return names[code];
}
