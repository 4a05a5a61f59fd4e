/* SPDX-License-Identifier: ISC */
/* Requests to the kernel by netlink, answers with its own words for what is wrong, and links as it shows
 * them. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vlan.h>
#include <netlink/route/link/vxlan.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOCK_MS 5000
#define ANSWER_MAX (64 << 10)

/* libnl knows no extended acknowledgements: the kernel's text stands behind the error. */
static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	const struct nlmsghdr *head = (const void *)((const char *)e - NLMSG_HDRLEN);
	struct net *net = arg;
	size_t skip = sizeof(*e), length = head->nlmsg_len - NLMSG_HDRLEN;

	(void)who;
	net->errnum = -e->error;
	net->text[0] = '\0';
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - NLMSG_HDRLEN;
	skip = NLMSG_ALIGN(skip);
	if ((head->nlmsg_flags & NLM_F_ACK_TLVS) && skip < length) {
		struct nlattr *text = nla_find(
			(struct nlattr *)(void *)((char *)e + skip), (int)(length - skip), NLMSGERR_ATTR_MSG);

		if (text)
			nla_strlcpy(net->text, text, sizeof(net->text));
	}
	return -NLE_FAILURE;
}

/* 0, or one of libnl's. */
static int attach(struct net *net)
{
	int fd, rc;

	if (net->ns_fd < 0)
		return nl_connect(net->sock, NETLINK_ROUTE);
	fd = lab_netlink(net->ns_fd);
	if (fd < 0)
		return -NLE_PERM;
	rc = nl_socket_set_fd(net->sock, NETLINK_ROUTE, fd);
	if (rc < 0)
		close(fd);
	return rc;
}

int net_open(struct net *net, const struct vmf_call *c, struct vmf_error *err)
{
	return net_open_at(net, c, may_administer() ? -1 : lab_find(c), err);
}

