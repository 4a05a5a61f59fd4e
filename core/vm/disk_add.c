/* SPDX-License-Identifier: ISC */
/*
 * A further disk: an empty one, a copy of an image, or a clone of a volume; of a VM that is off or runs. All
 * or nothing. One that is like the VM's others needs no line in the definition: it is found by its name, as
 * nbsvm does it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"
#include "vm/disk.h"
#include "vm/plug.h"
#include "vm/steps.h"

#define DEFINITION_MAX (4 << 20)
#define ASK_MS 5000

/* ---- the definition ----------------------------------------------------------------------- */

static const char *text_of(json_t *args, const char *key)
{
	return json_string_value(json_object_get(args, key));
}

/* Replaces the text FROM by TO; what is neither is somebody else's work. */
static int swap_text(const char *path, const char *from, const char *to, struct vmf_error *err)
{
	autofree char *now = file_read(path, DEFINITION_MAX, NULL, err);

	if (!now)
		return -1;
	if (str_equal(now, to))
		return 0;
	if (!str_equal(now, from))
		return vmf_fail(err, VMF_E_BUSY, 0, "try again", "%s was changed meanwhile", path);
	return file_write(path, to, strlen(to), 0644, true, err);
}

static int change_definition(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)vm;
	(void)data;
	return swap_text(text_of(args, "path"), text_of(args, "old"), text_of(args, "new"), err);
}

static int change_back(struct vm *vm, json_t *args, struct vmf_error *err)
{
	(void)vm;
	return swap_text(text_of(args, "path"), text_of(args, "new"), text_of(args, "old"), err);
}

const struct step step_definition_change = {"definition-change", change_definition, change_back};

int plan_settings(struct vm *vm, struct plan *plan, const struct strv *settings, struct vmf_error *err)
{
	autofree char *old = NULL;
	autofree char *new = NULL;
	autofree char *all = NULL;
	struct vm *trial;
	int rc;

	if (settings->count == 0)
		return 0;
	old = file_read(vm->file, DEFINITION_MAX, NULL, err);
	new = old ? vm_edit_text(vm, old, settings, err) : NULL;
	trial = new ? vm_try(vm, new, err) : NULL;
	if (!trial)
		return -1;
	rc = vm_check_macs(trial, vm->uuid, err);
	vm_free(trial);
	if (rc < 0)
		return -1;
	if (str_equal(old, new))
		return 0;
	all = strv_join(settings, " ");
	plan_add(plan, &step_definition_change,
		json_pack("{s:s, s:s, s:s}", "path", vm->file, "old", old, "new", new), "change %s: %s",
		vm->file, all);
	return 0;
}

/* ---- which one ---------------------------------------------------------------------------- */

struct choice {
	const struct vm_disk *configured; /* it is in the definition, and its volume is missing */
	struct vm_disk disk;		  /* what it is going to be; in the VM's arena */
	struct strv settings;		  /* lines that it needs */
};

struct vm_disk *vm_disk_find(struct vm *vm, const char *title, struct vmf_error *err)
{
	const char *titles[64];
	const char *near;
	autostrbuf struct strbuf known = STRBUF_INIT;
	autofree char *hint = NULL;
	size_t n = 0;

	for (size_t i = 0; i < vm->n_disks; i++) {
		if (str_equal(vm->disks[i].title, title))
			return &vm->disks[i];
		strbuf_printf(&known, "%s%s", i ? ", " : "", vm->disks[i].title);
		if (n < VMF_COUNT(titles))
			titles[n++] = vm->disks[i].title;
	}
	near = str_nearest(title, titles, n);
	hint = near ? str_printf("do you mean %s? `drives` shows all", near)
		    : str_printf(known.length ? "it has %s" : "it has no disks", known.data);
	vmf_fail(err, VMF_E_NOT_FOUND, 0, hint, "there is no disk \"%s\"", title);
	return NULL;
}

static int choose_configured(
	struct vm *vm, const struct vm_new_disk *new, struct choice *c, struct vmf_error *err)
{
	const struct vm_disk *d = c->configured;
	struct vmf_volume v;

	if (vm_disk_volume(vm, d, &v, err) < 0)
		return -1;
	if (v.name || !d->section)
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or leave --name out",
			"there is a disk \"%s\" already (%s)", d->title, v.id ? v.id : d->volume);
	if ((new->storage && !str_equal(new->storage, d->instance)) ||
		(new->bus && !str_equal(new->bus, d->bus)))
		return vmf_fail(err, VMF_E_USAGE, 0, "leave out --storage and --bus, or `set` them first",
			"disk \"%s\" is configured in storage \"%s\", as a %s disk", d->title, d->instance,
			d->bus);
	c->disk = *d;
	return 0;
}

static int size_for(struct vm *vm, const struct vm_new_disk *new, const struct choice *c,
	uint64_t *size_bytes, struct vmf_error *err)
{
	uint64_t configured = c->disk.section ? (uint64_t)conf_number(c->disk.section, "size") : 0;

	*size_bytes = new->size_bytes ? new->size_bytes : configured;
	if (*size_bytes)
		return 0;
	if (new->image)
		return vm_image_size(vm, &c->disk, new->image, size_bytes, err);
	*size_bytes = (uint64_t)conf_number(vm->root, "drive_size");
	return 0;
}

