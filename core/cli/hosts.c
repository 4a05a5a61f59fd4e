/* SPDX-License-Identifier: ISC */
/* The hosts of vmf.conf: added, removed, listed, asked whether they live. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/far.h"
#include "config/value.h"
#include "remote/hosts.h"
#include "vm/capacity.h"

#define ANSWER_MS 3000 /* unless told */
#define CONF_MAX (4 << 20)

/* ---- this host ---------------------------------------------------------------------------- */

static json_t *capacity_json(const struct capacity *c)
{
	json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "cpus",
		(json_int_t)c->cpus, "cpus_used", (json_int_t)c->cpus_used, "memory_bytes",
		(json_int_t)c->memory_bytes, "memory_used_bytes", (json_int_t)c->memory_used_bytes,
		"memory_free_bytes", (json_int_t)c->memory_free_bytes, "disk_bytes",
		(json_int_t)c->disk_bytes, "disk_free_bytes", (json_int_t)c->disk_free_bytes, "vms",
		(json_int_t)c->vms, "vms_up", (json_int_t)c->vms_up, "load", c->load, "version", VMF_VERSION);

	json_object_set_new(json, "cpus_defined", json_integer((json_int_t)c->cpus_defined));
	json_object_set_new(json, "memory_defined_bytes", json_integer((json_int_t)c->memory_defined_bytes));
	json_object_set_new(json, "temperature",
		c->temperature_millicelsius == INT32_MIN ? json_null()
							 : json_real(c->temperature_millicelsius / 1000.0));
	return json;
}

json_t *hosts_this(struct ctx *ctx, struct vmf_error *err)
{
	struct capacity c;

	return capacity_read(ctx, &c, err) < 0 ? NULL : capacity_json(&c);
}

int command_host_info(struct cli_call *call, struct vmf_error *err)
{
	json_t *json = hosts_this(call->ctx, err);
	const char *key;
	json_t *value;

	if (!json)
		return -1;
	if (call->ctx->json) {
		out_json(json);
		return 0;
	}
	json_object_foreach(json, key, value)
	{
		autofree char *text =
			json_is_string(value)	  ? str_dup(json_string_value(value))
			: json_is_real(value)	  ? str_printf("%.2f", json_real_value(value))
			: str_ends(key, "_bytes") ? value_format_size((uint64_t)json_integer_value(value))
			: json_is_integer(value)  ? str_printf("%lld", (long long)json_integer_value(value))
						  : str_dup("unknown");

		printf("%-18s %s\n", key, text);
	}
	json_decref(json);
	return 0;
}

/* ---- all of them -------------------------------------------------------------------------- */

/* Those that are named, or all; each asked. This host's own answer is there as well. */
static int ask(struct cli_call *call, struct host_answers *hosts, struct vmf_error *err)
{
	struct ctx *ctx = call->ctx;
	const char *timeout = cli_option(call, "--timeout", 0);
	char host[] = "host", info[] = "info", *words[] = {host, info};
	const struct conf_section *root;
	int64_t timeout_ms = ANSWER_MS;
	json_t *request;

	if (timeout && value_parse_time(timeout, &timeout_ms, err) < 0)
		return cli_usage(err, "--timeout");
	if (ctx_load(ctx, err) < 0)
		return -1;
	root = conf_root(ctx->with_default);
	for (size_t i = 0; i < call->args.count; i++) {
		struct vm_instance ignored;

		if (!conf_find(root, "host", call->args.items[i]))
			return vm_instance_find(
				root, "host", call->args.items[i], VMF_PLACEMENT, &ignored, err);
		hosts_add(ctx, root, call->args.items[i], hosts);
	}
	for (size_t i = 0; !call->args.count && i < root->n_sections; i++)
		if (str_equal(root->sections[i]->keyword, "host"))
			hosts_add(ctx, root, root->sections[i]->title, hosts);
	request = far_request(ctx, 2, words);
	json_object_set_new(request, "json", json_true());
	json_object_set_new(request, "dry_run", json_false());
	json_object_set_new(request, "settings", json_array());
	hosts_ask(ctx, hosts, request, "info", timeout_ms);
	json_decref(request);
	for (size_t i = 0; i < hosts->count; i++)
		if (!hosts->items[i].place && !hosts->items[i].error.code)
			hosts->items[i].json = hosts_this(ctx, &hosts->items[i].error);
	return 0;
}

