/* SPDX-License-Identifier: ISC */
/*
 * Where things are. Root: /etc/vmf, /var/lib/vmf, /run/vmf (as configured); anyone else: the XDG folders
 * (basedir-spec 0.8); with --home DIR or VMF_HOME all of it below that one folder, as etc, lib and run.
 */
#ifndef VMF_CONFIG_PATHS_H
#define VMF_CONFIG_PATHS_H

#include <stdbool.h>

#include "base/error.h"

struct paths {
	char *etc; /* vmf.conf, classes/NAME.conf, vms/NAME.conf */
	char *lib; /* images, saved memory, logs, journals: outlives a reboot */
	char *run; /* one folder for each running VM: does not */
	bool is_home;
};

/* HOME: --home's folder, or NULL: VMF_HOME (ignored when running with more rights than the caller) or the usual
 * places. All paths are made absolute; nothing is created. */
int paths_resolve(const char *home, struct paths *paths, struct vmf_error *err);
/* Creates what is missing of lib and run. QEMU, perhaps another user, must be able to walk through run. */
int paths_create(const struct paths *paths, struct vmf_error *err);
void paths_free(struct paths *paths);
/* The caller's home folder; the caller frees. */
char *paths_home(void);

#endif
