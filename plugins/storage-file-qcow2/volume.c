/* SPDX-License-Identifier: ISC */
/* Volumes come, go, and change their names and sizes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "qcow2.h"

/* ---- create ------------------------------------------------------------------------------- */

/* Whether a new volume takes up all of its size at once. */
static bool takes_all(const struct vmf_call *c)
{
	return fq_opt_is(c, "preallocation", "falloc") || fq_opt_is(c, "preallocation", "full");
}

int fq_create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_sink sink;
	int rc = -1;

	if (size_bytes == 0 || size_bytes > FQ_MAX_SIZE)
		return c->host->fail(err, VMF_E_USAGE, 0, NULL,
			"a volume of %" PRIu64 " bytes cannot be made", size_bytes);
	if (fq_opt_check(c, err) < 0 || fq_store_open(c, &s, !c->dry_run, err) < 0)
		return -1;
	if (fq_find_none(&s, name, err) == 0 &&
		(s.fd < 0 || !takes_all(c) || fq_need_space(&s, size_bytes, err) == 0)) {
		if (c->dry_run)
			rc = 0;
		else if (fq_sink_open(&s, name, size_bytes, &sink, err) == 0) {
			if (fq_sink_zero(&sink, 0, sink.size, err) == 0 &&
				fq_sink_end(&sink, false, err) == 0)
				rc = fq_sink_publish(&sink, err);
			else
				fq_sink_drop(&sink);
		}
	}
	fq_store_close(&s);
	return rc;
}

/* ---- remove ------------------------------------------------------------------------------- */

static int remove_marks(struct fq_store *s, const char *name)
{
	char file[NAME_MAX + 1];

	for (int format = FQ_QCOW2; format <= FQ_RAW; format++) {
		snprintf(file, sizeof(file), "%s%s", name, fq_ending((enum fq_format)format));
		fq_mark_remove(s, file);
		fq_base_forget(s, file);
	}
	return 0;
}