static json_int_t number(const struct host_answer *host, const char *key)
{
	return json_integer_value(json_object_get(host->json, key));
}

/* What may be used there: as configured, or all that there is. */
static json_int_t limit(
	const struct ctx *ctx, const struct host_answer *host, const char *option, const char *key)
{
	const struct conf_section *section = conf_find(conf_root(ctx->with_default), "host", host->name);

	return section && conf_is_set(section, option) ? conf_number(section, option) : number(host, key);
}

static const char *state_of(const struct host_answer *host)
{
	return !host->error.code ? "alive" : host->json ? "old" : "unknown";
}

static json_t *host_json(const struct ctx *ctx, const struct host_answer *host)
{
	json_t *json = json_pack("{s:s, s:b, s:b, s:I}", "name", host->name, "is_alive", !host->error.code,
		"is_old", host->error.code && host->json, "took_ms", (json_int_t)host->took_ms);

	json_object_set_new(json, "error", out_string(host->error.code ? host->error.message : NULL));
	json_object_set_new(json, "seen", host->when ? json_integer((json_int_t)host->when) : json_null());
	if (host->json) {
		json_object_update(json, host->json);
		json_object_set_new(json, "cpus", json_integer(limit(ctx, host, "cpus", "cpus")));
		json_object_set_new(
			json, "memory_bytes", json_integer(limit(ctx, host, "memory", "memory_bytes")));
	}
	return json;
}

static char *used_of(json_int_t used, json_int_t all, bool is_size)
{
	autofree char *a = is_size ? value_format_size((uint64_t)used) : str_printf("%lld", (long long)used);
	autofree char *b = is_size ? value_format_size((uint64_t)all) : str_printf("%lld", (long long)all);

	return str_printf("%s/%s", a, b);
}

/* Sizes to read, not to compute with. */
static json_int_t rounded(json_int_t bytes)
{
	const json_int_t unit = bytes >= (json_int_t)10 << 30 ? (json_int_t)1 << 30 : (json_int_t)1 << 20;

	return bytes / unit * unit;
}

static void put_row(const struct ctx *ctx, struct out_table *table, const struct host_answer *host)
{
	const json_t *load = json_object_get(host->json, "load");
	autofree char *cpus = NULL;
	autofree char *memory = NULL;
	autofree char *disk = NULL;
	autofree char *vms = NULL;
	autofree char *text = NULL;
	autofree char *when = host->when ? out_time(host->when) : NULL;

	if (host->json) {
		json_int_t all = number(host, "disk_bytes"), left = number(host, "disk_free_bytes");

		cpus = used_of(number(host, "cpus_used"), limit(ctx, host, "cpus", "cpus"), false);
		memory = used_of(rounded(number(host, "memory_used_bytes")),
			rounded(limit(ctx, host, "memory", "memory_bytes")), true);
		disk = all ? used_of(rounded(all - left), rounded(all), true) : NULL;
		vms = used_of(number(host, "vms_up"), number(host, "vms"), false);
		text = str_printf("%.2f", json_real_value(load));
	}
	out_table_row(table, (const char *const[]){host->name, state_of(host), cpus, memory, disk, vms, text,
				     json_string_value(json_object_get(host->json, "version")), when});
}

static void say_errors(const struct host_answers *hosts)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (hosts->items[i].error.code) {
			log_warn("%s", hosts->items[i].error.message);
			if (hosts->items[i].error.hint)
				log_warn("hint: %s", hosts->items[i].error.hint);
		}
}

