/* SPDX-License-Identifier: ISC */
/*
 * The QMP client. One request at a time, each with an id, so that the answer to a request that was given up
 * is told from the one that is waited for. Capabilities are sent before the greeting has come: QEMU reads
 * them when it is ready, and a start waits once instead of twice.
 *
 * What comes from QEMU is not trusted: it may be a guest's that has broken out.
 */
#include "qemu/qmp_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"

#define CONNECT_RETRY_MS 2
#define BEGIN_MS 2000 /* how long qmp_begin() queues behind other clients */

static int check_usable(struct qmp *qmp, struct vmf_error *err)
{
	if (!qmp->is_broken)
		return 0;
	if (qmp->is_closed)
		return qmp_io_fail_closed(qmp, err);
	return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the connection to QEMU's monitor is broken");
}

static int send_request(struct qmp *qmp, const char *command, json_t *arguments, int fd, int64_t deadline_ms,
	struct vmf_error *err)
{
	json_t *request = json_pack("{s:s, s:I}", "execute", command, "id", ++qmp->last_id);
	char *text = NULL;
	int rc = -1;

	if (request && arguments)
		json_object_set(request, "arguments", arguments);
	if (request)
		text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!text)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s: arguments are no JSON", command);
	if (check_usable(qmp, err) == 0) {
		autofree char *line = str_printf("%s\n", text);

		rc = qmp_io_send(qmp, line, strlen(line), fd, deadline_ms, err);
	}
	free(text);
	return rc;
}

/* Is it the answer to ID (NULL: to a request without)? A complaint about what QEMU cannot parse has no id. */
static bool answers(const json_t *message, const json_t *id)
{
	const json_t *its = json_object_get(message, "id"), *error = json_object_get(message, "error");

	if (!error && !json_object_get(message, "return"))
		return false;
	if (its)
		return id && json_equal(its, id);
	return !id || error;
}

static int wait_answer(
	struct qmp *qmp, const json_t *id, json_t **answer, int64_t deadline_ms, struct vmf_error *err)
{
	for (;;) {
		json_t *message;

		if (qmp_io_next(qmp, false, &message, deadline_ms, err) < 0)
			return -1;
		if (json_object_get(message, "QMP"))
			qmp->got_greeting = true;
		if (answers(message, id)) {
			*answer = message;
			return 0;
		}
		json_decref(message);
		if (time_now_ms() > deadline_ms)
			return qmp_io_fail_timeout(err);
	}
}

/* What QEMU returned (new reference) to the request of our last id. */
static int wait_return(
	struct qmp *qmp, const char *command, json_t **result, int64_t deadline_ms, struct vmf_error *err)
{
	json_t *id = json_integer(qmp->last_id), *answer = NULL;
	const json_t *error;
	int rc = wait_answer(qmp, id, &answer, deadline_ms, err);

	json_decref(id);
	if (rc < 0)
		return vmf_context(err, "%s", command);
	error = json_object_get(answer, "error");
	if (error) {
		const char *words = json_string_value(json_object_get(error, "desc"));
		autofree char *text =
			qmp_io_clean(words ? words : "no reason given", words ? strlen(words) : 15);

		rc = vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s: %s", command, text);
	} else if (result) {
		*result = json_incref(json_object_get(answer, "return"));
	}
	json_decref(answer);
	return rc;
}

/* ---- opening and closing ------------------------------------------------------------------ */

struct qmp *qmp_from_fd(int fd, int death_fd)
{
	struct qmp *qmp = mem_alloc(sizeof(*qmp));
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && !(flags & O_NONBLOCK))
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	qmp_wire_init(qmp, fd, death_fd);
	return qmp;
}

static int connect_to(const char *path, int death_fd, int64_t deadline_ms, struct vmf_error *err)
{
	for (;;) {
		int fd = qmp_wire_connect(path);

		if (fd >= 0)
			return fd;
		switch (errno) {
		case EAGAIN: /* QEMU's queue of clients is short */
			break;
		case ENOENT:
		case ECONNREFUSED:
			return vmf_fail(err, VMF_E_NOT_FOUND, errno, NULL, "no QEMU listens on %s", path);
		case ENAMETOOLONG:
			return vmf_fail(err, VMF_E_FAILED, 0, "shorter folder or VM names",
				"%s is too long for a socket", path);
		default:
			return vmf_fail_errno(err, NULL, "%s", path);
		}
		if (death_fd >= 0 && proc_wait_end(death_fd, 0))
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "QEMU ended");
		if (time_now_ms() >= deadline_ms)
			return qmp_io_fail_timeout(err);
		time_sleep_ms(CONNECT_RETRY_MS);
	}
}

static int send_capabilities(struct qmp *qmp, int64_t deadline_ms, struct vmf_error *err)
{
	if (qmp->sent_capabilities)
		return 0;
	if (send_request(qmp, "qmp_capabilities", NULL, -1, deadline_ms, err) < 0)
		return -1;
	qmp->sent_capabilities = true;
	return 0;
}

static struct qmp *begin(const char *path, int death_fd, int64_t deadline_ms, struct vmf_error *err)
{
	int fd = connect_to(path, death_fd, deadline_ms, err);
	struct qmp *qmp;

	if (fd < 0)
		return NULL;
	qmp = qmp_from_fd(fd, death_fd);
	if (send_capabilities(qmp, deadline_ms, err) < 0) {
		qmp_close(qmp);
		return NULL;
	}
	return qmp;
}

struct qmp *qmp_begin(const char *path, int death_fd, struct vmf_error *err)
{
	return begin(path, death_fd, time_now_ms() + BEGIN_MS, err);
}

