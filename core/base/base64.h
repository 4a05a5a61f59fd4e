/* SPDX-License-Identifier: ISC */
/* Bytes as text (RFC 4648, 4), for what JSON cannot carry. */
#ifndef VMF_BASE_BASE64_H
#define VMF_BASE_BASE64_H

#include <stddef.h>

/* The caller frees. */
char *base64_encode(const void *data, size_t length);
/* NULL if TEXT is no base64; else NUL-terminated, and the caller frees. */
char *base64_decode(const char *text, size_t *length);

#endif
