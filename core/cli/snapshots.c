/* SPDX-License-Identifier: ISC */
/* Verbs about snapshots and clones. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/value.h"
#include "vm/disk.h"

/* "20261125-210400", in local time: sorted by name is sorted by age. */
static char *default_name(void)
{
	time_t now = time(NULL);
	char text[32] = "snapshot";
	struct tm tm;

	if (localtime_r(&now, &tm))
		strftime(text, sizeof(text), "%Y%m%d-%H%M%S", &tm);
	return str_dup(text);
}

/* All that were named by --disk; strv_free() them. */
static struct strv named_disks(const struct cli_call *call)
{
	struct strv disks = STRV_INIT;
	const char *disk;

	for (size_t i = 0; (disk = cli_option(call, "--disk", i)); i++)
		strv_add(&disks, disk);
	return disks;
}

int verb_snapshot(struct cli_call *call, struct vmf_error *err)
{
	const char *removed = cli_option(call, "--delete", 0);
	autostrv struct strv disks = named_disks(call);
	autofree char *name = NULL;

	if (removed && disks.count)
		return vmf_fail(
			err, VMF_E_USAGE, 0, NULL, "snapshot: --delete is for all disks that have it");
	if (removed && call->args.count)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "snapshot: make %s or delete %s, one at a time",
			call->args.items[0], removed);
	if (removed) {
		if (vm_snapshot_remove(call->vm, removed, err) < 0)
			return -1;
		out_result(call, json_pack("{s:o}", "deleted", out_string(removed)),
			"%s: snapshot %s deleted", call->vm->name, removed);
		return 0;
	}
	name = call->args.count ? str_dup(call->args.items[0]) : default_name();
	if (vm_snapshot(call->vm, name, &disks, err) < 0)
		return -1;
	out_result(call, json_pack("{s:s}", "snapshot", name), "%s: snapshot %s", call->vm->name, name);
	return 0;
}

static json_t *snapshot_json(const struct vm_snapshots *all, const struct vm_snapshot *s)
{
	json_t *json = json_pack("{s:o, s:o, s:b}", "name", out_string(s->name), "disks",
		out_strings(&s->disks), "complete", s->disks.count == all->n_disks);

	json_object_set_new(json, "created", s->created ? json_integer(s->created) : json_null());
	json_object_set_new(
		json, "used_bytes", s->used_bytes ? json_integer((json_int_t)s->used_bytes) : json_null());
	return json;
}

int verb_snapshots(struct cli_call *call, struct vmf_error *err)
{
	static const char *const columns[] = {"SNAPSHOT", "CREATED", ">USED", "DISKS"};
	struct vm_snapshots all;
	struct out_table *table;
	json_t *array = json_array();

	if (vm_snapshots(call->vm, &all, err) < 0) {
		json_decref(array);
		return -1;
	}
	table = out_table_new(columns, VMF_COUNT(columns));
	for (size_t i = 0; i < all.count; i++) {
		const struct vm_snapshot *s = &all.items[i];
		autofree char *created = s->created ? out_time(s->created) : NULL;
		autofree char *used = s->used_bytes ? value_format_size(s->used_bytes) : NULL;
		autofree char *disks = strv_join(&s->disks, ",");
		autofree char *partly =
			s->disks.count < all.n_disks ? str_printf("%s (not all)", disks) : NULL;
		const char *cells[] = {s->name, created, used, partly ? partly : disks};

		out_table_row(table, cells);
		json_array_append_new(array, snapshot_json(&all, s));
	}
	if (call->ctx->json)
		out_json(json_pack("{s:s, s:O}", "vm", call->vm->name, "snapshots", array));
	else
		out_table_print(table);
	out_table_free(table);
	json_decref(array);
	vm_snapshots_free(&all);
	return 0;
}

int verb_rollback(struct cli_call *call, struct vmf_error *err)
{
	const char *name = call->args.items[0];
	autostrv struct strv disks = named_disks(call);
	uint32_t flags = cli_option(call, "--later-too", 0) ? VMF_SNAPSHOT_LATER_TOO : 0;

	if (vm_rollback(call->vm, name, &disks, flags, err) < 0)
		return -1;
	out_result(call, json_pack("{s:o}", "rolled_back_to", out_string(name)), "%s: rolled back to %s",
		call->vm->name, name);
	return 0;
}

/* Its next disk is a clone of a volume: STORE:NAME, or NAME in the VM's default storage. GOLD: as the setting
 * says it. */
static int clone_volume(
	struct cli_call *call, const char *word, bool gold, enum vm_clone_how how, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	autofree char *volume = str_dup(word); /* the setting is read again once the disk is there */
	const char *colon = strchr(volume, ':'), *at = strrchr(volume, '@');
	autofree char *store = colon ? str_ndup(volume, (size_t)(colon - volume)) : NULL;
	autofree char *name = NULL;
	struct vm_new_disk new = {.how = how, .is_gold = gold, .snapshot = at ? at + 1 : NULL};
	struct vm_disk_added added;

	if (store && !conf_find(vm->root, "storage", store)) /* part of the name, then */
		str_set(&store, NULL);
	name = str_dup(store ? colon + 1 : volume);
	if (at)
		name[strlen(name) - strlen(at)] = '\0';
	new.storage = store;
	new.origin = name;
	if (vm_disk_add(vm, &new, &added, err) < 0)
		return -1;
	out_result(call,
		json_pack("{s:s*, s:s*, s:s*, s:o, s:o, s:I, s:b}", "disk", added.title, "volume",
			added.volume, "storage", added.storage, "origin", out_string(name), "snapshot",
			out_string(new.snapshot), "size_bytes", (json_int_t)added.size_bytes, "plugged",
			added.is_plugged),
		"%s: disk %s: volume %s, cloned from %s", vm->name, added.title, added.volume, volume);
	vm_disk_added_free(&added);
	return 0;
}

int verb_clone(struct cli_call *call, struct vmf_error *err)
{
	const char *from = cli_option(call, "--from", 0), *volume = cli_option(call, "--volume", 0), *at;
	bool copy = cli_option(call, "--copy", 0), cow = cli_option(call, "--cow", 0);
	struct vm_clone_options o = {.how = copy ? CLONE_COPY : cow ? CLONE_COW : CLONE_ANY};
	autofree char *origin = NULL;

	if (from && volume)
		return vmf_fail(err, VMF_E_USAGE, 0,
			"as in: vmf web1 clone --from web0, or --from web0@SNAPSHOT, or --volume base",
			"clone: --from or --volume, not both");
	if (copy && cow)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "clone: --copy or --cow, not both");
	if (cli_begins(cli_commands, call->vm->name))
		return vmf_fail(err, VMF_E_USAGE, 0, "choose another name", "\"%s\" is a command's name",
			call->vm->name);
	if (!from)
		return clone_volume(
			call, volume ? volume : conf_string(call->vm->root, "gold"), !volume, o.how, err);
	at = strchr(from, '@');
	origin = str_ndup(from, at ? (size_t)(at - from) : strlen(from));
	o.origin = origin;
	o.snapshot = at ? at + 1 : NULL;
	if (vm_clone(call->vm, &o, err) < 0)
		return -1;
	out_result(call,
		json_pack("{s:o, s:o, s:o, s:s}", "from", out_string(origin), "snapshot",
			out_string(o.snapshot), "file", out_string(call->vm->file), "uuid", call->vm->uuid),
		"%s: cloned from %s", call->vm->name, from);
	return 0;
}
