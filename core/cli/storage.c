/* SPDX-License-Identifier: ISC */
/* `storage`: the storages, their volumes, and those that nobody needs. */
#include "vm/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "config/value.h"

static int no_more_words(const struct cli_call *call, size_t allowed, struct vmf_error *err)
{
	if (call->args.count <= allowed)
		return 0;
	return vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s: \"%s\" is one word too many", call->verb->name,
		call->args.items[allowed]);
}

static json_t *size_json(uint64_t bytes)
{
	return bytes ? json_integer((json_int_t)bytes) : json_null();
}

/* ---- list --------------------------------------------------------------------------------- */

static const struct {
	uint32_t cap;
	const char *word;
} abilities[] = {{VMF_STORAGE_SNAPSHOT, "snapshots"}, {VMF_STORAGE_LIVE_SNAPSHOT, "live-snapshots"},
	{VMF_STORAGE_COW_CLONE, "cow-clones"}, {VMF_STORAGE_LIVE_GROW, "live-grow"},
	{VMF_STORAGE_RENAME, "rename"}, {VMF_STORAGE_STREAM, "stream"}, {VMF_STORAGE_MAP, "map"},
	{VMF_STORAGE_COMPRESS, "compress"}, {VMF_STORAGE_OWN_STREAM, "own-stream"},
	{VMF_STORAGE_SHARED, "shared"}};

static void list_abilities(uint32_t caps, struct strv *words)
{
	for (size_t i = 0; i < VMF_COUNT(abilities); i++)
		if (caps & abilities[i].cap)
			strv_add(words, abilities[i].word);
}

static json_t *percent_json(int32_t percent)
{
	return percent < 0 ? json_null() : json_integer(percent);
}

static json_t *store_json(const struct store *s, const struct strv *words)
{
	json_t *json = json_pack("{s:s, s:s*, s:b, s:b}", "name", s->name, "plugin", s->plugin_name,
		"default", s->is_default, "usable", s->plugin != NULL);

	json_object_set_new(json, "where", out_string(s->pool.description));
	json_object_set_new(json, "size_bytes", size_json(s->pool.size_bytes));
	json_object_set_new(json, "free_bytes",
		s->pool.size_bytes ? json_integer((json_int_t)s->pool.free_bytes) : json_null());
	json_object_set_new(json, "data_percent", percent_json(s->pool.data_percent));
	json_object_set_new(json, "meta_percent", percent_json(s->pool.meta_percent));
	json_object_set_new(json, "can", out_strings(words));
	json_object_set_new(json, "why", out_string(s->error.message));
	return json;
}

static char *percent(int32_t value)
{
	return value < 0 ? NULL : str_printf("%d%%", (int)value);
}

static void add_store(struct out_table *table, const struct store *s, const struct strv *words)
{
	autofree char *name = str_printf("%s%s", s->name, s->is_default ? " (default)" : "");
	autofree char *size = s->pool.size_bytes ? value_format_size(s->pool.size_bytes) : NULL;
	autofree char *free_size = s->pool.size_bytes ? value_format_size(s->pool.free_bytes) : NULL;
	autofree char *data = percent(s->pool.data_percent);
	autofree char *meta = percent(s->pool.meta_percent);
	autofree char *can = strv_join(words, ",");
	const char *cells[] = {name, s->plugin_name, s->pool.description, size, free_size, data, meta,
		s->plugin ? can : s->error.message};

	out_table_row(table, cells);
}

static int list_names(const struct cli_call *call, struct vmf_error *err)
{
	const struct conf_section *root;
	json_t *names = json_array();

	if (ctx_load(call->ctx, err) < 0) {
		json_decref(names);
		return -1;
	}
	root = conf_root(call->ctx->with_default);
	for (size_t i = 0; i < root->n_sections; i++) {
		if (!str_equal(root->sections[i]->keyword, "storage"))
			continue;
		json_array_append_new(names, out_string(root->sections[i]->title));
		if (!call->ctx->json)
			puts(root->sections[i]->title);
	}
	if (call->ctx->json)
		out_json(json_incref(names));
	json_decref(names);
	return 0;
}

