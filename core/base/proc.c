/* SPDX-License-Identifier: ISC */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#define GRACE_MS 5000	/* between asking a program to end and ending it */
#define PROGRESS_MS 500 /* between two looks at how far a program is */

int64_t time_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void time_sleep_ms(int64_t ms)
{
	struct timespec ts = {ms / 1000, (ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

char *proc_find_program(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? str_dup(name) : NULL;
	/* the sbin folders hold lvm and zfs, and are often not in an ordinary user's PATH */
	for (int system = 0; system < 2; system++) {
		const char *p =
			system ? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" : path;

		while (p && *p) {
			size_t n = strcspn(p, ":");
			char *full = str_printf("%.*s/%s", (int)n, p, name);

			if (n && access(full, X_OK) == 0)
				return full;
			free(full);
			p += n + (p[n] == ':');
		}
	}
	return NULL;
}

int proc_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int proc_signal(int pidfd, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

static int wait_time(int64_t deadline_ms)
{
	int64_t left = deadline_ms - time_now_ms();

	return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

int proc_wait_end(int pidfd, int64_t deadline_ms)
{
	struct pollfd p = {pidfd, POLLIN, 0};

	for (;;) {
		int n = poll(&p, 1, wait_time(deadline_ms));

		if (n > 0)
			return 1;
		if (n == 0 || errno != EINTR)
			return 0;
	}
}

char proc_state(pid_t pid)
{
	autofree char *path = str_printf("/proc/%d/stat", (int)pid);
	autofree char *text = file_read_at(AT_FDCWD, path, 65536, NULL);
	const char *end = text ? strrchr(text, ')') : NULL;

	return end && end[1] == ' ' ? end[2] : 0;
}

bool proc_is_polling(pid_t pid)
{
	char path[64], where[128] = "";
	autoclose int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/wchan", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, where, sizeof(where) - 1) > 0 && strstr(where, "poll");
}

struct capture {
	int fd;
	struct strbuf *buf;
	size_t keep; /* 0: all */
	const struct proc_watch *watch;
};

static void capture_read(struct capture *c)
{
	char data[16384];
	ssize_t n = read(c->fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close(c->fd);
		c->fd = -1;
		return;
	}
	strbuf_add(c->buf, data, (size_t)n);
	if (c->watch)
		c->watch->output(c->watch->data, c->buf->data);
	if (c->keep && c->buf->length > c->keep) {
		size_t extra = c->buf->length - c->keep;

		memmove(c->buf->data, c->buf->data + extra, c->keep + 1);
		c->buf->length = c->keep;
	}
}

enum ending { ENDED, TOO_LATE, INTERRUPTED };

static void show_position(const struct vmf_run *run)
{
	off_t at = lseek(run->stdin_fd > 0 ? run->stdin_fd : run->stdout_fd, 0, SEEK_CUR);

	if (at > 0)
		log_progress(run->progress, (uint64_t)at, run->progress_total);
}

/* Collects both outputs until they close, the deadline passes or the person presses ^C. What is begun after
 * ^C is part of an undo, and goes on. RUN: whose progress is to be shown, or NULL. */
static enum ending collect(struct capture *captures, int64_t deadline_ms, const struct vmf_run *run)
{
	int interrupted_before = log_interrupted;

	while (captures[0].fd >= 0 || captures[1].fd >= 0) {
		struct pollfd p[2] = {{captures[0].fd, POLLIN, 0}, {captures[1].fd, POLLIN, 0}};
		int wait_ms = wait_time(deadline_ms);
		bool is_slice = run && wait_ms > PROGRESS_MS;
		int n = poll(p, 2, is_slice ? PROGRESS_MS : wait_ms);

		if (log_interrupted != interrupted_before)
			return INTERRUPTED;
		if ((n == 0 && !is_slice) || (n < 0 && errno != EINTR))
			return TOO_LATE;
		if (run)
			show_position(run);
		for (int i = 0; n > 0 && i < 2; i++)
			if (p[i].revents)
				capture_read(&captures[i]);
	}
	return ENDED;
}

static int spawn(const char *program, const struct vmf_run *run, int out, int errors, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, defaults;
	int rc;

	posix_spawn_file_actions_init(&actions);
	if (run->stdin_fd > 0)
		posix_spawn_file_actions_adddup2(&actions, run->stdin_fd, 0);
	else
		posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, errors, 2);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn(pid, program, &actions, &attributes, (char *const *)run->argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* The same of a program that is killed if we are: posix_spawn() has no word for that. */
static int spawn_bound(const char *program, const struct vmf_run *run, int out, int errors, pid_t *pid)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	pid_t us = getpid();
	volatile int failed = 0;
	sigset_t all, before, none;

	sigemptyset(&none);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	*pid = vfork();
	if (*pid == 0) {
		int in = run->stdin_fd > 0 ? run->stdin_fd : open("/dev/null", O_RDONLY);

		for (int i = 1; i < NSIG; i++)
			sigaction(i, &by_default, NULL);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != us || setpgid(0, 0) < 0 ||
			dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
			_exit(127);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execve(program, (char *const *)run->argv, environ);
		failed = errno;
		_exit(127);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (*pid < 0)
		return errno;
	if (failed)
		waitpid(*pid, NULL, 0);
	return failed;
}

int proc_run(struct vmf_run *run, int64_t deadline_ms, struct vmf_error *err)
{
	return proc_run_watched(run, deadline_ms, NULL, err);
}

int proc_run_watched(
	struct vmf_run *run, int64_t deadline_ms, const struct proc_watch *watch, struct vmf_error *err)
{
	autofree char *program = proc_find_program(run->argv[0]);
	int out[2] = {-1, -1}, errors[2] = {-1, -1};
	struct strbuf out_buf = STRBUF_INIT, err_buf = STRBUF_INIT;
	struct capture captures[2];
	pid_t pid;
	enum ending ending;
	int rc, status;

	if (!program)
		return vmf_fail(err, VMF_E_MISSING, 0, "is it installed, and its folder in PATH?",
			"no program %s", run->argv[0]);
	if (run->timeout_ms > 0)
		deadline_ms = time_now_ms() + run->timeout_ms;
	else if (deadline_ms <= 0)
		deadline_ms = time_now_ms() + 600000;
	if ((run->stdout_fd <= 0 && pipe2(out, O_CLOEXEC) < 0) || pipe2(errors, O_CLOEXEC) < 0)
		return vmf_fail_errno(err, NULL, "pipe");
	rc = (run->flags & VMF_RUN_DIES_WITH_HOST ? spawn_bound : spawn)(
		program, run, run->stdout_fd > 0 ? run->stdout_fd : out[1], errors[1], &pid);
	if (out[1] >= 0)
		close(out[1]);
	close(errors[1]);
	captures[0] = (struct capture){out[0], &out_buf, watch ? 4096 : 0, watch};
	captures[1] = (struct capture){errors[0], &err_buf, 4096, NULL};
	if (rc) {
		if (out[0] >= 0)
			close(out[0]);
		close(errors[0]);
		return vmf_fail(err, VMF_E_FAILED, rc, NULL, "cannot run %s", program);
	}
	ending = collect(captures, deadline_ms, run->progress ? run : NULL);
	if (ending != ENDED) {
		/* lvm holds signals back while it has devices suspended: ended there, it would leave them so
		 */
		kill(-pid, SIGTERM);
		collect(captures, time_now_ms() + GRACE_MS, NULL);
		kill(-pid, SIGKILL);
	}
	for (int i = 0; i < 2; i++)
		if (captures[i].fd >= 0)
			close(captures[i].fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	run->out = strbuf_take(&out_buf);
	run->err = strbuf_take(&err_buf);
	run->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (ending != ENDED)
		return vmf_fail(err, ending == INTERRUPTED ? VMF_E_FAILED : VMF_E_TIMEOUT, 0, NULL, "%s %s",
			run->argv[0],
			ending == INTERRUPTED ? "was interrupted" : "took too long and was ended");
	return 0;
}

static struct flock range(short type, off_t byte)
{
	struct flock l;

	memset(&l, 0, sizeof(l));
	l.l_type = type;
	l.l_whence = SEEK_SET;
	l.l_start = byte;
	l.l_len = 1;
	return l;
}

int lock_take(int fd, off_t byte)
{
	struct flock l = range(F_WRLCK, byte);

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	if (errno == EACCES)
		errno = EAGAIN;
	return -1;
}

int lock_wait(int fd, off_t byte, int64_t deadline_ms)
{
	int64_t pause_ms = 1;

	for (;;) {
		if (lock_take(fd, byte) == 0)
			return 0;
		if (errno != EAGAIN || time_now_ms() >= deadline_ms || log_interrupted)
			return -1;
		time_sleep_ms(pause_ms);
		pause_ms = pause_ms < 16 ? pause_ms * 2 : 16;
	}
}

int lock_drop(int fd, off_t byte)
{
	struct flock l = range(F_UNLCK, byte);

	return fcntl(fd, F_OFD_SETLK, &l);
}

int lock_is_held(int fd, off_t byte)
{
	struct flock l = range(F_WRLCK, byte);

	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return -1;
	return l.l_type != F_UNLCK;
}

int lock_take_named(int fd, off_t byte, pid_t *holder)
{
	struct flock l;

	for (;;) {
		l = range(F_WRLCK, byte);
		if (fcntl(fd, F_SETLK, &l) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -1;
		if (fcntl(fd, F_GETLK, &l) < 0)
			return -1;
		if (l.l_type == F_UNLCK) /* just gone */
			continue;
		*holder = l.l_pid > 0 ? l.l_pid : 0;
		errno = EAGAIN;
		return -1;
	}
}
