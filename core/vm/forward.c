/* SPDX-License-Identifier: ISC */
/* Ports of this host that lead to a guest: added and removed, in the definition and in the running VM, both
 * or neither. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/proc.h"
#include "vm/nic.h"
#include "vm/steps.h"

#define ASK_MS 5000

/* ---- the step ----------------------------------------------------------------------------- */

static int apply(struct vm *vm, json_t *args, bool remove, struct vmf_error *err)
{
	struct vmf_forward f = {.size = sizeof(f),
		.remove = remove,
		.apply = 1,
		.text = json_string_value(json_object_get(args, "rule"))};
	struct vm_recorded r;
	struct vm_state state;
	struct vm_call call;
	int rc;

	vm_state_of(vm, &state);
	if (!state.pid) /* it has ended meanwhile */
		return 0;
	if (vm_recorded_load(vm, args, &r, err) < 0)
		return -1;
	vm_call_recorded(vm, &r, &call);
	rc = r.plugin->ops.network.forward(&call.call, &f, err);
	if (rc < 0)
		vmf_context(err, "%s", r.plugin->name);
	vm_recorded_free(&r);
	return rc;
}

static bool is_removal(json_t *args)
{
	return json_is_true(json_object_get(args, "remove"));
}

static int run_forward(struct vm *vm, json_t *args, void *data, struct vmf_error *err)
{
	(void)data;
	return apply(vm, args, is_removal(args), err);
}

static int undo_forward(struct vm *vm, json_t *args, struct vmf_error *err)
{
	return apply(vm, args, !is_removal(args), err);
}

const struct step step_nic_forward = {"nic-forward", run_forward, undo_forward};

/* ---- which NIC ---------------------------------------------------------------------------- */

static const struct vm_nic *find(struct vm *vm, const char *which, struct vmf_error *err)
{
	for (size_t i = 0; i < vm->n_nics; i++) {
		const struct vm_nic *n = &vm->nics[i];
		autofree char *number = str_printf("%zu", i);

		if (which && !str_equal(which, number) && !str_equal(which, n->title))
			continue;
		if (n->plugin->ops.network.forward)
			return n;
		if (which) {
			vmf_fail(err, VMF_E_UNSUPPORTED, 0, "name one on a network with user-mode",
				"nic \"%s\" (%s) has no forwarded ports", n->title, n->plugin->name);
			return NULL;
		}
	}
	if (which)
		vmf_fail(err, VMF_E_NOT_FOUND, 0, "`ifstat` shows those it has", "there is no NIC \"%s\"",
			which);
	else
		vmf_fail(err, VMF_E_UNSUPPORTED, 0, "give it a NIC on a network with user-mode",
			"none of its NICs has forwarded ports");
	return NULL;
}

/* ---- the definition ----------------------------------------------------------------------- */

/* The whole list, as the VM's own: what it has from elsewhere and the change. */
static void list_setting(const struct vm_nic *n, const struct vmf_forward *f, struct strv *settings)
{
	const struct conf_value *v = conf_opts_get(n->opts, "hostfwd");
	autostrbuf struct strbuf list = STRBUF_INIT;
	bool removed = false;

	for (size_t i = 0; v && i < v->n_items; i++) {
		autofree char *quoted = conf_quote(v->items[i]);

		if (f->remove && !removed && str_equal(v->items[i], f->item)) {
			removed = true;
			continue;
		}
		strbuf_printf(&list, "%s%s", list.length ? ", " : "", quoted);
	}
	if (!f->remove) {
		autofree char *quoted = conf_quote(f->item);

		strbuf_printf(&list, "%s%s", list.length ? ", " : "", quoted);
	}
	strv_addf(settings, "nic.\"%s\".%s.hostfwd={%s}", n->title, n->plugin->name,
		list.data ? list.data : "");
}

static int forward_locked(struct vm *vm, struct plan *plan, const char *which, struct vmf_forward *f,
	bool *is_live, struct vmf_error *err)
{
	autostrv struct strv settings = STRV_INIT;
	const struct vm_nic *n;
	struct vm_state state;
	struct vm_call call;

	if (vm_resolve(vm, err) < 0)
		return -1;
	n = find(vm, which, err);
	if (!n)
		return -1;
	vm_state_ask(vm, &state, time_now_ms() + ASK_MS);
	*is_live = state.phase == VM_ALIVE;
	vm_call_nic(vm, n, &call);
	if (n->plugin->ops.network.forward(&call.call, f, err) < 0)
		return vmf_context(err, "nic \"%s\"", n->title);
	list_setting(n, f, &settings);
	if (plan_settings(vm, plan, &settings, err) < 0)
		return -1;
	if (*is_live && f->rule) {
		json_t *args = vm_record(vm, n->plugin, n->opts, n->instance, n->slot, n->index, NULL);

		json_object_set_new(args, "rule", json_string(f->rule));
		json_object_set_new(args, "remove", json_boolean(f->remove));
		plan_then(plan, &step_nic_forward, args, "%s %s in the running VM",
			f->remove ? "end" : "forward", f->rule);
	}
	if (vm->ctx->dry_run) {
		plan_describe(plan);
		return 0;
	}
	return plan_run(plan, NULL, false, err);
}

int vm_forward(struct vm *vm, const char *which, const char *text, bool remove, struct vm_forwarded *done,
	struct vmf_error *err)
{
	struct vmf_forward f = {.size = sizeof(f), .text = text, .remove = remove};
	struct plan *plan;
	int rc;

	memset(done, 0, sizeof(*done));
	if (vm_need_unlocked(vm, err) < 0 || (!vm->ctx->dry_run && vm_lock(vm, err) < 0))
		return -1;
	plan = plan_new(vm, remove ? "forward-rm" : "forward-add", true);
	rc = forward_locked(vm, plan, which, &f, &done->is_live, err);
	plan_free(plan);
	if (rc == 0) {
		done->item = str_dup(f.item);
		done->rule = str_dup(f.rule);
	}
	return vm_end_change(vm, rc, err);
}