int command_storage_list(struct cli_call *call, struct vmf_error *err)
{
	static const char *const columns[] = {
		"STORAGE", "PLUGIN", "WHERE", ">SIZE", ">FREE", ">DATA", ">META", "CAN"};
	struct stores stores;
	struct out_table *table;
	json_t *array;

	if (no_more_words(call, 0, err) < 0)
		return -1;
	if (cli_option(call, "--names", 0))
		return list_names(call, err);
	if (stores_open(call->ctx, &stores, err) < 0)
		return -1;
	table = out_table_new(columns, VMF_COUNT(columns));
	array = json_array();
	for (size_t i = 0; i < stores.count; i++) {
		autostrv struct strv words = STRV_INIT;

		list_abilities(stores.items[i].pool.caps, &words);
		add_store(table, &stores.items[i], &words);
		json_array_append_new(array, store_json(&stores.items[i], &words));
	}
	if (call->ctx->json)
		out_json(json_incref(array));
	else
		out_table_print(table);
	json_decref(array);
	out_table_free(table);
	stores_free(&stores);
	return 0;
}

/* ---- volumes ------------------------------------------------------------------------------ */

static const char *const volume_columns[] = {
	"STORAGE", "VOLUME", "FORMAT", ">SIZE", ">USED", "MADE BY", "STATE", "ORIGIN", "PATH"};

static void add_volume(
	struct out_table *table, const struct store *s, const struct vmf_volume *v, const char *state)
{
	autofree char *size = v->virtual_bytes ? value_format_size(v->virtual_bytes) : NULL;
	autofree char *used = v->used_bytes ? value_format_size(v->used_bytes) : NULL;
	const char *cells[] = {s->name, v->name, v->format, size, used, v->is_ours ? "vmf" : "others", state,
		v->origin, v->id};

	out_table_row(table, cells);
}

static json_t *volume_json(const struct store *s, const struct vmf_volume *v)
{
	json_t *json = json_pack("{s:s}", "storage", s->name);

	json_object_set_new(json, "volume", out_string(v->name));
	json_object_set_new(json, "path", out_string(v->id));
	json_object_set_new(json, "format", out_string(v->format));
	json_object_set_new(json, "size_bytes", json_integer((json_int_t)v->virtual_bytes));
	json_object_set_new(json, "used_bytes", size_json(v->used_bytes));
	json_object_set_new(json, "is_ours", json_boolean(v->is_ours));
	json_object_set_new(json, "owner_uuid", out_string(v->owner_uuid));
	json_object_set_new(json, "origin", out_string(v->origin));
	json_object_set_new(json, "in_use", json_boolean(v->in_use));
	return json;
}

/* One that cannot be asked is told of, unless it is the one that was meant. */
static void warn_unusable(const struct stores *stores)
{
	for (size_t i = 0; i < stores->count; i++)
		if (stores->items[i].error.code)
			log_warn("storage \"%s\": %s", stores->items[i].name, stores->items[i].error.message);
}

int command_storage_volumes(struct cli_call *call, struct vmf_error *err)
{
	const char *name = call->args.count ? call->args.items[0] : NULL;
	struct stores stores;
	struct out_table *table;
	json_t *array = json_array();
	int rc = no_more_words(call, 1, err);

	memset(&stores, 0, sizeof(stores));
	if (rc == 0)
		rc = stores_open(call->ctx, &stores, err);
	if (rc == 0)
		stores_list(&stores);
	if (rc == 0 && name && !stores_find(&stores, name, err))
		rc = -1;
	else if (rc == 0 && !name)
		warn_unusable(&stores);
	table = out_table_new(volume_columns, VMF_COUNT(volume_columns));
	for (size_t i = 0; rc == 0 && i < stores.count; i++) {
		const struct store *s = &stores.items[i];

		for (size_t k = 0; k < s->volumes.count && (!name || str_equal(s->name, name)); k++) {
			const struct vmf_volume *v = vm_volume_at(&s->volumes, k);

			add_volume(table, s, v, v->in_use ? "in use" : NULL);
			json_array_append_new(array, volume_json(s, v));
		}
	}
	if (rc == 0 && call->ctx->json)
		out_json(json_incref(array));
	else if (rc == 0)
		out_table_print(table);
	json_decref(array);
	out_table_free(table);
	stores_free(&stores);
	return rc;
}

