/* SPDX-License-Identifier: ISC */
/* The pool and its volumes, in one look at the folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "qcow2.h"

/* ---- check -------------------------------------------------------------------------------- */

static bool is_shared(int fd)
{
	static const unsigned long shared[] = {
		0x6969,	    /* NFS */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB2 */
		0x00c36400, /* Ceph */
		0x7461636f, /* OCFS2 */
		0x01161970, /* GFS2 */
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0)
		for (size_t i = 0; i < VMF_COUNT(shared); i++)
			if (((unsigned long)fs.f_type & 0xffffffff) == shared[i])
				return true;
	return false;
}

/* The folder, or what it will be made in: the nearest parent that is there. */
static int open_nearest(const struct fq_store *s)
{
	char *path = s->h->strdup(s->c, s->dir), *slash;
	int fd;

	if (s->fd >= 0)
		return fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	while ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT) {
		slash = strrchr(path, '/');
		if (!slash || path[1] == '\0')
			break;
		slash[slash == path] = '\0';
		if (s->h->opt_is_set(s->c, "dir")) {
			fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			break; /* a person's folder: only the last part is made */
		}
	}
	return fd;
}

int fq_check(const struct vmf_call *c, struct vmf_pool *pool, struct vmf_error *err)
{
	struct statvfs vfs;
	struct fq_store s;
	int fd;

	if (fq_opt_check(c, err) < 0 || fq_store_open(c, &s, false, err) < 0)
		return -1;
	fd = open_nearest(&s);
	if (fd < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		int errnum = errno;

		if (fd >= 0)
			close(fd);
		fq_store_close(&s);
		return fq_fail_errno(c, err, errnum,
			errnum == ENOENT
				? c->host->printf(c, "mkdir -p %s, or mount what belongs there", s.dir)
				: NULL,
			fd < 0 ? "cannot use the folder %s (%s)" : "cannot write to the folder %s (%s)",
			s.dir, c->host->opt_origin(c, "dir"));
	}
	if (fstatvfs(fd, &vfs) == 0) {
		pool->size_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
		pool->free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	}
	pool->caps = FQ_CAPS;
	if (fq_opt_format(c) == FQ_QCOW2)
		pool->caps |= FQ_CAPS_QCOW2;
	if (is_shared(fd))
		pool->caps |= VMF_STORAGE_SHARED;
	pool->data_percent = pool->meta_percent = -1;
	pool->description = c->host->strdup(c, s.dir);
	close(fd);
	fq_store_close(&s);
	return 0;
}

/* ---- list --------------------------------------------------------------------------------- */

/* What a volume stands on, as people name it: another volume of this folder, or a path. */
static const char *origin_of(struct fq_store *s, const char *path, const struct qcow2 *q)
{
	const char *backing = q->backing[0] ? fq_backing_path(s->c, path, q->backing) : NULL;
	size_t dir = strlen(s->dir);
	char name[NAME_MAX + 1];
	enum fq_format format;

	if (!backing)
		return q->backing[0] ? s->h->strdup(s->c, q->backing) : NULL;
	if (strncmp(backing, s->dir, dir) == 0 && backing[dir] == '/' && !strchr(backing + dir + 1, '/') &&
		fq_parse_file(backing + dir + 1, name, &format))
		return s->h->strdup(s->c, name);
	return s->h->strdup(s->c, backing);
}

/* One broken image must not hide the others: it is told and listed without a size. */
static void describe(struct fq_store *s, const char *file, struct vmf_volume *v, enum fq_format format)
{
	int fd = openat(s->fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat link, st;
	struct qcow2 q;

	v->size = sizeof(*v);
	v->id = s->h->printf(s->c, "%s/%s", s->dir, file);
	v->format = fq_format_name(format);
	if (fstatat(s->fd, file, &link, AT_SYMLINK_NOFOLLOW) == 0)
		v->is_ours = fq_mark_is_ours(s, file, &link, &v->owner_uuid);
	if (fd < 0 || fstat(fd, &st) < 0) {
		s->h->log(s->c, VMF_LOG_WARN, "cannot open %s: %s", v->id, strerror(errno));
	} else if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		s->h->log(s->c, VMF_LOG_WARN, "%s is neither a file nor a block device", v->id);
	} else {
		v->used_bytes = (uint64_t)st.st_blocks * 512;
		v->in_use = fq_use_of(fd) != FQ_FREE;
		if (format == FQ_RAW) {
			int64_t bytes = fq_fd_size(fd);

			v->virtual_bytes = bytes < 0 ? 0 : (uint64_t)bytes;
		} else if (qcow2_read(s->c, fd, v->id, &q, NULL) == 0) {
			v->virtual_bytes = q.size;
			v->origin = origin_of(s, v->id, &q);
		} else {
			s->h->log(s->c, VMF_LOG_WARN, "%s is not a qcow2 image that vmf can read", v->id);
		}
	}
	if (fd >= 0)
		close(fd);
}

/* web0-2 before web0-10 */
static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct vmf_volume *)a)->name, ((const struct vmf_volume *)b)->name);
}

static void add(
	struct fq_store *s, struct vmf_volume_list *list, size_t *room, const char *name, const char *file)
{
	if (list->count == *room) {
		struct vmf_volume *items;

		*room = *room ? *room * 2 : 16;
		items = s->h->alloc(s->c, *room * sizeof(*items));
		if (list->count)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
	}
	list->items[list->count].name = s->h->strdup(s->c, name);
	list->items[list->count++].id = file;
}

int fq_list(const struct vmf_call *c, const char *prefix, struct vmf_volume_list *list, struct vmf_error *err)
{
	const struct dirent *entry;
	struct fq_store s;
	bool has_temp = false;
	size_t room = 0;
	DIR *dir;
	int fd;

	if (fq_store_open(c, &s, false, err) < 0)
		return -1;
	*list = (struct vmf_volume_list){.stride = sizeof(struct vmf_volume)};
	if (s.fd < 0)
		return 0;
	fd = openat(s.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		int errnum = errno;

		if (fd >= 0)
			close(fd);
		fq_store_close(&s);
		return fq_fail_errno(c, err, errnum, NULL, "cannot read the folder %s", s.dir);
	}
	while ((entry = readdir(dir))) {
		char name[NAME_MAX + 1];
		enum fq_format format;

		if (fq_parse_file(entry->d_name, name, &format) &&
			(!prefix || strncmp(name, prefix, strlen(prefix)) == 0))
			add(&s, list, &room, name, c->host->strdup(c, entry->d_name));
		has_temp |= fq_temp_is(entry->d_name);
	}
	closedir(dir);
	if (has_temp && !c->dry_run) /* unless somebody is just making it, it was left behind */
		fq_temp_clean_all(&s);
	for (size_t i = 0; i < list->count; i++) {
		char name[NAME_MAX + 1];
		enum fq_format format = FQ_QCOW2;
		const char *file = list->items[i].id;

		fq_parse_file(file, name, &format);
		describe(&s, file, &list->items[i], format);
	}
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), by_name);
	fq_store_close(&s);
	return 0;
}
