/* SPDX-License-Identifier: ISC */
/*
 * Steps that make volumes: empty ones and copies of images, in any store. A copy goes through the plugin's
 * receive() where the image's bytes are the disk's; else qemu-img writes into a new volume, as QEMU would.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "config/value.h"
#include "vm/disk.h"
#include "vm/steps.h"

int vm_volume_look(const struct plugin *plugin, const struct vm_call *call, const char *name,
	struct vmf_volume *volume, struct vmf_error *err)
{
	struct vmf_volume_list list = {.stride = sizeof(struct vmf_volume)};

	memset(volume, 0, sizeof(*volume));
	if (!plugin->ops.storage.list)
		return 0;
	if (plugin->ops.storage.list(&call->call, name, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++)
		if (str_equal(vm_volume_at(&list, i)->name, name))
			memcpy(volume, vm_volume_at(&list, i),
				list.stride && list.stride < sizeof(*volume) ? list.stride : sizeof(*volume));
	return 0;
}

int vm_disk_volume(
	struct vm *vm, const struct vm_disk *disk, struct vmf_volume *volume, struct vmf_error *err)
{
	struct vm_call call;

	vm_call_disk(vm, disk, &call);
	if (vm_volume_look(disk->plugin, &call, disk->volume, volume, err) < 0)
		return vmf_context(err, "disk \"%s\": storage \"%s\"", disk->title, disk->instance);
	return 0;
}

void vm_storage_trouble(struct vm *vm, struct vm_trouble *trouble)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct vmf_volume v;

	*trouble = (struct vm_trouble){.what = NULL};
	if (vm_resolve(vm, &quiet) == 0) {
		for (size_t i = 0; i < vm->n_disks && !trouble->what; i++) {
			if (vm_disk_volume(vm, &vm->disks[i], &v, &quiet) < 0 || !v.trouble)
				continue;
			trouble->what = str_dup(v.trouble);
			trouble->remedy = v.remedy ? str_dup(v.remedy) : NULL;
		}
	}
	if (quiet.message)
		log_debug("%s", quiet.message);
	error_clear(&quiet);
}

void vm_trouble_free(struct vm_trouble *trouble)
{
	free(trouble->what);
	free(trouble->remedy);
	memset(trouble, 0, sizeof(*trouble));
}

/* ---- empty ones --------------------------------------------------------------------------- */

static uint64_t size_of(json_t *args, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(args, key));
}

static int create(
	const struct vm_recorded *r, const struct vm_call *call, uint64_t size_bytes, struct vmf_error *err)
{
	if (!r->plugin->ops.storage.create)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "%s cannot create volumes", r->plugin->name);
	return r->plugin->ops.storage.create(&call->call, r->volume, size_bytes, err);
}

static int do_create(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	return create(r, call, size_of(args, "size"), err);
}

static int volume_create(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, do_create, err);
}

/* None of that name was there when the plan was made: one that is marked for this VM is of the plan's making.
 */
static int volume_uncreate(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vmf_volume v;
	struct vm_recorded r;
	struct vm_call call;
	int rc = 0;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = vm_volume_look(r.plugin, &call, r.volume, &v, err);
	/* where there is none, something of one may be left that has no name yet */
	if (rc == 0 && r.plugin->ops.storage.remove &&
		(!v.name || (v.is_ours && (!v.owner_uuid || str_equal(v.owner_uuid, r.uuid)))))
		rc = r.plugin->ops.storage.remove(&call.call, r.volume, err);
	vm_recorded_free(&r);
	return rc;
}

const struct step step_volume_create = {"volume-create", volume_create, volume_uncreate};

/* ---- copies of images --------------------------------------------------------------------- */

/* The volume as QEMU would be told to open it: json:{...}, and its format. NULL and err. The caller frees. */
static char *attached_name(const struct vmf_block *block, const char **format, struct vmf_error *err)
{
	struct qemu_args args;
	char *name = NULL;

	qemu_args_init(&args, "");
	if (qemu_args_block(&args, "volume", block, true, err) == 0) {
		name = str_printf("json:%s", args.argv.items[args.argv.count - 1]);
		*format = block->layers[0].driver;
	}
	qemu_args_free(&args);
	return name;
}

static int detach(const struct vm_recorded *r, const struct vm_call *call, struct vmf_error *err)
{
	return r->plugin->ops.storage.detach ? r->plugin->ops.storage.detach(&call->call, r->volume, err) : 0;
}

/* What attach has opened is ours: as long as it is open the volume is in use. */
static void close_layers(const struct vmf_block *block)
{
	size_t stride = block->layer_stride ? block->layer_stride : sizeof(*block->layers);

	for (size_t i = 0; i < block->n_layers; i++) {
		const struct vmf_block_layer *layer =
			(const void *)((const char *)block->layers + i * stride);

		if (layer->fd > STDERR_FILENO)
			close(layer->fd);
	}
}

