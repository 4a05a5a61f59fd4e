/* SPDX-License-Identifier: ISC */
/* Relays to a port of the guest, and to one of its serial ports. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/serve.h"
#include "cli/talk.h"
#include "config/value.h"

#define ANSWER_MS 1000
#define ROUNDS 2 /* of QEMU's main loop, until it has surely accepted a connection */
#define TRIES 8

struct guest_port {
	struct serve serve;
	unsigned port;
	char *address; /* the guest's */
	char *netdev;  /* where QEMU has to forward; NULL: the address can be reached from here */
};

/* ---- a port of the guest ------------------------------------------------------------------ */

/* The guest's address on the first NIC that has one, and whether it can be reached from here. */
static int find_guest(struct vm *vm, struct guest_port *g, struct vmf_error *err)
{
	bool is_closed = false;

	if (vm_resolve(vm, err) < 0)
		return -1;
	for (size_t i = 0; i < vm->n_nics && !g->address; i++) {
		const struct vm_nic *n = &vm->nics[i];
		const struct vmf_network_ops *ops = &n->plugin->ops.network;
		struct vmf_nic nic = {
			.size = sizeof(nic), .mac = n->mac, .model = n->model, .segment = n->segment};
		struct vmf_nic_info info = {.size = sizeof(info)};
		struct vmf_error problem = VMF_ERROR_INIT;
		struct vm_call call;

		vm_call_nic(vm, n, &call);
		if (ops->info && ops->info(&call.call, &nic, &info, &problem) == 0 && info.addresses &&
			info.addresses[0])
			g->address = str_ndup(info.addresses[0], strcspn(info.addresses[0], "/"));
		if (g->address && (ops->caps(&call.call) & VMF_NETWORK_FORWARD))
			g->netdev = str_printf("%s.net", n->slot);
		else if (g->address)
			is_closed = ops->forward != NULL; /* its address means nothing here */
		if (problem.message)
			log_info("vm \"%s\": nic \"%s\": %s", vm->name, n->title, problem.message);
		error_clear(&problem);
	}
	if (is_closed)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`forward add` gives it one, while it is off",
			"vm \"%s\": its network leads in by the ports that it was started with, and no "
			"others",
			vm->name);
	return g->address ? 0
			  : vmf_fail(err, VMF_E_UNSUPPORTED, 0,
				    "a NIC of a network that knows its guests' addresses gives one",
				    "vm \"%s\": the guest's address is not known", vm->name);
}

static int dial(const char *address, unsigned port, bool wait)
{
	struct sockaddr_storage to;
	struct sockaddr_in *four = (struct sockaddr_in *)&to;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&to;
	int s, saved;

	memset(&to, 0, sizeof(to));
	if (inet_pton(AF_INET, address, &four->sin_addr) == 1) {
		to.ss_family = AF_INET;
		four->sin_port = htons((uint16_t)port);
	} else if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
		to.ss_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
	} else {
		errno = EINVAL;
		return -1;
	}
	s = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
	if (s >= 0 && (connect(s, (struct sockaddr *)&to,
			       to.ss_family == AF_INET ? sizeof(*four) : sizeof(*six)) == 0 ||
			      errno == EINPROGRESS))
		return s;
	saved = errno;
	if (s >= 0)
		close(s);
	errno = saved;
	return -1;
}

/* Some loopback address and port that nobody has; true if it was found. */
static bool choose_place(char place[32], unsigned *port)
{
	struct sockaddr_storage bound;
	unsigned char r[3];
	int s;

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		return false;
	snprintf(place, 32, "127.%u.%u.%u", r[0], r[1], r[2] % 254 + 1);
	s = net_listen(place, (struct net_ports){0, 0}, &bound, NULL);
	if (s < 0)
		return false;
	*port = net_port((struct sockaddr *)&bound);
	close(s);
	return true;
}

