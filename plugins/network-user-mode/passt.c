/* SPDX-License-Identifier: ISC */
/*
 * passt: a program of its own between QEMU and the host's sockets, quicker than QEMU's network and apart from
 * it. The two speak by a pair of sockets: no path, and when QEMU's end is closed, whatever ended that, passt
 * ends (passt(1), --fd).
 */
#include "passt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "companion.h"
#include "live.h"

#define PROGRAM "passt"

bool passt_is_wanted(const struct vmf_call *c)
{
	const char *backend = c->host->opt_string(c, "backend");

	return backend && strcmp(backend, "passt") == 0;
}

int passt_check(const struct vmf_call *c, struct vmf_error *err)
{
	static const char *const only_qemu[] = {"tftp", "bootfile", "hostname", "domainname", "restrict"};

	for (size_t i = 0; i < VMF_COUNT(only_qemu); i++)
		if (c->host->opt_is_set(c, only_qemu[i]))
			return c->host->fail(err, VMF_E_CONFIG, 0, "leave it out, or set backend = slirp",
				"%s: %s: passt has nothing like it", c->host->opt_origin(c, only_qemu[i]),
				only_qemu[i]);
	return 0;
}

/* ---- its command line ----------------------------------------------------------------------- */

struct words {
	const char *items[2 * MAX_FORWARDS + 32];
	size_t count;
};

static void add(struct words *w, const char *option, const char *value)
{
	w->items[w->count++] = option;
	if (value)
		w->items[w->count++] = value;
}

static const char *address(const struct vmf_call *c, uint32_t number)
{
	struct in_addr in = {htonl(number)};
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &in, text, sizeof(text));
	return c->host->strdup(c, text);
}

static void fill_words(const struct vmf_call *c, const struct passt *p, struct words *w)
{
	const struct vmf_host *h = c->host;
	const char *dns = h->opt_string(c, "dns");

	add(w, PROGRAM, NULL);
	add(w, "-q", NULL);
	add(w, "--fd", h->printf(c, "%d", COMPANION_FD));
	add(w, "-a", address(c, p->guest));
	add(w, "-n", h->printf(c, "%d", __builtin_popcount(p->mask)));
	add(w, "-g", address(c, p->gateway));
	/* what listens on the host's loopback is not the guest's */
	add(w, "--no-map-gw", NULL);
	if (dns)
		add(w, "--dns-forward", dns);
	for (size_t i = 0; i < h->opt_count(c, "dnssearch") && i < 8; i++)
		add(w, "-S", h->opt_item(c, "dnssearch", i));
	if (!h->opt_bool(c, "ipv6"))
		add(w, "-4", NULL);
	for (size_t i = 0; i < p->n_forwards; i++) {
		const struct forward *f = &p->forwards[i];

		add(w, f->is_udp ? "-u" : "-t",
			h->printf(c, "%s/%u:%u", f->host, f->host_port, f->guest_port));
	}
	w->items[w->count] = NULL;
}

/* ---- the process ---------------------------------------------------------------------------- */

/* It goes on in the background once it listens, and its first process ends: 0. */
static int start(const struct vmf_call *c, const struct words *w, int its_fd, struct vmf_error *err)
{
	struct companion p = {.package = "passt", .instead = "set backend = slirp"};
	int status = 0, rc = companion_start(c, &p, w->items, &its_fd, 1, err);

	if (rc < 0)
		return -1;
	while (waitpid(p.pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		rc = companion_fail(c, &p, PROGRAM, err);
	companion_end(&p);
	return rc;
}

int passt_up(
	const struct vmf_call *c, const struct passt *p, struct vmf_netdev *netdev, struct vmf_error *err)
{
	struct vmf_prop *type = c->host->alloc(c, 2 * sizeof(*type));
	struct words words = {.count = 0};
	int pair[2], rc;

	type[0] = (struct vmf_prop){.key = "addr.type", .type = VMF_PROP_STRING, .string = "fd"};
	type[1] = (struct vmf_prop){.key = "addr.str", .type = VMF_PROP_STRING, .string = "passt"};
	netdev->type = "stream";
	netdev->props =
		(struct vmf_props){.items = type, .count = c->dry_run ? 2 : 1, .stride = sizeof(*type)};
	if (c->dry_run)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return c->host->fail(err, VMF_E_FAILED, errno, NULL, "socketpair");
	fill_words(c, p, &words);
	rc = start(c, &words, pair[1], err);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return -1;
	}
	netdev->fd_prop = "addr.str";
	netdev->fds[0] = pair[0];
	netdev->n_fds = 1;
	return 0;
}
