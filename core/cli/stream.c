/* SPDX-License-Identifier: ISC */
/*
 * Bytes both ways between the person (a terminal or pipes) and a socket.
 *
 * One poll loop with one buffer each way, read into only when there is room: whoever is slow slows the other
 * side down. Signals come by a signalfd, so that none can end us while the terminal is raw. Standard output
 * is opened once more where that can be, since O_NONBLOCK on the description that we were given would be the
 * shell's, too.
 *
 * What is said through it, and to whom, is talk.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/tty.h"
#include "cli/cli.h"
#include "cli/talk.h"

/* The other side took nothing for so long: now keys are only looked through for the escape key. */
#define STUCK_MS 1000
/* Written at once where a write may wait. */
#define BLOCKING_CHUNK 512

enum { RUNNING = -1 };

/* Finds a text in a stream (Knuth, Morris, Pratt). */
struct match {
	const char *text;
	size_t length, at;
	size_t *back; /* back[n]: where to go on if the byte behind the first n does not fit */
};

struct stream {
	const struct stream_options *options;
	int end;			  /* enum stream_end, or RUNNING */
	bool is_terminal, shows_terminal; /* our input is one; our output is one */
	bool may_wait;			  /* out is not ours alone and blocks */
	bool input_ended, has_sent, takes_nothing;
	int fd, out, signals;
	int64_t deadline_ms; /* when to end, or 0 */
	int64_t quiet_ms;    /* when the last byte moved */
	int64_t took_ms;     /* when the other side took the last one */
	struct match until, prompt;
	struct term_modes modes;
	const char *to_show; /* in `shown`, or the options' text */
	size_t n_to_show;
	size_t in_at, in_end;
	char in[16384];
	char shown[65536];
};

static void match_init(struct match *m, const char *text)
{
	size_t k = 0;

	m->text = text;
	m->length = text ? strlen(text) : 0;
	m->back = mem_alloc((m->length + 1) * sizeof(*m->back));
	for (size_t i = 1; i < m->length; i++) {
		while (k && text[i] != text[k])
			k = m->back[k];
		k += text[i] == text[k];
		m->back[i + 1] = k;
	}
}

/* Whether the stream ends with the text. */
static bool match_is_full(const struct match *m)
{
	return m->length && m->at == m->length;
}

static bool match_feed(struct match *m, const char *data, size_t length)
{
	bool seen = false;

	for (size_t i = 0; m->length && i < length; i++) {
		while (m->at && (m->at == m->length || m->text[m->at] != data[i]))
			m->at = m->back[m->at];
		m->at += m->text[m->at] == data[i];
		seen = seen || m->at == m->length;
	}
	return seen;
}

/* ---- what moves --------------------------------------------------------------------------- */

/* The first reason to end counts. */
static void end(struct stream *s, int how)
{
	if (s->end == RUNNING)
		s->end = how;
}

/* The first OLD bytes are only shown. */
static void show(struct stream *s, const char *data, size_t length, size_t old)
{
	s->to_show = data;
	s->n_to_show = length;
	match_feed(&s->prompt, data + old, length - old);
	if (match_feed(&s->until, data + old, length - old))
		end(s, STREAM_FOUND);
}

static int read_other(struct stream *s, struct vmf_error *err)
{
	ssize_t n = read(s->fd, s->shown, sizeof(s->shown));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE || errno == EIO))) {
		end(s, STREAM_CLOSED);
		return 0;
	}
	if (n < 0)
		return vmf_fail_errno(err, NULL, "%s", s->options->what);
	show(s, s->shown, (size_t)n, 0);
	if (s->options->log_fd && fd_write_all(s->options->log_fd, s->shown, (size_t)n) < 0)
		return vmf_fail_errno(err, NULL, "cannot write to the log");
	return 0;
}

static int write_other(struct stream *s, struct vmf_error *err)
{
	ssize_t n = write(s->fd, s->in + s->in_at, s->in_end - s->in_at);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) { /* there may be last words to read */
		s->takes_nothing = true;
		s->input_ended = s->input_ended || !s->is_terminal;
		s->in_at = s->in_end = 0;
		return 0;
	}
	if (n < 0)
		return vmf_fail_errno(err, NULL, "%s", s->options->what);
	s->quiet_ms = s->took_ms = time_now_ms();
	s->in_at += (size_t)n;
	if (s->in_at == s->in_end)
		s->in_at = s->in_end = 0;
	return 0;
}

