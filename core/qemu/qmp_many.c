/* SPDX-License-Identifier: ISC */
/*
 * query-status of many VMs side by side. Requests are sent as soon as a socket is connected, before the
 * greeting; one deadline for all; a VM that hangs costs the others nothing.
 */
#include "qemu/qmp_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/proc.h"

#define AT_ONCE 512 /* sockets open side by side, if there are fds for so many */
#define BATCH 64
#define RETRY_MS 5 /* for sockets whose queue is full, and when fds run out */
#define STATUS_MAX 63

static const char request[] = "{\"execute\":\"qmp_capabilities\",\"id\":1}\n"
			      "{\"execute\":\"query-status\",\"id\":2}\n";

struct ask {
	struct qmp qmp;
	enum { TO_OPEN, OPEN, DONE } stage;
};

struct many {
	const char *const *paths;
	struct ask *asks;
	char **status;
	int *answered;
	size_t count, n_open, n_done;
	int epoll_fd;
};

static void done(struct many *m, size_t i, int answered)
{
	if (m->asks[i].stage == OPEN) {
		qmp_wire_free(&m->asks[i].qmp);
		m->n_open--;
	}
	m->asks[i].stage = DONE;
	m->answered[i] = answered;
	m->n_done++;
}

/* Connects and asks; false: no fd left just now. */
static bool open_one(struct many *m, size_t i)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
	int fd = qmp_wire_connect(m->paths[i]);

	if (fd < 0 && errno == EAGAIN)
		return true; /* others queue; tried again later */
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return false;
	if (fd < 0) {
		done(m, i, errno == ENOENT || errno == ECONNREFUSED ? -1 : 0);
		return true;
	}
	qmp_wire_init(&m->asks[i].qmp, fd, -1);
	m->asks[i].stage = OPEN;
	m->n_open++;
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		done(m, i, errno == EPIPE || errno == ECONNRESET ? -1 : 0);
	else if (epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		done(m, i, 0);
	return true;
}

/* True if some have to be opened later. */
static bool open_some(struct many *m)
{
	bool left = false;

	if (m->n_open + m->n_done == m->count)
		return false;
	for (size_t i = 0; i < m->count; i++) {
		if (m->asks[i].stage != TO_OPEN)
			continue;
		if (m->n_open >= AT_ONCE || !open_one(m, i))
			return true;
		left = left || m->asks[i].stage == TO_OPEN;
	}
	return left;
}

/* The status word in MESSAGE, if it is the answer to the second request. */
static bool take_answer(struct many *m, size_t i, const json_t *message)
{
	const char *word;

	if (json_integer_value(json_object_get(message, "id")) != 2)
		return false;
	word = json_string_value(json_object_get(json_object_get(message, "return"), "status"));
	if (word)
		m->status[i] = qmp_io_clean(word, strnlen(word, STATUS_MAX));
	done(m, i, word ? 1 : 0);
	return true;
}

static void read_one(struct many *m, size_t i)
{
	struct qmp *qmp = &m->asks[i].qmp;
	enum qmp_read r = qmp_wire_read(qmp);
	json_t *message;
	int n;

	if (r == QMP_READ_CLOSED)
		done(m, i, -1);
	if (r != QMP_READ_SOME)
		return;
	while ((n = qmp_wire_next(qmp, &message)) > 0) {
		bool taken = take_answer(m, i, message);

		json_decref(message);
		if (taken)
			return;
	}
	if (n < 0)
		done(m, i, 0);
}

void qmp_status_many(
	const char *const *paths, size_t count, char **status, int *answered, int64_t deadline_ms)
{
	struct many m = {.paths = paths, .status = status, .answered = answered, .count = count};

	m.asks = mem_alloc(count * sizeof(*m.asks));
	m.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (size_t i = 0; i < count; i++) {
		status[i] = NULL;
		answered[i] = 0;
	}
	for (bool tried = false; m.epoll_fd >= 0 && m.n_done < count; tried = true) {
		struct epoll_event events[BATCH];
		bool left = open_some(&m);
		int64_t wait_ms = deadline_ms - time_now_ms();
		int n;

		if (m.n_done == count || (wait_ms <= 0 && tried))
			break;
		wait_ms = wait_ms < 0 ? 0 : wait_ms > 1000000 ? 1000000 : wait_ms;
		if (left && wait_ms > RETRY_MS)
			wait_ms = RETRY_MS;
		n = epoll_wait(m.epoll_fd, events, BATCH, (int)wait_ms);
		for (int k = 0; k < n; k++)
			if (m.asks[events[k].data.u64].stage == OPEN)
				read_one(&m, events[k].data.u64);
	}
	for (size_t i = 0; i < count; i++)
		if (m.asks[i].stage == OPEN)
			qmp_wire_free(&m.asks[i].qmp);
	if (m.epoll_fd >= 0)
		close(m.epoll_fd);
	free(m.asks);
}
