/* SPDX-License-Identifier: ISC */
/*
 * Looking at a serial port that somebody else may be typing on: QEMU serves one client, but writes all that
 * the port says into a log. A process of ours follows that, and ends as soon as nobody reads what it passes
 * on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "cli/talk.h"

const char *talk_holder(struct vm *vm, const struct talk_line *line)
{
	static char text[64];
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = line->lock_byte, .l_len = 1};
	int fd = vm_run_open(vm, false, NULL) < 0
			 ? -1
			 : openat(vm->run_fd, "clients", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	snprintf(text, sizeof(text), "nobody types on it");
	if (fd >= 0 && fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK)
		snprintf(text, sizeof(text), "somebody types on it (pid %d)", (int)l.l_pid);
	if (fd >= 0)
		close(fd);
	return text;
}

/* All that is new; false: nobody takes it any more. */
static bool pass_on(int log_fd, off_t *at, int to)
{
	static char data[65536];
	struct stat st;
	ssize_t n;

	if (fstat(log_fd, &st) == 0 && st.st_size < *at) /* it was begun anew */
		*at = 0;
	while ((n = pread(log_fd, data, sizeof(data), *at)) > 0) {
		if (fd_write_all(to, data, (size_t)n) < 0)
			return false;
		*at += n;
	}
	return true;
}

/* Does not return. */
static void follow(int log_fd, off_t at, int notify, int qemu, int to)
{
	struct pollfd p[] = {{notify, POLLIN, 0}, {qemu, POLLIN, 0}, {to, POLLIN, 0}};
	char unwanted[4096];

	signal(SIGINT, SIG_IGN); /* the terminal's keys are for the other one */
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	while (pass_on(log_fd, &at, to) && !p[1].revents) {
		if (poll(p, VMF_COUNT(p), -1) < 0 && errno != EINTR)
			break;
		if (p[0].revents && read(notify, unwanted, sizeof(unwanted)) < 0 && errno != EAGAIN)
			break;
		if (p[2].revents && read(to, unwanted, sizeof(unwanted)) <= 0)
			break;
	}
	_exit(0);
}

int watch_open(struct vm *vm, const struct talk_line *line, off_t *begin, struct vmf_error *err)
{
	autofree char *suffix = str_printf(".%s", line->chardev);
	autofree char *path = vm_lib_path(vm, "log", suffix);
	autoclose int log_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	autoclose int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	autoclose int qemu = -1;
	struct vm_state state;
	int pair[2];
	pid_t pid;

	if (log_fd < 0)
		return vmf_fail_errno(err, NULL, "cannot read %s", path);
	if (notify < 0 || inotify_add_watch(notify, path, IN_MODIFY) < 0)
		return vmf_fail_errno(err, NULL, "cannot watch %s", path);
	*begin = lseek(log_fd, 0, SEEK_END);
	if (vm_need_alive(vm, &state, err) < 0)
		return -1;
	qemu = proc_pidfd(state.pid);
	if (qemu < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return vmf_fail_errno(err, NULL, "cannot watch %s", path);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(pair[0]);
		follow(log_fd, *begin, notify, qemu, pair[1]);
	}
	close(pair[1]);
	if (pid >= 0)
		return pair[0];
	close(pair[0]);
	return vmf_fail_errno(err, NULL, "fork");
}
