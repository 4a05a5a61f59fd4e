/* SPDX-License-Identifier: ISC */
/* Time, processes and locks: what the kernel says of them, without trusting pids. */
#ifndef VMF_BASE_PROC_H
#define VMF_BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

int64_t time_now_ms(void); /* CLOCK_MONOTONIC */
void time_sleep_ms(int64_t ms);

/* The full path of a program in PATH (absolute names are checked as they are), or NULL. The caller frees. */
char *proc_find_program(const char *name);

/* Runs a program as plugin.h's struct vmf_run says; results are put into malloc'd memory. */
int proc_run(struct vmf_run *run, int64_t deadline_ms, struct vmf_error *err);

/* Is shown the end of what a program writes to its standard output, each time that it grows. */
struct proc_watch {
	void (*output)(void *data, const char *text);
	void *data;
};
/* The same for a program that says on its standard output how far it is: only the end of that is kept. */
int proc_run_watched(
	struct vmf_run *run, int64_t deadline_ms, const struct proc_watch *watch, struct vmf_error *err);

int proc_pidfd(pid_t pid);                   /* -1 and errno */
int proc_signal(int pidfd, int signal);      /* pidfd_send_signal(2) */
/* Waits until the process has ended (dead or a zombie): 1, or 0 at the deadline. */
int proc_wait_end(int pidfd, int64_t deadline_ms);
/* The state letter of /proc/PID/stat ('R', 'S', 'T', 'Z', ...), or 0 if there is no such process. */
char proc_state(pid_t pid);
/* Does its main thread sleep in poll(2) or the like, as that of a program does whose loop waits for events? False, too,
 * if the kernel does not tell. */
bool proc_is_polling(pid_t pid);

/*
 * Locks of open file descriptions (fcntl(2), F_OFD_SETLK): inherited across exec, gone when the last
 * copy of the fd is closed, whatever kills its holder; they can be asked for without being taken.
 */
int lock_take(int fd, off_t byte);           /* 0, or -1 with errno EAGAIN if somebody holds it */
int lock_wait(int fd, off_t byte, int64_t deadline_ms);
int lock_drop(int fd, off_t byte);
int lock_is_held(int fd, off_t byte);        /* by another description: 1, 0, or -1 */
/* A lock of this process (F_SETLK), for which the kernel knows the holder: -1 with EAGAIN and *holder (0: it cannot
 * be seen from here). It is lost as soon as any fd of the file is closed in this process: use a file of its own. */
int lock_take_named(int fd, off_t byte, pid_t *holder);

#endif
