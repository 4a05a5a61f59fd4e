/* SPDX-License-Identifier: ISC */
/*
 * The way out of a network of one's own: slirp4netns, a port of the bridge that is a router with DHCP and
 * DNS, and speaks for the guests with sockets of the user's. It ends when a pipe is closed at its other end,
 * which all QEMUs hold that have a NIC in that bridge. The pipe is found again by its name, which is in the
 * alias of the port.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "slirp4netns"
#define ALIAS "vmf: uplink " /* and the pipe's name */
#define READY_MS 10000
#define GONE_MS 2000

enum { NS_FD = 3, USER_FD, EXIT_FD, READY_FD, N_FDS }; /* as the program gets them */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* ---- the program ---------------------------------------------------------------------------- */

/* Away from the numbers that the program gets its files by. */
static int move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, N_FDS + 1);

	close(fd);
	return up;
}

static int spawn(const char *ifname, const int fds[N_FDS], int err_fd, pid_t *pid)
{
	char *const argv[] = {PROGRAM, "--netns-type=path", "--userns-path=/proc/self/fd/4", "--exit-fd=5",
		"--ready-fd=6", "--disable-host-loopback", "--mtu=1500", "/proc/self/fd/3", (char *)ifname,
		NULL};
	char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
	for (int i = NS_FD; i < N_FDS; i++)
		posix_spawn_file_actions_adddup2(&actions, fds[i], i);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(pid, PROGRAM, &actions, &attr, argv, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* Its last line, for the message. */
static const char *words_of(const struct vmf_call *c, int err_fd)
{
	char text[1024], *line;
	ssize_t n = pread(err_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	return c->host->strdup(c, line ? line + 1 : text);
}

/* Starts it; it is ready then, and *exit_fd is what it ends by. */
static int start(const struct vmf_call *c, int ns, const char *ifname, int *exit_fd, struct vmf_error *err)
{
	int fds[N_FDS] = {
		[NS_FD] = fcntl(ns, F_DUPFD_CLOEXEC, N_FDS + 1), [USER_FD] = ioctl(ns, NS_GET_USERNS)};
	int ends[2] = {-1, -1}, ready[2] = {-1, -1},
	    err_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), rc;
	struct pollfd p;
	pid_t pid = 0;

	if (err_fd < 0)
		err_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	rc = pipe2(ends, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0 ? errno : 0;
	if (rc == 0) {
		fds[USER_FD] = move_up(fds[USER_FD]);
		fds[EXIT_FD] = ends[0] = move_up(ends[0]);
		fds[READY_FD] = ready[1] = move_up(ready[1]);
		err_fd = move_up(err_fd);
		rc = spawn(ifname, fds, err_fd, &pid);
	}
	close(fds[NS_FD]);
	close(fds[USER_FD]);
	close(ends[0]);
	close(ready[1]);
	p = (struct pollfd){ready[0], POLLIN, 0};
	if (rc == 0 && (poll(&p, 1, READY_MS) != 1 || !(p.revents & POLLIN)))
		rc = -1;
	close(ready[0]);
	if (rc == 0) {
		*exit_fd = ends[1];
		close(err_fd);
		return 0;
	}
	close(ends[1]); /* if it runs, it ends by this */
	c->host->fail(err, rc == ENOENT ? VMF_E_MISSING : VMF_E_FAILED, rc > 0 ? rc : 0,
		"install Debian's package slirp4netns, or set uplink = no: then the network has no way out",
		"%s%s%s", PROGRAM, rc > 0 ? "" : ": ", rc > 0 ? "" : words_of(c, err_fd));
	close(err_fd);
	return -1;
}

/* ---- the port ------------------------------------------------------------------------------- */

/* The port's name: by the bridge's number, which no other has at the time. */
static void name_of(const struct link *bridge, char name[IFNAMSIZ])
{
	snprintf(name, IFNAMSIZ, "up%d", bridge->index);
}

/* The other end of the pipe of one that runs: 1; 0: none runs; -1 and err. */
static int find(struct net *net, const char *name, int *exit_fd, struct vmf_error *err)
{
	struct link port;

	for (int waited = 0; waited < GONE_MS; waited += 10) {
		int rc = net_link(net, name, &port, err);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		if (strncmp(port.alias, ALIAS, strlen(ALIAS)) == 0) {
			*exit_fd = lab_find_file(port.alias + strlen(ALIAS), O_WRONLY);
			if (*exit_fd >= 0)
				return 1;
		}
		nap(); /* it is just ending, or was begun by one who has died */
	}
	return net->call->host->fail(
		err, VMF_E_BUSY, 0, "try again", "the uplink %s neither works nor ends", name);
}

int uplink_need(struct net *net, const struct link *bridge, int *exit_fd, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct port plain = {.alias = NULL};
	char name[IFNAMSIZ], pipe_name[64], path[64];
	struct link port;
	ssize_t n;
	int rc;

	name_of(bridge, name);
	rc = find(net, name, exit_fd, err);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (start(c, net->ns_fd, name, exit_fd, err) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *exit_fd);
	n = readlink(path, pipe_name, sizeof(pipe_name) - 1);
	pipe_name[n > 0 ? n : 0] = '\0';
	plain.alias = c->host->printf(c, ALIAS "%s", pipe_name);
	rc = net_link(net, name, &port, err);
	if (rc == 0 && port_attach(net, &port, bridge, &plain, err) == 0)
		return 0;
	close(*exit_fd);
	*exit_fd = -1;
	return rc > 0 ? c->host->fail(err, VMF_E_FAILED, 0, NULL, "the uplink %s has gone at once", name)
		      : -1;
}
