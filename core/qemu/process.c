/* SPDX-License-Identifier: ISC */
/*
 * Starting QEMU. The child of clone(CLONE_VM | CLONE_VFORK) runs in our memory while we wait, so it makes
 * system calls and nothing else: no libc function that locks, allocates or tells other threads. Its step
 * and errno come back through a pipe that exec closes; once it is closed without a word, QEMU runs and its
 * sockets listen.
 */
#include "qemu/process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"

#define STACK_BYTES (64 * 1024)
#define BACKLOG 16
#define KERNEL_SIGNALS 64
#define KERNEL_SIGSET (KERNEL_SIGNALS / 8)

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1u << 2)
#endif

/* 32-bit machines have older calls under the plain names. */
#ifdef SYS_setgroups32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETRESUID SYS_setresuid32
#else
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETRESUID SYS_setresuid
#endif

/* The child's stack is none that a sanitizer knows. */
#define NO_SANITIZER __attribute__((no_sanitize("address", "undefined")))

enum step {
	STEP_SESSION,
	STEP_PID,
	STEP_FDS,
	STEP_GROUPS,
	STEP_GROUP,
	STEP_USER,
	STEP_PRIVILEGES,
	STEP_LISTEN,
	STEP_EXEC
};

static const char *const step_names[] = {"setsid", "writing the pid", "passing fds on", "setgroups", "setgid",
	"setuid", "no_new_privs", "listen", "exec"};

struct failure {
	enum step step;
	int errnum;
};

struct child {
	const struct qemu_spawn *spawn;
	char *const *argv;
	int null_fd, log_fd, pipe_fd;
	bool change_user;
};

/* ---- in the child ------------------------------------------------------------------------- */

NO_SANITIZER static int reset_signals(void)
{
	/* large enough for any machine's struct sigaction of the kernel; zero is SIG_DFL without flags */
	static const unsigned long default_action[8];
	static const unsigned long no_signals[2];

	for (int i = 1; i <= KERNEL_SIGNALS; i++)
		syscall(SYS_rt_sigaction, i, default_action, NULL, (size_t)KERNEL_SIGSET);
	return (int)syscall(SYS_rt_sigprocmask, SIG_SETMASK, no_signals, NULL, (size_t)KERNEL_SIGSET);
}

NO_SANITIZER static int pass_fds(const struct child *c)
{
	const struct qemu_args *args = c->spawn->args;

	/* a kernel without the call leaves what was opened with O_CLOEXEC to it, which all of ours is */
	syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
	for (size_t i = 0; i < args->n_fds; i++)
		if (syscall(SYS_fcntl, args->fds[i], F_SETFD, 0) < 0)
			return -1;
	if (syscall(SYS_dup3, c->null_fd, STDIN_FILENO, 0) < 0 ||
		syscall(SYS_dup3, c->log_fd, STDOUT_FILENO, 0) < 0)
		return -1;
	return syscall(SYS_dup3, c->log_fd, STDERR_FILENO, 0) < 0 ? -1 : 0;
}

NO_SANITIZER static int write_pid(int fd)
{
	char text[16];
	size_t at = sizeof(text);
	long pid = syscall(SYS_getpid);

	text[--at] = '\n';
	do {
		text[--at] = (char)('0' + pid % 10);
		pid /= 10;
	} while (pid);
	return syscall(SYS_write, fd, text + at, sizeof(text) - at) == (long)(sizeof(text) - at) ? 0 : -1;
}

NO_SANITIZER static enum step child_steps(const struct child *c)
{
	const struct qemu_spawn *s = c->spawn;

	if (syscall(SYS_setsid) < 0 || reset_signals() < 0)
		return STEP_SESSION;
	syscall(SYS_umask, s->umask); /* CLONE_VM shares memory, not the umask (no CLONE_FS) */
	if (s->pid_fd >= 0 && write_pid(s->pid_fd) < 0)
		return STEP_PID;
	if (pass_fds(c) < 0)
		return STEP_FDS;
	if (c->change_user) {
		if (syscall(CALL_SETGROUPS, s->n_groups, s->groups) < 0)
			return STEP_GROUPS;
		if (syscall(CALL_SETRESGID, s->gid, s->gid, s->gid) < 0)
			return STEP_GROUP;
		if (syscall(CALL_SETRESUID, s->uid, s->uid, s->uid) < 0)
			return STEP_USER;
	}
	if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return STEP_PRIVILEGES;
	for (size_t i = 0; i < s->n_listen_fds; i++)
		if (syscall(SYS_listen, s->listen_fds[i], BACKLOG) < 0)
			return STEP_LISTEN;
	syscall(SYS_execve, s->program, c->argv, environ);
	return STEP_EXEC;
}

NO_SANITIZER static int child_main(void *data)
{
	const struct child *c = data;
	struct failure failure;

	failure.step = child_steps(c);
	failure.errnum = errno;
	if (syscall(SYS_write, c->pipe_fd, &failure, sizeof(failure)) < 0)
		syscall(SYS_exit_group, 126);
	syscall(SYS_exit_group, 127);
	return 127;
}

/* ---- in the parent ------------------------------------------------------------------------ */

/* The fd, or a copy of it, above stderr. */
static int above_std(int fd, int *copy)
{
	if (fd > STDERR_FILENO)
		return fd;
	*copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return *copy;
}

