/* SPDX-License-Identifier: ISC */
/* `addresses`: which IP addresses guests have, and what a DHCP server is to be told of their NICs. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

/* Each NIC of the VM, as nic_json() has it; what its plugin cannot say is a warning. */
static json_t *get_nics(struct vm *vm, struct vmf_error *err)
{
	json_t *array;
	struct vm_state state;

	if (vm_resolve(vm, err) < 0)
		return NULL;
	vm_state_of(vm, &state);
	array = json_array();
	for (size_t i = 0; i < vm->n_nics; i++) {
		struct vmf_error mine = VMF_ERROR_INIT;

		json_array_append_new(array, nic_json(vm, &vm->nics[i], state.pid != 0, &mine));
		if (mine.code)
			log_warn("vm \"%s\": nic \"%s\": %s", vm->name, vm->nics[i].title, mine.message);
		error_clear(&mine);
	}
	return array;
}

/* One line for each address; a NIC without one has a line, too. */
static void add_rows(struct out_table *table, const char *vm, json_t *nics)
{
	json_t *nic;
	size_t i;

	json_array_foreach(nics, i, nic)
	{
		json_t *addresses = json_object_get(nic, "addresses");

		for (size_t k = 0; k < json_array_size(addresses) || k == 0; k++) {
			const char *cells[] = {vm, text_of(nic, "nic"), text_of(nic, "mac"),
				json_string_value(json_array_get(addresses, k))};

			out_table_row(table, cells);
		}
	}
}

/* Only what tells whose an address is. */
static json_t *facts(const char *vm, json_t *nics)
{
	json_t *array = json_array(), *nic;
	size_t i;

	json_array_foreach(nics, i, nic)
	{
		json_array_append_new(
			array, json_pack("{s:s, s:s, s:s, s:O}", "vm", vm, "nic", text_of(nic, "nic"), "mac",
				       text_of(nic, "mac"), "addresses", json_object_get(nic, "addresses")));
	}
	return array;
}

/* ---- reservations ------------------------------------------------------------------------- */

/* The first IPv4 address, or NULL. */
static const char *ipv4_of(const json_t *nic)
{
	json_t *addresses = json_object_get(nic, "addresses"), *address;
	size_t i;

	json_array_foreach(addresses, i, address)
	{
		if (!strchr(json_string_value(address), ':'))
			return json_string_value(address);
	}
	return NULL;
}

/* The first NIC has the VM's name, others their own behind it. */
static void print_reservations(const char *vm, json_t *nics, bool for_dhcpd)
{
	json_t *nic;
	size_t i;

	json_array_foreach(nics, i, nic)
	{
		const char *mac = text_of(nic, "mac"), *address = ipv4_of(nic);
		autofree char *name = i ? str_printf("%s-%s", vm, text_of(nic, "nic")) : str_dup(vm);

		if (for_dhcpd)
			printf("host %s { hardware ethernet %s;%s%s%s }\n", name, mac,
				address ? " fixed-address " : "", address ? address : "", address ? ";" : "");
		else
			printf("dhcp-host=%s,%s%s%s\n", mac, address ? address : "", address ? "," : "",
				name);
	}
}

enum form { TABLE, DNSMASQ, DHCPD };

static int get_form(const struct cli_call *call, enum form *form, struct vmf_error *err)
{
	bool for_dnsmasq = cli_option(call, "--dnsmasq", 0) != NULL,
	     for_dhcpd = cli_option(call, "--dhcpd", 0) != NULL;

	if (for_dnsmasq && for_dhcpd)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "addresses: --dnsmasq or --dhcpd, not both");
	*form = for_dnsmasq ? DNSMASQ : for_dhcpd ? DHCPD : TABLE;
	return 0;
}

/* The VM's lines: into TABLE, into ALL for --json, or printed at once. */
static int add_vm(const struct cli_call *call, struct vm *vm, enum form form, struct out_table *table,
	json_t *all, struct vmf_error *err)
{
	json_t *nics = get_nics(vm, err);

	if (!nics)
		return -1;
	if (call->ctx->json) {
		json_t *more = facts(vm->name, nics);

		json_array_extend(all, more);
		json_decref(more);
	} else if (form == TABLE) {
		add_rows(table, vm->name, nics);
	} else {
		print_reservations(vm->name, nics, form == DHCPD);
	}
	json_decref(nics);
	return 0;
}

/* One that cannot be read does not hide the others. */
static void add_named(
	const struct cli_call *call, const char *name, enum form form, struct out_table *table, json_t *all)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct vm *vm = vm_load(call->ctx, name, false, &err);

	if (!vm || add_vm(call, vm, form, table, all, &err) < 0)
		log_warn("%s", err.message);
	error_clear(&err);
	vm_free(vm);
}

/* ---- the verb and the command ------------------------------------------------------------- */

static int show(const struct cli_call *call, const struct strv *names, struct vmf_error *err)
{
	static const char *const columns[] = {"VM", "NIC", "MAC", "ADDRESS"};
	struct out_table *table;
	enum form form = TABLE;
	json_t *all;
	int rc = 0;

	if (get_form(call, &form, err) < 0)
		return -1;
	table = out_table_new(columns, VMF_COUNT(columns));
	all = json_array();
	if (call->vm)
		rc = add_vm(call, call->vm, form, table, all, err);
	for (size_t i = 0; names && i < names->count; i++)
		add_named(call, names->items[i], form, table, all);
	if (rc == 0 && call->ctx->json)
		out_json(json_incref(all));
	else if (rc == 0 && form == TABLE)
		out_table_print(table);
	json_decref(all);
	out_table_free(table);
	return rc;
}

int verb_addresses(struct cli_call *call, struct vmf_error *err)
{
	return show(call, NULL, err);
}

int command_addresses(struct cli_call *call, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;

	if (call->args.count)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in: vmf web0 addresses",
			"addresses: \"%s\" is one word too many", call->args.items[0]);
	return vm_names(call->ctx, &names, err) < 0 ? -1 : show(call, &names, err);
}
