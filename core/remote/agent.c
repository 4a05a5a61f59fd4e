/* SPDX-License-Identifier: ISC */
#include "remote/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "remote/frame.h"
#include "remote/hello.h"

#define RUNS_MAX 128u
#define NOTE_MAX FRAME_MAX

enum { OUT, ERR, NOTE, N_FROM };

struct run {
	json_int_t id;
	pid_t pid;
	int pidfd;
	int input;	  /* -1: closed */
	int from[N_FROM]; /* -1: at its end */
	bool has_ended;	  /* what it has left in its pipes is still to be read */
	bool input_ends;
	struct strbuf typed; /* for its input */
	size_t typed_at;
	struct strbuf note; /* the beginning of a line */
};

struct agent {
	struct frames frames;
	const struct agent_ops *ops;
	struct run **runs;
	size_t n_runs;
	bool has_hello;
};

static void tell(struct agent *agent, json_int_t id, const char *key, json_t *value)
{
	json_t *frame = json_pack("{s:I, s:o}", "id", id, key, value);

	frames_put(&agent->frames, frame);
}

/* ---- a run -------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void run_free(struct run *run)
{
	close_fd(&run->input);
	close_fd(&run->pidfd);
	for (int i = 0; i < N_FROM; i++)
		close_fd(&run->from[i]);
	strbuf_free(&run->typed);
	strbuf_free(&run->note);
	free(run);
}

/* The run's own process. Nothing of the agent's is to be kept open by what it starts. */
static void be_run(struct agent *agent, const json_t *request, int in, const int to[N_FROM])
{
	sigset_t none;
	int code, notes;

	if (dup2(in, STDIN_FILENO) < 0 || dup2(to[OUT], STDOUT_FILENO) < 0 ||
		dup2(to[ERR], STDERR_FILENO) < 0)
		_exit(VMF_E_FAILED);
	notes = fcntl(to[NOTE], F_DUPFD_CLOEXEC, 3);
	for (int fd = 3; fd < 1024; fd++)
		if (fd != notes)
			close(fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	code = agent->ops->run(request, notes, agent->ops->data);
	fflush(stdout);
	fflush(stderr);
	_exit(code);
}

static int make_pipes(int near[4], int far[4])
{
	for (int i = 0; i < 4; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0) {
			while (i--) {
				close(near[i]);
				close(far[i]);
			}
			return -1;
		}
		/* the first is written to by us, the others by the run */
		near[i] = ends[i == 0];
		far[i] = ends[i != 0];
		fcntl(near[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static void begin(struct agent *agent, json_int_t id, const json_t *request)
{
	struct run *run;
	int near[4], far[4];
	pid_t pid;

	if (agent->n_runs >= RUNS_MAX || make_pipes(near, far) < 0) {
		tell(agent, id, "error", json_string("too much is run there already"));
		return;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		be_run(agent, request, far[0], far + 1);
	for (int i = 0; i < 4; i++)
		close(far[i]);
	if (pid < 0) {
		for (int i = 0; i < 4; i++)
			close(near[i]);
		tell(agent, id, "error", json_string("no process could be started there"));
		return;
	}
	run = mem_alloc(sizeof(*run));
	run->id = id;
	run->pid = pid;
	run->pidfd = proc_pidfd(pid);
	run->input = near[0];
	memcpy(run->from, near + 1, sizeof(run->from));
	agent->runs = mem_resize(agent->runs, (agent->n_runs + 1) * sizeof(*agent->runs));
	agent->runs[agent->n_runs++] = run;
}

static void put_notes(struct agent *agent, struct run *run)
{
	char *line = run->note.data, *end;

	while (line && (end = strchr(line, '\n'))) {
		json_t *note = json_loadb(line, (size_t)(end - line), 0, NULL);

		if (note)
			tell(agent, run->id, "note", note);
		line = end + 1;
	}
	if (line && line != run->note.data) {
		autofree char *rest = str_dup(line);

		strbuf_free(&run->note);
		strbuf_puts(&run->note, rest);
	}
}

/* One read; whether there was something. */
static bool take(struct agent *agent, struct run *run, int which)
{
	static const char *const keys[] = {"out", "err"};
	char data[FRAME_DATA];
	json_t *frame;
	ssize_t n = run->from[which] < 0 ? 0 : read(run->from[which], data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		close_fd(&run->from[which]);
		return false;
	}
	if (which == NOTE) {
		if (run->note.length < NOTE_MAX)
			strbuf_add(&run->note, data, (size_t)n);
		put_notes(agent, run);
		return true;
	}
	frame = json_pack("{s:I}", "id", run->id);
	frames_put_data(&agent->frames, frame, keys[which], data, (size_t)n);
	return true;
}

/* It may have left somebody with its output open: what is there now is all that is waited for. */
static bool is_drained(struct agent *agent, struct run *run)
{
	for (int i = 0; i < N_FROM; i++)
		while (take(agent, run, i))
			if (frames_waiting(&agent->frames) > FRAMES_FULL && !agent->frames.ended)
				return false;
	return true;
}

static void tell_end(struct agent *agent, struct run *run)
{
	int status = 0;
	json_t *frame;

	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	frame = json_pack("{s:I, s:i}", "id", run->id, "exit",
		WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	if (WIFSIGNALED(status))
		json_object_set_new(frame, "signal", json_integer(WTERMSIG(status)));
	frames_put(&agent->frames, frame);
}

static void give_input(struct agent *agent, struct run *run)
{
	size_t n = run->typed.length - run->typed_at;
	ssize_t written = n && run->input >= 0 ? write(run->input, run->typed.data + run->typed_at, n) : 0;

	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (written < 0) { /* it wants no more: what comes is taken, and dropped */
		close_fd(&run->input);
		written = (ssize_t)n;
	}
	run->typed_at += (size_t)written;
	if (written)
		tell(agent, run->id, "took", json_integer(written));
	if (run->typed_at == run->typed.length) {
		run->typed.length = run->typed_at = 0;
		if (run->input_ends)
			close_fd(&run->input);
	}
}

/* ---- what the near end asks for ------------------------------------------------------------ */

static struct run *find(struct agent *agent, json_int_t id)
{
	for (size_t i = 0; i < agent->n_runs; i++)
		if (agent->runs[i]->id == id)
			return agent->runs[i];
	return NULL;
}

static void type(struct agent *agent, struct run *run, const char *data, size_t length)
{
	/* more than it may send: it does not keep to what we have agreed on */
	if (run->typed.length - run->typed_at + length > 2 * AGENT_INPUT_MAX)
		return;
	strbuf_add(&run->typed, data, length);
	if (run->input < 0) {
		run->typed.length = run->typed_at = 0;
		tell(agent, run->id, "took", json_integer((json_int_t)length));
		return;
	}
	give_input(agent, run);
}

static void obey(struct agent *agent, const json_t *frame)
{
	json_int_t id = json_integer_value(json_object_get(frame, "id"));
	const json_t *request = json_object_get(frame, "run"), *signal = json_object_get(frame, "signal");
	struct run *run = find(agent, id);
	autofree char *data = NULL;
	size_t length;

	if (request && !run) {
		begin(agent, id, request);
		return;
	}
	if (!run) /* it may have ended just now */
		return;
	data = frame_data(frame, "in", &length);
	if (data)
		type(agent, run, data, length);
	if (json_is_true(json_object_get(frame, "in_end"))) {
		run->input_ends = true;
		give_input(agent, run);
	}
	if (json_is_integer(signal) && run->pidfd >= 0)
		proc_signal(run->pidfd, (int)json_integer_value(signal));
}

static int listen_to(struct agent *agent, struct vmf_error *err)
{
	struct vmf_error mine = VMF_ERROR_INIT;
	json_t *frame;

	if (frames_read(&agent->frames, err) < 0)
		return -1;
	while ((frame = frames_next(&agent->frames, &mine))) {
		if (!agent->has_hello && hello_check(frame, "the near end", &mine) == 0)
			agent->has_hello = true;
		else if (!mine.code)
			obey(agent, frame);
		json_decref(frame);
		if (mine.code)
			break;
	}
	if (!mine.code)
		return 0;
	error_move(err, &mine);
	return -1;
}

/* ---- the loop ----------------------------------------------------------------------------- */

static void hang_up(struct agent *agent)
{
	for (size_t i = 0; i < agent->n_runs; i++) {
		struct run *run = agent->runs[i];

		close_fd(&run->input);
		if (run->pidfd >= 0)
			proc_signal(run->pidfd, SIGHUP);
	}
}

static void forget_ended(struct agent *agent)
{
	size_t kept = 0;

	for (size_t i = 0; i < agent->n_runs; i++) {
		struct run *run = agent->runs[i];

		if (run->has_ended && is_drained(agent, run)) {
			tell_end(agent, run);
			run_free(run);
		} else {
			agent->runs[kept++] = run;
		}
	}
	agent->n_runs = kept;
}

static void add_poll(struct pollfd *p, size_t *n, int fd, int events)
{
	p[*n] = (struct pollfd){fd, (short)events, 0};
	(*n)++;
}

/* One wait and what it brings. */
static int turn(struct agent *agent, struct vmf_error *err)
{
	struct pollfd p[2 + (2 + N_FROM) * RUNS_MAX];
	struct frames *f = &agent->frames;
	bool is_full = frames_waiting(f) > FRAMES_FULL && !f->ended;
	size_t n = 0, n_runs = agent->n_runs;

	add_poll(p, &n, f->ended ? -1 : f->in, POLLIN);
	add_poll(p, &n, frames_waiting(f) && !f->ended ? f->out : -1, POLLOUT);
	for (size_t i = 0; i < n_runs; i++) {
		const struct run *run = agent->runs[i];

		add_poll(p, &n, run->typed.length > run->typed_at ? run->input : -1, POLLOUT);
		add_poll(p, &n, run->has_ended ? -1 : run->pidfd, POLLIN);
		for (int k = 0; k < N_FROM; k++)
			add_poll(p, &n, is_full || run->has_ended ? -1 : run->from[k], POLLIN);
	}
	if (poll(p, n, -1) < 0)
		return errno == EINTR ? 0 : vmf_fail_errno(err, NULL, "poll");
	for (size_t i = 0, at = 2; i < n_runs; i++, at += 2 + N_FROM) {
		struct run *run = agent->runs[i];

		if (p[at].revents)
			give_input(agent, run);
		for (int k = 0; k < N_FROM; k++)
			if (p[at + 2 + (size_t)k].revents)
				take(agent, run, k);
		if (p[at + 1].revents)
			run->has_ended = true;
	}
	if (p[0].revents && listen_to(agent, err) < 0)
		return -1;
	forget_ended(agent);
	if (f->ended) { /* nobody hears it */
		f->to.length = f->to_at = 0;
		return 0;
	}
	return frames_write(f, err);
}

int agent_serve(int in, int out, const struct agent_ops *ops, struct vmf_error *err)
{
	struct agent agent = {.ops = ops};
	struct vmf_error ignored = VMF_ERROR_INIT;
	int rc;

	frames_init(&agent.frames, in, out);
	frames_put(&agent.frames, hello_new());
	rc = frames_write(&agent.frames, err);
	while (rc == 0 && !agent.frames.ended && !log_interrupted)
		rc = turn(&agent, err);
	/* the near end is gone: what is run ends, as at a terminal that is closed */
	agent.frames.ended = true;
	hang_up(&agent);
	while (agent.n_runs && turn(&agent, &ignored) == 0)
		;
	error_clear(&ignored);
	for (size_t i = 0; i < agent.n_runs; i++)
		run_free(agent.runs[i]);
	free(agent.runs);
	frames_free(&agent.frames);
	return rc;
}
