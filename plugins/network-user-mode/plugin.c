/* SPDX-License-Identifier: ISC */
/*
 * network-user-mode: a network of the VM's own, inside QEMU (slirp). The guest reaches what the user
 * running QEMU reaches; nobody reaches the guest but through forwarded ports. Needs no rights at all.
 *
 * A port that was chosen (hostfwd = {"0:22"}) is known only to the one who chose it, so up() writes the
 * forwards down as state, and info() reads them there.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forward.h"
#include "live.h"
#include "passt.h"

#define DEFAULT_NET "10.0.2.0/24"

static const struct vmf_option options[] = {
	{.name = "backend",
		.type = VMF_OPT_ENUM,
		.default_value = "slirp",
		.choices = "slirp|passt",
		.help = "what stands between the guest and the host: slirp, inside QEMU, or the program "
			"passt",
		.since = "0.1"},
	{.name = "hostfwd",
		.type = VMF_OPT_LIST,
		.help = "ports of this host that lead to the guest: {\"2222:22\", \"0:80\"}; 0: a free port",
		.since = "0.1"},
	{.name = "net",
		.type = VMF_OPT_STRING,
		.default_value = DEFAULT_NET,
		.help = "the guest's network; the guest gets its address 15, the gateway has 2",
		.since = "0.1"},
	{.name = "dhcpstart",
		.type = VMF_OPT_STRING,
		.help = "the first address that DHCP gives, inside net; the network's address 15",
		.since = "0.1"},
	{.name = "dns",
		.type = VMF_OPT_STRING,
		.help = "the name server's address as the guest sees it, inside net; the network's address 3",
		.since = "0.1"},
	{.name = "dnssearch",
		.type = VMF_OPT_LIST,
		.help = "domains that DHCP tells the guest to look for names in",
		.since = "0.1"},
	{.name = "domainname",
		.type = VMF_OPT_STRING,
		.help = "the domain that DHCP tells the guest",
		.since = "0.1"},
	{.name = "hostname",
		.type = VMF_OPT_STRING,
		.help = "the name that DHCP tells the guest",
		.since = "0.1"},
	{.name = "restrict",
		.type = VMF_OPT_BOOL,
		.default_value = "no",
		.help = "the guest reaches nothing outside; forwarded ports still work",
		.since = "0.1"},
	{.name = "ipv6",
		.type = VMF_OPT_BOOL,
		.default_value = "yes",
		.help = "the guest has IPv6, too",
		.since = "0.1"},
	{.name = "tftp",
		.type = VMF_OPT_PATH,
		.help = "a folder that the guest can read by TFTP",
		.since = "0.1"},
	{.name = "bootfile",
		.type = VMF_OPT_STRING,
		.help = "the file in it that the guest's firmware boots",
		.since = "0.1"},
};

static const struct vmf_need needs[] = {
	{.type = VMF_NEED_PROGRAM,
		.optional = 1,
		.what = "passt",
		.package = "passt",
		.why = "backend = passt"},
};

static uint32_t user_caps(const struct vmf_call *c)
{
	return passt_is_wanted(c) ? 0 : VMF_NETWORK_FORWARD;
}

/* ---- options ------------------------------------------------------------------------------ */

struct plan {
	uint32_t net, mask, guest; /* host byte order; guest: the first address that DHCP gives */
	struct forward forwards[MAX_FORWARDS];
	size_t n_forwards;
};

static int wrong(const struct vmf_call *c, struct vmf_error *err, const char *option, const char *hint,
	const char *what)
{
	return c->host->fail(err, VMF_E_CONFIG, 0, hint, "%s: %s = \"%s\": %s",
		c->host->opt_origin(c, option), option, c->host->opt_string(c, option), what);
}

static int parse_net(const struct vmf_call *c, struct plan *plan, struct vmf_error *err)
{
	const char *net = c->host->opt_string(c, "net"), *dns = c->host->opt_string(c, "dns"),
		   *start = c->host->opt_string(c, "dhcpstart");
	char address[32], *slash;
	struct in_addr in;
	int prefix;

	snprintf(address, sizeof(address), "%s", net ? net : DEFAULT_NET);
	slash = strchr(address, '/');
	if (slash)
		*slash++ = '\0';
	if (!slash || inet_pton(AF_INET, address, &in) != 1 || strspn(slash, "0123456789") != strlen(slash) ||
		strlen(slash) > 2 || !*slash)
		return wrong(c, err, "net", "write it as 10.0.2.0/24", "not a network");
	prefix = atoi(slash);
	/* the guest has address 15, and the last one is for everybody */
	if (prefix < 4 || prefix > 27)
		return wrong(c, err, "net", "a prefix of 24 is usual", "the prefix is not from 4 to 27");
	plan->mask = ~(uint32_t)0 << (32 - prefix);
	plan->net = ntohl(in.s_addr) & plan->mask;
	if (plan->net != ntohl(in.s_addr))
		return wrong(c, err, "net", "the address of a network ends in zero bits",
			"has bits behind the prefix");
	plan->guest = plan->net + 15;
	if (start &&
		(inet_pton(AF_INET, start, &in) != 1 || (ntohl(in.s_addr) & plan->mask) != plan->net ||
			ntohl(in.s_addr) < plan->net + 4 || ntohl(in.s_addr) >= (plan->net | ~plan->mask)))
		return wrong(c, err, "dhcpstart",
			"from the network's address 4 on: those before are the gateway's and the name "
			"server's",
			"not an address of the guest's network that is free");
	if (start)
		plan->guest = ntohl(in.s_addr);
	if (dns && (inet_pton(AF_INET, dns, &in) != 1 || (ntohl(in.s_addr) & plan->mask) != plan->net ||
			   ntohl(in.s_addr) == plan->net + 2))
		return wrong(c, err, "dns",
			"it is where QEMU answers the guest; the host's own resolver is asked behind it",
			"not an address of the guest's network, or the gateway's");
	return 0;
}

