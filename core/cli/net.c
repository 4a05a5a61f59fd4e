/* SPDX-License-Identifier: ISC */
/* `net` and `state`: the host's segments are shown, made and taken away; and the commands that make all of it
 * again. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/value.h"
#include "vm/segments.h"

static int want_words(const struct cli_call *call, size_t least, size_t most, struct vmf_error *err)
{
	if (call->args.count < least)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s wants %s behind it", call->verb->name,
			call->verb->usage);
	if (call->args.count > most)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s: \"%s\" is one word too many",
			call->verb->name, call->args.items[most]);
	return 0;
}

/* ---- show --------------------------------------------------------------------------------- */

static json_t *wire_json(const struct vmf_wire *wire)
{
	json_t *json;

	if (!wire)
		return json_null();
	json = json_object();
	json_object_set_new(json, "from_namespace", out_string(wire->namespaces[0]));
	json_object_set_new(json, "from", out_string(wire->segments[0]));
	json_object_set_new(json, "to_namespace", out_string(wire->namespaces[1]));
	json_object_set_new(json, "to", out_string(wire->segments[1]));
	return json;
}

/* "nic-lan" is the slot of NIC "lan" */
static const char *nic_of(const struct vmf_port *port)
{
	return port->slot && str_starts(port->slot, "nic-") ? port->slot + 4 : port->slot;
}

static json_t *port_json(const struct vmf_port *port)
{
	json_t *json = json_pack("{s:b, s:b, s:I, s:I, s:I, s:I}", "is_ours", port->is_ours, "link_up",
		port->link_up, "in_bytes", (json_int_t)port->in_bytes, "out_bytes",
		(json_int_t)port->out_bytes, "in_packets", (json_int_t)port->in_packets, "out_packets",
		(json_int_t)port->out_packets);

	json_object_set_new(json, "port", out_string(port->name));
	json_object_set_new(json, "type", out_string(port->type));
	json_object_set_new(json, "vm", out_string(port->vm));
	json_object_set_new(json, "nic", out_string(nic_of(port)));
	json_object_set_new(json, "wire", wire_json(port->wire));
	return json;
}

static json_t *segment_json(const struct vmf_segment *segment)
{
	json_t *ports = json_array(), *json;

	for (size_t i = 0; i < segment->n_port_items; i++)
		json_array_append_new(ports, port_json(segment_port_at(segment, i)));
	json = json_pack(
		"{s:b, s:i, s:o}", "is_ours", segment->is_ours, "mtu", (int)segment->mtu, "ports", ports);
	json_object_set_new(json, "segment", out_string(segment->name));
	json_object_set_new(json, "type", out_string(segment->type));
	return json;
}

static void add_rows(struct out_table *table, const struct vmf_segment *s)
{
	autofree char *mtu = s->name ? str_printf("%u", s->mtu) : NULL;
	const char *made = !s->name ? NULL : s->word ? "command" : s->is_ours ? "its VMs" : "others";

	for (size_t i = 0; i < s->n_port_items || i == 0; i++) {
		const struct vmf_port *p = i < s->n_port_items ? segment_port_at(s, i) : NULL;
		autofree char *in = p ? value_format_size(p->in_bytes) : NULL;
		autofree char *out = p ? value_format_size(p->out_bytes) : NULL;
		const char *cells[] = {s->name, mtu, made, p ? p->name : NULL, p ? p->type : NULL,
			!p	     ? NULL
			: p->link_up ? "up"
				     : "down",
			p ? p->vm : NULL, p ? nic_of(p) : NULL, in, out};

		out_table_row(table, cells);
	}
}

static void show_names(const struct segments *s, bool as_json)
{
	json_t *names = json_array();

	for (size_t i = 0; i < s->list.count; i++) {
		if (!segment_at(s, i)->name)
			continue;
		json_array_append_new(names, out_string(segment_at(s, i)->name));
		if (!as_json)
			puts(segment_at(s, i)->name);
	}
	if (as_json)
		out_json(json_incref(names));
	json_decref(names);
}

