/* SPDX-License-Identifier: ISC */
/*
 * network-tap-bridge: a tap of the host for each NIC, plugged into a Linux bridge. All by netlink and ioctls; no
 * program is run.
 *
 * What vmf made is told by the kernel itself, by the link's group: set in the very message that makes a bridge, so
 * that a kill leaves none without it. Aliases are for people.
 */
#ifndef TAP_H
#define TAP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <vmf/plugin.h>

/* Groups of links: "vmf" in ASCII, and the numbers around it. */
#define GROUP_TAP 0x766d65u
#define GROUP_AUTO 0x766d66u /* a bridge that a NIC brought along: goes when nothing is left on it */
#define GROUP_KEPT 0x766d67u /* made by command: goes by command */

#define STATE_BRIDGE "bridge" /* what the NIC is plugged into, "" if into nothing */
#define STATE_IFNAME "ifname"
#define STATE_WHERE "where"  /* in whose network it is: */
#define IN_LAB "lab"         /* the user's own */
#define BY_HELPER "helper"   /* the host's, plugged in by others; else the host's, by us */

#define NO_RIGHTS_HINT \
	"be root, or have CAP_NET_ADMIN; a network with user-mode needs no rights, and taps with persist = yes " \
	"that root made for you need none either"

struct nl_sock;
struct nl_msg;

/* ---- netlink (nl.c) ----------------------------------------------------------------------- */

struct net {
	const struct vmf_call *call;
	struct nl_sock *sock;
	int errnum;     /* of the last request that failed */
	char text[160]; /* the kernel's own words for it, or "" */
	int lock_fd;    /* -1: not held */
	int ns_fd;      /* the network of the user's own that it speaks with (lab.c); -1: the host's */
	bool may;       /* links can be made there */
};

struct link {
	int index, master, lower; /* 0: none */
	uint32_t mtu, group, flags; /* flags: IFF_ */
	char name[IFNAMSIZ], kind[16], alias[128];
	uint32_t id;                     /* of a VLAN or VXLAN */
	uint32_t udp_port;               /* of a VXLAN */
	char group_address[48], local_address[48]; /* of a VXLAN, or "" */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets; /* as the host sees them */
};

/* The host's links, or, of a user who may not touch these, those of the user's own network, if there is one. */
int net_open(struct net *net, const struct vmf_call *c, struct vmf_error *err);
/* Those of that network (its fd becomes NET's), or of the host (-1). ERR may be NULL. */
int net_open_at(struct net *net, const struct vmf_call *c, int ns_fd, struct vmf_error *err);
void net_close(struct net *net);
/* Among all vmfs of this network namespace; waits a while, and then goes on without: it only guards against a race. */
void net_lock(struct net *net);

/* Sends MSG (consumed; NULL: there was no memory) and waits for the kernel's word: 0, or an errno, with net->text. */
int net_request(struct net *net, struct nl_msg *msg);
/* RTM_NEWLINK for the link of that number (0: of none yet), FLAGS as NLM_F_. */
struct nl_msg *net_message(int type, int flags, int index, uint32_t link_flags, uint32_t link_change);
/* Sets ERR from the last failure: "cannot ...: the kernel's words". Returns -1. */
int net_fail(const struct net *net, struct vmf_error *err, const char *fmt, ...) VMF_PRINTF(3, 4);

/* 0: *LINK is filled; 1: there is none of that name; -1 and err. */
int net_link(struct net *net, const char *name, struct link *link, struct vmf_error *err);
/* All links (to be freed with free()), or those of one master if MASTER is not 0. */
int net_links(struct net *net, int master, struct link **links, size_t *count, struct vmf_error *err);
/* Does the link have an address that somebody gave it? */
int net_has_address(struct net *net, int index, bool *has, struct vmf_error *err);
/* The number of the link of that name, 0: there is none. */
int net_index(const struct net *net, const char *name);
int net_delete(struct net *net, const struct link *link, struct vmf_error *err);
/* Shows each entry of the neighbour table. */
void net_neighbours(struct net *net, int (*show)(struct nl_msg *msg, void *data), void *data);
/* What the guest with that MAC address is known by; NULL-terminated, never NULL. (addresses.c) */
const char **addresses_of(struct net *net, const char *mac);

/* ---- a network of the user's own (lab.c) -------------------------------------------------- */

/* Its network namespace, the caller's fd; -1: there is none. */
int lab_find(const struct vmf_call *c);
/* The same, and makes it. -1 and err. Whoever is to keep it needs a copy of that fd. */
int lab_need(const struct vmf_call *c, struct vmf_error *err);
/* A bound netlink socket, and /dev/net/tun, as if opened in there; -1 and errno. */
int lab_netlink(int ns_fd);
int lab_open_tun(int ns_fd);
/* Opens a file that a process of this user has open, by what /proc says of it ("pipe:[1234]"); -1: nobody has. */
int lab_find_file(const char *link, int flags);
/* The bridge's way out through the host's own connections; *exit_fd, the caller's, must be kept as long as it is to be
 * there. (uplink.c) */
int uplink_need(struct net *net, const struct link *bridge, int *exit_fd, struct vmf_error *err);

/* ---- bridges and their ports (bridge.c) --------------------------------------------------- */