int command_host_list(struct cli_call *call, struct vmf_error *err)
{
	static const char *const heads[] = {
		"NAME", "STATE", ">CPUS", ">MEMORY", ">DISK", ">VMS", ">LOAD", "VERSION", "SEEN"};
	struct host_answers hosts = {NULL, 0};
	struct out_table *table;
	json_t *array;

	if (cli_option(call, "--names", 0)) {
		const struct conf_section *root;

		if (ctx_load(call->ctx, err) < 0)
			return -1;
		root = conf_root(call->ctx->with_default);
		for (size_t i = 0; i < root->n_sections; i++)
			if (str_equal(root->sections[i]->keyword, "host"))
				puts(root->sections[i]->title);
		return 0;
	}
	if (ask(call, &hosts, err) < 0) {
		hosts_free(&hosts);
		return -1;
	}
	array = json_array();
	table = out_table_new(heads, VMF_COUNT(heads));
	for (size_t i = 0; i < hosts.count; i++) {
		json_array_append_new(array, host_json(call->ctx, &hosts.items[i]));
		put_row(call->ctx, table, &hosts.items[i]);
	}
	say_errors(&hosts);
	if (call->ctx->json)
		out_json(json_incref(array));
	else
		out_table_print(table);
	out_table_free(table);
	json_decref(array);
	hosts_free(&hosts);
	return 0;
}

int command_host_ping(struct cli_call *call, struct vmf_error *err)
{
	struct host_answers hosts = {NULL, 0};
	json_t *array = json_array();
	int rc = ask(call, &hosts, err);

	for (size_t i = 0; rc == 0 && i < hosts.count; i++) {
		const struct host_answer *h = &hosts.items[i];
		const json_t *warmth = json_object_get(h->json, "temperature");

		json_array_append_new(array, host_json(call->ctx, h));
		if (h->error.code)
			call->exit_code = h->error.code;
		if (call->ctx->json)
			continue;
		if (h->error.code) {
			printf("%s: %s\n", h->name, h->error.message);
			continue;
		}
		printf("%s: alive, %lld ms, load %.2f", h->name, (long long)h->took_ms,
			json_real_value(json_object_get(h->json, "load")));
		if (json_is_real(warmth))
			printf(", %.0f degrees", json_real_value(warmth));
		putchar('\n');
	}
	if (rc == 0 && call->ctx->json)
		out_json(json_incref(array));
	json_decref(array);
	hosts_free(&hosts);
	return rc;
}

/* ---- changes of vmf.conf -------------------------------------------------------------------- */

static char *read_conf(const char *path, struct vmf_error *err)
{
	return file_exists(path) ? file_read(path, CONF_MAX, NULL, err) : str_dup("");
}

/* TEXT, which is consumed, with KEY set; NULL and err. */
static char *set_key(const char *path, char *text, const char *host, const char *key, const char *value,
	struct vmf_error *err)
{
	autofree char *title = conf_quote(host);
	autofree char *full = str_printf("host.%s.%s", strchr(host, '.') ? title : host, key);
	char *edited = text && value ? conf_edit_text(&vm_schema, path, text, full, value, err) : NULL;

	if (!value)
		return text;
	free(text);
	return edited;
}

/* The whole must still be right with it. */
static int write_conf(
	struct cli_call *call, const char *path, const char *text, const char *host, struct vmf_error *err)
{
	autofree char *folder = path_parent(path);
	struct conf *trial = conf_new(&vm_schema);
	int rc = conf_add_text(trial, path, text, strlen(text), err);
	struct place *place = NULL;

	if (rc == 0 && host && place_find(call->ctx, conf_root(trial), host, &place, err) < 0)
		rc = -1;
	place_free(place);
	conf_free(trial);
	if (rc < 0)
		return -1;
	if (out_dry(call, "write %s", path)) {
		out_plan(call, NULL);
		return 0;
	}
	return file_mkdirs(folder, 0755, err) < 0 ? -1
						  : file_write(path, text, strlen(text), 0644, true, err);
}