/* HMP has no errors, but words. */
static int tell(struct vm *vm, const char *line, struct vmf_error *err)
{
	autofree char *answer = NULL;

	if (qmp_hmp(vm->qmp, line, &answer, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	if (answer && strstr(answer, "could not"))
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "QEMU: %s", answer);
	return 0;
}

/*
 * QEMU's user mode network knows no way in but a port that it listens on, which would be open to all users of
 * this machine. So it listens at a place that nobody knows, only until we are connected.
 */
static int open_forward(struct vm *vm, const struct guest_port *g, struct vmf_error *err)
{
	char place[32];
	unsigned port;
	int fd = -1, rc = -1;

	if (vm_qmp(vm, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	for (int i = 0; i < TRIES && rc < 0 && err->code != VMF_E_TIMEOUT; i++) {
		autofree char *line = NULL;

		error_clear(err);
		if (!choose_place(place, &port))
			continue;
		line = str_printf(
			"hostfwd_add %s tcp:%s:%u-%s:%u", g->netdev, place, port, g->address, g->port);
		rc = tell(vm, line, err);
	}
	if (rc == 0) {
		autofree char *line = str_printf("hostfwd_remove %s tcp:%s:%u", g->netdev, place, port);

		fd = dial(place, port, true);
		for (int i = 0; i < ROUNDS; i++) {
			autofree char *status = NULL;

			qmp_status(vm->qmp, &status, time_now_ms() + ANSWER_MS, NULL);
		}
		if (tell(vm, line, err) < 0)
			log_info("vm \"%s\": %s", vm->name, err->message);
		error_clear(err);
	}
	if (fd < 0 && !err->code)
		vmf_fail(err, VMF_E_FAILED, errno, NULL, "cannot connect");
	return fd;
}

static int open_guest(void *data, int client)
{
	struct guest_port *g = data; /* whose first member the serve is */
	struct vm *vm = g->serve.call->vm;
	struct vmf_error err = VMF_ERROR_INIT;
	int fd;

	(void)client;
	if (!g->netdev)
		return dial(g->address, g->port, false);
	fd = open_forward(vm, g, &err);
	vm_qmp_close(vm);
	if (fd < 0) {
		log_info("%s: %s", g->serve.what, err.message);
		errno = err.code == VMF_E_TIMEOUT || err.code == VMF_E_BUSY ? EAGAIN : ECONNREFUSED;
	}
	error_clear(&err);
	return fd;
}

static int run(struct serve *s, struct cli_call *call, struct vmf_error *err)
{
	if (serve_read(s, call, err) < 0)
		return -1;
	if (serve_dry(s))
		return 0;
	return serve_listen(s, err) < 0 ? -1 : serve_run(s, err);
}

int verb_relay(struct cli_call *call, struct vmf_error *err)
{
	autofree char *kind = str_printf("port %s", call->args.items[0]);
	autofree char *what = str_printf("port %s of %s", call->args.items[0], call->vm->name);
	struct guest_port g = {
		.serve = {.kind = kind, .what = what, .listener = -1, .until_fd = -1, .open = open_guest}};
	struct net_ports ports;
	int rc = net_parse_ports(call->args.items[0], &ports, err);

	if (rc == 0 && (ports.first == 0 || ports.first != ports.last))
		rc = vmf_fail(err, VMF_E_USAGE, 0, "as in: relay 22", "relay: one port of the guest, not %s",
			call->args.items[0]);
	if (rc == 0)
		rc = talk_need(call->vm, true, err);
	if (rc == 0)
		rc = find_guest(call->vm, &g, err);
	if (rc == 0 && cli_option(call, "--stdio", 0) && serve_is_asked(call))
		rc = vmf_fail(err, VMF_E_USAGE, 0, NULL, "--stdio goes with no other option");
	if (rc == 0) {
		g.port = ports.first;
		g.serve.call = call;
		rc = cli_option(call, "--stdio", 0) ? serve_stdio(&g.serve, err) : run(&g.serve, call, err);
	}
	free(g.address);
	free(g.netdev);
	serve_free(&g.serve);
	return rc;
}

/* ---- a serial port ------------------------------------------------------------------------- */

struct serial {
	struct serve serve;
	const struct talk_line *line;
	int claim_fd;
};

static int open_serial(void *data, int client)
{
	struct serial *s = data; /* whose first member the serve is */
	struct vm *vm = s->serve.call->vm;
	struct vmf_error err = VMF_ERROR_INIT;
	int fd = -1;

	(void)client;
	/* held as long as the relay runs, once somebody has come */
	if (s->claim_fd >= 0 || talk_claim(vm, s->line, &s->claim_fd, &err) == 0)
		fd = talk_connect(vm, s->line, &err);
	vm_qmp_close(vm);
	if (fd < 0) {
		log_warn("%s: %s", s->serve.what, err.message);
		errno = ECONNREFUSED;
	}
	error_clear(&err);
	return fd;
}

int verb_serial_relay(struct cli_call *call, struct vmf_error *err)
{
	struct talk_line line;
	const char *number = call->args.count ? call->args.items[0] : NULL;
	autofree char *kind = str_printf("serial %s", number ? number : "0");
	autofree char *what = str_printf("serial port %s of %s", number ? number : "0", call->vm->name);
	struct serial s = {.serve = {.kind = kind,
				   .what = what,
				   .listener = -1,
				   .until_fd = -1,
				   .open = open_serial,
				   .most = 1},
		.line = &line,
		.claim_fd = -1};
	int rc = talk_serial(call->vm, number, &line, err);

	if (rc == 0)
		rc = talk_need(call->vm, true, err);
	if (rc == 0)
		rc = run(&s.serve, call, err);
	if (s.claim_fd >= 0)
		close(s.claim_fd);
	serve_free(&s.serve);
	return rc;
}