/* clone(2) as vfork(2), on a stack of the child's own. */
static pid_t clone_child(struct child *c)
{
	/* setuid in the child changes whether our common memory may be dumped */
	int was_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	void *stack = mmap(
		NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	sigset_t all, old;
	pid_t pid;

	if (stack == MAP_FAILED)
		return -1;
	/* until the child has put its own handlers away, none of ours may run in it */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = clone(child_main, (char *)stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, c);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (was_dumpable >= 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != was_dumpable)
		prctl(PR_SET_DUMPABLE, was_dumpable, 0, 0, 0);
	munmap(stack, STACK_BYTES);
	return pid;
}

static int explain(const struct qemu_spawn *spawn, const struct failure *f, struct vmf_error *err)
{
	if (f->step == STEP_EXEC && (f->errnum == ENOENT || f->errnum == ENOTDIR))
		return vmf_fail(err, VMF_E_MISSING, 0, "install QEMU, or set qemu = to where it is",
			"no program %s", spawn->program);
	if (f->step == STEP_EXEC)
		return vmf_fail(err, error_code_of(f->errnum, VMF_E_FAILED), f->errnum, NULL, "cannot run %s",
			spawn->program);
	return vmf_fail(err, error_code_of(f->errnum, VMF_E_FAILED), f->errnum, NULL, "cannot start QEMU: %s",
		f->step >= 0 && (size_t)f->step < VMF_COUNT(step_names) ? step_names[f->step] : "?");
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Waits for exec, which closes the pipe, or for the word that it failed. */
static int await_exec(
	const struct qemu_spawn *spawn, pid_t pid, int pipe_fd, int *pidfd, struct vmf_error *err)
{
	struct failure failure;
	ssize_t n;

	do {
		n = read(pipe_fd, &failure, sizeof(failure));
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)sizeof(failure)) {
		reap(pid);
		return explain(spawn, &failure, err);
	}
	*pidfd = proc_pidfd(pid); /* it is our child and nobody has reaped it: the pid is still its own */
	if (*pidfd < 0) {
		vmf_fail_errno(err, NULL, "pidfd_open");
		kill(pid, SIGKILL);
		reap(pid);
		return -1;
	}
	return 0;
}

int qemu_spawn(const struct qemu_spawn *spawn, pid_t *pid, int *pidfd, struct vmf_error *err)
{
	struct child c = {.spawn = spawn, .argv = spawn->args->argv.items};
	autoclose int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	autoclose int null_copy = -1;
	autoclose int log_copy = -1;
	autoclose int read_fd = -1;
	int pipe_fds[2];
	pid_t child;

	c.change_user = spawn->uid != geteuid() || spawn->gid != getegid();
	c.null_fd = above_std(null_fd, &null_copy);
	c.log_fd = above_std(spawn->log_fd, &log_copy);
	if (c.null_fd < 0 || c.log_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return vmf_fail_errno(err, NULL, "cannot start QEMU");
	read_fd = pipe_fds[0];
	c.pipe_fd = fcntl(pipe_fds[1], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(pipe_fds[1]);
	if (c.pipe_fd < 0)
		return vmf_fail_errno(err, NULL, "cannot start QEMU");
	child = clone_child(&c);
	close(c.pipe_fd);
	if (child < 0)
		return vmf_fail_errno(err, NULL, "cannot start QEMU");
	if (await_exec(spawn, child, read_fd, pidfd, err) < 0)
		return -1;
	*pid = child;
	return 0;
}

/* ---- sockets and the log ------------------------------------------------------------------ */

int qemu_socket_check(const char *path, struct vmf_error *err)
{
	size_t length = strlen(path), max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (length > max)
		return vmf_fail(err, VMF_E_CONFIG, 0, "use a shorter home folder or VM name",
			"%s: a socket's path has at most %zu bytes, this one has %zu", path, max, length);
	return 0;
}

int qemu_socket(const char *path, mode_t mode, struct vmf_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int fd;

	if (qemu_socket_check(path, err) < 0)
		return -1;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return vmf_fail_errno(err, NULL, "socket");
	/* a socket that nobody listens on any more; anything else is left alone and bind says so */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	/* its inode gets this mode less the umask when it is bound, so it is never wider than MODE */
	if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, mode) < 0) {
		vmf_fail_errno(err, NULL, "cannot make the socket %s", path);
		close(fd);
		return -1;
	}
	return fd;
}

char *qemu_log_tail(const char *path, off_t offset, size_t max)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char *text, *from, *to;
	bool is_cut = false;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= offset || !max)
		return str_dup("");
	if ((size_t)(st.st_size - offset) > max) {
		offset = st.st_size - (off_t)max;
		is_cut = true;
	}
	text = mem_alloc(max + 1);
	n = pread(fd, text, max, offset);
	text[n > 0 ? n : 0] = '\0';
	from = is_cut ? strchr(text, '\n') : NULL; /* half a line is no line, unless it is all there is */
	from = from && from[1] ? from + 1 : text;
	for (to = text; *from; from++)
		if (*from != '\r')
			*to++ = (unsigned char)*from < 0x20 && *from != '\n' && *from != '\t' ? '?' : *from;
	while (to > text && to[-1] == '\n')
		to--;
	*to = '\0';
	return text;
}
