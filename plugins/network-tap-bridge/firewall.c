/* SPDX-License-Identifier: ISC */
/*
 * What of this host eats packets between the NICs of a bridge: br_netfilter hands them to the firewall of
 * routed packets, which on many machines (Docker's, for one) drops what it was not told to let pass. Nothing
 * is changed and no program is run: nf_tables is asked by netlink, the older ip_tables by getsockopt(2), as
 * `nft` and `iptables-legacy` do.
 */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TROUBLES 16

/* Which of its packets a bridge hands on: Documentation/networking/ip-sysctl.rst of the kernel. */
static const struct {
	const char *word, *sysctl, *program;
	int family;
} routed[] = {
	{"IPv4", "net.bridge.bridge-nf-call-iptables", "iptables", NFPROTO_IPV4},
	{"IPv6", "net.bridge.bridge-nf-call-ip6tables", "ip6tables", NFPROTO_IPV6},
};

struct search {
	const struct vmf_call *call;
	struct vmf_trouble_list *list;
	bool is_handed_on[VMF_COUNT(routed)];
};

static void add(struct search *s, const char *what, const char *remedy)
{
	struct vmf_trouble *t = &s->list->items[s->list->count];

	if (s->list->count == MAX_TROUBLES)
		return;
	*t = (struct vmf_trouble){.size = sizeof(*t), .what = what, .remedy = remedy};
	s->list->count++;
}

/* Is sysctl NAME set? Where the module is not loaded it is not there. */
static bool is_on(const struct vmf_call *c, const char *name)
{
	char *path = c->host->printf(c, "/proc/sys/%s", name), value = '0';
	int fd;

	for (char *at = path + strlen("/proc/sys/"); *at; at++)
		if (*at == '.')
			*at = '/';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &value, 1) != 1)
		value = '0';
	if (fd >= 0)
		close(fd);
	return value != '0';
}

/* WHERE: what drops packets of the family. */
static void add_routed(struct search *s, size_t i, const char *where)
{
	const struct vmf_call *c = s->call;

	add(s,
		c->host->printf(c,
			"%s between the NICs of a bridge goes through the firewall (%s = 1), where %s drops "
			"what no "
			"rule accepts",
			routed[i].word, routed[i].sysctl, where),
		c->host->printf(c,
			"sysctl -w %s=0, or: %s -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT",
			routed[i].sysctl, routed[i].program));
}

/* ---- nf_tables ---------------------------------------------------------------------------- */

static void judge(struct search *s, uint8_t family, const char *table, const char *chain)
{
	const struct vmf_call *c = s->call;

	if (family == NFPROTO_BRIDGE) {
		add(s,
			c->host->printf(c,
				"chain %s of nft's table bridge %s drops what no rule accepts, between all "
				"ports of all bridges",
				chain, table),
			c->host->printf(c, "nft add rule bridge %s %s accept", table, chain));
		return;
	}
	for (size_t i = 0; i < VMF_COUNT(routed); i++)
		if (s->is_handed_on[i] && (family == NFPROTO_INET || family == routed[i].family))
			add_routed(s, i,
				c->host->printf(c, "chain %s of nft's table %s %s", chain,
					family == NFPROTO_INET	 ? "inet"
					: family == NFPROTO_IPV4 ? "ip"
								 : "ip6",
					table));
}

static int on_chain(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[NFTA_CHAIN_MAX + 1], *hook[NFTA_HOOK_MAX + 1];
	const struct nfgenmsg *head = nlmsg_data(nlmsg_hdr(msg));

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(*head), tb, NFTA_CHAIN_MAX, NULL) < 0 ||
		!tb[NFTA_CHAIN_TABLE] || !tb[NFTA_CHAIN_NAME] || !tb[NFTA_CHAIN_HOOK] ||
		!tb[NFTA_CHAIN_POLICY] ||
		nla_parse_nested(hook, NFTA_HOOK_MAX, tb[NFTA_CHAIN_HOOK], NULL) < 0 ||
		!hook[NFTA_HOOK_HOOKNUM])
		return NL_OK;
	/* NF_BR_FORWARD has the same number */
	if (ntohl(nla_get_u32(hook[NFTA_HOOK_HOOKNUM])) == NF_INET_FORWARD &&
		ntohl(nla_get_u32(tb[NFTA_CHAIN_POLICY])) == NF_DROP)
		judge(arg, head->nfgen_family, nla_get_string(tb[NFTA_CHAIN_TABLE]),
			nla_get_string(tb[NFTA_CHAIN_NAME]));
	return NL_OK;
}

