/* SPDX-License-Identifier: ISC */
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define BACKLOG 1024

/* ---- text --------------------------------------------------------------------------------- */

static bool parse_address(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
	struct sockaddr_in *four = (struct sockaddr_in *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
		address->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1)
		address->ss_family = AF_INET6;
	return address->ss_family != 0;
}

/* A number of decimal digits alone, at most MOST; -1: none. */
static long parse_number(const char *text, size_t length, long most)
{
	long n = 0;

	if (length == 0 || length > 5)
		return -1;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + text[i] - '0';
	}
	return n > most ? -1 : n;
}

int net_parse_range(const char *text, struct net_range *range, struct vmf_error *err)
{
	size_t n = strcspn(text, "/");
	autofree char *address = str_ndup(text, n);
	bool is_address = parse_address(address, &range->address);
	long most = range->address.ss_family == AF_INET ? 32 : 128;
	long bits = text[n] ? parse_number(text + n + 1, strlen(text + n + 1), most) : most;

	if (!is_address || bits < 0)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
			"\"%s\" is no address", text);
	range->bits = (unsigned)bits;
	return 0;
}

int net_parse_ports(const char *text, struct net_ports *ports, struct vmf_error *err)
{
	size_t n = strcspn(text, "-");
	long first = parse_number(text, n, 65535);
	long last = text[n] ? parse_number(text + n + 1, strlen(text + n + 1), 65535) : first;

	if (first < 0 || last < 0 || last < first || (first == 0 && last != 0))
		return vmf_fail(err, VMF_E_USAGE, 0,
			"as in 5900, or 5900-5999 for the first free one; 0: any free one",
			"\"%s\" is no port from 1 to 65535, nor a range of these", text);
	*ports = (struct net_ports){(uint16_t)first, (uint16_t)last};
	return 0;
}

uint16_t net_port(const struct sockaddr *address)
{
	return ntohs(address->sa_family == AF_INET ? ((const struct sockaddr_in *)address)->sin_port
						   : ((const struct sockaddr_in6 *)address)->sin6_port);
}

/* The IPv4 address in IPv6's clothes, or NULL. */
static const void *mapped(const struct sockaddr *address)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

	return address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)
		       ? &six->sin6_addr.s6_addr[12]
		       : NULL;
}

char *net_address_text(const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN] = "?";

	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, sizeof(text));
	else if (mapped(address))
		inet_ntop(AF_INET, mapped(address), text, sizeof(text));
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, sizeof(text));
	return str_dup(text);
}

char *net_text(const struct sockaddr *address)
{
	autofree char *text = net_address_text(address);

	return str_printf(strchr(text, ':') ? "[%s]:%u" : "%s:%u", text, net_port(address));
}

/* ---- ranges ------------------------------------------------------------------------------- */

/* The bytes of an address, IPv4's if it is one in any clothes. */
static const unsigned char *bytes_of(const struct sockaddr *address, int *family)
{
	const void *four = address->sa_family == AF_INET ? &((const struct sockaddr_in *)address)->sin_addr
							 : mapped(address);

	*family = four ? AF_INET : AF_INET6;
	return four ? four : &((const struct sockaddr_in6 *)address)->sin6_addr;
}

bool net_in_range(const struct net_range *range, const struct sockaddr *peer)
{
	unsigned whole = range->bits / 8, rest = range->bits % 8;
	const unsigned char *a, *b;
	int family;

	if (range->address.ss_family == AF_INET) {
		a = (const unsigned char *)&((const struct sockaddr_in *)&range->address)->sin_addr;
		b = bytes_of(peer, &family);
		if (family != AF_INET)
			return false;
	} else {
		a = ((const struct sockaddr_in6 *)&range->address)->sin6_addr.s6_addr;
		b = ((const struct sockaddr_in6 *)peer)->sin6_addr.s6_addr;
		if (peer->sa_family != AF_INET6)
			return false;
	}
	if (memcmp(a, b, whole) != 0)
		return false;
	return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* ---- listening ---------------------------------------------------------------------------- */

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

static int listen_on(const struct sockaddr_storage *address)
{
	socklen_t length =
		address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int one = 1, s = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), saved;

	if (s < 0)
		return -1;
	/* connections of an earlier one may still be ending */
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (const struct sockaddr *)address, length) == 0 && listen(s, BACKLOG) == 0)
		return s;
	saved = errno;
	close(s);
	errno = saved;
	return -1;
}