/* A disk that is not where or what the VM's disks are by default, or not called by a number, is written down.
 */
static int write_down(struct vm *vm, const struct vm_new_disk *new, struct choice *c, struct vmf_error *err)
{
	const char *title = c->disk.title;
	uint64_t size_bytes;

	if (!str_equal(c->disk.instance, conf_string(vm->root, "storage")))
		strv_addf(&c->settings, "disk.\"%s\".storage=%s", title, c->disk.instance);
	if (!str_equal(c->disk.bus, conf_string(vm->root, "drive_if")))
		strv_addf(&c->settings, "disk.\"%s\".bus=%s", title, c->disk.bus);
	if (!new->origin && (new->title || c->settings.count)) {
		autofree char *size = NULL;

		if (size_for(vm, new, c, &size_bytes, err) < 0)
			return -1;
		size = value_exact_size(size_bytes);
		strv_addf(&c->settings, "disk.\"%s\".size=%s", title, size);
	}
	return 0;
}

static int choose_new(struct vm *vm, const struct vm_new_disk *new, struct choice *c, struct vmf_error *err)
{
	autofree char *prefix = vm_volume_prefix(vm);
	struct vm_instance in;

	c->disk.instance = new->storage ? new->storage : conf_string(vm->root, "storage");
	c->disk.bus = new->bus ? new->bus : conf_string(vm->root, "drive_if");
	c->disk.index = (unsigned)vm->n_disks;
	if (!c->disk.instance)
		return vmf_fail(
			err, VMF_E_CONFIG, 0, "set storage = in vmf.conf", "no storage to make disks in");
	if (vm_instance_find(vm->root, "storage", c->disk.instance, VMF_STORAGE, &in, err) < 0)
		return -1;
	c->disk.plugin = in.plugin;
	c->disk.opts = vm_instance_opts(&in, NULL, err);
	if (!c->disk.opts)
		return -1;
	if (new->title) {
		c->disk.title = arena_dup(&vm->arena, new->title);
		c->disk.volume = arena_printf(&vm->arena, "%s-%s", prefix, new->title);
	} else {
		autofree char *volume = vm_next_volume(vm, c->disk.instance, err);

		if (!volume)
			return -1;
		c->disk.volume = arena_dup(&vm->arena, volume);
		c->disk.title = c->disk.volume + strlen(prefix) + 1;
	}
	c->disk.slot = arena_printf(&vm->arena, "disk-%s", c->disk.title);
	return write_down(vm, new, c, err);
}

static void choice_free(struct choice *c)
{
	if (!c->configured)
		conf_opts_free(c->disk.opts);
	strv_free(&c->settings);
	memset(c, 0, sizeof(*c));
}

static int choose(struct vm *vm, const struct vm_new_disk *new, struct choice *c, struct vmf_error *err)
{
	memset(c, 0, sizeof(*c));
	if (new->title && vm_name_check(new->title, NULL) < 0)
		return vmf_fail(err, VMF_E_USAGE, 0,
			"letters, digits, '.', '_' and '-', the first a letter or a digit",
			"\"%s\" is no name for a disk", new->title);
	for (size_t i = 0; new->title &&i < vm->n_disks; i++)
		if (str_equal(vm->disks[i].title, new->title))
			c->configured = &vm->disks[i];
	return c->configured ? choose_configured(vm, new, c, err) : choose_new(vm, new, c, err);
}

/* ---- the plan ----------------------------------------------------------------------------- */