/* ---- orphans ------------------------------------------------------------------------------ */

static json_t *orphans_json(const struct orphans *orphans)
{
	json_t *array = json_array();

	for (size_t i = 0; i < orphans->count; i++) {
		const struct orphan *o = &orphans->items[i];
		json_t *json = volume_json(o->store, o->volume);

		json_object_set_new(json, "owner", out_string(o->owner));
		json_object_set_new(json, "removed", json_boolean(o->is_removed));
		json_array_append_new(array, json);
	}
	return array;
}

static void print_orphans(const struct orphans *orphans)
{
	struct out_table *table = out_table_new(volume_columns, VMF_COUNT(volume_columns));

	for (size_t i = 0; i < orphans->count; i++) {
		const struct orphan *o = &orphans->items[i];
		autofree char *was = o->owner ? str_printf("of %s", o->owner) : NULL;

		add_volume(table, o->store, o->volume,
			o->is_removed	    ? "removed"
			: o->volume->in_use ? "in use"
					    : was);
	}
	out_table_print(table);
	out_table_free(table);
}

static int remove_orphans(
	const struct cli_call *call, struct stores *stores, struct orphans *orphans, struct vmf_error *err)
{
	if (orphans->count == 0)
		return 0;
	if (call->ctx->dry_run) {
		for (size_t i = 0; i < orphans->count; i++)
			out_dry(call, "remove volume %s of storage \"%s\" (%s)",
				orphans->items[i].volume->name, orphans->items[i].store->name,
				orphans->items[i].store->plugin_name);
		out_plan(call, NULL);
		return 0;
	}
	if (!cli_option(call, "--yes", 0)) {
		autofree char *question =
			str_printf("This removes %zu volumes and all that is on them. Type \"remove\" to go "
				   "on: ",
				orphans->count);

		print_orphans(orphans);
		if (cli_confirm(question, "remove", err) < 0)
			return vmf_context(err, "storage orphans");
	}
	return orphans_remove(stores, orphans, err);
}

int command_storage_orphans(struct cli_call *call, struct vmf_error *err)
{
	bool is_removing = cli_option(call, "--remove", 0) != NULL;
	struct orphans orphans;
	struct stores stores;
	int rc = no_more_words(call, 0, err);

	if (rc == 0 && cli_option(call, "--yes", 0) && !is_removing)
		rc = vmf_fail(err, VMF_E_USAGE, 0, NULL, "storage orphans: --yes is for --remove");
	memset(&stores, 0, sizeof(stores));
	memset(&orphans, 0, sizeof(orphans));
	if (rc == 0)
		rc = stores_open(call->ctx, &stores, err);
	if (rc == 0)
		rc = orphans_find(&stores, &orphans, err);
	if (rc == 0) {
		warn_unusable(&stores);
		rc = is_removing ? remove_orphans(call, &stores, &orphans, err) : 0;
		/* also after a failure: what was removed is gone */
		if (call->ctx->json && !call->ctx->dry_run)
			out_json(orphans_json(&orphans));
		else if (!call->ctx->dry_run && (rc == 0 || cli_option(call, "--yes", 0)))
			print_orphans(&orphans);
	}
	orphans_free(&orphans);
	stores_free(&stores);
	return rc;
}
