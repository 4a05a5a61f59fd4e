/* SPDX-License-Identifier: ISC */
/*
 * Block nodes: every layer is opened here and named to QEMU as an fdset, with its own format node on its own
 * file node. Nothing is left for QEMU to find out from an image's header.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qemu/args.h"

#define LAYERS_MAX 64

struct disk {
	struct qemu_args *args;
	const char *node;
	const struct vmf_block *block;
	const char *aio;
	bool direct, no_flush, dry_run;
};

static struct vmf_block_layer *layer_of(const struct vmf_block *block, size_t i)
{
	size_t stride = block->layer_stride ? block->layer_stride : sizeof(struct vmf_block_layer);

	return (struct vmf_block_layer *)((char *)block->layers + i * stride);
}

static int read_options(struct disk *d, struct vmf_error *err)
{
	const char *cache = d->block->cache ? d->block->cache : "writeback";
	const char *aio = d->block->aio;

	if (str_equal(cache, "none"))
		d->direct = true;
	else if (str_equal(cache, "unsafe"))
		d->no_flush = true;
	else if (!str_equal(cache, "writeback"))
		return vmf_fail(
			err, VMF_E_CONFIG, 0, NULL, "cache \"%s\" is none of none, writeback, unsafe", cache);
	if (aio && !str_equal(aio, "threads") && !str_equal(aio, "native") && !str_equal(aio, "io_uring"))
		return vmf_fail(
			err, VMF_E_CONFIG, 0, NULL, "aio \"%s\" is none of threads, native, io_uring", aio);
	if (str_equal(aio, "native") && !d->direct)
		return vmf_fail(err, VMF_E_CONFIG, 0, "set cache = \"none\", or aio = \"io_uring\"",
			"aio \"native\" works only past the host's cache");
	d->aio = aio;
	return 0;
}

/* Opens PATH for QEMU, or takes the plugin's fd. O_NONBLOCK: a FIFO must not hold us. */
static int open_layer(struct vmf_block_layer *layer, bool readonly, struct vmf_error *err)
{
	int fd = layer->fd;

	if (fd > STDERR_FILENO) {
		layer->fd = -1;
		return fd;
	}
	if (!layer->path)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the plugin gives neither a path nor an fd");
	fd = open(layer->path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return vmf_fail_errno(
			err, errno == EROFS ? "set readonly = true" : NULL, "cannot open %s", layer->path);
	return fd;
}

/* A qcow2 image that stands on another one must have it as its next layer, or holes would read as zeroes. */
static int check_backing(int fd, const struct vmf_block_layer *layer, struct vmf_error *err)
{
	unsigned char head[16];
	static const unsigned char nowhere[8];

	if (!str_equal(layer->driver, "qcow2") || pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return 0;
	if (memcmp(head, "QFI\xfb", 4) != 0 || memcmp(head + 8, nowhere, sizeof(nowhere)) == 0)
		return 0;
	return vmf_fail(err, VMF_E_CONFIG, 0, "`qemu-img rebase -b '' FILE` makes it stand alone",
		"%s needs another image below it, which is not named",
		layer->path ? layer->path : "the image");
}

/* "file" or "host_device", judged by what was opened. */
static const char *driver_for(int fd, const char *path, struct vmf_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		vmf_fail_errno(err, NULL, "%s", path);
		return NULL;
	}
	if (S_ISBLK(st.st_mode))
		return "host_device";
	if (S_ISREG(st.st_mode))
		return "file";
	vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is neither a file nor a block device", path);
	return NULL;
}

static json_t *cache_json(const struct disk *d)
{
	return json_pack("{s:b, s:b}", "direct", d->direct, "no-flush", d->no_flush);
}

static json_t *protocol_node(struct disk *d, size_t i, const char *name, bool readonly, struct vmf_error *err)
{
	struct vmf_block_layer *layer = layer_of(d->block, i);
	const char *path = layer->path ? layer->path : "the plugin's fd", *driver;
	autofree char *filename = NULL;
	autofree char *node = str_printf("%s-file", name);
	json_t *json;

	if (d->dry_run) {
		driver = layer->is_device ? "host_device" : "file";
		filename =
			layer->path ? str_dup(layer->path) : str_printf("/dev/fdset/%u", d->args->next_set++);
	} else {
		int fd = open_layer(layer, readonly, err);

		if (fd < 0)
			return NULL;
		fd = qemu_args_fd(d->args, fd); /* closed with the rest if this fails */
		driver = driver_for(fd, path, err);
		if (!driver || (i + 1 == d->block->n_layers && check_backing(fd, layer, err) < 0))
			return NULL;
		filename = qemu_args_fdset(d->args, fd);
	}
	json = json_pack("{s:s, s:s, s:s, s:b, s:b, s:o}", "driver", driver, "filename", filename,
		"node-name", node, "read-only", readonly, "auto-read-only", false, "cache", cache_json(d));
	if (!json)
		vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s: the name is no UTF-8 text", path);
	else if (d->aio)
		json_object_set_new(json, "aio", json_string(d->aio));
	if (json && d->block->discard && !readonly)
		json_object_set_new(json, "discard", json_string("unmap"));
	return json;
}

/* Layer I and all below it. */
static json_t *format_node(struct disk *d, size_t i, struct vmf_error *err)
{
	const struct vmf_block_layer *layer = layer_of(d->block, i);
	bool readonly = i > 0 || d->block->readonly;
	autofree char *name = i ? str_printf("%s-b%zu", d->node, i) : str_dup(d->node);
	json_t *json, *file, *below;

	if (!str_equal(layer->driver, "raw") && !str_equal(layer->driver, "qcow2")) {
		vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "format \"%s\": only raw and qcow2 are known",
			layer->driver ? layer->driver : "");
		return NULL;
	}
	file = protocol_node(d, i, name, readonly, err);
	if (!file)
		return NULL;
	json = json_pack("{s:s, s:s, s:b, s:o, s:o}", "driver", layer->driver, "node-name", name, "read-only",
		readonly, "cache", cache_json(d), "file", file);
	if (!json) {
		vmf_fail(err, VMF_E_FAILED, 0, NULL, "node name \"%s\" is no UTF-8 text", name);
		return NULL;
	}
	if (!readonly && d->block->discard)
		json_object_set_new(json, "discard", json_string("unmap"));
	if (!readonly && d->block->detect_zeroes)
		json_object_set_new(json, "detect-zeroes", json_string(d->block->discard ? "unmap" : "on"));
	if (!str_equal(layer->driver, "qcow2"))
		return json;
	below = i + 1 < d->block->n_layers ? format_node(d, i + 1, err) : json_null();
	if (!below) {
		json_decref(json);
		return NULL;
	}
	json_object_set_new(json, "backing", below);
	return json;
}

int qemu_args_block(struct qemu_args *args, const char *node, const struct vmf_block *block, bool dry_run,
	struct vmf_error *err)
{
	struct disk d = {.args = args, .node = node, .block = block, .dry_run = dry_run};
	json_t *json;

	if (!block->layers || !block->n_layers || block->n_layers > LAYERS_MAX)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL,
			"the plugin gives %zu layers, of 1 to %d possible ones",
			block->layers ? block->n_layers : 0, LAYERS_MAX);
	for (size_t i = 0; i + 1 < block->n_layers; i++)
		if (str_equal(layer_of(block, i)->driver, "raw"))
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "a raw layer cannot stand on another");
	if (read_options(&d, err) < 0)
		return -1;
	json = format_node(&d, 0, err);
	if (!json)
		return -1;
	qemu_args_json(args, "-blockdev", json);
	return 0;
}
