/* SPDX-License-Identifier: ISC */
/*
 * A VM's NICs are changed: in its definition, and in the running guest, both or neither. What is typed is a
 * list of NICs as they are to be; those that are so already are left alone.
 */
#include "vm/disk.h"
#include "vm/nic.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/plug.h"
#include "vm/steps.h"

#define ASK_MS 5000
#define ROOM 128 /* for NICs that are there already */
#define DEFINITION_MAX (4 << 20)

struct change {
	struct vm *vm, *next; /* as it is, and as it will be */
	struct nic_wish *wishes;
	size_t n;
	struct strv settings;
	bool is_alive;
};

/* ---- the definition ----------------------------------------------------------------------- */

static bool same_segment(const struct vm_nic *nic, const struct nic_wish *wish)
{
	return str_equal(nic->instance, wish->network) && str_equal(nic->segment, wish->segment);
}

static bool same_props(const struct vm_nic *nic, const struct strv *props)
{
	const struct conf_value *v = nic->section ? conf_get(nic->section, "props") : NULL;
	size_t n = v ? v->n_items : 0;

	if (!props)
		return true;
	if (n != props->count)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!str_equal(v->items[i], props->items[i]))
			return false;
	return true;
}

static bool is_as_wished(const struct vm_nic *nic, const struct nic_wish *w)
{
	return same_segment(nic, w) && nic->is_linked == w->is_linked &&
	       (!w->model || str_equal(nic->model, w->model)) && same_props(nic, w->props);
}

/* The key= that a line says already is removed, as the layers below say it, too. */
static void put(
	struct change *c, const struct vm_nic *nic, const char *title, const char *key, const char *value)
{
	const struct conf_value *v = nic && nic->section ? conf_get(nic->section, key) : NULL;

	if (value)
		strv_addf(&c->settings, "nic.\"%s\".%s=%s", title, key, value);
	else if (v && str_equal(v->file, c->vm->file))
		strv_addf(&c->settings, "nic.\"%s\".%s=", title, key);
}

static void write_wish(
	struct change *c, const struct vm_nic *nic, const char *title, const struct nic_wish *w)
{
	autostrbuf struct strbuf props = STRBUF_INIT;

	/* a NIC of its own: by its section; the one that every VM has by default gets one */
	if (!nic || !nic->section || !str_equal(nic->instance, w->network))
		put(c, nic, title, "network", w->network);
	if (!nic || !nic->section || !str_equal(nic->segment, w->segment))
		put(c, nic, title, "bridge", w->segment && !*w->segment ? "-" : w->segment);
	if (w->model && !(nic && str_equal(nic->model, w->model)))
		put(c, nic, title, "model", w->model);
	if (w->is_linked != (!nic || nic->is_linked))
		put(c, nic, title, "link", w->is_linked ? NULL : "no");
	for (size_t i = 0; w->props && i < w->props->count; i++) {
		autofree char *quoted = conf_quote(w->props->items[i]);

		strbuf_printf(&props, "%s%s", i ? ", " : "{", quoted);
	}
	if (props.length && !(nic && same_props(nic, w->props))) {
		strbuf_putc(&props, '}');
		put(c, nic, title, "props", props.data);
	}
}

static bool has_title(const struct vm *vm, const char *title)
{
	for (size_t i = 0; i < vm->n_nics; i++)
		if (str_equal(vm->nics[i].title, title))
			return true;
	return false;
}

static int forget_nic(struct change *c, const struct vm_nic *nic, struct vmf_error *err)
{
	const struct conf *layers =
		c->vm->class_ ? ctx_class(c->vm->ctx, c->vm->class_, err) : c->vm->ctx->with_default;
	const struct conf_section *below;

	if (!layers)
		return -1;
	below = conf_find(conf_root(layers), "nic", nic->title);
	if (below)
		return vmf_fail(err, VMF_E_CONFIG, 0, "remove it there, or `set class=` of this VM",
			"nic \"%s\" is defined in %s, for several VMs", nic->title,
			conf_where(below->file, below->line));
	if (nic->section)
		strv_addf(&c->settings, "nic.\"%s\"=", nic->title);
	return 0;
}

