/* SPDX-License-Identifier: ISC */
/* `disk`: one disk of a VM is added, removed, grown, packed, copied from and to files, looked into. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "config/value.h"
#include "vm/disk.h"

/* A path as the person means it: from the current folder on. The caller frees. */
static char *absolute(const char *path)
{
	autofree char *here = *path != '/' ? getcwd(NULL, 0) : NULL;

	return path_join(here ? here : "", path);
}

/* ---- add ---------------------------------------------------------------------------------- */

static int add_options(
	struct cli_call *call, struct vm_new_disk *new, struct image *image, struct vmf_error *err)
{
	const char *path = cli_option(call, "--image", 0), *format = cli_option(call, "--format", 0);
	static const char *const buses[] = {"virtio", "scsi", "ide", "nvme", "usb"};
	bool is_bus = false;

	new->title = cli_option(call, "--name", 0);
	new->storage = cli_option(call, "--storage", 0);
	new->bus = cli_option(call, "--bus", 0);
	for (size_t i = 0; i < VMF_COUNT(buses); i++)
		is_bus |= str_equal(new->bus, buses[i]);
	if (new->bus && !is_bus)
		return vmf_fail(err, VMF_E_USAGE, 0, "virtio, scsi, ide, nvme or usb",
			"disk add: there is no bus \"%s\"", new->bus);
	if (format && !path)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "disk add: --format is for --image");
	if (call->args.count && value_parse_size(call->args.items[0], 1, &new->size_bytes, err) < 0)
		return cli_usage(err, "disk add");
	if (call->args.count && new->size_bytes == 0)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in 20G", "disk add: a disk of no size");
	if (path && image_look(path, format, image, err) < 0)
		return vmf_context(err, "disk add");
	new->image = path ? image : NULL;
	return 0;
}

/* What has become of it. */
static void say_added(struct cli_call *call, const struct vm_disk_added *added)
{
	autofree char *size = value_format_size(added->size_bytes);

	out_result(call,
		json_pack("{s:s*, s:s*, s:s*, s:I, s:b}", "disk", added->title, "volume", added->volume,
			"storage", added->storage, "size_bytes", (json_int_t)added->size_bytes, "plugged",
			added->is_plugged),
		"%s: disk %s: volume %s (%s)%s", call->vm->name, added->title, added->volume, size,
		added->is_plugged ? ", plugged in" : "");
}

int verb_disk_add(struct cli_call *call, struct vmf_error *err)
{
	struct vm_new_disk new = {.title = NULL};
	struct image image = {.path = NULL};
	struct vm_disk_added added;
	int rc = add_options(call, &new, &image, err);

	if (rc == 0)
		rc = vm_disk_add(call->vm, &new, &added, err);
	if (rc == 0) {
		say_added(call, &added);
		vm_disk_added_free(&added);
	}
	image_free(&image);
	return rc;
}

/* ---- rm, resize, compress, trim ----------------------------------------------------------- */

int verb_disk_rm(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0];
	struct vm *vm = call->vm;
	struct vm_disk *d;

	if (vm_need_unlocked(vm, err) < 0 || vm_resolve(vm, err) < 0)
		return -1;
	d = vm_disk_find(vm, title, err);
	if (!d)
		return vmf_context(err, "vm \"%s\"", vm->name);
	if (!cli_option(call, "--yes", 0) && !call->ctx->dry_run) {
		autofree char *what = str_printf(
			"This removes disk %s of %s and all that is on its volume %s. Type the disk's "
			"name to go on: ",
			title, vm->name, d->volume);

		if (cli_confirm(what, title, err) < 0)
			return vmf_context(err, "vm \"%s\": disk \"%s\"", vm->name, title);
	}
	if (vm_disk_remove(vm, title, err) < 0)
		return -1;
	out_result(call, json_pack("{s:s, s:b}", "disk", title, "removed", 1), "%s: disk %s removed",
		vm->name, title);
	return 0;
}

int verb_disk_resize(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0], *text = call->args.items[1];
	struct vm_disk_size wanted = {.is_more = *text == '+'};
	struct vm_disk_resized resized;
	autofree char *from = NULL;
	autofree char *to = NULL;

	if (value_parse_size(text + wanted.is_more, 1, &wanted.bytes, err) < 0)
		return cli_usage(err, "disk resize");
	if (wanted.bytes == 0)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in 20G, or +5G", "disk resize: to no size");
	if (vm_disk_resize(call->vm, title, &wanted, &resized, err) < 0)
		return -1;
	from = value_format_size(resized.from_bytes);
	to = value_format_size(resized.to_bytes);
	out_result(call,
		json_pack("{s:s, s:I, s:I}", "disk", title, "from_bytes", (json_int_t)resized.from_bytes,
			"size_bytes", (json_int_t)resized.to_bytes),
		resized.from_bytes == resized.to_bytes ? "%s: disk %s has %s already"
						       : "%s: disk %s grown from %s to %s",
		call->vm->name, title, from, to);
	return 0;
}

int verb_disk_compress(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0];
	uint64_t before = 0, after = 0;
	autofree char *from = NULL;
	autofree char *to = NULL;

	if (vm_disk_compress(call->vm, title, &before, &after, err) < 0)
		return -1;
	from = value_format_size(before);
	to = value_format_size(after);
	out_result(call,
		json_pack("{s:s, s:I, s:I}", "disk", title, "before_bytes", (json_int_t)before, "used_bytes",
			(json_int_t)after),
		"%s: disk %s takes up %s, not %s any more", call->vm->name, title, to, from);
	return 0;
}

