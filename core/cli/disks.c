/* SPDX-License-Identifier: ISC */
/* Verbs about a VM's volumes. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/tty.h"
#include "config/value.h"

int verb_newimg(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	uint64_t size = (uint64_t)conf_number(vm->root, "drive_size");
	autofree char *volume = NULL;
	autofree char *text = NULL;

	if (call->args.count && value_parse_size(call->args.items[0], 1, &size, err) < 0)
		return cli_usage(err, "newimg");
	if (vm_newimg(vm, size, &volume, err) < 0)
		return -1;
	text = value_format_size(size);
	out_result(call,
		json_pack("{s:s, s:s*, s:I}", "volume", volume, "storage", conf_string(vm->root, "storage"),
			"size_bytes", (json_int_t)size),
		"%s: made volume %s (%s)", vm->name, volume, text);
	return 0;
}

json_t *disk_json(const struct vm_disk *disk, const struct vmf_volume *volume)
{
	json_t *json = json_pack("{s:s, s:s*, s:s, s:s, s:b}", "disk", disk->title, "storage", disk->instance,
		"volume", disk->volume, "bus", disk->bus, "readonly", disk->readonly);

	json_object_set_new(json, "exists", json_boolean(volume->name));
	json_object_set_new(json, "path", out_string(volume->id));
	json_object_set_new(json, "format", out_string(volume->format));
	json_object_set_new(json, "size_bytes", json_integer((json_int_t)volume->virtual_bytes));
	json_object_set_new(json, "used_bytes", json_integer((json_int_t)volume->used_bytes));
	json_object_set_new(json, "origin", out_string(volume->origin));
	return json;
}

/* What the disks are called; consumes the empty ARRAY. */
static int drive_names(const struct cli_call *call, json_t *array)
{
	for (size_t i = 0; i < call->vm->n_disks; i++) {
		json_array_append_new(array, json_string(call->vm->disks[i].title));
		if (!call->ctx->json)
			puts(call->vm->disks[i].title);
	}
	if (call->ctx->json)
		out_json(json_incref(array));
	json_decref(array);
	return 0;
}

/* On a terminal a table; a pipe gets one path a line. */
int verb_drives(struct cli_call *call, struct vmf_error *err)
{
	static const char *const columns[] = {
		"DISK", "STORAGE", "VOLUME", "BUS", "FORMAT", ">SIZE", ">USED", "PATH"};
	struct vm *vm = call->vm;
	struct out_table *table;
	json_t *array = json_array();
	struct vmf_volume *volumes = NULL;
	int rc = vm_resolve(vm, err);

	if (rc == 0 && cli_option(call, "--names", 0))
		return drive_names(call, array);
	table = out_table_new(columns, VMF_COUNT(columns));
	if (rc == 0)
		rc = vm_disk_volumes(vm, &volumes, err);
	for (size_t i = 0; rc == 0 && i < vm->n_disks; i++) {
		const struct vm_disk *d = &vm->disks[i];
		const struct vmf_volume *v = &volumes[i];
		autofree char *size = v->name ? value_format_size(v->virtual_bytes) : NULL;
		autofree char *used = v->used_bytes ? value_format_size(v->used_bytes) : NULL;
		const char *cells[] = {d->title, d->instance, d->volume, d->bus,
			v->name ? v->format : "missing", size, used, v->id};

		if (tty_is(STDOUT_FILENO))
			out_table_row(table, cells);
		else if (v->id && !call->ctx->json)
			puts(v->id);
		json_array_append_new(array, disk_json(d, v));
	}
	if (rc == 0 && call->ctx->json)
		out_json(json_pack("{s:s, s:O}", "vm", vm->name, "drives", array));
	else if (rc == 0)
		out_table_print(table);
	out_table_free(table);
	json_decref(array);
	return rc;
}
