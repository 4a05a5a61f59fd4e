/* SPDX-License-Identifier: ISC */
/*
 * The marks: what is vmf's own, and what stands on what.
 *
 * A mark is a small file beside the volume that holds the VM's UUID and the volume's inode with its time
 * of birth. It counts only while the volume is that very inode, so a file that a person puts in its place
 * is foreign, and a mark that is left over from a crash means nothing. (Extended attributes would do the
 * same, but not on every filesystem.)
 */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MARK_MAX 320 /* bytes */

/* Opens DIR/.vmf; MAKE: makes it. The fd, or -1 and errno. */
static int marks_open(struct fq_store *s, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;

	if (s->mark_fd < 0 && s->fd >= 0) {
		s->mark_fd = openat(s->fd, FQ_MARKS, flags);
		if (s->mark_fd < 0 && make && errno == ENOENT) {
			if (mkdirat(s->fd, FQ_MARKS, 0700) < 0 && errno != EEXIST)
				return -1;
			s->mark_fd = openat(s->fd, FQ_MARKS, flags);
		}
	}
	return s->mark_fd;
}

int fq_lock(struct fq_store *s, struct vmf_error *err)
{
	if (s->lock_fd >= 0)
		return 0;
	if (marks_open(s, true) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot open %s/%s", s->dir, FQ_MARKS);
	/* a description of its own: it goes with us, whatever ends us */
	s->lock_fd = openat(s->mark_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->lock_fd < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot open %s/%s", s->dir, FQ_MARKS);
	while (flock(s->lock_fd, LOCK_EX) < 0) {
		int errnum = errno;

		if (errnum == EINTR)
			continue;
		close(s->lock_fd);
		s->lock_fd = -1;
		return fq_fail_errno(s->c, err, errnum, NULL, "cannot lock %s/%s", s->dir, FQ_MARKS);
	}
	return 0;
}

void fq_unlock(struct fq_store *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}

/* ---- the mark ----------------------------------------------------------------------------- */

/* Time of birth in nanoseconds, 0 where the filesystem keeps none: a number of an inode is used again. */
static uint64_t birth_of(int dir_fd, const char *file)
{
	struct statx stx;

	if (statx(dir_fd, file, *file ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH, STATX_BTIME, &stx) < 0 ||
		!(stx.stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)stx.stx_btime.tv_sec * 1000000000u + stx.stx_btime.tv_nsec;
}

/* The mark's text, or false. */
static bool read_mark(struct fq_store *s, const char *file, char *text, size_t room)
{
	int fd = marks_open(s, false) < 0
			 ? -1
			 : openat(s->mark_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, room - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

bool fq_mark_is_ours(struct fq_store *s, const char *file, const struct stat *st, const char **uuid)
{
	char text[MARK_MAX], id[64] = "";
	uint64_t ino, born;

	if (uuid)
		*uuid = NULL;
	if (!S_ISREG(st->st_mode) || !read_mark(s, file, text, sizeof(text)) ||
		sscanf(text, "uuid=%63[0-9a-fA-F-]\n", id) != 1)
		return false;
	/* two of them while a new file takes the place of an old one */
	for (const char *at = text; (at = strstr(at, "\nino=")); at++)
		if (sscanf(at, "\nino=%" SCNu64 "\nborn=%" SCNu64 "\n", &ino, &born) == 2 &&
			ino == (uint64_t)st->st_ino && born == birth_of(s->fd, file)) {
			if (uuid && strcmp(id, "-") != 0)
				*uuid = s->h->strdup(s->c, id);
			return true;
		}
	return false;
}

/* "ino=...\nborn=...\n": the length, or -1 and errno. */
static int identity_of(int fd, char *text, size_t room)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	return snprintf(
		text, room, "ino=%" PRIu64 "\nborn=%" PRIu64 "\n", (uint64_t)st.st_ino, birth_of(fd, ""));
}

/* At once or not at all: under a name that no volume's mark has, then moved. DURABLE: also after a power
 * failure. */
static int put_mark(struct fq_store *s, const char *file, const char *text, bool durable)
{
	static const char fresh[] = ".new";
	int fd = openat(s->mark_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), rc;

	if (fd < 0)
		return -1;
	rc = fq_pwrite(fd, text, strlen(text), 0);
	if (rc == 0 && durable)
		rc = fsync(fd);
	close(fd);
	if (rc == 0)
		rc = renameat(s->mark_fd, fresh, s->mark_fd, file);
	if (rc == 0 && durable)
		rc = fsync(s->mark_fd);
	if (rc < 0) {
		int errnum = errno;

		unlinkat(s->mark_fd, fresh, 0);
		errno = errnum;
	}
	return rc;
}

int fq_mark_write(struct fq_store *s, const char *file, int volume_fd, int also_fd, const char *uuid,
	struct vmf_error *err)
{
	char text[MARK_MAX];
	int length = snprintf(text, sizeof(text), "uuid=%.63s\n", uuid && *uuid ? uuid : "-"), more;

	more = marks_open(s, true) < 0 ? -1
				       : identity_of(volume_fd, text + length, sizeof(text) - (size_t)length);
	if (more >= 0 && also_fd >= 0) {
		length += more;
		more = identity_of(also_fd, text + length, sizeof(text) - (size_t)length);
	}
	if (more < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot mark %s/%s", s->dir, file);
	/* what stood here before is a mark of nothing, or ours; we hold the lock */
	if (put_mark(s, file, text, also_fd >= 0) < 0)
		return fq_fail_errno(
			s->c, err, errno, NULL, "cannot write the mark %s/%s/%s", s->dir, FQ_MARKS, file);
	return 0;
}

void fq_mark_remove(struct fq_store *s, const char *file)
{
	if (marks_open(s, false) >= 0)
		unlinkat(s->mark_fd, file, 0);
}

int fq_must_be_ours(struct fq_store *s, const struct fq_volume *v, const char *doing, struct vmf_error *err)
{
	if (fq_mark_is_ours(s, v->file, &v->st, NULL))
		return 0;
	return s->h->fail(err, VMF_E_PERMISSION, 0,
		"vmf changes only what it made; if it is yours to change, use rm, mv or qemu-img",
		"%s was not made by vmf and is not %s", v->path, doing);
}

/* ---- what others stand on ----------------------------------------------------------------- */

static void base_name(char note[NAME_MAX + 1], const char *file)
{
	snprintf(note, NAME_MAX + 1, "%.*s.base", NAME_MAX - 5, file);
}

int fq_base_note(struct fq_store *s, const char *file, struct vmf_error *err)
{
	char note[NAME_MAX + 1];
	int fd;

	base_name(note, file);
	fd = marks_open(s, true) < 0
		     ? -1
		     : openat(s->mark_fd, note, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot write %s/%s/%s", s->dir, FQ_MARKS, note);
	close(fd);
	return 0;
}

bool fq_base_is_noted(struct fq_store *s, const char *file)
{
	char note[NAME_MAX + 1];

	base_name(note, file);
	return marks_open(s, false) >= 0 && faccessat(s->mark_fd, note, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void fq_base_forget(struct fq_store *s, const char *file)
{
	char note[NAME_MAX + 1];

	base_name(note, file);
	if (marks_open(s, false) >= 0)
		unlinkat(s->mark_fd, note, 0);
}
