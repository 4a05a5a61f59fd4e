/* SPDX-License-Identifier: ISC */
/* A running VM's screen: where it is, how a connection comes to it, and its password. */
#include "cli/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/proc.h"

#define HAND_OVER_MS 300 /* others wait meanwhile */
#define ANSWER_MS 5000
#define PASSWORD_LENGTH 8 /* VNC looks at no more */

/* ---- the display -------------------------------------------------------------------------- */

int screen_look(struct vm *vm, struct vmf_display_info *info, struct vmf_error *err)
{
	const struct plugin *plugin;
	struct vm_call call;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	if (!vm->display.name)
		return vmf_fail(err, VMF_E_NOT_FOUND, 0,
			"`set display_default=vnc-unix` gives it one at its next start",
			"vm \"%s\" has no display", vm->name);
	if (vm_resolve(vm, err) < 0)
		return -1;
	plugin = vm->display.plugin;
	vm_call_display(vm, &vm->display, &call);
	if (plugin->ops.display.info && plugin->ops.display.info(&call.call, info, err) < 0)
		return vmf_context(err, "vm \"%s\": display: %s", vm->name, plugin->name);
	if (!str_equal(info->type, "vnc"))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, info->how,
			"vm \"%s\": its display (%s) is not VNC", vm->name, plugin->name);
	return 0;
}

int screen_open(struct vm *vm)
{
	const struct plugin *plugin = vm->display.plugin;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vm_call call;
	int fd = -1;

	errno = ECONNREFUSED;
	if (!plugin->ops.display.open)
		return -1;
	vm_call_display(vm, &vm->display, &call);
	call.call.deadline_ms = time_now_ms() + HAND_OVER_MS;
	if (plugin->ops.display.open(&call.call, &fd, &err) < 0) {
		log_info("vm \"%s\": %s", vm->name, err.message);
		errno = err.code == VMF_E_TIMEOUT ? EAGAIN : ECONNREFUSED;
		error_clear(&err);
		return -1;
	}
	return fd;
}

/* ---- hand-over ----------------------------------------------------------------------------- */

static int ask(struct vm *vm, const char *command, json_t *arguments, struct vmf_error *err)
{
	return qmp_command(vm->qmp, command, arguments, NULL, time_now_ms() + HAND_OVER_MS, err);
}

int screen_hand_over(struct vm *vm, int client, bool is_known, struct vmf_error *err)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	if (vm_qmp(vm, time_now_ms() + HAND_OVER_MS, err) < 0 ||
		qmp_command_fd(vm->qmp, "getfd", json_pack("{s:s}", "fdname", "vmf-client"), client, NULL,
			time_now_ms() + HAND_OVER_MS, err) < 0)
		return -1;
	if (ask(vm, "add_client",
		    json_pack("{s:s, s:s, s:b}", "protocol", "vnc", "fdname", "vmf-client", "skipauth",
			    is_known),
		    err) == 0)
		return 0;
	ask(vm, "closefd", json_pack("{s:s}", "fdname", "vmf-client"), &ignored);
	error_clear(&ignored);
	return -1;
}

void screen_expire(struct vm *vm, const char *when)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	if (vm_qmp(vm, time_now_ms() + HAND_OVER_MS, &ignored) == 0)
		ask(vm, "expire_password", json_pack("{s:s, s:s}", "protocol", "vnc", "time", when),
			&ignored);
	error_clear(&ignored);
}

/* ---- the password ------------------------------------------------------------------------- */

static char *new_password(void)
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
	unsigned char bytes[PASSWORD_LENGTH];
	char *text = mem_alloc(PASSWORD_LENGTH + 1);

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (size_t i = 0; i < sizeof(bytes); i++)
		text[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	return text;
}

int screen_set_password(struct vm *vm, int64_t wait_ms, char **password, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + ANSWER_MS;
	autofree char *until =
		wait_ms ? str_printf("+%lld", (long long)wait_ms / 1000 + 1) : str_dup("never");

	*password = new_password();
	if (vm_qmp(vm, deadline, err) < 0)
		return -1;
	if (qmp_command(vm->qmp, "set_password",
		    json_pack(
			    "{s:s, s:s, s:s}", "protocol", "vnc", "password", *password, "connected", "keep"),
		    NULL, deadline, err) == 0 &&
		qmp_command(vm->qmp, "expire_password",
			json_pack("{s:s, s:s}", "protocol", "vnc", "time", until), NULL, deadline, err) == 0)
		return 0;
	if (err->message && strstr(err->message, "Could not set password")) {
		error_clear(err);
		vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"display { vnc-tcp { password = yes } } in its definition, and start it anew",
			"its display asks for no password");
	}
	return vmf_context(err, "vm \"%s\"", vm->name);
}
