/* SPDX-License-Identifier: ISC */
/* The folder, the names in it, and small things that every call needs. */
#include "qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

int fq_code_of(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return VMF_E_NO_SPACE;
	case EACCES:
	case EPERM:
	case EROFS:
		return VMF_E_PERMISSION;
	case ENOENT:
	case ENOTDIR:
		return VMF_E_NOT_FOUND;
	case EEXIST:
		return VMF_E_EXISTS;
	case EBUSY:
	case ETXTBSY:
		return VMF_E_BUSY;
	}
	return VMF_E_FAILED;
}

/* ---- the folder --------------------------------------------------------------------------- */

/* Only the default folder is made with all of its parents: a person's may be a mount that is missing. */
static int make_folder(const struct vmf_call *c, const char *dir, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	char *path = h->strdup(c, dir);

	if (!h->opt_is_set(c, "dir"))
		for (char *at = path + 1; (at = strchr(at, '/')); *at++ = '/') {
			*at = '\0';
			if (mkdir(path, 0755) < 0 && errno != EEXIST)
				return fq_fail_errno(c, err, errno, NULL, "cannot create %s", path);
		}
	if (mkdir(dir, 0711) < 0 && errno != EEXIST)
		return fq_fail_errno(c, err, errno,
			errno == ENOENT ? h->printf(c, "mkdir -p %s, or mount what belongs there", dir)
					: NULL,
			"cannot create the folder %s (%s)", dir, h->opt_origin(c, "dir"));
	return 0;
}

int fq_store_open(const struct vmf_call *c, struct fq_store *s, bool make, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	*s = (struct fq_store){
		.c = c, .h = h, .dir = h->opt_string(c, "dir"), .fd = -1, .mark_fd = -1, .lock_fd = -1};
	if (!s->dir || !*s->dir)
		return h->fail(err, VMF_E_CONFIG, 0, "set dir = to the folder that holds the images",
			"storage \"%s\" has no dir", c->instance ? c->instance : "?");
	s->fd = open(s->dir, flags);
	if (s->fd < 0 && errno == ENOENT) {
		if (!make)
			return 0;
		if (make_folder(c, s->dir, err) < 0)
			return -1;
		s->fd = open(s->dir, flags);
	}
	if (s->fd < 0)
		return fq_fail_errno(c, err, errno, NULL, "cannot open the folder %s (%s)", s->dir,
			h->opt_origin(c, "dir"));
	return 0;
}

void fq_store_close(struct fq_store *s)
{
	fq_unlock(s);
	if (s->mark_fd >= 0)
		close(s->mark_fd);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = s->mark_fd = -1;
}

int fq_need_space(struct fq_store *s, uint64_t bytes, struct vmf_error *err)
{
	struct statvfs vfs;
	unsigned shift;
	uint64_t left;

	if (fstatvfs(s->fd, &vfs) < 0 || vfs.f_blocks == 0)
		return 0;
	left = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (bytes <= left)
		return 0;
	shift = bytes >> 20 ? 20 : 10;
	return s->h->fail(err, VMF_E_NO_SPACE, 0, "make room, or use another storage",
		"%s has %llu %s left, but this needs %llu %s", s->dir, (unsigned long long)(left >> shift),
		shift == 10 ? "KiB" : "MiB", (unsigned long long)(bytes >> shift),
		shift == 10 ? "KiB" : "MiB");
}

/* ---- names -------------------------------------------------------------------------------- */

const char *fq_format_name(enum fq_format format)
{
	return format == FQ_RAW ? "raw" : "qcow2";
}

const char *fq_ending(enum fq_format format)
{
	return format == FQ_RAW ? ".raw" : ".qcow2";
}

bool fq_parse_file(const char *file, char name[NAME_MAX + 1], enum fq_format *format)
{
	const char *dot = strrchr(file, '.');
	size_t length = dot ? (size_t)(dot - file) : 0;

	if (file[0] == '.' || !length || length > FQ_NAME_LENGTH)
		return false;
	if (strcmp(dot, ".qcow2") == 0)
		*format = FQ_QCOW2;
	else if (strcmp(dot, ".raw") == 0)
		*format = FQ_RAW;
	else
		return false;
	memcpy(name, file, length);
	name[length] = '\0';
	return true;
}

int fq_name_check(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	if (!name || !*name || name[0] == '.' || strchr(name, '/'))
		return c->host->fail(err, VMF_E_USAGE, 0, "names have no / and do not begin with a dot",
			"\"%s\" is not a volume's name", name ? name : "");
	for (const unsigned char *at = (const unsigned char *)name; *at; at++)
		if (*at < ' ' || *at == 0x7f)
			return c->host->fail(
				err, VMF_E_USAGE, 0, NULL, "a volume's name holds a control character");
	if (strlen(name) > FQ_NAME_LENGTH)
		return c->host->fail(err, VMF_E_USAGE, 0, NULL,
			"the volume's name \"%.20s...\" is longer than %d bytes", name, FQ_NAME_LENGTH);
	return 0;
}

