/* SPDX-License-Identifier: ISC */
/* NICs in QEMU's words, on the command line and as what is plugged into a running VM. */
#include <stdlib.h>
#include <string.h>

#include "vm/start.h"

/* "speed=1000": a number or a truth where it reads like one. */
static void add_props(json_t *device, const struct conf_value *props)
{
	for (size_t i = 0; props && i < props->n_items; i++) {
		autofree char *key = str_dup(props->items[i]);
		char *value = strchr(key, '='), *end;
		long long number;

		if (!value)
			continue;
		*value++ = '\0';
		number = strtoll(value, &end, 0);
		if (*value && !*end)
			json_object_set_new(device, key, json_integer(number));
		else if (str_equal(value, "on") || str_equal(value, "off"))
			json_object_set_new(device, key, json_boolean(value[1] == 'n'));
		else
			json_object_set_new(device, key, json_string(value));
	}
}

json_t *command_nic_device(const struct vm_nic *n)
{
	autofree char *netdev = command_netdev_id(n->slot);
	json_t *device = json_pack(
		"{s:s, s:s, s:s, s:s}", "driver", n->model, "id", n->slot, "netdev", netdev, "mac", n->mac);

	if (n->section)
		add_props(device, conf_get(n->section, "props"));
	return device;
}

char *command_netdev_id(const char *slot)
{
	return str_printf("%s.net", slot);
}

void command_nic_fit(json_t *device, const struct vmf_netdev *netdev)
{
	const char *model = json_string_value(json_object_get(device, "driver"));

	if (!model || !str_starts(model, "virtio-net"))
		return;
	if (netdev->queues > 1) {
		json_object_set_new(device, "mq", json_true());
		json_object_set_new(device, "vectors", json_integer(2 * netdev->queues + 2));
	}
	if (netdev->mtu)
		json_object_set_new(device, "host_mtu", json_integer(netdev->mtu));
}

int command_nics(struct vm *vm, struct start *s, struct vmf_error *err)
{
	for (size_t i = 0; i < vm->n_nics; i++) {
		const struct vm_nic *n = &vm->nics[i];
		autofree char *netdev = command_netdev_id(n->slot);
		json_t *device = command_nic_device(n);

		command_nic_fit(device, &s->netdevs[i]);
		if (qemu_args_netdev(&s->args, netdev, &s->netdevs[i], err) < 0) {
			json_decref(device);
			return vmf_context(err, "nic \"%s\"", n->title);
		}
		command_device(s, device);
		if (s->started && s->netdevs[i].note)
			strv_add(&s->started->notes, s->netdevs[i].note);
	}
	return 0;
}
