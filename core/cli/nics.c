/* SPDX-License-Identifier: ISC */
/* Verbs about a VM's NICs. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/value.h"
#include "vm/guest.h"
#include "vm/nic.h"

/* ---- what is ------------------------------------------------------------------------------ */

static json_t *words_json(const char **words)
{
	json_t *array = json_array();

	for (; words && *words; words++)
		json_array_append_new(array, out_string(*words));
	return array;
}

static void set_count(json_t *json, const char *key, bool is_known, uint64_t count)
{
	json_object_set_new(json, key, is_known ? json_integer((json_int_t)count) : json_null());
}

json_t *nic_json(struct vm *vm, const struct vm_nic *n, bool is_running, struct vmf_error *err)
{
	struct vmf_nic nic = {.size = sizeof(nic), .mac = n->mac, .model = n->model, .segment = n->segment};
	struct vmf_nic_info now = {.size = sizeof(now), .segment = n->segment};
	struct vm_call call;
	json_t *in_guest, *json = json_pack("{s:s, s:s*, s:s, s:s, s:b}", "nic", n->title, "network",
				  n->instance, "mac", n->mac, "model", n->model, "link", n->is_linked);

	if (is_running && n->plugin && n->plugin->ops.network.info) {
		vm_call_nic(vm, n, &call);
		n->plugin->ops.network.info(&call.call, &nic, &now, err);
	}
	json_object_set_new(json, "plugin", out_string(n->plugin ? n->plugin->name : NULL));
	json_object_set_new(json, "segment", out_string(now.segment));
	json_object_set_new(json, "interface", out_string(now.ifname));
	in_guest = is_running ? vm_guest_addresses(vm, n->mac) : NULL;
	json_object_set_new(json, "addresses",
		json_array_size(in_guest) ? json_incref(in_guest) : words_json(now.addresses));
	json_decref(in_guest);
	json_object_set_new(json, "forwards", words_json(now.forwards));
	set_count(json, "rx_bytes", now.ifname != NULL, now.rx_bytes);
	set_count(json, "tx_bytes", now.ifname != NULL, now.tx_bytes);
	set_count(json, "rx_packets", now.ifname != NULL, now.rx_packets);
	set_count(json, "tx_packets", now.ifname != NULL, now.tx_packets);
	return json;
}

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static bool has_same(const struct vm *vm, const char *(*get)(const struct vm *, const struct vm_nic *))
{
	for (size_t i = 1; i < vm->n_nics; i++)
		if (!str_equal(get(vm, &vm->nics[i]), get(vm, &vm->nics[0])))
			return false;
	return true;
}

/* NULL: the VM's default */
static const char *model_of(const struct vm *vm, const struct vm_nic *n)
{
	return str_equal(n->model, conf_string(vm->root, "net_if")) ? NULL : n->model;
}

/* The words after `vmf` that would make the VM's NICs what they are, but for props that differ. */
static char *command_of(struct vm *vm)
{
	struct strbuf line = STRBUF_INIT;

	if (vm->n_nics == 0) {
		strbuf_printf(&line, "%s ifdel", vm->name);
		return strbuf_take(&line);
	}
	strbuf_printf(&line, "%s ifadd %zu", vm->name, vm->n_nics);
	for (size_t i = 0; i < vm->n_nics; i++) {
		autofree char *word = nic_word(vm, &vm->nics[i]);

		strbuf_printf(&line, " %s", word);
	}
	if (has_same(vm, model_of) && model_of(vm, &vm->nics[0]))
		strbuf_printf(&line, " --model %s", model_of(vm, &vm->nics[0]));
	for (size_t i = 0; i < vm->n_nics; i++)
		if (!vm->nics[i].is_linked)
			strbuf_printf(&line, " disconnect %zu", i);
	return strbuf_take(&line);
}

static char *count_text(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	return json_is_integer(value) ? value_format_size((uint64_t)json_integer_value(value)) : NULL;
}

static void add_row(struct out_table *table, size_t i, const json_t *nic)
{
	autofree char *number = str_printf("%zu", i);
	autofree char *rx = count_text(nic, "rx_bytes");
	autofree char *tx = count_text(nic, "tx_bytes");
	const char *segment = text_of(nic, "segment");
	const char *cells[] = {number, text_of(nic, "nic"), text_of(nic, "network"), segment,
		json_is_true(json_object_get(nic, "link")) ? "up" : "down", text_of(nic, "mac"),
		text_of(nic, "model"), text_of(nic, "interface"), rx, tx};

	out_table_row(table, cells);
}