/* "no interface's name", or NULL if NAME can be one. */
const char *link_name_wrong(const char *name);
#define BRIDGE_MTU_ALIAS "vmf: mtu %u"
/* The bridge, which must be there. VMF_E_NOT_FOUND, or VMF_E_CONFIG if it is none. */
int bridge_find(struct net *net, const char *name, struct link *bridge, struct vmf_error *err);
/* The same, and makes it in GROUP if it is not there. MTU 0: the kernel's default. Up afterwards, if it is ours. */
int bridge_need(struct net *net, const char *name, uint32_t group, uint32_t mtu, struct link *bridge,
	struct vmf_error *err);
/* Deletes it if a NIC brought it along (GROUP_AUTO) and nothing is left on it. Gone already: 0. */
int bridge_leave(struct net *net, const char *name, struct vmf_error *err);

struct port {
	bool isolated, hairpin;
	bool keeps_mtu;    /* it does not follow the bridge */
	uint32_t group;    /* 0: leave it */
	const char *alias; /* or NULL */
	uint32_t mtu;      /* where there is no bridge; 0: leave it */
	uint8_t address[6]; /* its own MAC address; all 0: leave it */
};
/* Puts the link into the bridge (NULL: out of any), without IPv6, with the bridge's MTU, and up. */
int port_attach(struct net *net, const struct link *link, const struct link *bridge, const struct port *port,
	struct vmf_error *err);

/* ---- segments (segment.c, ports.c, list.c, wire.c) ---------------------------------------- */

/* The word for a port, taken apart: NAME[,group=A][,remote=A][,local=A][,dev=IF][,id=N][,port=N][,mtu=N]. */
struct port_word {
	char name[IFNAMSIZ];
	const char *group, *remote, *local, *dev; /* or NULL */
	uint32_t id, port, mtu;                   /* 0: not given */
};
int port_word_parse(const struct vmf_call *c, const char *text, struct port_word *word, struct vmf_error *err);
/* Does the word tell what kind of port it is? */
bool port_tells_kind(const struct port_word *word);
/* The link of that word, which is made if it is not there (*made). */
int port_make(struct net *net, const struct port_word *word, struct link *link, bool *made, struct vmf_error *err);
/* The word that makes LINK again, or NULL. LOWER: the link below it, or NULL. */
const char *port_word_of(const struct vmf_call *c, const struct link *link, const struct link *lower);
/* Both ends of a veth pair, the second one in the namespace of that fd (-1: here). 0 or an errno. */
int veth_make(struct net *net, const char *name, const char *peer, int peer_namespace);

int segment_create(const struct vmf_call *c, const char *name, const char *const *ports, struct vmf_error *err);
int segment_remove(const struct vmf_call *c, const char *name, struct vmf_error *err);
int segment_list(const struct vmf_call *c, struct vmf_segment_list *list, struct vmf_error *err);
int segment_wire(const struct vmf_call *c, const struct vmf_wire *wire, struct vmf_error *err);
/* The wire that a port with that alias is an end of, or NULL. */
const struct vmf_wire *wire_of(const struct vmf_call *c, const char *alias);

/* ---- taps (tap.c) ------------------------------------------------------------------------- */

struct tap {
	char name[IFNAMSIZ];
	unsigned queues;
	bool is_multi;
	int fds[16];
	bool is_persistent;
	bool is_new;    /* nobody had made it before */
	uid_t owner;
};
/* Can taps be opened at all? */
int tun_check(const struct vmf_call *c, struct vmf_error *err);
/* Opens (and so makes) the tap; its fds are the caller's. VMF_E_EXISTS: the name is taken; VMF_E_BUSY. */
int tap_open(const struct net *net, struct tap *tap, struct vmf_error *err);
void tap_close(struct tap *tap);
/* It stays, whoever closes it; it belongs to its owner. */
int tap_keep(const struct vmf_call *c, const struct tap *tap, struct vmf_error *err);
/* One fd for each queue, or none where the host has no vhost and WHEN is "auto". */
int vhost_open(const struct vmf_call *c, const char *when, unsigned queues, int *fds, size_t *count,
	struct vmf_error *err);
bool vhost_is_there(void);
/* May taps and bridges be made here? */
bool may_administer(void);

/* As struct vmf_network_ops has it. (leave.c) */
void taps_leave(const struct vmf_call *const *calls, size_t count);

/* ---- what is wanted (wish.c) -------------------------------------------------------------- */

struct wish {
	const char *bridge; /* "": none */
	bool create;
	bool has_ifname;
	struct tap tap;
	struct port port;
	const char *vhost;
	bool uplink;
};

int wish_read(const struct vmf_call *c, const struct vmf_nic *nic, struct wish *w, struct vmf_error *err);
/* VMeN; where that is too long, or taken (SALT is not 0), the name's start and a hash. */
void wish_name(const struct vmf_call *c, unsigned salt, char name[IFNAMSIZ]);

/* A tap in a bridge of the host, for who has not the rights; W gets the name. VMF_E_PERMISSION, and what to do. (helper.c) */
int helper_open(const struct vmf_call *c, struct wish *w, struct vmf_error *err);

/* ---- the way up (up.c) -------------------------------------------------------------------- */

/* Finds or makes the bridge that is wished for, notes it as the NIC's, and holds the lock. */
int take_bridge(struct net *net, const struct wish *w, struct link *bridge, struct vmf_error *err);
/* As struct vmf_network_ops has it. */
int tap_up(const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_netdev *netdev, struct vmf_error *err);

/* ---- the firewall (firewall.c) ------------------------------------------------------------ */

int firewall_examine(const struct vmf_call *c, struct vmf_trouble_list *list, struct vmf_error *err);

#endif
