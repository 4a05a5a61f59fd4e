/* SPDX-License-Identifier: ISC */
/* Calls into plugins: which plugin, with which options, for which VM and slot, with which memory. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "vm/vm.h"

int vm_instance_find(const struct conf_section *root, const char *keyword, const char *name,
	enum vmf_kind kind, struct vm_instance *instance, struct vmf_error *err)
{
	const struct conf_section *section = conf_find(root, keyword, name);

	if (!section) {
		struct strbuf known = STRBUF_INIT;
		autofree char *hint = NULL;

		for (size_t i = 0; i < root->n_sections; i++)
			if (str_equal(root->sections[i]->keyword, keyword))
				strbuf_printf(&known, "%s\"%s\"", known.length ? ", " : "",
					root->sections[i]->title);
		hint = str_printf("there are %s", known.data ? known.data : "none");
		strbuf_free(&known);
		return vmf_fail(
			err, VMF_E_CONFIG, 0, hint, "no %s \"%s\" in the configuration", keyword, name);
	}
	if (section->n_sections == 0)
		return vmf_fail(err, VMF_E_CONFIG, 0, "as in: storage \"fast\" { lvm { vg = \"vg0\" } }",
			"%s: %s \"%s\" names no plugin", conf_where(section->file, section->line), keyword,
			name);
	/* a higher layer may have given the same title another plugin: the last one counts */
	instance->section = section->sections[section->n_sections - 1];
	instance->name = section->title;
	instance->plugin = plugin_get(kind, instance->section->keyword, err);
	if (!instance->plugin)
		return vmf_context(err, "%s: %s \"%s\"",
			conf_where(instance->section->file, instance->section->line), keyword, name);
	return 0;
}

struct vmf_opts *vm_instance_opts(
	const struct vm_instance *instance, const struct conf_section *own, struct vmf_error *err)
{
	const struct conf_section *layers[2] = {instance->section};

	layers[1] = own ? conf_find(own, instance->plugin->name, NULL) : NULL;
	return conf_opts_resolve(&instance->plugin->desc, layers, 2, err);
}

static const struct part {
	const char *keyword;
	enum vmf_kind kind;
	const char *instance; /* what names the section whose options come first */
} parts[] = {
	{"storage", VMF_STORAGE, NULL},
	{"network", VMF_NETWORK, NULL},
	{"host", VMF_PLACEMENT, NULL},
	{"display", VMF_DISPLAY, NULL},
	{"disk", VMF_STORAGE, "storage"},
	{"nic", VMF_NETWORK, "network"},
};

bool vm_plugin_layers(const struct conf_section *root, const struct conf_section *section,
	const struct conf_section *own, enum vmf_kind *kind, const struct conf_section *layers[2])
{
	const struct part *part = parts, *end = parts + VMF_COUNT(parts);
	const struct conf_section *in;
	const char *name;

	while (part < end && !str_equal(part->keyword, section->keyword))
		part++;
	if (part == end)
		return false;
	*kind = part->kind;
	layers[0] = NULL;
	layers[1] = own;
	if (!part->instance) /* of several plugins the last one counts */
		return own == section->sections[section->n_sections - 1];
	name = conf_string(section, part->instance);
	in = conf_find(root, part->instance, name ? name : conf_string(root, part->instance));
	if (!in || in->n_sections == 0 || !str_equal(in->sections[in->n_sections - 1]->keyword, own->keyword))
		return false;
	layers[0] = in->sections[in->n_sections - 1];
	return true;
}

static int check_plugin(const struct conf_section *root, const struct conf_section *section,
	const struct conf_section *own, struct vmf_error *err)
{
	struct vmf_error missing = VMF_ERROR_INIT;
	const struct conf_section *layers[2];
	const struct plugin *plugin;
	struct vmf_opts *opts;
	enum vmf_kind kind;

	if (!vm_plugin_layers(root, section, own, &kind, layers))
		return 0;
	plugin = plugin_get(kind, own->keyword, &missing);
	if (!plugin) { /* which may be there where the VM is going to run */
		log_warn("%s: %s", conf_where(own->file, own->line), missing.message);
		error_clear(&missing);
		return 0;
	}
	opts = conf_opts_resolve(&plugin->desc, layers, 2, err);
	conf_opts_free(opts);
	return opts ? 0 : -1;
}

