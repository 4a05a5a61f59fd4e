/* SPDX-License-Identifier: ISC */
/*
 * What can be plugged into a bridge besides VMs: the words for it, and how it is made. A name tells its kind,
 * as vmess had it: vethA0 and vethB0 are a pair, eth0.100 is VLAN 100 of eth0, vxlan42 is VXLAN 42.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VXLAN_PORT 4789

/* ---- words -------------------------------------------------------------------------------- */

static int wrong(
	const struct vmf_call *c, const char *text, const char *hint, const char *what, struct vmf_error *err)
{
	return c->host->fail(err, VMF_E_USAGE, 0, hint, "\"%s\": %s", text, what);
}

static int take_number(const struct vmf_call *c, const char *text, const char *value, uint32_t max,
	uint32_t *to, struct vmf_error *err)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	if (!*value || *end || number == 0 || number > max)
		return wrong(c, text, NULL, c->host->printf(c, "%s is not from 1 to %u", value, max), err);
	*to = (uint32_t)number;
	return 0;
}

static int take_key(const struct vmf_call *c, const char *text, const char *key, const char *value,
	struct port_word *word, struct vmf_error *err)
{
	struct {
		const char *key;
		const char **to;
	} const texts[] = {{"group", &word->group}, {"remote", &word->remote}, {"local", &word->local},
		{"dev", &word->dev}};

	if (strcmp(key, "id") == 0)
		return take_number(c, text, value, 0xffffff, &word->id, err);
	if (strcmp(key, "port") == 0)
		return take_number(c, text, value, 65535, &word->port, err);
	if (strcmp(key, "mtu") == 0)
		return take_number(c, text, value, 65535, &word->mtu, err);
	for (size_t i = 0; i < VMF_COUNT(texts); i++)
		if (strcmp(key, texts[i].key) == 0) {
			*texts[i].to = value;
			return 0;
		}
	return wrong(c, text, "group, remote, local, dev, id, port and mtu are known",
		c->host->printf(c, "nothing is called %s", key), err);
}

int port_word_parse(const struct vmf_call *c, const char *text, struct port_word *word, struct vmf_error *err)
{
	char *copy = c->host->strdup(c, text), *save = NULL, *part = strtok_r(copy, ",", &save);
	const char *why = link_name_wrong(part ? part : "");

	memset(word, 0, sizeof(*word));
	if (why)
		return wrong(c, text, "letters, digits and . _ - as in br-lab, at most 15",
			c->host->printf(c, "%s", why), err);
	snprintf(word->name, sizeof(word->name), "%s", part);
	while ((part = strtok_r(NULL, ",", &save))) {
		char *value = strchr(part, '=');

		if (!value)
			return wrong(c, text, "as in vxlan42,group=239.0.0.42,dev=eth0",
				"behind a comma stands KEY=VALUE", err);
		*value++ = '\0';
		if (take_key(c, text, part, value, word, err) < 0)
			return -1;
	}
	return 0;
}

/* What a name that ends in digits tells: N of "vxlanN", or 0. */
static uint32_t number_after(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);
	char *end;
	unsigned long number;

	if (strncmp(name, prefix, n) != 0 || name[n] < '0' || name[n] > '9')
		return 0;
	number = strtoul(name + n, &end, 10);
	return *end || number > 0xffffff ? 0 : (uint32_t)number;
}

/* vethA0 for vethB0, and the other way round; false: it is none of these. */
static bool peer_of(const char *name, char peer[IFNAMSIZ])
{
	if (strncmp(name, "veth", 4) != 0 || (name[4] != 'A' && name[4] != 'B') || !name[5] ||
		strspn(name + 5, "0123456789") != strlen(name + 5))
		return false;
	snprintf(peer, IFNAMSIZ, "%s", name);
	peer[4] = name[4] == 'A' ? 'B' : 'A';
	return true;
}

const char *port_word_of(const struct vmf_call *c, const struct link *link, const struct link *lower)
{
	const struct vmf_host *h = c->host;
	const char *word = link->name;
	char peer[IFNAMSIZ];
	unsigned group[4];

	if (strcmp(link->kind, "veth") == 0)
		return peer_of(link->name, peer) && lower && strcmp(lower->name, peer) == 0
			       ? h->strdup(c, word)
			       : NULL;
	if (strcmp(link->kind, "vlan") == 0 && lower) {
		if (strcmp(h->printf(c, "%s.%u", lower->name, link->id), link->name) == 0)
			return h->strdup(c, word);
		return h->printf(c, "%s,dev=%s,id=%u", word, lower->name, link->id);
	}
	if (strcmp(link->kind, "vxlan") != 0)
		return NULL;
	if (number_after(link->name, "vxlan") != link->id)
		word = h->printf(c, "%s,id=%u", word, link->id);
	if (*link->group_address) {
		bool is_group = strncmp(link->group_address, "ff", 2) == 0 ||
				(sscanf(link->group_address, "%u.%u", &group[0], &group[1]) == 2 &&
					group[0] >= 224 && group[0] <= 239);

		word = h->printf(c, "%s,%s=%s", word, is_group ? "group" : "remote", link->group_address);
	}
	if (*link->local_address)
		word = h->printf(c, "%s,local=%s", word, link->local_address);
	if (lower)
		word = h->printf(c, "%s,dev=%s", word, lower->name);
	if (link->udp_port && link->udp_port != VXLAN_PORT)
		word = h->printf(c, "%s,port=%u", word, link->udp_port);
	return word;
}

