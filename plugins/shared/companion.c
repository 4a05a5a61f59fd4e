/* SPDX-License-Identifier: ISC */
#include "companion.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#define FDS_MAX 8

/* Copies of all, out of the way of the numbers that the program gets them by; -1: errno. */
static int move_up(int words, const int *fds, size_t n, int up[FDS_MAX + 1])
{
	for (size_t i = 0; i <= n; i++) {
		up[i] = fcntl(i < n ? fds[i] : words, F_DUPFD_CLOEXEC, COMPANION_FD + FDS_MAX);
		if (up[i] < 0) {
			while (i)
				close(up[--i]);
			return -1;
		}
	}
	return 0;
}

static int spawn(const char *const *argv, const int up[FDS_MAX + 1], size_t n, pid_t *pid)
{
	char *const environment[] = {
		(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, up[n], STDERR_FILENO);
	for (size_t i = 0; i < n; i++)
		posix_spawn_file_actions_adddup2(&actions, up[i], COMPANION_FD + (int)i);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(pid, argv[0], &actions, &attr, (char *const *)argv, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int companion_start(const struct vmf_call *c, struct companion *p, const char *const *argv, const int *fds,
	size_t n_fds, struct vmf_error *err)
{
	int up[FDS_MAX + 1], rc;

	/* a file, so that it never has to wait for a reader */
	p->words = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (p->words < 0)
		p->words = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (n_fds > FDS_MAX || p->words < 0 || move_up(p->words, fds, n_fds, up) < 0) {
		rc = errno;
	} else {
		rc = spawn(argv, up, n_fds, &p->pid);
		for (size_t i = 0; i <= n_fds; i++)
			close(up[i]);
	}
	if (rc == 0)
		return 0;
	companion_end(p);
	return c->host->fail(err, rc == ENOENT ? VMF_E_MISSING : VMF_E_FAILED, rc,
		c->host->printf(c, "install Debian's package %s, or %s", p->package, p->instead), "%s",
		argv[0]);
}

int companion_fail(
	const struct vmf_call *c, const struct companion *p, const char *program, struct vmf_error *err)
{
	char text[1024], *line;
	ssize_t n = pread(p->words, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	return c->host->fail(err, VMF_E_FAILED, 0, NULL, "%s: %s", program,
		n <= 0 ? "it has failed without a word"
		: line ? line + 1
		       : text);
}

void companion_end(struct companion *p)
{
	if (p->words >= 0)
		close(p->words);
	p->words = -1;
}
