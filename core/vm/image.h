/* SPDX-License-Identifier: ISC */
/* Image files of people's: what they are, and copies of them made by qemu-img. */
#ifndef VMF_VM_IMAGE_H
#define VMF_VM_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define IMAGE_OWN "own" /* a stream of a storage's own kind, which only such a storage can read */

struct image {
	char *path;         /* absolute */
	const char *format; /* "raw", "qcow2" or IMAGE_OWN */
	uint64_t size_bytes; /* as a guest sees it, in whole sectors; IMAGE_OWN: the file's, until a storage has told */
};

/*
 * Looks at the file or block device PATH, which must stand alone. FORMAT NULL: by its content, where what looks like
 * neither raw nor qcow2 is refused (VMF_E_UNSUPPORTED). Free with image_free().
 */
int image_look(const char *path, const char *format, struct image *image, struct vmf_error *err);
void image_free(struct image *image);
/* The format for one that is to be made: what is asked for (may be NULL), else by its name's ending. NULL and
 * err. */
const char *image_format_of(const char *path, const char *wanted, struct vmf_error *err);
/* As qemu-img takes it, whatever is in the path: json:{...}. The caller frees. */
char *image_name(const char *path, const char *format);

/* Runs `qemu-img convert` with further arguments ARGV; WHAT: for the progress, BYTES: of the whole. */
int image_convert(const struct strv *argv, const char *what, uint64_t bytes, struct vmf_error *err);

#endif
