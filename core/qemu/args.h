/* SPDX-License-Identifier: ISC */
/*
 * QEMU's command line: options in order, values as JSON wherever QEMU 7.2 takes it, and the fds that go
 * along. Nothing here knows what a VM is; vm/command.c says what is to be said.
 */
#ifndef VMF_QEMU_ARGS_H
#define VMF_QEMU_ARGS_H

#include <jansson.h>

#include "base/error.h"
#include "base/str.h"

struct qemu_args {
	struct strv argv;    /* argv[0] is the program */
	int *fds;            /* inherited by QEMU under the same numbers; owned */
	size_t n_fds;
	unsigned next_set;   /* the next free fdset */
};

void qemu_args_init(struct qemu_args *args, const char *program);
void qemu_args_free(struct qemu_args *args); /* closes the fds */

void qemu_args_add(struct qemu_args *args, const char *option, const char *value); /* value may be NULL */
void qemu_args_addf(struct qemu_args *args, const char *option, const char *fmt, ...) VMF_PRINTF(3, 4);
/* option and compact JSON; consumes VALUE */
void qemu_args_json(struct qemu_args *args, const char *option, json_t *value);
/* QEMU inherits FD (owned from now on); returns its number, another one if FD is 0, 1 or 2 */
int qemu_args_fd(struct qemu_args *args, int fd);
/* -add-fd: returns "/dev/fdset/N" (malloc'd). FD's access mode must be the one QEMU will ask for: O_RDWR
 * for writable disks, O_RDONLY for read-only ones, O_WRONLY for logs. */
char *qemu_args_fdset(struct qemu_args *args, int fd);
/* An open file under a path that QEMU may open itself: "/proc/self/fd/N" (kernel, initrd). */
char *qemu_args_procfd(struct qemu_args *args, int fd);

/*
 * Block nodes of BLOCK: format node NODE on file node NODE-file, backing layers NODE-b1 ... explicit, so
 * that QEMU never opens a path. Files are opened here with the rights of the caller; a layer's fd counts as given
 * if it is above 2. A qcow2 image whose header names a backing file must not be the last layer. With dry_run
 * nothing is opened and paths stand in place of fdsets, so that the line can be tried by hand.
 */
int qemu_args_block(struct qemu_args *args, const char *node, const struct vmf_block *block, bool dry_run,
	struct vmf_error *err);
/* -netdev of NETDEV with id ID; takes its fds. */
int qemu_args_netdev(struct qemu_args *args, const char *id, struct vmf_netdev *netdev, struct vmf_error *err);
/* {"a": {"b": 1}} from props whose keys are paths ("a.b", "list.0.str"). New reference; NULL and err. */
json_t *qemu_props_json(const struct vmf_props *props, struct vmf_error *err);

/* The command line as a person can paste it into a shell; JSON in quotes. The caller frees. */
char *qemu_args_shell(const struct qemu_args *args);

#endif
