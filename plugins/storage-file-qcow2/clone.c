/* SPDX-License-Identifier: ISC */
/* Volumes from volumes: an overlay that stands on its origin, or a full copy. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "qcow2.h"

/* ---- copy-on-write ------------------------------------------------------------------------ */

/* What can stand on V: checked before, and again by those who start a VM. */
static int check_base(struct fq_store *s, const struct fq_volume *v, struct vmf_error *err)
{
	struct fq_layer layers[FQ_MAX_LAYERS];
	size_t count;

	if (fq_opt_format(s->c) == FQ_RAW)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a full copy (clone --copy), or set format = \"qcow2\"",
			"a raw volume cannot stand on %s", v->path);
	if (fq_chain(s, v, layers, &count, err) < 0)
		return -1;
	if (count == FQ_MAX_LAYERS)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a full copy, which stands alone (clone --copy)",
			"%s stands on %d images already", v->path, FQ_MAX_LAYERS - 1);
	return 0;
}

/* Beside the overlay, by its name alone: the folder can be moved. "./": a colon in it would mean a protocol.
 */
static const char *backing_name(struct fq_store *s, const struct fq_volume *v)
{
	return strchr(v->file, ':') ? s->h->printf(s->c, "./%s", v->file) : v->file;
}

static int write_overlay(
	struct fq_store *s, const struct fq_volume *v, int fd, const char *path, struct vmf_error *err)
{
	struct qcow2_new n = {.cluster_bits = (uint32_t)__builtin_ctzll(fq_opt_cluster_size(s->c)),
		.backing = backing_name(s, v),
		.backing_format = fq_format_name(v->format)};
	struct qcow2_pack pack;

	if (fq_virtual_size(s, v, &n.size, err) < 0)
		return -1;
	n.size = (n.size + 511) & ~(uint64_t)511;
	if (qcow2_pack_begin(&pack, s->c, fd, path, &n, err) < 0)
		return -1;
	return qcow2_pack_end(&pack, err);
}

/* The base's note is there before the overlay is, and goes if that did not come to be. */
static int publish_overlay(struct fq_store *s, const struct fq_volume *v, struct fq_temp *t,
	const char *new_name, struct vmf_error *err)
{
	bool was_noted;
	int rc;

	if (fq_lock(s, err) < 0) {
		fq_temp_drop(s, t);
		return -1;
	}
	was_noted = fq_base_is_noted(s, v->file);
	rc = fq_base_note(s, v->file, err);
	if (rc < 0)
		fq_temp_drop(s, t);
	else
		rc = fq_temp_publish(s, t, new_name, FQ_QCOW2, err);
	if (rc < 0 && !was_noted)
		fq_base_forget(s, v->file);
	if (rc == 0 && !was_noted && fq_mark_is_ours(s, v->file, &v->st, NULL))
		s->h->log(s->c, VMF_LOG_WARN,
			"%s stands on %s, which nothing can write to as long as it does", new_name, v->name);
	return rc;
}

/* Its head, L1 table and reference counts. */
static int need_room(struct fq_store *s, const struct fq_volume *v, struct vmf_error *err)
{
	uint64_t cluster = fq_opt_cluster_size(s->c), size;

	if (fq_virtual_size(s, v, &size, err) < 0)
		return -1;
	return fq_need_space(s, (size / (cluster * (cluster / 8)) * 8 / cluster + 4) * cluster, err);
}

static int clone_overlay(
	struct fq_store *s, const struct fq_volume *v, const char *new_name, struct vmf_error *err)
{
	const char *path = s->h->printf(s->c, "%s/%s.qcow2", s->dir, new_name);
	struct fq_temp t;
	int fd, rc;

	if (check_base(s, v, err) < 0 || need_room(s, v, err) < 0)
		return -1;
	fd = fq_open(s, v, O_RDONLY, err);
	if (fd < 0)
		return -1;
	/* held until the overlay and the note are there: from then on attach() refuses to write to the base
	 */
	if (!fq_hold(fd)) {
		rc = s->h->fail(err, VMF_E_BUSY, 0, "stop the VM that uses it, or clone a snapshot of it",
			"%s is open for writing", v->path);
	} else if (s->c->dry_run) {
		rc = 0;
	} else {
		rc = fq_temp_new(s, new_name, &t, err);
		if (rc == 0 && write_overlay(s, v, t.fd, path, err) < 0) {
			fq_temp_drop(s, &t);
			rc = -1;
		} else if (rc == 0) {
			rc = publish_overlay(s, v, &t, new_name, err);
		}
	}
	close(fd);
	return rc;
}

