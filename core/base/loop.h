/* SPDX-License-Identifier: ISC */
/* Loop devices and mounts of this host, as the kernel tells of them. Nothing here knows what they are for. */
#ifndef VMF_BASE_LOOP_H
#define VMF_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

/*
 * A loop device on SIZE bytes of the file or device PATH from OFFSET on (0: all of it). It is gone once nobody has it
 * open or mounted any more. Returns an fd that keeps it meanwhile, and its path (the caller frees), or -1.
 */
int loop_attach(
	const char *path, uint64_t offset, uint64_t size, bool readonly, char **device, struct vmf_error *err);
/* Paths of the loop devices that stand on PATH. */
void loop_list(const char *path, struct strv *devices);
/* Where SOURCE ("/dev/loop0") is mounted in this mount namespace, the latest first. */
void mount_list(const char *source, struct strv *points);
/* Is something mounted at PATH, which is absolute and has no links in it? */
bool mount_is_at(const char *path);

#endif