int volume_convert(const struct vm_recorded *r, const struct vm_call *call, const struct conversion *c,
	struct vmf_error *err)
{
	struct vmf_block block = {.size = sizeof(block), .readonly = c->to_file};
	autofree char *what = str_printf("copying %s %s", c->to_file ? "from" : "to", r->volume);
	autofree char *volume = NULL;
	autofree char *file = NULL;
	autostrv struct strv argv = STRV_INIT;
	const char *format = NULL;
	int rc = -1;

	if (!r->plugin->ops.storage.attach)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "%s cannot attach volumes", r->plugin->name);
	if (r->plugin->ops.storage.attach(&call->call, r->volume, &block, err) < 0)
		return -1;
	volume = attached_name(&block, &format, err);
	if (volume) {
		file = c->to_file ? str_dup(c->file) : image_name(c->file, c->format);
		if (!c->to_file)
			strv_add(&argv, "-n"); /* the volume is there */
		if (c->compress)
			strv_add(&argv, "-c");
		strv_add(&argv, "-f");
		strv_add(&argv, c->to_file ? format : c->format);
		strv_add(&argv, "-O");
		strv_add(&argv, c->to_file ? c->format : format);
		strv_add(&argv, c->to_file ? volume : file);
		strv_add(&argv, c->to_file ? file : volume);
		rc = image_convert(&argv, what, c->bytes, err);
	}
	close_layers(&block);
	return detach(r, call, rc < 0 ? NULL : err) < 0 ? -1 : rc;
}

/* The image as a stream, if it is one that the store can take: 1, 0 if not, -1. */
static int receive(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	const char *path = json_string_value(json_object_get(args, "image"));
	struct vmf_pool pool = {.size = sizeof(pool)};
	autoclose int fd = -1;
	struct stat st;

	if (str_equal(json_string_value(json_object_get(args, "format")), IMAGE_OWN)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return vmf_fail_errno(err, NULL, "image %s", path);
		return r->plugin->ops.storage.receive_own(&call->call, r->volume, fd, err) < 0 ? -1 : 1;
	}
	if (!str_equal(json_string_value(json_object_get(args, "format")), "raw") ||
		!r->plugin->ops.storage.receive)
		return 0;
	if (r->plugin->ops.storage.check && r->plugin->ops.storage.check(&call->call, &pool, err) < 0)
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return vmf_fail_errno(err, NULL, "image %s", path);
	/* a file that ends within a sector is shorter than the disk */
	if (!(pool.caps & VMF_STORAGE_STREAM) || (S_ISREG(st.st_mode) && st.st_size % 512))
		return 0;
	return r->plugin->ops.storage.receive(&call->call, r->volume, size_of(args, "image_size"), fd, err) <
			       0
		       ? -1
		       : 1;
}

static int copy_image(
	const struct vm_recorded *r, const struct vm_call *call, json_t *args, struct vmf_error *err)
{
	struct conversion c = {.file = json_string_value(json_object_get(args, "image")),
		.format = json_string_value(json_object_get(args, "format")),
		.bytes = size_of(args, "image_size")};
	uint64_t size_bytes = size_of(args, "size");
	int rc = receive(r, call, args, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return create(r, call, size_bytes, err) < 0 ? -1 : volume_convert(r, call, &c, err);
	if (size_bytes <= c.bytes)
		return 0;
	if (!r->plugin->ops.storage.grow)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"leave out its size: it is as large as the image then", "%s cannot grow volumes",
			r->plugin->name);
	return r->plugin->ops.storage.grow(&call->call, r->volume, size_bytes, err);
}

static int volume_import(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return vm_on_volume(vm, args, copy_image, err);
}

/* It may have been attached, to be written to. */
static int volume_unimport(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vmf_error quiet = VMF_ERROR_INIT;

	if (step_disk_attach.undo(vm, args, &quiet) < 0)
		log_debug("%s", quiet.message);
	error_clear(&quiet);
	return volume_uncreate(vm, args, err);
}

const struct step step_volume_import = {"volume-import", volume_import, volume_unimport};

/* ---- streams of a store's own kind ----------------------------------------------------------- */

int vm_need_own_stream(struct vm *vm, const struct vm_disk *d, struct vmf_error *err)
{
	const struct vmf_storage_ops *ops = &d->plugin->ops.storage;

	if ((vm_disk_caps(vm, d) & VMF_STORAGE_OWN_STREAM) && ops->send_own && ops->own_size &&
		ops->receive_own)
		return 0;
	return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "use --format raw or qcow2, which every storage can",
		"storage \"%s\" (%s) has no streams of its own", d->instance, d->plugin->name);
}

int vm_image_size(struct vm *vm, const struct vm_disk *d, const struct image *image, uint64_t *size_bytes,
	struct vmf_error *err)
{
	struct vm_call call;
	autoclose int fd = -1;

