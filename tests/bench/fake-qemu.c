/* SPDX-License-Identifier: ISC */
/*
 * A stand-in for QEMU: takes any command line, answers QMP on the monitors that are named there by fd, keeps
 * the event log, and ends when told to. It shows what vmf itself costs, and what vmf does about a QEMU that
 * behaves badly.
 *
 *     -chardev socket,id=ID,fd=N[,logfile=/dev/fdset/K]   -mon chardev=ID,mode=control   -add-fd fd=N,set=K
 * -S
 *
 * FAKE_QEMU in the environment asks for a fault: "hang" never answers, "garbage" answers no QMP, "die" ends
 * before it has answered, "refuse" answers every command but qmp_capabilities with an error, "slow" takes
 * half a second for each answer, "deaf" ignores system_powerdown.
 */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MONITORS_MAX 8
#define CLIENTS_MAX 64
#define SETS_MAX 64

static const char greeting[] = "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": "
			       "7}, \"package\": \"fake\"}, "
			       "\"capabilities\": [\"oob\"]}}\r\n";

static struct monitor {
	char id[32];
	int fd, log_fd;
	bool is_qmp;
} monitors[MONITORS_MAX];
static size_t n_monitors;

static struct client {
	int fd;
	struct monitor *monitor;
	bool is_ready; /* has negotiated: gets events */
	char line[65536];
	size_t length;
} * clients[CLIENTS_MAX];
static size_t n_clients;

static int set_fds[SETS_MAX];
static const char *status = "running";
static const char *fault = "";
static volatile sig_atomic_t was_told_to_end;

static void on_term(int signal)
{
	(void)signal;
	was_told_to_end = 1;
}

static void put(int fd, const char *text, size_t length)
{
	if (fd >= 0 && send(fd, text, length, MSG_NOSIGNAL) < 0 && write(fd, text, length) < 0)
		return;
}

__attribute__((format(printf, 2, 3))) static void say(struct client *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put(c->fd, text, (size_t)n);
	put(c->monitor->log_fd, text, (size_t)n);
}

static void event(const char *name, const char *data)
{
	char text[512];
	struct timeval now;
	int n;

	gettimeofday(&now, NULL);
	n = snprintf(text, sizeof(text),
		"{\"timestamp\": {\"seconds\": %ld, \"microseconds\": %ld}, \"event\": \"%s\"%s%s}\r\n",
		(long)now.tv_sec, (long)now.tv_usec, name, *data ? ", \"data\": " : "", data);
	for (size_t i = 0; i < n_clients; i++)
		if (clients[i]->is_ready)
			put(clients[i]->fd, text, (size_t)n);
	for (size_t i = 0; i < n_monitors; i++)
		put(monitors[i].log_fd, text, (size_t)n);
}

static void end(const char *data)
{
	event("SHUTDOWN", data);
	exit(0);
}

/* The text behind "key": in LINE, up to what ends a value; a string's quotes are kept. */
static void value_of(const char *line, const char *key, char *value, size_t size)
{
	char quoted[40];
	const char *at;
	size_t n;

	snprintf(quoted, sizeof(quoted), "\"%s\"", key);
	at = strstr(line, quoted);
	*value = '\0';
	if (!at)
		return;
	at += strlen(quoted);
	at += strspn(at, ": ");
	n = *at == '"' ? strcspn(at + 1, "\"") + 2 : strcspn(at, ",} \r\n");
	if (n < size) {
		memcpy(value, at, n);
		value[n] = '\0';
	}
}

static void set_status(const char *word, const char *event_name)
{
	status = word;
	event(event_name, "");
}

/* One request. Returns false when the fake is to end after it. */
static bool answer(struct client *c, const char *line)
{
	char command[64], id[64], tail[80] = "", result[128] = "{}";
	bool goes_on = true;

	value_of(line, "execute", command, sizeof(command));
	value_of(line, "id", id, sizeof(id));
	if (*id)
		snprintf(tail, sizeof(tail), ", \"id\": %s", id);
	if (strcmp(fault, "slow") == 0)
		usleep(500000);
	if (strcmp(fault, "refuse") == 0 && strcmp(command, "\"qmp_capabilities\"") != 0) {
		say(c, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"the fake refuses\"}%s}\r\n",
			tail);
		return true;
	}
	if (strcmp(command, "\"qmp_capabilities\"") == 0)
		c->is_ready = true;
	else if (strcmp(command, "\"query-status\"") == 0)
		snprintf(result, sizeof(result),
			"{\"status\": \"%s\", \"singlestep\": false, \"running\": %s}", status,
			strcmp(status, "running") == 0 ? "true" : "false");
	else if (strcmp(command, "\"stop\"") == 0)
		set_status("paused", "STOP");
	else if (strcmp(command, "\"cont\"") == 0)
		set_status("running", "RESUME");
	else if (strcmp(command, "\"human-monitor-command\"") == 0)
		snprintf(result, sizeof(result), "\"fake\\r\\n\"");
	else if (strncmp(command, "\"query-", 7) == 0)
		snprintf(result, sizeof(result), "[]");
	else if (strcmp(command, "\"quit\"") == 0)
		goes_on = false;
	say(c, "{\"return\": %s%s}\r\n", result, tail);
	if (strcmp(command, "\"system_powerdown\"") == 0) {
		event("POWERDOWN", "");
		if (strcmp(fault, "deaf") != 0)
			end("{\"guest\": true, \"reason\": \"guest-shutdown\"}");
	}
	return goes_on;
}

