/* SPDX-License-Identifier: ISC */
/*
 * What is true of a VM, without a daemon.
 *
 * run/NAME/lock has two bytes. Byte 0 is locked by QEMU itself, through an fd that it inherited: it is
 * held exactly as long as QEMU lives. Byte 1 is locked by a vmf that changes the VM. Both are asked for
 * with F_OFD_GETLK, which takes nothing: looking at a VM never disturbs it. A pid is believed only
 * while byte 0 is held.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/move.h"
#include "vm/vm.h"

#define LOCK_WAIT_MS 20000

char *vm_lib_path(const struct vm *vm, const char *folder, const char *suffix)
{
	return str_printf("%s/%s/%s%s", vm->ctx->paths.lib, folder, vm->name, suffix);
}

static void say(struct vm_state *state, enum vm_phase phase, const char *word)
{
	state->phase = phase;
	snprintf(state->status, sizeof(state->status), "%s", word);
}

const char *vm_status_word(const char *word)
{
	return str_equal(word, "prelaunch") ? "paused" : word;
}

static void read_alive(int dir_fd, struct vm_state *state)
{
	autofree char *pid = file_read_at(dir_fd, "pid", 64, NULL);
	struct qmp_last last;
	struct stat st;
	char process;

	state->pid = pid ? (pid_t)atoi(pid) : 0;
	if (fstatat(dir_fd, "pid", &st, 0) == 0)
		state->since = st.st_mtime;
	say(state, VM_ALIVE, "running");
	if (qmp_last_state(dir_fd, "events", &last) == 0 && last.status[0]) {
		say(state, VM_ALIVE, vm_status_word(last.status));
		snprintf(state->detail, sizeof(state->detail), "%s", last.detail);
	}
	process = state->pid ? proc_state(state->pid) : 0;
	if (process == 'T' || process == 't') {
		say(state, VM_ALIVE, "hung");
		snprintf(state->detail, sizeof(state->detail), "QEMU (pid %d) is stopped by a signal",
			(int)state->pid);
	}
}

static void read_ended(int dir_fd, struct vm_state *state)
{
	struct qmp_last last;

	if (qmp_last_state(dir_fd, "events", &last) == 0 && (last.guest_shutdown || last.host_quit)) {
		say(state, VM_ENDED, "off");
		snprintf(state->detail, sizeof(state->detail), "%s",
			last.guest_shutdown ? "the guest switched itself off" : "");
		return;
	}
	say(state, VM_CRASHED, "crashed");
	snprintf(state->detail, sizeof(state->detail), "QEMU died");
}

static void say_interrupted(struct vm_state *state)
{
	say(state, VM_INTERRUPTED, "interrupted");
	snprintf(state->detail, sizeof(state->detail), "a vmf died at work; the next command tidies up");
}

static void say_busy(struct vm_state *state, const char *word)
{
	say(state, VM_STARTING, word);
	snprintf(state->detail, sizeof(state->detail), "another vmf is at work on it");
}

/* HAS_LOCK: whoever holds LOCK_OP is the caller. */
static void read_state(struct ctx *ctx, const char *name, bool has_lock, struct vm_state *state)
{
	autofree char *run = str_printf("%s/%s", ctx->paths.run, name);
	autofree char *lasting = plan_journal_path(ctx, name, true);
	autoclose int dir_fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autoclose int fd = dir_fd < 0 ? -1 : openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool is_others = (dir_fd < 0 || fd < 0) && errno == EACCES;
	enum journal_state journal = JOURNAL_NONE;
	bool is_busy = false;

	memset(state, 0, sizeof(*state));
	say(state, VM_OFF, "off");
	if (fd >= 0) {
		autofree char *path = plan_journal_path(ctx, name, false);

		is_busy = !has_lock && lock_is_held(fd, LOCK_OP) > 0;
		journal = plan_journal_state(path);
		if (lock_is_held(fd, LOCK_LIFE) > 0) {
			read_alive(dir_fd, state);
			if (journal == JOURNAL_OPEN && is_busy)
				say_busy(state, "starting");
			else if (!is_busy && !str_equal(state->status, "hung") &&
				 (journal == JOURNAL_OPEN || file_exists(lasting)))
				say_interrupted(state);
			return;
		}
	}
	if (is_others) {
		say(state, VM_UNKNOWN, "unknown");
		snprintf(state->detail, sizeof(state->detail), "its run folder is another user's");
	} else if (is_busy)
		say_busy(state, journal >= JOURNAL_STARTED ? "stopping" : "busy");
	else if (journal == JOURNAL_STARTED)
		read_ended(dir_fd, state);
	else if (journal != JOURNAL_NONE || file_exists(lasting))
		say_interrupted(state);
	else {
		autofree char *saved = str_printf("%s/saved/%s", ctx->paths.lib, name);

		if (file_exists(saved))
			say(state, VM_SAVED, "saved");
		state->has_litter = dir_fd >= 0 && !has_lock;
	}
}

