/* SPDX-License-Identifier: ISC */
/* A NIC's way up: whose network it is in, its bridge, its tap, and what QEMU gets of them. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_named(struct net *net, struct wish *w, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link link;
	int rc = 1;

	/* a name that is taken is no reason to fail unless somebody chose it */
	for (unsigned salt = 0; !w->has_ifname && !w->tap.is_persistent && salt < 8; salt++) {
		wish_name(c, salt, w->tap.name);
		rc = net_link(net, w->tap.name, &link, err);
		if (rc != 0)
			break;
	}
	if (rc == 0)
		return c->host->fail(err, VMF_E_EXISTS, 0, "set ifname = to a name of its own",
			"all names for the tap are taken, up to %s", w->tap.name);
	return rc < 0 ? -1 : tap_open(net, &w->tap, err);
}

/* A persistent tap that somebody with more rights has made: it must be where it belongs. */
static int use_as_it_is(struct net *net, const struct wish *w, const struct link *tap, struct vmf_error *err)
{
	struct link bridge;

	if (!*w->bridge)
		return 0;
	if (bridge_find(net, w->bridge, &bridge, err) < 0)
		return -1;
	if (tap->master == bridge.index && (tap->flags & IFF_UP))
		return 0;
	return net->call->host->fail(err, VMF_E_PERMISSION, 0,
		net->call->host->printf(
			net->call, "as root: ip link set %s master %s up", tap->name, bridge.name),
		"tap %s is not plugged into bridge %s, or is not up", tap->name, bridge.name);
}

/* Finds or makes the bridge, and remembers it first: whoever dies here leaves word of it. */
int take_bridge(struct net *net, const struct wish *w, struct link *bridge, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;

	if (c->host->state_set(c, STATE_BRIDGE, w->bridge, err) < 0)
		return -1;
	if (!*w->bridge)
		return 0;
	net_lock(net); /* until our port is on it, nobody takes it away */
	if (!w->create)
		return bridge_find(net, w->bridge, bridge, err);
	return bridge_need(net, w->bridge, GROUP_AUTO, w->port.mtu, bridge, err);
}

/* One that was just made is as the kernel makes them, and need not be asked for. */
static int look_at_tap(struct net *net, const struct wish *w, struct link *tap, struct vmf_error *err)
{
	int rc;

	*tap = (struct link){.mtu = ETH_DATA_LEN, .kind = "tun"};
	memcpy(tap->name, w->tap.name, sizeof(tap->name));
	tap->index = w->tap.is_new ? net_index(net, tap->name) : 0;
	if (tap->index)
		return 0;
	rc = net_link(net, w->tap.name, tap, err);
	if (rc <= 0)
		return rc;
	return net->call->host->fail(err, VMF_E_FAILED, 0, NULL, "tap %s has gone at once", w->tap.name);
}

static int bring_up(struct net *net, struct wish *w, uint32_t *mtu, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link bridge, tap;
	bool may = net->may;

	if (may && take_bridge(net, w, &bridge, err) < 0)
		return -1;
	if (open_named(net, w, err) < 0 || c->host->state_set(c, STATE_IFNAME, w->tap.name, err) < 0)
		return -1;
	if (look_at_tap(net, w, &tap, err) < 0)
		return -1;
	*mtu = may && *w->bridge ? bridge.mtu : may && w->port.mtu ? w->port.mtu : tap.mtu;
	if (!may)
		return use_as_it_is(net, w, &tap, err);
	w->port.alias = c->host->printf(c, "vmf: %s %s", c->vm ? c->vm->name : "?", c->slot ? c->slot : "?");
	if (port_attach(net, &tap, *w->bridge ? &bridge : NULL, &w->port, err) < 0)
		return -1;
	return w->tap.is_persistent ? tap_keep(c, &w->tap, err) : 0;
}

/* For people who try the command line: QEMU makes the tap itself. */
static void fill_dry(const struct vmf_call *c, const struct wish *w, struct vmf_netdev *netdev)
{
	struct vmf_prop *items = c->host->alloc(c, 4 * sizeof(*items));

	items[0] = (struct vmf_prop){"ifname", VMF_PROP_STRING, c->host->strdup(c, w->tap.name), 0};
	items[1] = (struct vmf_prop){"script", VMF_PROP_STRING, "no", 0};
	items[2] = (struct vmf_prop){"downscript", VMF_PROP_STRING, "no", 0};
	items[3] = (struct vmf_prop){"vhost", VMF_PROP_BOOL, NULL, 1};
	netdev->props.items = items;
	netdev->props.stride = sizeof(*items);
	netdev->props.count = strcmp(w->vhost, "off") != 0 && vhost_is_there() ? 4 : 3;
}

