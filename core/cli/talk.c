/* SPDX-License-Identifier: ISC */
/*
 * console and monitor: the person and a socket of QEMU's.
 *
 * QEMU serves one client for each socket; another one is let wait, without a word. Therefore each vmf that is
 * connected holds a lock on run/NAME/clients, one byte for each socket, which also tells who it is; and QEMU
 * is asked beforehand whether somebody else is connected, which also tells whether it still answers at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/tty.h"
#include "cli/cli.h"
#include "cli/talk.h"
#include "config/value.h"
#include "qemu/qmp_wire.h"
#include "vm/guest.h"

#define ANSWER_MS 5000
#define FREE_MS 1000 /* until QEMU has noticed that the client before us is gone */
#define CONSOLE_LINGER_MS 1000
#define MONITOR_LINGER_MS 30000
#define PROMPT_MS 200
#define LINES_MAX 1000000
#define CTRL_RIGHT_BRACKET 0x1d

/* ---- who can be talked with --------------------------------------------------------------- */

int talk_need(struct vm *vm, bool to_change, struct vmf_error *err)
{
	struct vm_state state;

	if ((to_change && vm_need_unlocked(vm, err) < 0) || vm_need_alive(vm, &state, err) < 0)
		return -1;
	if (str_equal(state.status, "hung"))
		return vmf_fail(err, VMF_E_TIMEOUT, 0, "SIGCONT lets it go on; `kill` ends it at once",
			"vm \"%s\" hangs: %s", vm->name, state.detail);
	return 0;
}

int talk_qmp(struct vm *vm, bool to_change, struct vmf_error *err)
{
	return talk_need(vm, to_change, err) < 0 ? -1 : vm_qmp(vm, time_now_ms() + ANSWER_MS, err);
}

/* ---- who is connected --------------------------------------------------------------------- */