void vm_state_read(struct ctx *ctx, const char *name, struct vm_state *state)
{
	read_state(ctx, name, false, state);
}

void vm_state_of(const struct vm *vm, struct vm_state *state)
{
	read_state(vm->ctx, vm->name, vm->op_fd >= 0, state);
}

/* QEMU's word for its state: 1, 0: no answer in time, -1: it is gone. Without a connection, all is asked in
 * one go. */
static int ask_status(struct vm *vm, char **word, int64_t deadline_ms)
{
	autofree char *path = str_printf("%s/qmp", vm->run_dir);
	const char *const paths[] = {path};
	struct vmf_error err = VMF_ERROR_INIT;
	int answered = 1;

	*word = NULL;
	if (!vm->qmp) {
		qmp_status_many(paths, 1, word, &answered, deadline_ms);
		return answered;
	}
	if (qmp_status(vm->qmp, word, deadline_ms, &err) < 0)
		answered = err.code == VMF_E_TIMEOUT ? 0 : -1;
	error_clear(&err);
	return answered;
}

void vm_state_ask(struct vm *vm, struct vm_state *state, int64_t deadline_ms)
{
	autofree char *word = NULL;
	int answered;

	vm_state_of(vm, state);
	if (state->phase != VM_ALIVE || str_equal(state->status, "hung"))
		return;
	answered = ask_status(vm, &word, deadline_ms);
	if (answered > 0 && !str_equal(vm_status_word(word), state->status)) {
		say(state, VM_ALIVE, vm_status_word(word));
		if (!str_equal(word, "io-error"))
			state->detail[0] = '\0';
	}
	if (answered > 0)
		return;
	vm_qmp_close(vm);
	if (answered == 0) {
		say(state, VM_ALIVE, "hung");
		snprintf(state->detail, sizeof(state->detail), "QEMU (pid %d) does not answer",
			(int)state->pid);
	} else { /* it ended meanwhile, perhaps */
		vm_state_of(vm, state);
	}
}

int vm_need_alive(struct vm *vm, struct vm_state *state, struct vmf_error *err)
{
	autofree char *hint = NULL;
	struct vm_state mine;

	if (!state)
		state = &mine;
	vm_state_of(vm, state);
	if (state->phase == VM_ALIVE)
		return 0;
	hint = str_printf(state->phase == VM_CRASHED ? "`vmf %s log` has QEMU's last words"
						     : "`vmf %s start` starts it",
		vm->name);
	return vmf_fail(
		err, VMF_E_STATE, 0, hint, "vm \"%s\" is not running, it is %s", vm->name, state->status);
}

int vm_need_off(struct vm *vm, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_of(vm, &state);
	if (state.phase == VM_ALIVE || state.phase == VM_STARTING)
		return vmf_fail(err, VMF_E_STATE, 0, "`stop` or `shutdown` it first", "vm \"%s\" is %s",
			vm->name, state.status);
	return 0;
}

int vm_need_unlocked(struct vm *vm, struct vmf_error *err)
{
	const struct conf_value *v;
	autofree char *hint = NULL;

	if (!vm->ctx->ends_move && move_is_marked(vm->ctx, vm->name))
		return vmf_fail(err, VMF_E_STATE, 0, "any command on it there finishes that",
			"vm \"%s\" is being moved to another host by the one that it is managed from",
			vm->name);
	if (!conf_number(vm->root, "locked"))
		return 0;
	v = conf_get(vm->root, "locked");
	hint = str_printf("`vmf %s unlock` allows changes again", vm->name);
	return vmf_fail(err, VMF_E_PERMISSION, 0, hint, "vm \"%s\" is locked (%s)", vm->name,
		conf_where(v->file, v->line));
}

