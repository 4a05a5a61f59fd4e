/* SPDX-License-Identifier: ISC */
/*
 * The inside of the QMP client. qmp_wire: bytes from the socket become JSON objects; whatever the other side
 * sends, memory stays bounded, and nothing there waits. qmp_io: waiting with a deadline.
 */
#ifndef VMF_QEMU_QMP_WIRE_H
#define VMF_QEMU_QMP_WIRE_H

#include "base/str.h"
#include "qemu/qmp.h"

#define QMP_LINE_MAX (4u << 20)	  /* QEMU's longest answer, query-qmp-schema's, has 0.2 MiB */
#define QMP_EVENT_MAX (64u << 10) /* longer events are not kept */
#define QMP_EVENTS_KEPT 1024	  /* the oldest give way */

struct qmp {
	int fd, death_fd;
	struct strbuf in;      /* what was read; from start on it is still to be parsed */
	size_t start, scanned; /* no newline between start and scanned */
	const char *line;      /* the last message as it came, inside in; valid until the next call */
	size_t line_length;
	json_t *events; /* an array, oldest first */
	json_int_t last_id;
	bool sent_capabilities, got_greeting;
	bool is_broken; /* closed by the other side, or no QMP */
	bool is_closed; /* the other side has closed */
};

enum qmp_read {
	QMP_READ_CLOSED = -1, /* or any error of the socket */
	QMP_READ_NOTHING,     /* nothing there yet */
	QMP_READ_SOME,
};

/* A non-blocking, connected socket, or -1 and errno. EAGAIN: others queue for the monitor. */
int qmp_wire_connect(const char *path);
enum qmp_read qmp_wire_read(struct qmp *qmp);
/* The next whole message (new reference): 1, 0: more has to be read, -1: what came is not QMP. */
int qmp_wire_next(struct qmp *qmp, json_t **message);
void qmp_wire_init(struct qmp *qmp, int fd, int death_fd);
void qmp_wire_free(struct qmp *qmp);

/* ---- with a deadline ---------------------------------------------------------------------- */

/* The next message that is not an event (new reference); events are kept. TAKE_EVENT: an event ends the wait,
 * too, with *message NULL, and so does the person's ^C, with -1. */
int qmp_io_next(
	struct qmp *qmp, bool take_event, json_t **message, int64_t deadline_ms, struct vmf_error *err);
/* Sends TEXT, with FD along unless it is -1. */
int qmp_io_send(
	struct qmp *qmp, const char *text, size_t length, int fd, int64_t deadline_ms, struct vmf_error *err);
int qmp_io_fail_closed(struct qmp *qmp, struct vmf_error *err);
int qmp_io_fail_timeout(struct vmf_error *err);
/* QEMU's text as it may stand in a message: no control characters, not too long. */
char *qmp_io_clean(const char *text, size_t length);

#endif
