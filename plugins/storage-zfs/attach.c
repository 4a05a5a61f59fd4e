/* SPDX-License-Identifier: ISC */
/* A volume as QEMU's block layer, and as a device on the host. */
#include <fcntl.h>
#include <unistd.h>

#include "zv.h"

static void fill(struct zv_store *s, const char *name, int fd, struct vmf_block *block)
{
	const struct vmf_call *c = s->c;
	struct vmf_block_layer *layer = c->host->alloc(c, sizeof(*layer));

	*layer = (struct vmf_block_layer){
		.driver = "raw", .path = zv_device_path(s, name), .fd = fd, .is_device = 1};
	block->layers = layer;
	block->n_layers = 1;
	block->layer_stride = sizeof(*layer);
	block->discard = (uint32_t)c->host->opt_bool(c, "discard");
	block->detect_zeroes = (uint32_t)c->host->opt_bool(c, "detect_zeroes");
	block->cache = c->host->opt_string(c, "cache");
	block->aio = c->host->opt_string(c, "aio");
}

/* Readers leave each other in peace. */
static int must_be_free_for(struct zv_store *s, const char *name, bool readonly, struct vmf_error *err)
{
	return readonly && zv_use_of(s, name) == ZV_READ ? 0 : zv_must_be_free(s, name, err);
}

int zv_attach(const struct vmf_call *c, const char *name, struct vmf_block *block, struct vmf_error *err)
{
	int fd = -1, flags = block->readonly ? O_RDONLY : O_RDWR;
	struct zv_store s;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	if (c->dry_run) {
		s.may_recall = true; /* a VM with many disks asks once */
		if (zv_look(&s, ZV_INSIDE, NULL, err) < 0 || !zv_find_or_fail(&s, name, err))
			return -1;
	} else {
		fd = zv_device_open(&s, name, flags, err);
		if (fd < 0)
			return -1;
		/* that very device: its name may lead to another one by the time that it is opened anew */
		if (must_be_free_for(&s, name, block->readonly, err) < 0) {
			close(fd);
			return -1;
		}
	}
	fill(&s, name, fd, block);
	zv_close(&s);
	return 0;
}

/* attach() and map() change nothing on the host. */
int zv_detach(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	(void)c;
	(void)name;
	(void)err;
	return 0;
}

int zv_map(const struct vmf_call *c, const char *name, uint32_t writable, char **path, struct vmf_error *err)
{
	struct zv_store s;
	int fd;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0)
		return -1;
	if (c->dry_run) {
		if (zv_look(&s, ZV_INSIDE, NULL, err) < 0 || !zv_find_or_fail(&s, name, err))
			return -1;
	} else {
		fd = zv_device_open(&s, name, writable ? O_RDWR : O_RDONLY, err);
		if (fd < 0)
			return -1;
		close(fd);
		if (must_be_free_for(&s, name, !writable, err) < 0)
			return -1;
	}
	*path = c->host->strdup(c, zv_device_path(&s, name));
	zv_close(&s);
	return 0;
}

int zv_unmap(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	return zv_detach(c, name, err);
}