int talk_claim(struct vm *vm, const struct talk_line *line, int *claim_fd, struct vmf_error *err)
{
	pid_t holder = 0;

	if (vm_run_open(vm, false, err) < 0)
		return vmf_fail_errno(err, NULL, "%s", vm->run_dir);
	*claim_fd = openat(vm->run_fd, "clients", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*claim_fd < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s/clients", vm->run_dir);
	if (lock_take_named(*claim_fd, line->lock_byte, &holder) == 0)
		return 0;
	if (errno != EAGAIN)
		return vmf_fail_errno(err, NULL, "cannot lock %s/clients", vm->run_dir);
	if (!holder)
		return vmf_fail(err, VMF_E_BUSY, 0, "leave it there first", "the %s is in use by another vmf",
			line->name);
	return vmf_fail(err, VMF_E_BUSY, 0, "leave it there with ^], or end that process",
		"the %s is in use by another vmf (pid %d)", line->name, (int)holder);
}

/* 1: somebody is connected, 0, or -1: QEMU does not answer, or has no such line. */
static int is_connected(struct vm *vm, const struct talk_line *line, struct vmf_error *err)
{
	json_t *answer = NULL, *item;
	size_t i;
	int found = -1;

	if (vm_qmp(vm, time_now_ms() + ANSWER_MS, err) < 0 ||
		qmp_command(vm->qmp, "query-chardev", NULL, &answer, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	json_array_foreach(answer, i, item)
	{
		const char *file = json_string_value(json_object_get(item, "filename"));

		if (file && str_equal(json_string_value(json_object_get(item, "label")), line->chardev))
			found = !str_starts(file, "disconnected:");
	}
	json_decref(answer);
	return found >= 0 ? found : vmf_fail(err, VMF_E_NOT_FOUND, 0, NULL, "QEMU has no %s", line->chardev);
}

static int await_free(struct vm *vm, const struct talk_line *line, struct vmf_error *err)
{
	int64_t deadline_ms = time_now_ms() + FREE_MS;
	int connected;

	while ((connected = is_connected(vm, line, err)) > 0 && time_now_ms() < deadline_ms &&
		!log_interrupted)
		time_sleep_ms(20);
	/* it would be in the way of other commands as long as we talk */
	vm_qmp_close(vm);
	if (connected <= 0)
		return connected;
	return vmf_fail(
		err, VMF_E_BUSY, 0, "end that one first", "the %s is in use by another program", line->name);
}

int talk_connect(struct vm *vm, const struct talk_line *line, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/%s", vm->run_dir, line->socket);
	int fd;

	if (await_free(vm, line, err) < 0)
		return -1;
	fd = qmp_wire_connect(path);
	if (fd < 0 && errno == EAGAIN)
		return vmf_fail(err, VMF_E_BUSY, 0, NULL, "too many programs wait for the %s", line->name);
	return fd < 0 ? vmf_fail_errno(err, NULL, "%s", path) : fd;
}

/* ---- words -------------------------------------------------------------------------------- */

/* "^]", "none", or a character. */
static int parse_escape(const char *text, int *key, struct vmf_error *err)
{
	size_t n = strlen(text);
	unsigned char c = (unsigned char)text[n > 1];

	if (str_equal(text, "none"))
		*key = -1;
	else if (n == 1)
		*key = c;
	else if (n == 2 && text[0] == '^' && ((c >= '?' && c <= '_') || (c >= 'a' && c <= 'z')))
		*key = (c & ~0x20) ^ 0x40;
	else
		return vmf_fail(err, VMF_E_USAGE, 0, "such as ^] or ^A; none: no key leaves",
			"--escape: \"%s\" is no key", text);
	return 0;
}

static int parse_number(
	const char *option, const char *text, int64_t max, int64_t *number, struct vmf_error *err)
{
	if (value_parse_int(text, number, err) < 0)
		return vmf_context(err, "%s", option);
	if (*number < 0 || *number > max)
		return vmf_fail(
			err, VMF_E_USAGE, 0, NULL, "%s: 0 to %lld, not %s", option, (long long)max, text);
	return 0;
}

static int read_options(const struct cli_call *call, struct stream_options *o, struct vmf_error *err)
{
	const char *escape = cli_option(call, "--escape", 0), *timeout = cli_option(call, "--timeout", 0);

	o->escape = CTRL_RIGHT_BRACKET;
	o->until = cli_option(call, "--until", 0);
	if (escape && parse_escape(escape, &o->escape, err) < 0)
		return -1;
	if (o->until && !*o->until)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--until: no text to wait for");
	if (timeout && value_parse_time(timeout, &o->timeout_ms, err) < 0)
		return vmf_context(err, "--timeout");
	if (timeout && o->timeout_ms <= 0)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--timeout: some time, not %s", timeout);
	return 0;
}

/* ---- the conversation --------------------------------------------------------------------- */

static void say_how(const struct stream_options *o)
{
	if (o->escape < 0)
		log_warn("%s: no key leaves it", o->what);
	else if (o->escape < 0x20 || o->escape == 0x7f)
		log_warn("%s: ^%c leaves", o->what, o->escape ^ 0x40);
	else
		log_warn("%s: %c leaves", o->what, o->escape);
}

/* QEMU's sockets close a moment before it is dead. */
static void say_closed(struct vm *vm, const char *what)
{
	int64_t deadline_ms = time_now_ms() + 1000;
	struct vm_state state;

	do {
		vm_state_read(vm->ctx, vm->name, &state);
		if (state.phase != VM_ALIVE)
			break;
		time_sleep_ms(10);
	} while (time_now_ms() < deadline_ms);
	if (state.phase == VM_ALIVE)
		log_warn("%s: QEMU closed the connection", what);
	else
		log_warn("%s: it ended: vm \"%s\" is %s", what, vm->name, state.status);
}

static void say_end(struct vm *vm, const struct stream_options *o, int how)
{
	switch (how) {
	case STREAM_LEFT:
		if (!o->until)
			log_warn("%s: left", o->what);
		break;
	case STREAM_FOUND:
		log_warn("%s: left, as the text was seen", o->what);
		break;
	case STREAM_TIME:
		log_warn("%s: left, as the time is over", o->what);
		break;
	case STREAM_CLOSED:
		say_closed(vm, o->what);
		break;
	}
}

/* Where the log was when this QEMU was started; 0: not known. */
static off_t run_begins(struct vm *vm, const struct talk_line *line)
{
	autofree char *text = file_read_at(vm->run_fd, "logs", 4096, NULL);
	const char *at = text;

	for (off_t i = 0; at && i < line->lock_byte; i++) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at ? (off_t)strtoll(at, NULL, 10) : 0;
}

/* What was said before we came, up to the byte END of the log; -1: what is in our socket already comes from
 * there. */
static int add_history(struct vm *vm, const struct talk_line *line, int fd, off_t end, size_t lines,
	struct strbuf *text, size_t *old, struct vmf_error *err)
{
	autofree char *suffix = str_printf(".%s", line->chardev);
	autofree char *path = vm_lib_path(vm, "log", suffix);
	autoclose int log_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int here = 0, again = 0;
	struct stat st;

	if (log_fd < 0)
		return vmf_fail_errno(err, NULL, "cannot read %s", path);
	do {
		if (ioctl(fd, FIONREAD, &here) < 0 || fstat(log_fd, &st) < 0 ||
			ioctl(fd, FIONREAD, &again) < 0)
			return vmf_fail_errno(err, NULL, "%s", path);
	} while (here != again);
	if (history_read(log_fd, run_begins(vm, line), end >= 0 ? end : st.st_size - here, lines, text, old) <
		0)
		return vmf_fail_errno(err, NULL, "cannot read %s", path);
	return 0;
}

/* Opens what is written besides what is shown. */
static int open_log(const char *file, struct stream_options *o, struct vmf_error *err)
{
	o->log_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
	if (o->log_fd >= 0)
		return 0;
	o->log_fd = 0;
	return vmf_fail_errno(err, NULL, "--log: cannot write %s", file);
}

static int connect_or_watch(struct vm *vm, const struct talk_line *line, bool watch, int *claim_fd, int *fd,
	off_t *begin, struct vmf_error *err)
{
	if (watch)
		*fd = watch_open(vm, line, begin, err);
	else if (talk_claim(vm, line, claim_fd, err) == 0)
		*fd = talk_connect(vm, line, err);
	return *fd < 0 ? -1 : 0;
}

static int talk(struct cli_call *call, const struct talk_line *line, struct stream_options *o, size_t history,
	struct vmf_error *err)
{
	struct vm *vm = call->vm;
	autofree char *what = str_printf("%s of %s", line->name, vm->name);
	autostrbuf struct strbuf first = STRBUF_INIT;
	const char *log = cli_option(call, "--log", 0);
	bool watch = cli_option(call, "--watch", 0) != NULL;
	autoclose int claim_fd = -1;
	autoclose int fd = -1;
	off_t begin = -1;
	bool is_person = tty_is(STDIN_FILENO);
	int how;

	if (out_dry(call, "%s the %s: %s/%s", watch ? "watch" : "connect to", line->name, vm->run_dir,
		    line->socket))
		return 0;
	if (talk_need(vm, !watch, err) < 0 || (log && open_log(log, o, err) < 0))
		return -1;
	if (connect_or_watch(vm, line, watch, &claim_fd, &fd, &begin, err) < 0 ||
		(history && add_history(vm, line, fd, begin, history, &first, &o->first_old, err) < 0))
		return vmf_context(err, "vm \"%s\"", vm->name);
	o->what = what;
	o->first = first.data;
	o->first_length = first.length;
	if (is_person)
		say_how(o);
	if (is_person && watch)
		log_warn("%s: %s; what you type goes nowhere", what, talk_holder(vm, line));
	how = stream_attach(fd, o, err);
	if (o->log_fd)
		close(o->log_fd);
	if (how < 0)
		return -1;
	if (is_person)
		say_end(vm, o, how);
	if (o->until && how == STREAM_LEFT)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s: left before the text was seen", what);
	if (o->until && how == STREAM_NO_OUTPUT) /* nobody wants to hear of it */
		call->exit_code = VMF_E_FAILED;
	return 0;
}

/* Where the console's terminal is shown; a guest that cannot be told how large that is is not asked again. */
struct console_size {
	struct vm *vm;
	unsigned port;
	bool is_deaf;
};

static void tell_size(void *data)
{
	struct console_size *c = data;
	struct winsize size;

	if (c->is_deaf || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
		return;
	c->is_deaf = !vm_guest_set_size(c->vm, c->port, size.ws_row, size.ws_col);
}

int talk_serial(struct vm *vm, const char *number, struct talk_line *line, struct vmf_error *err)
{
	int64_t port = 0, ports = conf_number(vm->root, "serial");

	if (ports < 1)
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`set serial=1` gives it one",
			"vm \"%s\" has no serial port", vm->name);
	if (number && parse_number("the serial port", number, ports - 1, &port, err) < 0)
		return -1;
	*line = (struct talk_line){
		.name = "console", .socket = "s0", .chardev = "serial0", .lock_byte = port};
	line->socket[1] = line->chardev[6] = (char)('0' + port);
	return 0;
}

int verb_console(struct cli_call *call, struct vmf_error *err)
{
	const char *history_option = cli_option(call, "--history", 0);
	struct console_size size = {.vm = call->vm};
	struct stream_options o = {.linger_ms = CONSOLE_LINGER_MS, .data = &size};
	struct talk_line line;
	int64_t history = 0;

	if (read_options(call, &o, err) < 0 ||
		(history_option && parse_number("--history", history_option, LINES_MAX, &history, err) < 0) ||
		talk_serial(call->vm, cli_option(call, "--port", 0), &line, err) < 0)
		return -1;
	size.port = (unsigned)line.lock_byte;
	if (!cli_option(call, "--watch", 0) && vm_has_guest_agent(call->vm))
		o.resized = tell_size;
	if (cli_option(call, "--watch", 0)) /* our own input says nothing about when to leave */
		o.linger_ms = INT64_MAX / 4;
	return talk(call, &line, &o, (size_t)history, err);
}

int verb_monitor(struct cli_call *call, struct vmf_error *err)
{
	struct stream_options o = {
		.linger_ms = MONITOR_LINGER_MS, .prompt = "(qemu) ", .prompt_ms = PROMPT_MS};
	static const struct talk_line line = {"monitor", "hmp", "hmp", 100};

	return read_options(call, &o, err) < 0 ? -1 : talk(call, &line, &o, 0, err);
}
