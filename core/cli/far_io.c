/* SPDX-License-Identifier: ISC */
/*
 * One run at the far end, with the input and output of this process. The far end says when it wants input,
 * and how: so a verb that reads nothing takes nothing away from who comes after it, and the terminal is raw
 * only while a console is shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/tty.h"
#include "cli/far.h"
#include "remote/remote.h"

#define STUCK_MS 3000 /* a far end that took no key for so long does not hear the one that leaves, either */

enum input { INPUT_OFF, INPUT_LINE, INPUT_BYTES, INPUT_RAW };

struct io {
	struct remote *remote;
	struct strbuf *to;
	void (*note)(void *data, const json_t *note);
	void *data;
	enum input input;
	bool no_output; /* nobody reads it any more */
	bool has_told;	/* a signal */
};

static void put(struct io *io, int fd, const char *bytes, size_t length)
{
	if (fd == STDOUT_FILENO && io->no_output)
		return;
	if (fd_write_all(fd, bytes, length) < 0 && fd == STDOUT_FILENO) {
		io->no_output = true;
		remote_signal(io->remote, SIGHUP);
	}
}

static void on_out(void *data, const char *bytes, size_t length)
{
	struct io *io = data;

	if (io->to)
		strbuf_add(io->to, bytes, length);
	else
		put(io, STDOUT_FILENO, bytes, length);
}

static void on_err(void *data, const char *bytes, size_t length)
{
	put(data, STDERR_FILENO, bytes, length);
}

static void want(struct io *io, const char *how)
{
	struct vmf_error err = VMF_ERROR_INIT;

	io->input = str_equal(how, "raw")     ? INPUT_RAW
		    : str_equal(how, "bytes") ? INPUT_BYTES
		    : str_equal(how, "line")  ? INPUT_LINE
					      : INPUT_OFF;
	if (io->input != INPUT_RAW) {
		tty_restore();
	} else if (!tty_is(STDIN_FILENO) || tty_raw(STDIN_FILENO, &err) < 0) {
		io->input = INPUT_OFF;
		remote_input_end(io->remote);
	}
	error_clear(&err);
}

static void on_note(void *data, const json_t *note)
{
	struct io *io = data;
	const char *how = json_string_value(json_object_get(note, "input"));

	if (how)
		want(io, how);
	else if (io->note)
		io->note(io->data, note);
}

/* ---- input -------------------------------------------------------------------------------- */

static bool is_stuck(const struct io *io)
{
	return io->input == INPUT_RAW && remote_stuck_ms(io->remote) >= STUCK_MS;
}

static int read_input(struct io *io, short events, struct vmf_error *err)
{
	char bytes[4096];
	size_t room = remote_room(io->remote);
	bool may_send = room > 0 && !is_stuck(io);
	ssize_t n = read(STDIN_FILENO, bytes, may_send && room < sizeof(bytes) ? room : sizeof(bytes));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		if (n == 0 && io->input == INPUT_RAW && !(events & (POLLHUP | POLLERR)))
			return 0;
		io->input = INPUT_OFF;
		remote_input_end(io->remote);
		return 0;
	}
	if (is_stuck(io) && (memchr(bytes, 0x1d, (size_t)n) || memchr(bytes, 3, (size_t)n))) {
		tty_restore();
		return vmf_fail(err, VMF_E_TIMEOUT, 0, NULL, "left, as the other host does not answer");
	}
	if (may_send)
		remote_input(io->remote, bytes, (size_t)n);
	if (io->input == INPUT_LINE)
		io->input = INPUT_OFF;
	return 0;
}

/* ---- the loop ----------------------------------------------------------------------------- */

static int turn(struct io *io, struct vmf_error *err)
{
	bool reads = io->input != INPUT_OFF && (remote_room(io->remote) || is_stuck(io));
	struct pollfd p[] = {remote_poll(io->remote), {reads ? STDIN_FILENO : -1, POLLIN, 0}};
	int wait_ms = remote_wait_ms(io->remote);

	if (io->input == INPUT_RAW && !reads && (wait_ms < 0 || wait_ms > STUCK_MS))
		wait_ms = STUCK_MS;
	if (poll(p, VMF_COUNT(p), wait_ms) < 0 && errno != EINTR)
		return vmf_fail_errno(err, NULL, "poll");
	if (log_interrupted && !io->has_told) {
		io->has_told = true;
		remote_signal(io->remote, log_interrupted);
	}
	if (p[1].revents && read_input(io, p[1].revents, err) < 0)
		return -1;
	return remote_turn(io->remote, err);
}

int far_run(struct remote *remote, json_t *request, struct strbuf *to,
	void (*note)(void *data, const json_t *note), void *data, struct vmf_error *err)
{
	struct io io = {.remote = remote, .to = to, .note = note, .data = data};
	const struct remote_events events = {.out = on_out, .err = on_err, .note = on_note, .data = &io};
	int rc = 0;

	fflush(stdout);
	remote_run(remote, request, &events);
	while (rc == 0 && !remote_is_done(remote))
		rc = turn(&io, err);
	tty_restore();
	return rc;
}

json_t *far_request(const struct ctx *ctx, int argc, char *const *argv)
{
	json_t *request = json_pack("{s:b, s:b, s:i, s:[b,b,b], s:s?}", "json", ctx->json, "dry_run",
		ctx->dry_run, "level", log_level(), "tty", tty_is(STDIN_FILENO), tty_is(STDOUT_FILENO),
		tty_is(STDERR_FILENO), "class", ctx->invoked_class);
	json_t *words = json_array(), *settings = json_array();
	struct winsize size;

	for (int i = 0; i < argc; i++)
		json_array_append_new(words, json_string(argv[i]));
	for (size_t i = 0; i < ctx->settings.count; i++)
		if (!str_starts(ctx->settings.items[i], "host="))
			json_array_append_new(settings, json_string(ctx->settings.items[i]));
	json_object_set_new(request, "words", words);
	json_object_set_new(request, "settings", settings);
	if (tty_is(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		json_object_set_new(request, "columns", json_integer(size.ws_col));
	return request;
}
