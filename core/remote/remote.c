/* SPDX-License-Identifier: ISC */
#include "remote/remote.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "remote/agent.h"
#include "remote/frame.h"
#include "remote/hello.h"

struct remote {
	struct place *place; /* NULL: this host */
	struct frames frames;
	int fd; /* -1: given back already */
	bool has_hello, is_done;
	int64_t deadline_ms; /* until the hello */
	json_int_t id;
	const struct remote_events *events;
	int exit_code;
	size_t on_its_way; /* bytes of input */
	int64_t took_ms;   /* when some were taken last, or began to be on their way */
};

static const char *name_of(const struct remote *remote)
{
	return remote->place ? remote->place->name : "local";
}

/* ---- opening and closing ------------------------------------------------------------------- */

struct remote *remote_open_fd(int fd, int64_t timeout_ms)
{
	struct remote *remote = mem_alloc(sizeof(*remote));

	remote->fd = fd;
	remote->is_done = true;
	remote->deadline_ms = time_now_ms() + timeout_ms;
	frames_init(&remote->frames, fd, fd);
	frames_put(&remote->frames, hello_new());
	return remote;
}

struct remote *remote_open(struct place *place, int64_t timeout_ms, struct vmf_error *err)
{
	struct remote *remote;
	struct vmf_call call;
	int fd = -1;

	if (!place->plugin->ops.placement.connect) {
		vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "host \"%s\": %s leads nowhere", place->name,
			place->plugin->name);
		return NULL;
	}
	if (paths_create(&place->ctx->paths, err) < 0 || file_mkdirs(place->run_dir, 0700, err) < 0)
		return NULL;
	place_call(place, &call);
	call.dry_run = 0; /* to ask changes nothing */
	call.deadline_ms = time_now_ms() + timeout_ms;
	if (place->plugin->ops.placement.connect(&call, &fd, err) < 0) {
		vmf_context(err, "host \"%s\"", place->name);
		return NULL;
	}
	remote = remote_open_fd(fd, timeout_ms);
	remote->place = place;
	return remote;
}

/* Gives the fd back; what the plugin has to say about it goes to ERR. */
static void disconnect(struct remote *remote, struct vmf_error *err)
{
	struct vmf_call call;

	if (remote->fd < 0)
		return;
	if (!remote->place) {
		close(remote->fd);
		remote->fd = -1;
		return;
	}
	place_call(remote->place, &call);
	if (remote->place->plugin->ops.placement.disconnect)
		remote->place->plugin->ops.placement.disconnect(&call, remote->fd, err);
	remote->fd = -1;
}

void remote_close(struct remote *remote)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	if (!remote)
		return;
	disconnect(remote, &ignored);
	error_clear(&ignored);
	frames_free(&remote->frames);
	free(remote);
}

/* The other side has closed, and we still wanted something. The plugin may know why. */
static int lost(struct remote *remote, struct vmf_error *err)
{
	struct vmf_error why = VMF_ERROR_INIT;
	bool was_at_work = remote->has_hello && !remote->is_done;

	disconnect(remote, &why);
	if (why.code)
		error_move(err, &why);
	else if (was_at_work)
		vmf_fail(err, VMF_E_FAILED, 0, "`status` tells what has become of it",
			"the connection was lost; what was begun there is undone or finished there");
	else
		vmf_fail(err, VMF_E_FAILED, 0, NULL, "the connection was closed");
	return vmf_context(err, "host \"%s\"", name_of(remote));
}

/* ---- what the far end says ------------------------------------------------------------------ */

static void hear(struct remote *remote, const json_t *frame, struct vmf_error *err)
{
	const struct remote_events *e = remote->events;
	const json_t *exit_code = json_object_get(frame, "exit"), *note = json_object_get(frame, "note");
	const char *error = json_string_value(json_object_get(frame, "error"));
	json_int_t took = json_integer_value(json_object_get(frame, "took"));
	autofree char *out = NULL;
	autofree char *said = NULL;
	size_t length;

	if (remote->is_done || json_integer_value(json_object_get(frame, "id")) != remote->id)
		return;
	out = frame_data(frame, "out", &length);
	if (out && e->out)
		e->out(e->data, out, length);
	said = frame_data(frame, "err", &length);
	if (said && e->err)
		e->err(e->data, said, length);
	if (note && e->note)
		e->note(e->data, note);
	if (took > 0) {
		remote->on_its_way -= (size_t)took < remote->on_its_way ? (size_t)took : remote->on_its_way;
		remote->took_ms = time_now_ms();
	}
	if (error)
		vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s", error);
	if (json_is_integer(exit_code)) {
		remote->exit_code = (int)json_integer_value(exit_code);
		remote->is_done = true;
	}
}

