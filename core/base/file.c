/* SPDX-License-Identifier: ISC */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static char *read_fd(int fd, size_t max, size_t *length)
{
	struct stat st;
	size_t room, have = 0;
	char *data;

	if (fstat(fd, &st) < 0)
		return NULL;
	if (S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return NULL;
	}
	room = st.st_size > 0 && (size_t)st.st_size <= max ? (size_t)st.st_size + 1 : 4096;
	data = mem_resize(NULL, room + 1);
	for (;;) {
		ssize_t n = read(fd, data + have, room - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto fail;
		if (n == 0)
			break;
		have += (size_t)n;
		if (have > max) {
			errno = EFBIG;
			goto fail;
		}
		if (have == room) {
			room *= 2;
			data = mem_resize(data, room + 1);
		}
	}
	data[have] = '\0';
	if (length)
		*length = have;
	return data;
fail:
	free(data);
	return NULL;
}

char *file_read_at(int dir_fd, const char *name, size_t max, size_t *length)
{
	autoclose int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? NULL : read_fd(fd, max, length);
}

char *file_read(const char *path, size_t max, size_t *length, struct vmf_error *err)
{
	char *data = file_read_at(AT_FDCWD, path, max, length);

	if (!data)
		vmf_fail_errno(err, NULL, "%s", path);
	return data;
}

int fd_write_all(int fd, const void *data, size_t length)
{
	const char *p = data;

	while (length) {
		ssize_t n = write(fd, p, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		length -= (size_t)n;
	}
	return 0;
}

int fd_copy_all(int to, int from)
{
	off_t at = 0;
	ssize_t n;

	do {
		n = sendfile(to, from, &at, 1 << 30);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : 0;
}

void file_sync_parent(const char *path)
{
	autofree char *parent = path_parent(path);
	autoclose int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)fsync(fd);
}

/*
 * A file without a name in PATH's folder (O_TMPFILE): it vanishes if we die. Where the filesystem has no such
 * thing, one with the name NAMED, and *is_named says so.
 */
static int open_unnamed(const char *path, const char *named, bool *is_named)
{
	autofree char *folder = path_parent(path);
	int fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);

	*is_named = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT);
	if (!*is_named)
		return fd;
	return open(named, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* link(2) of an open file: unlike rename(2) it never replaces. */
static int link_fd(int fd, const char *path)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

static int fill_file(int fd, const char *path, const char *data, size_t length, mode_t mode, bool durable)
{
	struct stat st;
	bool is_there = stat(path, &st) == 0;

	if (fchmod(fd, is_there ? st.st_mode & 07777 : mode) < 0)
		return -1;
	if (is_there && (st.st_uid != geteuid() || st.st_gid != getegid()) &&
		fchown(fd, st.st_uid, st.st_gid) < 0 && geteuid() == 0)
		return -1;
	return fd_write_all(fd, data, length) < 0 || (durable && fsync(fd) < 0) ? -1 : 0;
}

static char *hidden_name(const char *path)
{
	autofree char *folder = path_parent(path);
	autofree char *name = str_printf(".%s.new", path_base(path));

	return path_join(folder, name);
}

static int put_file(const char *path, const char *data, size_t length, mode_t mode, bool durable,
	bool replace, struct vmf_error *err)
{
	autofree char *named = hidden_name(path);
	bool is_named;
	autoclose int fd = open_unnamed(path, named, &is_named);
	int rc;

	if (fd < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s", path);
	rc = fill_file(fd, path, data, length, mode, durable);
	if (rc == 0 && replace && !is_named) {
		unlink(named); /* of one that was killed between these two calls */
		rc = link_fd(fd, named);
		is_named = rc == 0;
	}
	if (rc == 0)
		rc = replace ? rename(named, path) : is_named ? link(named, path) : link_fd(fd, path);
	if (rc < 0)
		vmf_fail_errno(err, NULL, "cannot write %s", path);
	if (is_named && (rc < 0 || !replace))
		unlink(named);
	if (rc == 0 && durable)
		file_sync_parent(path);
	return rc;
}

int file_write(
	const char *path, const char *data, size_t length, mode_t mode, bool durable, struct vmf_error *err)
{
	char resolved[PATH_MAX];

	return put_file(realpath(path, resolved) ? resolved : path, data, length, mode, durable, true, err);
}

int file_create(
	const char *path, const char *data, size_t length, mode_t mode, bool durable, struct vmf_error *err)
{
	return put_file(path, data, length, mode, durable, false, err);
}

int file_new_open(struct file_new *file, const char *path, struct vmf_error *err)
{
	bool is_named;

	*file = (struct file_new){.fd = -1, .path = str_dup(path), .named = hidden_name(path)};
	file->fd = open_unnamed(path, file->named, &is_named);
	if (file->fd < 0) {
		vmf_fail_errno(err, NULL, "cannot write %s", path);
		is_named = false;
	}
	if (!is_named)
		str_set(&file->named, NULL);
	if (file->fd < 0)
		file_new_drop(file);
	return file->fd < 0 ? -1 : 0;
}

char *file_new_name(const struct file_new *file)
{
	return file->named ? str_dup(file->named) : str_printf("/proc/%d/fd/%d", (int)getpid(), file->fd);
}

int file_new_publish(struct file_new *file, struct vmf_error *err)
{
	int rc = fsync(file->fd);

	if (rc == 0)
		rc = file->named ? link(file->named, file->path) : link_fd(file->fd, file->path);
	if (rc < 0)
		vmf_fail_errno(err, NULL, "cannot write %s", file->path);
	else
		file_sync_parent(file->path);
	file_new_drop(file);
	return rc;
}

void file_new_drop(struct file_new *file)
{
	if (file->named && file->fd >= 0)
		unlink(file->named);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->path);
	free(file->named);
	file->path = file->named = NULL;
}

int file_write_at(int dir_fd, const char *name, const char *data, size_t length, mode_t mode)
{
	autofree char *temporary = str_printf(".%s.tmp", name);
	autoclose int fd =
		openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return -1;
	if (fd_write_all(fd, data, length) < 0 || renameat(dir_fd, temporary, dir_fd, name) < 0) {
		int saved = errno;

		unlinkat(dir_fd, temporary, 0);
		errno = saved;
		return -1;
	}
	return 0;
}

int file_mkdirs(const char *path, mode_t mode, struct vmf_error *err)
{
	autofree char *copy = str_dup(path);

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno == ENOENT) {
		for (char *p = copy + 1; *p; p++) {
			if (*p != '/')
				continue;
			*p = '\0';
			if (mkdir(copy, mode) < 0 && errno != EEXIST)
				return vmf_fail_errno(err, NULL, "cannot create folder %s", copy);
			*p = '/';
		}
		if (mkdir(path, mode) == 0)
			return 0;
	}
	if (errno == EEXIST) {
		struct stat st;

		if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return vmf_fail_errno(err, NULL, "cannot create folder %s", path);
}

static int remove_below(int dir_fd, const char *name)
{
	int fd;
	DIR *dir;
	struct dirent *e;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -1;
	}
	while ((e = readdir(dir))) {
		if (str_equal(e->d_name, ".") || str_equal(e->d_name, ".."))
			continue;
		if (remove_below(fd, e->d_name) < 0) {
			closedir(dir);
			return -1;
		}
	}
	closedir(dir);
	return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -1 : 0;
}

int file_remove_tree(const char *path, struct vmf_error *err)
{
	if (remove_below(AT_FDCWD, path) < 0)
		return vmf_fail_errno(err, NULL, "cannot remove %s", path);
	return 0;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

char *path_join(const char *folder, const char *name)
{
	size_t n = strlen(folder);

	if (*name == '/' || !*folder)
		return str_dup(name);
	return str_printf("%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", name);
}

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return str_dup(".");
	return slash == path ? str_dup("/") : str_ndup(path, (size_t)(slash - path));
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int dir_list(const char *path, struct strv *names, struct vmf_error *err)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	if (!dir)
		return errno == ENOENT ? 0 : vmf_fail_errno(err, NULL, "cannot read folder %s", path);
	while ((e = readdir(dir)))
		if (!str_equal(e->d_name, ".") && !str_equal(e->d_name, ".."))
			strv_add(names, e->d_name);
	closedir(dir);
	return 0;
}
