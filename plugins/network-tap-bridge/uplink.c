/* SPDX-License-Identifier: ISC */
/*
 * The way out of a network of one's own: slirp4netns, a port of the bridge that is a router with DHCP and
 * DNS, and speaks for the guests with sockets of the user's. It ends when a pipe is closed at its other end,
 * which all QEMUs hold that have a NIC in that bridge. The pipe is found again by its name, which is in the
 * alias of the port.
 */
#include "companion.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "slirp4netns"
#define ALIAS "vmf: uplink " /* and the pipe's name */
#define READY_MS 10000
#define GONE_MS 2000

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* ---- the program ---------------------------------------------------------------------------- */

/* Starts it; it is ready then, and *exit_fd is what it ends by. */
static int start(const struct vmf_call *c, int ns, const char *ifname, int *exit_fd, struct vmf_error *err)
{
	const char *const argv[] = {PROGRAM, "--netns-type=path", "--userns-path=/proc/self/fd/4",
		"--exit-fd=5", "--ready-fd=6", "--disable-host-loopback", "--mtu=1500", "/proc/self/fd/3",
		ifname, NULL};
	struct companion p = {
		.package = "slirp4netns", .instead = "set uplink = no: then the network has no way out"};
	int ends[2] = {-1, -1}, ready[2] = {-1, -1}, user = ioctl(ns, NS_GET_USERNS), rc = -1;
	struct pollfd poll_ready;

	if (user < 0 || pipe2(ends, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		c->host->fail(err, VMF_E_FAILED, errno, NULL, PROGRAM);
	else /* by the numbers 3 to 6, as its words say */
		rc = companion_start(c, &p, argv, (int[]){ns, user, ends[0], ready[1]}, 4, err);
	close(user);
	close(ends[0]);
	close(ready[1]);
	poll_ready = (struct pollfd){ready[0], POLLIN, 0};
	if (rc == 0 && (poll(&poll_ready, 1, READY_MS) != 1 || !(poll_ready.revents & POLLIN)))
		rc = companion_fail(c, &p, PROGRAM, err);
	close(ready[0]);
	if (rc == 0 || p.pid)
		companion_end(&p);
	if (rc == 0) {
		*exit_fd = ends[1];
		return 0;
	}
	close(ends[1]); /* if it runs, it ends by this */
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