/* ---- making ------------------------------------------------------------------------------- */

/* The message that makes NAME, up to the kind's own data, which *DATA is open for. */
static struct nl_msg *new_link(
	const char *name, const char *kind, int lower, struct nlattr **info, struct nlattr **data)
{
	struct nl_msg *msg = net_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);

	if (!msg)
		return NULL;
	if (nla_put_string(msg, IFLA_IFNAME, name) < 0 || nla_put_u32(msg, IFLA_GROUP, GROUP_KEPT) < 0 ||
		(lower && nla_put_u32(msg, IFLA_LINK, (uint32_t)lower) < 0) ||
		!(*info = nla_nest_start(msg, IFLA_LINKINFO)) ||
		nla_put_string(msg, IFLA_INFO_KIND, kind) < 0 ||
		!(*data = nla_nest_start(msg, IFLA_INFO_DATA))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int send_link(
	struct net *net, struct nl_msg *msg, bool is_whole, struct nlattr *info, struct nlattr *data)
{
	if (msg && !is_whole) {
		nlmsg_free(msg);
		msg = NULL;
	}
	if (msg) {
		nla_nest_end(msg, data);
		nla_nest_end(msg, info);
	}
	return net_request(net, msg);
}

int veth_make(struct net *net, const char *name, const char *peer, int peer_namespace)
{
	struct nlattr *info = NULL, *data = NULL, *other;
	struct nl_msg *msg = new_link(name, "veth", 0, &info, &data);
	struct ifinfomsg head = {.ifi_family = AF_UNSPEC};
	bool is_whole =
		msg && (other = nla_nest_start(msg, VETH_INFO_PEER)) &&
		nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) == 0 &&
		nla_put_string(msg, IFLA_IFNAME, peer) == 0 &&
		nla_put_u32(msg, IFLA_GROUP, GROUP_KEPT) == 0 &&
		(peer_namespace < 0 || nla_put_u32(msg, IFLA_NET_NS_FD, (uint32_t)peer_namespace) == 0);

	if (is_whole)
		nla_nest_end(msg, other);
	return send_link(net, msg, is_whole, info, data);
}

/* The link that ours is to stand on. */
static int find_lower(struct net *net, const struct port_word *word, const char *name, struct link *lower,
	struct vmf_error *err)
{
	int rc = net_link(net, name, lower, err);

	if (rc <= 0)
		return rc;
	return net->call->host->fail(err, VMF_E_NOT_FOUND, 0, "`ip link` shows those that there are",
		"there is no interface %s for %s to stand on", name, word->name);
}

static int make_vlan(
	struct net *net, const struct port_word *word, const char *parent, uint32_t id, struct vmf_error *err)
{
	struct nlattr *info = NULL, *data = NULL;
	struct link lower;
	struct nl_msg *msg;

	if (id > 4094)
		return net->call->host->fail(
			err, VMF_E_USAGE, 0, NULL, "%s: a VLAN's number is from 1 to 4094", word->name);
	if (find_lower(net, word, parent, &lower, err) < 0)
		return -1;
	msg = new_link(word->name, "vlan", lower.index, &info, &data);
	if (send_link(net, msg, msg && nla_put_u16(msg, IFLA_VLAN_ID, (uint16_t)id) == 0, info, data) == 0)
		return 0;
	if (net->errnum == EOPNOTSUPP)
		return net->call->host->fail(err, VMF_E_MISSING, 0, "`modprobe 8021q` loads it",
			"cannot make VLAN %s: this kernel has no VLANs", word->name);
	return net_fail(net, err, "cannot make VLAN %s", word->name);
}

static bool put_address(struct nl_msg *msg, int type4, int type6, const char *text)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return nla_put(msg, type4, sizeof(v4), &v4) == 0;
	return inet_pton(AF_INET6, text, &v6) == 1 && nla_put(msg, type6, sizeof(v6), &v6) == 0;
}

static int check_address(
	struct net *net, const struct port_word *word, const char *text, struct vmf_error *err)
{
	unsigned char any[16];