static int listen_to(struct remote *remote, struct vmf_error *err)
{
	struct vmf_error mine = VMF_ERROR_INIT;
	json_t *frame;

	while (!mine.code && (frame = frames_next(&remote->frames, &mine))) {
		if (remote->has_hello)
			hear(remote, frame, &mine);
		else if (hello_check(frame, "it", &mine) == 0)
			remote->has_hello = true;
		json_decref(frame);
	}
	if (!mine.code)
		return 0;
	error_move(err, &mine);
	return vmf_context(err, "host \"%s\"", name_of(remote));
}

/* ---- turning ------------------------------------------------------------------------------ */

struct pollfd remote_poll(const struct remote *remote)
{
	return (struct pollfd){remote->fd, frames_waiting(&remote->frames) ? POLLIN | POLLOUT : POLLIN, 0};
}

int remote_wait_ms(const struct remote *remote)
{
	int64_t left = remote->deadline_ms - time_now_ms();

	if (remote->has_hello)
		return -1;
	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

int remote_turn(struct remote *remote, struct vmf_error *err)
{
	struct vmf_error broken = VMF_ERROR_INIT;

	/* what it has said before it broke counts first */
	if (frames_write(&remote->frames, &broken) < 0)
		remote->frames.to.length = remote->frames.to_at = 0;
	if (frames_read(&remote->frames, &broken) < 0)
		remote->frames.ended = true;
	error_clear(&broken);
	if (listen_to(remote, err) < 0)
		return -1;
	if (remote->frames.ended && !(remote->has_hello && remote->is_done))
		return lost(remote, err);
	if (!remote->has_hello && time_now_ms() >= remote->deadline_ms)
		return vmf_fail(
			err, VMF_E_TIMEOUT, 0, NULL, "host \"%s\": it does not answer", name_of(remote));
	return 0;
}

int remote_finish(struct remote *remote, struct vmf_error *err)
{
	while (!remote->is_done) {
		struct pollfd p = remote_poll(remote);

		if (poll(&p, 1, remote_wait_ms(remote)) < 0 && errno != EINTR)
			return vmf_fail_errno(err, NULL, "poll");
		if (log_interrupted)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
		if (remote_turn(remote, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- runs --------------------------------------------------------------------------------- */

static json_t *frame_for(const struct remote *remote)
{
	return json_pack("{s:I}", "id", remote->id);
}

void remote_run(struct remote *remote, json_t *request, const struct remote_events *events)
{
	json_t *frame;

	remote->id++;
	remote->events = events;
	remote->is_done = false;
	remote->exit_code = VMF_E_FAILED;
	remote->on_its_way = 0;
	frame = frame_for(remote);
	json_object_set_new(frame, "run", request);
	frames_put(&remote->frames, frame);
}

bool remote_is_done(const struct remote *remote)
{
	return remote->is_done;
}

int remote_exit_code(const struct remote *remote)
{
	return remote->exit_code;
}

size_t remote_room(const struct remote *remote)
{
	size_t room = AGENT_INPUT_MAX - remote->on_its_way;

	return remote->is_done ? 0 : room < FRAME_DATA ? room : FRAME_DATA;
}

void remote_input(struct remote *remote, const char *bytes, size_t length)
{
	json_t *frame = frame_for(remote);

	if (!remote->on_its_way)
		remote->took_ms = time_now_ms();
	remote->on_its_way += length;
	frames_put_data(&remote->frames, frame, "in", bytes, length);
}

void remote_input_end(struct remote *remote)
{
	json_t *frame = frame_for(remote);

	json_object_set_new(frame, "in_end", json_true());
	frames_put(&remote->frames, frame);
}

int64_t remote_stuck_ms(const struct remote *remote)
{
	return remote->on_its_way ? time_now_ms() - remote->took_ms : 0;
}

void remote_signal(struct remote *remote, int number)
{
	json_t *frame = frame_for(remote);

	json_object_set_new(frame, "signal", json_integer(number));
	frames_put(&remote->frames, frame);
}
