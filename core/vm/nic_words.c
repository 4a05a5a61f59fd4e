/* SPDX-License-Identifier: ISC */
/* Words for what a NIC is plugged into: of people and for people. */
#include <stdlib.h>
#include <string.h>

#include "vm/nic.h"

/* Can NICs on that network be plugged into segments? A plugin that is not there has none. */
static bool has_segments(struct vm *vm, const char *network)
{
	struct vm_nic probe = {.instance = network, .title = "?", .slot = (char *)"nic-?"};
	struct vmf_error quiet = VMF_ERROR_INIT;
	struct vm_instance in;
	struct vm_call call;
	uint32_t caps = 0;

	if (network && vm_instance_find(vm->root, "network", network, VMF_NETWORK, &in, &quiet) == 0)
		probe.opts = vm_instance_opts(&in, NULL, &quiet);
	if (probe.opts) {
		vm_call_nic(vm, &probe, &call);
		caps = in.plugin->ops.network.caps ? in.plugin->ops.network.caps(&call.call) : 0;
		conf_opts_free(probe.opts);
	}
	error_clear(&quiet);
	return (caps & VMF_NETWORK_RECONNECT) != 0;
}

const char *nic_network_for_bridges(struct vm *vm, struct vmf_error *err)
{
	const char *network = conf_string(vm->root, "network");

	if (network && !str_equal(network, "none") && has_segments(vm, network))
		return network;
	for (size_t i = 0; i < vm->root->n_sections; i++) {
		const struct conf_section *s = vm->root->sections[i];

		if (str_equal(s->keyword, "network") && has_segments(vm, s->title))
			return s->title;
	}
	vmf_fail(err, VMF_E_CONFIG, 0, "as in: network \"lab\" { tap-bridge { create = yes } }",
		"there is no network with bridges in the configuration");
	return NULL;
}

static int on_default(struct vm *vm, struct nic_wish *wish, struct vmf_error *err)
{
	const char *network = conf_string(vm->root, "network");
	const struct conf *layers;

	if (network && !str_equal(network, "none")) {
		wish->network = network;
		return 0;
	}
	/* "none" may be what `ifdel` has written */
	layers = vm->class_ ? ctx_class(vm->ctx, vm->class_, err) : vm->ctx->with_default;
	if (!layers)
		return -1;
	network = conf_string(conf_root(layers), "network");
	if (!network || str_equal(network, "none"))
		return vmf_fail(err, VMF_E_CONFIG, 0,
			"name a network or bridge for each NIC, or set network =",
			"there is no network for NICs that name none");
	wish->network = network;
	return 0;
}

int nic_word_parse(
	struct vm *vm, const char *word, const char *on, struct nic_wish *wish, struct vmf_error *err)
{
	const char *colon = word ? strchr(word, ':') : NULL;

	wish->segment = NULL;
	if (!word)
		return on ? (wish->network = on, 0) : on_default(vm, wish, err);
	if (colon) {
		wish->network = arena_printf(&vm->arena, "%.*s", (int)(colon - word), word);
		wish->segment = arena_dup(&vm->arena, str_equal(colon + 1, "-") ? "" : colon + 1);
		if (!conf_find(vm->root, "network", wish->network))
			return vmf_fail(err, VMF_E_CONFIG, 0, "define it in vmf.conf, or name a bridge alone",
				"there is no network \"%s\"", wish->network);
		return 0;
	}
	if (conf_find(vm->root, "network", word)) {
		wish->network = arena_dup(&vm->arena, word);
		return 0;
	}
	wish->segment = arena_dup(&vm->arena, str_equal(word, "-") ? "" : word);
	wish->network = on ? on : nic_network_for_bridges(vm, err);
	return wish->network ? 0 : -1;
}

char *nic_word(struct vm *vm, const struct vm_nic *n)
{
	const char *segment = n->segment && !*n->segment ? "-" : n->segment;
	struct vmf_error quiet = VMF_ERROR_INIT;
	const char *bare = segment ? nic_network_for_bridges(vm, &quiet) : NULL;

	error_clear(&quiet);
	if (!segment)
		return str_dup(n->instance);
	if (str_equal(bare, n->instance) && !conf_find(vm->root, "network", segment))
		return str_dup(segment);
	return str_printf("%s:%s", n->instance, segment);
}
