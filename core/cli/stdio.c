/* SPDX-License-Identifier: ISC */
/* Something of a VM as a stream on standard input and output: what ssh's ProxyCommand, or another listener,
 * is made of. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "base/tty.h"
#include "cli/serve.h"

#define OPEN_MS 20000 /* for the far end to be there */
#define AGAIN_MS 20
#define LINGER_MS 2000 /* what the other side says once we have nothing more to say */

/* The far end, or one end of PAIR, whose other end QEMU has; -1 and err. */
static int open_far(struct serve *s, int pair[2], struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + OPEN_MS;
	int fd;

	do {
		fd = s->open(s, pair[1]);
		if (fd == RELAY_TAKEN) {
			close(pair[1]);
			pair[1] = -1;
			return pair[0];
		}
		if (fd >= 0 || errno != EAGAIN)
			break;
		time_sleep_ms(AGAIN_MS);
	} while (time_now_ms() < deadline && !log_interrupted);
	return fd >= 0 ? fd : vmf_fail_errno(err, "-v says more", "%s cannot be reached", s->what);
}

/* A connection that is still being made either is, or fails. */
static int wait_made(int fd, const char *what, struct vmf_error *err)
{
	struct pollfd p = {fd, POLLOUT, 0};
	socklen_t length = sizeof(int);
	int problem = 0;

	if (poll(&p, 1, OPEN_MS) == 0)
		return vmf_fail(err, VMF_E_TIMEOUT, 0, NULL, "%s does not answer", what);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length) == 0 && problem)
		return vmf_fail(err, error_code_of(problem, VMF_E_FAILED), problem, NULL, "%s", what);
	return 0;
}

int serve_stdio(struct serve *s, struct vmf_error *err)
{
	struct stream_options o = {.what = s->what, .escape = -1, .linger_ms = LINGER_MS};
	struct vm_state state;
	int pair[2], fd, how = -1;

	if (out_dry(s->call, "connect standard input and output to %s", s->what))
		return 0;
	if (tty_is(STDIN_FILENO))
		return vmf_fail(err, VMF_E_USAGE, 0, "a program is to start it, as ssh's ProxyCommand does",
			"%s: --stdio is not for terminals", s->what);
	if (vm_need_alive(s->call->vm, &state, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return vmf_fail_errno(err, NULL, "%s", s->what);
	fd = open_far(s, pair, err);
	vm_qmp_close(s->call->vm);
	if (fd >= 0 && (fd == pair[0] || wait_made(fd, s->what, err) == 0))
		how = stream_attach(fd, &o, err);
	if (fd >= 0 && fd != pair[0])
		close(fd);
	close(pair[0]);
	if (pair[1] >= 0)
		close(pair[1]);
	return how < 0 ? -1 : 0;
}