static void accept_client(struct monitor *m)
{
	int fd = accept(m->fd, NULL, NULL);
	struct client *c;

	if (fd < 0 || n_clients == CLIENTS_MAX) {
		close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		exit(1);
	c->fd = fd;
	c->monitor = m;
	clients[n_clients++] = c;
	if (strcmp(fault, "die") == 0)
		exit(1);
	if (strcmp(fault, "garbage") == 0)
		say(c, "HTTP/1.1 400 Bad Request\r\n\r\n");
	else if (m->is_qmp && strcmp(fault, "hang") != 0)
		say(c, "%s", greeting);
}

/* Returns false when the client has gone. */
static bool read_client(struct client *c)
{
	char *newline;
	ssize_t n = read(c->fd, c->line + c->length, sizeof(c->line) - 1 - c->length);

	if (n <= 0)
		return false;
	c->length += (size_t)n;
	c->line[c->length] = '\0';
	while ((newline = strchr(c->line, '\n'))) {
		*newline = '\0';
		if (c->monitor->is_qmp && strcmp(fault, "hang") != 0 && strcmp(fault, "garbage") != 0 &&
			!answer(c, c->line))
			end("{\"guest\": false, \"reason\": \"host-qmp-quit\"}");
		c->length -= (size_t)(newline + 1 - c->line);
		memmove(c->line, newline + 1, c->length + 1);
	}
	return c->length < sizeof(c->line) - 1;
}

/* The number or word behind "key=" in a list that is parted by commas. */
static const char *find_key(const char *list, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == '=')
			return p + n + 1;
	return NULL;
}

static void add_monitor(const char *value)
{
	const char *id = find_key(value, "id"), *fd = find_key(value, "fd"),
		   *log = find_key(value, "logfile");
	struct monitor *m = &monitors[n_monitors];
	unsigned set = 0;

	if (strncmp(value, "socket,", 7) != 0 || !id || !fd || n_monitors == MONITORS_MAX)
		return;
	snprintf(m->id, sizeof(m->id), "%.*s", (int)strcspn(id, ","), id);
	m->fd = atoi(fd);
	m->log_fd = -1;
	if (log && sscanf(log, "/dev/fdset/%u", &set) == 1 && set < SETS_MAX)
		m->log_fd = set_fds[set];
	if (listen(m->fd, 64) == 0)
		n_monitors++;
}

static void read_arguments(char **argv)
{
	for (char **a = argv + 1; a[0] && a[1]; a++) {
		const char *set = find_key(a[1], "set"), *fd = find_key(a[1], "fd");

		if (strcmp(a[0], "-add-fd") == 0 && set && fd && atoi(set) > 0 && atoi(set) < SETS_MAX)
			set_fds[atoi(set)] = atoi(fd);
	}
	for (char **a = argv + 1; *a; a++) {
		if (strcmp(a[0], "-chardev") == 0 && a[1])
			add_monitor(a[1]);
		if (strcmp(a[0], "-S") == 0)
			status = "prelaunch";
	}
	for (char **a = argv + 1; a[0] && a[1]; a++) {
		const char *id = find_key(a[1], "chardev");

		for (size_t i = 0; strcmp(a[0], "-mon") == 0 && id && i < n_monitors; i++)
			if (strlen(monitors[i].id) == strcspn(id, ",") &&
				strncmp(monitors[i].id, id, strcspn(id, ",")) == 0)
				monitors[i].is_qmp = strstr(a[1], "mode=control") != NULL;
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_term};
	struct pollfd p[MONITORS_MAX + CLIENTS_MAX];

	(void)argc;
	if (getenv("FAKE_QEMU"))
		fault = getenv("FAKE_QEMU");
	memset(set_fds, -1, sizeof(set_fds));
	read_arguments(argv);
	sigaction(SIGTERM, &action, NULL);
	while (!was_told_to_end) {
		size_t before = n_clients;

		for (size_t i = 0; i < n_monitors; i++)
			p[i] = (struct pollfd){monitors[i].fd, POLLIN, 0};
		for (size_t i = 0; i < before; i++)
			p[n_monitors + i] = (struct pollfd){clients[i]->fd, POLLIN, 0};
		if (poll(p, n_monitors + before, -1) < 0)
			continue;
		for (size_t i = before; i-- > 0;) {
			if (!p[n_monitors + i].revents || read_client(clients[i]))
				continue;
			close(clients[i]->fd);
			free(clients[i]);
			clients[i] = clients[--n_clients];
		}
		for (size_t i = 0; i < n_monitors; i++)
			if (p[i].revents)
				accept_client(&monitors[i]);
	}
	end("{\"guest\": false, \"reason\": \"host-signal\"}");
}
