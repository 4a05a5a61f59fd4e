/* SPDX-License-Identifier: ISC */
/*
 * vnc: the VM's screen for the person's own viewer, or for whoever comes by TCP.
 *
 * A connection that has come is handed to QEMU itself (getfd, add_client), which then speaks with the client
 * without anybody between; where QEMU's monitor cannot be had, it is relayed to the display's socket, if it
 * has one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/screen.h"
#include "cli/serve.h"
#include "cli/talk.h"
#include "cli/viewer.h"

#define LOGIN_S 20 /* how long the password holds once the one client is there */

/* Where the screen is, and how it goes there. */
struct vnc {
	struct serve serve;
	struct vmf_display_info info;
	bool wants_password;
	bool by_stdio; /* whoever comes has shown who it is already */
};

/* ---- clients --------------------------------------------------------------------------------- */

static int open_display(void *data, int client)
{
	struct vnc *v = data; /* whose first member the serve is */
	struct vm *vm = v->serve.call->vm;
	struct vmf_error err = VMF_ERROR_INIT;
	int fd = RELAY_TAKEN;

	if (screen_hand_over(vm, client, v->by_stdio, &err) < 0) {
		log_info("vm \"%s\": not handed over: %s", vm->name, err.message);
		fd = screen_open(vm);
		if (fd < 0 && (err.code == VMF_E_TIMEOUT || err.code == VMF_E_BUSY))
			errno = EAGAIN; /* another vmf has the monitor */
	}
	if (fd == RELAY_TAKEN && v->wants_password && !v->serve.many && !v->by_stdio) {
		autofree char *soon = str_printf("+%d", LOGIN_S);

		screen_expire(vm, soon);
	}
	if (fd != -1 || errno != EAGAIN) {
		int saved = errno;

		vm_qmp_close(vm);
		errno = saved;
	}
	error_clear(&err);
	return fd;
}

static int set_password(struct vnc *v, struct vmf_error *err)
{
	struct serve *s = &v->serve;

	return screen_set_password(s->call->vm, s->many ? 0 : s->wait_ms, &s->password, err);
}

/* Nobody shall come by it later: the next relay makes another. */
static void over(struct serve *s)
{
	struct vm *vm = s->call->vm;
	struct vm_state state;

	vm_state_of(vm, &state);
	if (s->many && state.phase == VM_ALIVE)
		screen_expire(vm, "now");
	vm_qmp_close(vm);
}

/* ---- by TCP -------------------------------------------------------------------------------- */

/* What the display says of its relays, if it is made for them. */
static int take_defaults(struct vnc *v, struct vmf_error *err)
{
	struct serve *s = &v->serve;

	s->kind = "vnc";
	s->open = open_display;
	s->ports = (struct net_ports){5900, 5999};
	if (!(v->info.relay & VMF_RELAY_OFFERED))
		return 0;
	v->wants_password = v->info.relay & VMF_RELAY_PASSWORD;
	return serve_defaults(s, &v->info, err);
}

static int serve(struct cli_call *call, struct vnc *v, struct vmf_error *err)
{
	if (serve_read(&v->serve, call, err) < 0)
		return -1;
	v->wants_password |= cli_option(call, "--password", 0) != NULL;
	if (serve_dry(&v->serve)) {
		if (v->wants_password)
			out_dry(call, "set a password for it");
		return 0;
	}
	if (serve_listen(&v->serve, err) < 0 || (v->wants_password && set_password(v, err) < 0))
		return -1;
	if (v->wants_password)
		v->serve.over = over;
	return serve_run(&v->serve, err);
}

/* ---- the person's viewer -------------------------------------------------------------------- */

static int wait_viewer(const struct viewer *viewer, pid_t pid, struct vmf_error *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s was ended by signal %d",
			viewer->words.items[0], WTERMSIG(status));
	return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s failed (exit status %d)", viewer->words.items[0],
		WEXITSTATUS(status));
}

/* A relay of its own, for us alone, which ends with the viewer. */
static int show_by_relay(
	struct cli_call *call, struct vnc *v, const struct viewer *viewer, struct vmf_error *err)
{
	struct serve *s = &v->serve;
	int pidfd, rc;
	pid_t pid;