int net_open_at(struct net *net, const struct vmf_call *c, int ns_fd, struct vmf_error *err)
{
	int on = 1, rc;

	memset(net, 0, sizeof(*net));
	net->call = c;
	net->lock_fd = -1;
	net->ns_fd = ns_fd;
	net->may = ns_fd >= 0 || may_administer();
	net->sock = nl_socket_alloc();
	if (!net->sock)
		return c->host->fail(err, VMF_E_FAILED, ENOMEM, NULL, "netlink");
	/* no look at how long an answer is, before each: the kernel's are not longer (netlink(7)) */
	nl_socket_set_msg_buf_size(net->sock, ANSWER_MAX);
	nl_socket_disable_msg_peek(net->sock);
	rc = attach(net);
	if (rc < 0) {
		nl_socket_free(net->sock);
		net->sock = NULL;
		return c->host->fail(err, VMF_E_MISSING, 0, NULL, "no netlink: %s", nl_geterror(rc));
	}
	setsockopt(nl_socket_get_fd(net->sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(net->sock), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	nl_socket_modify_err_cb(net->sock, NL_CB_CUSTOM, on_error, net);
	return 0;
}

void net_close(struct net *net)
{
	if (net->lock_fd >= 0)
		close(net->lock_fd);
	if (net->ns_fd >= 0)
		close(net->ns_fd);
	if (net->sock)
		nl_socket_free(net->sock);
	net->sock = NULL;
	net->lock_fd = net->ns_fd = -1;
}

/* The namespace itself is what is locked: two of them do not disturb each other, and nothing has to be tidied
 * up. */
void net_lock(struct net *net)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	char path[64];

	if (net->lock_fd >= 0)
		return;
	/* a description of its own, as others get copies of ours */
	snprintf(path, sizeof(path), net->ns_fd < 0 ? "/proc/self/ns/net" : "/proc/self/fd/%d", net->ns_fd);
	net->lock_fd = open(path, O_RDONLY | O_CLOEXEC);
	for (int waited = 0; net->lock_fd >= 0 && flock(net->lock_fd, LOCK_EX | LOCK_NB) < 0; waited += 2) {
		if (errno != EWOULDBLOCK || waited >= LOCK_MS) {
			net->call->host->log(net->call, VMF_LOG_INFO,
				"the network namespace's lock is held by somebody: going on without");
			return;
		}
		nanosleep(&pause, NULL);
	}
}

/* ---- requests ----------------------------------------------------------------------------- */

struct nl_msg *net_message(int type, int flags, int index, uint32_t link_flags, uint32_t link_change)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC,
		.ifi_index = index,
		.ifi_flags = link_flags,
		.ifi_change = link_change};

	if (msg && nlmsg_append(msg, &info, sizeof(info), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int net_request(struct net *net, struct nl_msg *msg)
{
	int rc = msg ? nl_send_auto(net->sock, msg) : -NLE_NOMEM;

	net->errnum = 0;
	net->text[0] = '\0';
	if (rc >= 0)
		rc = nl_wait_for_ack(net->sock);
	nlmsg_free(msg);
	if (rc >= 0)
		return 0;
	if (!net->errnum) {
		net->errnum = rc == -NLE_NOMEM ? ENOMEM : EIO;
		snprintf(net->text, sizeof(net->text), "%s", nl_geterror(rc));
	}
	return net->errnum;
}

static int code_of(int errnum)
{
	switch (errnum) {
	case EPERM:
	case EACCES:
		return VMF_E_PERMISSION;
	case EEXIST:
		return VMF_E_EXISTS;
	case ENODEV:
		return VMF_E_NOT_FOUND;
	case EBUSY:
		return VMF_E_BUSY;
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
		return VMF_E_MISSING;
	default:
		return VMF_E_FAILED;
	}
}

int net_fail(const struct net *net, struct vmf_error *err, const char *fmt, ...)
{
	const struct vmf_host *h = net->call->host;
	const char *hint = net->errnum == EPERM ? NO_RIGHTS_HINT : NULL;
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (*net->text) {
		char *text = h->strdup(net->call, net->text);
		size_t n = strlen(text);

		while (n && (text[n - 1] == '.' || text[n - 1] == '\n'))
			text[--n] = '\0';
		return h->fail(err, code_of(net->errnum), net->errnum, hint, "%s: %s", what, text);
	}
	return h->fail(err, code_of(net->errnum), net->errnum, hint, "%s", what);
}

/* ---- links -------------------------------------------------------------------------------- */

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

static void copy_address(char *to, size_t size, struct nl_addr *address)
{
	if (address)
		nl_addr2str(address, to, size);
	nl_addr_put(address);
}

static void fill_kind(struct link *link, struct rtnl_link *from)
{
	struct nl_addr *address;
	uint32_t lower = 0;

	if (strcmp(link->kind, "vlan") == 0)
		link->id = (uint32_t)rtnl_link_vlan_get_id(from);
	if (strcmp(link->kind, "vxlan") != 0)
		return;
	rtnl_link_vxlan_get_id(from, &link->id);
	rtnl_link_vxlan_get_port(from, &link->udp_port);
	if (rtnl_link_vxlan_get_link(from, &lower) == 0)
		link->lower = (int)lower;
	if (rtnl_link_vxlan_get_group(from, &address) == 0)
		copy_address(link->group_address, sizeof(link->group_address), address);
	if (rtnl_link_vxlan_get_local(from, &address) == 0)
		copy_address(link->local_address, sizeof(link->local_address), address);
}

static void fill(struct link *link, struct rtnl_link *from)
{
	memset(link, 0, sizeof(*link));
	link->index = rtnl_link_get_ifindex(from);
	link->master = rtnl_link_get_master(from);
	link->lower = rtnl_link_get_link(from);
	link->mtu = rtnl_link_get_mtu(from);
	link->group = rtnl_link_get_group(from);
	link->flags = rtnl_link_get_flags(from);
	copy(link->name, sizeof(link->name), rtnl_link_get_name(from));
	copy(link->kind, sizeof(link->kind), rtnl_link_get_type(from));
	copy(link->alias, sizeof(link->alias), rtnl_link_get_ifalias(from));
	fill_kind(link, from);
	link->rx_bytes = rtnl_link_get_stat(from, RTNL_LINK_RX_BYTES);
	link->tx_bytes = rtnl_link_get_stat(from, RTNL_LINK_TX_BYTES);
	link->rx_packets = rtnl_link_get_stat(from, RTNL_LINK_RX_PACKETS);
	link->tx_packets = rtnl_link_get_stat(from, RTNL_LINK_TX_PACKETS);
}

int net_link(struct net *net, const char *name, struct link *link, struct vmf_error *err)
{
	struct rtnl_link *found = NULL;
	int rc;

	net->errnum = 0;
	net->text[0] = '\0';
	rc = rtnl_link_get_kernel(net->sock, 0, name, &found);
	if (rc == 0 && found) {
		fill(link, found);
		rtnl_link_put(found);
		return 0;
	}
	if (rc == -NLE_NODEV || rc == -NLE_OBJ_NOTFOUND) /* libnl takes the error for itself here */
		return 1;
	if (!net->errnum) {
		net->errnum = EIO;
		copy(net->text, sizeof(net->text), nl_geterror(rc));
	}
	return net_fail(net, err, "cannot look at interface %s", name);
}

struct collect {
	struct link *links;
	size_t count, room;
	int master;
};

static void on_object(struct nl_object *object, void *arg)
{
	struct collect *all = arg;

	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 32;
		struct link *more = realloc(all->links, room * sizeof(*more));

		if (!more)
			return;
		all->links = more;
		all->room = room;
	}
	fill(&all->links[all->count++], (struct rtnl_link *)(void *)object);
}

static int on_link(struct nl_msg *msg, void *arg)
{
	const struct collect *all = arg;
	struct nlattr *attr = nlmsg_find_attr(nlmsg_hdr(msg), sizeof(struct ifinfomsg), IFLA_MASTER);

	/* a kernel that does not filter sends all */
	if (all->master && (!attr || (int)nla_get_u32(attr) != all->master))
		return NL_OK;
	nl_msg_parse(msg, on_object, arg);
	return NL_OK;
}

/* Sends MSG (consumed), which asks for a list, and shows each answer to VALID. 0 or an errno. */
static int dump(struct net *net, struct nl_msg *msg, nl_recvmsg_msg_cb_t valid, void *arg)
{
	struct nl_cb *own = nl_socket_get_cb(net->sock), *cb = nl_cb_clone(own);
	int rc = msg && cb ? nl_send_auto(net->sock, msg) : -NLE_NOMEM;

	net->errnum = 0;
	net->text[0] = '\0';
	nlmsg_free(msg);
	if (rc >= 0) {
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, valid, arg);
		nl_cb_err(cb, NL_CB_CUSTOM, on_error, net);
		rc = nl_recvmsgs(net->sock, cb);
	}
	nl_cb_put(cb);
	nl_cb_put(own); /* the socket has its own hold on it */
	if (rc < 0 && !net->errnum) {
		net->errnum = EIO;
		copy(net->text, sizeof(net->text), nl_geterror(rc));
	}
	return rc < 0 ? net->errnum : 0;
}

