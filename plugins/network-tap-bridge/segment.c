/* SPDX-License-Identifier: ISC */
/* Segments by command: bridges and their ports are made, all or nothing, and taken away. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PORTS 256

struct made {
	struct link links[MAX_PORTS + 1];
	size_t count;
};

static void take_back(struct net *net, struct made *made)
{
	while (made->count)
		net_delete(net, &made->links[--made->count], NULL);
}

/* A host that is reached by that interface would be cut off. */
static int check_addresses(struct net *net, const struct link *link, struct vmf_error *err)
{
	const struct vmf_host *h = net->call->host;
	bool has = false;

	if (link->master)
		return 0;
	if (net_has_address(net, link->index, &has, err) < 0)
		return -1;
	if (!has)
		return 0;
	return h->fail(err, VMF_E_BUSY, 0,
		h->printf(net->call, "give them to the bridge first; ip address flush dev %s takes them away",
			link->name),
		"%s has addresses, and would be cut off", link->name);
}

/* A name alone that is none of those that tell their kind is a bridge. */
static int add_bridge(struct net *net, const struct port_word *word, struct made *made, struct vmf_error *err)
{
	struct link bridge;
	int rc = net_link(net, word->name, &bridge, err);

	if (rc < 0)
		return -1;
	if (rc == 0 && bridge.group != GROUP_KEPT && bridge.group != GROUP_AUTO)
		return net->call->host->fail(err, VMF_E_EXISTS, 0, "choose another name",
			"there is an interface %s already, which vmf did not make", word->name);
	if (bridge_need(net, word->name, GROUP_KEPT, word->mtu, &bridge, err) < 0)
		return -1;
	if (rc > 0 && made->count < MAX_PORTS)
		made->links[made->count++] = bridge;
	if (bridge.group == GROUP_AUTO) /* somebody wants it from now on */
		return port_attach(
			net, &bridge, NULL, &(struct port){.group = GROUP_KEPT, .alias = "vmf"}, err);
	return 0;
}

static int add_port(struct net *net, const struct link *bridge, const char *text, struct made *made,
	struct vmf_error *err)
{
	struct port port = {.keeps_mtu = true};
	struct port_word word;
	struct link link;
	bool is_new;

	if (port_word_parse(net->call, text, &word, err) < 0)
		return -1;
	if (!bridge && !port_tells_kind(&word))
		return add_bridge(net, &word, made, err);
	if (port_make(net, &word, &link, &is_new, err) < 0)
		return -1;
	if (is_new && made->count < MAX_PORTS)
		made->links[made->count++] = link;
	if (bridge && link.index == bridge->index)
		return net->call->host->fail(
			err, VMF_E_USAGE, 0, NULL, "%s cannot be plugged into itself", link.name);
	if (bridge && !is_new && check_addresses(net, &link, err) < 0)
		return -1;
	port.mtu = word.mtu;
	port.alias = is_new ? "vmf" : NULL;
	if (!bridge && !is_new) /* it is there, and is left alone */
		return 0;
	return port_attach(net, &link, bridge, &port, err);
}

static int create(
	struct net *net, const char *name, const char *const *ports, struct made *made, struct vmf_error *err)
{
	struct link bridge, *into = NULL;
	struct port_word word;
	int rc;

	if (name) {
		if (port_word_parse(net->call, name, &word, err) < 0)
			return -1;
		rc = net_link(net, word.name, &bridge, err);
		if (rc < 0 || bridge_need(net, word.name, GROUP_KEPT, word.mtu, &bridge, err) < 0)
			return -1;
		if (rc > 0)
			made->links[made->count++] = bridge;
		into = &bridge;
	}
	for (size_t i = 0; ports && ports[i]; i++)
		if (add_port(net, into, ports[i], made, err) < 0)
			return -1;
	/* one that VMs brought along is kept from now on, as somebody wants it */
	if (into && bridge.group == GROUP_AUTO)
		return port_attach(
			net, &bridge, NULL, &(struct port){.group = GROUP_KEPT, .alias = "vmf"}, err);
	return 0;
}

int segment_create(
	const struct vmf_call *c, const char *name, const char *const *ports, struct vmf_error *err)
{
	struct port_word word;
	struct made *made;
	struct net net;
	int rc;

	/* mistakes in a word are found before anything is made */
	if (name && port_word_parse(c, name, &word, err) < 0)
		return -1;
	for (size_t i = 0; ports && ports[i]; i++)
		if (port_word_parse(c, ports[i], &word, err) < 0)
			return -1;
	if (c->dry_run)
		return 0;
	if (net_open(&net, c, err) < 0)
		return -1;
	if (!net.may) {
		net_close(&net);
		return c->host->fail(err, VMF_E_PERMISSION, 0,
			"be root, or start a VM of yours first: its NICs make a network of your own, with "
			"its bridges",
			"links of the host cannot be made");
	}
	made = c->host->alloc(c, sizeof(*made));
	net_lock(&net);
	rc = create(&net, name, ports, made, err);
	if (rc < 0)
		take_back(&net, made);
	net_close(&net);
	return rc;
}

/* Whose NICs are in it? */
static int check_unused(struct net *net, const struct link *bridge, struct vmf_error *err)
{
	struct link *links;
	size_t count;
	int rc = 0;

	if (strcmp(bridge->kind, "bridge") != 0)
		return 0;
	if (net_links(net, bridge->index, &links, &count, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (links[i].group == GROUP_TAP)
			rc = net->call->host->fail(err, VMF_E_BUSY, 0,
				"stop that VM, or `connect` it elsewhere", "%s has %s of a VM in it (%s)",
				bridge->name, links[i].name, links[i].alias);
	free(links);
	return rc;
}

int segment_remove(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	struct link link;
	struct net net;
	int rc;

	if (net_open(&net, c, err) < 0)
		return -1;
	net_lock(&net);
	rc = net_link(&net, name, &link, err);
	if (rc == 0 && link.group != GROUP_KEPT && link.group != GROUP_AUTO && link.group != GROUP_TAP)
		rc = c->host->fail(err, VMF_E_PERMISSION, 0,
			c->host->printf(c, "if you mean it: ip link delete %s", name),
			"%s was not made by vmf", name);
	else if (rc == 0 && check_unused(&net, &link, err) < 0)
		rc = -1;
	if (rc == 0 && !c->dry_run)
		rc = net_delete(&net, &link, err);
	net_close(&net);
	return rc < 0 ? -1 : 0;
}
