/* SPDX-License-Identifier: ISC */
#include "remote/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "remote/remote.h"

#define ANSWER_MAX (64u << 20)

struct talk {
	struct host_answer *host;
	struct remote *remote; /* NULL: done, or never begun */
	struct strbuf out, said;
	struct remote_events events;
	int64_t began_ms, deadline_ms;
};

static void on_out(void *data, const char *bytes, size_t length)
{
	struct talk *talk = data;

	if (talk->out.length + length <= ANSWER_MAX)
		strbuf_add(&talk->out, bytes, length);
}

static void on_err(void *data, const char *bytes, size_t length)
{
	struct talk *talk = data;

	if (talk->said.length < 4096)
		strbuf_add(&talk->said, bytes, length);
}

/* ---- which hosts -------------------------------------------------------------------------- */

struct host_answer *hosts_add(
	struct ctx *ctx, const struct conf_section *root, const char *name, struct host_answers *hosts)
{
	struct host_answer *host;

	for (size_t i = 0; i < hosts->count; i++)
		if (str_equal(hosts->items[i].name, name))
			return &hosts->items[i];
	hosts->items = mem_resize(hosts->items, (hosts->count + 1) * sizeof(*hosts->items));
	host = &hosts->items[hosts->count++];
	memset(host, 0, sizeof(*host));
	host->name = str_dup(name);
	place_find(ctx, root, name, &host->place, &host->error);
	return host;
}

void hosts_free(struct host_answers *hosts)
{
	for (size_t i = 0; i < hosts->count; i++) {
		free(hosts->items[i].name);
		place_free(hosts->items[i].place);
		json_decref(hosts->items[i].json);
		error_clear(&hosts->items[i].error);
	}
	free(hosts->items);
	memset(hosts, 0, sizeof(*hosts));
}

/* ---- what was known last -------------------------------------------------------------------- */

static char *kept_path(const struct ctx *ctx, const char *name, const char *kept)
{
	return str_printf("%s/hosts/%s.%s.json", ctx->paths.lib, name, kept);
}

static void keep(const struct ctx *ctx, const struct host_answer *host, const char *kept)
{
	autofree char *path = kept_path(ctx, host->name, kept);
	autofree char *folder = path_parent(path);
	struct vmf_error ignored = VMF_ERROR_INIT;
	json_t *json = json_pack("{s:I, s:O}", "when", (json_int_t)time(NULL), "answer", host->json);
	char *text = json_dumps(json, JSON_COMPACT);

	/* of use only to be shown: not worth an error */
	if (text && file_mkdirs(folder, 0700, &ignored) == 0)
		file_write(path, text, strlen(text), 0600, false, &ignored);
	error_clear(&ignored);
	free(text);
	json_decref(json);
}

static void recall(const struct ctx *ctx, struct host_answer *host, const char *kept)
{
	autofree char *path = kept_path(ctx, host->name, kept);
	autofree char *text = file_read_at(AT_FDCWD, path, ANSWER_MAX, NULL);
	json_t *json = text ? json_loads(text, 0, NULL) : NULL, *answer = json_object_get(json, "answer");

	if (answer) {
		host->json = json_incref(answer);
		host->when = json_integer_value(json_object_get(json, "when"));
	}
	json_decref(json);
}

/* ---- asking ------------------------------------------------------------------------------- */

static void end(struct talk *talk)
{
	remote_close(talk->remote);
	talk->remote = NULL;
	talk->host->took_ms = time_now_ms() - talk->began_ms;
}

static void begin(struct talk *talk, const json_t *request, int64_t timeout_ms)
{
	struct host_answer *host = talk->host;

	talk->events = (struct remote_events){.out = on_out, .err = on_err, .data = talk};
	talk->began_ms = time_now_ms();
	talk->deadline_ms = talk->began_ms + timeout_ms;
	if (!host->place || host->error.code)
		return;
	talk->remote = remote_open(host->place, timeout_ms, &host->error);
	if (talk->remote)
		remote_run(talk->remote, json_deep_copy(request), &talk->events);
}

static void take_answer(struct talk *talk)
{
	struct host_answer *host = talk->host;
	const char *said = talk->said.data ? talk->said.data : "";

	if (remote_exit_code(talk->remote) == 0)
		host->json = json_loads(talk->out.data ? talk->out.data : "", JSON_DECODE_ANY, NULL);
	if (host->json)
		return;
	said += str_starts(said, "vmf: ") ? 5 : 0;
	vmf_fail(&host->error, VMF_E_FAILED, 0, NULL, "host \"%s\": %.*s", host->name,
		(int)strcspn(said, "\n"), *said ? said : "it gave no answer");
}

static void turn(struct talk *talk)
{
	if (remote_turn(talk->remote, &talk->host->error) < 0) {
		end(talk);
	} else if (remote_is_done(talk->remote)) {
		take_answer(talk);
		end(talk);
	} else if (time_now_ms() >= talk->deadline_ms) {
		vmf_fail(&talk->host->error, VMF_E_TIMEOUT, 0, NULL,
			"host \"%s\": it does not answer in time", talk->host->name);
		end(talk);
	}
}

/* One wait for all; false: there is nobody left to wait for. */
static bool turn_all(struct talk *talks, size_t n)
{
	struct pollfd *p = mem_alloc((n + 1) * sizeof(*p));
	int64_t until = INT64_MAX, now = time_now_ms();
	size_t open = 0;

	for (size_t i = 0; i < n; i++) {
		p[i] = (struct pollfd){-1, 0, 0};
		if (!talks[i].remote)
			continue;
		open++;
		p[i] = remote_poll(talks[i].remote);
		if (talks[i].deadline_ms < until)
			until = talks[i].deadline_ms;
	}
	if (open &&
		poll(p, n, until <= now ? 0 : (int)(until - now > INT_MAX ? INT_MAX : until - now)) >= 0) {
		now = time_now_ms();
		for (size_t i = 0; i < n; i++)
			if (talks[i].remote && (p[i].revents || now >= talks[i].deadline_ms))
				turn(&talks[i]);
	}
	free(p);
	return open > 0;
}

void hosts_ask(struct ctx *ctx, struct host_answers *hosts, const json_t *request, const char *kept,
	int64_t timeout_ms)
{
	struct talk *talks = mem_alloc((hosts->count + 1) * sizeof(*talks));

	for (size_t i = 0; i < hosts->count; i++) {
		talks[i].host = &hosts->items[i];
		begin(&talks[i], request, timeout_ms);
	}
	while (!log_interrupted && turn_all(talks, hosts->count))
		;
	for (size_t i = 0; i < hosts->count; i++) {
		struct host_answer *host = &hosts->items[i];

		if (talks[i].remote) {
			vmf_fail(&host->error, VMF_E_FAILED, 0, NULL, "interrupted");
			end(&talks[i]);
		}
		if (host->json)
			keep(ctx, host, kept);
		else if (host->place)
			recall(ctx, host, kept);
		strbuf_free(&talks[i].out);
		strbuf_free(&talks[i].said);
	}
	free(talks);
}
