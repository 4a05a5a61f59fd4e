/* SPDX-License-Identifier: ISC */
/*
 * Start: a plan of run folder, disks, NICs, display, QEMU, and QEMU's word that the guest runs. Its journal
 * stays in the run folder afterwards: it is the record from which any later process tears the VM down.
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
#include "vm/start.h"
#include "vm/steps.h"

#define READY_MS 60000
#define LOG_MAX (1 << 20) /* a log that has grown beyond is begun anew */

/* ---- run folder --------------------------------------------------------------------------- */

static int make_run_folder(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)args;
	(void)data;
	/* QEMU's own corner: the only place here that it may write to */
	if (mkdirat(vm->run_fd, "q", 0711) < 0 && errno != EEXIST)
		return vmf_fail_errno(err, NULL, "cannot create %s/q", vm->run_dir);
	if (vm->qemu_uid != geteuid() && fchownat(vm->run_fd, "q", vm->qemu_uid, vm->qemu_gid, 0) < 0)
		return vmf_fail_errno(err, NULL, "cannot give %s/q to QEMU's user", vm->run_dir);
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

/* ---- disks, NICs, display: one plugin call each ------------------------------------------- */

static size_t index_of(json_t *args)
{
	return (size_t)json_integer_value(json_object_get(args, "index"));
}

static int attach(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	size_t i = index_of(args);
	struct vm_disk *d = &vm->disks[i];
	struct vm_call call;

	if (!d->plugin->ops.storage.attach)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "disk \"%s\": %s cannot attach", d->title, d->plugin->name);
	vm_call_disk(vm, d, &call);
	s->blocks[i].size = sizeof(s->blocks[i]);
	if (d->plugin->ops.storage.attach(&call.call, d->volume, &s->blocks[i], err) < 0)
		return vmf_context(err, "disk \"%s\": %s", d->title, d->plugin->name);
	return 0;
}

static int detach(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.storage.detach ? r.plugin->ops.storage.detach(&call.call, r.volume, err) : 0;
	vm_recorded_free(&r);
	return rc;
}

const struct step step_disk_attach = {"disk-attach", attach, detach};

static void nic_of(const struct vm_nic *n, struct vmf_nic *nic)
{
	memset(nic, 0, sizeof(*nic));
	nic->size = sizeof(*nic);
	nic->mac = n->mac;
	nic->model = n->model;
	nic->segment = n->segment;
}

static int nic_up(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	size_t i = index_of(args);
	struct vm_nic *n = &vm->nics[i];
	struct vmf_nic nic;
	struct vm_call call;

	if (!n->plugin->ops.network.up)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "nic \"%s\": %s has no up", n->title, n->plugin->name);
	vm_call_nic(vm, n, &call);
	nic_of(n, &nic);
	s->netdevs[i].size = sizeof(s->netdevs[i]);
	if (n->plugin->ops.network.up(&call.call, &nic, &s->netdevs[i], err) < 0)
		return vmf_context(err, "nic \"%s\": %s", n->title, n->plugin->name);
	return 0;
}

static int nic_down(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.network.down ? r.plugin->ops.network.down(&call.call, err) : 0;
	vm_recorded_free(&r);
	return rc;
}

const struct step step_nic_up = {"nic-up", nic_up, nic_down};

static int display_prepare(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	struct start *s = data;
	struct vm_call call;

	(void)args;
	if (!vm->display.plugin->ops.display.prepare)
		return 0;
	vm_call_display(vm, &call);
	s->display.size = sizeof(s->display);
	if (vm->display.plugin->ops.display.prepare(&call.call, &s->display, err) < 0)
		return vmf_context(err, "display: %s", vm->display.name);
	return 0;
}

static int display_cleanup(struct vm *vm, json_t *args, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.display.cleanup ? r.plugin->ops.display.cleanup(&call.call, err) : 0;
	vm_recorded_free(&r);
	return rc;
}

const struct step step_display = {"display", display_prepare, display_cleanup};

/* ---- QEMU --------------------------------------------------------------------------------- */

static int bind_socket(struct vm *vm, const char *name, int *fd, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/%s", vm->run_dir, name);
	const char *group = conf_string(vm->root, "group");
	struct group *gr = group ? getgrnam(group) : NULL;

	if (group && !gr)
		return vmf_fail(err, VMF_E_CONFIG, 0, "`groupadd` makes it", "no group \"%s\" on this machine", group);
	*fd = qemu_socket(path, gr ? 0660 : 0600, err);
	if (*fd < 0)
		return -1;
	if (gr && chown(path, (uid_t)-1, gr->gr_gid) < 0)
		return vmf_fail_errno(err, "be a member of the group, or root", "cannot give %s to group %s", path, group);
	return 0;
}

