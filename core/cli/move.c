/* SPDX-License-Identifier: ISC */
/*
 * A move's near end: it asks the old host for all of the VM, hands that on to the new one, and settles where
 * the VM lives.
 *
 * Until the definition at this end names the new host the VM is at the old one, and what is at the new one is
 * litter, which the next move removes. From then on it is at the new one, and what is at the old one is
 * litter, which LIB/moves/NAME remembers until it is gone.
 */
#include "cli/move.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/far.h"
#include "remote/remote.h"
#include "vm/journal.h"

#define DEFINITION_MAX (4 << 20)
#define PENDING_MAX (1u << 20) /* so much may wait for the new host before the old one is read again */

struct end {
	struct move *move;
	struct remote *remote;
	const char *name;      /* the host's */
	struct strbuf pending; /* from it, for the other one */
	struct strbuf said;    /* its errors */
	json_t *manifest;
	bool is_ready, has_sent, holds;
};

/* ---- what they say ------------------------------------------------------------------------- */

static void on_out(void *data, const char *bytes, size_t length)
{
	struct end *end = data;

	strbuf_add(&end->pending, bytes, length);
}

static void on_err(void *data, const char *bytes, size_t length)
{
	struct end *end = data;

	if (end->said.length < 65536)
		strbuf_add(&end->said, bytes, length);
}

static void on_note(void *data, const json_t *note)
{
	struct end *end = data;
	json_t *manifest = json_object_get(note, "manifest");

	if (manifest && !end->manifest)
		end->manifest = json_incref(manifest);
	end->is_ready |= json_is_true(json_object_get(note, "ready"));
	end->has_sent |= json_is_true(json_object_get(note, "sent"));
	end->holds |= json_is_true(json_object_get(note, "held"));
}

static struct remote_events events_of(struct end *end)
{
	return (struct remote_events){.out = on_out, .err = on_err, .note = on_note, .data = end};
}

/* What it has said of its failure, as ours. */
static int failed(struct end *end, struct vmf_error *err)
{
	autofree char *said = str_dup(end->said.data ? end->said.data : "");
	char *text = said, *hint = strstr(said, "\nvmf: hint: ");

	if (str_starts(text, "vmf: "))
		text += 5;
	if (hint)
		hint += strlen("\nvmf: hint: ");
	text[strcspn(text, "\n")] = '\0';
	if (hint)
		hint[strcspn(hint, "\n")] = '\0';
	return vmf_fail(err, remote_exit_code(end->remote) ? remote_exit_code(end->remote) : VMF_E_FAILED, 0,
		hint, "host \"%s\": %s", end->name, *text ? text : "it ended too early");
}

/* ---- turns --------------------------------------------------------------------------------- */

static int turn(struct end *a, struct end *b, struct vmf_error *err)
{
	struct pollfd p[2] = {{-1, 0, 0}, {-1, 0, 0}};
	bool full = b && a->pending.length > PENDING_MAX;
	int wait_ms = full ? -1 : remote_wait_ms(a->remote), other = b ? remote_wait_ms(b->remote) : -1;

	if (!full)
		p[0] = remote_poll(a->remote);
	if (b)
		p[1] = remote_poll(b->remote);
	if (wait_ms < 0 || (other >= 0 && other < wait_ms))
		wait_ms = other;
	if (poll(p, 2, wait_ms) < 0 && errno != EINTR)
		return vmf_fail_errno(err, NULL, "poll");
	if (log_interrupted)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
	if (!full && remote_turn(a->remote, err) < 0)
		return -1;
	return b ? remote_turn(b->remote, err) : 0;
}

static int wait_for_note(struct end *end, const bool *flag, struct vmf_error *err)
{
	while (!*flag && !remote_is_done(end->remote))
		if (turn(end, NULL, err) < 0)
			return -1;
	return *flag ? 0 : failed(end, err);
}

static int wait_for_end(struct end *end, struct vmf_error *err)
{
	while (!remote_is_done(end->remote))
		if (turn(end, NULL, err) < 0)
			return -1;
	return remote_exit_code(end->remote) == 0 ? 0 : failed(end, err);
}

static void say(struct end *end, const char *word)
{
	remote_input(end->remote, word, strlen(word));
}

/* As much of what waits as the new host takes now. */
static void hand_on(struct end *from, struct end *to)
{
	size_t done = 0, room;

	while (done < from->pending.length && (room = remote_room(to->remote)) > 0) {
		size_t part = from->pending.length - done;

		if (part > room)
			part = room;
		remote_input(to->remote, from->pending.data + done, part);
		done += part;
	}
	if (done) {
		memmove(from->pending.data, from->pending.data + done, from->pending.length - done);
		from->pending.length -= done;
		from->move->bytes += done;
	}
}

static uint64_t whole(const json_t *manifest)
{
	uint64_t bytes = 0;
	json_t *disk;
	size_t i;

	json_array_foreach(json_object_get(manifest, "disks"), i, disk)
	{
		bytes += (uint64_t)json_integer_value(json_object_get(disk, "size"));
	}
	return bytes;
}

