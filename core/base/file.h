/* SPDX-License-Identifier: ISC */
/* Files and folders: whole reads, atomic writes, removal. Nothing here knows what is in them. */
#ifndef VMF_BASE_FILE_H
#define VMF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/str.h"

/* The whole of a regular file of at most MAX bytes, NUL-terminated; *length may be NULL. The caller frees. */
char *file_read(const char *path, size_t max, size_t *length, struct vmf_error *err);
/* The same below a folder's fd; NULL and errno on failure. */
char *file_read_at(int dir_fd, const char *name, size_t max, size_t *length);

/*
 * Replaces PATH atomically: a nameless file beside it, fsync (if durable), rename. Keeps an existing
 * file's mode and owner; a symbolic link is followed, so that the file it leads to is replaced.
 */
int file_write(const char *path, const char *data, size_t length, mode_t mode, bool durable, struct vmf_error *err);
/* The same for a file that must not be there yet (VMF_E_EXISTS): of two at once one succeeds. */
int file_create(const char *path, const char *data, size_t length, mode_t mode, bool durable, struct vmf_error *err);
/* A file in the making, for what is too large for the calls above: it gets its name when it is whole. */
struct file_new {
	int fd;
	char *path, *named; /* named: it has a name already, as the filesystem knows no files without */
};
int file_new_open(struct file_new *file, const char *path, struct vmf_error *err);
/* By which another program can open it; the caller frees. */
char *file_new_name(const struct file_new *file);
/* Gives it its name, which must be free (VMF_E_EXISTS), synced to the disk. Closes it, whatever the outcome. */
int file_new_publish(struct file_new *file, struct vmf_error *err);
void file_new_drop(struct file_new *file);
/* Writes NAME below a folder that nobody else writes to, without fsync. */
int file_write_at(int dir_fd, const char *name, const char *data, size_t length, mode_t mode);

/* Creates PATH and what is missing above it. */
int file_mkdirs(const char *path, mode_t mode, struct vmf_error *err);
/* fsync of the folder that PATH is in. */
void file_sync_parent(const char *path);
/* Removes a folder and all in it; symbolic links are removed, not followed. Gone already: 0. */
int file_remove_tree(const char *path, struct vmf_error *err);
bool file_exists(const char *path);
/* Writes all or fails with errno. */
int fd_write_all(int fd, const void *data, size_t length);
/* Copies all of FROM, from its start, behind what is in TO. -1 and errno. */
int fd_copy_all(int to, int from);

/* "a/b", without doubling slashes; an absolute NAME stays as it is. The caller frees. */
char *path_join(const char *folder, const char *name);
char *path_parent(const char *path);
const char *path_base(const char *path);

/* Names of a folder's entries but . and .., unsorted. A missing folder gives an empty list and 0. */
int dir_list(const char *path, struct strv *names, struct vmf_error *err);

#endif