/* ---- full copy ---------------------------------------------------------------------------- */

/* A filesystem where copies may share blocks: how much room one takes cannot be said. */
static bool may_share(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == 0x58465342 /* XFS */ || fs.f_type == 0x9123683e /* btrfs */);
}

/* The file as it is would do: same format, nothing below, nothing in it that the clone should not have. */
static bool is_copy_of_file(const struct fq_content *content, const struct fq_volume *v)
{
	return v->format == fq_opt_format(content->s->c) && content->n_layers == 1 && !content->snapshot_id &&
	       !content->has_snapshots && fq_opt_is(content->s->c, "preallocation", "off");
}

static int check_space(struct fq_content *content, struct vmf_error *err)
{
	uint64_t bytes;

	if (fq_content_measure(content, &bytes, err) < 0)
		return -1;
	if (!content->is_plain || may_share(content->s->fd))
		return 0;
	return fq_need_space(
		content->s, fq_opt_is(content->s->c, "preallocation", "off") ? bytes : content->size, err);
}

static int copy_by_qemu_img(
	struct fq_content *content, const struct fq_volume *v, struct fq_sink *sink, struct vmf_error *err)
{
	struct fq_store *s = content->s;
	const char *preallocation = s->h->opt_string(s->c, "preallocation"), *options;

	options = sink->format == FQ_RAW ? s->h->printf(s->c, "preallocation=%s", preallocation)
					 : s->h->printf(s->c, "preallocation=%s,cluster_size=%" PRIu64,
						   preallocation, fq_opt_cluster_size(s->c));
	if (fq_copy_convert(s, v, content, &sink->temp, sink->format, options, err) < 0)
		return -1;
	if (fsync(sink->temp.fd) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot write %s", sink->path);
	return 0;
}

static int fill_copy(
	struct fq_content *content, const struct fq_volume *v, struct fq_sink *sink, struct vmf_error *err)
{
	if (is_copy_of_file(content, v)) {
		if (fq_copy_file(content->s, v, content->fd, &sink->temp, sink->path, err) < 0)
			return -1;
		if (fsync(sink->temp.fd) < 0)
			return fq_fail_errno(content->s->c, err, errno, NULL, "cannot write %s", sink->path);
		return 0;
	}
	if (!content->is_plain)
		return copy_by_qemu_img(content, v, sink, err);
	return fq_copy_content(content, sink, err) < 0 ? -1 : fq_sink_end(sink, true, err);
}

static int clone_copy(struct fq_store *s, const struct fq_volume *v, const char *snapshot,
	const char *new_name, struct vmf_error *err)
{
	struct fq_content content;
	struct fq_sink sink;
	int rc;

	if (fq_content_open(s, v, snapshot, &content, err) < 0)
		return -1;
	rc = check_space(&content, err);
	if (rc == 0 && !s->c->dry_run) {
		rc = fq_sink_open(s, new_name, content.size, &sink, err);
		if (rc == 0 && fill_copy(&content, v, &sink, err) < 0) {
			fq_sink_drop(&sink);
			rc = -1;
		} else if (rc == 0) {
			rc = fq_sink_publish(&sink, err);
		}
	}
	fq_content_close(&content);
	return rc;
}

int fq_clone(const struct vmf_call *c, const char *origin, const char *snapshot, const char *new_name,
	uint32_t copy, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_volume v;
	int rc = -1;

	if (fq_opt_check(c, err) < 0 || fq_store_open(c, &s, false, err) < 0)
		return -1;
	if (fq_find_or_fail(&s, origin, &v, err) == 0 && fq_find_none(&s, new_name, err) == 0) {
		if (!c->dry_run)
			fq_temp_clean_all(&s);
		if (copy)
			rc = clone_copy(&s, &v, snapshot, new_name, err);
		else if (snapshot)
			rc = c->host->fail(err, VMF_E_UNSUPPORTED, 0,
				"make a full copy (clone --copy), or clone the volume as it is now",
				"nothing can stand on a snapshot inside of a qcow2 image (%s, snapshot "
				"\"%s\")",
				v.path, snapshot);
		else
			rc = clone_overlay(&s, &v, new_name, err);
	}
	fq_store_close(&s);
	return rc;
}