static int write_all(struct change *c, struct vmf_error *err)
{
	struct vm *vm = c->vm;
	const struct conf_value *network = conf_get(vm->root, "network");
	unsigned number = 0;
	bool any = c->n != vm->n_nics;

	for (size_t i = 0; i < c->n && i < vm->n_nics; i++)
		any |= !is_as_wished(&vm->nics[i], &c->wishes[i]);
	for (size_t i = 0; any && i < c->n; i++) {
		const struct vm_nic *nic = i < vm->n_nics ? &vm->nics[i] : NULL;
		autofree char *title = nic ? str_dup(nic->title) : NULL;

		while (!title || (!nic && has_title(vm, title))) {
			free(title);
			title = str_printf("%u", number++);
		}
		if (!nic || !nic->section || !is_as_wished(nic, &c->wishes[i]))
			write_wish(c, nic, title, &c->wishes[i]);
	}
	for (size_t i = c->n; i < vm->n_nics; i++)
		if (forget_nic(c, &vm->nics[i], err) < 0)
			return -1;
	if (c->n == 0 && any)
		strv_add(&c->settings, "network=none"); /* else it would have the one of all VMs */
	else if (any && network && str_equal(network->items[0], "none") && str_equal(network->file, vm->file))
		strv_add(&c->settings, "network=");
	return 0;
}

/* ---- the running guest -------------------------------------------------------------------- */

static const char *place(const struct vm_nic *n)
{
	return !n->segment ? n->instance : *n->segment ? n->segment : "nothing";
}

static void plan_out(struct change *c, struct plan *plan, const struct vm_nic *nic)
{
	plan_then(plan, &step_nic_unplug, plug_nic_record(c->vm, nic),
		"take nic \"%s\" out of the running VM", nic->title);
}

static void plan_in(struct change *c, struct plan *plan, const struct vm_nic *nic)
{
	plan_then(plan, &step_nic_plug, plug_nic_record(c->next, nic),
		"plug nic \"%s\" into the running VM: %s, in %s", nic->title, nic->mac, place(nic));
}

/* Can it go over without the guest losing the device? */
static bool can_move(const struct vm_nic *from, const struct vm_nic *to)
{
	return str_equal(from->instance, to->instance) && to->segment && from->segment &&
	       to->plugin->ops.network.reconnect != NULL;
}

static void plan_one(struct change *c, struct plan *plan, const struct vm_nic *from, const struct vm_nic *to)
{
	bool same_device = str_equal(from->slot, to->slot) && str_equal(from->model, to->model) &&
			   str_equal(from->mac, to->mac) && same_props(from, c->wishes[to->index].props);
	bool same_place = str_equal(from->instance, to->instance) && str_equal(from->segment, to->segment);
	json_t *args;

	if (!same_device || (!same_place && !can_move(from, to))) {
		plan_out(c, plan, from);
		plan_in(c, plan, to);
		return;
	}
	if (!same_place) {
		args = plug_nic_record(c->next, to);
		json_object_set_new(args, "was", json_string(from->segment));
		plan_then(plan, &step_nic_move, args, "plug nic \"%s\" into %s", to->title, place(to));
	}
	if (from->is_linked != to->is_linked)
		plan_then(plan, &step_nic_link, plug_nic_record(c->next, to), "%s the cable of nic \"%s\"",
			to->is_linked ? "plug in" : "pull", to->title);
}

