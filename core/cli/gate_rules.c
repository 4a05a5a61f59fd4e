/* SPDX-License-Identifier: ISC */
/*
 * What owners may say. Two things must both be so: the verb is one that can be given away at all, in the
 * words that the table below has for it (nothing that names a file, a program or a port of this host, that
 * talks with QEMU's monitor, or that reaches beyond the VM), and the VM or its owner's section allows it.
 *
 * The table is a list of what is good: a verb or an option that is new is for nobody until it stands here.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/gate.h"
#include "vm/owner.h"

#define WAIT_DIGITS 5 /* of seconds that a chain waits */

struct rule {
	const char *verb;
	const char *usage;
	const char *options; /* those that pass, with blanks between */
	/* Looks at the words besides; NULL: there must be none. */
	int (*check)(struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call,
		struct vmf_error *err);
};

static int not_for(const char *verb, const char *what, struct vmf_error *err)
{
	autofree char *quoted = str_quote(what);

	return vmf_fail(err, VMF_E_PERMISSION, 0, "`help` shows what there is for you",
		"%s: %s is not for owners", verb, quoted);
}

/* Whatever they are: the verb itself looks at them, and they mean nothing outside of the VM. */
static int any(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	(void)ctx;
	(void)owner;
	(void)call;
	(void)err;
	return 0;
}

static int one(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	(void)ctx;
	(void)owner;
	return call->args.count <= 1 ? 0 : not_for(call->verb->name, call->args.items[1], err);
}

static int by_stdio(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	(void)ctx;
	(void)owner;
	return cli_option(call, "--stdio", 0)
		       ? 0
		       : vmf_fail(err, VMF_E_PERMISSION, 0, "with --stdio; the client script does it",
				 "%s without --stdio listens on a port of the host: that is not for owners",
				 call->verb->name);
}

static int to_stdout(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	(void)ctx;
	(void)owner;
	return str_equal(call->args.items[0], "-")
		       ? 0
		       : vmf_fail(err, VMF_E_PERMISSION, 0, "as in: screenshot - >FILE",
				 "%s: a file of the host is not for owners", call->verb->name);
}

static int harmless_keys(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	static const char *const keys[] = {"memory", "cpus", "description"};

	(void)ctx;
	(void)owner;
	for (size_t i = 0; i < call->args.count; i++) {
		autofree char *key = str_ndup(call->args.items[i], strcspn(call->args.items[i], "="));
		bool is_good = false;

		for (size_t k = 0; k < VMF_COUNT(keys); k++)
			is_good = is_good || str_equal(key, keys[k]);
		if (!is_good)
			return not_for("set", key, err);
	}
	return 0;
}

static int known_class(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	const char *class_ = cli_option(call, "--class", 0);

	(void)ctx;
	if (cli_option(call, "--class", 1))
		return not_for("create", "a second class", err);
	if (!class_ || owner_list_has(owner, "classes", class_))
		return 0;
	return vmf_fail(err, VMF_E_PERMISSION, 0, "`help` shows which are",
		"create: class \"%s\" is not for you", class_);
}

static int own_origin(
	struct ctx *ctx, const struct conf_section *owner, const struct cli_call *call, struct vmf_error *err)
{
	const char *from = cli_option(call, "--from", 0);
	autofree char *name = from ? str_ndup(from, strcspn(from, "@")) : NULL;
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct vm *vm = name ? vm_load(ctx, name, true, &ignored) : NULL;
	bool is_own = vm && vm->is_defined && vm_need_owned(vm, &ignored) == 0;

	(void)owner;
	vm_free(vm);
	error_clear(&ignored);
	if (!from || cli_option(call, "--from", 1))
		return vmf_fail(err, VMF_E_PERMISSION, 0, "as in: NEW clone --from OLD",
			"clone: of one VM of yours, which --from names");
	return is_own ? 0
		      : vmf_fail(err, VMF_E_NOT_FOUND, 0, "`list` shows what there is",
				"no vm \"%s\" of yours", name);
}

