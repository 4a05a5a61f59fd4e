/* SPDX-License-Identifier: ISC */
/*
 * A bridge with taps on it, all up: nics plugin|bare COUNT makes it in this network namespace, and ends;
 * leave and each, which are the plugin's as well, take the taps down again, together or one by one. The taps
 * are persistent: how long the kernel takes to remove them is another matter. plugin: network-tap-bridge,
 * called as vmf calls it. bare: the least that libnl-route-3 can do it with.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/config.h"
#include "plugin/plugin.h"

#define BRIDGE "benchbr"
#define MOST 1000

static int die(const char *what, const char *why)
{
	fprintf(stderr, "nics: %s: %s\n", what, why);
	exit(1);
}

/* ---- bare --------------------------------------------------------------------------------- */

static int open_tap(int number)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "bench%d", number);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		die("tap", strerror(errno));
	return fd;
}

static void change(struct nl_sock *sock, const char *name, int master)
{
	struct rtnl_link *which = rtnl_link_alloc(), *to = rtnl_link_alloc();
	int rc;

	rtnl_link_set_ifindex(which, (int)if_nametoindex(name));
	if (master)
		rtnl_link_set_master(to, master);
	rtnl_link_set_flags(to, IFF_UP);
	rc = rtnl_link_change(sock, which, to, 0);
	if (rc < 0)
		die(name, nl_geterror(rc));
	rtnl_link_put(which);
	rtnl_link_put(to);
}

static void bare(int count)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct rtnl_link *bridge = rtnl_link_bridge_alloc();
	int rc, master;

	if (nl_connect(sock, NETLINK_ROUTE) < 0)
		die("netlink", "cannot connect");
	rtnl_link_set_name(bridge, BRIDGE);
	rc = rtnl_link_add(sock, bridge, NLM_F_CREATE | NLM_F_EXCL);
	if (rc < 0)
		die(BRIDGE, nl_geterror(rc));
	rtnl_link_put(bridge);
	change(sock, BRIDGE, 0);
	master = (int)if_nametoindex(BRIDGE);
	for (int i = 0; i < count; i++) {
		char name[IFNAMSIZ];

		open_tap(i);
		snprintf(name, sizeof(name), "bench%d", i);
		change(sock, name, master);
	}
	nl_socket_free(sock);
}

/* ---- the plugin --------------------------------------------------------------------------- */

/* What vmf keeps in the run folder is not measured here, and is kept here. DATA: one NIC's. */
struct kept {
	char bridge[32], ifname[32];
};

static const char *state_get(void *data, const char *slot, const char *key)
{
	const struct kept *kept = data;

	(void)slot;
	return strcmp(key, "ifname") == 0 ? kept->ifname : NULL;
}

static int state_set(void *data, const char *slot, const char *key, const char *value, struct vmf_error *err)
{
	struct kept *kept = data;

	(void)slot;
	(void)err;
	if (value && strcmp(key, "ifname") == 0)
		snprintf(kept->ifname, sizeof(kept->ifname), "%s", value);
	return 0;
}

struct nic {
	struct arena arena;
	struct host_services services;
	struct vmf_call call;
	struct kept kept;
	char slot[16], mac[24];
};

/* Each by itself, as who knows no groups would do it. */
static void delete_each(const struct nic *nics, int count)
{
	struct nl_sock *sock = nl_socket_alloc();

	if (nl_connect(sock, NETLINK_ROUTE) < 0)
		die("netlink", "cannot connect");
	for (int i = 0; i < count; i++) {
		struct rtnl_link *link = rtnl_link_alloc();

		rtnl_link_set_name(link, nics[i].kept.ifname);
		if (rtnl_link_delete(sock, link) < 0)
			die(nics[i].kept.ifname, "cannot be deleted");
		rtnl_link_put(link);
	}
	nl_socket_free(sock);
}

/* HOW: "plugin", which leaves them there, "leave" or "each", which take them down again. */
static void by_plugin(int count, const char *how)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_vm_id id = {
		.size = sizeof(id), .name = "bench", .uuid = "11111111-2222-3333-4444-555555555555"};
	struct nic *nics = mem_alloc((size_t)count * sizeof(*nics));
	const struct vmf_call **calls = mem_alloc((size_t)count * sizeof(*calls));
	struct strv folders = STRV_INIT;
	const struct plugin *plugin;
	struct vmf_opts *opts;
	bool stays = strcmp(how, "plugin") == 0;

	plugin_search_path(&folders);
	plugin_setup(&folders);
	plugin = plugin_get(VMF_NETWORK, "tap-bridge", &err);
	opts = plugin ? conf_opts_load(&plugin->desc,
				stays ? "{\"bridge\": \"" BRIDGE
					"\", \"create\": \"yes\", \"persist\": \"yes\"}"
				      : "{\"bridge\": \"" BRIDGE "\", \"create\": \"yes\"}",
				&err)
		      : NULL;
	if (!opts)
		die("plugin", err.message);
	for (int i = 0; i < count; i++) {
		struct nic *n = &nics[i];
		struct vmf_netdev netdev = {.size = sizeof(netdev)};
		struct vmf_nic nic = {.size = sizeof(nic), .model = "virtio-net-pci", .mac = n->mac};

		n->services = (struct host_services){
			.arena = &n->arena, .data = &n->kept, .state_get = state_get, .state_set = state_set};
		snprintf(n->slot, sizeof(n->slot), "nic-%d", i);
		snprintf(n->mac, sizeof(n->mac), "52:54:00:00:%02x:%02x", (unsigned)i / 256,
			(unsigned)i % 256);
		host_call_init(&n->call, &n->services, opts, &id, "bench", n->slot, (unsigned)i);
		calls[i] = &n->call;
		if (plugin->ops.network.up(&n->call, &nic, &netdev, &err) < 0)
			die("up", err.message);
	}
	if (strcmp(how, "leave") == 0)
		plugin->ops.network.leave(calls, (size_t)count);
	else if (strcmp(how, "each") == 0)
		delete_each(nics, count);
	for (int i = 0; i < count; i++)
		arena_free(&nics[i].arena);
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0;

	if (count < 1 || count > MOST)
		die("usage", "nics plugin|bare|leave|each COUNT");
	if (strcmp(argv[1], "bare") == 0)
		bare(count);
	else
		by_plugin(count, argv[1]);
	return 0;
}
