/* SPDX-License-Identifier: ISC */
/* What the plugin is, its options, and a NIC's way up, down and elsewhere. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_LEFT "left" /* the bridge that the NIC is leaving */
#define MAX_QUEUES 16

static const struct vmf_option options[] = {
	{.name = "bridge",
		.type = VMF_OPT_STRING,
		.help = "the bridge that NICs are plugged into which name none themselves",
		.since = "0.1"},
	{.name = "create",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "a bridge that is not there is made, and goes with the last NIC on it",
		.since = "0.1"},
	{.name = "mtu",
		.type = VMF_OPT_INT,
		.min = 68,
		.max = 65535,
		.help = "of a bridge that is made; NICs follow their bridge",
		.since = "0.1"},
	{.name = "isolated",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "the NIC does not reach others that are isolated, only the rest of the bridge",
		.since = "0.1"},
	{.name = "hairpin",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "packets may go back out of the port that they came in by",
		.since = "0.1"},
	{.name = "queues",
		.type = VMF_OPT_INT,
		.default_value = "1",
		.min = 1,
		.max = MAX_QUEUES,
		.help = "queues of a virtio NIC: one for each CPU that shall work on it",
		.since = "0.1"},
	{.name = "vhost",
		.type = VMF_OPT_ENUM,
		.default_value = "auto",
		.choices = "auto|on|off",
		.help = "packets of a virtio NIC go through the kernel, past QEMU; auto: where the host can",
		.since = "0.1"},
	{.name = "persist",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "the tap stays when the VM stops",
		.since = "0.1"},
	{.name = "owner",
		.type = VMF_OPT_STRING,
		.help = "the user who may use a persistent tap, besides root",
		.since = "0.1"},
	{.name = "uplink",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "in a network of a user's own: a way out, by slirp4netns",
		.since = "0.1"},
	{.name = "leases",
		.type = VMF_OPT_PATH,
		.help = "the file of a DHCP server's leases, if not where dnsmasq and dhcpd have theirs",
		.since = "0.1"},
	{.name = "ifname",
		.type = VMF_OPT_STRING,
		.help = "the tap's name, if not VM, e and the NIC's number",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_FILE, .what = "/dev/net/tun", .why = "all that it does; the kernel's module tun"},
	{.type = VMF_NEED_ROOT,
		.optional = 1,
		.what = "CAP_NET_ADMIN",
		.why = "bridges of the host, but for persistent taps; users have a network of their own "
		       "without it"},
	{.type = VMF_NEED_PROGRAM,
		.optional = 1,
		.what = "slirp4netns",
		.package = "slirp4netns",
		.why = "the way out of a user's own network"},
	{.type = VMF_NEED_FILE,
		.optional = 1,
		.what = "/dev/vhost-net",
		.why = "vhost; the kernel's module vhost_net"},
};

static uint32_t tap_caps(const struct vmf_call *c)
{
	(void)c;
	return VMF_NETWORK_RECONNECT | VMF_NETWORK_SEGMENTS;
}

/* ---- check -------------------------------------------------------------------------------- */

static int check_link(struct net *net, const struct wish *w, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link link;
	int rc = net_link(net, w->tap.name, &link, err);

	if (rc < 0)
		return -1;
	if (rc == 0 && w->has_ifname && !w->tap.is_persistent)
		return c->host->fail(err, VMF_E_EXISTS, 0, "choose another name, or leave ifname out",
			"%s: there is an interface %s already", c->host->opt_origin(c, "ifname"),
			w->tap.name);
	if (rc == 0 && w->tap.is_persistent && strcmp(link.kind, "tun") != 0)
		return c->host->fail(err, VMF_E_EXISTS, 0, "set ifname = to another name",
			"interface %s is there already, and is no tap", w->tap.name);
	if (!net->may && w->tap.is_persistent && rc != 0)
		return c->host->fail(
			err, VMF_E_PERMISSION, 0, NO_RIGHTS_HINT, "taps and bridges cannot be made");
	if (!*w->bridge || (!net->may && !w->tap.is_persistent))
		return 0;
	rc = net_link(net, w->bridge, &link, err);
	if (rc > 0 && w->create)
		return 0;
	return rc < 0 ? -1 : bridge_find(net, w->bridge, &link, err);
}