static const struct rule rules[] = {
	{"start", "start [--paused] [--discard-saved]", "--paused --discard-saved", NULL},
	{"stop", "stop", "", NULL},
	{"kill", "kill", "", NULL},
	{"shutdown", "shutdown [--timeout TIME] [--force]", "--timeout --force", NULL},
	{"reset", "reset", "", NULL},
	{"pause", "pause", "", NULL},
	{"resume", "resume", "", NULL},
	{"save", "save", "", NULL},
	{"status", "status", "", NULL},
	{"info", "info", "", NULL},
	{"config", "config", "--origin --diff", NULL},
	{"wait", "wait STATE [--timeout TIME]", "--timeout", one},
	{"log", "log [--lines N]", "--lines", NULL},
	{"console", "console [--port N] [--history N] [--watch]",
		"--port --escape --history --until --timeout --watch", NULL},
	{"vnc", "vnc --stdio", "--stdio", by_stdio},
	{"relay", "relay GUEST-PORT --stdio", "--stdio", by_stdio},
	{"sendkey", "sendkey KEYS", "", one},
	{"type", "type TEXT [--enter]", "--enter --delay", one},
	{"screenshot", "screenshot -", "", to_stdout},
	{"drives", "drives", "--names", NULL},
	{"snapshot", "snapshot [NAME] [--delete NAME]", "--disk --delete", one},
	{"snapshots", "snapshots", "", NULL},
	{"rollback", "rollback NAME", "--disk --later-too", one},
	{"ifstat", "ifstat", "", NULL},
	{"addresses", "addresses", "", NULL},
	{"connect", "connect N", "", one},
	{"disconnect", "disconnect N", "", one},
	{"eject", "eject", "", NULL},
	{"set", "set memory=SIZE cpus=N description=TEXT", "", harmless_keys},
	{"ram", "ram SIZE", "", one},
	{"smp", "smp N", "", one},
	{"newimg", "newimg [SIZE]", "", one},
	{"disk add", "disk add [SIZE]", "", one},
	{"disk resize", "disk resize DISK SIZE", "", any},
	{"disk rm", "disk rm DISK --yes", "--yes", one},
	{"disk compress", "disk compress DISK", "", one},
	{"lock", "lock", "", NULL},
	{"unlock", "unlock", "", NULL},
	{"rename", "rename NEW", "", one},
	{"create", "create [--class NAME] [--memory SIZE] [--cpus N] [--disk SIZE]...",
		"--class --memory --cpus --disk", known_class},
	{"clone", "clone --from VM[@SNAPSHOT]", "--from --copy --cow", own_origin},
	{"destroy", "destroy --yes", "--yes", NULL},
};

static const struct rule *find(const struct cli_verb *verb)
{
	for (size_t i = 0; i < VMF_COUNT(rules); i++)
		if (str_equal(rules[i].verb, verb->name))
			return &rules[i];
	return NULL;
}

const char *gate_usage(const struct cli_verb *verb)
{
	const struct rule *rule = find(verb);

	return rule ? rule->usage : NULL;
}

/* ---- what is allowed ------------------------------------------------------------------------ */

static bool list_allows(const struct conf_section *section, const struct cli_verb *verb)
{
	const struct conf_value *list = section ? conf_get(section, "allow") : NULL;

	for (size_t i = 0; list && i < list->n_items; i++)
		if (str_equal(list->items[i], "all") || cli_find(cli_verbs, list->items[i]) == verb)
			return true;
	return false;
}

bool gate_allows(
	const struct conf_section *owner, const struct conf_section *root, const struct cli_verb *verb)
{
	return gate_usage(verb) && (list_allows(root, verb) || list_allows(owner, verb));
}

/* ---- a chain -------------------------------------------------------------------------------- */