static int show(const struct cli_call *call, const struct segments *s, struct vmf_error *err)
{
	static const char *const columns[] = {
		"SEGMENT", ">MTU", "MADE BY", "PORT", "TYPE", "LINK", "VM", "NIC", ">IN", ">OUT"};
	const char *name = call->args.count ? call->args.items[0] : NULL;
	struct out_table *table = out_table_new(columns, VMF_COUNT(columns));
	json_t *array = json_array();
	bool any = false;

	for (size_t i = 0; i < s->list.count; i++) {
		const struct vmf_segment *segment = segment_at(s, i);

		if (name && !str_equal(segment->name, name))
			continue;
		any = true;
		if (call->ctx->json)
			json_array_append_new(array, segment_json(segment));
		else
			add_rows(table, segment);
	}
	if (name && !any)
		vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf net show` lists those that there are",
			"there is no segment \"%s\"", name);
	else if (call->ctx->json)
		out_json(json_incref(array));
	else
		out_table_print(table);
	json_decref(array);
	out_table_free(table);
	return name && !any ? -1 : 0;
}

int command_net_show(struct cli_call *call, struct vmf_error *err)
{
	struct segments s;
	int rc;

	if (want_words(call, 0, 1, err) < 0)
		return -1;
	rc = segments_open(call->ctx, &s, err);
	if (rc == 0)
		rc = segments_list(&s, cli_option(call, "--all", 0) != NULL, err);
	if (rc == 0 && cli_option(call, "--names", 0))
		show_names(&s, call->ctx->json);
	else if (rc == 0)
		rc = show(call, &s, err);
	segments_free(&s);
	return rc;
}

/* ---- add, segment, delete, wire ----------------------------------------------------------- */

static int create(const struct cli_call *call, bool is_segment, struct vmf_error *err)
{
	const struct strv *words = &call->args;
	const char *name = is_segment ? words->items[0] : NULL;
	autofree char *ports = NULL;
	autofree char *all = strv_join(words, " ");
	struct segments s;
	int rc = segments_open(call->ctx, &s, err);

	if (rc == 0)
		rc = segments_create(&s, name, (const char *const *)words->items + is_segment, err);
	segments_free(&s);
	if (rc < 0)
		return vmf_context(err, "%s", call->verb->name);
	ports = name ? strv_join(&(struct strv){words->items + 1, words->count - 1}, " ") : NULL;
	if (name)
		out_dry(call, "make segment %s%s%s, unless it is there so", name, *ports ? " with " : "",
			ports);
	else
		out_dry(call, "make %s, unless they are there", all);
	if (call->ctx->dry_run)
		out_plan(call, NULL);
	out_result(call, json_pack("{s:o}", is_segment ? "segment" : "made", out_strings(words)), "%s: %s",
		call->verb->name, all);
	return 0;
}

int command_net_add(struct cli_call *call, struct vmf_error *err)
{
	return want_words(call, 1, 256, err) < 0 ? -1 : create(call, false, err);
}

int command_net_segment(struct cli_call *call, struct vmf_error *err)
{
	return want_words(call, 1, 256, err) < 0 ? -1 : create(call, true, err);
}

/* All can be removed, or none is. */
static int remove_all(struct segments *s, const struct strv *names, struct vmf_error *err)
{
	if (segments_list(s, true, err) < 0)
		return -1;
	for (int dry = 1; dry >= 0; dry--)
		for (size_t i = 0; i < names->count; i++) {
			if (dry && !segments_have(s, names->items[i]))
				return vmf_fail(err, VMF_E_NOT_FOUND, 0,
					"`vmf net show` lists those that there are",
					"there is no segment or port \"%s\"", names->items[i]);
			if (segments_remove(s, names->items[i], dry, err) < 0)
				return -1;
		}
	return 0;
}

int command_net_delete(struct cli_call *call, struct vmf_error *err)
{
	autofree char *all = strv_join(&call->args, " ");
	struct segments s;
	int rc;

	if (want_words(call, 1, 256, err) < 0)
		return -1;
	rc = segments_open(call->ctx, &s, err);
	if (rc == 0)
		rc = remove_all(&s, &call->args, err);
	segments_free(&s);
	if (rc < 0)
		return vmf_context(err, "net delete");
	if (out_dry(call, "delete %s", all))
		out_plan(call, NULL);
	out_result(call, json_pack("{s:o}", "deleted", out_strings(&call->args)), "net delete: %s", all);
	return 0;
}

static const char *namespace_of(const char *word)
{
	return str_equal(word, "-") ? NULL : word;
}

int command_net_wire(struct cli_call *call, struct vmf_error *err)
{
	char *const *w = call->args.items;
	autofree char *all = strv_join(&call->args, " ");
	struct vmf_wire wire = {.size = sizeof(wire),
		.create = cli_option(call, "--create", 0) != NULL,
		.remove = cli_option(call, "--remove", 0) != NULL};
	struct segments s;
	int rc;

	if (want_words(call, 4, 4, err) < 0)
		return -1;
	if (wire.create && wire.remove)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "net wire: --create or --remove, not both");
	for (int i = 0; i < 2; i++) {
		wire.namespaces[i] = namespace_of(w[2 * i]);
		wire.segments[i] = w[2 * i + 1];
	}
	if (str_equal(w[0], w[2]) && str_equal(w[1], w[3]))
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "net wire: both ends are the same");
	rc = segments_open(call->ctx, &s, err);
	if (rc == 0)
		rc = segments_wire(&s, &wire, err);
	segments_free(&s);
	if (rc < 0)
		return vmf_context(err, "net wire");
	if (out_dry(call, "%s a wire from %s to %s", wire.remove ? "take away" : "lay", wire.segments[0],
		    wire.segments[1]))
		out_plan(call, NULL);
	out_result(call, json_pack("{s:o, s:b}", "wire", wire_json(&wire), "removed", wire.remove),
		"net wire: %s%s", all, wire.remove ? " removed" : "");
	return 0;
}

int command_net_ignore(struct cli_call *call, struct vmf_error *err)
{
	autostrv struct strv now = STRV_INIT;
	bool is_removing = cli_option(call, "--remove", 0) != NULL;

	if (want_words(call, is_removing ? 1 : 0, 256, err) < 0 ||
		segments_ignore(call->ctx, &call->args, is_removing, &now, err) < 0)
		return -1;
	for (size_t i = 0; i < now.count; i++)
		out_dry(call, "ignore %s", now.items[i]);
	if (call->ctx->dry_run)
		out_plan(call, NULL);
	else if (call->ctx->json)
		out_json(json_pack("{s:o}", "ignored", out_strings(&now)));
	for (size_t i = 0; !call->ctx->dry_run && !call->ctx->json && i < now.count; i++)
		puts(now.items[i]);
	return 0;
}

/* ---- state -------------------------------------------------------------------------------- */

static void add_wire(struct strv *lines, const struct vmf_wire *wire)
{
	autofree char *line = str_printf("vmf net wire %s %s %s %s --create",
		wire->namespaces[0] ? wire->namespaces[0] : "-", wire->segments[0],
		wire->namespaces[1] ? wire->namespaces[1] : "-", wire->segments[1]);

	if (!strv_has(lines, line)) /* both ends may be here */
		strv_add(lines, line);
}

/* The words that make the segment's ports, but VMs' NICs. */
static char *port_words(const struct vmf_segment *s, bool *any)
{
	struct strbuf words = STRBUF_INIT;

	*any = false;
	for (size_t i = 0; i < s->n_port_items; i++) {
		const struct vmf_port *p = segment_port_at(s, i);

		if (p->wire || p->vm || (!p->word && s->name && p->is_ours))
			continue;
		strbuf_printf(&words, " %s", p->word ? p->word : p->name);
		*any = true;
	}
	return strbuf_take(&words);
}

static void add_segments(const struct segments *s, struct strv *lines)
{
	autostrv struct strv wires = STRV_INIT;

	for (size_t i = 0; i < s->list.count; i++) {
		const struct vmf_segment *segment = segment_at(s, i);
		bool any;
		autofree char *ports = port_words(segment, &any);

		for (size_t k = 0; k < segment->n_port_items; k++)
			if (segment_port_at(segment, k)->wire)
				add_wire(&wires, segment_port_at(segment, k)->wire);
		if (!segment->name)
			strv_addf(lines, any ? "vmf net add%s" : "#%s", ports);
		else if (segment->word || (any && segment->is_ours))
			strv_addf(lines, "vmf net segment %s%s",
				segment->word ? segment->word : segment->name, ports);
		else if (!segment->is_ours)
			strv_addf(lines, "# %s was not made by vmf:%s", segment->name,
				any ? ports : " no ports");
	}
	strv_add_all(lines, &wires);
}

/* What runs is started; what stands still is paused behind that. */
static int add_vms(struct ctx *ctx, struct strv *lines, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;

	if (vm_names(ctx, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct vm_state state;

		vm_state_read(ctx, names.items[i], &state);
		if (state.phase == VM_ALIVE)
			strv_addf(lines, "vmf %s start%s", names.items[i],
				str_equal(state.status, "paused") ? " --paused" : "");
	}
	return 0;
}

int command_state(struct cli_call *call, struct vmf_error *err)
{
	autostrv struct strv lines = STRV_INIT;
	struct vmf_error mine = VMF_ERROR_INIT;
	struct segments s;
	int rc;

	if (want_words(call, 0, 0, err) < 0)
		return -1;
	rc = segments_open(call->ctx, &s, &mine);
	if (rc == 0)
		rc = segments_list(&s, false, &mine);
	if (rc == 0)
		add_segments(&s, &lines);
	else if (mine.code == VMF_E_MISSING) /* without such a plugin there are VMs all the same */
		rc = 0;
	segments_free(&s);
	if (rc < 0)
		error_move(err, &mine);
	error_clear(&mine);
	if (rc < 0 || add_vms(call->ctx, &lines, err) < 0)
		return -1;
	if (call->ctx->json)
		out_json(json_pack("{s:o}", "commands", out_strings(&lines)));
	for (size_t i = 0; !call->ctx->json && i < lines.count; i++)
		puts(lines.items[i]);
	return 0;
}
