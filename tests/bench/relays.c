/* SPDX-License-Identifier: ISC */
/*
 * Relays to be measured: relays vmf|copy|uring PORT SOCKET leads from TCP port PORT of 127.0.0.1 to the unix
 * socket SOCKET, until it is killed. vmf: the engine. copy, uring: the least that could be done for one
 * connection, a process for each with reads and writes of 256 KiB, one by poll, one by io_uring.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/relay.h"

#define CHUNK 262144

static struct sockaddr_un far_address = {.sun_family = AF_UNIX};
static char buffers[2][CHUNK];

static int die(const char *what)
{
	fprintf(stderr, "relays: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_far(void *data, int client)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)data;
	(void)client;
	if (s >= 0 && connect(s, (struct sockaddr *)&far_address, sizeof(far_address)) == 0)
		return s;
	if (s >= 0)
		close(s);
	return -1;
}

static void write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n <= 0)
			_exit(0);
		data += n;
		length -= (size_t)n;
	}
}

static void copy(int a, int b)
{
	struct pollfd p[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		poll(p, 2, -1);
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			if (p[i].fd < 0 || !p[i].revents)
				continue;
			n = read(p[i].fd, buffers[0], CHUNK);
			if (n <= 0) {
				shutdown(i ? a : b, SHUT_WR);
				p[i].fd = -1;
			} else {
				write_all(i ? a : b, buffers[0], (size_t)n);
			}
		}
	}
}

/* ---- io_uring, without its library ----------------------------------------------------------- */

static struct {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring;

static void ring_open(void)
{
	struct io_uring_params p;
	char *map;

	memset(&p, 0, sizeof(p));
	ring.fd = (int)syscall(SYS_io_uring_setup, 8, &p);
	if (ring.fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
		die("io_uring");
	map = mmap(NULL, p.sq_off.array + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
		IORING_OFF_SQ_RING);
	ring.sqes = mmap(NULL, 8 * sizeof(*ring.sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		ring.fd, IORING_OFF_SQES);
	if (map == MAP_FAILED || ring.sqes == MAP_FAILED)
		die("mmap");
	ring.sq_tail = (unsigned *)(map + p.sq_off.tail);
	ring.sq_mask = (unsigned *)(map + p.sq_off.ring_mask);
	ring.sq_array = (unsigned *)(map + p.sq_off.array);
	ring.cq_head = (unsigned *)(map + p.cq_off.head);
	ring.cq_tail = (unsigned *)(map + p.cq_off.tail);
	ring.cq_mask = (unsigned *)(map + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(map + p.cq_off.cqes);
}

static void ring_put(int opcode, int fd, const char *data, size_t length, unsigned long way)
{
	unsigned tail = *ring.sq_tail, i = tail & *ring.sq_mask;

	memset(&ring.sqes[i], 0, sizeof(ring.sqes[i]));
	ring.sqes[i].opcode = (unsigned char)opcode;
	ring.sqes[i].fd = fd;
	ring.sqes[i].addr = (unsigned long)data;
	ring.sqes[i].len = (unsigned)length;
	ring.sqes[i].user_data = way;
	ring.sq_array[i] = i;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
}

static void uring(int a, int b)
{
	int fds[2] = {a, b}, open_ways = 2;
	size_t at[2] = {0, 0}, end[2] = {0, 0};
	unsigned n = 2;

	ring_open();
	for (unsigned long way = 0; way < 2; way++)
		ring_put(IORING_OP_RECV, fds[way], buffers[way], CHUNK, way);
	while (open_ways) {
		unsigned head = *ring.cq_head;

		if (syscall(SYS_io_uring_enter, ring.fd, n, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
			die("io_uring_enter");
		for (n = 0; head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE); head++) {
			struct io_uring_cqe *e = &ring.cqes[head & *ring.cq_mask];
			unsigned long way = e->user_data;

			if (e->res <= 0) {
				shutdown(fds[!way], SHUT_WR);
				open_ways--;
				continue;
			}
			if (end[way] == 0)
				end[way] = (size_t)e->res;
			else
				at[way] += (size_t)e->res;
			if (at[way] < end[way]) {
				ring_put(IORING_OP_SEND, fds[!way], buffers[way] + at[way],
					end[way] - at[way], way);
			} else {
				at[way] = end[way] = 0;
				ring_put(IORING_OP_RECV, fds[way], buffers[way], CHUNK, way);
			}
			n++;
		}
		__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);

	if (argc != 4 || strlen(argv[3]) >= sizeof(far_address.sun_path))
		return fprintf(stderr, "usage: relays vmf|copy|uring PORT SOCKET\n"), 2;
	in.sin_port = htons((uint16_t)atoi(argv[2]));
	strcpy(far_address.sun_path, argv[3]);
	signal(SIGPIPE, SIG_IGN);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(s, 1024) < 0)
		die(argv[2]);
	if (strcmp(argv[1], "vmf") == 0) {
		struct relay_options options = {.listener = s, .open = open_far, .until_fd = -1};
		struct vmf_error err = VMF_ERROR_INIT;

		return relay_run(&options, &err) < 0;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int c = accept(s, NULL, NULL), far;

		if (c < 0 || fork() != 0) {
			close(c);
			continue;
		}
		far = open_far(NULL, c);
		if (far < 0)
			die("connect");
		setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (strcmp(argv[1], "uring") == 0)
			uring(c, far);
		else
			copy(c, far);
		_exit(0);
	}
}
