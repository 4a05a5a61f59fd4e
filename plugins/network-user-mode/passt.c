/* SPDX-License-Identifier: ISC */
/*
 * passt: a program of its own between QEMU and the host's sockets, quicker than QEMU's network and apart from
 * it. The two speak by a pair of sockets: no path, and when QEMU's end is closed, whatever ended that, passt
 * ends (passt(1), --fd).
 */
#include "passt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live.h"

#define PROGRAM "passt"
#define ITS_FD 3 /* the number that it gets its end by */

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
	add(w, "--fd", h->printf(c, "%d", ITS_FD));
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

static int spawn(const struct words *w, int its_fd, int err_fd, pid_t *pid)
{
	char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
	posix_spawn_file_actions_adddup2(&actions, its_fd, ITS_FD);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(pid, PROGRAM, &actions, &attr, (char *const *)w->items, environment);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static const char *words_of(const struct vmf_call *c, int err_fd)
{
	char text[1024], *line;
	ssize_t n = pread(err_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	line = strrchr(text, '\n');
	return n > 0 ? c->host->strdup(c, line ? line + 1 : text) : "it says nothing";
}

/* It goes on in the background once it listens, and its first process ends: 0. */
static int start(const struct vmf_call *c, const struct words *w, int its_fd, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	int err_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), status = 0, rc;
	pid_t pid = 0;

	if (err_fd < 0)
		err_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	rc = spawn(w, its_fd, err_fd, &pid);
	if (rc == 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	if (rc)
		h->fail(err, rc == ENOENT ? VMF_E_MISSING : VMF_E_FAILED, rc,
			"install Debian's package passt, or set backend = slirp", PROGRAM);
	else if (status)
		h->fail(err, VMF_E_FAILED, 0, NULL, PROGRAM ": %s", words_of(c, err_fd));
	close(err_fd);
	return rc || status ? -1 : 0;
}

int passt_up(
	const struct vmf_call *c, const struct passt *p, struct vmf_netdev *netdev, struct vmf_error *err)
{
	struct vmf_prop *type = c->host->alloc(c, 2 * sizeof(*type));
	struct words words = {.count = 0};
	int pair[2], its_fd, rc;

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
	its_fd = fcntl(pair[1], F_DUPFD_CLOEXEC, ITS_FD + 1);
	close(pair[1]);
	rc = start(c, &words, its_fd, err);
	close(its_fd);
	if (rc < 0) {
		close(pair[0]);
		return -1;
	}
	netdev->fd_prop = "addr.str";
	netdev->fds[0] = pair[0];
	netdev->n_fds = 1;
	return 0;
}
