/* SPDX-License-Identifier: ISC */
/*
 * A new volume that gets its data in ascending order. It has a temporary name, and a tag that says which
 * process makes it, until it is whole: what a dead process left is removed by the next call that changes the
 * volume group. Its device is held open all the while, so that nothing else removes it.
 *
 * A thin pool that runs full stops every guest that writes to it: the copy is given up before that.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lvm.h"

#define HOLE ((size_t)64 << 10)		/* stretches of zeroes of that length are not written */
#define LOOK_EVERY ((uint64_t)64 << 20) /* bytes between two looks at the pool */

/* ---- making it ----------------------------------------------------------------------------- */

char *lvm_buffer_new(const struct vmf_call *c, struct vmf_error *err)
{
	void *buffer;

	if (posix_memalign(&buffer, 4096, LVM_BLOCK) == 0)
		return buffer;
	c->host->fail(err, VMF_E_FAILED, ENOMEM, NULL, "no memory to copy with");
	return NULL;
}

bool lvm_is_zero(const char *data, size_t length)
{
	return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

bool lvm_no_longer_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_DIRECT) && fcntl(fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

static int make_temp(struct lvm_sink *sink, struct vmf_error *err)
{
	struct lvm *s = sink->s;
	const char *size = s->h->printf(s->c, "%" PRIu64 "b", sink->size);
	struct lvm_args a;

	if (lvm_find_lv(s, sink->temp))
		return s->h->fail(err, VMF_E_BUSY, 0,
			s->h->printf(
				s->c, "wait for it; if nothing is: lvremove %s", lvm_path(s, sink->temp)),
			"something is making a volume \"%s\" already", sink->name);
	lvm_args(s->c, &a, "lvcreate", "--yes", "-n", sink->temp, LVM_END);
	if (sink->is_thin)
		lvm_args_add(&a, "--type", "thin", "-V", size, "--thinpool", s->pool, LVM_END);
	else
		lvm_args_add(&a, "--wipesignatures", "y", "-L", size, LVM_END);
	for (size_t i = 0; !sink->is_thin && i < s->h->opt_count(s->c, "lvcreate"); i++)
		lvm_args_add(&a, s->h->opt_item(s->c, "lvcreate", i), LVM_END);
	lvm_add_mark(s, &a);
	lvm_args_add(&a, "--addtag", lvm_maker(s->c), s->vg, LVM_END);
	return lvm_run(s->c, &a, NULL, err);
}

int lvm_sink_open(
	struct lvm *s, const char *name, uint64_t size, struct lvm_sink *sink, struct vmf_error *err)
{
	const char *what = s->h->printf(s->c, "\"%s\"", name);

	*sink = (struct lvm_sink){
		.s = s, .name = name, .fd = -1, .is_thin = s->pool, .size = lvm_round_up(s, size)};
	if (lvm_find_none(s, name, &sink->lv, err) < 0)
		return -1;
	if (sink->is_thin ? lvm_need_pool(s, s->pool, 0, what, err) < 0
			  : lvm_need_space(s, size, what, err) < 0)
		return -1;
	sink->temp = s->h->printf(s->c, LVM_TEMP_PREFIX "%s", sink->lv);
	if (s->c->dry_run)
		return 0;
	if (make_temp(sink, err) < 0) {
		lvm_sink_drop(sink);
		return -1;
	}
	sink->fd = lvm_dm_open(s->c, s->vg, sink->temp, O_RDWR | O_DIRECT | O_EXCL, NULL);
	if (sink->fd >= 0)
		return 0;
	s->h->fail(err, VMF_E_FAILED, errno, NULL, "cannot open %s", lvm_device(s, sink->temp));
	lvm_sink_drop(sink);
	return -1;
}

void lvm_sink_drop(struct lvm_sink *sink)
{
	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = -1;
	if (!sink->s->c->dry_run)
		lvm_remove_made(sink->s, sink->temp);
}

/* ---- filling it ---------------------------------------------------------------------------- */

static int cannot_write(struct lvm_sink *sink, struct vmf_error *err)
{
	struct lvm *s = sink->s;

	return s->h->fail(err, errno == ENOSPC ? VMF_E_NO_SPACE : VMF_E_FAILED, errno, NULL,
		"cannot write %s", lvm_device(s, sink->lv));
}

/* Whether the pool will take another stretch, with some to spare for the guests that live on it. */
static int look_at_pool(struct lvm_sink *sink, size_t length, struct vmf_error *err)
{
	struct lvm *s = sink->s;
	uint64_t left, size;

	sink->unchecked += length;
	if (!sink->is_thin || sink->unchecked < LOOK_EVERY)
		return 0;
	sink->unchecked = 0;
	if (!lvm_dm_pool_room(lvm_dm_name(s->c, s->vg, sink->temp, ""), &left, &size) ||
		left >= LOOK_EVERY + size / 100)
		return 0;
	return s->h->fail(err, VMF_E_NO_SPACE, 0,
		s->h->printf(s->c, "lvextend -L +SIZE %s, or remove volumes or snapshots of it",
			lvm_path(s, s->pool)),
		"thin pool %s has only %s left: \"%s\" was given up before it ran full", lvm_path(s, s->pool),
		lvm_size_text(s->c, left), sink->name);
}

static int write_data(
	struct lvm_sink *sink, uint64_t offset, const char *data, size_t length, struct vmf_error *err)
{
	while (length) {
		ssize_t n = pwrite(sink->fd, data, length, (off_t)offset);

		if (n < 0 && (errno == EINTR || (errno == EINVAL && lvm_no_longer_direct(sink->fd))))
			continue;
		if (n <= 0)
			return cannot_write(sink, err);
		data += n;
		offset += (uint64_t)n;
		length -= (size_t)n;
	}
	return 0;
}

int lvm_sink_zero(struct lvm_sink *sink, uint64_t offset, uint64_t length, struct vmf_error *err)
{
	uint64_t range[2] = {offset, (length + 511) & ~(uint64_t)511};

	/* what was never written to a thin volume reads as zeroes; a thick one holds what the disk held
	 * before */
	if (sink->is_thin || ioctl(sink->fd, BLKZEROOUT, range) == 0)
		return 0;
	return cannot_write(sink, err);
}

static int put_stretch(struct lvm_sink *sink, uint64_t offset, const char *data, size_t length, bool zero,
	struct vmf_error *err)
{
	if (zero)
		return lvm_sink_zero(sink, offset, length, err);
	return look_at_pool(sink, length, err) < 0 ? -1 : write_data(sink, offset, data, length, err);
}

int lvm_sink_put(struct lvm_sink *sink, uint64_t offset, char *data, size_t length, struct vmf_error *err)
{
	size_t from = 0, to, whole = (length + 4095) & ~(size_t)4095;
	bool holes;

	/* direct I/O writes whole sectors; LVs end with one */
	memset(data + length, 0, whole - length);
	if (offset + whole > sink->size)
		whole = (size_t)(sink->size - offset);
	/* in a pool that does not zero its chunks, half a chunk that is left out holds old data */
	holes = !sink->is_thin || sink->s->pool_lv->zeroes;
	for (; from < whole; from = to) {
		bool zero = holes && lvm_is_zero(data + from, whole - from < HOLE ? whole - from : HOLE);

		for (to = from + HOLE; to < whole; to += HOLE)
			if ((holes && lvm_is_zero(data + to, whole - to < HOLE ? whole - to : HOLE)) != zero)
				break;
		if (to > whole)
			to = whole;
		if (put_stretch(sink, offset + from, data + from, to - from, zero, err) < 0)
			return -1;
	}
	return 0;
}

int lvm_sink_publish(struct lvm_sink *sink, struct vmf_error *err)
{
	struct lvm *s = sink->s;

	if (fsync(sink->fd) < 0) {
		cannot_write(sink, err);
		lvm_sink_drop(sink);
		return -1;
	}
	if (lvm_rename_lv(s, sink->temp, sink->lv, err) < 0) {
		lvm_sink_drop(sink);
		return -1;
	}
	close(sink->fd);
	sink->fd = -1;
	return 0;
}
