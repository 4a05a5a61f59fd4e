/* SPDX-License-Identifier: ISC */
#include "forward.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Ports that are chosen: below those that the kernel gives to outgoing connections (32768 and up). */
#define CHOSEN_FROM 20000
#define CHOSEN_COUNT 12000

/* ---- notation ----------------------------------------------------------------------------- */

/* A port at TEXT; empty or 0 is 0 if MAY_BE_FREE. -1: none. */
static int parse_port(const char *text, bool may_be_free)
{
	char *end;
	long port;

	if (!*text)
		return may_be_free ? 0 : -1;
	if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 5)
		return -1;
	port = strtol(text, &end, 10);
	return port > 65535 || (port == 0 && !may_be_free) ? -1 : (int)port;
}

static bool parse_address(const char *text, char address[16])
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	snprintf(address, 16, "%s", text);
	return true;
}

static const char *set(
	struct forward *f, const char *host, const char *port, const char *guest, const char *guest_port)
{
	int number = parse_port(port, true), guest_number = parse_port(guest_port, false);

	if (number < 0)
		return "this host's port is not a number from 0 to 65535 (0: a free one)";
	if (guest_number < 0)
		return "the guest's port is not a number from 1 to 65535";
	if (host && *host && !parse_address(host, f->host))
		return "this host's address is not of the form 192.0.2.1";
	if (guest && *guest && !parse_address(guest, f->guest))
		return "the guest's address is not of the form 10.0.2.15";
	f->host_port = (uint16_t)number;
	f->guest_port = (uint16_t)guest_number;
	return NULL;
}

/* Cuts TEXT at each colon; the number of parts, 5 for more than 4. */
static size_t split(char *text, char *parts[4])
{
	size_t n = 0;

	while (text) {
		char *colon = strchr(text, ':');

		if (n == 4)
			return 5;
		if (colon)
			*colon++ = '\0';
		parts[n++] = text;
		text = colon;
	}
	return n;
}

static const char *parse_qemu(char *left, char *right, struct forward *f)
{
	char *here[4], *there[4];
	size_t n = split(left, here), m = split(right, there);

	if (n > 2 || m > 2)
		return "too many colons";
	return set(f, n == 2 ? here[0] : NULL, here[n - 1], m == 2 ? there[0] : NULL, there[m - 1]);
}

const char *forward_parse(const char *text, struct forward *f)
{
	char copy[FORWARD_LENGTH], *parts[4], *dash, *rest = copy;

	memset(f, 0, sizeof(*f));
	strcpy(f->host, "127.0.0.1");
	if (strlen(text) >= sizeof(copy))
		return "it is too long";
	strcpy(copy, text);
	f->is_udp = strncmp(copy, "udp:", 4) == 0;
	if (f->is_udp || strncmp(copy, "tcp:", 4) == 0)
		rest = copy + 4;
	else if (isalpha((unsigned char)copy[0]))
		return "the protocol is neither tcp nor udp";
	dash = strchr(rest, '-');
	if (dash) {
		*dash++ = '\0';
		return parse_qemu(rest, dash, f);
	}
	switch (split(rest, parts)) {
	case 2:
		return set(f, NULL, parts[0], NULL, parts[1]);
	case 3:
		return set(f, parts[0], parts[1], NULL, parts[2]);
	case 4:
		return set(f, parts[0], parts[1], parts[2], parts[3]);
	}
	return "it has no two ports";
}

void forward_format(const struct forward *f, char text[FORWARD_LENGTH])
{
	snprintf(text, FORWARD_LENGTH, "%s:%s:%u-%s:%u", f->is_udp ? "udp" : "tcp", f->host, f->host_port,
		f->guest, f->guest_port);
}

/* ---- ports of this host ------------------------------------------------------------------- */

int forward_try(const struct forward *f)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(f->host_port)};
	int s = socket(AF_INET, (f->is_udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0), one = 1,
	    errnum = 0;

	if (s < 0)
		return errno;
	inet_pton(AF_INET, f->host, &address.sin_addr);
	/* as QEMU does it: a connection that has just ended does not hold the port */
	if (!f->is_udp)
		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 || (!f->is_udp && listen(s, 1) < 0))
		errnum = errno;
	close(s);
	return errnum;
}

uint16_t forward_choose(const struct forward *f, const char *seed)
{
	struct forward candidate = *f;
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const unsigned char *at = (const unsigned char *)seed; *at; at++)
		hash = (hash ^ *at) * 16777619u;
	hash = (hash ^ f->guest_port) * 16777619u;
	hash = (hash ^ (f->guest_port >> 8)) * 16777619u;
	for (uint32_t i = 0; i < CHOSEN_COUNT; i++) {
		/* a step that has no factor in common with the count visits all of them */
		candidate.host_port =
			(uint16_t)(CHOSEN_FROM + (hash % CHOSEN_COUNT + i * 7919u) % CHOSEN_COUNT);
		if (forward_try(&candidate) == 0)
			return candidate.host_port;
	}
	return 0;
}

bool forward_same_port(const struct forward *a, const struct forward *b)
{
	bool both = strcmp(a->host, b->host) == 0 || strcmp(a->host, "0.0.0.0") == 0 ||
		    strcmp(b->host, "0.0.0.0") == 0;

	return a->host_port && a->host_port == b->host_port && a->is_udp == b->is_udp && both;
}
