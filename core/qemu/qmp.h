/* SPDX-License-Identifier: ISC */
/*
 * A QMP client: one connection, deadlines on everything, JSON by jansson. Deadlines are times of time_now_ms();
 * one that has passed takes what is there and does not wait.
 * https://qemu-project.gitlab.io/qemu/interop/qmp-spec.html
 */
#ifndef VMF_QEMU_QMP_H
#define VMF_QEMU_QMP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct qmp;

/*
 * Connects to the unix socket, reads the greeting, negotiates. VMF_E_NOT_FOUND: nobody listens;
 * VMF_E_TIMEOUT: no answer in time (QEMU hangs, or another client holds the monitor).
 * NULL and err on failure.
 */
struct qmp *qmp_open(const char *path, int64_t deadline_ms, struct vmf_error *err);
/* Connects and sends qmp_capabilities, but reads nothing yet: for start, where QEMU is still on its way.
 * DEATH_FD (or -1; the caller's) is a pidfd: if it becomes readable while waiting, calls fail with VMF_E_FAILED
 * "QEMU ended". */
struct qmp *qmp_begin(const char *path, int death_fd, struct vmf_error *err);
int qmp_finish(struct qmp *qmp, int64_t deadline_ms, struct vmf_error *err);
/* From now on DEATH_FD is not looked at: to be called before it is closed. NULL is fine. */
void qmp_forget_death(struct qmp *qmp);
/* Over a socket that is connected already (tests, fuzzing, forwarded sockets); owned from now on. qmp_finish() is
 * next. */
struct qmp *qmp_from_fd(int fd, int death_fd);
void qmp_close(struct qmp *qmp); /* NULL is fine */

/* The peer's pid by SO_PEERCRED, or -1. */
pid_t qmp_peer_pid(const struct qmp *qmp);
int qmp_fd(const struct qmp *qmp);

/*
 * Runs a command and waits for its answer. ARGUMENTS is consumed (may be NULL). *ANSWER (may be NULL)
 * gets a new reference to the return value. QEMU's own error: VMF_E_FAILED with QEMU's text.
 * Events that arrive meanwhile are kept for qmp_event().
 */
int qmp_command(struct qmp *qmp, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ms,
	struct vmf_error *err);
/* Sends a command whose answer nobody waits for: quit. Right after qmp_begin(), too, before QEMU has greeted. */
int qmp_post(struct qmp *qmp, const char *command, int64_t deadline_ms, struct vmf_error *err);
/* The same with an fd passed along (SCM_RIGHTS), as getfd wants it; FD stays the caller's. */
int qmp_command_fd(struct qmp *qmp, const char *command, json_t *arguments, int fd, json_t **answer,
	int64_t deadline_ms, struct vmf_error *err);
/* A person's line, one JSON object, sent as it is: QEMU's whole answer ({"return": ...}, {"error": ...}) as text,
 * newline-free; an error of QEMU's is an answer, too. VMF_E_USAGE: no JSON. The caller frees. */
int qmp_raw(struct qmp *qmp, const char *json_text, char **answer, int64_t deadline_ms, struct vmf_error *err);
/* human-monitor-command; the caller frees *text. */
int qmp_hmp(struct qmp *qmp, const char *line, char **text, int64_t deadline_ms, struct vmf_error *err);
/* The next event (new reference): kept ones first (the last 1024). 0, or -1 with VMF_E_TIMEOUT, VMF_E_NOT_FOUND
 * (closed). The person's ^C ends the wait: VMF_E_FAILED. */
int qmp_event(struct qmp *qmp, json_t **event, int64_t deadline_ms, struct vmf_error *err);
/* query-status' word: "running", "paused", "io-error", ...; the caller frees. */
int qmp_status(struct qmp *qmp, char **status, int64_t deadline_ms, struct vmf_error *err);

/*
 * Asks many VMs for query-status side by side: paths[i] -> status[i] (malloc'd word; NULL: no answer
 * within the deadline or nobody there, told apart by answered[i] = 0 or -1; else it is 1). One poll loop.
 */
void qmp_status_many(const char *const *paths, size_t count, char **status, int *answered, int64_t deadline_ms);

/* ---- the event log ------------------------------------------------------------------------ */

/*
 * QEMU's second QMP monitor copies everything that it says into a log file, whether somebody is connected
 * or not (its chardev has logfile=), so the last state can be read without asking QEMU and without a
 * daemon. The file grows by some 100 bytes an event. A start is no event: whoever opens the monitor should ask
 * it for qmp_status() once, as the answer is in the log from then on and counts as a state.
 */
struct qmp_last {
	char status[24];   /* query-status' words: running, paused, io-error, shutdown, suspended, ... or "" */
	int64_t when_us;   /* since the epoch; 0: not known */
	char detail[160];  /* io-error: the device and QEMU's reason; shutdown: the reason */
	bool guest_shutdown, guest_panicked, host_quit; /* how it ended, if a SHUTDOWN or GUEST_PANICKED stands last */
};

/* Reads the tail of the log. Missing, empty, or nothing in its last MiB: status "". Returns 0, or -1 with errno. */
int qmp_last_state(int dir_fd, const char *name, struct qmp_last *last);

#endif