	*size_bytes = image->size_bytes;
	if (!str_equal(image->format, IMAGE_OWN))
		return 0;
	if (vm_need_own_stream(vm, d, err) < 0)
		return -1;
	vm_call_disk(vm, d, &call);
	fd = open(image->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return vmf_fail_errno(err, NULL, "image %s", image->path);
	if (d->plugin->ops.storage.own_size(&call.call, fd, size_bytes, err) < 0)
		return vmf_context(err, "image %s", image->path);
	return 0;
}

/* ---- plans -------------------------------------------------------------------------------- */

/* Says before anything is done what would surely fail. */
static int check_new(const struct vm_disk *probe, const struct vm_call *call, uint64_t size_bytes,
	bool dry_run, struct vmf_error *err)
{
	const struct vmf_storage_ops *ops = &probe->plugin->ops.storage;
	struct vm_call dry = *call;
	struct vmf_pool pool = {.size = sizeof(pool)};
	struct vmf_volume v;

	if (ops->check && ops->check(&call->call, &pool, err) < 0)
		return -1;
	if (vm_volume_look(probe->plugin, call, probe->volume, &v, err) < 0)
		return -1;
	if (v.name)
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that volume first",
			"there is a volume %s already (%s)", probe->volume, v.id ? v.id : probe->volume);
	/* the store's word on size and room; where it is not dry, the step is undone */
	dry.call.dry_run = 1;
	if (dry_run && ops->create && ops->create(&dry.call, probe->volume, size_bytes, err) < 0)
		return vmf_context(err, "volume \"%s\"", probe->volume);
	return 0;
}

/* An image's copy can be larger than the image, but not smaller. */
static int check_image(const struct new_volume *new, struct vmf_error *err)
{
	autofree char *have = NULL;
	autofree char *want = NULL;

	if (new->size_bytes >= new->image->size_bytes)
		return 0;
	have = value_format_size(new->image->size_bytes);
	want = value_format_size(new->size_bytes);
	return vmf_fail(err, VMF_E_USAGE, 0, "leave out the size, or give a larger one",
		"the image %s has %s and does not fit into %s", new->image->path, have, want);
}

static void add_step(
	struct plan *plan, const struct new_volume *new, json_t *record, const struct vm_instance *in)
{
	autofree char *size = value_format_size(new->size_bytes);

	json_object_set_new(record, "size", json_integer((json_int_t) new->size_bytes));
	if (new->is_received) {
		plan_add(plan, &step_volume_receive, record, "receive volume %s of %s in storage \"%s\" (%s)",
			new->name, size, in->name, in->plugin->name);
		return;
	}
	if (!new->image) {
		plan_add(plan, &step_volume_create, record, "create volume %s of %s in storage \"%s\" (%s)",
			new->name, size, in->name, in->plugin->name);
		return;
	}
	json_object_set_new(record, "image", json_string(new->image->path));
	json_object_set_new(record, "format", json_string(new->image->format));
	json_object_set_new(record, "image_size", json_integer((json_int_t) new->image->size_bytes));
	plan_add(plan, &step_volume_import, record,
		"copy image %s (%s) to volume %s of %s in storage \"%s\" (%s)", new->image->path,
		new->image->format, new->name, size, in->name, in->plugin->name);
}

int plan_volume(struct vm *vm, struct plan *plan, const struct new_volume *new, struct vmf_error *err)
{
	const char *instance = new->instance ? new->instance : conf_string(vm->root, "storage");
	autofree char *slot = str_printf("disk-new%u", new->index);
	struct vm_disk probe = {.title = new->name, .slot = slot, .volume = new->name};
	struct vm_instance in;
	struct vmf_opts *opts;
	struct new_volume whole = *new;
	struct image image;
	struct vm_call call;
	int rc;

	if (!instance)
		return vmf_fail(
			err, VMF_E_CONFIG, 0, "set storage = in vmf.conf", "no storage to make disks in");
	if (vm_instance_find(vm->root, "storage", instance, VMF_STORAGE, &in, err) < 0)
		return -1;
	opts = vm_instance_opts(&in, new->own, err);
	if (!opts)
		return -1;
	probe.instance = in.name;
	probe.plugin = in.plugin;
	probe.opts = opts;
	vm_call_disk(vm, &probe, &call);
	rc = check_new(&probe, &call, new->size_bytes, vm->ctx->dry_run, err);
	if (rc < 0)
		vmf_context(err, "storage \"%s\"", in.name);
	if (rc == 0 && new->image) {
		image = *new->image;
		whole.image = &image;
		rc = vm_image_size(vm, &probe, new->image, &image.size_bytes, err);
		if (rc == 0)
			rc = check_image(&whole, err);
	}
	if (rc == 0)
		add_step(plan, &whole, vm_record(vm, in.plugin, opts, in.name, slot, new->index, new->name),
			&in);
	conf_opts_free(opts);
	return rc;
}
