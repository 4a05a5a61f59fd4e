/* SPDX-License-Identifier: ISC */
/*
 * web: the VM's screen in a browser. The plugin display-web serves it, whatever plugin the VM's display is
 * of, as long as that is VNC; its options are those of the VM's display { web { } }. All else is as with
 * other relays.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/screen.h"
#include "cli/serve.h"
#include "cli/talk.h"

#define TOKEN_BYTES 16
#define TRIES 5	   /* another vmf may have QEMU's monitor */
#define LOGIN_S 20 /* how long the password holds once the one browser is there */

struct web {
	struct serve serve; /* the first, as its calls get it */
	struct vm_display display;
	struct vm_call call;
	const struct relay_options *options;
	char token[2 * TOKEN_BYTES + 1];
	bool wants_password;
	unsigned count;
};

/* ---- what the plugin asks for ---------------------------------------------------------------- */

static int goes_on(void *data)
{
	(void)data;
	return !log_interrupted;
}

static int admits(void *data, const void *peer, uint32_t length)
{
	const struct web *w = data;

	return w->options->admits(w->options->data, peer, (socklen_t)length);
}

/* QEMU gets one end of a pair of sockets, as if it were a client's. */
static int hand_over_pair(struct vm *vm, struct vmf_error *err)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return vmf_fail_errno(err, NULL, "socketpair");
	rc = screen_hand_over(vm, pair[1], false, err);
	close(pair[1]);
	if (rc == 0)
		return pair[0];
	close(pair[0]);
	return -1;
}

static int open_screen(void *data, const void *peer, uint32_t length)
{
	struct web *w = data;
	struct vm *vm = w->serve.call->vm;
	struct vmf_error err = VMF_ERROR_INIT;
	int fd = -1;

	for (int i = 0; fd < 0 && i < TRIES && !log_interrupted; i++) {
		error_clear(&err);
		fd = hand_over_pair(vm, &err);
		if (fd < 0)
			fd = screen_open(vm);
		if (fd < 0 && err.code != VMF_E_TIMEOUT && err.code != VMF_E_BUSY)
			break;
	}
	if (fd < 0)
		log_warn("%s: %s", w->serve.what, err.message);
	error_clear(&err);
	if (fd >= 0 && w->wants_password && !w->serve.many) {
		autofree char *soon = str_printf("+%d", LOGIN_S);

		screen_expire(vm, soon);
	}
	vm_qmp_close(vm); /* others want it, too */
	if (fd >= 0) {
		fcntl(fd, F_SETFL, O_NONBLOCK);
		w->options->came(w->options->data, peer, (socklen_t)length, ++w->count);
	}
	return fd;
}

static int run(struct serve *s, const struct relay_options *options, struct vmf_error *err)
{
	static const int ends[] = {[VMF_END_SERVED] = RELAY_SERVED,
		[VMF_END_NOBODY] = RELAY_NOBODY,
		[VMF_END_UNTIL] = RELAY_OVER,
		[VMF_END_WANTED] = RELAY_INTERRUPTED};
	struct web *w = (struct web *)s;
	struct vmf_serve serve = {.size = sizeof(serve),
		.listener = options->listener,
		.until_fd = options->until_fd,
		.is_many = !options->once,
		.wait_ms = options->wait_ms,
		.token = w->token,
		.data = w,
		.goes_on = goes_on,
		.admits = admits,
		.open = open_screen};

	w->options = options;
	if (w->display.plugin->ops.display.serve(&w->call.call, &serve, err) < 0)
		return -1;
	return serve.end < VMF_COUNT(ends) ? ends[serve.end] : RELAY_SERVED;
}

/* Nobody shall come by the password later. */
static void over(struct serve *s)
{
	struct vm_state state;

	vm_state_of(s->call->vm, &state);
	if (s->many && state.phase == VM_ALIVE)
		screen_expire(s->call->vm, "now");
	vm_qmp_close(s->call->vm);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int make_token(struct web *w, struct vmf_error *err)
{
	unsigned char bytes[TOKEN_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return vmf_fail_errno(err, NULL, "no random numbers");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(w->token + 2 * i, 3, "%02x", bytes[i]);
	return 0;
}

/* Where a person sees it, were it served at that port. */
static int ask_url(struct web *w, const char *address, unsigned port, struct vmf_error *err)
{
	const char *url = NULL;

	if (w->display.plugin->ops.display.url(&w->call.call, address, port, w->token, &url, err) < 0)
		return vmf_context(err, "vm \"%s\": display: web", w->serve.call->vm->name);
	str_set(&w->serve.url, url);
	return 0;
}

static int prepare(struct web *w, struct cli_call *call, struct vmf_error *err)
{
	struct vmf_display_info info = {.size = sizeof(info)};
	const struct vmf_display_ops *ops;

	if (screen_look(call->vm, &info, err) < 0 || vm_display_resolve(call->vm, &w->display, err) < 0)
		return -1;
	ops = &w->display.plugin->ops.display;
	if (!ops->info || !ops->url || !ops->serve)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "install the one that belongs to this vmf",
			"the plugin display-web serves no screens");
	vm_call_display(call->vm, &w->display, &w->call);
	info = (struct vmf_display_info){.size = sizeof(info)};
	if (ops->info(&w->call.call, &info, err) < 0)
		return vmf_context(err, "vm \"%s\": display: web", call->vm->name);
	if (serve_defaults(&w->serve, &info, err) < 0 || serve_read(&w->serve, call, err) < 0)
		return -1;
	return ask_url(w, w->serve.address, 0, err);
}

static int listen_and_serve(struct web *w, struct vmf_error *err)
{
	struct serve *s = &w->serve;
	int64_t wait_ms = s->many ? 0 : s->wait_ms;

	if (make_token(w, err) < 0 || serve_listen(s, err) < 0 ||
		ask_url(w, s->address, net_port((const struct sockaddr *)&s->bound), err) < 0)
		return -1;
	if (w->wants_password) {
		if (screen_set_password(s->call->vm, wait_ms, &s->password, err) < 0)
			return -1;
		s->over = over;
	}
	return serve_run(s, err);
}

int verb_web(struct cli_call *call, struct vmf_error *err)
{
	autofree char *what = str_printf("the screen of %s", call->vm->name);
	struct web w = {.serve = {.what = what, .kind = "web", .run = run, .listener = -1, .until_fd = -1},
		.display = {.name = "web"},
		.wants_password = cli_option(call, "--password", 0) != NULL};
	int rc = talk_need(call->vm, false, err);

	if (rc == 0)
		rc = prepare(&w, call, err);
	if (rc == 0 && !serve_dry(&w.serve))
		rc = listen_and_serve(&w, err);
	else if (rc == 0 && w.wants_password)
		out_dry(call, "set a password for it");
	serve_free(&w.serve);
	conf_opts_free(w.display.opts);
	return rc;
}