static int pump(struct end *from, struct end *to, struct vmf_error *err)
{
	uint64_t most = whole(from->manifest);

	/* the stream itself says where it ends: a note may overtake its last bytes */
	while (!remote_is_done(to->remote)) {
		hand_on(from, to);
		if (remote_is_done(from->remote) && !from->has_sent)
			return failed(from, err);
		if (log_progress("moving", from->move->bytes, most) < 0)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
		if (turn(from, to, err) < 0)
			return -1;
	}
	log_progress_end();
	if (remote_exit_code(to->remote) != 0)
		return failed(to, err);
	return wait_for_note(from, &from->has_sent, err);
}

/* ---- the definition ------------------------------------------------------------------------ */

static json_t *request_for(struct ctx *ctx, const char *name, const char *what, bool here)
{
	char *words[] = {(char *)name};
	json_t *request = far_request(ctx, 1, words);

	json_object_set_new(request, "json", json_false());
	json_object_set_new(request, "move", json_string(what));
	json_object_set_new(request, "here", json_boolean(here));
	return request;
}

static char *record_path(const struct ctx *ctx, const char *name)
{
	return str_printf("%s/moves/%s", ctx->paths.lib, name);
}

/* What would be left to do: at FROM, of the VM with that UUID, once it lives elsewhere. */
static int put_record(const struct move *m, const char *path, struct vmf_error *err)
{
	autofree char *folder = path_parent(path);
	json_t *record = json_pack("{s:s?, s:s, s:s}", "from", m->from ? m->from->name : NULL, "uuid",
		m->vm->uuid, "to", m->host);
	char *text = json_dumps(record, JSON_COMPACT);
	int rc = file_mkdirs(folder, 0700, err);

	if (rc == 0)
		rc = file_write(path, text, strlen(text), 0600, true, err);
	free(text);
	json_decref(record);
	return rc;
}

/* ---- the move ------------------------------------------------------------------------------ */

static struct remote *open_end(struct ctx *ctx, struct place *place, struct vmf_error *err)
{
	int fd;

	if (place)
		return remote_open(place, FAR_HELLO_MS, err);
	fd = agent_here(ctx, err);
	return fd < 0 ? NULL : remote_open_fd(fd, FAR_HELLO_MS);
}

/* The new definition is at the new host as soon as it hears of it. */
static int define_there(struct move *m, struct end *to, const char *text, struct vmf_error *err)
{
	static const struct remote_events none;
	char *words[] = {m->vm->name};
	json_t *request = far_request(m->vm->ctx, 1, words);

	json_object_set_new(request, "master", json_string(m->master));
	json_object_set_new(request, "definition", json_string(text));
	json_object_set_new(request, "layer", json_string(m->layer));
	remote_run(to->remote, request, &none);
	return wait_for_end(to, err);
}

/* The VM changes sides. */
static int commit(struct move *m, struct end *from, struct end *to, const char *text, struct vmf_error *err)
{
	autofree char *path = record_path(m->vm->ctx, m->vm->name);
	struct vmf_error later = VMF_ERROR_INIT;

	say(from, "hold\n");
	if (wait_for_note(from, &from->holds, err) < 0 || fault_point("held", err) < 0 ||
		put_record(m, path, err) < 0 || fault_point("move-record", err) < 0)
		return -1;
	if (!vm_is_current(m->vm))
		return vmf_fail(err, VMF_E_STATE, 0, "try again", "its definition was changed meanwhile");
	if (file_write(m->vm->file, text, strlen(text), 0644, true, err) < 0)
		return -1;
	if (fault_point("moved", &later) < 0)
		error_clear(&later);
	say(from, "drop\n");
	if (m->to && define_there(m, to, text, &later) < 0)
		log_warn("vm \"%s\" lives on host \"%s\" now, which has not heard of it: %s", m->vm->name,
			m->host, later.message);
	error_clear(&later);
	if (fault_point("defined", &later) < 0)
		error_clear(&later);
	if (wait_for_end(from, &later) < 0)
		log_warn("vm \"%s\" lives on host \"%s\" now; what is left of it at the old one is "
			 "removed by the next command on it: %s",
			m->vm->name, m->host, later.message);
	else
		unlink(path);
	error_clear(&later);
	return 0;
}

static int both(struct move *m, struct end *from, struct end *to, const char *text, struct vmf_error *err)
{
	const struct remote_events from_events = events_of(from), to_events = events_of(to);
	json_t *request;

	from->remote = open_end(m->vm->ctx, m->from, err);
	to->remote = from->remote ? open_end(m->vm->ctx, m->to, err) : NULL;
	if (!to->remote)
		return -1;
	remote_run(from->remote, request_for(m->vm->ctx, m->vm->name, "out", !m->from), &from_events);
	while (!from->manifest && !remote_is_done(from->remote))
		if (turn(from, NULL, err) < 0)
			return -1;
	if (!from->manifest)
		return failed(from, err);
	request = request_for(m->vm->ctx, m->vm->name, "in", !m->to);
	json_object_set(request, "manifest", from->manifest);
	json_object_set_new(request, "definition", json_string(text));
	json_object_set_new(request, "master", json_string(m->master));
	json_object_set_new(request, "layer", json_string(m->layer));
	if (m->vm->ctx->dry_run) {
		json_decref(request);
		return 0;
	}
	remote_run(to->remote, request, &to_events);
	if (wait_for_note(to, &to->is_ready, err) < 0)
		return -1;
	say(from, "go\n");
	if (pump(from, to, err) < 0)
		return -1;
	return commit(m, from, to, text, err);
}