static int no_origin(const struct vm_new_disk *new, const struct vm_disk *disk, struct vmf_error *err)
{
	if (new->is_gold)
		return vmf_fail(err, VMF_E_NOT_FOUND, 0,
			"say --from VM or --volume NAME, or `set gold=NAME`; `vmf storage volumes` shows "
			"what there is",
			"there is no gold image \"%s\" in storage \"%s\"", new->origin, disk->instance);
	return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf storage volumes` shows what there is",
		"there is no volume \"%s\" in storage \"%s\"", new->origin, disk->instance);
}

/* Sets the origin's volume: the one that is called so, or one of those that a gold image may be. */
static int find_origin(
	struct vm *vm, const struct vm_new_disk *new, struct vm_disk *origin, struct vmf_error *err)
{
	static const char *const ends[] = {"", "-0"};
	struct vmf_volume v;

	for (size_t i = 0; new->is_gold &&i < 2 * VMF_COUNT(ends); i++) {
		const char *class_ = i % 2 ? NULL : vm->class_;

		if (i % 2 == 0 && !class_)
			continue;
		origin->volume = arena_printf(&vm->arena, "%s%s%s%s", class_ ? class_ : "", class_ ? "-" : "",
			new->origin, ends[i / 2]);
		if (vm_disk_volume(vm, origin, &v, err) < 0)
			return -1;
		if (v.name)
			return 0;
	}
	origin->volume = new->origin;
	if (!new->is_gold && vm_disk_volume(vm, origin, &v, err) < 0)
		return -1;
	return !new->is_gold &&v.name ? 0 : no_origin(new, origin, err);
}

static int plan_origin(struct vm *vm, struct plan *plan, const struct vm_new_disk *new, struct vm_disk *disk,
	struct vmf_error *err)
{
	struct vm_clone_options o = {.snapshot = new->snapshot, .how = new->how};
	struct vm_disk origin = *disk;
	struct vmf_volume v;

	if (find_origin(vm, new, &origin, err) < 0)
		return -1;
	if (vm_disk_volume(vm, disk, &v, err) < 0)
		return -1;
	if (v.name)
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that volume first",
			"there is a volume %s already", disk->volume);
	return plan_volume_clone(vm, plan, &origin, &o, disk->volume, err);
}

static int plan_disk(struct vm *vm, struct plan *plan, const struct vm_new_disk *new, struct choice *c,
	struct vmf_error *err)
{
	struct new_volume volume = {.name = c->disk.volume,
		.instance = c->disk.instance,
		.own = c->disk.section,
		.index = c->disk.index,
		.image = new->image};

	if (new->origin)
		return plan_origin(vm, plan, new, &c->disk, err);
	if (size_for(vm, new, c, &volume.size_bytes, err) < 0)
		return -1;
	return plan_volume(vm, plan, &volume, err);
}

/* The first disk makes the VM, as with newimg. The choice is the same afterwards, but the VM is another. */
static int plan_vm(struct vm *vm, struct plan *plan, const struct vm_new_disk *new, struct choice *c,
	struct vmf_error *err)
{
	struct vm_create_options options = {.settings = c->settings};
	autofree char *title = str_dup(c->disk.title);
	struct vm_new_disk same = *new;
	int rc;

	c->settings = (struct strv)STRV_INIT;
	choice_free(c);
	if (options.settings.count) { /* by its lines it is a configured one then */
		same.title = title;
		same.storage = same.bus = NULL;
	}
	rc = plan_definition(vm, plan, &options, err);
	strv_free(&options.settings);
	if (rc < 0 || vm_resolve(vm, err) < 0)
		return -1;
	return choose(vm, &same, c, err);
}

int vm_need_no_memory(struct vm *vm, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_of(vm, &state);
	if (state.phase != VM_SAVED)
		return 0;
	return vmf_fail(err, VMF_E_STATE, 0,
		"`start` and `shutdown` it, or `start --discard-saved` and `stop`",
		"its memory is saved and goes with the disks as they are");
}

static int ask_alive(struct vm *vm, bool *is_alive, struct vmf_error *err)
{
	struct vm_state state;

	vm_state_ask(vm, &state, time_now_ms() + ASK_MS);
	*is_alive = state.phase == VM_ALIVE;
	if (*is_alive && str_equal(state.status, "hung"))
		return vmf_fail(
			err, VMF_E_STATE, 0, "`kill` it, or look at what holds it", "QEMU does not answer");
	return 0;
}

static int add_locked(struct vm *vm, struct plan *plan, const struct vm_new_disk *new, struct choice *c,
	struct vm_disk_added *added, struct vmf_error *err)
{
	struct vmf_volume v;
	bool is_alive;

	if (vm_need_no_memory(vm, err) < 0 || ask_alive(vm, &is_alive, err) < 0 || vm_resolve(vm, err) < 0 ||
		choose(vm, new, c, err) < 0)
		return -1;
	if (!vm->is_defined && plan_vm(vm, plan, new, c, err) < 0)
		return -1;
	if (plan_disk(vm, plan, new, c, err) < 0)
		return vmf_context(err, "disk \"%s\"", c->disk.title);
	if ((vm->is_defined && plan_settings(vm, plan, &c->settings, err) < 0) ||
		(is_alive && plug_in_later(vm, plan, &c->disk, err) < 0))
		return -1;
	if (vm->ctx->dry_run) {
		plan_describe(plan);
		return 0;
	}
	if (plan_run(plan, NULL, false, err) < 0 || vm_disk_volume(vm, &c->disk, &v, err) < 0)
		return -1;
	*added = (struct vm_disk_added){.title = str_dup(c->disk.title),
		.volume = str_dup(c->disk.volume),
		.storage = str_dup(c->disk.instance),
		.size_bytes = v.virtual_bytes,
		.is_plugged = is_alive};
	return 0;
}

int vm_disk_add(
	struct vm *vm, const struct vm_new_disk *new, struct vm_disk_added *added, struct vmf_error *err)
{
	struct choice c = {.configured = NULL};
	struct plan *plan;
	int rc;

	memset(added, 0, sizeof(*added));
	if (vm_need_unlocked(vm, err) < 0 || (!vm->ctx->dry_run && vm_lock(vm, err) < 0))
		return -1;
	plan = plan_new(vm, "disk-add", true);
	rc = add_locked(vm, plan, new, &c, added, err);
	choice_free(&c);
	plan_free(plan);
	return vm_end_change(vm, rc, err);
}

void vm_disk_added_free(struct vm_disk_added *added)
{
	free(added->title);
	free(added->volume);
	free(added->storage);
	memset(added, 0, sizeof(*added));
}