	if (!text || inet_pton(AF_INET, text, any) == 1 || inet_pton(AF_INET6, text, any) == 1)
		return 0;
	return net->call->host->fail(
		err, VMF_E_USAGE, 0, "as in 239.0.0.42", "%s: \"%s\" is no IP address", word->name, text);
}

static int make_vxlan(struct net *net, const struct port_word *word, uint32_t id, struct vmf_error *err)
{
	const char *far = word->group ? word->group : word->remote;
	struct nlattr *info = NULL, *data = NULL;
	struct link lower = {.index = 0};
	struct nl_msg *msg;
	bool is_whole;

	if (!far || (word->group && !word->dev))
		return net->call->host->fail(err, VMF_E_USAGE, 0,
			net->call->host->printf(net->call,
				"as in %s,group=239.0.0.42,dev=eth0 or %s,remote=192.0.2.7", word->name,
				word->name),
			"%s: a VXLAN needs a group and a dev, or a remote", word->name);
	if (check_address(net, word, far, err) < 0 || check_address(net, word, word->local, err) < 0 ||
		(word->dev && find_lower(net, word, word->dev, &lower, err) < 0))
		return -1;
	msg = new_link(word->name, "vxlan", 0, &info, &data);
	is_whole = msg && nla_put_u32(msg, IFLA_VXLAN_ID, id) == 0 &&
		   nla_put_u16(msg, IFLA_VXLAN_PORT,
			   htons((uint16_t)(word->port ? word->port : VXLAN_PORT))) == 0 &&
		   put_address(msg, IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6, far) &&
		   (!word->local || put_address(msg, IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6, word->local)) &&
		   (!word->dev || nla_put_u32(msg, IFLA_VXLAN_LINK, (uint32_t)lower.index) == 0) &&
		   nla_put_u8(msg, IFLA_VXLAN_TTL, 16) == 0 && nla_put_u8(msg, IFLA_VXLAN_LEARNING, 1) == 0;
	if (send_link(net, msg, is_whole, info, data) == 0)
		return 0;
	return net_fail(net, err, "cannot make VXLAN %s", word->name);
}

/* The other end is up as well: else there would be no link. */
static int make_pair(struct net *net, const struct port_word *word, const char *peer, struct vmf_error *err)
{
	const struct port plain = {.alias = "vmf"};
	struct link other;

	if (veth_make(net, word->name, peer, -1) != 0)
		return net_fail(net, err, "cannot make the pair %s and %s", word->name, peer);
	if (net_link(net, peer, &other, err) != 0)
		return net->call->host->fail(err, VMF_E_FAILED, 0, NULL, "%s has gone at once", peer);
	return port_attach(net, &other, NULL, &plain, err);
}

bool port_tells_kind(const struct port_word *word)
{
	const char *dot = strrchr(word->name, '.');
	char peer[IFNAMSIZ];

	return peer_of(word->name, peer) || number_after(word->name, "vxlan") ||
	       (dot && number_after(dot, ".")) || word->group || word->remote || word->dev;
}

static int make(struct net *net, const struct port_word *word, struct vmf_error *err)
{
	const struct vmf_host *h = net->call->host;
	const char *dot = strrchr(word->name, '.');
	uint32_t vxlan = number_after(word->name, "vxlan"), tag = dot ? number_after(dot, ".") : 0;
	char peer[IFNAMSIZ];

	if (peer_of(word->name, peer))
		return make_pair(net, word, peer, err);
	if (word->group || word->remote || (vxlan && !word->dev)) {
		if (!vxlan && !word->id)
			return h->fail(err, VMF_E_USAGE, 0, "call it vxlan42, or add id=42",
				"%s: a VXLAN needs a number", word->name);
		return make_vxlan(net, word, word->id ? word->id : vxlan, err);
	}
	if (tag)
		return make_vlan(net, word, h->printf(net->call, "%.*s", (int)(dot - word->name), word->name),
			tag, err);
	if (word->dev && word->id)
		return make_vlan(net, word, word->dev, word->id, err);
	return h->fail(err, VMF_E_NOT_FOUND, 0,
		"vethA0, eth0.100 and vxlan42,group=239.0.0.42,dev=eth0 are made; others must be there",
		"there is no interface %s", word->name);
}

int port_make(
	struct net *net, const struct port_word *word, struct link *link, bool *made, struct vmf_error *err)
{
	int rc = net_link(net, word->name, link, err);

	*made = rc > 0;
	if (rc <= 0)
		return rc;
	if (make(net, word, err) < 0) {
		*made = false;
		return -1;
	}
	rc = net_link(net, word->name, link, err);
	if (rc > 0)
		return net->call->host->fail(err, VMF_E_FAILED, 0, NULL, "%s has gone at once", word->name);
	return rc;
}