static int write_out(struct stream *s, struct vmf_error *err)
{
	size_t most = s->may_wait && s->n_to_show > BLOCKING_CHUNK ? BLOCKING_CHUNK : s->n_to_show;
	ssize_t n = write(s->out, s->to_show, most);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == EIO)) {
		s->n_to_show = 0;
		s->end = STREAM_NO_OUTPUT;
		return 0;
	}
	if (n < 0)
		return vmf_fail_errno(err, NULL, "cannot write to standard output");
	if (s->shows_terminal)
		term_modes_feed(&s->modes, s->to_show, (size_t)n);
	s->quiet_ms = time_now_ms();
	s->to_show += n;
	s->n_to_show -= (size_t)n;
	return 0;
}

static bool has_room(const struct stream *s)
{
	return s->in_end < sizeof(s->in) || s->takes_nothing;
}

static bool is_stuck(const struct stream *s)
{
	return s->is_terminal && !has_room(s) && time_now_ms() - s->took_ms >= STUCK_MS;
}

static int read_input(struct stream *s, short events, struct vmf_error *err)
{
	char unwanted[256];
	bool keep = has_room(s) && !s->takes_nothing;
	char *to = keep ? s->in + s->in_end : unwanted, *key = NULL;
	ssize_t n = read(STDIN_FILENO, to, keep ? sizeof(s->in) - s->in_end : sizeof(unwanted));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != EIO && errno != EBADF)
		return vmf_fail_errno(err, NULL, "cannot read standard input");
	if (n <= 0) {
		if (!s->is_terminal)
			s->input_ended = true;
		else if (n < 0 || (events & (POLLHUP | POLLERR))) /* the terminal is gone */
			end(s, STREAM_NO_OUTPUT);
		return 0;
	}
	if (s->is_terminal && s->options->escape >= 0)
		key = memchr(to, s->options->escape, (size_t)n);
	if (key)
		s->end = STREAM_LEFT;
	if (keep) {
		if (s->in_end == 0)
			s->took_ms = time_now_ms(); /* from here on it has something to take */
		s->in_end += key ? (size_t)(key - to) : (size_t)n;
		s->has_sent = true;
	}
	/* what was typed before the key, too */
	return keep && key && s->in_end ? write_other(s, err) : 0;
}

/* A stop or a continuation is the shell's business; all others end us. */
static int read_signal(struct stream *s, struct vmf_error *err)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	if (info.ssi_signo == SIGTSTP) {
		tty_pause();
		kill(getpid(), SIGSTOP);
		tty_raw_again();
	} else if (info.ssi_signo == SIGCONT) {
		tty_raw_again();
	} else if (info.ssi_signo == SIGWINCH) {
		s->options->resized(s->options->data);
	} else {
		log_interrupted = (int)info.ssi_signo;
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
	}
	return 0;
}

/* ---- when --------------------------------------------------------------------------------- */

/* When the quiet after our input's end is long enough, or INT64_MAX: there is more to wait for. */
static int64_t quiet_end(const struct stream *s)
{
	const struct stream_options *o = s->options;

	if (!s->input_ended || s->in_end || s->n_to_show || o->until)
		return INT64_MAX;
	if (!s->has_sent && o->timeout_ms) /* it is only looked at, and for so long */
		return INT64_MAX;
	return s->quiet_ms + (match_is_full(&s->prompt) ? o->prompt_ms : o->linger_ms);
}

static int wait_time(const struct stream *s)
{
	int64_t now = time_now_ms(), at = quiet_end(s), stuck = s->took_ms + STUCK_MS;

	if (s->deadline_ms && s->deadline_ms < at)
		at = s->deadline_ms;
	if (s->is_terminal && !has_room(s) && stuck > now && stuck < at)
		at = stuck;
	if (at == INT64_MAX)
		return -1;
	return at <= now ? 0 : at - now > INT_MAX ? INT_MAX : (int)(at - now);
}

static void check_time(struct stream *s)
{
	int64_t now = time_now_ms();

	if (now >= quiet_end(s))
		end(s, STREAM_QUIET);
	if (s->deadline_ms && now >= s->deadline_ms) {
		end(s, STREAM_TIME);
		s->n_to_show = 0; /* whoever is to read it has had the time */
	}
}

/* After the end what was read is still shown, unless the person wants to be gone. */
static bool is_over(const struct stream *s)
{
	return s->end == STREAM_LEFT || s->end == STREAM_NO_OUTPUT || (s->end != RUNNING && !s->n_to_show);
}

/* One wait, and what it brings. An fd that is not wanted now is left out: hung up, it would wake us for ever.
 */