static int fail_listen(const char *address, struct net_ports ports, struct vmf_error *err)
{
	if (errno == EADDRNOTAVAIL)
		return vmf_fail(err, VMF_E_USAGE, 0, "`ip address` shows those that it has",
			"%s is no address of this machine", address);
	if (errno == EACCES && ports.first < 1024)
		return vmf_fail(err, VMF_E_PERMISSION, 0, "choose one from 1024 on",
			"port %u is not for ordinary users", ports.first);
	if (errno != EADDRINUSE)
		return vmf_fail_errno(err, NULL, "cannot listen on %s, port %u", address, ports.first);
	if (ports.first == ports.last)
		return vmf_fail(err, VMF_E_BUSY, 0, "choose another, or a range for the first free one",
			"port %u of %s is taken", ports.first, address);
	return vmf_fail(err, VMF_E_BUSY, 0, "choose a wider range, or 0 for any free one",
		"all ports from %u to %u of %s are taken", ports.first, ports.last, address);
}

int net_listen(
	const char *address, struct net_ports ports, struct sockaddr_storage *bound, struct vmf_error *err)
{
	socklen_t length = sizeof(*bound);
	int s = -1;

	if (!parse_address(address, bound))
		return vmf_fail(err, VMF_E_USAGE, 0,
			"as in 127.0.0.1, ::1, or 0.0.0.0 for all of this machine", "\"%s\" is no address",
			address);
	for (unsigned port = ports.first; s < 0 && port <= ports.last; port++) {
		set_port(bound, (uint16_t)port);
		s = listen_on(bound);
		if (s < 0 && errno != EADDRINUSE)
			break;
	}
	if (s < 0)
		return fail_listen(address, ports, err);
	if (getsockname(s, (struct sockaddr *)bound, &length) == 0)
		return s;
	close(s);
	return vmf_fail_errno(err, NULL, "getsockname");
}

/* ---- whose ------------------------------------------------------------------------------- */

static bool is_loopback(const struct sockaddr *peer)
{
	int family;
	const unsigned char *b = bytes_of(peer, &family);

	return family == AF_INET ? b[0] == 127 : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)b);
}

/* The address as the kernel's tables have it: words as they lie in memory. */
static void table_text(const unsigned char *bytes, size_t n_words, uint16_t port, char text[48])
{
	size_t n = 0;

	for (size_t i = 0; i < n_words; i++) {
		uint32_t word;

		memcpy(&word, bytes + 4 * i, sizeof(word));
		n += (size_t)snprintf(text + n, 48 - n, "%08X", word);
	}
	snprintf(text + n, 48 - n, ":%04X", port);
}

/* Looks for the socket whose own end is LOCAL and whose other end has our port: 1, and its user; -1: it has
 * none. */
static int look_up(const char *table, const char *local, uint16_t port, uid_t *uid)
{
	FILE *file = fopen(table, "re");
	char line[512], own[48];
	unsigned other_port, user;
	unsigned long inode;
	int found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		if (sscanf(line, " %*d: %47s %*[0-9A-F]:%4X %*X %*X:%*X %*X:%*X %*X %u %*u %lu", own,
			    &other_port, &user, &inode) == 4 &&
			str_equal(own, local) && other_port == port) {
			/* one that nobody holds any more has lost its owner, and says 0 */
			found = inode ? 1 : -1;
			*uid = user;
		}
	if (file)
		fclose(file);
	return found;
}

enum net_owner net_owner_of(const struct sockaddr *peer, uint16_t port, uid_t *uid)
{
	static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
	unsigned char clothed[16];
	char text[48];
	uid_t mine = 0;
	int family, found;
	const unsigned char *bytes = bytes_of(peer, &family);

	if (family == AF_INET) {
		table_text(bytes, 1, net_port(peer), text);
		found = look_up("/proc/net/tcp", text, port, &mine);
		memcpy(clothed, prefix, sizeof(prefix));
		memcpy(clothed + sizeof(prefix), bytes, 4);
		bytes = clothed;
	} else {
		found = 0;
	}
	if (!found) {
		table_text(bytes, 4, net_port(peer), text);
		found = look_up("/proc/net/tcp6", text, port, &mine);
	}
	if (uid)
		*uid = mine;
	if (!found)
		return is_loopback(peer) ? NET_ANOTHER : NET_ELSEWHERE;
	return found > 0 && (mine == 0 || mine == geteuid()) ? NET_OURS : NET_ANOTHER;
}