static int tap_check(const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_error *err)
{
	struct wish w;
	struct net net;
	int rc;

	if (wish_read(c, nic, &w, err) < 0)
		return -1;
	if (tun_check(c, err) < 0)
		return -1;
	if (strcmp(w.vhost, "on") == 0 && !vhost_is_there())
		return c->host->fail(err, VMF_E_MISSING, 0,
			"set vhost = auto: then it is used where it is there; `modprobe vhost_net` loads it",
			"%s: vhost: /dev/vhost-net cannot be used", c->host->opt_origin(c, "vhost"));
	if (net_open(&net, c, err) < 0)
		return -1;
	w.create |= net.ns_fd >= 0; /* in a network of the user's own nobody else would */
	rc = check_link(&net, &w, err);
	net_close(&net);
	return rc;
}

/* ---- up ----------------------------------------------------------------------------------- */

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
static int take_bridge(struct net *net, const struct wish *w, struct link *bridge, struct vmf_error *err)
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

static int tap_up(
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

/* ---- down, and elsewhere ------------------------------------------------------------------ */

static int leave(struct net *net, const char *bridge, struct vmf_error *err)
{
	return bridge && *bridge ? bridge_leave(net, bridge, err) : 0;
}

/* The network that the NIC is in: 1; 0: that is gone, with all that was in it. */
static int open_again(struct net *net, const struct vmf_call *c, struct vmf_error *err)
{
	const char *where = c->host->state_get(c, STATE_WHERE);
	int ns = -1;

	if (where && strcmp(where, IN_LAB) == 0) {
		ns = lab_find(c);
		if (ns < 0)
			return 0;
	}
	return net_open_at(net, c, ns, err) < 0 ? -1 : 1;
}

/* The tap went with QEMU, or stays, if it is persistent. */
static int tap_down(const struct vmf_call *c, struct vmf_error *err)
{
	const char *bridge = c->host->state_get(c, STATE_BRIDGE), *left = c->host->state_get(c, STATE_LEFT);
	struct net net;
	int rc;

	if (c->dry_run || ((!bridge || !*bridge) && (!left || !*left)))
		return 0;
	rc = open_again(&net, c, err);
	if (rc <= 0)
		return rc;
	rc = leave(&net, left, err);
	if (rc == 0)
		rc = leave(&net, bridge, err);
	net_close(&net);
	return rc;
}

static int move(struct net *net, struct wish *w, const char *was, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link bridge, tap;
	int rc = net_link(net, w->tap.name, &tap, err);

	if (rc > 0)
		return c->host->fail(err, VMF_E_NOT_FOUND, 0, "`stop` and `start` the VM",
			"its tap %s has been deleted", w->tap.name);
	if (rc < 0 ||
		(was && strcmp(was, w->bridge) != 0 && c->host->state_set(c, STATE_LEFT, was, err) < 0) ||
		take_bridge(net, w, &bridge, err) < 0 ||
		port_attach(net, &tap, *w->bridge ? &bridge : NULL, &w->port, err) < 0)
		return -1;
	return leave(net, c->host->state_get(c, STATE_LEFT), err) < 0
		       ? -1
		       : c->host->state_set(c, STATE_LEFT, NULL, err);
}

/* QEMU, which runs already, gets what keeps the way out. */
static int lead_out(struct net *net, const struct wish *w, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link bridge;
	int fd, rc;

	if (bridge_find(net, w->bridge, &bridge, err) < 0 || uplink_need(net, &bridge, &fd, err) < 0)
		return -1;
	rc = c->host->qmp(c, "query-status", NULL, fd, c->host->printf(c, "keep-%s", w->bridge), NULL, err);
	close(fd);
	return rc;
}

static int tap_reconnect(const struct vmf_call *c, const char *segment, struct vmf_error *err)
{
	const struct vmf_nic nic = {.size = sizeof(nic), .segment = segment ? segment : ""};
	const char *ifname = c->host->state_get(c, STATE_IFNAME), *where = c->host->state_get(c, STATE_WHERE);
	struct wish w;
	struct net net;
	int rc;

	if (wish_read(c, &nic, &w, err) < 0)
		return -1;
	if (!ifname)
		return c->host->fail(err, VMF_E_STATE, 0, NULL, "the NIC has no tap: the VM does not run");
	if (where && strcmp(where, BY_HELPER) == 0)
		return c->host->fail(err, VMF_E_PERMISSION, 0, "`stop` the VM, `connect` it, and `start` it",
			"only root can plug tap %s elsewhere", ifname);
	if (c->dry_run)
		return 0;
	snprintf(w.tap.name, sizeof(w.tap.name), "%s", ifname);
	rc = open_again(&net, c, err);
	if (rc <= 0)
		return rc < 0 ? -1
			      : c->host->fail(err, VMF_E_STATE, 0, "`stop` and `start` the VM",
					"its network is gone");
	w.create |= net.ns_fd >= 0;
	rc = move(&net, &w, c->host->state_get(c, STATE_BRIDGE), err);
	if (rc == 0 && net.ns_fd >= 0 && w.uplink && *w.bridge)
		rc = lead_out(&net, &w, err);
	net_close(&net);
	return rc;
}

/* ---- info --------------------------------------------------------------------------------- */

static int look(struct net *net, struct vmf_nic_info *info, const char *ifname, struct vmf_error *err)
{
	const struct vmf_call *c = net->call;
	struct link link, *all;
	size_t count;
	int rc = net_link(net, ifname, &link, err);

	if (rc != 0) /* not there any more, which is what is to be shown */
		return rc < 0 ? -1 : 0;
	info->ifname = c->host->strdup(c, ifname);
	info->link_up = (link.flags & IFF_RUNNING) != 0;
	info->rx_bytes = link.tx_bytes;
	info->tx_bytes = link.rx_bytes;
	info->rx_packets = link.tx_packets;
	info->tx_packets = link.rx_packets;
	info->segment = "";
	if (!link.master)
		return 0;
	if (net_links(net, 0, &all, &count, err) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (all[i].index == link.master)
			info->segment = c->host->strdup(c, all[i].name);
	free(all);
	return 0;
}

static int tap_info(
	const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_nic_info *info, struct vmf_error *err)
{
	const char *ifname = c->host->state_get(c, STATE_IFNAME);
	struct net net;
	int rc;

	info->segment = nic->segment ? nic->segment : c->host->opt_string(c, "bridge");
	if (!ifname)
		return 0;
	rc = open_again(&net, c, err);
	if (rc <= 0)
		return rc;
	rc = look(&net, info, ifname, err);
	if (rc == 0)
		info->addresses = addresses_of(&net, nic->mac);
	net_close(&net);
	return rc;
}

static const struct vmf_network_ops ops = {
	.size = sizeof(ops),
	.caps = tap_caps,
	.check = tap_check,
	.up = tap_up,
	.down = tap_down,
	.reconnect = tap_reconnect,
	.info = tap_info,
	.segment_create = segment_create,
	.segment_remove = segment_remove,
	.segment_list = segment_list,
	.wire = segment_wire,
	.examine = firewall_examine,
	.leave = taps_leave,
};

VMF_PLUGIN(network_tap_bridge) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_NETWORK,
	.name = "tap-bridge",
	.version = PLUGIN_VERSION,
	.summary = "NICs plugged into bridges of this host",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(needs[0]),
	.ops = &ops,
};
