/* SPDX-License-Identifier: ISC */
/*
 * Volumes in the making have no name (O_TMPFILE) or, where the filesystem cannot do that, a temporary one,
 * and get theirs by link(2), which never replaces anything. A file without a name goes when we go. A
 * temporary name is held by flock(2): what nobody holds was left by a process that died, and goes when
 * somebody meets it. (A pid would be another host's on a shared filesystem.)
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int new_named(struct fq_store *s, const char *name, struct fq_temp *t, struct vmf_error *err)
{
	struct stat st;

	snprintf(t->file, sizeof(t->file), FQ_TEMP_PREFIX "%.*s.%d" FQ_TEMP_SUFFIX, FQ_NAME_LENGTH, name,
		(int)getpid());
	t->path = s->h->printf(s->c, "%s/%s", s->dir, t->file);
	for (int tries = 0; tries < 100; tries++) {
		fq_temp_clean(s, t->file);
		t->fd = openat(s->fd, t->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (t->fd < 0)
			return fq_fail_errno(s->c, err, errno, NULL, "cannot create %s", t->path);
		/* somebody may have met it before it was locked, and taken it for a dead one's */
		if (flock(t->fd, LOCK_EX | LOCK_NB) == 0 && fstat(t->fd, &st) == 0 && st.st_nlink == 1)
			return 0;
		close(t->fd);
		t->fd = -1;
	}
	t->file[0] = '\0';
	return s->h->fail(err, VMF_E_BUSY, 0, NULL, "cannot keep %s: something removes it", t->path);
}

int fq_temp_new(struct fq_store *s, const char *name, struct fq_temp *t, struct vmf_error *err)
{
	*t = (struct fq_temp){.fd = -1};
	t->fd = openat(s->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (t->fd >= 0) {
		t->path = s->h->printf(s->c, "/proc/%d/fd/%d", (int)getpid(), t->fd);
		return 0;
	}
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot create a file in %s", s->dir);
	return new_named(s, name, t, err);
}

static int link_as(struct fq_store *s, struct fq_temp *t, const char *file)
{
	char self[64];

	if (t->file[0])
		return linkat(s->fd, t->file, s->fd, file, 0);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", t->fd);
	return linkat(AT_FDCWD, self, s->fd, file, AT_SYMLINK_FOLLOW);
}

int fq_temp_publish(
	struct fq_store *s, struct fq_temp *t, const char *name, enum fq_format format, struct vmf_error *err)
{
	char file[NAME_MAX + 1];
	int rc = -1;

	snprintf(file, sizeof(file), "%s%s", name, fq_ending(format));
	if (fq_lock(s, err) == 0 && fq_find_none(s, name, err) == 0 &&
		fq_mark_write(s, file, t->fd, -1, s->c->vm ? s->c->vm->uuid : NULL, err) == 0) {
		rc = link_as(s, t, file);
		if (rc < 0) {
			int errnum = errno;

			fq_mark_remove(s, file);
			fq_fail_errno(s->c, err, errnum, NULL, "cannot create %s/%s", s->dir, file);
		}
	}
	fq_temp_drop(s, t);
	return rc;
}

/* The name that it has while it goes over to V's. */
static int give_name(struct fq_store *s, struct fq_temp *t, const struct fq_volume *v)
{
	char file[NAME_MAX + 1];

	if (t->file[0])
		return 0;
	snprintf(file, sizeof(file), FQ_TEMP_PREFIX "%.*s.%d" FQ_TEMP_SUFFIX, FQ_NAME_LENGTH, v->name,
		(int)getpid());
	fq_temp_clean(s, file);
	if (flock(t->fd, LOCK_EX | LOCK_NB) < 0 || link_as(s, t, file) < 0)
		return -1;
	memcpy(t->file, file, sizeof(file));
	return 0;
}

static int replace(
	struct fq_store *s, struct fq_temp *t, const struct fq_volume *v, int old_fd, struct vmf_error *err)
{
	const char *uuid;

	if (!fq_mark_is_ours(s, v->file, &v->st, &uuid) || fq_must_be_free(s, v, true, err) < 0)
		return -1;
	/* ours before and after */
	if (fq_mark_write(s, v->file, t->fd, old_fd, uuid, err) < 0)
		return -1;
	if (give_name(s, t, v) < 0 || renameat(s->fd, t->file, s->fd, v->file) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot replace %s", v->path);
	t->file[0] = '\0';
	fsync(s->fd);
	return fq_mark_write(s, v->file, t->fd, -1, uuid, err);
}

int fq_temp_replace(struct fq_store *s, struct fq_temp *t, const struct fq_volume *v, struct vmf_error *err)
{
	int old_fd = fq_open(s, v, O_RDONLY | O_NOFOLLOW, err);
	int rc = -1;

	if (old_fd >= 0 && fq_lock(s, err) == 0)
		rc = replace(s, t, v, old_fd, err);
	if (old_fd >= 0)
		close(old_fd);
	fq_temp_drop(s, t);
	return rc;
}

void fq_temp_drop(struct fq_store *s, struct fq_temp *t)
{
	if (t->file[0])
		unlinkat(s->fd, t->file, 0);
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
	t->file[0] = '\0';
}

void fq_temp_clean(struct fq_store *s, const char *file)
{
	int fd;

	if (s->c->dry_run)
		return;
	fd = openat(s->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(s->fd, file, 0) == 0)
		s->h->log(s->c, VMF_LOG_INFO, "removed %s/%s, which an interrupted run left behind", s->dir,
			file);
	close(fd);
}

bool fq_temp_is(const char *file)
{
	size_t length = strlen(file);

	return strncmp(file, FQ_TEMP_PREFIX, strlen(FQ_TEMP_PREFIX)) == 0 &&
	       length > strlen(FQ_TEMP_SUFFIX) &&
	       strcmp(file + length - strlen(FQ_TEMP_SUFFIX), FQ_TEMP_SUFFIX) == 0;
}

void fq_temp_clean_all(struct fq_store *s)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && (entry = readdir(dir)))
		if (fq_temp_is(entry->d_name))
			fq_temp_clean(s, entry->d_name);
	if (dir)
		closedir(dir);
}
