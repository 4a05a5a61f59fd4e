/* SPDX-License-Identifier: ISC */
/* What there is: one look at all links, sorted into bridges and their ports. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct all {
	const struct vmf_call *call;
	struct link *links;
	size_t count;
};

static int by_index(const void *a, const void *b)
{
	const struct link *x = a, *y = b;

	return (x->index > y->index) - (x->index < y->index);
}

static int by_name(const void *a, const void *b)
{
	const struct link *const *x = a, *const *y = b;

	return strverscmp((*x)->name, (*y)->name);
}

static const struct link *at_index(const struct all *all, int index)
{
	const struct link key = {.index = index};

	return index ? bsearch(&key, all->links, all->count, sizeof(key), by_index) : NULL;
}

static bool is_ours(const struct link *link)
{
	return link->group == GROUP_AUTO || link->group == GROUP_KEPT || link->group == GROUP_TAP;
}

/* "vmf: VM SLOT", as up() has written it */
static void set_owner(const struct vmf_call *c, const struct link *link, struct vmf_port *port)
{
	char vm[65], slot[80];

	if (link->group != GROUP_TAP || sscanf(link->alias, "vmf: %64s %79s", vm, slot) != 2)
		return;
	port->vm = c->host->strdup(c, vm);
	port->slot = c->host->strdup(c, slot);
}

static void set_port(const struct all *all, const struct link *link, struct vmf_port *port)
{
	const struct vmf_call *c = all->call;

	*port = (struct vmf_port){.size = sizeof(*port)};
	port->name = c->host->strdup(c, link->name);
	port->type = strcmp(link->kind, "tun") == 0 ? "tap"
		     : *link->kind		    ? c->host->strdup(c, link->kind)
						    : NULL;
	port->is_ours = is_ours(link);
	port->link_up = (link->flags & IFF_RUNNING) != 0;
	port->in_bytes = link->rx_bytes;
	port->out_bytes = link->tx_bytes;
	port->in_packets = link->rx_packets;
	port->out_packets = link->tx_packets;
	set_owner(c, link, port);
	if (link->group == GROUP_KEPT) {
		port->wire = wire_of(c, link->alias);
		port->word = port->wire ? NULL : port_word_of(c, link, at_index(all, link->lower));
	}
}

/* Those in SORTED whose master it is; or, BRIDGE NULL, ours that are in none. */
static size_t pick(const struct all *all, const struct link *const *sorted, const struct link *bridge,
	struct vmf_port *to)
{
	size_t n = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct link *link = sorted[i];
		bool is_it = bridge ? link->master == bridge->index
				    : !link->master && is_ours(link) && strcmp(link->kind, "bridge") != 0;

		if (is_it && to)
			set_port(all, link, &to[n]);
		n += is_it;
	}
	return n;
}

static void set_ports(const struct all *all, const struct link *const *sorted, const struct link *bridge,
	struct vmf_segment *segment)
{
	const struct vmf_call *c = all->call;
	size_t n = pick(all, sorted, bridge, NULL);
	struct vmf_port *ports = c->host->alloc(c, (n + 1) * sizeof(*ports));
	const char **names = c->host->alloc(c, (n + 1) * sizeof(*names));

	pick(all, sorted, bridge, ports);
	for (size_t i = 0; i < n; i++)
		names[i] = ports[i].name;
	segment->ports = names;
	segment->port_items = ports;
	segment->n_port_items = n;
	segment->port_stride = sizeof(*ports);
}

static void set_segment(const struct all *all, const struct link *const *sorted, const struct link *bridge,
	struct vmf_segment *segment)
{
	const struct vmf_call *c = all->call;
	unsigned mtu;

	*segment = (struct vmf_segment){.size = sizeof(*segment)};
	set_ports(all, sorted, bridge, segment);
	if (!bridge)
		return;
	segment->name = c->host->strdup(c, bridge->name);
	segment->type = "bridge";
	segment->is_ours = is_ours(bridge);
	segment->mtu = bridge->mtu;
	if (bridge->group != GROUP_KEPT)
		return;
	segment->word = segment->name;
	if (sscanf(bridge->alias, BRIDGE_MTU_ALIAS, &mtu) == 1)
		segment->word = c->host->printf(c, "%s,mtu=%u", bridge->name, mtu);
}

int segment_list(const struct vmf_call *c, struct vmf_segment_list *list, struct vmf_error *err)
{
	struct all all = {.call = c};
	const struct link **sorted;
	struct net net;
	int rc;

	memset(list, 0, sizeof(*list));
	if (net_open(&net, c, err) < 0)
		return -1;
	rc = net_links(&net, 0, &all.links, &all.count, err);
	net_close(&net);
	if (rc < 0)
		return -1;
	qsort(all.links, all.count, sizeof(*all.links), by_index);
	sorted = c->host->alloc(c, (all.count + 1) * sizeof(*sorted));
	for (size_t i = 0; i < all.count; i++)
		sorted[i] = &all.links[i];
	qsort(sorted, all.count, sizeof(*sorted), by_name);
	list->items = c->host->alloc(c, (all.count + 1) * sizeof(*list->items));
	list->stride = sizeof(*list->items);
	for (size_t i = 0; i < all.count; i++)
		if (strcmp(sorted[i]->kind, "bridge") == 0)
			set_segment(&all, sorted, sorted[i], &list->items[list->count++]);
	if (pick(&all, sorted, NULL, NULL))
		set_segment(&all, sorted, NULL, &list->items[list->count++]);
	free(all.links);
	return 0;
}