int net_links(struct net *net, int master, struct link **links, size_t *count, struct vmf_error *err)
{
	struct collect all = {.master = master};
	struct nl_msg *msg = net_message(RTM_GETLINK, NLM_F_DUMP, 0, 0, 0);

	*links = NULL;
	*count = 0;
	if (msg && master && nla_put_u32(msg, IFLA_MASTER, (uint32_t)master) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	if (dump(net, msg, on_link, &all) != 0) {
		free(all.links);
		return net_fail(net, err, "cannot list the interfaces");
	}
	*links = all.links;
	*count = all.count;
	return 0;
}

struct search {
	int index;
	bool has;
};

/* What the kernel gives itself (fe80::) does not count. */
static int on_address(struct nl_msg *msg, void *arg)
{
	const struct ifaddrmsg *address = nlmsg_data(nlmsg_hdr(msg));
	struct search *search = arg;

	if ((int)address->ifa_index == search->index && address->ifa_scope < RT_SCOPE_LINK)
		search->has = true;
	return NL_OK;
}

int net_has_address(struct net *net, int index, bool *has, struct vmf_error *err)
{
	struct search search = {.index = index};
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETADDR, NLM_F_DUMP);
	struct ifaddrmsg address = {.ifa_family = AF_UNSPEC};

	if (msg && nlmsg_append(msg, &address, sizeof(address), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	if (dump(net, msg, on_address, &search) != 0)
		return net_fail(net, err, "cannot list the addresses");
	*has = search.has;
	return 0;
}

/* What cannot be listed is not there. */
void net_neighbours(struct net *net, int (*show)(struct nl_msg *msg, void *data), void *data)
{
	struct nl_msg *msg = nlmsg_alloc_simple(RTM_GETNEIGH, NLM_F_DUMP);
	struct ndmsg head = {.ndm_family = AF_UNSPEC};

	if (msg && nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	dump(net, msg, show, data);
}

/* An ioctl is answered for the namespace that its socket belongs to, of whatever kind that is (netdevice(7)).
 */
int net_index(const struct net *net, const char *name)
{
	struct ifreq req = {.ifr_ifindex = 0};

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	return ioctl(nl_socket_get_fd(net->sock), SIOCGIFINDEX, &req) < 0 ? 0 : req.ifr_ifindex;
}

int net_delete(struct net *net, const struct link *link, struct vmf_error *err)
{
	int errnum = net_request(net, net_message(RTM_DELLINK, 0, link->index, 0, 0));

	if (errnum && errnum != ENODEV)
		return net_fail(net, err, "cannot delete interface %s", link->name);
	return 0;
}