static void plan_live(struct change *c, struct plan *plan)
{
	struct vm *vm = c->vm, *next = c->next;

	for (size_t i = next->n_nics; i < vm->n_nics; i++)
		plan_out(c, plan, &vm->nics[i]);
	for (size_t i = 0; i < next->n_nics; i++)
		if (i < vm->n_nics)
			plan_one(c, plan, &vm->nics[i], &next->nics[i]);
		else
			plan_in(c, plan, &next->nics[i]);
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* What the plugins say of those NICs that change. While the VM is off, what the host lacks may come yet. */
static int check(const struct change *c, struct vmf_error *err)
{
	for (size_t i = 0; i < c->next->n_nics; i++) {
		struct vm_nic *n = &c->next->nics[i];
		struct vmf_nic nic = {
			.size = sizeof(nic), .mac = n->mac, .model = n->model, .segment = n->segment};
		struct vmf_error mine = VMF_ERROR_INIT;
		struct vm_call call;

		if (!n->plugin->ops.network.check ||
			(i < c->vm->n_nics && is_as_wished(&c->vm->nics[i], &c->wishes[i])))
			continue;
		if (n->segment && !(n->plugin->ops.network.reconnect))
			return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
				"name a network with tap-bridge, as in `connect N NETWORK:BRIDGE`",
				"nic \"%s\": network \"%s\" (%s) has nothing to plug it into", n->title,
				n->instance, n->plugin->name);
		vm_call_nic(c->next, n, &call);
		if (n->plugin->ops.network.check(&call.call, &nic, &mine) == 0)
			continue;
		vmf_context(&mine, "nic \"%s\": %s", n->title, n->plugin->name);
		if (!c->is_alive && (mine.code == VMF_E_NOT_FOUND || mine.code == VMF_E_PERMISSION ||
					    mine.code == VMF_E_BUSY || mine.code == VMF_E_MISSING)) {
			log_info("%s", mine.message);
			error_clear(&mine);
			continue;
		}
		error_move(err, &mine);
		return -1;
	}
	return 0;
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

/* The VM as it will be. NULL and err. */
static struct vm *try_change(struct change *c, struct vmf_error *err)
{
	autofree char *old = file_read(c->vm->file, DEFINITION_MAX, NULL, err);
	autofree char *text = old ? vm_edit_text(c->vm, old, &c->settings, err) : NULL;
	struct vm *next = text ? vm_try(c->vm, text, err) : NULL;

	if (next && vm_resolve(next, err) < 0) {
		vm_free(next);
		return NULL;
	}
	return next;
}

static int run_change(struct change *c, struct plan *plan, struct vmf_error *err)
{
	if (write_all(c, err) < 0)
		return -1;
	if (c->settings.count == 0)
		return 0;
	c->next = try_change(c, err);
	if (!c->next || check(c, err) < 0 || plan_settings(c->vm, plan, &c->settings, err) < 0)
		return -1;
	if (c->is_alive)
		plan_live(c, plan);
	if (c->vm->ctx->dry_run) {
		plan_describe(plan);
		return 0;
	}
	return plan_run(plan, NULL, false, err);
}

/* Wishes for the NICs as they are, with room for more. */
static void as_they_are(struct change *c)
{
	c->wishes = mem_alloc(ROOM * sizeof(*c->wishes));
	for (c->n = 0; c->n < c->vm->n_nics && c->n < ROOM; c->n++) {
		const struct vm_nic *n = &c->vm->nics[c->n];

		c->wishes[c->n] = (struct nic_wish){
			.network = n->instance, .segment = n->segment, .is_linked = n->is_linked};
	}
}

typedef int wish_fn(struct change *c, const void *data, struct vmf_error *err);

static int change_locked(
	struct change *c, const char *operation, wish_fn *wish, const void *data, struct vmf_error *err)
{
	struct plan *plan;
	int rc;

	if (vm_need_no_memory(c->vm, err) < 0 || ask_alive(c->vm, &c->is_alive, err) < 0 ||
		vm_resolve(c->vm, err) < 0)
		return -1;
	as_they_are(c);
	if (wish(c, data, err) < 0)
		return -1;
	plan = plan_new(c->vm, operation, true);
	rc = run_change(c, plan, err);
	plan_free(plan);
	return rc;
}

static int change(struct vm *vm, const char *operation, wish_fn *wish, const void *data, bool *is_live,
	struct vmf_error *err)
{
	struct change c = {.vm = vm};
	int rc;

	*is_live = false;
	if (vm_need_unlocked(vm, err) < 0 || (!vm->ctx->dry_run && vm_lock(vm, err) < 0))
		return -1;
	rc = change_locked(&c, operation, wish, data, err);
	*is_live = c.is_alive;
	vm_free(c.next);
	free(c.wishes);
	strv_free(&c.settings);
	return vm_end_change(vm, rc, err);
}

/* ---- what can be wished for --------------------------------------------------------------- */

static int wish_nics(struct change *c, const void *data, struct vmf_error *err)
{
	const struct vm_nics *nics = data;

	if (nics->network && !conf_find(c->vm->root, "network", nics->network))
		return vmf_fail(err, VMF_E_CONFIG, 0, "define it in vmf.conf", "there is no network \"%s\"",
			nics->network);
	for (size_t i = 0; i < nics->count; i++) {
		const char *word = i < nics->words.count ? nics->words.items[i] : NULL;
		bool is_new = i >= c->n;

		if (is_new)
			c->wishes[i] = (struct nic_wish){.network = NULL};
		c->wishes[i].is_linked = true;
		c->wishes[i].model = nics->model;
		c->wishes[i].props = nics->props.count ? &nics->props : NULL;
		if (nic_word_parse(c->vm, word, nics->network, &c->wishes[i], err) < 0)
			return -1;
	}
	c->n = nics->count;
	return 0;
}

int vm_nics_set(struct vm *vm, const struct vm_nics *nics, bool *is_live, struct vmf_error *err)
{
	if (nics->count > VM_NICS_MAX)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "a VM has at most %d NICs", VM_NICS_MAX);
	return change(vm, nics->count ? "ifadd" : "ifdel", wish_nics, nics, is_live, err);
}