static bool look(struct fq_store *s, const char *name, enum fq_format format, struct fq_volume *v)
{
	snprintf(v->file, sizeof(v->file), "%s%s", name, fq_ending(format));
	v->format = format;
	return fstatat(s->fd, v->file, &v->st, AT_SYMLINK_NOFOLLOW) == 0;
}

int fq_find(struct fq_store *s, const char *name, struct fq_volume *v, struct vmf_error *err)
{
	struct fq_volume other;

	memset(v, 0, sizeof(*v));
	if (fq_name_check(s->c, name, err) < 0)
		return -1;
	if (s->fd < 0)
		return 0;
	if (look(s, name, FQ_QCOW2, v)) {
		if (look(s, name, FQ_RAW, &other))
			return s->h->fail(err, VMF_E_STATE, 0, "rename one of them",
				"there are both %s/%s and %s/%s: which is meant", s->dir, v->file, s->dir,
				other.file);
	} else if (!look(s, name, FQ_RAW, v)) {
		if (errno == ENOENT)
			return 0;
		return fq_fail_errno(s->c, err, errno, NULL, "cannot look at %s/%s", s->dir, v->file);
	}
	snprintf(v->name, sizeof(v->name), "%s", name);
	v->path = s->h->printf(s->c, "%s/%s", s->dir, v->file);
	return 1;
}

int fq_find_or_fail(struct fq_store *s, const char *name, struct fq_volume *v, struct vmf_error *err)
{
	int rc = fq_find(s, name, v, err);

	if (rc == 0)
		return s->h->fail(
			err, VMF_E_NOT_FOUND, 0, NULL, "there is no volume \"%s\" in %s", name, s->dir);
	return rc < 0 ? -1 : 0;
}

int fq_find_none(struct fq_store *s, const char *name, struct vmf_error *err)
{
	struct fq_volume v = {.file = ""};

	if (fq_name_check(s->c, name, err) < 0)
		return -1;
	if (s->fd < 0 || (!look(s, name, FQ_QCOW2, &v) && !look(s, name, FQ_RAW, &v)))
		return 0;
	return s->h->fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that volume first",
		"%s/%s exists", s->dir, v.file);
}

/* ---- files -------------------------------------------------------------------------------- */

int fq_open(struct fq_store *s, const struct fq_volume *v, int flags, struct vmf_error *err)
{
	/* O_NONBLOCK: a pipe in the image's place must not stop us */
	int fd = openat(s->fd, v->file, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot open %s", v->path);
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return fd;
	close(fd);
	return s->h->fail(err, VMF_E_FAILED, 0, NULL, "%s is neither a file nor a block device", v->path);
}

int64_t fq_fd_size(int fd)
{
	struct stat st;
	uint64_t bytes;

	if (fstat(fd, &st) < 0)
		return -1;
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	return ioctl(fd, BLKGETSIZE64, &bytes) < 0 ? -1 : (int64_t)bytes;
}

int fq_pread(int fd, void *data, size_t length, off_t offset)
{
	char *at = data;

	while (length) {
		ssize_t n = pread(fd, at, length, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENODATA;
		if (n <= 0)
			return -1;
		at += n;
		offset += n;
		length -= (size_t)n;
	}
	return 0;
}

int fq_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	const char *at = data;

	while (length) {
		ssize_t n = pwrite(fd, at, length, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		offset += n;
		length -= (size_t)n;
	}
	return 0;
}

int fq_virtual_size(struct fq_store *s, const struct fq_volume *v, uint64_t *size, struct vmf_error *err)
{
	int fd = fq_open(s, v, O_RDONLY, err), rc = 0;
	struct qcow2 q;

	if (fd < 0)
		return -1;
	if (v->format == FQ_QCOW2) {
		rc = qcow2_read(s->c, fd, v->path, &q, err);
		*size = q.size;
	} else {
		int64_t bytes = fq_fd_size(fd);

		*size = (uint64_t)bytes;
		if (bytes < 0)
			rc = fq_fail_errno(s->c, err, errno, NULL, "cannot look at %s", v->path);
	}
	close(fd);
	return rc;
}

const char *fq_json_string(const struct vmf_call *c, const char *text)
{
	char *json = c->host->alloc(c, strlen(text) * 6 + 3), *to = json;

	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			to += sprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			to += sprintf(to, "\\u%04x", (unsigned char)*text);
		else
			*to++ = *text;
	}
	*to++ = '"';
	*to = '\0';
	return json;
}