/* ---- the run folder and its lock ---------------------------------------------------------- */

/*
 * Our own user, else nobody: packages put both into /etc/passwd. To ask the C library costs more than all
 * else that a look at a VM does, and loads every module of nsswitch.conf if there is no such user: as for vmf
 * on most machines.
 */
static bool find_default_user(struct vm *vm)
{
	FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *pw;
	bool found = false, is_own = false;

	while (file && !is_own && (pw = fgetpwent(file))) {
		is_own = str_equal(pw->pw_name, "vmf");
		if (!is_own && !str_equal(pw->pw_name, "nobody"))
			continue;
		vm->qemu_uid = pw->pw_uid;
		vm->qemu_gid = pw->pw_gid;
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

static int qemu_identity(struct vm *vm, struct vmf_error *err)
{
	const char *user = conf_string(vm->root, "user");
	struct passwd *pw;

	vm->qemu_uid = getuid();
	vm->qemu_gid = getgid();
	if (geteuid() != 0 || (!user && find_default_user(vm)))
		return 0;
	pw = getpwnam(user ? user : "nobody");
	if (!pw && user)
		return vmf_fail(err, VMF_E_CONFIG, 0, "`useradd --system` makes it, or set user = \"nobody\"",
			"no user \"%s\" on this machine to run QEMU as", user);
	if (!pw)
		return vmf_fail(
			err, VMF_E_MISSING, 0, "set user = ... in vmf.conf", "no user to run QEMU as");
	vm->qemu_uid = pw->pw_uid;
	vm->qemu_gid = pw->pw_gid;
	return 0;
}

int vm_run_open(struct vm *vm, bool create, struct vmf_error *err)
{
	if (vm->run_fd >= 0)
		return 0;
	/* QEMU, which may be another user, must be able to walk through: sockets and files have modes of
	 * their own */
	if (create) {
		if (qemu_identity(vm, err) < 0 || paths_create(&vm->ctx->paths, err) < 0)
			return -1;
		if (mkdir(vm->run_dir, 0711) < 0 && errno != EEXIST)
			return vmf_fail_errno(err, NULL, "cannot create %s", vm->run_dir);
	}
	vm->run_fd = open(vm->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (vm->run_fd >= 0)
		return 0;
	return create ? vmf_fail_errno(err, NULL, "%s", vm->run_dir) : -1;
}

static bool is_same(int fd, int dir_fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dir_fd, path, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void close_run(struct vm *vm)
{
	if (vm->op_fd >= 0)
		close(vm->op_fd);
	if (vm->run_fd >= 0)
		close(vm->run_fd);
	vm->op_fd = vm->run_fd = -1;
}

int vm_lock_any(struct vm *vm, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + LOCK_WAIT_MS;

	if (vm->op_fd >= 0)
		return 0;
	for (;;) {
		if (vm->run_fd >= 0)
			close(vm->run_fd);
		vm->run_fd = -1;
		if (vm_run_open(vm, true, err) < 0)
			return -1;
		vm->op_fd = openat(vm->run_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (vm->op_fd < 0 && errno != ENOENT) {
			vmf_fail_errno(err, NULL, "cannot write %s/lock", vm->run_dir);
			close_run(vm);
			return -1;
		}
		if (vm->op_fd >= 0 && lock_wait(vm->op_fd, LOCK_OP, deadline) < 0) {
			close_run(vm);
			if (errno != EAGAIN)
				return vmf_fail_errno(err, NULL, "cannot lock %s/lock", vm->run_dir);
			return vmf_fail(err, VMF_E_BUSY, 0, "try again when it has ended",
				"vm \"%s\": another vmf is at work on it", vm->name);
		}
		/* the one before us may have removed the folder while we waited */
		if (vm->op_fd >= 0 && is_same(vm->op_fd, vm->run_fd, "lock") &&
			is_same(vm->run_fd, AT_FDCWD, vm->run_dir))
			break;
		close_run(vm);
		if (time_now_ms() > deadline)
			return vmf_fail(err, VMF_E_BUSY, 0, NULL, "vm \"%s\": its run folder comes and goes",
				vm->name);
	}
	json_decref(vm->slots);
	vm->slots = NULL;
	/* what was read before may be another's VM of that name by now, or none */
	if (plan_recover(vm, err) < 0 || (!vm_is_current(vm) && vm_reload(vm, err) < 0)) {
		vmf_context(err, "vm \"%s\"", vm->name);
		vm_unlock(vm);
		return -1;
	}
	return 0;
}

int vm_lock(struct vm *vm, struct vmf_error *err)
{
	bool was_defined = vm->is_defined;

	if (vm_lock_any(vm, err) < 0)
		return -1;
	/* marked while we waited */
	if (!vm->ctx->ends_move && move_is_marked(vm->ctx, vm->name)) {
		vm_need_unlocked(vm, err);
		vm_unlock(vm);
		return -1;
	}
	if (!was_defined || vm->is_defined)
		return 0;
	vm_unlock(vm);
	return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf list` shows what there is",
		"vm \"%s\" was destroyed or renamed meanwhile", vm->name);
}

void vm_unlock(struct vm *vm)
{
	if (vm->op_fd < 0)
		return;
	log_progress_end(); /* the operation has ended */
	if (faccessat(vm->run_fd, "journal", F_OK, 0) < 0 && lock_is_held(vm->op_fd, LOCK_LIFE) == 0) {
		unlinkat(vm->run_fd, "lock", 0);
		/* not empty: somebody was quicker and is in it now */
		if (rmdir(vm->run_dir) < 0 && errno != ENOTEMPTY && errno != ENOENT)
			log_debug("cannot remove %s: %s", vm->run_dir, strerror(errno));
	}
	close_run(vm);
}

int vm_tidy(struct vm *vm, struct vmf_error *err)
{
	struct vmf_error mine = VMF_ERROR_INIT;
	struct vm_state state;

	if (vm->ctx->dry_run)
		return 0;
	vm_bound_logs(vm);
	vm_state_of(vm, &state);
	if (state.phase != VM_INTERRUPTED && !state.has_litter)
		return 0;
	if (vm_lock_any(vm, &mine) == 0) {
		vm_unlock(vm);
		return state.phase == VM_INTERRUPTED ? vm_reload(vm, err) : 0;
	}
	/* somebody who may only look */
	if (mine.code != VMF_E_PERMISSION) {
		error_move(err, &mine);
		return -1;
	}
	log_debug("vm \"%s\": %s", vm->name, mine.message);
	error_clear(&mine);
	return 0;
}

void vm_tidy_ended(struct vm *vm)
{
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct vm_state state;

	if (vm->ctx->dry_run)
		return;
	vm_state_of(vm, &state);
	if (state.phase != VM_ENDED)
		return;
	/* asked again under the lock: it may have been started meanwhile */
	if (vm_lock(vm, &quiet) == 0) {
		vm_state_of(vm, &state);
		if (state.phase == VM_ENDED)
			plan_undo_start(vm, &quiet);
		vm_unlock(vm);
	}
	if (quiet.code)
		log_debug("vm \"%s\": %s", vm->name, quiet.message);
	error_clear(&quiet);
}

/* ---- QMP and slots ------------------------------------------------------------------------ */

int vm_qmp(struct vm *vm, int64_t deadline_ms, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/qmp", vm->run_dir);

	if (vm->qmp)
		return 0;
	vm->qmp = qmp_open(path, deadline_ms, err);
	return vm->qmp ? 0 : vmf_context(err, "vm \"%s\"", vm->name);
}

void vm_qmp_close(struct vm *vm)
{
	qmp_close(vm->qmp);
	vm->qmp = NULL;
}

int vm_slots_load(struct vm *vm)
{
	autofree char *path = str_printf("%s/slots", vm->run_dir);
	autofree char *text = NULL;

	if (vm->slots)
		return 0;
	text = file_read_at(AT_FDCWD, path, 1 << 20, NULL);
	vm->slots = text ? json_loads(text, 0, NULL) : NULL;
	return vm->slots ? 0 : -1;
}

int vm_slots_save(struct vm *vm, struct vmf_error *err)
{
	autofree char *text = json_dumps(vm->slots, JSON_COMPACT);

	if (vm->ctx->dry_run)
		return 0;
	if (vm_run_open(vm, false, err) < 0)
		return vmf_fail(err, VMF_E_STATE, 0, NULL, "vm \"%s\" has no run folder", vm->name);
	if (file_write_at(vm->run_fd, "slots", text, strlen(text), 0600) < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s/slots", vm->run_dir);
	return 0;
}