/* Where the NIC is to be: the host's network, or, for who has no rights there, one of the user's own, unless
 * the bridge is there on the host, or the tap, made by somebody who has. */
static int open_place(
	struct net *net, const struct vmf_call *c, struct wish *w, const char **where, struct vmf_error *err)
{
	struct link bridge;
	int ns, rc;

	*where = NULL;
	if (net_open_at(net, c, -1, err) < 0)
		return -1;
	if (net->may || w->tap.is_persistent)
		return 0;
	rc = *w->bridge ? net_link(net, w->bridge, &bridge, err) : 1;
	if (rc == 0) {
		*where = BY_HELPER;
		return 0;
	}
	net_close(net);
	ns = rc < 0 ? -1 : lab_need(c, err);
	if (ns < 0)
		return -1;
	*where = IN_LAB;
	w->create = true; /* nobody else would */
	return net_open_at(net, c, ns, err);
}

/* What QEMU must hold for the network to stay, and the way out of it. */
static int keep_lab(struct net *net, const struct wish *w, struct vmf_netdev *netdev, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link bridge;
	int fd;

	if (netdev->size < sizeof(*netdev))
		return c->host->fail(err, VMF_E_UNSUPPORTED, 0, "install a newer vmf",
			"this vmf keeps no network of a user's own");
	netdev->keep_fds[netdev->n_keep_fds++] = fcntl(net->ns_fd, F_DUPFD_CLOEXEC, 0);
	if (!w->uplink || !*w->bridge)
		return 0;
	if (bridge_find(net, w->bridge, &bridge, err) < 0 || uplink_need(net, &bridge, &fd, err) < 0)
		return -1;
	netdev->keep_fds[netdev->n_keep_fds++] = fd;
	return 0;
}

static int bring_up_there(struct net *net, struct wish *w, const char *where, uint32_t *mtu,
	struct vmf_netdev *netdev, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;

	if (c->host->state_set(c, STATE_WHERE, where, err) < 0)
		return -1;
	if (!where || strcmp(where, IN_LAB) == 0) {
		if (bring_up(net, w, mtu, err) < 0)
			return -1;
		return where ? keep_lab(net, w, netdev, err) : 0;
	}
	if (helper_open(c, w, err) < 0)
		return -1;
	return c->host->state_set(c, STATE_IFNAME, w->tap.name, err);
}

int tap_up(
	const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_netdev *netdev, struct vmf_error *err)
{
	struct wish w;
	struct net net;
	const char *where;
	uint32_t mtu = 0;
	int rc;

	if (wish_read(c, nic, &w, err) < 0)
		return -1;
	netdev->type = "tap";
	netdev->queues = w.tap.queues;
	if (c->dry_run) {
		fill_dry(c, &w, netdev);
		return 0;
	}
	if (open_place(&net, c, &w, &where, err) < 0)
		return -1;
	rc = bring_up_there(&net, &w, where, &mtu, netdev, err);
	if (rc == 0)
		rc = vhost_open(c, w.vhost, w.tap.queues, netdev->vhost_fds, &netdev->n_vhost_fds, err);
	net_close(&net);
	if (rc < 0) {
		tap_close(&w.tap);
		while (netdev->n_keep_fds)
			close(netdev->keep_fds[--netdev->n_keep_fds]);
		return -1;
	}
	netdev->fd_prop = w.tap.queues > 1 ? "fds" : "fd";
	netdev->n_fds = w.tap.queues;
	memcpy(netdev->fds, w.tap.fds, sizeof(netdev->fds));
	netdev->mtu = mtu == ETH_DATA_LEN ? 0 : mtu;
	if (where && strcmp(where, IN_LAB) == 0)
		netdev->note = c->host->printf(c, "bridge %s is in a network of your own%s",
			*w.bridge ? w.bridge : "-", netdev->n_keep_fds > 1 ? ", which leads out" : "");
	return 0;
}