static int parse_forwards(const struct vmf_call *c, struct plan *plan, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	size_t count = h->opt_count(c, "hostfwd");

	if (count > MAX_FORWARDS)
		return h->fail(err, VMF_E_CONFIG, 0, NULL,
			"%s: hostfwd has %zu forwards, at most %d are possible", h->opt_origin(c, "hostfwd"),
			count, MAX_FORWARDS);
	for (size_t i = 0; i < count; i++) {
		const char *text = h->opt_item(c, "hostfwd", i);
		const char *why = forward_parse(text, &plan->forwards[i]);

		if (why)
			return h->fail(err, VMF_E_CONFIG, 0,
				"write it as 2222:22, udp:5353:53 or 0.0.0.0:8080:80",
				"%s: hostfwd \"%s\": %s", h->opt_origin(c, "hostfwd"), text, why);
		for (size_t j = 0; j < i; j++)
			if (forward_same_port(&plan->forwards[i], &plan->forwards[j]))
				return h->fail(err, VMF_E_CONFIG, 0,
					"choose another port, or 0 for a free one",
					"%s: hostfwd \"%s\": port %u is forwarded twice",
					h->opt_origin(c, "hostfwd"), text, plan->forwards[i].host_port);
	}
	plan->n_forwards = count;
	return 0;
}

static int make_plan(const struct vmf_call *c, struct plan *plan, struct vmf_error *err)
{
	const char *tftp = c->host->opt_string(c, "tftp");
	struct stat st;

	memset(plan, 0, sizeof(*plan));
	if (parse_net(c, plan, err) < 0 || parse_forwards(c, plan, err) < 0 ||
		(passt_is_wanted(c) && passt_check(c, err) < 0))
		return -1;
	if (tftp && (stat(tftp, &st) < 0 || !S_ISDIR(st.st_mode)))
		return wrong(c, err, "tftp", NULL, "there is no such folder");
	if (!tftp && c->host->opt_string(c, "bootfile"))
		return wrong(c, err, "bootfile", "set tftp = to the folder that holds it", "it needs tftp");
	return 0;
}

/* ---- up ----------------------------------------------------------------------------------- */

static int check_ports(const struct vmf_call *c, const struct plan *plan, struct vmf_error *err)
{
	for (size_t i = 0; i < plan->n_forwards; i++)
		if (forward_check(c, &plan->forwards[i], c->host->opt_origin(c, "hostfwd"), err) < 0)
			return -1;
	return 0;
}

static int user_check(const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_error *err)
{
	struct plan plan;

	(void)nic;
	return make_plan(c, &plan, err) < 0 ? -1 : check_ports(c, &plan, err);
}

/* Ports for those that want a free one, none of them twice. */
static int choose_ports(const struct vmf_call *c, struct plan *plan, struct vmf_error *err)
{
	const char *seed =
		c->host->printf(c, "%s/%s", c->vm && c->vm->uuid ? c->vm->uuid : "", c->slot ? c->slot : "");

	for (size_t i = 0; i < plan->n_forwards; i++) {
		struct forward *f = &plan->forwards[i];
		bool again = f->host_port == 0;

		for (unsigned tries = 0; again && tries < 100; tries++) {
			again = false;
			f->host_port =
				forward_choose(f, tries ? c->host->printf(c, "%s/%u", seed, tries) : seed);
			for (size_t j = 0; j < plan->n_forwards; j++)
				again = again || (j != i && forward_same_port(f, &plan->forwards[j]));
		}
		if (again || f->host_port == 0)
			return c->host->fail(
				err, VMF_E_BUSY, 0, "name a port yourself", "%s has no free port", f->host);
	}
	return 0;
}

static void add(struct vmf_props *props, const char *key, uint32_t type, const char *string, int64_t number)
{
	props->items[props->count++] =
		(struct vmf_prop){.key = key, .type = type, .string = string, .number = number};
}

static void add_string(const struct vmf_call *c, struct vmf_props *props, const char *key)
{
	const char *value = c->host->opt_string(c, key);

	if (value)
		add(props, key, VMF_PROP_STRING, value, 0);
}