	if (serve_read(s, call, err) < 0)
		return -1;
	str_set(&s->address, "127.0.0.1");
	s->ports = (struct net_ports){0, 0};
	if (strv_has(&viewer->words, "{host}:{display}"))
		s->ports = (struct net_ports){5900, 65535};
	s->many = true;
	s->any_user = false;
	s->n_allow = 0;
	s->wait_ms = 0;
	if (serve_listen(s, err) < 0 || (v->wants_password && set_password(v, err) < 0))
		return -1;
	if (v->wants_password) {
		s->over = over;
		log_warn("%s: the password is %s", s->what, s->password);
	}
	pid = viewer_start(viewer, NULL, "127.0.0.1", net_port((struct sockaddr *)&s->bound), err);
	if (pid < 0)
		return -1;
	pidfd = proc_pidfd(pid);
	rc = pidfd < 0 ? vmf_fail_errno(err, NULL, "%s", viewer->words.items[0])
		       : serve_run_until(s, pidfd, err);
	if (pidfd >= 0)
		close(pidfd);
	return wait_viewer(viewer, pid, err) < 0 ? -1 : rc;
}

static int show(struct cli_call *call, struct vnc *v, const char *line, struct vmf_error *err)
{
	struct viewer viewer;
	pid_t pid;
	int rc = viewer_find(line, v->info.path != NULL, &viewer, err);

	if (rc == 0 && !out_dry(call, "show its screen with %s", viewer.words.items[0])) {
		if (viewer.takes_socket) {
			pid = viewer_start(&viewer, v->info.path, "", 0, err);
			rc = pid < 0 ? -1 : wait_viewer(&viewer, pid, err);
		} else {
			rc = show_by_relay(call, v, &viewer, err);
		}
	}
	viewer_free(&viewer);
	return rc < 0 ? vmf_context(err, "vm \"%s\"", call->vm->name) : 0;
}

/* ---- without either ------------------------------------------------------------------------- */

static int say_how(struct cli_call *call, const struct vnc *v)
{
	const char *path = v->info.path, *name = call->vm->name;
	autofree char *here = str_printf("vmf %s vnc --port 5900-5999", name);
	autofree char *ways = NULL;
	json_t *facts = json_object();

	if (out_dry(call, "say how its screen is reached: there is no display here to show it on"))
		return 0;
	json_object_set_new(facts, "path", out_string(path));
	json_object_set_new(facts, "how", out_string(v->info.how));
	json_object_set_new(facts, "by_tcp", out_string(here));
	if (path)
		ways = str_printf(
			"%s: its screen is VNC on %s\n"
			"  here         %s\n"
			"  from afar    ssh -L 127.0.0.1:5900:%s THIS-HOST, then vncviewer 127.0.0.1:5900\n"
			"  by TCP       %s",
			name, path, v->info.how ? v->info.how : "a viewer that takes a socket", path, here);
	else
		ways = str_printf("%s: its screen is VNC, by %s", name, v->info.how ? v->info.how : here);
	out_result(call, facts, "%s", ways);
	return 0;
}

int verb_vnc(struct cli_call *call, struct vmf_error *err)
{
	const char *viewer = cli_option(call, "--viewer", 0);
	bool is_relay = serve_is_asked(call) || cli_option(call, "--password", 0);
	autofree char *what = str_printf("the screen of %s", call->vm->name);
	struct vnc v = {.serve = {.call = call, .what = what, .listener = -1, .until_fd = -1}};
	int rc;

	v.by_stdio = cli_option(call, "--stdio", 0) != NULL;
	if (v.by_stdio && (viewer || is_relay))
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--stdio goes with no other option");
	if (viewer && is_relay)
		return vmf_fail(err, VMF_E_USAGE, 0, "a viewer has a relay of its own where it needs one",
			"--viewer does not go with the options of a relay");
	if (talk_need(call->vm, false, err) < 0 || screen_look(call->vm, &v.info, err) < 0)
		return -1;
	rc = take_defaults(&v, err);
	if (rc == 0 && v.by_stdio)
		rc = serve_stdio(&v.serve, err);
	else if (rc == 0 &&
		 (is_relay || (!viewer && (v.info.relay & VMF_RELAY_OFFERED) && !viewer_has_screen())))
		rc = serve(call, &v, err);
	else if (rc == 0 && (viewer || viewer_has_screen()))
		rc = show(call, &v, viewer ? viewer : conf_string(call->vm->root, "viewer"), err);
	else if (rc == 0)
		rc = say_how(call, &v);
	serve_free(&v.serve);
	return rc;
}
