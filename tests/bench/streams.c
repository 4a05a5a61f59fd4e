/* SPDX-License-Identifier: ISC */
/*
 * What goes through a relay, measured from outside it: streams push SOCKET PORT MIB PID, streams turn SOCKET
 * PORT CLIENTS ROUNDS PID, streams open SOCKET PORT COUNT PID. streams screen - PORT
 * COUNT 0 takes COUNT pictures from the VNC server on PORT. A server of ours listens on the unix socket
 * SOCKET, which the relay that is to be measured, process PID, leads to from TCP port PORT; PORT 0: straight
 * to SOCKET. Prints seconds, those of the processor that the relay and its children had, and the KiB of
 * memory that they hold.
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
static int port, relay;
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

/* ---- the relay ------------------------------------------------------------------------------ */

/* Of PID and of its children that are gone. */
static double cpu_of(int pid)
{
	char name[64];
	long user = 0, system = 0, gone_user = 0, gone_system = 0;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	file = fopen(name, "re");
	if (!file || fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld %ld %ld",
			     &user, &system, &gone_user, &gone_system) != 4)
		return 0;
	fclose(file);
	return (double)(user + system + gone_user + gone_system) / (double)sysconf(_SC_CLK_TCK);
}

static long memory_of(int pid)
{
	char name[64], text[256];
	long kib = 0, n;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/smaps_rollup", pid);
	file = fopen(name, "re");
	while (file && fgets(text, sizeof(text), file))
		if (sscanf(text, "Pss: %ld", &n) == 1)
			kib = n;
	if (file)
		fclose(file);
	snprintf(name, sizeof(name), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(name, "re");
	while (file && fscanf(file, "%ld", &n) == 1)
		kib += memory_of((int)n);
	if (file)
		fclose(file);
	return kib;
}

/* The relay has to see that it has ended, and its own children. */
static void report(double seconds, double cpu_before, long kib)
{
	usleep(100000);
	printf("%.6f %.3f %ld\n", seconds, cpu_of(relay) - cpu_before, kib);
}

/* ---- both ends ------------------------------------------------------------------------------ */

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
	double from, cpu = cpu_of(relay);
	int s, status;
	long kib;

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
	kib = memory_of(relay);
	shutdown(s, SHUT_WR);
	waitpid(child, &status, 0);
	if (status)
		fail("bytes are missing");
	from = now() - from;
	close(s);
	report(from, cpu, kib);
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
	double from, cpu = cpu_of(relay);

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
	report(now() - from, cpu, memory_of(relay));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* COUNT connections, one after the other, each of which carries a piece there and back. */
static void open_many(int count)
{
	int listener = serve();
	pid_t child = fork();
	double from, cpu = cpu_of(relay);

	if (child == 0)
		echo(listener);
	from = now();
	for (int i = 0; i < count; i++) {
		int s = dial();

		if (write(s, buffer, PIECE) != PIECE || read(s, buffer, sizeof(buffer)) <= 0)
			fail("a piece");
		close(s);
	}
	report(now() - from, cpu, memory_of(relay));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* ---- a screen -------------------------------------------------------------------------------- */

static void get(int s, void *data, size_t length)
{
	if (recv(s, data, length, MSG_WAITALL) != (ssize_t)length)
		fail("the VNC server says too little");
}

static void put(int s, const void *data, size_t length)
{
	if (send(s, data, length, MSG_NOSIGNAL) != (ssize_t)length)
		fail("the VNC server takes nothing");
}

static unsigned be(const unsigned char *at, int n)
{
	unsigned value = 0;

	while (n--)
		value = value << 8 | *at++;
	return value;
}

/* One whole picture, raw. */
static void get_picture(int s, unsigned pixel)
{
	unsigned char head[12];
	unsigned n;

	get(s, head, 4);
	n = head[0] == 0 ? be(head + 2, 2) : 0;
	while (n--) {
		get(s, head, 12);
		for (size_t left = (size_t)be(head + 4, 2) * be(head + 6, 2) * pixel; left;) {
			size_t part = left < sizeof(buffer) ? left : sizeof(buffer);

			get(s, buffer, part);
			left -= part;
		}
	}
}

/* ROUNDS pictures of a VNC server; the seconds for these, and those until it greeted. */
static void screen(long rounds)
{
	static const unsigned char encodings[] = {2, 0, 0, 1, 0, 0, 0, 0};
	unsigned char data[256], request[] = {3, 0, 0, 0, 0, 0, 0, 0, 0, 0}, one = 1;
	double from = now(), greeted;
	unsigned pixel;
	int s = dial();

	get(s, data, 12);
	greeted = now() - from;
	put(s, "RFB 003.008\n", 12);
	get(s, data, 1);
	get(s, data + 1, data[0]);
	put(s, &one, 1);
	get(s, data, 4);
	if (be(data, 4))
		fail("the VNC server lets us not in");
	put(s, &one, 1);
	get(s, data, 24);
	memcpy(request + 6, data, 4);
	pixel = data[4] / 8;
	get(s, buffer, be(data + 20, 4));
	put(s, encodings, sizeof(encodings));
	from = now();
	for (long i = 0; i < rounds; i++) {
		put(s, request, sizeof(request));
		get_picture(s, pixel);
	}
	printf("%.6f %.6f\n", now() - from, greeted);
}

int main(int argc, char **argv)
{
	if (argc < 6 || (argc < 7 && strcmp(argv[1], "turn") == 0))
		return fprintf(stderr,
			       "usage: streams push|turn|open|screen SOCKET PORT NUMBER [ROUNDS] PID\n"),
		       2;
	path = argv[2];
	relay = atoi(argv[argc - 1]);
	port = atoi(argv[3]);
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[1], "push") == 0)
		push(atol(argv[4]));
	else if (strcmp(argv[1], "turn") == 0)
		turn(atoi(argv[4]), atol(argv[5]));
	else if (strcmp(argv[1], "screen") == 0)
		screen(atol(argv[4]));
	else
		open_many(atoi(argv[4]));
	return 0;
}
