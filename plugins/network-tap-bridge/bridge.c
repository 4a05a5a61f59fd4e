/* SPDX-License-Identifier: ISC */
/* Bridges, and what is plugged into them. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *link_name_wrong(const char *name)
{
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return "no name of an interface";
	if (strlen(name) >= IFNAMSIZ)
		return "longer than the 15 characters that an interface's name can have";
	for (const char *p = name; *p; p++)
		if (*p == '/' || *p == ':' || *p == '%' || *p <= ' ' || *p == 0x7f)
			return "no name of an interface: no blanks, '/', ':' or '%' can be in it";
	return NULL;
}

/* ---- bridges ------------------------------------------------------------------------------ */

static bool is_ours(const struct link *link)
{
	return link->group == GROUP_AUTO || link->group == GROUP_KEPT;
}

static int check_kind(struct net *net, const struct link *link, struct vmf_error *err)
{
	if (strcmp(link->kind, "bridge") == 0)
		return 0;
	return net->call->host->fail(err, VMF_E_CONFIG, 0,
		"name a bridge; `vmf net show` lists those there are", "%s is no bridge%s%s%s", link->name,
		*link->kind ? " (it is a " : "", strcmp(link->kind, "tun") == 0 ? "tap" : link->kind,
		*link->kind ? ")" : "");
}

int bridge_find(struct net *net, const char *name, struct link *bridge, struct vmf_error *err)
{
	const struct vmf_host *h = net->call->host;
	int rc = net_link(net, name, bridge, err);

	if (rc < 0)
		return -1;
	if (rc > 0)
		return h->fail(err, VMF_E_NOT_FOUND, 0,
			h->printf(net->call, "set create = yes, or `vmf net add %s` makes it", name),
			"there is no bridge %s", name);
	return check_kind(net, bridge, err);
}

static struct nl_msg *new_bridge(const char *name, uint32_t group)
{
	struct nl_msg *msg = net_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
	struct nlattr *info;

	if (!msg)
		return NULL;
	if (nla_put_string(msg, IFLA_IFNAME, name) < 0 || nla_put_u32(msg, IFLA_GROUP, group) < 0 ||
		!(info = nla_nest_start(msg, IFLA_LINKINFO)) ||
		nla_put_string(msg, IFLA_INFO_KIND, "bridge") < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	nla_nest_end(msg, info);
	return msg;
}

/*
 * Up, and without addresses of its own: a segment that VMs share, not a place for the host. An MTU that is
 * set now is kept by the bridge whatever its ports have; one that it is made with is not.
 */
static int raise(struct net *net, struct link *bridge, uint32_t mtu, struct vmf_error *err)
{
	struct port plain = {.alias = bridge->group == GROUP_AUTO ? "vmf: of its VMs" : "vmf", .mtu = mtu};

	if (mtu &&
		bridge->group == GROUP_KEPT) /* one that somebody chose, not what its ports have made of it */
		plain.alias = net->call->host->printf(net->call, BRIDGE_MTU_ALIAS, mtu);
	if (port_attach(net, bridge, NULL, &plain, err) < 0)
		return -1;
	bridge->mtu = mtu ? mtu : bridge->mtu;
	return 0;
}

int bridge_need(struct net *net, const char *name, uint32_t group, uint32_t mtu, struct link *bridge,
	struct vmf_error *err)
{
	int rc = net_link(net, name, bridge, err);