static int step(struct stream *s, struct vmf_error *err)
{
	bool wants_input = !s->input_ended && (has_room(s) || is_stuck(s));
	bool wants_other = s->end == RUNNING && !s->n_to_show;
	short other = (short)((wants_other ? POLLIN : 0) | (s->in_end && s->end == RUNNING ? POLLOUT : 0));
	struct pollfd p[] = {
		{s->signals, POLLIN, 0},
		{s->out, s->n_to_show ? POLLOUT : 0, 0},
		{other ? s->fd : -1, other, 0},
		{wants_input ? STDIN_FILENO : -1, POLLIN, 0},
	};
	int rc = 0;

	if (poll(p, VMF_COUNT(p), wait_time(s)) < 0)
		return errno == EINTR ? 0 : vmf_fail_errno(err, NULL, "poll");
	if (p[0].revents)
		rc = read_signal(s, err);
	if (rc == 0 && (p[1].revents & POLLOUT))
		rc = write_out(s, err);
	else if (p[1].revents) /* nobody reads it any more */
		s->end = STREAM_NO_OUTPUT;
	if (rc == 0 && (p[2].revents & POLLOUT))
		rc = write_other(s, err);
	if (rc == 0 && wants_other && (p[2].revents & ~POLLOUT))
		rc = read_other(s, err);
	if (rc == 0 && p[3].revents)
		rc = read_input(s, p[3].revents, err);
	check_time(s);
	return rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static bool is_pty_master(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(5, 2);
}

static void open_output(struct stream *s)
{
	struct stat st;

	s->out = -1;
	/* to open a pty's master would make another one */
	if (fstat(STDOUT_FILENO, &st) == 0 && (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) &&
		!is_pty_master(&st))
		s->out = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	s->may_wait = s->out < 0;
	if (s->may_wait)
		s->out = STDOUT_FILENO;
}

static struct stream *stream_new(int fd, const struct stream_options *options)
{
	struct stream *s = mem_alloc(sizeof(*s));

	s->options = options;
	s->fd = fd;
	s->end = RUNNING;
	s->signals = -1;
	s->is_terminal = tty_is(STDIN_FILENO);
	s->shows_terminal = tty_is(STDOUT_FILENO);
	s->quiet_ms = s->took_ms = time_now_ms();
	s->deadline_ms = options->timeout_ms ? s->quiet_ms + options->timeout_ms : 0;
	match_init(&s->until, options->until);
	match_init(&s->prompt, options->prompt);
	open_output(s);
	return s;
}

static void stream_free(struct stream *s)
{
	if (s->out != STDOUT_FILENO)
		close(s->out);
	if (s->signals >= 0)
		close(s->signals);
	free(s->until.back);
	free(s->prompt.back);
	free(s);
}

static int hold_signals(struct stream *s, sigset_t *before, struct vmf_error *err)
{
	static const int held[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGCONT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < VMF_COUNT(held); i++)
		sigaddset(&set, held[i]);
	if (s->is_terminal && s->options->resized)
		sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, before);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return vmf_fail_errno(err, NULL, "signalfd");
	return log_interrupted ? vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted") : 0;
}

/* The guest's programs may have left colours, another screen, a hidden cursor. */
static void put_back(struct stream *s)
{
	autostrbuf struct strbuf undo = STRBUF_INIT;

	tty_restore();
	tty_want("off");
	if (!s->shows_terminal)
		return;
	term_modes_undo(&s->modes, &undo);
	if (s->is_terminal) /* a new line for what comes next */
		strbuf_puts(&undo, "\r\n");
	if (undo.length && write(s->out, undo.data, undo.length) < 0)
		log_debug("the terminal takes no more output");
}

static int not_seen(const struct stream *s, struct vmf_error *err)
{
	autofree char *text = str_quote(s->options->until);

	if (s->end == STREAM_TIME)
		return vmf_fail(
			err, VMF_E_TIMEOUT, 0, NULL, "%s: %s was not seen in time", s->options->what, text);
	return vmf_fail(
		err, VMF_E_FAILED, 0, NULL, "%s: it ended before %s was seen", s->options->what, text);
}

int stream_attach(int fd, const struct stream_options *options, struct vmf_error *err)
{
	struct stream *s = stream_new(fd, options);
	int flags = fcntl(fd, F_GETFL), rc, how;
	sigset_t before;

	rc = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0
		     ? vmf_fail_errno(err, NULL, "%s", options->what)
		     : hold_signals(s, &before, err);
	if (rc < 0) {
		stream_free(s);
		return -1;
	}
	if (s->is_terminal)
		rc = tty_raw(STDIN_FILENO, err);
	else
		tty_want("bytes");
	if (rc == 0 && s->is_terminal && options->resized)
		options->resized(options->data);
	if (rc == 0 && options->first_length)
		show(s, options->first, options->first_length, options->first_old);
	while (rc == 0 && !is_over(s))
		rc = step(s, err);
	put_back(s);
	if (rc == 0 && options->until && (s->end == STREAM_TIME || s->end == STREAM_CLOSED))
		rc = not_seen(s, err);
	how = s->end;
	stream_free(s);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc < 0 ? -1 : how;
}
