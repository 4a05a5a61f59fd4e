/* SPDX-License-Identifier: ISC */
/*
 * One epoll loop. What is read goes to the other side at once out of one buffer that all share; only what it
 * does not take is kept, and until that is gone nothing more is read for it. So an idle connection costs no
 * buffer, a busy one few system calls, and a client that takes nothing a chunk each way.
 *
 * Reads and writes of large chunks: splice(2) through a pipe was slower, as TCP and unix sockets have to copy
 * at one end anyway, and io_uring is switched off on many machines; see tests/bench.
 */
#include "base/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

#define CHUNK 262144	  /* read at once */
#define SMALL_CHUNK 32768 /* with many clients: what all of them together may hold back is bounded */
#define MANY 16
#define EVENTS 64
#define RETRY_MS 20
#define OPEN_MS 5000 /* for the far end to have room */

/* One side of a connection, and what is on its way to it. */
struct side {
	struct connection *connection;
	int fd; /* -1: not there */
	uint32_t watched;
	bool has_ended; /* nothing more is read from it */
	bool is_shut;	/* nothing more is written to it */
	char *kept;
	size_t kept_at, kept_end;
};

struct connection {
	struct side sides[2]; /* the client, the far end */
	struct connection *next, **self;
	struct sockaddr_storage peer;
	socklen_t peer_length;
	int64_t open_until_ms; /* 0: the far end is there */
};

struct relay {
	const struct relay_options *options;
	int epoll, listener;
	bool listener_watched;
	struct connection *connections, *dead;
	size_t count, n_opening;
	unsigned served;
	int64_t quiet_since_ms;
	char buffer[CHUNK];
};

static struct side *other(struct side *side)
{
	struct connection *c = side->connection;

	return side == &c->sides[0] ? &c->sides[1] : &c->sides[0];
}

static void watch(struct relay *r, struct side *side)
{
	struct side *to = other(side);
	uint32_t wanted = 0;
	struct epoll_event event = {.data.ptr = side};

	if (side->fd < 0)
		return;
	if (!side->has_ended && to->fd >= 0 && !to->kept)
		wanted |= EPOLLIN;
	if (side->kept)
		wanted |= EPOLLOUT;
	if (wanted == side->watched)
		return;
	/* one that is not to be looked at is taken out: its end would be told for ever */
	event.events = wanted;
	if (epoll_ctl(r->epoll,
		    !side->watched ? EPOLL_CTL_ADD
		    : wanted	   ? EPOLL_CTL_MOD
				   : EPOLL_CTL_DEL,
		    side->fd, &event) == 0)
		side->watched = wanted;
}

static void watch_listener(struct relay *r)
{
	size_t most = r->options->most ? r->options->most : 1000;
	bool wanted = r->listener >= 0 && r->count < most && !(r->options->once && r->n_opening);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &r->listener};

	if (wanted != r->listener_watched && r->listener >= 0 &&
		epoll_ctl(r->epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, r->listener, &event) == 0)
		r->listener_watched = wanted;
}

/* Freed once no event of this round can name it. */
static void drop(struct relay *r, struct connection *c)
{
	for (int i = 0; i < 2; i++) {
		if (c->sides[i].fd >= 0)
			close(c->sides[i].fd);
		c->sides[i].fd = -1;
		free(c->sides[i].kept);
		c->sides[i].kept = NULL;
	}
	if (c->open_until_ms)
		r->n_opening--;
	*c->self = c->next;
	if (c->next)
		c->next->self = c->self;
	c->next = r->dead;
	r->dead = c;
	r->count--;
	r->quiet_since_ms = time_now_ms();
}

