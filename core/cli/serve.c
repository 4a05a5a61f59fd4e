/* SPDX-License-Identifier: ISC */
/*
 * Relays from TCP to something of a VM. They listen on loopback unless told, and there for us alone: loopback
 * is open to all users of a machine. They end with the VM, by its process, and nothing is left of one that is
 * killed but a note that the next command removes.
 */
#include "cli/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"

#define WAIT_MS 60000 /* for the one client */

/* ---- words -------------------------------------------------------------------------------- */

bool serve_is_asked(const struct cli_call *call)
{
	static const struct cli_option all[] = {SERVE_OPTIONS};

	for (size_t i = 0; i < VMF_COUNT(all); i++)
		if (cli_option(call, all[i].name, 0))
			return true;
	return false;
}

int serve_allow(struct serve *s, const char *text, struct vmf_error *err)
{
	struct net_range range;

	if (net_parse_range(text, &range, err) < 0)
		return -1;
	s->allow = mem_resize(s->allow, (s->n_allow + 1) * sizeof(*s->allow));
	s->allow[s->n_allow++] = range;
	return 0;
}

int serve_defaults(struct serve *s, const struct vmf_display_info *info, struct vmf_error *err)
{
	s->address = info->relay_address ? str_dup(info->relay_address) : NULL;
	if (info->relay_ports[0])
		s->ports = (struct net_ports){(uint16_t)info->relay_ports[0], (uint16_t)info->relay_ports[1]};
	s->many = info->relay & VMF_RELAY_MANY;
	s->any_user = info->relay & VMF_RELAY_ANY_USER;
	s->wait_ms = info->relay_timeout_ms;
	for (const char *const *text = (const char *const *)info->relay_allow; text && *text; text++)
		if (serve_allow(s, *text, err) < 0)
			return vmf_context(err, "display: allow");
	return 0;
}

int serve_read(struct serve *s, struct cli_call *call, struct vmf_error *err)
{
	const char *port = cli_option(call, "--port", 0), *address = cli_option(call, "--bind", 0),
		   *timeout = cli_option(call, "--timeout", 0), *allow;

	s->call = call;
	s->listener = s->until_fd = -1;
	s->any_user |= cli_option(call, "--any-user", 0) != NULL;
	s->detach = cli_option(call, "--detach", 0) != NULL;
	if (cli_option(call, "--once", 0) && cli_option(call, "--many", 0))
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--once and --many: which of them?");
	s->many = cli_option(call, "--many", 0) || (s->many && !cli_option(call, "--once", 0));
	if (address)
		str_set(&s->address, address);
	if (!s->address)
		s->address = str_dup("127.0.0.1");
	if (port && net_parse_ports(port, &s->ports, err) < 0)
		return vmf_context(err, "--port");
	if (timeout && value_parse_time(timeout, &s->wait_ms, err) < 0)
		return cli_usage(err, "--timeout");
	if (timeout && s->wait_ms < 0)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--timeout: some time, or 0, not %s", timeout);
	if (!timeout && !s->wait_ms && !s->many)
		s->wait_ms = WAIT_MS;
	if (cli_option(call, "--allow", 0)) /* they take the place of those that are configured */
		s->n_allow = 0;
	for (size_t i = 0; (allow = cli_option(call, "--allow", i)); i++)
		if (serve_allow(s, allow, err) < 0)
			return vmf_context(err, "--allow");
	return 0;
}

/* "for one client, within 60 s" */
static char *text_of_how(const struct serve *s)
{
	struct strbuf text = STRBUF_INIT;

	strbuf_puts(&text, s->many ? "for all who come" : "for one client");
	if (s->wait_ms)
		strbuf_printf(&text, ", %s %lld s", s->many ? "until nobody comes for" : "within",
			(long long)(s->wait_ms + 999) / 1000);
	return strbuf_take(&text);
}

bool serve_dry(const struct serve *s)
{
	autofree char *how = text_of_how(s);

	if (s->ports.first == s->ports.last)
		return out_dry(s->call, "listen on port %u of %s, %s: %s%s", s->ports.first, s->address,
			s->what, how, s->detach ? ", in the background" : "");
	return out_dry(s->call, "listen on the first free port from %u to %u of %s, %s: %s%s", s->ports.first,
		s->ports.last, s->address, s->what, how, s->detach ? ", in the background" : "");
}

/* ---- who may come ------------------------------------------------------------------------- */

static bool admits(void *data, const struct sockaddr *peer, socklen_t length)
{
	const struct serve *s = data;
	bool is_allowed = s->n_allow == 0;
	uid_t user = 0;

	(void)length;
	for (size_t i = 0; i < s->n_allow && !is_allowed; i++)
		is_allowed = net_in_range(&s->allow[i], peer);
	if (is_allowed && !s->any_user &&
		net_owner_of(peer, net_port((const struct sockaddr *)&s->bound), &user) == NET_ANOTHER)
		is_allowed = false;
	if (!is_allowed) {
		autofree char *text = net_text(peer);

		log_info("%s: a client from %s (user %u) may not come", s->what, text, (unsigned)user);
	}
	return is_allowed;
}

static void came(void *data, const struct sockaddr *peer, socklen_t length, unsigned count)
{
	const struct serve *s = data;
	autofree char *text = net_text(peer);

	(void)length;
	log_info("%s: client %u came from %s", s->what, count, text);
}

/* ---- the relay ---------------------------------------------------------------------------- */