/* 0, or an errno. */
static int look_at_nft(struct search *s)
{
	struct nfgenmsg head = {.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0};
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_msg *msg = nlmsg_alloc_simple((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, NLM_F_DUMP);
	int rc = sock && msg ? nl_connect(sock, NETLINK_NETFILTER) : -NLE_NOMEM;

	if (rc == 0)
		rc = nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO);
	if (rc == 0)
		rc = nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_chain, s);
	if (rc == 0) {
		rc = nl_send_auto(sock, msg);
		rc = rc < 0 ? rc : nl_recvmsgs_default(sock);
	}
	if (msg)
		nlmsg_free(msg);
	if (sock)
		nl_socket_free(sock);
	return rc == -NLE_PERM ? EPERM : rc == -NLE_NOMEM ? ENOMEM : 0;
}

/* ---- ip_tables ---------------------------------------------------------------------------- */

/* Asking for a table makes the kernel load it: only for one that is there. */
static bool has_table(const char *file)
{
	FILE *names = fopen(file, "re");
	char line[64];
	bool has = false;

	while (names && fgets(line, sizeof(line), names))
		has |= strcmp(line, "filter\n") == 0;
	if (names)
		fclose(names);
	return has;
}

/* The verdict at the end of a chain, which is an entry of TARGET_AT bytes and a standard target behind it. */
static bool drops(const char *entries, size_t size, size_t entry, size_t target_at)
{
	struct xt_standard_target target;

	if (entry + target_at + sizeof(target) > size)
		return false;
	memcpy(&target, entries + entry + target_at, sizeof(target));
	return target.verdict == -NF_DROP - 1;
}

/* One kind's table of rules. The heads of both are alike, as the assertions say; the rules are not. */
struct tables {
	int family, level, get_info, get_entries;
	size_t entry_size, target_at; /* of a rule: how large it is, and where it says where its target is */
};

_Static_assert(
	sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
		offsetof(struct ipt_get_entries, entrytable) == offsetof(struct ip6t_get_entries, entrytable),
	"IPv4's and IPv6's answers begin alike");

static bool table_drops(const struct tables *t)
{
	struct ipt_getinfo info = {.name = "filter"};
	socklen_t length = sizeof(info);
	struct ipt_get_entries *all = NULL;
	int fd = socket(t->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	uint16_t target;
	bool drop = false;

	if (fd >= 0 && getsockopt(fd, t->level, t->get_info, &info, &length) == 0) {
		length = (socklen_t)(sizeof(*all) + info.size);
		all = calloc(1, length);
		if (all) {
			memcpy(all->name, info.name, sizeof(all->name));
			all->size = info.size;
		}
		if (all && getsockopt(fd, t->level, t->get_entries, all, &length) == 0 &&
			info.underflow[NF_INET_FORWARD] + t->entry_size <= info.size) {
			const char *entries = (const char *)all->entrytable;

			memcpy(&target, entries + info.underflow[NF_INET_FORWARD] + t->target_at,
				sizeof(target));
			drop = drops(entries, info.size, info.underflow[NF_INET_FORWARD], target);
		}
	}
	free(all);
	if (fd >= 0)
		close(fd);
	return drop;
}

static bool ip4_drops(void)
{
	static const struct tables ip4 = {AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
		sizeof(struct ipt_entry), offsetof(struct ipt_entry, target_offset)};

	return table_drops(&ip4);
}

static bool ip6_drops(void)
{
	static const struct tables ip6 = {AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES,
		sizeof(struct ip6t_entry), offsetof(struct ip6t_entry, target_offset)};

	return table_drops(&ip6);
}

/* ---- all of it ---------------------------------------------------------------------------- */

int firewall_examine(const struct vmf_call *c, struct vmf_trouble_list *list, struct vmf_error *err)
{
	struct search s = {.call = c, .list = list};
	int errnum;

	*list = (struct vmf_trouble_list){.stride = sizeof(struct vmf_trouble)};
	list->items = c->host->alloc(c, MAX_TROUBLES * sizeof(*list->items));
	for (size_t i = 0; i < VMF_COUNT(routed); i++)
		s.is_handed_on[i] = is_on(c, routed[i].sysctl);
	errnum = look_at_nft(&s);
	if (errnum == EPERM)
		return c->host->fail(err, VMF_E_PERMISSION, 0, "be root, or have CAP_NET_ADMIN",
			"the firewall's rules are shown to root only");
	if (errnum)
		return c->host->fail(err, VMF_E_FAILED, errnum, NULL, "the firewall's rules cannot be read");
	if (s.is_handed_on[0] && has_table("/proc/net/ip_tables_names") && ip4_drops())
		add_routed(&s, 0, "chain FORWARD of iptables-legacy");
	if (s.is_handed_on[1] && has_table("/proc/net/ip6_tables_names") && ip6_drops())
		add_routed(&s, 1, "chain FORWARD of ip6tables-legacy");
	return 0;
}
