/* SPDX-License-Identifier: ISC */
/*
 * What vmf is compared with: the least that has to be done to have a QEMU running, or gone.
 *
 *     bare start QMP FILE   runs the command line in FILE (a word a line), until QMP at the socket QMP says
 * that the guest runs bare quit QMP         says quit at the socket, until the process has ended
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS_MAX 256
#define FILE_MAX_BYTES 65536
#define WAIT_NS 100000 /* between two looks for the socket */
#define TRIES_MAX 300000

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

static int start(const char *socket_path, const char *file)
{
	const struct timespec wait = {0, WAIT_NS};
	char **words = read_words(file);
	pid_t pid;
	int fd = -1;

	unlink(socket_path);
	pid = vfork();
	if (pid == 0) {
		execvp(words[0], words);
		_exit(127);
	}
	for (int i = 0; fd < 0 && i < TRIES_MAX; i++) {
		fd = connect_once(socket_path);
		if (fd < 0 && waitpid(pid, NULL, WNOHANG) == pid)
			die("QEMU ended");
		if (fd < 0)
			nanosleep(&wait, NULL);
	}
	if (fd < 0)
		die(socket_path);
	say(fd, "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"query-status\"}\n");
	read_until(fd, "\"status\": \"running\"");
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