int qmp_finish(struct qmp *qmp, int64_t deadline_ms, struct vmf_error *err)
{
	if (send_capabilities(qmp, deadline_ms, err) < 0 ||
		wait_return(qmp, "qmp_capabilities", NULL, deadline_ms, err) < 0)
		return -1;
	if (qmp->got_greeting)
		return 0;
	qmp->is_broken = true;
	return vmf_fail(err, VMF_E_FAILED, 0, "is that socket QEMU's?", "the monitor did not greet");
}

void qmp_forget_death(struct qmp *qmp)
{
	if (qmp)
		qmp->death_fd = -1;
}

struct qmp *qmp_open(const char *path, int64_t deadline_ms, struct vmf_error *err)
{
	struct qmp *qmp = begin(path, -1, deadline_ms, err);

	if (qmp && qmp_finish(qmp, deadline_ms, err) < 0) {
		qmp_close(qmp);
		return NULL;
	}
	return qmp;
}

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	qmp_wire_free(qmp);
	free(qmp);
}

pid_t qmp_peer_pid(const struct qmp *qmp)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);

	if (getsockopt(qmp->fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0 || cred.pid <= 0)
		return -1;
	return cred.pid;
}

int qmp_fd(const struct qmp *qmp)
{
	return qmp->fd;
}

/* ---- requests ----------------------------------------------------------------------------- */

int qmp_command_fd(struct qmp *qmp, const char *command, json_t *arguments, int fd, json_t **answer,
	int64_t deadline_ms, struct vmf_error *err)
{
	int rc = send_request(qmp, command, arguments, fd, deadline_ms, err);

	json_decref(arguments);
	return rc < 0 ? -1 : wait_return(qmp, command, answer, deadline_ms, err);
}

int qmp_command(struct qmp *qmp, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ms,
	struct vmf_error *err)
{
	return qmp_command_fd(qmp, command, arguments, -1, answer, deadline_ms, err);
}

int qmp_post(struct qmp *qmp, const char *command, int64_t deadline_ms, struct vmf_error *err)
{
	return send_request(qmp, command, NULL, -1, deadline_ms, err);
}

int qmp_raw(struct qmp *qmp, const char *json_text, char **answer, int64_t deadline_ms, struct vmf_error *err)
{
	/* checked here: QEMU would wait without end for the rest of half an object */
	json_error_t where;
	json_t *request = json_loads(json_text, 0, &where), *message = NULL;
	autofree char *line = NULL;
	int rc = -1;

	if (!request)
		return vmf_fail(err, VMF_E_USAGE, 0, "such as {\"execute\": \"query-status\"}", "no JSON: %s",
			where.text);
	if (!json_is_object(request)) {
		vmf_fail(err, VMF_E_USAGE, 0, "such as {\"execute\": \"query-status\"}",
			"QMP takes one JSON object");
	} else if (check_usable(qmp, err) == 0) {
		line = str_printf("%s\n", json_text);
		rc = qmp_io_send(qmp, line, strlen(line), -1, deadline_ms, err);
		if (rc == 0)
			rc = wait_answer(qmp, json_object_get(request, "id"), &message, deadline_ms, err);
	}
	json_decref(request);
	if (rc == 0 && answer)
		*answer = str_ndup(qmp->line, qmp->line_length);
	json_decref(message);
	return rc;
}

int qmp_hmp(struct qmp *qmp, const char *line, char **text, int64_t deadline_ms, struct vmf_error *err)
{
	json_t *result = NULL, *arguments = json_pack("{s:s}", "command-line", line);
	const char *from;
	char *to;

	if (!arguments)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "the line is not UTF-8");
	if (qmp_command(qmp, "human-monitor-command", arguments, &result, deadline_ms, err) < 0)
		return -1;
	from = json_string_value(result);
	*text = to = str_dup(from ? from : "");
	for (from = *text; *from; from++)
		if (*from != '\r')
			*to++ = *from;
	*to = '\0';
	json_decref(result);
	return 0;
}

static int wait_event(struct qmp *qmp, int64_t deadline_ms, struct vmf_error *err)
{
	while (json_array_size(qmp->events) == 0) {
		json_t *message = NULL;

		if (check_usable(qmp, err) < 0 || qmp_io_next(qmp, true, &message, deadline_ms, err) < 0)
			return -1;
		json_decref(message); /* an answer that nobody waits for any more */
		if (message && time_now_ms() > deadline_ms)
			return qmp_io_fail_timeout(err);
	}
	return 0;
}

int qmp_event(struct qmp *qmp, json_t **event, int64_t deadline_ms, struct vmf_error *err)
{
	struct vmf_error mine = VMF_ERROR_INIT;

	if (wait_event(qmp, deadline_ms, &mine) < 0) {
		if (mine.code == VMF_E_TIMEOUT) /* silence is no fault of QEMU's here */
			vmf_fail(err, VMF_E_TIMEOUT, 0, NULL, "no event from QEMU in time");
		else
			vmf_fail(err, mine.code, 0, mine.hint, "%s", mine.message);
		error_clear(&mine);
		return -1;
	}
	*event = json_incref(json_array_get(qmp->events, 0));
	json_array_remove(qmp->events, 0);
	return 0;
}

int qmp_status(struct qmp *qmp, char **status, int64_t deadline_ms, struct vmf_error *err)
{
	json_t *result = NULL;
	const char *word;

	if (qmp_command(qmp, "query-status", NULL, &result, deadline_ms, err) < 0)
		return -1;
	word = json_string_value(json_object_get(result, "status"));
	if (word)
		*status = qmp_io_clean(word, strlen(word));
	json_decref(result);
	return word ? 0 : vmf_fail(err, VMF_E_FAILED, 0, NULL, "query-status: no status in QEMU's answer");
}
