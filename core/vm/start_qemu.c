/* SPDX-License-Identifier: ISC */
/*
 * A start's steps that make and end the process: the run folder, QEMU, and QEMU's word that the guest runs.
 * The steps of the plugins and the plan are start.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "qemu/process.h"
#include "vm/plug.h"
#include "vm/start.h"
#include "vm/steps.h"

#define LOG_MAX (1 << 20) /* a log that has grown beyond is begun anew */

/* ---- run folder --------------------------------------------------------------------------- */

/* The group that may use the VM's sockets: 1, 0 if there is none, -1. */
static int socket_group(struct vm *vm, gid_t *gid, struct vmf_error *err)
{
	const char *name = conf_string(vm->root, "group");
	struct group *gr = name ? getgrnam(name) : NULL;

	if (!name)
		return 0;
	if (!gr)
		return vmf_fail(
			err, VMF_E_CONFIG, 0, "`groupadd` makes it", "no group \"%s\" on this machine", name);
	*gid = gr->gr_gid;
	return 1;
}

/*
 * QEMU's own corner: the only place here that it may write to. What it makes there (the VNC socket) gets the
 * folder's group by the set-group-ID bit, and its mode by the umask that spawn() gives it.
 */
static int make_run_folder(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	gid_t gid = vm->qemu_gid;
	int has_group = socket_group(vm, &gid, err);
	bool is_other = vm->qemu_uid != geteuid();

	(void)args;
	(void)data;
	if (has_group < 0)
		return -1;
	if (mkdirat(vm->run_fd, "q", 0700) < 0 && errno != EEXIST)
		return vmf_fail_errno(err, NULL, "cannot create %s/q", vm->run_dir);
	if ((is_other || has_group) &&
		fchownat(vm->run_fd, "q", is_other ? vm->qemu_uid : (uid_t)-1, gid, 0) < 0)
		return vmf_fail_errno(err, "be root, or a member of the group",
			"cannot give %s/q to QEMU's user or group", vm->run_dir);
	if (fchmodat(vm->run_fd, "q", has_group ? 02770 : 0700, 0) < 0)
		return vmf_fail_errno(err, NULL, "cannot set the mode of %s/q", vm->run_dir);
	return 0;
}

