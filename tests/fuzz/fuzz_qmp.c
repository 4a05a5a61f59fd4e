/* SPDX-License-Identifier: ISC */
/* What QEMU says, made up: bytes for the QMP client, and the same bytes as an event log. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/str.h"
#include "qemu/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As many bytes as fit into the socket, then its end: the client never has to wait. */
static void feed(const uint8_t *data, size_t size)
{
	struct vmf_error err = VMF_ERROR_INIT;
	int fds[2];
	struct qmp *qmp;
	char *text = NULL;
	json_t *event = NULL;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	if (send(fds[1], data, size, MSG_NOSIGNAL) < 0 && size)
		size = 0;
	shutdown(fds[1], SHUT_WR);
	qmp = qmp_from_fd(fds[0], -1);
	if (qmp_finish(qmp, time_now_ms() + 1000, &err) < 0)
		error_clear(&err);
	if (qmp_status(qmp, &text, time_now_ms() + 1000, &err) < 0)
		error_clear(&err);
	free(text);
	text = NULL;
	if (qmp_hmp(qmp, "info", &text, time_now_ms() + 1000, &err) < 0)
		error_clear(&err);
	free(text);
	text = NULL;
	if (qmp_raw(qmp, "{\"execute\": \"x\"}", &text, time_now_ms() + 1000, &err) < 0)
		error_clear(&err);
	free(text);
	while (qmp_event(qmp, &event, time_now_ms(), &err) == 0)
		json_decref(event);
	error_clear(&err);
	qmp_close(qmp);
	close(fds[1]);
}

static int folder = -1;
static char path[] = "/tmp/vmf-fuzz-qmp-XXXXXX";

static void tidy(void)
{
	unlinkat(folder, "events", 0);
	rmdir(path);
}

static void read_log(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct qmp_last last;

	if (folder < 0) {
		if (!mkdtemp(path))
			abort();
		folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = openat(folder, "events", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			abort();
		atexit(tidy);
	}
	if (ftruncate(fd, 0) < 0 || (size && pwrite(fd, data, size, 0) != (ssize_t)size))
		abort();
	if (qmp_last_state(folder, "events", &last) < 0 || strlen(last.status) >= sizeof(last.status) ||
		strlen(last.detail) >= sizeof(last.detail))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	feed(data, size);
	read_log(data, size);
	return 0;
}
