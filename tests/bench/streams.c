/* SPDX-License-Identifier: ISC */
/*
 * What goes through a relay, measured from outside it: streams push SOCKET PORT MIB, streams turn SOCKET PORT
 * CLIENTS ROUNDS, streams open SOCKET PORT COUNT. A server of ours listens on the unix socket SOCKET, which
 * the relay that is to be measured leads to from TCP port PORT; PORT 0: straight to SOCKET. Prints seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 262144
#define PIECE 64

static const char *path;
static int port;
static char buffer[CHUNK];

static void fail(const char *what)
{
	fprintf(stderr, "streams: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct sockaddr_un address_of_path(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		fail("the socket's path is too long");
	strcpy(a.sun_path, path);
	return a;
}

static int dial(void)
{
	struct sockaddr_un un = address_of_path();
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, s = socket(port ? AF_INET : AF_UNIX, SOCK_STREAM, 0);

	if (s < 0 || connect(s, port ? (struct sockaddr *)&in : (struct sockaddr *)&un,
			     port ? sizeof(in) : sizeof(un)) < 0)
		fail("connect");
	if (port)
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return s;
}

static int serve(void)
{
	struct sockaddr_un un = address_of_path();
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(path);
	if (s < 0 || bind(s, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(s, 4096) < 0)
		fail(path);
	return s;
}

/* Sends MIB through, and waits until the other end has counted them. */
static void push(long mib)
{
	int listener = serve();
	long long wanted = (long long)mib << 20;
	pid_t child = fork();
	double from;
	int s, status;

	if (child == 0) {
		int c = accept(listener, NULL, NULL);
		ssize_t n;

		while ((n = read(c, buffer, sizeof(buffer))) > 0)
			wanted -= n;
		_exit(wanted != 0);
	}
	s = dial();
	from = now();
	for (long long left = wanted; left > 0;) {
		ssize_t n = write(s, buffer, left < CHUNK ? (size_t)left : CHUNK);

		if (n < 0)
			fail("write");
		left -= n;
	}
	shutdown(s, SHUT_WR);
	waitpid(child, &status, 0);
	if (status)
		fail("bytes are missing");
	printf("%.6f\n", now() - from);
}

/* Sends back what comes, of any number of connections. */
static void echo(int listener)
{
	int epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t got;

			if (fd == listener) {
				event.data.fd = accept(listener, NULL, NULL);
				epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
				continue;
			}
			got = read(fd, buffer, sizeof(buffer));
			if (got <= 0 || write(fd, buffer, (size_t)got) != got)
				close(fd);
		}
	}
}

/* CLIENTS send a piece each and wait for it, ROUNDS times. */
static void turn(int clients, long rounds)
{
	int listener = serve(), *s = calloc((size_t)clients, sizeof(*s)), epoll = epoll_create1(0);
	pid_t child = fork();
	long left = rounds * clients, *done = calloc((size_t)clients, sizeof(*done));
	double from;

	if (child == 0)
		echo(listener);
	for (int i = 0; i < clients; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = i};

		s[i] = dial();
		epoll_ctl(epoll, EPOLL_CTL_ADD, s[i], &event);
		/* the first comes and goes before it is measured: the relay has its far end then */
		if (write(s[i], buffer, PIECE) != PIECE || read(s[i], buffer, sizeof(buffer)) <= 0)
			fail("the first piece");
	}
	from = now();
	for (int i = 0; i < clients; i++)
		if (write(s[i], buffer, PIECE) != PIECE)
			fail("write");
	while (left > 0) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, 10000);

		if (n <= 0)
			fail("nothing comes back");
		for (int i = 0; i < n; i++) {
			int c = events[i].data.fd;

			if (read(s[c], buffer, PIECE) != PIECE)
				fail("read");
			left--;
			if (++done[c] < rounds && write(s[c], buffer, PIECE) != PIECE)
				fail("write");
		}
	}
	printf("%.6f\n", now() - from);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* COUNT connections, one after the other, each of which carries a piece there and back. */
static void open_many(int count)
{
	int listener = serve();
	pid_t child = fork();
	double from;

	if (child == 0)
		echo(listener);
	from = now();
	for (int i = 0; i < count; i++) {
		int s = dial();

		if (write(s, buffer, PIECE) != PIECE || read(s, buffer, sizeof(buffer)) <= 0)
			fail("a piece");
		close(s);
	}
	printf("%.6f\n", now() - from);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return fprintf(stderr, "usage: streams push|turn|open SOCKET PORT NUMBER [ROUNDS]\n"), 2;
	path = argv[2];
	port = atoi(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[1], "push") == 0)
		push(atol(argv[4]));
	else if (strcmp(argv[1], "turn") == 0)
		turn(atoi(argv[4]), argc > 5 ? atol(argv[5]) : 1000);
	else
		open_many(atoi(argv[4]));
	return 0;
}