int verb_ifstat(struct cli_call *call, struct vmf_error *err)
{
	static const char *const columns[] = {
		">N", "NIC", "NETWORK", "SEGMENT", "LINK", "MAC", "MODEL", "INTERFACE", ">RECEIVED", ">SENT"};
	struct vm *vm = call->vm;
	autofree char *command = NULL;
	struct out_table *table;
	struct vm_state state;
	json_t *array;
	int rc = vm_resolve(vm, err);

	if (rc < 0)
		return -1;
	vm_state_of(vm, &state);
	command = command_of(vm);
	table = out_table_new(columns, VMF_COUNT(columns));
	array = json_array();
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vmf_error mine = VMF_ERROR_INIT;
		json_t *nic = nic_json(vm, &vm->nics[i], state.pid != 0, &mine);

		if (mine.code)
			log_warn("nic \"%s\": %s", vm->nics[i].title, mine.message);
		error_clear(&mine);
		add_row(table, i, nic);
		json_array_append_new(array, nic);
	}
	if (call->ctx->json) {
		out_json(json_pack("{s:s, s:O, s:s}", "vm", vm->name, "nics", array, "command", command));
	} else {
		if (isatty(STDOUT_FILENO) && vm->n_nics)
			out_table_print(table);
		printf("vmf %s\n", command);
	}
	out_table_free(table);
	json_decref(array);
	return 0;
}

/* ---- what is to be ------------------------------------------------------------------------ */

static int say(const struct cli_call *call, bool is_live, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	autostrbuf struct strbuf text = STRBUF_INIT;
	json_t *array = json_array();

	if (vm_resolve(vm, err) < 0) {
		json_decref(array);
		return -1;
	}
	for (size_t i = 0; i < vm->n_nics; i++) {
		autofree char *word = nic_word(vm, &vm->nics[i]);

		strbuf_printf(&text, "%s%zu %s%s", i ? ", " : "", i, word,
			vm->nics[i].is_linked ? "" : " (unplugged)");
		json_array_append_new(array, nic_json(vm, &vm->nics[i], is_live, err));
		error_clear(err);
	}
	out_result(call, json_pack("{s:o, s:b}", "nics", array, "live", is_live), "%s: %s%s%s", vm->name,
		vm->n_nics ? "NICs " : "no NICs", text.data ? text.data : "",
		is_live ? ", also as it runs" : "");
	return 0;
}

int verb_ifadd(struct cli_call *call, struct vmf_error *err)
{
	struct vm_nics nics = {
		.network = cli_option(call, "--network", 0), .model = cli_option(call, "--model", 0)};
	const char *number = call->args.items[0], *prop;
	bool is_live;
	int rc;

	if (!cli_is_number(number) || strlen(number) > 3)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in: ifadd 2 br0 br1",
			"ifadd: \"%s\" is no number of NICs", number);
	nics.count = (size_t)atoi(number);
	for (size_t i = 1; i < call->args.count; i++)
		strv_add(&nics.words, call->args.items[i]);
	for (size_t i = 0; (prop = cli_option(call, "--prop", i)); i++)
		strv_add(&nics.props, prop);
	rc = vm_nics_set(call->vm, &nics, &is_live, err);
	strv_free(&nics.words);
	strv_free(&nics.props);
	return rc < 0 ? -1 : say(call, is_live, err);
}

int verb_ifdel(struct cli_call *call, struct vmf_error *err)
{
	const struct vm_nics none = {.count = 0};
	bool is_live;

	return vm_nics_set(call->vm, &none, &is_live, err) < 0 ? -1 : say(call, is_live, err);
}

int verb_connect(struct cli_call *call, struct vmf_error *err)
{
	const char *word = call->args.count > 1 ? call->args.items[1] : NULL;
	bool is_live;

	if (vm_nic_connect(call->vm, call->args.items[0], word, &is_live, err) < 0)
		return -1;
	return say(call, is_live, err);
}

int verb_disconnect(struct cli_call *call, struct vmf_error *err)
{
	bool is_live;

	if (vm_nic_disconnect(call->vm, call->args.items[0], &is_live, err) < 0)
		return -1;
	return say(call, is_live, err);
}

/* ---- forwarded ports ---------------------------------------------------------------------- */

static int forward(struct cli_call *call, bool remove, struct vmf_error *err)
{
	struct vm_forwarded done;
	const char *what;

	if (vm_forward(call->vm, cli_option(call, "--nic", 0), call->args.items[0], remove, &done, err) < 0)
		return -1;
	what = done.rule && done.is_live ? done.rule : done.item;
	out_result(call,
		json_pack("{s:s*, s:s*, s:b, s:b}", "forward", done.item, "rule",
			done.is_live ? done.rule : NULL, "removed", remove, "live", done.is_live),
		"%s: %s%s%s", call->vm->name, remove ? "no more " : "", what,
		done.is_live ? ", also as it runs" : "");
	free(done.item);
	free(done.rule);
	return 0;
}

int verb_forward_add(struct cli_call *call, struct vmf_error *err)
{
	return forward(call, false, err);
}

int verb_forward_rm(struct cli_call *call, struct vmf_error *err)
{
	return forward(call, true, err);
}