	if (rc > 0) {
		int errnum = net_request(net, new_bridge(name, group));

		if (errnum && errnum != EEXIST)
			return net_fail(net, err, "cannot make bridge %s", name);
		rc = net_link(net, name, bridge, err);
		if (rc > 0)
			return net->call->host->fail(
				err, VMF_E_BUSY, 0, "try again", "bridge %s has gone at once", name);
	}
	if (rc < 0 || check_kind(net, bridge, err) < 0)
		return -1;
	if (is_ours(bridge) &&
		(!(bridge->flags & IFF_UP) || (mtu && group == GROUP_KEPT && mtu != bridge->mtu)))
		return raise(net, bridge, mtu, err);
	return 0;
}

static int is_unused(struct net *net, const struct link *bridge, bool *unused, struct vmf_error *err)
{
	struct link *links;
	size_t count;
	bool has_address = false;

	*unused = false;
	if (net_links(net, bridge->index, &links, &count, err) < 0)
		return -1;
	free(links);
	if (count)
		return 0;
	if (net_links(net, 0, &links, &count, err) < 0)
		return -1;
	*unused = true;
	for (size_t i = 0; i < count; i++) /* a VLAN of it, or the like */
		if (links[i].index != bridge->index && links[i].lower == bridge->index)
			*unused = false;
	free(links);
	if (*unused && net_has_address(net, bridge->index, &has_address, err) < 0)
		return -1;
	*unused = *unused && !has_address;
	return 0;
}

int bridge_leave(struct net *net, const char *name, struct vmf_error *err)
{
	struct link bridge;
	bool unused = false;
	int rc;

	net_lock(net);
	rc = net_link(net, name, &bridge, err);
	if (rc != 0 || bridge.group != GROUP_AUTO || strcmp(bridge.kind, "bridge") != 0)
		return rc < 0 ? -1 : 0;
	if (is_unused(net, &bridge, &unused, err) < 0)
		return -1;
	return unused ? net_delete(net, &bridge, err) : 0;
}

/* ---- ports -------------------------------------------------------------------------------- */

/* No IPv6 on that link, neither addresses nor packets. */
static bool link_without_ipv6(const struct net *net, const char *name)
{
	const char *path =
		net->call->host->printf(net->call, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	int fd = net->ns_fd < 0 ? open(path, O_WRONLY | O_CLOEXEC) : -1; /* /proc shows the host's */
	bool is_done = fd >= 0 && write(fd, "1\n", 2) == 2;

	/* no IPv6 in this kernel, or its settings cannot be written: then there is no address all the same */
	if (!is_done)
		net->call->host->log(net->call, VMF_LOG_DEBUG, "%s was not written", path);
	if (fd >= 0)
		close(fd);
	return is_done;
}

/* No link-local address by itself. */
static int put_no_address(struct nl_msg *msg)
{
	struct nlattr *spec = nla_nest_start(msg, IFLA_AF_SPEC);
	struct nlattr *inet6 = spec ? nla_nest_start(msg, AF_INET6) : NULL;

	if (!inet6 || nla_put_u8(msg, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) < 0)
		return -1;
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, spec);
	return 0;
}

/* The kernel takes these in the order address, MTU, group, alias, master, UP, IPv6. */
static struct nl_msg *attach_message(
	const struct link *link, const struct link *bridge, const struct port *port, uint32_t up, bool is_v6)
{
	struct nl_msg *msg = net_message(RTM_NEWLINK, 0, link->index, up, up);
	uint32_t mtu = bridge && !port->keeps_mtu ? bridge->mtu : port->mtu;

	if (!msg)
		return NULL;
	if ((port->address[0] && nla_put(msg, IFLA_ADDRESS, sizeof(port->address), port->address) < 0) ||
		(mtu && mtu != link->mtu && nla_put_u32(msg, IFLA_MTU, mtu) < 0) ||
		(port->group && nla_put_u32(msg, IFLA_GROUP, port->group) < 0) ||
		(port->alias && nla_put_string(msg, IFLA_IFALIAS, port->alias) < 0) ||
		(link->master != (bridge ? bridge->index : 0) &&
			nla_put_u32(msg, IFLA_MASTER, bridge ? (uint32_t)bridge->index : 0) < 0) ||
		(is_v6 && put_no_address(msg) < 0)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static struct nl_msg *switch_message(const struct link *link, const struct port *port)
{
	struct nl_msg *msg = net_message(RTM_NEWLINK, 0, link->index, 0, 0);
	struct nlattr *info = msg ? nla_nest_start(msg, IFLA_LINKINFO) : NULL, *data;

	if (!info || nla_put_string(msg, IFLA_INFO_SLAVE_KIND, "bridge") < 0 ||
		!(data = nla_nest_start(msg, IFLA_INFO_SLAVE_DATA)) ||
		nla_put_u8(msg, IFLA_BRPORT_MODE, port->hairpin) < 0 ||
		nla_put_u8(msg, IFLA_BRPORT_ISOLATED, port->isolated) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return msg;
}

int port_attach(struct net *net, const struct link *link, const struct link *bridge, const struct port *port,
	struct vmf_error *err)
{
	bool has_switch = bridge && (port->isolated || port->hairpin || link->master == bridge->index);
	/* at once, unless it would get an address by that, or is not yet as it should be */
	uint32_t up = link_without_ipv6(net, link->name) && !has_switch ? IFF_UP : 0;
	int errnum = net_request(net, attach_message(link, bridge, port, up, true));

	if (errnum == EAFNOSUPPORT || errnum == EOPNOTSUPP ||
		errnum == EINVAL) /* without IPv6 in this kernel */
		errnum = net_request(net, attach_message(link, bridge, port, up, false));
	if (errnum && bridge)
		return net_fail(net, err, "cannot plug %s into bridge %s", link->name, bridge->name);
	if (errnum)
		return net_fail(net, err, "cannot set up %s", link->name);
	if (has_switch && net_request(net, switch_message(link, port)) != 0)
		return net_fail(net, err, "cannot set %s%s%s of %s", port->isolated ? "isolated" : "",
			port->isolated && port->hairpin ? " and " : "", port->hairpin ? "hairpin" : "",
			link->name);
	if (!up && net_request(net, net_message(RTM_NEWLINK, 0, link->index, IFF_UP, IFF_UP)) != 0)
		return net_fail(net, err, "cannot bring %s up", link->name);
	return 0;
}
