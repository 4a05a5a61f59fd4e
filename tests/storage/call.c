/* SPDX-License-Identifier: ISC */
/*
 * One call of a storage plugin, for tests of what no verb of vmf uses as it stands:
 *
 *	call PLUGIN [OPTION=VALUE]... VERB [ARGUMENT]...
 *
 * The call is that of VM "call", whose UUID is $CALL_UUID; with $CALL_DRY_RUN set it is a dry run. With
 * CALL_FAULT=HOW:N the Nth program that the plugin runs
 *	fail	is not run, and fails
 *	late	is run, but fails all the same
 *	slow	is run, but what is told is that it took too long
 * The exit status is the error's code, or 99 if there was no Nth program.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "plugin/plugin.h"

static const struct vmf_storage_ops *ops;
static struct vmf_call call;
static struct vmf_error err;

static bool is(const char *a, const char *b)
{
	return a && strcmp(a, b) == 0;
}

/* "-" stands for none */
static const char *or_none(const char *word)
{
	return is(word, "-") ? NULL : word;
}

static uint64_t number(const char *word)
{
	return word ? strtoull(word, NULL, 10) : 0;
}

static int check(void)
{
	struct vmf_pool pool = {.size = sizeof(pool)};
	int rc = ops->check(&call, &pool, &err);

	if (rc == 0)
		printf("%s: caps %#x, %" PRIu64 " bytes, %" PRIu64 " free, data %d %%, meta %d %%\n",
			pool.description, pool.caps, pool.size_bytes, pool.free_bytes, pool.data_percent,
			pool.meta_percent);
	return rc;
}

static int list(const char *prefix)
{
	struct vmf_volume_list found = {0};
	int rc = ops->list(&call, prefix, &found, &err);

	for (size_t i = 0; rc == 0 && i < found.count; i++) {
		const struct vmf_volume *v = (const void *)((const char *)found.items + i * found.stride);

		printf("%s %s %s %" PRIu64 " %s %s on %s%s\n", v->name, v->id, v->format, v->virtual_bytes,
			v->is_ours ? "ours" : "foreign", v->owner_uuid ? v->owner_uuid : "-",
			v->origin ? v->origin : "-", v->in_use ? " in use" : "");
	}
	return rc;
}

static int snapshots(const char *name)
{
	struct vmf_snapshot_list found = {0};
	int rc = ops->snapshots(&call, name, &found, &err);

	for (size_t i = 0; rc == 0 && i < found.count; i++) {
		const struct vmf_snapshot *s = (const void *)((const char *)found.items + i * found.stride);

		printf("%s %s %s\n", s->name, s->is_ours ? "ours" : "foreign",
			s->created > 0 ? "dated" : "undated");
	}
	return rc;
}

static int attach(const char *name, bool readonly)
{
	struct vmf_block block = {.size = sizeof(block), .readonly = readonly};
	int rc = ops->attach(&call, name, &block, &err);

	for (size_t i = 0; rc == 0 && i < block.n_layers; i++) {
		const struct vmf_block_layer *l =
			(const void *)((const char *)block.layers + i * block.layer_stride);

		printf("%s %s %s%s\n", l->driver, l->path, l->is_device ? "device" : "file",
			l->fd >= 0 ? " open" : "");
	}
	if (rc == 0)
		printf("cache %s, aio %s, discard %u, detect_zeroes %u\n", block.cache, block.aio,
			block.discard, block.detect_zeroes);
	return rc;
}

static int map(const char *name, bool writable)
{
	char *path = NULL;
	int rc = ops->map(&call, name, writable, &path, &err);

	if (rc == 0)
		puts(path);
	return rc;
}

/* ---- programs that fail ------------------------------------------------------------------- */

static const char *fault;
static int programs;

static int faulty_run(const struct vmf_call *c, struct vmf_run *run, struct vmf_error *e)
{
	const char *colon = strchr(fault, ':');
	bool is_it = ++programs == (colon ? atoi(colon + 1) : 0);
	int rc = is_it && fault[0] == 'f' ? 0 : host_table()->run(c, run, e);

	if (!is_it || rc < 0)
		return rc;
	run->out = c->host->strdup(c, "");
	run->err = c->host->strdup(c, "it has failed: I/O error\n");
	run->status = 1;
	return fault[0] == 's' ? c->host->fail(e, VMF_E_TIMEOUT, 0, NULL, "took too long") : 0;
}