static bool has_option(const char *options, const char *option)
{
	size_t n = strlen(option);

	for (const char *p = options; (p = strstr(p, option)); p += n)
		if ((p == options || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static int check_call(struct ctx *ctx, const struct conf_section *owner, const struct conf_section *root,
	const struct cli_call *call, struct vmf_error *err)
{
	const struct rule *rule = find(call->verb);

	if (!rule)
		return not_for("the gate", call->verb->name, err);
	if (!gate_allows(owner, root, call->verb))
		return vmf_fail(err, VMF_E_PERMISSION, 0, "`help` shows what there is for you",
			"%s is not allowed to you here", call->verb->name);
	for (size_t i = 0; i + 1 < call->options.count; i += 2)
		if (!has_option(rule->options, call->options.items[i]))
			return not_for(rule->verb, call->options.items[i], err);
	if (!rule->check && call->args.count)
		return not_for(rule->verb, call->args.items[0], err);
	return rule->check ? rule->check(ctx, owner, call, err) : 0;
}

static bool makes_it(const struct cli_call *call)
{
	return call->verb->run == verb_create || call->verb->run == verb_clone;
}

/* The VM must be hers, or be made by the first verb. */
static int check_first(const struct vm *vm, const struct cli_call *call, struct vmf_error *err)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	bool is_own = vm->is_defined && vm_need_owned(vm, &ignored) == 0;

	error_clear(&ignored);
	if (is_own || (!vm->is_defined && makes_it(call)))
		return 0;
	if (makes_it(call))
		return vmf_fail(
			err, VMF_E_EXISTS, 0, "choose another name", "the name \"%s\" is taken", vm->name);
	return vmf_fail(
		err, VMF_E_NOT_FOUND, 0, "`list` shows what there is", "no vm \"%s\" of yours", vm->name);
}

/* What holds for a VM that is to be: its class's settings, if it is one that she may name. */
static const struct conf_section *root_of(
	struct ctx *ctx, const struct conf_section *owner, const struct vm *vm, const struct cli_call *call)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	const char *class_ = call->verb->run == verb_create ? cli_option(call, "--class", 0) : NULL;
	struct conf *conf = class_ && !vm->is_defined && owner_list_has(owner, "classes", class_)
				    ? ctx_class(ctx, class_, &ignored)
				    : NULL;

	error_clear(&ignored);
	return conf ? conf_root(conf) : vm->root;
}

/* Words that say nothing to do: seconds, and the end of start's. 1: it was one. */
static int is_pause(const char *word, struct vmf_error *err)
{
	if (str_equal(word, "--"))
		return 1;
	if (!cli_is_number(word))
		return 0;
	return strlen(word) <= WAIT_DIGITS ? 1 : not_for("to wait for", word, err);
}

static int check_chain(struct ctx *ctx, const struct conf_section *owner, const struct vm *vm, int argc,
	char **argv, struct vmf_error *err)
{
	const struct conf_section *root = vm->root;
	bool is_first = true;

	for (int i = 1; i < argc;) {
		struct cli_call call = {.ctx = ctx};
		int n_words, rc = is_pause(argv[i], err);

		if (rc < 0)
			return -1;
		if (rc > 0) {
			i++;
			continue;
		}
		call.verb = cli_match(cli_verbs, argv + i, argc - i, &n_words);
		if (!call.verb) {
			rc = vm->is_defined && vm_need_owned(vm, NULL) == 0
				     ? 0
				     : check_first(vm,
					       &(struct cli_call){.verb = cli_find(cli_verbs, "status")},
					       err);
			return rc < 0 ? -1 : cli_unknown(cli_verbs, argv + i, argc - i, err);
		}
		i = cli_take_words(&call, argv, argc, i + n_words, err);
		rc = i < 0 ? -1 : 0;
		if (rc == 0 && is_first)
			rc = check_first(vm, &call, err);
		if (rc == 0 && is_first)
			root = root_of(ctx, owner, vm, &call);
		if (rc == 0)
			rc = check_call(ctx, owner, root, &call, err);
		strv_free(&call.args);
		strv_free(&call.options);
		if (rc < 0)
			return -1;
		is_first = false;
	}
	return is_first ? check_first(vm, &(struct cli_call){.verb = cli_find(cli_verbs, "status")}, err) : 0;
}

int gate_check(
	struct ctx *ctx, const struct conf_section *owner, int argc, char **argv, struct vmf_error *err)
{
	static char word[] = "status";
	char *words[] = {argv[0], word};
	struct vmf_error broken = VMF_ERROR_INIT;
	struct vm *vm;
	int rc;

	if (vm_name_check(argv[0], err) < 0)
		return -1;
	vm = vm_load(ctx, argv[0], true, &broken);
	if (!vm) { /* whose it is cannot be told */
		error_clear(&broken);
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`list` shows what there is",
			"no vm \"%s\" of yours", argv[0]);
	}
	rc = argc > 1 ? check_chain(ctx, owner, vm, argc, argv, err)
		      : check_chain(ctx, owner, vm, 2, words, err);
	vm_free(vm);
	return rc;
}