static int bind_sockets(struct vm *vm, struct start *s, struct vmf_error *err)
{
	if (bind_socket(vm, "qmp", &s->qmp_fd, err) < 0 || bind_socket(vm, "ev", &s->events_fd, err) < 0 ||
		bind_socket(vm, "hmp", &s->hmp_fd, err) < 0)
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
	int listen_fds[3 + SERIAL_MAX];
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
	for (int i = 0; i < (int)conf_number(vm->root, "serial"); i++)
		listen_fds[spawn.n_listen_fds++] = s->serial_fds[i];
	spawn.program = s->args.argv.items[0];
	spawn.log_fd = log_fd;
	spawn.pid_fd = pid_fd;
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

/* A vmf that was killed between fork and exec leaves a child that is about to write its pid: it gets a moment. */
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
		return vmf_fail(err, VMF_E_TIMEOUT, 0, "the kernel holds it: look for hanging storage in its log",
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
		{"load of migration failed", "was its definition changed since it was saved? --discard-saved boots it anew"},
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
	if (s->from_saved && wait_incoming(vm, s, err) < 0)
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

/* ---- the whole ---------------------------------------------------------------------------- */

static void start_init(struct vm *vm, struct start *s, const struct vm_start_options *options,
	struct vm_started *started)
{
	memset(s, 0, sizeof(*s));
	s->options = options;
	s->started = started;
	s->blocks = mem_alloc(vm->n_disks * sizeof(*s->blocks));
	s->netdevs = mem_alloc(vm->n_nics * sizeof(*s->netdevs));
	s->saved_fd = s->pidfd = -1;
	s->qmp_fd = s->events_fd = s->hmp_fd = -1;
	for (int i = 0; i < SERIAL_MAX; i++)
		s->serial_fds[i] = -1;
}

static void start_free(struct start *s)
{
	qemu_args_free(&s->args);
	free(s->blocks);
	free(s->netdevs);
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (s->saved_fd >= 0)
		close(s->saved_fd);
}

int vm_command(struct vm *vm, const struct vm_start_options *options, struct qemu_args *args, struct vmf_error *err)
{
	struct start s;
	bool was_dry = vm->ctx->dry_run;
	json_t *index;
	int rc = 0;

	if (vm_resolve(vm, err) < 0)
		return -1;
	start_init(vm, &s, options, NULL);
	s.is_dry = true;
	vm->ctx->dry_run = true;
	for (size_t i = 0; rc == 0 && i < vm->n_disks; i++) {
		index = json_pack("{s:i}", "index", (int)i);
		rc = attach(vm, index, &s, err);
		json_decref(index);
	}
	for (size_t i = 0; rc == 0 && i < vm->n_nics; i++) {
		index = json_pack("{s:i}", "index", (int)i);
		rc = nic_up(vm, index, &s, err);
		json_decref(index);
	}
	if (rc == 0 && vm->display.plugin)
		rc = display_prepare(vm, NULL, &s, err);
	if (rc == 0)
		rc = command_build(vm, &s, err);
	vm->ctx->dry_run = was_dry;
	if (rc == 0) {
		*args = s.args;
		memset(&s.args, 0, sizeof(s.args));
	}
	start_free(&s);
	return rc;
}

/* What would surely fail is said before anything is made. */
static int check_host(const struct vm *vm, struct vmf_error *err)
{
	autofree char *program = command_program(vm, err);
	autofree char *socket = str_printf("%s/qmp", vm->run_dir); /* none of the names is longer */

	if (!program || qemu_socket_check(socket, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	return 0;
}

/* Everything that a plugin can say beforehand. */
static int check(struct vm *vm, struct vmf_error *err)
{
	struct vm_call call;

	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vm_nic *n = &vm->nics[i];
		struct vmf_nic nic;

		nic_of(n, &nic);
		vm_call_nic(vm, n, &call);
		if (n->plugin->ops.network.check && n->plugin->ops.network.check(&call.call, &nic, err) < 0)
			return vmf_context(err, "nic \"%s\": %s", n->title, n->plugin->name);
	}
	if (vm->display.plugin && vm->display.plugin->ops.display.check) {
		vm_call_display(vm, &call);
		if (vm->display.plugin->ops.display.check(&call.call, err) < 0)
			return vmf_context(err, "display: %s", vm->display.name);
	}
	return 0;
}

static struct plan *make_plan(struct vm *vm)
{
	struct plan *plan = plan_new(vm, "start", false);
	json_t *record;

	plan_add(plan, &step_run_folder, NULL, "make the run folder %s", vm->run_dir);
	for (size_t i = 0; i < vm->n_disks; i++) {
		struct vm_disk *d = &vm->disks[i];

		record = vm_record(vm, d->plugin, d->opts, d->instance, d->slot, d->index, d->volume);
		plan_add(plan, &step_disk_attach, record, "attach disk \"%s\": volume %s of storage \"%s\" (%s)", d->title,
			d->volume, d->instance, d->plugin->name);
	}
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vm_nic *n = &vm->nics[i];

		record = vm_record(vm, n->plugin, n->opts, n->instance, n->slot, n->index, NULL);
		plan_add(plan, &step_nic_up, record, "bring up nic \"%s\": %s on network \"%s\" (%s)", n->title, n->mac,
			n->instance, n->plugin->name);
	}
	if (vm->display.plugin) {
		record = vm_record(vm, vm->display.plugin, vm->display.opts, vm->display.name, "display", 0, NULL);
		plan_add(plan, &step_display, record, "prepare the display (%s)", vm->display.name);
	}
	plan_add(plan, &step_spawn, NULL, "start QEMU");
	plan_add(plan, &step_ready, NULL, "wait until QEMU answers");
	return plan;
}

/* Once the guest runs, its memory on disk is of the past. */
int vm_forget_saved(struct vm *vm, struct vmf_error *err)
{
	autofree char *saved = vm_lib_path(vm, "saved", "");

	if (unlink(saved) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", saved);
	return 0;
}

static int open_saved(struct vm *vm, struct start *s, struct vmf_error *err)
{
	autofree char *saved = vm_lib_path(vm, "saved", "");

	s->saved_fd = open(saved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->saved_fd < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot read %s", saved);
	s->from_saved = s->saved_fd >= 0;
	return 0;
}

static void run_post(struct vm *vm)
{
	const char *post = conf_string(vm->root, "post");
	const char *const argv[] = {post, vm->name, NULL};
	struct vmf_run run = {.size = sizeof(run), .argv = argv};
	struct vmf_error err = VMF_ERROR_INIT;

	if (!post)
		return;
	if (proc_run(&run, 0, &err) < 0)
		log_warn("vm \"%s\": post: %s", vm->name, err.message);
	else if (run.status)
		log_warn("vm \"%s\": post: %s ended with %d: %s", vm->name, post, run.status, run.err);
	error_clear(&err);
	free(run.out);
	free(run.err);
}

static int start_locked(struct vm *vm, const struct vm_start_options *options, struct vm_started *started,
	struct vmf_error *err)
{
	struct vm_state state;
	struct start s;
	struct plan *plan;
	int rc;

	vm_state_of(vm, &state);
	if (state.phase == VM_ALIVE)
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "it is %s already (pid %d)", state.status, (int)state.pid);
	if (state.phase != VM_OFF && state.phase != VM_SAVED && plan_undo_start(vm, err) < 0)
		return -1;
	if (vm_resolve(vm, err) < 0 || check(vm, err) < 0)
		return -1;
	start_init(vm, &s, options, started);
	plan = make_plan(vm);
	if (options && options->discard_saved ? vm_forget_saved(vm, err) < 0 : open_saved(vm, &s, err) < 0)
		rc = -1;
	else
		rc = plan_run(plan, &s, true, err);
	started->from_saved = s.from_saved;
	/* committed: now what is on disk is of the past, and only then may the guest go on */
	if (rc == 0 && started->from_saved) {
		rc = vm_forget_saved(vm, err);
		if (rc == 0 && !(options && options->paused))
			rc = qmp_command(vm->qmp, "cont", NULL, NULL, time_now_ms() + READY_MS, err);
	}
	plan_free(plan);
	qmp_forget_death(vm->qmp); /* the connection stays, the pidfd goes */
	start_free(&s);
	return rc;
}

int vm_start(struct vm *vm, const struct vm_start_options *options, struct vm_started *started, struct vmf_error *err)
{
	int rc;

	memset(started, 0, sizeof(*started));
	if (vm_need_unlocked(vm, err) < 0 || check_host(vm, err) < 0)
		return -1;
	if (vm->ctx->dry_run) {
		struct plan *plan;

		if (vm_resolve(vm, err) < 0 || check(vm, err) < 0)
			return -1;
		plan = make_plan(vm);
		plan_describe(plan);
		plan_free(plan);
		return 0;
	}
	if (vm_lock(vm, err) < 0)
		return -1;
	rc = start_locked(vm, options, started, err);
	if (rc < 0)
		vmf_context(err, "vm \"%s\"", vm->name);
	vm_unlock(vm);
	if (rc == 0)
		run_post(vm);
	return rc;
}
