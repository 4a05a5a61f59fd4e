/* SPDX-License-Identifier: ISC */
/* What the options ask for a NIC, with all the mistakes in them told; and what its tap is called. */
#include "tap.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Five characters that differ for each NIC of each VM, whatever their names have in common. */
static void put_hash(const struct vmf_call *c, unsigned salt, char out[6])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	const char *text =
		c->host->printf(c, "%s/%u/%u", c->vm->uuid ? c->vm->uuid : c->vm->name, c->slot_index, salt);
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	for (int i = 0; i < 5; i++, hash /= 32)
		out[i] = digits[hash % 32];
	out[5] = '\0';
}

/* VMeN; where that is too long, or taken (SALT), the name's start and a hash. */
void wish_name(const struct vmf_call *c, unsigned salt, char name[IFNAMSIZ])
{
	const char *vm = c->vm && c->vm->name ? c->vm->name : "vmf";
	const char *plain = c->host->printf(c, "%se%u", vm, c->slot_index);
	char hash[6];

	if (salt == 0 && strlen(plain) < IFNAMSIZ) {
		snprintf(name, IFNAMSIZ, "%s", plain);
		return;
	}
	put_hash(c, salt, hash);
	snprintf(name, IFNAMSIZ, "%.9s-%s", vm, hash);
}

static int wrong_name(const struct vmf_call *c, const char *option, const char *name, struct vmf_error *err)
{
	const char *why = link_name_wrong(name);

	if (!why)
		return 0;
	return c->host->fail(err, VMF_E_CONFIG, 0, "letters, digits and . _ - as in br-lab, at most 15",
		"%s: %s \"%s\" is %s", c->host->opt_origin(c, option), option, name, why);
}

static int find_owner(const struct vmf_call *c, uid_t *owner, struct vmf_error *err)
{
	const char *name = c->host->opt_string(c, "owner");
	const struct passwd *user = name ? getpwnam(name) : NULL;

	*owner = c->vm ? c->vm->qemu_uid : geteuid();
	if (!name)
		return 0;
	if (!user)
		return c->host->fail(err, VMF_E_CONFIG, 0, NULL, "%s: there is no user \"%s\"",
			c->host->opt_origin(c, "owner"), name);
	*owner = user->pw_uid;
	return 0;
}

/*
 * The host's end of the cable: the NIC's address with fe in front. A bridge takes the lowest address of its
 * ports for its own, and one that changed with each VM would cut off a host that is reached through it.
 */
static void far_end(const char *mac, uint8_t address[6])
{
	if (mac && sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &address[0], &address[1], &address[2],
			   &address[3], &address[4], &address[5]) == 6)
		address[0] = address[0] == 0xfe ? 0xfa : 0xfe;
	else
		memset(address, 0, 6);
}

int wish_read(const struct vmf_call *c, const struct vmf_nic *nic, struct wish *w, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *ifname = h->opt_string(c, "ifname");
	bool is_virtio = !nic->model || strncmp(nic->model, "virtio-net", 10) == 0;

	memset(w, 0, sizeof(*w));
	w->bridge = nic->segment ? nic->segment : h->opt_string(c, "bridge");
	if (!w->bridge)
		return h->fail(err, VMF_E_CONFIG, 0,
			"set bridge = in the network or in the nic; \"-\" plugs a nic into nothing",
			"network \"%s\" names no bridge, and neither does the nic",
			c->instance ? c->instance : "tap-bridge");
	if (*w->bridge && wrong_name(c, "bridge", w->bridge, err) < 0)
		return -1;
	w->create = h->opt_bool(c, "create");
	w->uplink = h->opt_bool(c, "uplink");
	w->port = (struct port){.isolated = h->opt_bool(c, "isolated"),
		.hairpin = h->opt_bool(c, "hairpin"),
		.group = GROUP_TAP,
		.mtu = (uint32_t)h->opt_int(c, "mtu")};
	w->vhost = is_virtio ? h->opt_string(c, "vhost") : "off";
	if (!w->vhost)
		w->vhost = "auto";
	w->tap.is_persistent = h->opt_bool(c, "persist");
	w->tap.queues = is_virtio && h->opt_int(c, "queues") > 1 ? (unsigned)h->opt_int(c, "queues") : 1;
	w->tap.is_multi = w->tap.queues > 1;
	far_end(nic->mac, w->port.address);
	if (find_owner(c, &w->tap.owner, err) < 0)
		return -1;
	w->has_ifname = ifname != NULL;
	if (ifname && wrong_name(c, "ifname", ifname, err) < 0)
		return -1;
	if (ifname)
		snprintf(w->tap.name, sizeof(w->tap.name), "%s", ifname);
	else
		wish_name(c, 0, w->tap.name);
	return 0;
}