int serve_listen(struct serve *s, struct vmf_error *err)
{
	struct vm *vm = s->call->vm;
	struct vm_state state, again;

	if (vm_need_alive(vm, &state, err) < 0)
		return -1;
	s->until_fd = proc_pidfd(state.pid);
	if (s->until_fd >= 0)
		fcntl(s->until_fd, F_SETFD, FD_CLOEXEC);
	/* is it still the one? a pid may be somebody else's by now */
	vm_state_of(vm, &again);
	if (s->until_fd < 0 || again.phase != VM_ALIVE || again.pid != state.pid)
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "vm \"%s\" has just ended", vm->name);
	s->listener = net_listen(s->address, s->ports, &s->bound, err);
	return s->listener < 0 ? vmf_context(err, "vm \"%s\"", vm->name) : 0;
}

static int relay(struct serve *s, int until_fd, struct vmf_error *err)
{
	const struct relay_options o = {.listener = s->listener,
		.open = s->open,
		.admits = admits,
		.came = came,
		.data = s,
		.once = !s->many,
		.wait_ms = s->wait_ms,
		.until_fd = until_fd,
		.most = s->most};
	int how = s->run ? s->run(s, &o, err) : relay_run(&o, err);

	s->listener = -1;
	if (s->over)
		s->over(s);
	return how;
}

static void say(const struct serve *s, pid_t pid)
{
	const struct sockaddr *bound = (const struct sockaddr *)&s->bound;
	autofree char *address = net_address_text(bound);
	autofree char *where = net_text(bound);
	autofree char *how = text_of_how(s);

	out_result(s->call,
		json_pack("{s:s, s:s, s:i, s:b, s:i, s:s*, s:s*}", "relay", s->kind, "address", address,
			"port", (int)net_port(bound), "once", !s->many, "pid", (int)pid, "password",
			s->password, "url", s->url),
		"%s: %s %s%s%s", s->what, s->url ? s->url : where, how,
		s->password ? "; the password is " : "", s->password ? s->password : "");
	fflush(stdout);
}

/* What we were started with may be a pipe whose reader waits for its end. Ours are all to be closed on exec.
 */
static void close_inherited(void)
{
	autostrv struct strv names = STRV_INIT;

	dir_list("/proc/self/fd", &names, NULL);
	for (size_t i = 0; i < names.count; i++) {
		int fd = atoi(names.items[i]), flags = fcntl(fd, F_GETFD);

		if (fd > STDERR_FILENO && flags >= 0 && !(flags & FD_CLOEXEC))
			close(fd);
	}
}

/* The other process: no terminal, no standard files, nobody who waits. Does not return. */
static void run_detached(struct serve *s, int told)
{
	struct ctx *ctx = s->call->ctx;
	struct vmf_error err = VMF_ERROR_INIT;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), note;

	setsid();
	log_set_level(-1);
	for (int fd = 0; fd <= 2; fd++)
		if (null >= 0)
			dup2(null, fd);
	close_inherited();
	if (chdir("/") < 0)
		_exit(VMF_E_FAILED);
	note = relays_note(ctx, s);
	if (write(told, "x", 1) != 1)
		_exit(VMF_E_FAILED);
	close(told);
	relay(s, s->until_fd, &err);
	relays_forget(ctx, s, note);
	_exit(0);
}

static int detach(struct serve *s, struct vmf_error *err)
{
	int told[2];
	char byte;
	pid_t pid;

	if (pipe2(told, O_CLOEXEC) < 0)
		return vmf_fail_errno(err, NULL, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(told[0]);
		run_detached(s, told[1]);
	}
	close(told[1]);
	if (pid < 0) {
		close(told[0]);
		return vmf_fail_errno(err, NULL, "fork");
	}
	if (read(told[0], &byte, 1) != 1) {
		close(told[0]);
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s: the relay ended at once", s->what);
	}
	close(told[0]);
	say(s, pid);
	return 0;
}

static int say_end(const struct serve *s, int how, struct vmf_error *err)
{
	if (how == RELAY_OVER)
		log_warn("%s: the VM has ended", s->what);
	if (how == RELAY_NOBODY && !s->many)
		return vmf_fail(err, VMF_E_TIMEOUT, 0, "--timeout 0 waits for ever",
			"%s: nobody came within %lld s", s->what, (long long)(s->wait_ms + 999) / 1000);
	return how < 0 ? -1 : 0;
}

int serve_run(struct serve *s, struct vmf_error *err)
{
	int note, how;

	vm_qmp_close(s->call->vm); /* it would be in the way of others as long as we wait */
	if (s->detach)
		return detach(s, err);
	note = relays_note(s->call->ctx, s);
	say(s, getpid());
	how = relay(s, s->until_fd, err);
	relays_forget(s->call->ctx, s, note);
	return say_end(s, how, err);
}

int serve_run_until(struct serve *s, int end_fd, struct vmf_error *err)
{
	struct epoll_event event = {.events = EPOLLIN};
	int both = epoll_create1(EPOLL_CLOEXEC), how;

	vm_qmp_close(s->call->vm);
	/* readable as soon as one of them is */
	if (both < 0 || epoll_ctl(both, EPOLL_CTL_ADD, s->until_fd, &event) < 0 ||
		epoll_ctl(both, EPOLL_CTL_ADD, end_fd, &event) < 0) {
		vmf_fail_errno(err, NULL, "epoll");
		if (both >= 0)
			close(both);
		return -1;
	}
	how = relay(s, both, err);
	close(both);
	return how < 0 ? -1 : 0;
}

void serve_free(struct serve *s)
{
	if (s->listener >= 0)
		close(s->listener);
	if (s->until_fd >= 0)
		close(s->until_fd);
	free(s->address);
	free(s->allow);
	free(s->password);
	free(s->url);
}
