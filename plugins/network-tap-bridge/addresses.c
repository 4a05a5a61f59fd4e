/* SPDX-License-Identifier: ISC */
/*
 * Which addresses a guest has, as far as this host can see: those whom it has talked to (the neighbour
 * table), and what a DHCP server on it has given away.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MAX_ADDRESSES 16
#define LINE 512

struct found {
	const struct vmf_call *call;
	const char **addresses;
	size_t count;
	uint8_t mac[6];
	const char *mac_text;
};

static void add(struct found *found, const char *address)
{
	for (size_t i = 0; i < found->count; i++)
		if (strcmp(found->addresses[i], address) == 0)
			return;
	if (found->count < MAX_ADDRESSES)
		found->addresses[found->count++] = found->call->host->strdup(found->call, address);
}

/* ---- neighbours --------------------------------------------------------------------------- */

static int on_neighbour(struct nl_msg *msg, void *arg)
{
	const struct ndmsg *head = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *mac = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(*head), NDA_LLADDR);
	struct nlattr *address = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(*head), NDA_DST);
	struct found *found = arg;
	char text[INET6_ADDRSTRLEN];

	if (!mac || !address || nla_len(mac) != 6 || memcmp(nla_data(mac), found->mac, 6) != 0 ||
		(head->ndm_state & (NUD_FAILED | NUD_INCOMPLETE)) ||
		(head->ndm_family != AF_INET && head->ndm_family != AF_INET6) ||
		nla_len(address) < (head->ndm_family == AF_INET ? 4 : 16) ||
		!inet_ntop(head->ndm_family, nla_data(address), text, sizeof(text)))
		return NL_OK;
	add(found, text);
	return NL_OK;
}

/* ---- leases ------------------------------------------------------------------------------- */

/* dnsmasq: "EXPIRY MAC ADDRESS NAME ID" */
static bool take_dnsmasq(struct found *found, const char *line)
{
	char mac[24], address[INET6_ADDRSTRLEN];
	long long expiry;

	if (sscanf(line, "%lld %23s %45s", &expiry, mac, address) != 3 || !strchr(mac, ':'))
		return false;
	if (strcasecmp(mac, found->mac_text) == 0 && (expiry == 0 || expiry > (long long)time(NULL)))
		add(found, address);
	return true;
}

/* dhcpd: "lease ADDRESS {", then among others "hardware ethernet MAC;" and "binding state active;", up to
 * "}". */
struct lease {
	char address[INET6_ADDRSTRLEN];
	bool is_active, is_his;
};

static void take_dhcpd(struct found *found, const char *line, struct lease *lease)
{
	char word[64];

	if (sscanf(line, "lease %45s {", lease->address) == 1) {
		lease->is_active = lease->is_his = false;
	} else if (sscanf(line, " binding state %63[a-z];", word) == 1) {
		lease->is_active = strcmp(word, "active") == 0;
	} else if (sscanf(line, " hardware ethernet %63[0-9a-fA-F:];", word) == 1) {
		lease->is_his = strcasecmp(word, found->mac_text) == 0;
	} else if (*line == '}' && *lease->address) {
		if (lease->is_active && lease->is_his)
			add(found, lease->address);
		*lease->address = '\0';
	}
}

static void read_leases(struct found *found, const char *path)
{
	FILE *file = fopen(path, "re");
	struct lease lease = {.address = ""};
	char line[LINE];

	while (file && fgets(line, sizeof(line), file))
		if (!take_dnsmasq(found, line))
			take_dhcpd(found, line, &lease);
	if (file)
		fclose(file);
}

const char **addresses_of(struct net *net, const char *mac)
{
	static const char *const usual[] = {"/var/lib/misc/dnsmasq.leases", "/var/lib/dhcp/dhcpd.leases"};
	const struct vmf_call *c = net->call;
	const char *own = c->host->opt_string(c, "leases");
	struct found found = {.call = c, .mac_text = mac};

	found.addresses = c->host->alloc(c, (MAX_ADDRESSES + 1) * sizeof(*found.addresses));
	if (!mac || sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &found.mac[0], &found.mac[1], &found.mac[2],
			    &found.mac[3], &found.mac[4], &found.mac[5]) != 6)
		return found.addresses;
	net_neighbours(net, on_neighbour, &found);
	if (own)
		read_leases(&found, own);
	for (size_t i = 0; !own && i < VMF_COUNT(usual); i++)
		read_leases(&found, usual[i]);
	return found.addresses;
}
