/* SPDX-License-Identifier: ISC */
#include "vm/capacity.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vm/storage.h"

/* By the placement plugin that means this host. */
static int probe(struct ctx *ctx, struct capacity *c, struct vmf_error *err)
{
	const struct conf_section *root = conf_root(ctx->with_default);
	struct vmf_host_info info = {.size = sizeof(info), .temperature_millicelsius = INT32_MIN};
	struct arena arena = {NULL};
	struct host_services services = {.arena = &arena};
	struct vm_instance host;
	struct vmf_opts *opts;
	struct vmf_call call;
	int rc = 0;

	c->temperature_millicelsius = INT32_MIN;
	if (vm_instance_find(root, "host", "local", VMF_PLACEMENT, &host, err) < 0)
		return -1;
	opts = vm_instance_opts(&host, NULL, err);
	if (!opts)
		return -1;
	host_call_init(&call, &services, opts, NULL, host.name, NULL, 0);
	rc = host.plugin->ops.placement.probe(&call, &info, err);
	c->cpus = info.cpus;
	c->memory_bytes = (int64_t)info.memory_bytes;
	c->memory_free_bytes = (int64_t)(info.memory_bytes - info.memory_used_bytes);
	c->load = info.load;
	c->temperature_millicelsius = info.temperature_millicelsius;
	conf_opts_free(opts);
	arena_free(&arena);
	return rc;
}

static void look_at_disk(struct ctx *ctx, struct capacity *c)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct stores stores;

	if (stores_open(ctx, &stores, &ignored) == 0)
		for (size_t i = 0; i < stores.count; i++)
			if (stores.items[i].is_default && stores.items[i].plugin) {
				c->disk_bytes = (int64_t)stores.items[i].pool.size_bytes;
				c->disk_free_bytes = (int64_t)stores.items[i].pool.free_bytes;
			}
	stores_free(&stores);
	error_clear(&ignored);
}

int capacity_read(struct ctx *ctx, struct capacity *c, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;

	memset(c, 0, sizeof(*c));
	if (ctx_load(ctx, err) < 0 || probe(ctx, c, err) < 0 || vm_names(ctx, &names, err) < 0)
		return -1;
	look_at_disk(ctx, c);
	for (size_t i = 0; i < names.count; i++) {
		struct vmf_error ignored = VMF_ERROR_INIT;
		struct vm_state state;
		int64_t cpus, memory;
		struct vm *vm;

		vm = vm_load(ctx, names.items[i], true, &ignored);
		cpus = vm ? conf_number(vm->root, "cpus") : 0;
		memory = vm ? (int64_t)vm_memory_bytes(vm) : 0;
		c->vms++;
		c->cpus_defined += cpus;
		c->memory_defined_bytes += memory;
		vm_state_read(ctx, names.items[i], &state);
		if (state.phase != VM_OFF && state.phase != VM_SAVED && state.phase != VM_ENDED &&
			state.phase != VM_CRASHED) {
			c->vms_up++;
			c->cpus_used += cpus;
			c->memory_used_bytes += memory;
		}
		vm_free(vm);
		error_clear(&ignored);
	}
	return 0;
}