int verb_disk_trim(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0];
	uint64_t before = 0, after = 0;
	autofree char *from = NULL;
	autofree char *to = NULL;

	if (vm_disk_trim(call->vm, title, &before, &after, err) < 0)
		return -1;
	from = value_format_size(before);
	to = value_format_size(after);
	out_result(call,
		json_pack("{s:s, s:I, s:I}", "disk", title, "before_bytes", (json_int_t)before, "used_bytes",
			(json_int_t)after),
		before == after ? "%s: disk %s still takes up %s"
				: "%s: disk %s takes up %s, not %s any more",
		call->vm->name, title, to, from);
	return 0;
}

/* ---- import, export ----------------------------------------------------------------------- */

static int confirm_import(struct cli_call *call, const char *title, struct vmf_error *err)
{
	struct vm_disk *d;
	struct vmf_volume v;
	autofree char *what = NULL;

	if (cli_option(call, "--yes", 0) || call->ctx->dry_run)
		return 0;
	if (vm_resolve(call->vm, err) < 0)
		return -1;
	d = vm_disk_find(call->vm, title, err);
	if (!d || vm_disk_volume(call->vm, d, &v, err) < 0)
		return -1;
	if (!v.name)
		return 0;
	what = str_printf("This replaces all that is on disk %s of %s. Type the disk's name to go on: ",
		title, call->vm->name);
	return cli_confirm(what, title, err);
}

int verb_disk_import(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0], *file = call->args.items[1];
	struct image image;
	uint64_t size = 0;
	int rc;

	if (image_look(file, cli_option(call, "--format", 0), &image, err) < 0)
		return vmf_context(err, "disk import");
	rc = confirm_import(call, title, err);
	if (rc < 0)
		vmf_context(err, "vm \"%s\": disk \"%s\"", call->vm->name, title);
	else
		rc = vm_disk_import(call->vm, title, &image, &size, err);
	if (rc == 0) {
		autofree char *text = value_format_size(size);

		out_result(call,
			json_pack("{s:s, s:o, s:s, s:I}", "disk", title, "image", out_string(image.path),
				"format", image.format, "size_bytes", (json_int_t)size),
			"%s: disk %s (%s) is a copy of %s", call->vm->name, title, text, file);
	}
	image_free(&image);
	return rc;
}

int verb_disk_export(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0];
	autofree char *file = absolute(call->args.items[1]);
	struct vm_disk_export o = {.file = file, .compress = cli_option(call, "--compress", 0) != NULL};
	autofree char *size = NULL;

	o.format = image_format_of(file, cli_option(call, "--format", 0), err);
	if (!o.format)
		return vmf_context(err, "disk export");
	if (vm_disk_export(call->vm, title, &o, err) < 0)
		return -1;
	size = value_format_size(o.size_bytes);
	out_result(call,
		json_pack("{s:s, s:o, s:s, s:I}", "disk", title, "file", out_string(file), "format", o.format,
			"size_bytes", (json_int_t)o.size_bytes),
		"%s: disk %s (%s) copied to %s", call->vm->name, title, size, call->args.items[1]);
	return 0;
}

/* ---- mount, umount ------------------------------------------------------------------------ */

/* "part1 (ext4), part2 (xfs)"; of what could not be mounted the reason. */
static char *parts_text(const json_t *parts)
{
	struct strbuf text = STRBUF_INIT;
	json_t *part;
	size_t i;

	json_array_foreach(parts, i, part)
	{
		const char *name = json_string_value(json_object_get(part, "part"));
		const char *type = json_string_value(json_object_get(part, "type"));
		const char *why = json_string_value(json_object_get(part, "why"));

		if (why && !type) /* nothing that a person would look for */
			continue;
		strbuf_printf(&text, "%s%s (%s%s%s)", text.length ? ", " : "", name, type ? type : "?",
			why ? ": " : "", why ? why : "");
	}
	return strbuf_take(&text);
}

int verb_disk_mount(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0];
	struct vm_mount m = {.writable = cli_option(call, "--rw", 0) != NULL};
	const char *folder;
	json_t *parts;

	m.folder = call->args.count > 1 ? call->args.items[1] : NULL;
	if (vm_disk_mount(call->vm, title, &m, err) < 0)
		return -1;
	folder = json_string_value(json_object_get(m.record, "folder"));
	parts = json_object_get(m.record, "parts");
	if (parts) {
		autofree char *text = parts_text(parts);

		out_result(call,
			json_pack("{s:s, s:s, s:b, s:O}", "disk", title, "folder", folder, "readonly",
				!m.writable, "parts", parts),
			"%s: disk %s is mounted %s at %s: %s", call->vm->name, title,
			m.writable ? "for writing" : "read-only", folder, text);
	}
	json_decref(m.record);
	return 0;
}

int verb_disk_umount(struct cli_call *call, struct vmf_error *err)
{
	const char *title = call->args.items[0];
	autofree char *folder = NULL;

	if (vm_disk_umount(call->vm, title, &folder, err) < 0)
		return -1;
	out_result(call, json_pack("{s:s, s:o}", "disk", title, "was_at", out_string(folder)),
		"%s: disk %s unmounted", call->vm->name, title);
	return 0;
}
