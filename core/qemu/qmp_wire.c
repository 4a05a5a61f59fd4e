/* SPDX-License-Identifier: ISC */
/* From bytes to QMP messages; see qmp_wire.h. */
#include "qemu/qmp_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int qmp_wire_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int fd;

	if (length >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

void qmp_wire_init(struct qmp *qmp, int fd, int death_fd)
{
	memset(qmp, 0, sizeof(*qmp));
	qmp->fd = fd;
	qmp->death_fd = death_fd;
}

void qmp_wire_free(struct qmp *qmp)
{
	if (qmp->fd >= 0)
		close(qmp->fd);
	qmp->fd = -1;
	strbuf_free(&qmp->in);
	json_decref(qmp->events);
	qmp->events = NULL;
}

/* Forgets what has been parsed. */
static void compact(struct qmp *qmp)
{
	if (!qmp->start)
		return;
	qmp->in.length -= qmp->start;
	memmove(qmp->in.data, qmp->in.data + qmp->start, qmp->in.length + 1);
	qmp->scanned -= qmp->start;
	qmp->start = 0;
	qmp->line = NULL;
}

enum qmp_read qmp_wire_read(struct qmp *qmp)
{
	char data[16384];
	ssize_t n;

	compact(qmp);
	do {
		n = read(qmp->fd, data, sizeof(data));
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return QMP_READ_NOTHING;
	if (n <= 0) {
		qmp->is_broken = qmp->is_closed = true;
		return QMP_READ_CLOSED;
	}
	strbuf_add(&qmp->in, data, (size_t)n);
	return QMP_READ_SOME;
}

static bool is_blank(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r')
			return false;
	return true;
}

static json_t *parse(const char *text, size_t length)
{
	json_t *message = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);

	if (message && !json_is_object(message)) {
		json_decref(message);
		message = NULL;
	}
	return message;
}

int qmp_wire_next(struct qmp *qmp, json_t **message)
{
	while (qmp->scanned < qmp->in.length) {
		const char *line = qmp->in.data + qmp->start;
		const char *end = memchr(qmp->in.data + qmp->scanned, '\n', qmp->in.length - qmp->scanned);
		size_t length;

		if (!end) {
			qmp->scanned = qmp->in.length;
			break;
		}
		length = (size_t)(end - line);
		qmp->start += length + 1;
		qmp->scanned = qmp->start;
		while (length && line[length - 1] == '\r')
			length--;
		qmp->line = line;
		qmp->line_length = length;
		if (is_blank(line, length))
			continue;
		*message = length <= QMP_LINE_MAX ? parse(line, length) : NULL;
		if (*message)
			return 1;
		qmp->is_broken = true;
		return -1;
	}
	if (qmp->in.length - qmp->start <= QMP_LINE_MAX)
		return 0;
	qmp->line = NULL;
	qmp->is_broken = true;
	return -1;
}
