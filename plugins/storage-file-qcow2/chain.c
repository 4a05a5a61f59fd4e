/* SPDX-License-Identifier: ISC */
/*
 * What stands on what: from an image down to its bases, and from a base up to its overlays.
 *
 * An image's head can be changed by whatever writes to the image - a QEMU that was taken over, too. So a
 * layer counts only if it is a file in the store's folder or in one that the option backing_dirs names,
 * and its format is the one that the overlay says, never a guess.
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "qcow2.h"

/* ---- down --------------------------------------------------------------------------------- */

const char *fq_backing_path(const struct vmf_call *c, const char *path, const char *backing)
{
	const char *slash = strrchr(path, '/'), *colon;

	if (strncmp(backing, "file:", 5) == 0)
		backing += 5;
	if (backing[0] == '/')
		return backing;
	colon = strchr(backing, ':');
	if (colon && !memchr(backing, '/', (size_t)(colon - backing)))
		return NULL; /* nbd:..., json:... */
	return c->host->printf(c, "%.*s/%s", slash ? (int)(slash - path) : 1, slash ? path : ".", backing);
}

static bool is_folder(const char *path, const struct stat *st)
{
	struct stat other;

	return stat(path, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

/* The layer's folder is the store's or one that the person named. */
static int check_folder(struct fq_store *s, const char *overlay, const char *path, struct vmf_error *err)
{
	const struct vmf_host *h = s->h;
	char *folder = h->strdup(s->c, path), *slash = strrchr(folder, '/');
	struct stat st;

	slash[slash == folder] = '\0';
	if (stat(folder, &st) < 0)
		return fq_fail_errno(
			s->c, err, errno, NULL, "%s stands on %s, which cannot be found", overlay, path);
	if (is_folder(s->dir, &st))
		return 0;
	for (size_t i = 0; i < h->opt_count(s->c, "backing_dirs"); i++)
		if (is_folder(h->opt_item(s->c, "backing_dirs", i), &st))
			return 0;
	return h->fail(err, VMF_E_PERMISSION, 0,
		h->printf(s->c, "if that is meant: backing_dirs = {\"%s\"}", folder),
		"%s stands on %s, which is outside of %s", overlay, path, s->dir);
}

static int backing_format(struct fq_store *s, const char *path, const struct qcow2 *q, enum fq_format *format,
	struct vmf_error *err)
{
	const char *name = q->backing_format;

	if (strcmp(name, "qcow2") == 0)
		*format = FQ_QCOW2;
	else if (strcmp(name, "raw") == 0)
		*format = FQ_RAW;
	else if (!*name)
		return s->h->fail(err, VMF_E_CONFIG, 0,
			s->h->printf(s->c, "qemu-img rebase -u -b %s -F raw|qcow2 %s", q->backing, path),
			"%s stands on %s, but does not say of what format that is", path, q->backing);
	else
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0, "qemu-img convert makes a qcow2 image of it",
			"%s stands on %s of format %s, which vmf cannot use", path, q->backing, name);
	return 0;
}

/* Opens and checks layers[n]; *next: what it stands on (NULL: nothing). */
static int open_layer(struct fq_store *s, struct fq_layer *layers, size_t n, int fd, const char **next,
	enum fq_format *next_format, struct vmf_error *err)
{
	struct fq_layer *layer = &layers[n];
	struct qcow2 q;

	*next = NULL;
	if (fstat(fd, &layer->st) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot look at %s", layer->path);
	if (!S_ISREG(layer->st.st_mode) && !S_ISBLK(layer->st.st_mode))
		return s->h->fail(
			err, VMF_E_FAILED, 0, NULL, "%s is neither a file nor a block device", layer->path);
	for (size_t i = 0; i < n; i++)
		if (layers[i].st.st_dev == layer->st.st_dev && layers[i].st.st_ino == layer->st.st_ino)
			return s->h->fail(err, VMF_E_FAILED, 0,
				"qemu-img rebase -u gives an image another base",
				"%s stands on itself, through %s", layers[0].path, layers[n - 1].path);
	if (layer->format == FQ_RAW)
		return 0;
	if (qcow2_read(s->c, fd, layer->path, &q, err) < 0 || qcow2_check(s->c, fd, layer->path, &q, err) < 0)
		return -1;
	if (!q.backing[0])
		return 0;
	*next = fq_backing_path(s->c, layer->path, q.backing);
	if (!*next)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"qemu-img convert makes an image that stands alone",
			"%s stands on \"%s\", which is not a file", layer->path, q.backing);
	if (backing_format(s, layer->path, &q, next_format, err) < 0)
		return -1;
	return check_folder(s, layer->path, *next, err);
}

int fq_chain(struct fq_store *s, const struct fq_volume *v, struct fq_layer layers[FQ_MAX_LAYERS],
	size_t *count, struct vmf_error *err)
{
	const char *next = v->path;
	enum fq_format format = v->format;

	for (*count = 0; next; (*count)++) {
		size_t n = *count;
		int fd, rc;

		if (n == FQ_MAX_LAYERS)
			return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
				"clone it with --copy, which makes one image of all",
				"%s stands on more than %d images", v->path, FQ_MAX_LAYERS);
		layers[n] = (struct fq_layer){.path = next, .format = format};
		fd = open(next, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0 && n)
			return fq_fail_errno(s->c, err, errno,
				errno == ENOENT ? "put it back; without it the image is useless" : NULL,
				"%s stands on %s, which cannot be opened", layers[n - 1].path, next);
		if (fd < 0)
			return fq_fail_errno(s->c, err, errno, NULL, "cannot open %s", next);
		rc = open_layer(s, layers, n, fd, &next, &format, err);
		close(fd);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- up ----------------------------------------------------------------------------------- */

/* Whether FILE of this folder stands directly on the file ST. */
static bool stands_on(struct fq_store *s, const char *file, const struct stat *st)
{
	struct qcow2 q;
	struct stat below;
	const char *path = s->h->printf(s->c, "%s/%s", s->dir, file), *backing = NULL;
	int fd = openat(s->fd, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return false;
	if (qcow2_read(s->c, fd, path, &q, NULL) == 0 && q.backing[0])
		backing = fq_backing_path(s->c, path, q.backing);
	close(fd);
	return backing && stat(backing, &below) == 0 && below.st_dev == st->st_dev &&
	       below.st_ino == st->st_ino;
}

int fq_overlays(struct fq_store *s, const struct fq_volume *v, char **names, struct vmf_error *err)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	struct stat st;
	unsigned found = 0;

	*names = NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return fq_fail_errno(s->c, err, errno, NULL, "cannot read the folder %s", s->dir);
	}
	/* through a link: what it leads to */
	if (fstatat(s->fd, v->file, &st, 0) < 0)
		st = v->st;
	while ((entry = readdir(dir))) {
		char name[NAME_MAX + 1];
		enum fq_format format;

		/* also what is not named like a volume: somebody's images */
		if (strncmp(entry->d_name, FQ_TEMP_PREFIX, strlen(FQ_TEMP_PREFIX)) == 0 ||
			strcmp(entry->d_name, v->file) == 0 || !stands_on(s, entry->d_name, &st))
			continue;
		if (!fq_parse_file(entry->d_name, name, &format))
			snprintf(name, sizeof(name), "%s", entry->d_name);
		if (found++ < 5)
			*names = *names ? s->h->printf(s->c, "%s, %s", *names, name)
					: s->h->strdup(s->c, name);
	}
	closedir(dir);
	if (found > 5)
		*names = s->h->printf(s->c, "%s and %u more", *names, found - 5);
	return (int)found;
}

int fq_must_be_bare(struct fq_store *s, const struct fq_volume *v, const char *doing, struct vmf_error *err)
{
	char *names;
	int found = fq_overlays(s, v, &names, err);

	if (found <= 0) {
		if (found == 0 && !s->c->dry_run)
			fq_base_forget(s, v->file);
		return found;
	}
	return s->h->fail(err, VMF_E_STATE, 0,
		s->h->printf(s->c, "remove %s first, or make full copies of them (clone --copy)", names),
		"%s is not %s, as %s stand%s on it", v->path, doing, names, found == 1 ? "s" : "");
}