struct connection {
	const char *which, *word;
	bool is_linked;
};

static struct nic_wish *find(struct change *c, const char *which, struct vmf_error *err)
{
	autofree char *hint = c->n == 1 ? str_dup("it has one, 0")
			      : c->n	? str_printf("it has 0 to %zu", c->n - 1)
					: str_dup("it has none; `ifadd` gives it some");
	char *end;
	unsigned long index = strtoul(which, &end, 10);

	if (*which && !*end && index < c->n)
		return &c->wishes[index];
	for (size_t i = 0; i < c->n; i++)
		if (str_equal(c->vm->nics[i].title, which))
			return &c->wishes[i];
	vmf_fail(err, VMF_E_NOT_FOUND, 0, hint, "there is no NIC \"%s\"", which);
	return NULL;
}

static int wish_connection(struct change *c, const void *data, struct vmf_error *err)
{
	const struct connection *to = data;
	struct nic_wish *wish = find(c, to->which, err);
	const char *network;

	if (!wish)
		return -1;
	wish->is_linked = to->is_linked;
	if (!to->word)
		return 0;
	/* a bare bridge's name is one of the network that it is on, if that has bridges */
	network = c->vm->nics[wish - c->wishes].plugin->ops.network.reconnect ? wish->network : NULL;
	return nic_word_parse(c->vm, to->word, network, wish, err);
}

int vm_nic_connect(struct vm *vm, const char *which, const char *word, bool *is_live, struct vmf_error *err)
{
	const struct connection to = {which, word, true};

	return change(vm, "connect", wish_connection, &to, is_live, err);
}

int vm_nic_disconnect(struct vm *vm, const char *which, bool *is_live, struct vmf_error *err)
{
	const struct connection to = {which, NULL, false};

	return change(vm, "disconnect", wish_connection, &to, is_live, err);
}
