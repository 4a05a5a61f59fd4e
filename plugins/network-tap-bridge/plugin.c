/* SPDX-License-Identifier: ISC */
/* What the plugin is, its options, and a NIC's way down and elsewhere; its way up is up.c. */
#include "tap.h"

#include <errno.h>
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
