/* SPDX-License-Identifier: ISC */
/*
 * A disk as a raw file of the host, whatever format it has: qemu-storage-daemon shows it by FUSE. It holds
 * QEMU's locks on the image, and a lock of ours from which anybody can tell that it lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/proc.h"
#include "qemu/process.h"
#include "vm/mount.h"

#define LOCK_ALIVE 0 /* byte of the lock file */
#define START_MS 15000
#define STOP_MS 60000 /* it may have much to write */

static int check_host(char **program, struct vmf_error *err)
{
	*program = proc_find_program("qemu-storage-daemon");
	if (!*program)
		return vmf_fail(err, VMF_E_MISSING, 0, "install Debian's package qemu-system-common",
			"no program qemu-storage-daemon");
	if (access("/dev/fuse", F_OK) < 0)
		return vmf_fail(err, VMF_E_MISSING, errno,
			"`modprobe fuse`: this kernel may have it as a module", "/dev/fuse");
	return 0;
}

static int build(struct qemu_args *args, const char *slot, const struct vmf_block *block,
	const struct mount_paths *paths, struct vmf_error *err)
{
	for (size_t i = 0; i < block->n_layers; i++)
		if (!((const struct vmf_block_layer *)(const void *)((const char *)block->layers +
								     i * block->layer_stride))
				->path)
			return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "export it, and mount the file's copy",
				"its store does not say where it is on this host");
	if (qemu_args_block(args, slot, block, true, err) < 0)
		return -1;
	str_set(&args->argv.items[args->argv.count - 2], "--blockdev"); /* long options only */
	qemu_args_json(args, "--export",
		json_pack("{s:s, s:s, s:s, s:s, s:b}", "type", "fuse", "id", "disk", "node-name", slot,
			"mountpoint", paths->image, "writable", !block->readonly));
	return 0;
}

/* Until the file is there, or the program has ended and said why. */
static int wait_start(int pidfd, const struct mount_paths *paths, struct vmf_error *err)
{
	int64_t deadline = time_now_ms() + START_MS;

	while (!mount_is_at(paths->image)) {
		if (proc_wait_end(pidfd, time_now_ms() + 10)) {
			autofree char *words = qemu_log_tail(paths->log, 0, 1000);

			for (char *at = words; (at = strchr(at, '\n'));)
				*at = ';';
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "qemu-storage-daemon ended: %s",
				*words ? words : "without a word");
		}
		if (time_now_ms() > deadline || log_interrupted)
			return vmf_fail(err, log_interrupted ? VMF_E_FAILED : VMF_E_TIMEOUT, 0, NULL,
				"qemu-storage-daemon %s",
				log_interrupted ? "was interrupted" : "does not show the disk");
	}
	return 0;
}

static int spawn(
	struct qemu_args *args, const char *program, const struct mount_paths *paths, struct vmf_error *err)
{
	autoclose int log =
		open(paths->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	autoclose int image = open(paths->image, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int lock = open(paths->lock, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct qemu_spawn spawn = {.args = args,
		.program = program,
		.log_fd = log,
		.pid_fd = lock,
		.umask = 0077,
		.uid = geteuid(),
		.gid = getegid()};
	autoclose int pidfd = -1;
	pid_t pid;

	if (log < 0 || image < 0 || lock < 0 || lock_take(lock, LOCK_ALIVE) < 0) {
		vmf_fail_errno(err, NULL, "cannot write %s", paths->folder);
		if (lock >= 0)
			close(lock);
		return -1;
	}
	qemu_args_fd(args, lock);
	if (qemu_spawn(&spawn, &pid, &pidfd, err) < 0)
		return -1;
	return wait_start(pidfd, paths, err);
}

int export_start(struct vm *vm, const char *slot, const struct vmf_block *block,
	const struct mount_paths *paths, struct vmf_error *err)
{
	autofree char *program = NULL;
	struct qemu_args args;
	int rc = -1;

	(void)vm;
	if (check_host(&program, err) < 0)
		return -1;
	qemu_args_init(&args, program);
	if (build(&args, slot, block, paths, err) == 0)
		rc = spawn(&args, program, paths, err);
	qemu_args_free(&args); /* with our copy of its lock */
	return rc;
}

/* ---- its end ------------------------------------------------------------------------------ */

static bool is_locked(const struct mount_paths *paths)
{
	autoclose int fd = open(paths->lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && lock_is_held(fd, LOCK_ALIVE) > 0;
}

bool export_is_alive(const struct mount_paths *paths)
{
	return is_locked(paths);
}

/* While the lock is held, the pid is its own. */
static int open_process(const struct mount_paths *paths)
{
	autofree char *text = file_read_at(AT_FDCWD, paths->lock, 64, NULL);
	int pidfd = text && atoi(text) > 0 ? proc_pidfd(atoi(text)) : -1;

	if (pidfd >= 0 && !is_locked(paths)) {
		close(pidfd);
		pidfd = -1;
	}
	return pidfd;
}

static int end_process(const struct mount_paths *paths, struct vmf_error *err)
{
	autoclose int pidfd = -1;

	if (!is_locked(paths))
		return 0;
	pidfd = open_process(paths);
	if (pidfd < 0)
		return is_locked(paths) ? vmf_fail(err, VMF_E_FAILED, 0, "look for it by hand",
						  "qemu-storage-daemon is alive, but its pid is not known")
					: 0;
	proc_signal(pidfd, SIGCONT);
	proc_signal(pidfd, SIGTERM);
	if (proc_wait_end(pidfd, time_now_ms() + STOP_MS))
		return 0;
	log_warn("qemu-storage-daemon does not end, it is killed");
	proc_signal(pidfd, SIGKILL);
	if (proc_wait_end(pidfd, time_now_ms() + 5000))
		return 0;
	return vmf_fail(err, VMF_E_TIMEOUT, 0, "the kernel holds it: is its storage there?",
		"qemu-storage-daemon does not die");
}

int export_stop(const struct mount_paths *paths, struct vmf_error *err)
{
	const char *const files[] = {paths->image, paths->lock, paths->log};

	if (end_process(paths, err) < 0)
		return -1;
	/* one that was killed leaves its mount */
	while (mount_is_at(paths->image))
		if (umount2(paths->image, UMOUNT_NOFOLLOW) < 0)
			return vmf_fail_errno(err, "end what uses it: `fuser -vm` shows that",
				"cannot unmount %s", paths->image);
	for (size_t i = 0; i < VMF_COUNT(files); i++)
		if (unlink(files[i]) < 0 && errno != ENOENT)
			return vmf_fail_errno(err, NULL, "cannot remove %s", files[i]);
	return 0;
}
