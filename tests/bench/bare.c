/* SPDX-License-Identifier: ISC */
/*
 * What vmf is compared with: the least that has to be done to have a QEMU running, or gone.
 *
 * bare start QMP FILE: runs the command line in FILE, a word a line, until QMP at the socket QMP answers:
 * then the guest runs.
 *
 * bare quit QMP: says quit at the socket, until the process has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 256
#define FILE_MAX_BYTES 65536
#define WAIT_NS 50000	/* between bind(2), which is seen, and listen(2), which is not */
#define READY_MS 120000 /* many at once may take their time */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int connect_once(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		die(path);
	strcpy(address.sun_path, path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void say(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("write");
}

/* Reads until TEXT was seen. */
static void read_until(int fd, const char *text)
{
	static char buf[FILE_MAX_BYTES];
	static size_t length;

	while (!strstr(buf, text)) {
		ssize_t n = read(fd, buf + length, sizeof(buf) - 1 - length);

		if (n <= 0)
			die("the monitor ended");
		length += (size_t)n;
		buf[length] = '\0';
	}
}

static char **read_words(const char *path)
{
	static char text[FILE_MAX_BYTES], *words[WORDS_MAX + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	size_t n = 0;

	if (length <= 0)
		die(path);
	for (char *word = strtok(text, "\n"); word && n < WORDS_MAX; word = strtok(NULL, "\n"))
		words[n++] = word;
	close(fd);
	return words;
}

/* Waits without a busy loop, which would take from QEMU what it needs to start. */
static int connect_when_there(const char *path, int folder_watch)
{
	const struct timespec nap = {0, WAIT_NS};
	struct pollfd p = {folder_watch, POLLIN, 0};
	char events[4096];
	int fd;

	while ((fd = connect_once(path)) < 0) {
		if (access(path, F_OK) == 0)
			nanosleep(&nap, NULL);
		else if (poll(&p, 1, READY_MS) != 1 || read(folder_watch, events, sizeof(events)) < 0)
			die(path);
	}
	return fd;
}

static int start(const char *socket_path, const char *file)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char **words = read_words(file);
	int watch = inotify_init1(IN_CLOEXEC), fd;

	unlink(socket_path);
	snprintf(folder, sizeof(folder), "%s", socket_path);
	if (watch < 0 || inotify_add_watch(watch, dirname(folder), IN_CREATE) < 0)
		die(socket_path);
	if (vfork() == 0) {
		setsid(); /* as vmf does: the scheduler may share the machine by sessions */
		execvp(words[0], words);
		_exit(127);
	}
	fd = connect_when_there(socket_path, watch);
	/* QEMU has let the guest run before it answers anything; to ask for the state would only take longer
	 */
	say(fd, "{\"execute\": \"qmp_capabilities\"}\n");
	read_until(fd, "\"return\"");
	return 0;
}

static int quit(const char *socket_path)
{
	int fd = connect_once(socket_path), pidfd;
	struct ucred peer;
	socklen_t length = sizeof(peer);
	struct pollfd p = {.events = POLLIN};

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		die(socket_path);
	pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	if (pidfd < 0)
		die("pidfd_open");
	say(fd, "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"quit\"}\n");
	p.fd = pidfd;
	while (poll(&p, 1, 60000) < 0 && errno == EINTR)
		;
	return p.revents ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "start") == 0)
		return start(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "quit") == 0)
		return quit(argv[2]);
	fprintf(stderr, "usage: bare start QMP FILE | bare quit QMP\n");
	return 2;
}
