/* SPDX-License-Identifier: ISC */
/* `list` of VMs that live on other hosts: one question to each host, whatever the number of its VMs. */
#include "cli/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/far.h"
#include "remote/hosts.h"

/* Is there any host but this one? */
static bool has_others(const struct conf_section *root)
{
	for (size_t i = 0; i < root->n_sections; i++)
		if (str_equal(root->sections[i]->keyword, "host") &&
			!str_equal(root->sections[i]->file, "built-in"))
			return true;
	return false;
}

/* A host whose name means another one; NULL: the VM lives here. */
static struct host_answer *host_of(struct ctx *ctx, struct vm *vm, struct host_answers *hosts)
{
	const char *name = conf_string(vm->root, "host");
	struct host_answer *host;
	json_t *managed;

	if (!name || !conf_is_set(vm->root, "host"))
		return NULL;
	managed = managed_read(ctx, vm->name);
	json_decref(managed);
	if (managed)
		return NULL;
	host = hosts_add(ctx, vm->root, name, hosts);
	return host->place || host->error.code ? host : NULL;
}

static const json_t *row_of(const json_t *list, const char *name)
{
	const json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (str_equal(json_string_value(json_object_get(row, "name")), name))
			return row;
	}
	return NULL;
}

static void fill(struct row *row, const struct host_answer *host)
{
	const json_t *far = row_of(host->json, row->name);
	const char *state = json_string_value(json_object_get(far, "state"));
	struct vm_state *s = &row->state;

	row->is_far = true;
	row->is_old = host->error.code != 0;
	s->pid = (pid_t)json_integer_value(json_object_get(far, "pid"));
	s->since = (int64_t)json_integer_value(json_object_get(far, "since"));
	s->detail[0] = '\0';
	if (row->is_old) {
		autofree char *when = host->when ? out_time(host->when) : NULL;

		snprintf(s->status, sizeof(s->status), "unknown");
		s->phase = VM_UNKNOWN;
		row->detail = state ? str_printf("it was %s at %s; %s", state, when, host->error.message)
				    : str_dup(host->error.message);
		return;
	}
	/* defined here, not yet there: its first verb brings it there */
	snprintf(s->status, sizeof(s->status), "%s", state ? state : "off");
	s->phase = str_equal(s->status, "off") ? VM_OFF : str_equal(s->status, "saved") ? VM_SAVED : VM_ALIVE;
	row->detail = str_dup(json_string_value(json_object_get(far, "detail")));
}

void list_ask_hosts(struct ctx *ctx, struct row *rows, size_t n_rows, int64_t timeout_ms)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct host_answers hosts = {NULL, 0};
	char word[] = "list", *words[] = {word};
	size_t *of = mem_alloc((n_rows + 1) * sizeof(*of)); /* 1 + the host's number; 0: here */
	json_t *request;

	if (ctx_load(ctx, &ignored) < 0 || !has_others(conf_root(ctx->with_default))) {
		error_clear(&ignored);
		free(of);
		return;
	}
	for (size_t i = 0; i < n_rows; i++) {
		struct host_answer *host;

		if (!rows[i].vm)
			rows[i].vm = vm_load(ctx, rows[i].name, true, &ignored);
		error_clear(&ignored); /* who prints the row says it */
		host = rows[i].vm ? host_of(ctx, rows[i].vm, &hosts) : NULL;
		of[i] = host ? 1 + (size_t)(host - hosts.items) : 0;
	}
	request = far_request(ctx, 1, words);
	json_object_set_new(request, "json", json_true());
	json_object_set_new(request, "settings", json_array());
	hosts_ask(ctx, &hosts, request, "list", timeout_ms);
	json_decref(request);
	for (size_t i = 0; i < hosts.count; i++)
		if (hosts.items[i].error.code)
			log_warn("%s; what is shown of its VMs is old", hosts.items[i].error.message);
	for (size_t i = 0; i < n_rows; i++)
		if (of[i])
			fill(&rows[i], &hosts.items[of[i] - 1]);
	hosts_free(&hosts);
	free(of);
}