static void said(const struct cli_call *call, const char *name, const char *what)
{
	if (call->ctx->dry_run)
		return;
	if (call->ctx->json)
		out_json(json_pack("{s:s, s:s}", "host", name, "done", what));
	else if (log_level() >= 0)
		printf("%s: %s\n", name, what);
}

int command_host_add(struct cli_call *call, struct vmf_error *err)
{
	static const struct {
		const char *option, *key;
	} keys[] = {{"--user", "remote-ssh.user"}, {"--port", "remote-ssh.port"},
		{"--identity", "remote-ssh.identity"}, {"--config", "remote-ssh.config"},
		{"--command", "remote-ssh.command"}, {"--cpus", "cpus"}, {"--memory", "memory"}};
	autofree char *path = str_printf("%s/vmf.conf", call->ctx->paths.etc);
	autofree char *text = NULL;
	const char *name = call->args.items[0];

	if (call->args.count != 2)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in: host add n1 n1.example.org",
			"host add wants a name and an address behind it");
	if (vm_name_check(name, err) < 0)
		return cli_usage(err, "host add");
	if (ctx_load(call->ctx, err) < 0)
		return -1;
	if (conf_find(conf_root(call->ctx->with_default), "host", name))
		return vmf_fail(err, VMF_E_EXISTS, 0, "`vmf host rm` removes it",
			"there is a host \"%s\" already", name);
	text = read_conf(path, err);
	text = set_key(path, text, name, "remote-ssh.address", call->args.items[1], err);
	for (size_t i = 0; text && i < VMF_COUNT(keys); i++)
		text = set_key(path, text, name, keys[i].key, cli_option(call, keys[i].option, 0), err);
	if (!text || write_conf(call, path, text, name, err) < 0)
		return -1;
	said(call, name, "added");
	return 0;
}

/* VMs that live there would be out of reach. */
static int check_unused(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;

	if (vm_names(ctx, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct vmf_error ignored = VMF_ERROR_INIT;
		struct vm *vm = vm_load(ctx, names.items[i], true, &ignored);
		bool is_there = vm && str_equal(conf_string(vm->root, "host"), name);

		vm_free(vm);
		error_clear(&ignored);
		if (is_there)
			return vmf_fail(err, VMF_E_STATE, 0, "destroy it, or let it live elsewhere",
				"vm \"%s\" lives on host \"%s\"", names.items[i], name);
	}
	return 0;
}

int command_host_rm(struct cli_call *call, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/vmf.conf", call->ctx->paths.etc);
	autofree char *text = NULL;
	autofree char *edited = NULL;
	autofree char *key = NULL;
	autofree char *title = NULL;
	const char *name;
	struct vm_instance ignored;

	if (call->args.count != 1)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "host rm wants a name behind it");
	name = call->args.items[0];
	if (ctx_load(call->ctx, err) < 0)
		return -1;
	if (!conf_find(conf_root(call->ctx->base), "host", name))
		return vm_instance_find(
			conf_root(call->ctx->base), "host", name, VMF_PLACEMENT, &ignored, err);
	if (check_unused(call->ctx, name, err) < 0)
		return -1;
	title = conf_quote(name);
	key = str_printf("host.%s", strchr(name, '.') ? title : name);
	text = read_conf(path, err);
	edited = text ? conf_edit_text(&vm_schema, path, text, key, NULL, err) : NULL;
	if (!edited)
		return -1;
	if (str_equal(text, edited))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "it stands in another file: remove it there",
			"%s has no host \"%s\"", path, name);
	if (write_conf(call, path, edited, NULL, err) < 0)
		return -1;
	said(call, name, "removed");
	return 0;
}
