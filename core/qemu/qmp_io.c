/* SPDX-License-Identifier: ISC */
/* Waiting for QEMU with a deadline, and what is said when it does not do as it should. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "qemu/qmp_wire.h"

#define INTERRUPT_MS 200 /* a ^C that came just before the wait is noticed after so long */
#define DEATH_MS 200	 /* between a closed socket and the end of the process that closed it */

static const char hint_hung[] = "it hangs, or another program holds its monitor; `kill` ends it at once";

static int poll_time(int64_t deadline_ms)
{
	int64_t left = deadline_ms - time_now_ms();

	return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

/* Text of QEMU's as it may stand in a message: no control characters, not too long. */
char *qmp_io_clean(const char *text, size_t length)
{
	char *copy = str_ndup(text, length < 500 ? length : 500);

	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = p[1] && p[1] != '\n' ? ' ' : '\0';
	return copy;
}

int qmp_io_fail_closed(struct qmp *qmp, struct vmf_error *err)
{
	qmp->is_broken = qmp->is_closed = true;
	if (qmp->death_fd >= 0 && proc_wait_end(qmp->death_fd, time_now_ms() + DEATH_MS))
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "QEMU ended");
	return vmf_fail(err, VMF_E_NOT_FOUND, 0, NULL, "QEMU closed the connection");
}

static int fail_garbage(const struct qmp *qmp, struct vmf_error *err)
{
	autofree char *text =
		qmp->line ? qmp_io_clean(qmp->line, qmp->line_length < 60 ? qmp->line_length : 60) : NULL;
	autofree char *quoted = str_quote(text ? text : "");

	if (!text)
		return vmf_fail(err, VMF_E_FAILED, 0, "is that socket QEMU's?",
			"the monitor sent a line without an end");
	return vmf_fail(err, VMF_E_FAILED, 0, "is that socket QEMU's?", "the monitor sent what is no QMP: %s",
		quoted);
}

int qmp_io_fail_timeout(struct vmf_error *err)
{
	return vmf_fail(err, VMF_E_TIMEOUT, 0, hint_hung, "QEMU does not answer");
}

/* Waits for EVENTS on the socket: 0, or -1. What QEMU said last is preferred to the news of its death. */
static int wait_socket(
	struct qmp *qmp, short events, bool may_interrupt, int64_t deadline_ms, struct vmf_error *err)
{
	for (;;) {
		struct pollfd p[2] = {{qmp->fd, events, 0}, {qmp->death_fd, POLLIN, 0}};
		int wait_ms = poll_time(deadline_ms), n;

		if (may_interrupt && wait_ms > INTERRUPT_MS)
			wait_ms = INTERRUPT_MS;
		n = poll(p, 2, wait_ms);
		if (n < 0 && errno != EINTR)
			return vmf_fail_errno(err, NULL, "poll");
		if (n > 0 && (p[0].revents || poll(p, 1, 0) > 0))
			return 0;
		if (n > 0)
			return qmp_io_fail_closed(qmp, err);
		if (may_interrupt && log_interrupted)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
		if (time_now_ms() >= deadline_ms)
			return qmp_io_fail_timeout(err);
	}
}

static void keep_event(struct qmp *qmp, json_t *message)
{
	if (qmp->line_length > QMP_EVENT_MAX)
		return;
	if (!qmp->events)
		qmp->events = json_array();
	if (json_array_size(qmp->events) >= QMP_EVENTS_KEPT)
		json_array_remove(qmp->events, 0);
	json_array_append(qmp->events, message);
}

/* The next message that is not an event; events are kept. TAKE_EVENT: an event ends the wait, too. */
int qmp_io_next(
	struct qmp *qmp, bool take_event, json_t **message, int64_t deadline_ms, struct vmf_error *err)
{
	for (;;) {
		int n = qmp_wire_next(qmp, message);

		if (n < 0)
			return fail_garbage(qmp, err);
		if (n > 0) {
			if (!json_object_get(*message, "event"))
				return 0;
			keep_event(qmp, *message);
			json_decref(*message);
			*message = NULL;
			if (take_event)
				return 0;
		} else {
			enum qmp_read r = qmp_wire_read(qmp);

			if (r == QMP_READ_CLOSED)
				return qmp_io_fail_closed(qmp, err);
			if (r == QMP_READ_NOTHING &&
				wait_socket(qmp, POLLIN, take_event, deadline_ms, err) < 0)
				return -1;
		}
		/* a side that never stops talking does not move the deadline */
		if (n != 0 && time_now_ms() > deadline_ms)
			return qmp_io_fail_timeout(err);
	}
}

int qmp_io_send(
	struct qmp *qmp, const char *text, size_t length, int fd, int64_t deadline_ms, struct vmf_error *err)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	size_t sent = 0;

	while (sent < length) {
		struct iovec iov = {(char *)text + sent, length - sent};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;

		if (fd >= 0 && sent == 0) {
			memset(&control, 0, sizeof(control));
			control.header.cmsg_len = CMSG_LEN(sizeof(int));
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
			msg.msg_control = &control;
			msg.msg_controllen = sizeof(control.space);
		}
		n = sendmsg(qmp->fd, &msg, MSG_NOSIGNAL);
		if (n > 0) {
			sent += (size_t)n;
		} else if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
			return qmp_io_fail_closed(qmp, err);
		} else if (n < 0 && errno != EINTR && errno != EAGAIN) {
			return vmf_fail_errno(err, NULL, "cannot write to QEMU's monitor");
		} else if (wait_socket(qmp, POLLOUT, false, deadline_ms, err) < 0) {
			qmp->is_broken = sent > 0 || qmp->is_broken; /* half a request cannot be taken back */
			return -1;
		}
	}
	return 0;
}