int vm_check_plugins(const struct conf_section *root, const char *file, struct vmf_error *err)
{
	for (size_t i = 0; i < root->n_sections; i++) {
		const struct conf_section *section = root->sections[i];

		for (size_t k = 0; k < section->n_sections; k++) {
			const struct conf_section *own = section->sections[k];

			if (!own->schema && str_equal(own->file, file) &&
				check_plugin(root, section, own, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* ---- what the host keeps for a slot ------------------------------------------------------- */

static const char *state_get(void *data, const char *slot, const char *key)
{
	struct vm *vm = data;

	if (!slot || vm_slots_load(vm) < 0)
		return NULL;
	return json_string_value(json_object_get(json_object_get(vm->slots, slot), key));
}

static int state_set(void *data, const char *slot, const char *key, const char *value, struct vmf_error *err)
{
	struct vm *vm = data;
	json_t *of;

	if (!slot)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "no slot to keep \"%s\" for", key);
	if (vm_slots_load(vm) < 0)
		vm->slots = json_object();
	of = json_object_get(vm->slots, slot);
	if (!of) {
		of = json_object();
		json_object_set_new(vm->slots, slot, of);
	}
	if (value)
		json_object_set_new(of, key, json_string(value));
	else
		json_object_del(of, key);
	return vm_slots_save(vm, err);
}

/* What may wait for a transaction, of which a plugin wants to know only that it will be done. */
static bool can_wait(const char *command, char **answer)
{
	static const char *const commands[] = {"blockdev-snapshot-internal-sync", "blockdev-snapshot-sync",
		"blockdev-snapshot", "block-dirty-bitmap-add"};

	for (size_t i = 0; i < VMF_COUNT(commands); i++)
		if (!answer && str_equal(command, commands[i]))
			return true;
	return false;
}

static int call_qmp(void *data, const char *command, const char *arguments, int fd, const char *fd_name,
	char **answer, struct vmf_error *err)
{
	struct vm *vm = data;
	int64_t deadline = time_now_ms() + 10000;
	json_t *args = NULL, *result = NULL;

	if (vm_qmp(vm, deadline, err) < 0)
		return -1;
	if (arguments) {
		args = json_loads(arguments, 0, NULL);
		if (!args)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s: arguments are no JSON", command);
	}
	if (vm->transaction && fd < 0 && can_wait(command, answer)) {
		json_array_append_new(vm->transaction,
			json_pack("{s:s, s:o}", "type", command, "data", args ? args : json_object()));
		return 0;
	}
	if (fd >= 0 && qmp_command_fd(vm->qmp, "getfd", json_pack("{s:s}", "fdname", fd_name), fd, NULL,
			       deadline, err) < 0) {
		json_decref(args);
		return -1;
	}
	if (qmp_command(vm->qmp, command, args, &result, deadline, err) < 0)
		return -1;
	if (answer)
		*answer = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(result);
	return 0;
}

static void fill(struct vm *vm, const struct vmf_opts *opts, const char *instance, const char *slot,
	unsigned index, struct vm_call *call)
{
	memset(call, 0, sizeof(*call));
	call->services.arena = &vm->arena;
	call->services.data = vm;
	call->services.state_get = state_get;
	call->services.state_set = state_set;
	call->services.qmp = call_qmp;
	call->id.size = sizeof(call->id);
	call->id.name = vm->name;
	call->id.uuid = vm->uuid;
	call->id.class_ = vm->class_;
	call->id.run_dir = vm->run_dir;
	call->id.qemu_uid = vm->qemu_uid;
	call->id.qemu_gid = vm->qemu_gid;
	call->id.group = conf_string(vm->root, "group");
	host_call_init(&call->call, &call->services, opts, &call->id, instance, slot, index);
	call->call.dry_run = vm->ctx->dry_run;
}

void vm_call_disk(struct vm *vm, const struct vm_disk *disk, struct vm_call *call)
{
	fill(vm, disk->opts, disk->instance, disk->slot, disk->index, call);
}

void vm_call_nic(struct vm *vm, const struct vm_nic *nic, struct vm_call *call)
{
	fill(vm, nic->opts, nic->instance, nic->slot, nic->index, call);
}

void vm_call_display(struct vm *vm, const struct vm_display *display, struct vm_call *call)
{
	fill(vm, display->opts, display->name, "display", 0, call);
}

/* ---- calls of tear-down ------------------------------------------------------------------- */

json_t *vm_record(const struct vm *vm, const struct plugin *plugin, const struct vmf_opts *opts,
	const char *instance, const char *slot, unsigned index, const char *volume)
{
	char *saved = conf_opts_save(opts);
	json_t *record = json_pack("{s:i, s:s, s:s, s:s*, s:s, s:i, s:s*, s:s}", "kind", (int)plugin->kind,
		"plugin", plugin->name, "options", saved, "instance", instance, "slot", slot, "index",
		(int)index, "volume", volume, "uuid", vm->uuid);

	free(saved);
	return record;
}

int vm_recorded_load(struct vm *vm, json_t *record, struct vm_recorded *out, struct vmf_error *err)
{
	const char *plugin = json_string_value(json_object_get(record, "plugin"));
	const char *options = json_string_value(json_object_get(record, "options"));

	memset(out, 0, sizeof(*out));
	out->uuid = json_string_value(json_object_get(record, "uuid"));
	if (!out->uuid)
		out->uuid = vm->uuid;
	out->instance = json_string_value(json_object_get(record, "instance"));
	out->slot = json_string_value(json_object_get(record, "slot"));
	out->volume = json_string_value(json_object_get(record, "volume"));
	out->index = (unsigned)json_integer_value(json_object_get(record, "index"));
	if (!plugin || !options || !out->slot)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "a record in the journal is incomplete");
	out->plugin =
		plugin_get((enum vmf_kind)json_integer_value(json_object_get(record, "kind")), plugin, err);
	if (!out->plugin)
		return -1;
	out->opts = conf_opts_load(&out->plugin->desc, options, err);
	return out->opts ? 0 : -1;
}

void vm_call_recorded(struct vm *vm, const struct vm_recorded *recorded, struct vm_call *call)
{
	fill(vm, recorded->opts, recorded->instance, recorded->slot, recorded->index, call);
	/* the identity that it had: the definition may be gone, or another's by now */
	call->id.uuid = recorded->uuid;
}

int vm_on_volume(struct vm *vm, json_t *args, vm_volume_call *run, struct vmf_error *err)
{
	struct vm_recorded r;
	struct vm_call call;
	int rc;

	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = run(&r, &call, args, err);
	if (rc < 0)
		vmf_context(err, "storage \"%s\": volume \"%s\"", r.instance, r.volume);
	vm_recorded_free(&r);
	return rc;
}

void vm_recorded_free(struct vm_recorded *recorded)
{
	conf_opts_free(recorded->opts);
	memset(recorded, 0, sizeof(*recorded));
}
