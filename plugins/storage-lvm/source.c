/* SPDX-License-Identifier: ISC */
/*
 * An LV's content, read past the page cache: what is copied is not looked at again here, and to copy it once
 * more in memory costs more than the disk takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lvm.h"

uint64_t lvm_data_bytes(const struct lvm_lv *v)
{
	if (v->kind == LVM_THIN && v->data >= 0)
		return v->size / 10000 * (uint64_t)v->data;
	return v->virtual_size;
}

int lvm_progress(
	const struct vmf_call *c, const char *what, uint64_t done, uint64_t total, struct vmf_error *err)
{
	if (c->host->progress(c, what, done, total) == 0)
		return 0;
	return c->host->fail(err, VMF_E_FAILED, 0, NULL, "%s: stopped", what);
}

static int cannot_open(struct lvm *s, const struct lvm_lv *v, struct vmf_error *err)
{
	if (errno == EBUSY)
		return s->h->fail(err, VMF_E_BUSY, 0,
			s->h->printf(s->c,
				"stop the VM that uses it, or unmount it (`lsof %s`); its snapshots can be "
				"copied",
				lvm_device(s, v->lv)),
			"%s is in use", lvm_device(s, v->lv));
	return s->h->fail(err, errno == EACCES || errno == EPERM ? VMF_E_PERMISSION : VMF_E_FAILED, errno,
		NULL, "cannot open %s", lvm_device(s, v->lv));
}

int lvm_source_open(struct lvm *s, const struct lvm_lv *v, struct lvm_source *source, struct vmf_error *err)
{
	*source = (struct lvm_source){
		.s = s, .v = v, .path = lvm_device(s, v->lv), .fd = -1, .size = v->virtual_size};
	if (v->is_invalid)
		return s->h->fail(err, VMF_E_STATE, 0, "make the next one with a larger snapshot_size",
			"%s is of no use: its room for changes ran full", lvm_path(s, v->lv));
	if (s->c->dry_run)
		return lvm_must_be_closed(s, v, err);
	if (!v->is_active) {
		if (lvm_set_active(s, v->lv, true, err) < 0)
			return -1;
		source->was_inactive = true;
	}
	source->fd = lvm_dm_open(s->c, s->vg, v->lv, O_RDONLY | O_EXCL | O_DIRECT, NULL);
	if (source->fd >= 0 && ioctl(source->fd, BLKGETSIZE64, &source->size) == 0)
		return 0;
	cannot_open(s, v, err);
	lvm_source_close(source);
	return -1;
}

void lvm_source_close(struct lvm_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
	if (source->was_inactive)
		lvm_set_active(source->s, source->v->lv, false, NULL);
	source->was_inactive = false;
}

int lvm_source_read(
	struct lvm_source *source, uint64_t offset, char *data, size_t length, struct vmf_error *err)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = pread(source->fd, data + done, length - done, (off_t)(offset + done));

		if (n < 0 && (errno == EINTR || (errno == EINVAL && lvm_no_longer_direct(source->fd))))
			continue;
		if (n <= 0)
			return source->s->h->fail(err, VMF_E_FAILED, n < 0 ? errno : ENODATA, NULL,
				"cannot read %s", source->path);
		done += (size_t)n;
	}
	return 0;
}