static int remove_found(struct fq_store *s, const struct fq_volume *v, struct vmf_error *err)
{
	if (fq_must_be_ours(s, v, "removed", err) < 0 || fq_must_be_free(s, v, true, err) < 0 ||
		fq_must_be_bare(s, v, "removed", err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	/* the mark goes last: alone it means nothing */
	if (unlinkat(s->fd, v->file, 0) < 0 && errno != ENOENT)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot remove %s", v->path);
	return remove_marks(s, v->name);
}

int fq_remove(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_volume v;
	int rc;

	if (fq_store_open(c, &s, false, err) < 0)
		return -1;
	rc = s.fd >= 0 && !c->dry_run ? fq_lock(&s, err) : 0;
	if (rc == 0)
		rc = fq_find(&s, name, &v, err);
	if (rc > 0)
		rc = remove_found(&s, &v, err);
	else if (rc == 0 && s.fd >= 0 && !c->dry_run)
		rc = remove_marks(&s, name);
	if (rc == 0 && s.fd >= 0)
		fq_temp_clean_all(&s);
	fq_store_close(&s);
	return rc;
}

/* ---- rename ------------------------------------------------------------------------------- */

static int move_file(struct fq_store *s, const char *from, const char *to)
{
	if (renameat2(s->fd, from, s->fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* a filesystem that knows no such flag: link(2) does not replace either */
	return linkat(s->fd, from, s->fd, to, 0) < 0 ? -1 : unlinkat(s->fd, from, 0);
}

static int rename_found(
	struct fq_store *s, const struct fq_volume *v, const char *new_name, struct vmf_error *err)
{
	char file[NAME_MAX + 1];
	const char *uuid;
	int fd, rc;

	snprintf(file, sizeof(file), "%s%s", new_name, fq_ending(v->format));
	if (fq_must_be_ours(s, v, "renamed", err) < 0 || fq_must_be_free(s, v, true, err) < 0 ||
		fq_must_be_bare(s, v, "renamed", err) < 0 || fq_find_none(s, new_name, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	fq_mark_is_ours(s, v->file, &v->st, &uuid);
	fd = fq_open(s, v, O_RDONLY | O_NOFOLLOW, err);
	if (fd < 0)
		return -1;
	/* ours under both names, until it has one only */
	rc = fq_mark_write(s, file, fd, -1, uuid, err);
	close(fd);
	if (rc < 0)
		return -1;
	if (move_file(s, v->file, file) < 0) {
		int errnum = errno;

		fq_mark_remove(s, file);
		return fq_fail_errno(
			s->c, err, errnum, NULL, "cannot rename %s to %s/%s", v->path, s->dir, file);
	}
	return remove_marks(s, v->name);
}

/* A rename that was done before it could be noted down: the new name is there and it is this VM's. */
static bool is_renamed(struct fq_store *s, const char *new_name)
{
	struct fq_volume v;
	const char *uuid;

	return s->c->vm && s->c->vm->uuid && fq_find(s, new_name, &v, NULL) > 0 &&
	       fq_mark_is_ours(s, v.file, &v.st, &uuid) && uuid && strcmp(uuid, s->c->vm->uuid) == 0;
}

int fq_rename(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_volume v;
	int rc;

	if (fq_name_check(c, new_name, err) < 0 || fq_store_open(c, &s, false, err) < 0)
		return -1;
	rc = s.fd >= 0 && !c->dry_run ? fq_lock(&s, err) : 0;
	if (rc == 0)
		rc = fq_find(&s, name, &v, err);
	if (rc > 0)
		rc = rename_found(&s, &v, new_name, err);
	else if (rc == 0 && !is_renamed(&s, new_name))
		rc = c->host->fail(
			err, VMF_E_NOT_FOUND, 0, NULL, "there is no volume \"%s\" in %s", name, s.dir);
	fq_store_close(&s);
	return rc;
}

/* ---- grow --------------------------------------------------------------------------------- */

static int grow_live(struct fq_store *s, uint64_t size, struct vmf_error *err)
{
	const char *arguments = s->h->printf(
		s->c, "{\"node-name\": %s, \"size\": %" PRIu64 "}", fq_json_string(s->c, s->c->slot), size);

	return s->h->qmp(s->c, "block_resize", arguments, -1, NULL, NULL, err);
}

/* What is there stays as it is: only the new end is allocated. */
static int grow_raw(
	struct fq_store *s, const struct fq_volume *v, uint64_t now, uint64_t size, struct vmf_error *err)
{
	int fd = fq_open(s, v, O_RDWR, err), rc = 0;

	if (fd < 0)
		return -1;
	if (takes_all(s->c) ? fallocate(fd, 0, (off_t)now, (off_t)(size - now)) < 0
			    : ftruncate(fd, (off_t)size) < 0) {
		int errnum = errno;

		/* a part may have been allocated before there was no more */
		if (ftruncate(fd, (off_t)now) < 0)
			s->h->log(s->c, VMF_LOG_WARN, "%s has grown, but not as far as it should", v->path);
		rc = fq_fail_errno(
			s->c, err, errnum, NULL, "cannot make %s %" PRIu64 " bytes large", v->path, size);
	}
	close(fd);
	return rc;
}

static int grow_stopped(
	struct fq_store *s, const struct fq_volume *v, uint64_t now, uint64_t size, struct vmf_error *err)
{
	const char *const argv[] = {"qemu-img", "resize", "-q", fq_qemu_img_name(s, v),
		s->h->printf(s->c, "%" PRIu64, size), NULL};

	if (fq_must_be_free(s, v, true, err) < 0)
		return -1;
	return v->format == FQ_QCOW2 ? fq_qemu_img_change(s, v, argv, err) : grow_raw(s, v, now, size, err);
}

static int grow_found(struct fq_store *s, const struct fq_volume *v, uint64_t size, struct vmf_error *err)
{
	uint64_t now;

	if (fq_must_be_ours(s, v, "resized", err) < 0 || fq_virtual_size(s, v, &now, err) < 0)
		return -1;
	if (size < now)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a smaller disk and copy the files over in the guest",
			"%s has %" PRIu64 " bytes and cannot shrink to %" PRIu64, v->path, now, size);
	if (size == now || s->c->dry_run)
		return 0;
	return fq_is_live(s, v) ? grow_live(s, size, err) : grow_stopped(s, v, now, size, err);
}

int fq_grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	uint64_t size = (size_bytes + 511) & ~(uint64_t)511;
	struct fq_store s;
	struct fq_volume v;
	int rc = -1;

	if (size_bytes == 0 || size_bytes > FQ_MAX_SIZE)
		return c->host->fail(
			err, VMF_E_USAGE, 0, NULL, "a volume cannot have %" PRIu64 " bytes", size_bytes);
	if (fq_store_open(c, &s, false, err) < 0)
		return -1;
	if (fq_find_or_fail(&s, name, &v, err) == 0)
		rc = grow_found(&s, &v, size, err);
	fq_store_close(&s);
	return rc;
}
