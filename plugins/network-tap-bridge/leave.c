/* SPDX-License-Identifier: ISC */
/*
 * Many taps go at once. The kernel waits some twenty milliseconds for each link that goes, until nobody looks
 * at it any more; of all links of one group it waits once. So taps that are about to go with QEMU, one by
 * one, get a group of their own and are deleted by it.
 */
#include "tap.h"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUP_LEAVING 0x76800000u /* and the number of the process that deletes it */

static const struct link *find(const struct link *links, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(links[i].name, name) == 0)
			return &links[i];
	return NULL;
}

static int put_in(struct net *net, const struct link *link, uint32_t group)
{
	struct nl_msg *msg = net_message(RTM_NEWLINK, 0, link->index, 0, 0);

	if (msg && nla_put_u32(msg, IFLA_GROUP, group) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return net_request(net, msg);
}

static int delete_group(struct net *net, uint32_t group)
{
	struct nl_msg *msg = net_message(RTM_DELLINK, 0, 0, 0, 0);

	if (msg && nla_put_u32(msg, IFLA_GROUP, group) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return net_request(net, msg);
}

/* Only taps that are vmf's, and of this VM by their names; a group that somebody has is left alone. */
static void leave_in(struct net *net, const struct vmf_call *const *calls, size_t count, const char *where)
{
	uint32_t group = GROUP_LEAVING | (uint32_t)getpid();
	struct link *links;
	size_t n_links, n = 0;

	if (net_links(net, 0, &links, &n_links, NULL) < 0)
		return;
	for (size_t i = 0; i < n_links; i++)
		if (links[i].group == group)
			count = 0;
	for (size_t i = 0; i < count; i++) {
		const struct vmf_host *h = calls[i]->host;
		const char *ifname = h->state_get(calls[i], STATE_IFNAME),
			   *in = h->state_get(calls[i], STATE_WHERE);
		const struct link *link = ifname ? find(links, n_links, ifname) : NULL;

		if (link && link->group == GROUP_TAP && strcmp(link->kind, "tun") == 0 &&
			strcmp(in ? in : "", where) == 0 && !h->opt_bool(calls[i], "persist") &&
			put_in(net, link, group) == 0)
			n++;
	}
	free(links);
	if (n)
		delete_group(net, group);
}

void taps_leave(const struct vmf_call *const *calls, size_t count)
{
	const char *where = calls[0]->host->state_get(calls[0], STATE_WHERE);
	bool in_lab = where && strcmp(where, IN_LAB) == 0;
	int ns = in_lab ? lab_find(calls[0]) : -1;
	struct net net;

	if ((in_lab && ns < 0) || net_open_at(&net, calls[0], ns, NULL) < 0)
		return;
	if (net.may)
		leave_in(&net, calls, count, where ? where : "");
	net_close(&net);
}
