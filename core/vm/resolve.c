/* SPDX-License-Identifier: ISC */
/* What a VM's definition leads to: plugins with their options, and the volumes that are found by their names.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "vm/vm.h"

static int resolve_opts(struct vm *vm, const struct conf_section *own, const char *keyword,
	const char *instance, enum vmf_kind kind, const struct plugin **plugin, struct vmf_opts **opts,
	struct vmf_error *err)
{
	struct vm_instance found;

	if (!instance)
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "no %s is named", keyword);
	if (vm_instance_find(vm->root, keyword, instance, kind, &found, err) < 0)
		return -1;
	*plugin = found.plugin;
	*opts = vm_instance_opts(&found, own, err);
	return *opts ? 0 : -1;
}

static bool has_volume(const struct vm *vm, const char *instance, const char *volume)
{
	for (size_t i = 0; i < vm->n_disks; i++)
		if (str_equal(vm->disks[i].volume, volume) && str_equal(vm->disks[i].instance, instance))
			return true;
	return false;
}

/* N of "PREFIX-N", or -1. */
static int volume_number(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);
	char *end;
	long number;

	if (strncmp(name, prefix, n) != 0 || name[n] != '-' || !isdigit((unsigned char)name[n + 1]))
		return -1;
	number = strtol(name + n + 1, &end, 10);
	return *end || number > 9999 ? -1 : (int)number;
}

/* A store's volumes of this VM, asked for once: PREFIX-N with any N. */
static int list_own(struct vm *vm, const char *instance, const struct plugin **plugin, struct vmf_opts **opts,
	struct vmf_volume_list *list, struct vmf_error *err)
{
	autofree char *prefix = vm_volume_prefix(vm);
	autofree char *dashed = str_printf("%s-", prefix);
	struct vm_disk unnamed = {.instance = instance, .title = "?", .slot = (char *)"disk-?"};
	struct vm_call call;

	memset(list, 0, sizeof(*list));
	if (!instance)
		return 0;
	if (resolve_opts(vm, NULL, "storage", instance, VMF_STORAGE, plugin, opts, err) < 0)
		return -1;
	unnamed.plugin = *plugin;
	unnamed.opts = *opts;
	vm_call_disk(vm, &unnamed, &call);
	if (vm_volumes_list(vm, *plugin, &call, dashed, list, err) < 0)
		return vmf_context(err, "storage \"%s\"", instance);
	return 0;
}

/* Names are chosen by owners, too: another VM's volume is none of such a VM, whatever it is called. */
static bool is_anothers(const struct vm *vm, const struct vmf_volume *volume)
{
	return conf_string(vm->root, "owner") && volume->owner_uuid &&
	       !str_equal(volume->owner_uuid, vm->uuid);
}

static int find_volumes(struct vm *vm, struct vmf_error *err)
{
	const struct plugin *plugin = NULL;
	struct vmf_opts *opts = NULL;
	struct vmf_volume_list list;
	autofree char *prefix = vm_volume_prefix(vm);
	const char *instance = conf_string(vm->root, "storage");
	struct strv found = STRV_INIT;

	if (list_own(vm, instance, &plugin, &opts, &list, err) < 0) {
		conf_opts_free(opts);
		return -1;
	}
	vm->seen = (struct vm_seen){.instance = instance, .list = list, .is_fresh = true};
	for (size_t i = 0; i < list.count; i++)
		if (volume_number(vm_volume_at(&list, i)->name, prefix) >= 0 &&
			!is_anothers(vm, vm_volume_at(&list, i)))
			strv_add(&found, vm_volume_at(&list, i)->name);
	conf_opts_free(opts);
	strv_sort(&found);
	for (size_t i = 0; i < found.count; i++)
		if (!has_volume(vm, instance, found.items[i])) {
			const char *number = found.items[i] + strlen(prefix) + 1;
			struct vm_disk *disk = vm_add_disk(vm, arena_dup(&vm->arena, number));

			disk->volume = arena_dup(&vm->arena, found.items[i]);
		}
	strv_free(&found);
	return 0;
}

static bool is_taken(const struct vm *vm, const struct vmf_volume_list *list, const char *prefix, int number)
{
	autofree char *title = str_printf("%d", number);

	for (size_t i = 0; i < list->count; i++)
		if (volume_number(vm_volume_at(list, i)->name, prefix) == number)
			return true;
	/* disks that are configured, perhaps in another store */
	for (size_t i = 0; i < vm->n_disks; i++)
		if (str_equal(vm->disks[i].title, title))
			return true;
	return false;
}

char *vm_next_volume(struct vm *vm, const char *instance, struct vmf_error *err)
{
	const struct plugin *plugin = NULL;
	struct vmf_opts *opts = NULL;
	struct vmf_volume_list list;
	autofree char *prefix = vm_volume_prefix(vm);
	int next = 0, rc = list_own(vm, instance, &plugin, &opts, &list, err);

	conf_opts_free(opts);
	if (rc < 0)
		return NULL;
	while (is_taken(vm, &list, prefix, next))
		next++;
	return str_printf("%s-%d", prefix, next);
}

int vm_display_resolve(struct vm *vm, struct vm_display *d, struct vmf_error *err)
{
	const struct conf_section *section = conf_find(vm->root, "display", NULL), *layers[1];

	d->plugin = plugin_get(VMF_DISPLAY, d->name, err);
	layers[0] = section ? conf_find(section, d->name, NULL) : NULL;
	d->opts = d->plugin ? conf_opts_resolve(&d->plugin->desc, layers, 1, err) : NULL;
	return d->opts ? 0 : vmf_context(err, "vm \"%s\": display", vm->name);
}

int vm_resolve(struct vm *vm, struct vmf_error *err)
{
	vm->seen.is_fresh = false;
	if (vm->is_resolved)
		return 0;
	if (find_volumes(vm, err) < 0)
		return vmf_context(err, "vm \"%s\"", vm->name);
	for (size_t i = 0; i < vm->n_disks; i++) {
		struct vm_disk *d = &vm->disks[i];

		if (resolve_opts(vm, d->section, "storage", d->instance, VMF_STORAGE, &d->plugin, &d->opts,
			    err) < 0)
			return vmf_context(err, "vm \"%s\": disk \"%s\"", vm->name, d->title);
	}
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vm_nic *n = &vm->nics[i];

		if (resolve_opts(vm, n->section, "network", n->instance, VMF_NETWORK, &n->plugin, &n->opts,
			    err) < 0)
			return vmf_context(err, "vm \"%s\": nic \"%s\"", vm->name, n->title);
	}
	if (vm->display.name && vm_display_resolve(vm, &vm->display, err) < 0)
		return -1;
	vm->is_resolved = true;
	return 0;
}