/* "port 2222 of this host leads to port 22" */
static const char *describe(const struct vmf_call *c, const struct plan *plan)
{
	char *text = NULL;

	for (size_t i = 0; i < plan->n_forwards; i++) {
		const struct forward *f = &plan->forwards[i];

		text = c->host->printf(c, "%s%s%sport %u of %s leads to port %u", text ? text : "",
			text ? ", " : "", f->is_udp ? "udp " : "", f->host_port,
			strcmp(f->host, "127.0.0.1") == 0 ? "this host" : f->host, f->guest_port);
	}
	return text;
}

static void fill(const struct vmf_call *c, const struct plan *plan, struct vmf_netdev *netdev)
{
	struct vmf_props *props = &netdev->props;
	char text[FORWARD_LENGTH];

	netdev->type = "user";
	props->items = c->host->alloc(c, (2 * MAX_FORWARDS + 16) * sizeof(*props->items));
	props->stride = sizeof(*props->items);
	props->count = 0;
	add_string(c, props, "net");
	add_string(c, props, "dhcpstart");
	add_string(c, props, "dns");
	add_string(c, props, "domainname");
	for (size_t i = 0; i < c->host->opt_count(c, "dnssearch") && i < MAX_FORWARDS; i++)
		add(props, c->host->printf(c, "dnssearch.%zu.str", i), VMF_PROP_STRING,
			c->host->opt_item(c, "dnssearch", i), 0);
	add_string(c, props, "hostname");
	add_string(c, props, "tftp");
	add_string(c, props, "bootfile");
	if (c->host->opt_bool(c, "restrict"))
		add(props, "restrict", VMF_PROP_BOOL, NULL, 1);
	if (!c->host->opt_bool(c, "ipv6"))
		add(props, "ipv6", VMF_PROP_BOOL, NULL, 0);
	for (size_t i = 0; i < plan->n_forwards; i++) {
		forward_format(&plan->forwards[i], text);
		add(props, c->host->printf(c, "hostfwd.%zu.str", i), VMF_PROP_STRING,
			c->host->strdup(c, text), 0);
	}
	netdev->note = describe(c, plan);
}

static int remember(const struct vmf_call *c, const struct plan *plan, struct vmf_error *err)
{
	char text[FORWARD_LENGTH], *all = c->host->strdup(c, "");

	for (size_t i = 0; i < plan->n_forwards; i++) {
		forward_format(&plan->forwards[i], text);
		all = c->host->printf(c, "%s%s%s", all, i ? " " : "", text);
	}
	return plan->n_forwards ? c->host->state_set(c, STATE, all, err) : 0;
}

static int user_up(
	const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_netdev *netdev, struct vmf_error *err)
{
	struct plan plan;

	(void)nic;
	if (make_plan(c, &plan, err) < 0 || choose_ports(c, &plan, err) < 0)
		return -1;
	if (passt_is_wanted(c)) {
		const struct passt passt = {
			plan.guest, plan.net + 2, plan.mask, plan.forwards, plan.n_forwards};

		if (passt_up(c, &passt, netdev, err) < 0)
			return -1;
		netdev->note = describe(c, &plan);
	} else {
		fill(c, &plan, netdev);
	}
	return c->dry_run ? 0 : remember(c, &plan, err);
}

static int user_down(const struct vmf_call *c, struct vmf_error *err)
{
	(void)c;
	(void)err;
	return 0; /* all of it is inside QEMU */
}

/* ---- info --------------------------------------------------------------------------------- */

static const char **words(const struct vmf_call *c, const char *text)
{
	const char **list = c->host->alloc(c, (MAX_FORWARDS + 1) * sizeof(*list));
	char *copy = c->host->strdup(c, text), *save = NULL;
	size_t n = 0;

	for (char *word = strtok_r(copy, " ", &save); word && n < MAX_FORWARDS;
		word = strtok_r(NULL, " ", &save))
		list[n++] = word;
	return list;
}

static int user_info(
	const struct vmf_call *c, const struct vmf_nic *nic, struct vmf_nic_info *info, struct vmf_error *err)
{
	const char *forwards = c->host->state_get(c, STATE);
	struct plan plan;
	struct in_addr in;
	char address[INET_ADDRSTRLEN];
	const char **addresses;

	(void)nic;
	memset(&plan, 0, sizeof(plan));
	if (parse_net(c, &plan, err) < 0)
		return -1;
	in.s_addr = htonl(plan.guest);
	inet_ntop(AF_INET, &in, address, sizeof(address));
	addresses = c->host->alloc(c, 2 * sizeof(*addresses));
	addresses[0] = c->host->strdup(c, address);
	info->addresses = addresses;
	info->forwards = forwards ? words(c, forwards) : NULL;
	return 0;
}

static const struct vmf_network_ops ops = {
	.size = sizeof(ops),
	.caps = user_caps,
	.check = user_check,
	.up = user_up,
	.down = user_down,
	.info = user_info,
	.forward = user_forward,
};

VMF_PLUGIN(network_user_mode) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_NETWORK,
	.name = "user-mode",
	.version = PLUGIN_VERSION,
	.summary = "a private network inside QEMU, with forwarded ports",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.needs = needs,
	.n_needs = VMF_COUNT(needs),
	.need_stride = sizeof(struct vmf_need),
	.ops = &ops,
};
