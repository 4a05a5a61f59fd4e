/* SPDX-License-Identifier: ISC */
/*
 * gate: what sshd runs for an owner, whatever she asks for, in place of a shell. One command each time: it is
 * taken apart without a shell, checked as a whole, written down, and then run in this very process, with the
 * context's owner set, so that what is done looks once more at whose VM it is.
 */
#include "cli/gate.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/owner.h"
#include "vm/quota.h"
#include "config/value.h"

extern char **environ;

/* ---- the environment ------------------------------------------------------------------------ */

/* What a client may have sent along must not lead anybody anywhere: only what the account itself needs stays.
 */
static void clean_environment(void)
{
	static const char *const kept[] = {"PATH=", "HOME=", "USER=", "LOGNAME=", "SHELL=", "TERM=", "LANG=",
		"VMF_", "XDG_RUNTIME_DIR=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_STATE_HOME="};
	struct strv all = STRV_INIT;

	for (char **e = environ; *e; e++)
		for (size_t i = 0; i < VMF_COUNT(kept); i++)
			if (str_starts(*e, kept[i]))
				strv_add(&all, *e);
	clearenv();
	for (size_t i = 0; i < all.count; i++) {
		char *equals = strchr(all.items[i], '=');

		*equals = '\0';
		setenv(all.items[i], equals + 1, 1);
	}
	strv_free(&all);
}

/* The client's address, as sshd says it; the caller frees. NULL: it is nobody who came by ssh. */
static char *peer(void)
{
	const char *text = getenv("SSH_CONNECTION");
	size_t n = text ? strcspn(text, " ") : 0;

	for (size_t i = 0; i < n; i++)
		if (!isxdigit((unsigned char)text[i]) && !strchr(".:%", text[i]) &&
			!isalnum((unsigned char)text[i]))
			return NULL;
	return n && n < 80 ? str_ndup(text, n) : NULL;
}

/* ---- what she asks about herself ------------------------------------------------------------ */

static void print_verbs(const struct conf_section *owner, const struct conf_section *root)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		if (gate_allows(owner, root, v))
			printf("    %s\n", gate_usage(v));
}

static char *classes_of(const struct conf_section *owner)
{
	const struct conf_value *list = conf_get(owner, "classes");
	struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; list && i < list->n_items; i++)
		strbuf_printf(&text, "%s%s", i ? ", " : "", list->items[i]);
	return strbuf_take(&text);
}

static int help(struct ctx *ctx, const struct conf_section *owner, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	autofree char *classes = classes_of(owner);
	bool any = false;

	if (vm_names(ctx, &names, err) < 0)
		return -1;
	printf("list                     your VMs; as JSON with --json\n"
	       "quota                    what you may have, and what is taken of it\n"
	       "help                     this\n"
	       "version                  vmf's\n"
	       "VM                       the same as: VM status\n"
	       "VM VERB [VERB...]        do that, one after the other; a number waits for so many seconds\n");
	for (size_t i = 0; i < names.count; i++) {
		struct vmf_error ignored = VMF_ERROR_INIT;
		struct vm *vm = vm_load(ctx, names.items[i], true, &ignored);

		if (vm && vm->is_defined && vm_need_owned(vm, &ignored) == 0) {
			printf("\n%s:\n", vm->name);
			print_verbs(owner, vm->root);
			any = true;
		}
		vm_free(vm);
		error_clear(&ignored);
	}
	if (gate_allows(owner, conf_root(ctx->with_default), cli_find(cli_verbs, "create")) || !any) {
		printf("\na VM that is to be:\n");
		print_verbs(owner, conf_root(ctx->with_default));
	}
	if (*classes)
		printf("\nclasses that you may name: %s\n", classes);
	return 0;
}

static json_t *limit_json(int64_t most)
{
	return most < 0 ? json_null() : json_integer(most);
}

static void print_limit(const char *what, int64_t used, int64_t most, bool is_size)
{
	autofree char *a = is_size ? value_format_size((uint64_t)used) : str_printf("%lld", (long long)used);
	autofree char *b = most < 0  ? str_dup("any number")
			   : is_size ? value_format_size((uint64_t)most)
				     : str_printf("%lld", (long long)most);

	printf("%-8s %s of %s\n", what, a, most < 0 && is_size ? "any size" : b);
}

static int quota(struct ctx *ctx, struct vmf_error *err)
{
	struct quota most, used;

	quota_limits(ctx, ctx->owner, &most);
	if (quota_used(ctx, ctx->owner, NULL, true, &used, err) < 0)
		return -1;
	if (ctx->json) {
		out_json(json_pack("{s:I, s:o, s:I, s:o, s:I, s:o, s:I, s:o}", "vms_used",
			(json_int_t)used.vms, "vms", limit_json(most.vms), "cpus_used", (json_int_t)used.cpus,
			"cpus", limit_json(most.cpus), "memory_used_bytes", (json_int_t)used.memory_bytes,
			"memory_bytes", limit_json(most.memory_bytes), "disk_used_bytes",
			(json_int_t)used.disk_bytes, "disk_bytes", limit_json(most.disk_bytes)));
		return 0;
	}
	print_limit("VMs", used.vms, most.vms, false);
	print_limit("CPUs", used.cpus, most.cpus, false);
	print_limit("memory", used.memory_bytes, most.memory_bytes, true);
	print_limit("disk", used.disk_bytes, most.disk_bytes, true);
	return 0;
}