static void make_faulty(void)
{
	static struct vmf_host host;

	fault = getenv("CALL_FAULT");
	if (!fault)
		return;
	host = *host_table();
	host.run = faulty_run;
	call.host = &host;
}

/* ---- the call ----------------------------------------------------------------------------- */

static int do_verb(const char *verb, char **arg)
{
	if (is(verb, "check"))
		return check();
	if (is(verb, "list"))
		return list(arg[0]);
	if (is(verb, "create"))
		return ops->create(&call, arg[0], number(arg[1]), &err);
	if (is(verb, "remove"))
		return ops->remove(&call, arg[0], &err);
	if (is(verb, "rename"))
		return ops->rename(&call, arg[0], arg[1], &err);
	if (is(verb, "grow"))
		return ops->grow(&call, arg[0], number(arg[1]), &err);
	if (is(verb, "attach"))
		return attach(arg[0], is(arg[1], "readonly"));
	if (is(verb, "snapshot"))
		return ops->snapshot(&call, arg[0], arg[1], &err);
	if (is(verb, "snapshots"))
		return snapshots(arg[0]);
	if (is(verb, "rollback"))
		return ops->rollback(
			&call, arg[0], arg[1], is(arg[2], "later-too") ? VMF_SNAPSHOT_LATER_TOO : 0, &err);
	if (is(verb, "snapshot-remove"))
		return ops->snapshot_remove(&call, arg[0], arg[1], &err);
	if (is(verb, "clone"))
		return ops->clone(&call, arg[0], or_none(arg[1]), arg[2], is(arg[3], "copy"), &err);
	if (is(verb, "send"))
		return ops->send(&call, arg[0], STDOUT_FILENO, &err);
	if (is(verb, "receive"))
		return ops->receive(&call, arg[0], number(arg[1]), STDIN_FILENO, &err);
	if (is(verb, "map"))
		return map(arg[0], is(arg[1], "writable"));
	if (is(verb, "unmap"))
		return ops->unmap(&call, arg[0], &err);
	return vmf_fail(&err, VMF_E_USAGE, 0, NULL, "no call \"%s\"", verb);
}

/* The leading OPTION=VALUE words as JSON; *at: the first word behind them. */
static char *options_json(char **argv, int *at)
{
	json_t *object = json_object();
	char *text, *equals;

	for (; argv[*at] && (equals = strchr(argv[*at], '=')); ++*at) {
		*equals = '\0';
		json_object_set_new(object, argv[*at], json_string(equals + 1));
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

int main(int argc, char **argv)
{
	const char *uuid = getenv("CALL_UUID");
	struct vmf_vm_id id = {.size = sizeof(id), .name = "call"};
	struct arena arena = {0};
	struct host_services services = {.arena = &arena};
	const struct plugin *plugin = NULL;
	struct vmf_opts *opts = NULL;
	struct strv folders = STRV_INIT;
	char *words[8] = {NULL};
	int at = 2, rc = -1;
	autofree char *json = argc > 2 ? options_json(argv, &at) : NULL;

	if (!json || at >= argc || argc - at > (int)VMF_COUNT(words))
		return VMF_E_USAGE;
	memcpy(words, argv + at + 1, (size_t)(argc - at - 1) * sizeof(*words));
	id.uuid = uuid ? uuid : "11111111-2222-3333-4444-555555555555";
	plugin_search_path(&folders);
	plugin_setup(&folders);
	plugin = plugin_get(VMF_STORAGE, argv[1], &err);
	opts = plugin ? conf_opts_load(&plugin->desc, json, &err) : NULL;
	if (opts) {
		ops = &plugin->ops.storage;
		host_call_init(&call, &services, opts, &id, "test", "disk-0", 0);
		call.dry_run = getenv("CALL_DRY_RUN") != NULL;
		make_faulty();
		rc = do_verb(argv[at], words);
	}
	fflush(stdout);
	if (err.message)
		fprintf(stderr, "call: %s\n", err.message);
	if (err.hint)
		fprintf(stderr, "hint: %s\n", err.hint);
	rc = rc == 0 ? 0 : err.code ? err.code : 125;
	if (fault && programs < atoi(strchrnul(fault, ':') + 1))
		rc = 99;
	error_clear(&err);
	conf_opts_free(opts);
	plugin_teardown();
	strv_free(&folders);
	arena_free(&arena);
	return rc;
}
