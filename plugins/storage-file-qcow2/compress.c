/* SPDX-License-Identifier: ISC */
/*
 * A volume packed: qemu-img writes its clusters compressed into a new image, which then takes the old one's
 * place. What the guest writes later is not compressed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "qcow2.h"

/* What of an image would be lost, or is nothing that can be compressed. */
static int check(struct fq_store *s, const struct fq_volume *v, struct qcow2 *q, struct vmf_error *err)
{
	int fd, rc;

	if (v->format == FQ_RAW)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a qcow2 volume of it: `disk export` and `disk add --image` in a store of that "
			"format",
			"%s is raw and cannot be compressed", v->path);
	if (fq_must_be_ours(s, v, "compressed", err) < 0 || fq_must_be_free(s, v, true, err) < 0)
		return -1;
	fd = fq_open(s, v, O_RDONLY, err);
	if (fd < 0)
		return -1;
	rc = qcow2_read(s->c, fd, v->path, q, err);
	if (rc == 0)
		rc = qcow2_check(s->c, fd, v->path, q, err);
	close(fd);
	if (rc == 0 && q->n_snapshots)
		return s->h->fail(err, VMF_E_STATE, 0, "remove them first, or compress a copy (clone --copy)",
			"%s has snapshots, which would be lost", v->path);
	return rc;
}

/* What the image stands on, it goes on standing on: first by its full path, as the new one has no folder yet.
 */
static int convert(struct fq_store *s, const struct fq_volume *v, const struct qcow2 *q,
	const struct fq_temp *t, struct vmf_error *err)
{
	const char *argv[20] = {"qemu-img", "convert", "-q", "-c", "-O", "qcow2", "-o"};
	struct fq_progress progress = {.what = s->h->printf(s->c, "compressing %s", v->name)};
	struct fq_layer layers[FQ_MAX_LAYERS];
	const char *target = s->h->printf(s->c,
		"json:{\"driver\": \"qcow2\", \"file\": {\"driver\": \"file\", "
		"\"filename\": \"%s\"}}",
		t->path);
	size_t count, n = 7;

	if (fq_chain(s, v, layers, &count, err) < 0 || fq_progress_add(s, &progress, 0, v->path, err) < 0)
		return -1;
	argv[n++] = s->h->printf(s->c, "cluster_size=%" PRIu64, UINT64_C(1) << q->cluster_bits);
	if (count > 1) {
		argv[n++] = "-B";
		argv[n++] = layers[1].path;
		argv[n++] = "-F";
		argv[n++] = fq_format_name(layers[1].format);
	}
	argv[n++] = fq_qemu_img_name(s, v);
	argv[n++] = t->path;
	if (fq_qemu_img(s, argv, FQ_LONG_MS, err) < 0)
		return -1;
	if (count > 1) {
		const char *const rebase[] = {"qemu-img", "rebase", "-q", "-u", "-b", q->backing, "-F",
			q->backing_format, target, NULL};

		if (fq_qemu_img(s, rebase, 0, err) < 0)
			return -1;
	}
	if (fchmod(t->fd, v->st.st_mode & 07777) < 0 || fsync(t->fd) < 0)
		return fq_fail_errno(s->c, err, errno, NULL, "cannot write %s", v->path);
	return 0;
}

static int compress_found(struct fq_store *s, const struct fq_volume *v, struct vmf_error *err)
{
	struct qcow2 q;
	struct fq_temp t;

	if (check(s, v, &q, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	if (fq_temp_new(s, v->name, &t, err) < 0)
		return -1;
	if (convert(s, v, &q, &t, err) == 0)
		return fq_temp_replace(s, &t, v, err);
	fq_temp_drop(s, &t);
	return -1;
}

int fq_compress(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	struct fq_store s;
	struct fq_volume v;
	int rc = -1;

	if (fq_opt_check(c, err) < 0 || fq_store_open(c, &s, false, err) < 0)
		return -1;
	if (!c->dry_run && s.fd >= 0)
		fq_temp_clean_all(&s);
	if (fq_find_or_fail(&s, name, &v, err) == 0)
		rc = compress_found(&s, &v, err);
	fq_store_close(&s);
	return rc;
}