/* ---- one command ---------------------------------------------------------------------------- */

struct gate {
	struct ctx *ctx;
	const struct conf_section *owner;
	struct strv words;
	bool is_command; /* of these few, not a VM's */
};

static bool is_own_command(const char *word)
{
	return str_equal(word, "list") || str_equal(word, "quota") || str_equal(word, "help") ||
	       str_equal(word, "version");
}

/* `list` has options and patterns of its own; the others have nothing. */
static int check_command(const struct gate *g, struct vmf_error *err)
{
	static const char *const options[] = {"--running", "--names", "--columns"};

	for (size_t i = 1; i < g->words.count; i++) {
		const char *word = g->words.items[i];
		bool is_good = str_equal(g->words.items[0], "list") && word[0] != '-';

		for (size_t k = 0; k < VMF_COUNT(options); k++)
			is_good = is_good ||
				  (str_equal(g->words.items[0], "list") && str_equal(word, options[k]));
		if (!is_good)
			return vmf_fail(err, VMF_E_PERMISSION, 0, "`help` shows what there is for you",
				"%s: \"%s\" is not for owners", g->words.items[0], word);
	}
	return 0;
}

/* --json may stand in front or behind, as elsewhere; nothing else that is general may. */
static void take_json(struct gate *g)
{
	struct strv *w = &g->words;

	while (w->count &&
		(str_equal(w->items[0], "--json") || str_equal(w->items[w->count - 1], "--json"))) {
		size_t at = str_equal(w->items[0], "--json") ? 0 : w->count - 1;

		free(w->items[at]);
		memmove(w->items + at, w->items + at + 1, (w->count - at) * sizeof(*w->items));
		w->count--;
		g->ctx->json = true;
	}
}

static int check(struct gate *g, struct vmf_error *err)
{
	take_json(g);
	if (g->words.count == 0)
		strv_add(&g->words, "help");
	g->is_command = is_own_command(g->words.items[0]);
	if (g->is_command)
		return check_command(g, err);
	return gate_check(g->ctx, g->owner, (int)g->words.count, g->words.items, err);
}

static int run(struct gate *g, int *exit_code, struct vmf_error *err)
{
	if (g->is_command && str_equal(g->words.items[0], "help"))
		return help(g->ctx, g->owner, err);
	if (g->is_command && str_equal(g->words.items[0], "quota"))
		return quota(g->ctx, err);
	return cli_words(g->ctx, (int)g->words.count, g->words.items, exit_code, err);
}

static const char *result_of(const struct cli_call *call, int rc)
{
	/* what `status` answers with is no failure */
	return rc < 0 || (call->exit_code > 0 && call->exit_code < STATUS_OFF) ? "failed" : "ok";
}

static int do_command(
	struct cli_call *call, struct gate *g, const char *text, const char *from, struct vmf_error *err)
{
	struct audit audit = {.who = g->ctx->owner, .from = from};
	int rc = gate_split(text, &g->words, err);

	if (rc < 0) {
		struct vmf_error unwritten = VMF_ERROR_INIT;

		if (audit_begin(g->ctx, &audit, NULL, text, &unwritten) == 0)
			audit_end(g->ctx, &audit, "denied", err->code, err);
		error_clear(&unwritten);
		return -1;
	}
	if (audit_begin(g->ctx, &audit, &g->words, NULL, err) < 0)
		return -1;
	rc = check(g, err);
	if (rc < 0) {
		audit_end(g->ctx, &audit, "denied", err->code, err);
		return -1;
	}
	rc = run(g, &call->exit_code, err);
	fflush(stdout);
	audit_end(g->ctx, &audit, result_of(call, rc), rc < 0 ? err->code : call->exit_code, err);
	return rc;
}

/* An owner who is known and enabled; or all is refused. */
static int find_owner(struct cli_call *call, struct gate *g, struct vmf_error *err)
{
	const char *name = call->args.count ? call->args.items[0] : "";

	if (call->args.count != 1)
		return vmf_fail(err, VMF_E_USAGE, 0, "sshd runs it: see `vmf help gate`",
			"gate wants an owner's name behind it, and nothing else");
	if (owner_name_check(name, err) < 0 || ctx_load(call->ctx, err) < 0)
		return -1;
	g->owner = owner_find(call->ctx, name);
	if (!g->owner)
		return vmf_fail(err, VMF_E_PERMISSION, 0, "`vmf user add` makes one",
			"there is no owner \"%s\"", name);
	if (!conf_number(g->owner, "enabled"))
		return vmf_fail(err, VMF_E_PERMISSION, 0, "ask those who run this host",
			"owner \"%s\" is disabled", name);
	str_set(&call->ctx->owner, name);
	return 0;
}

int command_gate(struct cli_call *call, struct vmf_error *err)
{
	autofree char *text = str_dup(getenv("SSH_ORIGINAL_COMMAND"));
	autofree char *from = peer();
	struct gate g = {.ctx = call->ctx};
	int rc = -1;

	clean_environment();
	if (call->ctx->settings.count || call->ctx->dry_run)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "gate goes with neither -o nor --dry-run");
	if (find_owner(call, &g, err) == 0)
		rc = do_command(call, &g, text ? text : "", from, err);
	strv_free(&g.words);
	return rc;
}
