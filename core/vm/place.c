/* SPDX-License-Identifier: ISC */
#include "vm/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define RECORD_MAX (8 << 20)

/* ---- managed from elsewhere ---------------------------------------------------------------- */

static char *managed_path(const struct ctx *ctx, const char *name, const char *suffix)
{
	return str_printf("%s/managed/%s%s", ctx->paths.lib, name, suffix);
}

char *managed_layer(const struct ctx *ctx, const char *name)
{
	return managed_path(ctx, name, ".conf");
}

json_t *managed_read(const struct ctx *ctx, const char *name)
{
	autofree char *path = managed_path(ctx, name, ".json");
	autofree char *text = file_read_at(AT_FDCWD, path, RECORD_MAX, NULL);

	return text ? json_loads(text, 0, NULL) : NULL;
}

int managed_write(const struct ctx *ctx, const char *name, const json_t *record, struct vmf_error *err)
{
	autofree char *path = managed_path(ctx, name, ".json");
	autofree char *folder = path_parent(path);
	char *text = json_dumps(record, JSON_INDENT(1));
	int rc = file_mkdirs(folder, 0700, err);

	if (rc == 0)
		rc = file_write(path, text, strlen(text), 0600, true, err);
	free(text);
	return rc;
}

void managed_forget(const struct ctx *ctx, const char *name)
{
	autofree char *record = managed_path(ctx, name, ".json");
	autofree char *layer = managed_layer(ctx, name);

	unlink(layer);
	unlink(record);
}

/* ---- places ------------------------------------------------------------------------------- */

void place_call(struct place *place, struct vmf_call *call)
{
	host_call_init(call, &place->services, place->opts, NULL, place->name, NULL, 0);
	call->dry_run = place->ctx->dry_run;
	call->run_dir = place->run_dir;
}

void place_free(struct place *place)
{
	if (!place)
		return;
	conf_opts_free(place->opts);
	arena_free(&place->arena);
	free(place->name);
	free(place->run_dir);
	free(place);
}

int place_find(struct ctx *ctx, const struct conf_section *root, const char *name, struct place **place,
	struct vmf_error *err)
{
	struct vm_instance found;
	struct vmf_call call;
	struct place *p;

	*place = NULL;
	if (vm_instance_find(root, "host", name, VMF_PLACEMENT, &found, err) < 0)
		return -1;
	p = mem_alloc(sizeof(*p));
	p->ctx = ctx;
	p->name = str_dup(name);
	p->plugin = found.plugin;
	p->run_dir = str_printf("%s/.hosts", ctx->paths.run);
	p->services.arena = &p->arena;
	p->opts = vm_instance_opts(&found, NULL, err);
	if (!p->opts) {
		place_free(p);
		return vmf_context(err, "host \"%s\"", name);
	}
	place_call(p, &call);
	if (p->plugin->ops.placement.caps && p->plugin->ops.placement.caps(&call) & VMF_PLACEMENT_HERE)
		place_free(p);
	else
		*place = p;
	return 0;
}

int place_of(struct vm *vm, struct place **place, struct vmf_error *err)
{
	const char *name = conf_string(vm->root, "host");
	json_t *managed;

	*place = NULL;
	/* what holds when nothing is configured is this very host; no plugin is loaded for that */
	if (!name || !conf_is_set(vm->root, "host"))
		return 0;
	managed = managed_read(vm->ctx, vm->name);
	if (managed) {
		json_decref(managed);
		return 0;
	}
	return place_find(vm->ctx, vm->root, name, place, err);
}