static void bury(struct relay *r)
{
	while (r->dead) {
		struct connection *c = r->dead;

		r->dead = c->next;
		free(c);
	}
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* Nothing more goes to SIDE once what is kept for it is written. */
static void shut(struct side *side)
{
	if (side->kept || side->is_shut)
		return;
	side->is_shut = true;
	if (side->fd >= 0)
		shutdown(side->fd, SHUT_WR);
}

/* SIDE takes nothing more at all: what there is for it is lost, and nothing more is read for it. */
static void broken(struct side *side)
{
	free(side->kept);
	side->kept = NULL;
	side->is_shut = true;
	other(side)->has_ended = true;
}

static void keep(struct side *to, const char *data, size_t length)
{
	to->kept = mem_alloc(length);
	memcpy(to->kept, data, length);
	to->kept_at = 0;
	to->kept_end = length;
}

/* Writes what SIDE takes now; how much that was. */
static size_t put(struct side *side, const char *data, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t n = send(side->fd, data + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			done += (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			break;
		} else if (errno != EINTR) {
			broken(side);
			return length;
		}
	}
	return done;
}

static void on_readable(struct relay *r, struct side *side)
{
	struct side *to = other(side);
	size_t chunk = r->count > MANY ? SMALL_CHUNK : CHUNK;
	ssize_t n = recv(side->fd, r->buffer, chunk, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) { /* it is gone for both ways */
		broken(side);
		side->has_ended = true;
		shut(to);
		return;
	}
	if (n == 0) {
		side->has_ended = true;
		shut(to);
		return;
	}
	if (!to->is_shut) {
		size_t done = put(to, r->buffer, (size_t)n);

		if (done < (size_t)n)
			keep(to, r->buffer + done, (size_t)n - done);
	}
}

static void on_writable(struct side *side)
{
	side->kept_at += put(side, side->kept + side->kept_at, side->kept_end - side->kept_at);
	if (side->kept && side->kept_at == side->kept_end) {
		free(side->kept);
		side->kept = NULL;
	}
	if (other(side)->has_ended)
		shut(side);
}

static bool is_done(const struct connection *c)
{
	return !c->open_until_ms && c->sides[0].has_ended && c->sides[1].has_ended && !c->sides[0].kept &&
	       !c->sides[1].kept;
}

static void on_side(struct relay *r, struct side *side, uint32_t events)
{
	struct connection *c = side->connection;

	if (side->fd < 0) /* closed earlier in this round */
		return;
	if (side->kept && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		on_writable(side);
	if (!side->has_ended && !other(side)->kept && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		on_readable(r, side);
	if (is_done(c)) {
		drop(r, c);
		return;
	}
	watch(r, &c->sides[0]);
	watch(r, &c->sides[1]);
}

/* ---- clients ------------------------------------------------------------------------------ */

/* Small pieces go at once, and a peer that vanished without a word is noticed in minutes. TCP only. */
static void tune(int fd)
{
	int one = 1, idle = 60, interval = 20;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
}

static void try_open(struct relay *r, struct connection *c)
{
	const struct relay_options *o = r->options;
	int fd = o->open(o->data, c->sides[0].fd);

	if (fd == -1 && errno == EAGAIN && time_now_ms() < c->open_until_ms)
		return;
	if (fd == -1) {
		log_debug("relay: a client is sent away: %s", strerror(errno));
		drop(r, c);
		return;
	}
	c->open_until_ms = 0;
	r->n_opening--;
	r->served++;
	if (o->once) {
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->listener, NULL);
		close(r->listener);
		r->listener = -1;
		r->listener_watched = false;
	}
	if (o->came)
		o->came(o->data, (struct sockaddr *)&c->peer, c->peer_length, r->served);
	if (fd == RELAY_TAKEN) {
		drop(r, c);
		return;
	}
	tune(fd);
	c->sides[1].fd = fd;
	watch(r, &c->sides[0]);
	watch(r, &c->sides[1]);
}

static void on_client(struct relay *r)
{
	struct connection *c = mem_alloc(sizeof(*c));
	int fd;

	c->peer_length = sizeof(c->peer);
	fd = accept4(r->listener, (struct sockaddr *)&c->peer, &c->peer_length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		/* none left for us: wait until one goes */
		if ((errno == EMFILE || errno == ENFILE) && r->listener_watched && r->count) {
			epoll_ctl(r->epoll, EPOLL_CTL_DEL, r->listener, NULL);
			r->listener_watched = false;
		}
		free(c);
		return;
	}
	if (r->options->admits &&
		!r->options->admits(r->options->data, (struct sockaddr *)&c->peer, c->peer_length)) {
		close(fd);
		free(c);
		return;
	}
	tune(fd);
	for (int i = 0; i < 2; i++)
		c->sides[i] = (struct side){.connection = c, .fd = i == 0 ? fd : -1};
	c->next = r->connections;
	c->self = &r->connections;
	if (c->next)
		c->next->self = &c->next;
	r->connections = c;
	r->count++;
	r->n_opening++;
	c->open_until_ms = time_now_ms() + OPEN_MS;
	try_open(r, c);
}

static void open_again(struct relay *r)
{
	struct connection *next;

	for (struct connection *c = r->connections; c && r->n_opening; c = next) {
		next = c->next;
		if (c->open_until_ms)
			try_open(r, c);
	}
}

/* ---- the loop ----------------------------------------------------------------------------- */

static int wait_time(const struct relay *r)
{
	int64_t left;

	if (r->n_opening)
		return RETRY_MS;
	if (!r->options->wait_ms || r->count)
		return -1;
	left = r->quiet_since_ms + r->options->wait_ms - time_now_ms();
	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* RELAY_..., or -1 to go on. */
static int has_ended(const struct relay *r)
{
	if (log_interrupted)
		return RELAY_INTERRUPTED;
	if (r->count)
		return -1;
	if (r->options->once && r->served)
		return RELAY_SERVED;
	if (r->options->wait_ms && time_now_ms() - r->quiet_since_ms >= r->options->wait_ms)
		return RELAY_NOBODY;
	return -1;
}

/* Signals come only while it waits, so none is missed between the look at log_interrupted and the wait. */
static int loop(struct relay *r, const sigset_t *mask, struct vmf_error *err)
{
	for (;;) {
		struct epoll_event events[EVENTS];
		int n, end = has_ended(r);

		if (end >= 0)
			return end;
		n = epoll_pwait(r->epoll, events, EVENTS, wait_time(r), mask);
		if (n < 0 && errno != EINTR)
			return vmf_fail_errno(err, NULL, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				return RELAY_OVER;
			if (events[i].data.ptr == &r->listener)
				on_client(r);
			else
				on_side(r, events[i].data.ptr, events[i].events);
		}
		open_again(r);
		bury(r);
		watch_listener(r);
	}
}

int relay_run(const struct relay_options *options, struct vmf_error *err)
{
	struct relay *r = mem_alloc(sizeof(*r));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	sigset_t ours, before;
	int rc = -1;

	r->options = options;
	r->listener = options->listener;
	r->quiet_since_ms = time_now_ms();
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGQUIT);
	sigprocmask(SIG_BLOCK, &ours, &before);
	if (r->epoll < 0 || (options->until_fd >= 0 &&
				    epoll_ctl(r->epoll, EPOLL_CTL_ADD, options->until_fd, &event) < 0)) {
		vmf_fail_errno(err, NULL, "epoll");
	} else {
		/* a client that is gone again before it was accepted must not hold us */
		fcntl(r->listener, F_SETFL, fcntl(r->listener, F_GETFL) | O_NONBLOCK);
		watch_listener(r);
		rc = loop(r, &before, err);
	}
	while (r->connections)
		drop(r, r->connections);
	bury(r);
	if (r->listener >= 0)
		close(r->listener);
	if (r->epoll >= 0)
		close(r->epoll);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(r);
	return rc;
}