static void end_free(struct end *end)
{
	remote_close(end->remote);
	strbuf_free(&end->pending);
	strbuf_free(&end->said);
	json_decref(end->manifest);
}

int move_run(struct move *m, struct vmf_error *err)
{
	struct ctx *ctx = m->vm->ctx;
	struct end from = {.move = m, .name = m->from ? m->from->name : "local"};
	struct end to = {.move = m, .name = m->host};
	autofree char *old = NULL;
	autofree char *text = NULL;
	int rc;

	if (str_equal(m->host, from.name))
		return vmf_fail(err, VMF_E_STATE, 0, "`vmf host list` shows all",
			"vm \"%s\" lives on host \"%s\" already", m->vm->name, m->host);
	if (place_find(ctx, m->vm->root, m->host, &m->to, err) < 0)
		return -1;
	if (!m->from && !m->to)
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "vm \"%s\" lives here already", m->vm->name);
	if (!ctx->dry_run && move_finish(ctx, m->vm->name, err) < 0)
		return -1;
	old = file_read(m->vm->file, DEFINITION_MAX, NULL, err);
	text = old ? conf_edit_text(&vm_schema, m->vm->file, old, "host", m->host, err) : NULL;
	rc = text ? both(m, &from, &to, text, err) : -1;
	log_progress_end();
	end_free(&from);
	end_free(&to);
	return rc < 0 ? vmf_context(err, "vm \"%s\": move to \"%s\"", m->vm->name, m->host) : 0;
}

/* ---- afterwards ---------------------------------------------------------------------------- */

static int drop_at(struct vm *vm, const char *host, const char *uuid, struct vmf_error *err)
{
	struct end end = {.name = host ? host : "local"};
	const struct remote_events events = events_of(&end);
	struct place *place = NULL;
	json_t *request;
	int rc = -1;

	if (host && place_find(vm->ctx, vm->root, host, &place, err) < 0)
		return -1;
	end.remote = open_end(vm->ctx, place, err);
	if (end.remote) {
		request = request_for(vm->ctx, vm->name, "drop", !place);
		json_object_set_new(request, "uuid", json_string(uuid));
		remote_run(end.remote, request, &events);
		rc = wait_for_end(&end, err);
	}
	end_free(&end);
	place_free(place);
	return rc;
}

int move_finish(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	autofree char *path = record_path(ctx, name);
	autofree char *text = file_read_at(AT_FDCWD, path, DEFINITION_MAX, NULL);
	json_t *record = text ? json_loads(text, 0, NULL) : NULL;
	const char *from = json_string_value(json_object_get(record, "from"));
	const char *to = json_string_value(json_object_get(record, "to"));
	const char *uuid = json_string_value(json_object_get(record, "uuid"));
	struct vm *vm;
	int rc = 0;

	if (!record || ctx->dry_run || ctx->is_far) {
		json_decref(record);
		return 0;
	}
	vm = vm_load(ctx, name, true, err);
	/* one that still is where it was: the move did not come about */
	if (!vm)
		rc = -1;
	else if (vm->is_defined && uuid && str_equal(vm->uuid, uuid) &&
		 str_equal(conf_string(vm->root, "host"), to))
		rc = drop_at(vm, from, uuid, err);
	if (rc == 0)
		unlink(path);
	vm_free(vm);
	json_decref(record);
	return rc;
}

/* ---- the verb ------------------------------------------------------------------------------ */

void move_say(const struct cli_call *call, const struct move *m)
{
	const char *from = m->from ? m->from->name : "local";

	if (out_dry(call, "move all of it from host \"%s\" to host \"%s\"", from, m->host))
		return;
	out_result(call,
		json_pack("{s:s, s:s, s:I}", "from", from, "host", m->host, "bytes", (json_int_t)m->bytes),
		"%s: moved from host %s to %s", m->vm->name, from, m->host);
}

/* Of a VM that lives here. For others see far.c. */
int verb_move(struct cli_call *call, struct vmf_error *err)
{
	char master[256] = "";
	autofree char *layer = NULL;
	struct move m = {.vm = call->vm, .host = call->args.items[0], .master = master};
	int rc;

	if (call->ctx->is_far)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "the near end moves it");
	if (!call->is_last)
		return vmf_fail(err, VMF_E_USAGE, 0, "run what is to be done there afterwards",
			"move: the last one of a chain for a vm that lives here");
	gethostname(master, sizeof(master) - 1);
	m.layer = layer = far_layer(call->vm);
	rc = move_run(&m, err);
	if (rc == 0)
		move_say(call, &m);
	place_free(m.to);
	return rc;
}
