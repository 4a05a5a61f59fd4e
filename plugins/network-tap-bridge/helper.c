/* SPDX-License-Identifier: ISC */
/*
 * A bridge of the host for who may not make taps: QEMU's own qemu-bridge-helper, which an administrator has
 * given the right to (setcap cap_net_admin+ep), and a list of bridges (/etc/qemu/bridge.conf). It makes a
 * tap, plugs it in and sends it.
 */
#include "tap.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const places[] = {"/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper"};

static const char *find_helper(void)
{
	for (size_t i = 0; i < VMF_COUNT(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* The one fd that was sent; -1: none was. */
static int take_fd(int from)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec data = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	const struct cmsghdr *head;
	int fd;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
		return -1;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
		head->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

static int check(const struct vmf_call *c, const struct wish *w, struct vmf_error *err)
{
	const char *what = w->tap.queues > 1  ? "queues"
			   : w->port.isolated ? "isolated"
			   : w->port.hairpin  ? "hairpin"
			   : w->has_ifname    ? "ifname"
					      : NULL;

	if (!what)
		return 0;
	return c->host->fail(err, VMF_E_PERMISSION, 0, "leave it out, or be root",
		"%s: %s: only root can have that on bridge %s", c->host->opt_origin(c, what), what,
		w->bridge);
}

int helper_open(const struct vmf_call *c, struct wish *w, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *helper = find_helper();
	const char *remedy = h->printf(c,
		"an administrator allows it: echo 'allow %s' >>/etc/qemu/bridge.conf; setcap "
		"cap_net_admin+ep %s. Or name a "
		"bridge that this host has not: it is made in a network of your own",
		w->bridge, helper ? helper : places[0]);
	struct vmf_run run = {.size = sizeof(run), .timeout_ms = 10000};
	struct ifreq req = {.ifr_flags = 0};
	const char *argv[] = {helper, "--use-vnet", NULL, NULL, NULL};
	int pair[2], fd;

	if (!helper)
		return h->fail(err, VMF_E_PERMISSION, 0, remedy,
			"bridge %s is the host's, and you may not use it", w->bridge);
	if (check(c, w, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return h->fail(err, VMF_E_FAILED, errno, NULL, "socketpair");
	run.argv = argv;
	run.stdin_fd = pair[1];
	argv[2] = "--fd=0";
	argv[3] = h->printf(c, "--br=%s", w->bridge);
	if (h->run(c, &run, err) < 0) {
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	close(pair[1]);
	fd = run.status == 0 ? take_fd(pair[0]) : -1;
	close(pair[0]);
	if (fd < 0)
		return h->fail(err, VMF_E_PERMISSION, 0, remedy, "bridge %s: %s", w->bridge,
			run.err && *run.err ? run.err : "its helper sent no tap");
	if (ioctl(fd, TUNGETIFF, &req) == 0)
		snprintf(w->tap.name, sizeof(w->tap.name), "%s", req.ifr_name);
	w->tap.fds[0] = fd;
	return 0;
}
