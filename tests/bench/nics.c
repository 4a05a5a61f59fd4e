/* SPDX-License-Identifier: ISC */
/*
 * A bridge with taps on it, all up: nics plugin|bare COUNT makes it in this network namespace, and ends.
 * The taps are persistent: how long the kernel takes to remove them is another matter. plugin:
 * network-tap-bridge, called as vmf calls it. bare: the least that libnl-route-3 can do it with.
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

/* What vmf keeps in the run folder is not measured here. */
static const char *state_get(void *data, const char *slot, const char *key)
{
	(void)data;
	(void)slot;
	(void)key;
	return NULL;
}

static int state_set(void *data, const char *slot, const char *key, const char *value, struct vmf_error *err)
{
	(void)data;
	(void)slot;
	(void)key;
	(void)value;
	(void)err;
	return 0;
}

static void by_plugin(int count)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_vm_id id = {
		.size = sizeof(id), .name = "bench", .uuid = "11111111-2222-3333-4444-555555555555"};
	struct strv folders = STRV_INIT;
	const struct plugin *plugin;
	struct vmf_opts *opts;

	plugin_search_path(&folders);
	plugin_setup(&folders);
	plugin = plugin_get(VMF_NETWORK, "tap-bridge", &err);
	opts = plugin ? conf_opts_load(&plugin->desc,
				"{\"bridge\": \"" BRIDGE "\", \"create\": \"yes\", \"persist\": \"yes\"}",
				&err)
		      : NULL;
	if (!opts)
		die("plugin", err.message);
	for (int i = 0; i < count; i++) {
		struct arena arena = {0};
		struct host_services services = {
			.arena = &arena, .state_get = state_get, .state_set = state_set};
		struct vmf_netdev netdev = {.size = sizeof(netdev)};
		struct vmf_nic nic = {.size = sizeof(nic), .model = "virtio-net-pci"};
		struct vmf_call call;
		char slot[16], mac[24];

		snprintf(slot, sizeof(slot), "nic-%d", i);
		snprintf(mac, sizeof(mac), "52:54:00:00:%02x:%02x", (unsigned)i / 256, (unsigned)i % 256);
		nic.mac = mac;
		host_call_init(&call, &services, opts, &id, "bench", slot, (unsigned)i);
		if (plugin->ops.network.up(&call, &nic, &netdev, &err) < 0)
			die("up", err.message);
		arena_free(&arena);
	}
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0;

	if (count < 1 || count > MOST)
		die("usage", "nics plugin|bare COUNT");
	if (strcmp(argv[1], "bare") == 0)
		bare(count);
	else
		by_plugin(count);
	return 0;
}