static int empty_run_folder(struct vm *vm, json_t *args, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;

	(void)args;
	if (dir_list(vm->run_dir, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		autofree char *path = path_join(vm->run_dir, names.items[i]);

		/* the journal goes last, when all is undone; the lock is ours */
		if (!str_equal(names.items[i], "lock") && !str_equal(names.items[i], "journal") &&
			file_remove_tree(path, err) < 0)
			return -1;
	}
	json_decref(vm->slots);
	vm->slots = NULL;
	return 0;
}

const struct step step_run_folder = {"run-folder", make_run_folder, empty_run_folder};

/* ---- QEMU --------------------------------------------------------------------------------- */

static int bind_socket(struct vm *vm, const char *name, int *fd, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/%s", vm->run_dir, name);
	gid_t gid = 0;
	int has_group = socket_group(vm, &gid, err);

	if (has_group < 0)
		return -1;
	*fd = qemu_socket(path, has_group ? 0660 : 0600, err);
	if (*fd < 0)
		return -1;
	if (has_group && chown(path, (uid_t)-1, gid) < 0)
		return vmf_fail_errno(
			err, "be a member of the group, or root", "cannot give %s to its group", path);
	return 0;
}

static int bind_sockets(struct vm *vm, struct start *s, struct vmf_error *err)
{
	if (bind_socket(vm, "qmp", &s->qmp_fd, err) < 0 || bind_socket(vm, "ev", &s->events_fd, err) < 0 ||
		bind_socket(vm, "hmp", &s->hmp_fd, err) < 0)
		return -1;
	if (conf_number(vm->root, "guest_agent") && bind_socket(vm, "ga", &s->agent_fd, err) < 0)
		return -1;
	for (int i = 0; i < (int)conf_number(vm->root, "serial") && i < SERIAL_MAX; i++) {
		char name[4] = {'s', (char)('0' + i), '\0'};

		if (bind_socket(vm, name, &s->serial_fds[i], err) < 0)
			return -1;
	}
	return 0;
}

/* QEMU's copy of this fd is what keeps byte 0 of the lock held as long as it lives. */
static int life_lock(struct vm *vm, struct start *s, struct vmf_error *err)
{
	int fd = openat(vm->run_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return vmf_fail_errno(err, NULL, "%s/lock", vm->run_dir);
	if (lock_take(fd, LOCK_LIFE) < 0) {
		close(fd);
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "a QEMU of it is still alive");
	}
	qemu_args_fd(&s->args, fd);
	return 0;
}

static int open_log(struct vm *vm, struct start *s, struct vmf_error *err)
{
	autofree char *path = vm_lib_path(vm, "log", ".log");
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	autostrbuf struct strbuf sizes = STRBUF_INIT;
	struct stat st;

	if (fd < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s", path);
	if (fstat(fd, &st) == 0 && st.st_size > LOG_MAX && ftruncate(fd, 0) == 0)
		st.st_size = 0;
	s->log_offset = st.st_size;
	for (int i = 0; i < (int)conf_number(vm->root, "serial"); i++) {
		autofree char *suffix = str_printf(".serial%d", i);
		autofree char *serial = vm_lib_path(vm, "log", suffix);

		if (stat(serial, &st) == 0 && st.st_size > LOG_MAX && truncate(serial, 0) < 0)
			log_debug("cannot truncate %s", serial);
		strbuf_printf(&sizes, "%lld\n", (long long)(stat(serial, &st) == 0 ? st.st_size : 0));
	}
	/* a line for each port: what stands before is of earlier runs */
	if (sizes.length && file_write_at(vm->run_fd, "logs", sizes.data, sizes.length, 0600) < 0) {
		vmf_fail_errno(err, NULL, "cannot write %s/logs", vm->run_dir);
		close(fd);
		return -1;
	}
	return fd;
}

/* The group of /dev/kvm, which a user who runs nothing but QEMU need not be in. */
static size_t kvm_group(gid_t *gid)
{
	struct stat st;

	if (stat("/dev/kvm", &st) < 0 || !(st.st_mode & S_IWGRP) || st.st_gid == 0)
		return 0;
	*gid = st.st_gid;
	return 1;
}

static int spawn(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	struct qemu_spawn spawn = {.args = &s->args, .uid = vm->qemu_uid, .gid = vm->qemu_gid};
	autoclose int log_fd = -1;
	autoclose int pid_fd = -1;
	int listen_fds[4 + SERIAL_MAX];
	gid_t group;

	(void)args;
	if (bind_sockets(vm, s, err) < 0 || command_build(vm, s, err) < 0 || life_lock(vm, s, err) < 0)
		return -1;
	log_fd = open_log(vm, s, err);
	if (log_fd < 0)
		return -1;
	pid_fd = openat(vm->run_fd, "pid", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (pid_fd < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s/pid", vm->run_dir);
	listen_fds[spawn.n_listen_fds++] = s->qmp_fd;
	listen_fds[spawn.n_listen_fds++] = s->events_fd;
	listen_fds[spawn.n_listen_fds++] = s->hmp_fd;
	if (s->agent_fd >= 0)
		listen_fds[spawn.n_listen_fds++] = s->agent_fd;
	for (int i = 0; i < (int)conf_number(vm->root, "serial"); i++)
		listen_fds[spawn.n_listen_fds++] = s->serial_fds[i];
	spawn.program = s->args.argv.items[0];
	spawn.log_fd = log_fd;
	spawn.pid_fd = pid_fd;
	spawn.umask = conf_string(vm->root, "group") ? 0007 : 0077;
	spawn.listen_fds = listen_fds;
	spawn.n_groups = kvm_group(&group);
	spawn.groups = &group;
	if (qemu_spawn(&spawn, &s->pid, &s->pidfd, err) < 0)
		return -1;
	s->started->pid = s->pid;
	/* our copies of QEMU's fds: without this the lock would be ours, too */
	qemu_args_free(&s->args);
	return 0;
}

/* A vmf that was killed between fork and exec leaves a child that is about to write its pid: it gets a
 * moment. */
static int open_qemu(struct vm *vm, pid_t *pid)
{
	int64_t deadline = time_now_ms() + 2000;

	do {
		autofree char *text = file_read_at(vm->run_fd, "pid", 64, NULL);
		int pidfd;

		*pid = text ? (pid_t)atoi(text) : 0;
		pidfd = *pid > 0 ? proc_pidfd(*pid) : -1;
		/* asked with the pidfd in hand: while the lock is held, the pid is QEMU's */
		if (lock_is_held(vm->op_fd, LOCK_LIFE) != 1) {
			if (pidfd >= 0)
				close(pidfd);
			return -1;
		}
		if (pidfd >= 0)
			return pidfd;
		time_sleep_ms(5);
	} while (time_now_ms() < deadline);
	return -1;
}

/* Also the end of a running VM, in tear-down: whatever is left of QEMU is killed. */
static int end_qemu(struct vm *vm, json_t *args, struct vmf_error *err)
{
	pid_t pid = 0;
	autoclose int pidfd = -1;

	(void)args;
	vm_qmp_close(vm);
	if (lock_is_held(vm->op_fd, LOCK_LIFE) != 1)
		return 0;
	pidfd = open_qemu(vm, &pid);
	if (pidfd < 0 && lock_is_held(vm->op_fd, LOCK_LIFE) != 1)
		return 0;
	if (pidfd < 0)
		return vmf_fail(err, VMF_E_FAILED, 0, "look for a qemu process by hand",
			"QEMU is alive but its pid is not known");
	proc_signal(pidfd, SIGKILL);
	if (!proc_wait_end(pidfd, time_now_ms() + 10000))
		return vmf_fail(err, VMF_E_TIMEOUT, 0,
			"the kernel holds it: look for hanging storage in its log",
			"QEMU (pid %d) does not die", (int)pid);
	return 0;
}

const struct step step_spawn = {"qemu", spawn, end_qemu};

/* What QEMU's words mean for the person, if we know; else NULL. */
static const char *hint_for(const char *words)
{
	static const struct {
		const char *text, *hint;
	} known[] = {
		{"Failed to get \"write\" lock", "another program uses the image: another VM?"},
		{"Failed to get shared \"write\" lock", "another program uses the image: another VM?"},
		{"Could not set up host forwarding", "the port is taken, or below 1024: choose another"},
		{"Image is not in qcow2 format", "the image is broken, or not what its name says"},
		{"unsupported machine type", "`qemu-system-x86_64 -machine help` lists those it has"},
		{"unable to find CPU model", "`qemu-system-x86_64 -cpu help` lists those it has"},
		{"Cannot allocate memory", "give it less memory, or stop another VM"},
		{"cannot set up guest memory", "give it less memory, or stop another VM"},
		{"invalid option", "is it one of QEMU's? see args and what stands behind start"},
		{"load of migration failed",
			"was its definition changed since it was saved? --discard-saved boots it anew"},
		{"Permission denied", "QEMU's user may not read that; see user = in vmf.conf"},
	};

	for (size_t i = 0; i < VMF_COUNT(known); i++)
		if (strstr(words, known[i].text))
			return known[i].hint;
	return NULL;
}

static int say_why(struct vm *vm, struct start *s, struct vmf_error *err)
{
	autofree char *path = vm_lib_path(vm, "log", ".log");
	autofree char *words = NULL;
	autofree char *hint = NULL;

	if (s->pidfd < 0 || !proc_wait_end(s->pidfd, time_now_ms() + 100))
		return vmf_context(err, "QEMU");
	words = qemu_log_tail(path, s->log_offset, 2000);
	hint = str_dup(hint_for(words));
	if (!hint)
		hint = str_printf("`vmf %s log` has all of QEMU's words", vm->name);
	error_clear(err);
	return vmf_fail(err, VMF_E_FAILED, 0, hint, "QEMU ended: %s", *words ? words : "without a word");
}

static int wait_incoming(struct vm *vm, struct start *s, struct vmf_error *err)
{
	autofree char *status = NULL;

	do {
		if (log_progress("restoring memory", 0, 0) < 0)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
		time_sleep_ms(10);
		free(status);
		status = NULL;
		if (qmp_status(vm->qmp, &status, time_now_ms() + READY_MS, err) < 0)
			return say_why(vm, s, err);
	} while (str_equal(status, "inmigrate"));
	return 0;
}

/*
 * The second monitor copies events into a file once it has been opened by anybody. To come up paused is no
 * event: the answer to a question is in that file, too.
 */
static int finish_monitors(struct vm *vm, struct start *s, struct qmp *events, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + READY_MS;
	autofree char *status = NULL;

	if (qmp_finish(events, deadline, err) < 0 || qmp_finish(vm->qmp, deadline, err) < 0)
		return say_why(vm, s, err);
	if (plug_links(vm, err) < 0 || (s->from_saved && wait_incoming(vm, s, err) < 0))
		return -1;
	if (!s->from_saved && !(s->options && s->options->paused))
		return 0;
	return qmp_status(events, &status, time_now_ms() + READY_MS, err) < 0 ? say_why(vm, s, err) : 0;
}

static int ready(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	autofree char *main_path = str_printf("%s/qmp", vm->run_dir);
	autofree char *events_path = str_printf("%s/ev", vm->run_dir);
	struct qmp *events;
	int rc;

	(void)args;
	vm->qmp = qmp_begin(main_path, s->pidfd, err);
	events = vm->qmp ? qmp_begin(events_path, s->pidfd, err) : NULL;
	rc = events ? finish_monitors(vm, s, events, err) : say_why(vm, s, err);
	qmp_close(events);
	return rc;
}

const struct step step_ready = {"ready", ready, NULL};
