/* SPDX-License-Identifier: ISC */
/* TCP on this machine: addresses and ports as people write them, a listening socket, and who it is that comes. */
#ifndef VMF_BASE_NET_H
#define VMF_BASE_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/error.h"

/* ADDRESS/BITS: all addresses that begin with these bits. */
struct net_range {
	struct sockaddr_storage address;
	unsigned bits;
};

/* FIRST to LAST; both 0: any free one. */
struct net_ports {
	uint16_t first, last;
};

/* "192.0.2.0/24", "2001:db8::1": VMF_E_USAGE if it is neither. */
int net_parse_range(const char *text, struct net_range *range, struct vmf_error *err);
/* Is PEER, which may be an IPv4 address in IPv6's clothes, one of them? */
bool net_in_range(const struct net_range *range, const struct sockaddr *peer);
/* "5900", "5900-5999", "0": VMF_E_USAGE if it is none. */
int net_parse_ports(const char *text, struct net_ports *ports, struct vmf_error *err);
/* "127.0.0.1", and with a port "127.0.0.1:5900" or "[::1]:5900". The caller frees. */
char *net_address_text(const struct sockaddr *address);
char *net_text(const struct sockaddr *address);
uint16_t net_port(const struct sockaddr *address);

/*
 * Listens on ADDRESS (no names) and the first free one of PORTS; *bound is where. Returns the socket (close on exec),
 * or -1: VMF_E_BUSY if all are taken, VMF_E_USAGE if the address is none, or none of this machine.
 */
int net_listen(const char *address, struct net_ports ports, struct sockaddr_storage *bound, struct vmf_error *err);

enum net_owner {
	NET_ELSEWHERE, /* another machine's */
	NET_OURS,      /* of our user, or root's */
	NET_ANOTHER,   /* of another user of this machine, or of one whom the kernel no longer tells */
};
/* Whose end PEER is of a connection to our PORT. *uid, unless NULL: the user's, with NET_OURS and NET_ANOTHER. */
enum net_owner net_owner_of(const struct sockaddr *peer, uint16_t port, uid_t *uid);

#endif
