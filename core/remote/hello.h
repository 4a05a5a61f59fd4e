/* SPDX-License-Identifier: ISC */
/* The first frame of each side: who it is, and whether the two can work together. */
#ifndef VMF_REMOTE_HELLO_H
#define VMF_REMOTE_HELLO_H

#include <jansson.h>

#include "base/error.h"

/* Grows when frames change their meaning. Both sides must have the same. */
#define REMOTE_PROTOCOL 2

/* A new frame. */
json_t *hello_new(void);
/* Whether FRAME is a hello that we can work with; WHO sent it, for the message. */
int hello_check(const json_t *frame, const char *who, struct vmf_error *err);

#endif
