/* SPDX-License-Identifier: ISC */
/* From argv to calls: global options, then a command, or a VM and its chain of verbs. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/choose.h"
#include "cli/far.h"
#include "config/value.h"

/* What is opened later must not become somebody's standard output. */
static void open_std_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
			_exit(VMF_E_FAILED);
}

/* ^C and friends: work ends at the next chance and is undone. A second one ends the program at once; the
 * journal then tells the next command. */
static void on_signal(int number)
{
	if (log_interrupted)
		_exit(128 + number);
	log_interrupted = number;
}

static void set_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void call_free(struct cli_call *call)
{
	strv_free(&call->args);
	strv_free(&call->options);
}

static int wait_seconds(const char *word)
{
	for (int64_t end = time_now_ms() + 1000 * strtoll(word, NULL, 10);
		!log_interrupted && time_now_ms() < end;)
		time_sleep_ms(end - time_now_ms() < 100 ? end - time_now_ms() : 100);
	return 0;
}

/* ---- a VM and its chain ------------------------------------------------------------------- */

/* The whole chain is read before its first verb is run: a slip at its end changes nothing. */
static int check_chain(int argc, char **argv, int i, struct vmf_error *err)
{
	while (i < argc) {
		struct cli_call call = {.verb = NULL};
		int n_words;

		if (cli_is_number(argv[i]) || str_equal(argv[i], "--")) {
			i++;
			continue;
		}
		call.verb = cli_match(cli_verbs, argv + i, argc - i, &n_words);
		if (!call.verb)
			return cli_unknown(cli_verbs, argv + i, argc - i, err);
		i = cli_take_words(&call, argv, argc, i + n_words, err);
		call_free(&call);
		if (i < 0)
			return -1;
	}
	return 0;
}

/* A VM whose definition has mistakes, if VERB is there to mend them or has to do with what runs; else NULL.
 */
static struct vm *load_broken(
	struct ctx *ctx, const char *name, const struct cli_verb *verb, struct vmf_error *err)
{
	struct vm_state state;
	struct vm *vm;

	vm_state_read(ctx, name, &state);
	if (err->code != VMF_E_CONFIG ||
		!((verb->flags & VERB_BROKEN) || (verb->flags & VERB_LIVE && state.phase != VM_OFF)))
		return NULL;
	vm = vm_load_broken(ctx, name, NULL);
	if (vm && !(verb->flags & VERB_BROKEN))
		log_warn("%s", err->message);
	if (vm)
		error_clear(err);
	return vm;
}

/* The VM as VERB wants it: defined, unless the verb can do without; *vm is kept from verb to verb. */
static int load_for(
	struct ctx *ctx, const char *name, const struct cli_verb *verb, struct vm **vm, struct vmf_error *err)
{
	struct vm_state state;
	autofree char *kept = str_dup(name); /* it may be the VM's own */

	name = kept;
	if (!*vm) {
		*vm = vm_load(ctx, name, true, err);
		if (*vm && vm_tidy(*vm, err) < 0)
			return -1;
	}
	if (!*vm)
		*vm = load_broken(ctx, name, verb, err);
	if (!*vm)
		return -1;
	/* a chain may wait for long: the name may be somebody else's by now */
	if (ctx->owner && ((!vm_is_current(*vm) && vm_reload(*vm, err) < 0) || vm_need_owned(*vm, err) < 0))
		return -1;
	if ((*vm)->is_defined || (verb->flags & VERB_MAY_MISS) ||
		((*vm)->was_destroyed && verb->run == verb_destroy))
		return 0;
	vm_state_read(ctx, name, &state);
	if ((verb->flags & (VERB_TRACE | VERB_LIVE)) && state.phase != VM_OFF)
		return 0;
	vm_free(*vm);
	*vm = vm_load(ctx, name, false, err);
	return *vm ? 0 : -1;
}

/* The VM as it is to begin with, and where it lives; NULL and no err: load_for() tells what is wrong. */
static struct vm *load_first(
	struct ctx *ctx, int argc, char **argv, struct place **place, struct vmf_error *err)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct vm *vm = vm_load(ctx, argv[0], true, &ignored);

	error_clear(&ignored);
	if (!vm)
		return NULL;
	/* what a killed vmf has left is put right before anything else, also of a VM that is not defined */
	if ((ctx->is_far || far_place(vm, argc, argv, place, err) == 0) && (*place || vm_tidy(vm, err) == 0))
		return vm;
	vm_free(vm);
	return NULL;
}

static int run_chain(struct ctx *ctx, int argc, char **argv, int *exit_code, struct vmf_error *err)
{
	struct place *place = NULL;
	struct vm *vm;
	int i = 1, rc = 0;

	if (vm_name_check(argv[0], err) < 0)
		return -1;
	if (argc < 2) { /* a name alone: how is it? */
		static char word[] = "status";
		static char *words[] = {NULL, word};

		words[0] = argv[0];
		return run_chain(ctx, 2, words, exit_code, err);
	}
	if (check_chain(argc, argv, 1, err) < 0)
		return -1;
	vm = load_first(ctx, argc, argv, &place, err);
	if (err->code) {
		place_free(place);
		return -1;
	}
	if (vm && !ctx->is_far && choose_is_wanted(vm, argc, argv)) {
		rc = choose_chain(vm, argc, argv, exit_code, err);
		vm_free(vm);
		return rc;
	}
	if (place) {
		rc = far_chain(vm, place, argc, argv, exit_code, err);
		vm_free(vm);
		place_free(place);
		return rc;
	}
	while (rc == 0 && i < argc && !log_interrupted) {
		int n_words;
		struct cli_call call = {
			.ctx = ctx, .verb = cli_match(cli_verbs, argv + i, argc - i, &n_words)};
		autofree char *name = str_dup(vm ? vm->name : argv[0]); /* rename changes it */

		if (!call.verb) {
			if (cli_is_number(argv[i]) && !ctx->dry_run)
				wait_seconds(argv[i]);
			i++;
			continue;
		}
		i = cli_take_words(&call, argv, argc, i + n_words, err);
		call.is_last = i >= argc && !ctx->goes_on;
		rc = load_for(ctx, name, call.verb, &vm, err);
		if (rc == 0) {
			call.vm = vm;
			rc = call.verb->run(&call, err);
		}
		if (rc == 0 && ctx->planned.count)
			out_plan(&call, NULL);
		if (rc == 0 && call.is_last)
			*exit_code = call.exit_code;
		call_free(&call);
		/* what was done is to be seen before what takes its time, and by those who read a pipe */
		fflush(stdout);
	}
	if (rc == 0 && log_interrupted)
		rc = vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
	if (vm) {
		vm_tidy_ended(vm);
		str_set(&ctx->chain_vm, vm->name);
	}
	vm_free(vm);
	return rc;
}

/* ARGV: what stands behind its name. */
static int run_command(struct ctx *ctx, const struct cli_verb *verb, int argc, char **argv, int *exit_code,
	struct vmf_error *err)
{
	struct cli_call call = {.ctx = ctx, .verb = verb, .is_last = true};
	int rc = cli_take_words(&call, argv, argc, 0, err);

	if (rc >= 0)
		rc = verb->run(&call, err);
	*exit_code = call.exit_code;
	call_free(&call);
	return rc < 0 ? -1 : 0;
}

/* ---- global options ----------------------------------------------------------------------- */

static int global_options(struct ctx *ctx, int argc, char **argv, const char **home, struct vmf_error *err)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *a = argv[i];
		bool wants = str_equal(a, "-C") || str_equal(a, "--home") || str_equal(a, "-o");

		if (wants && i + 1 >= argc)
			return vmf_fail(err, VMF_E_USAGE, 0, NULL, "%s wants a word behind it", a);
		if (str_equal(a, "-C") || str_equal(a, "--home"))
			*home = argv[++i];
		else if (str_starts(a, "--home="))
			*home = a + 7;
		else if (str_equal(a, "-o"))
			strv_add(&ctx->settings, argv[++i]);
		else if (str_equal(a, "--json"))
			ctx->json = true;
		else if (str_equal(a, "--dry-run") || str_equal(a, "-n"))
			ctx->dry_run = true;
		else if (str_equal(a, "-q"))
			log_set_level(-1);
		else if (str_equal(a, "-v") || str_equal(a, "-vv"))
			log_set_level(log_level() + (int)strlen(a) - 1);
		else if (str_equal(a, "-h") || str_equal(a, "--help") || str_equal(a, "--version"))
			break;
		else
			return vmf_fail(err, VMF_E_USAGE, 0, "`vmf help` lists all", "no option %s", a);
	}
	for (size_t k = 0; k < ctx->settings.count; k++)
		if (!strchr(ctx->settings.items[k], '='))
			return vmf_fail(err, VMF_E_USAGE, 0, "as in: -o memory=2G", "-o %s: no KEY=VALUE",
				ctx->settings.items[k]);
	return i;
}

/* --json and --dry-run mean the same behind the verbs: people add them to a line that they have. */
static int trailing_options(struct ctx *ctx, int argc, char **argv)
{
	for (;;) {
		const char *last = argc > 2 ? argv[argc - 1] : "";

		if (str_equal(last, "--json"))
			ctx->json = true;
		else if (str_equal(last, "--dry-run"))
			ctx->dry_run = true;
		else
			return argc;
		argc--;
	}
}

/* `vmf web0 create --help`: the verb or command that it stands behind, or NULL. */
static const char *asks_for_help(int argc, char **argv)
{
	const struct cli_verb *const tables[] = {cli_verbs, cli_commands};
	const char *name = NULL;

	if (argc < 3 || !str_equal(argv[argc - 1], "--help"))
		return NULL;
	for (int i = 1, n_words = 1; i < argc - 1; i += n_words) {
		bool found = false;

		if (str_equal(argv[i], "--"))
			name = NULL;
		n_words = 1;
		for (size_t t = 0; !found && t < VMF_COUNT(tables); t++) {
			const struct cli_verb *verb = cli_match(tables[t], argv + i, argc - 1 - i, &n_words);

			found = verb || cli_begins(tables[t], argv[i]);
			if (found)
				name = verb ? verb->name : argv[i];
		}
	}
	return name;
}

/* labvm -> class lab; vmf itself has none. */
static char *class_of(const char *program)
{
	const char *base = strrchr(program, '/');
	size_t n;

	base = base ? base + 1 : program;
	n = strlen(base);
	if (n <= 2 || !str_ends(base, "vm") || vm_name_check(base, NULL) < 0)
		return NULL;
	return str_ndup(base, n - 2);
}

int cli_words(struct ctx *ctx, int argc, char **argv, int *exit_code, struct vmf_error *err)
{
	int n_words;
	const struct cli_verb *command = cli_match(cli_commands, argv, argc, &n_words);

	if (command)
		return run_command(ctx, command, argc - n_words, argv + n_words, exit_code, err);
	if (cli_begins(cli_commands, argv[0]))
		return cli_unknown(cli_commands, argv, argc, err);
	return run_chain(ctx, argc, argv, exit_code, err);
}

static int run(struct ctx *ctx, int argc, char **argv, int *exit_code, struct vmf_error *err)
{
	const char *home = NULL;
	const struct cli_verb *help = cli_find(cli_commands, "help");
	const char *wanted = asks_for_help(argc, argv);
	int i;

	if (wanted)
		return run_command(ctx, help, 1, (char *[]){(char *)wanted}, exit_code, err);
	argc = trailing_options(ctx, argc, argv);
	i = global_options(ctx, argc, argv, &home, err);
	if (i < 0)
		return -1;
	if (i < argc && str_equal(argv[i], "--version"))
		return run_command(ctx, cli_find(cli_commands, "version"), 0, NULL, exit_code, err);
	if (i >= argc || argv[i][0] == '-')
		return run_command(ctx, help, 0, NULL, exit_code, err);
	if (paths_resolve(home, &ctx->paths, err) < 0)
		return -1;
	ctx->invoked_class = class_of(argv[0]);
	return cli_words(ctx, argc - i, argv + i, exit_code, err);
}

void cli_say_error(const struct ctx *ctx, const struct vmf_error *err)
{
	if (ctx->json)
		out_json(json_pack("{s:{s:s, s:s, s:s*}}", "error", "code", error_code_name(err->code),
			"message", err->message ? err->message : "", "hint", err->hint));
	log_error(err);
}

int cli_main(int argc, char **argv)
{
	struct ctx ctx;
	struct vmf_error err = VMF_ERROR_INIT;
	int exit_code = 0;

	memset(&ctx, 0, sizeof(ctx));
	open_std_fds();
	set_signals();
	if (run(&ctx, argc, argv, &exit_code, &err) < 0) {
		cli_say_error(&ctx, &err);
		exit_code = err.code ? err.code : VMF_E_FAILED;
	}
	error_clear(&err);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno != EPIPE)
			log_warn("cannot write to standard output: %s", strerror(errno));
		exit_code = exit_code ? exit_code : VMF_E_FAILED;
	}
	/* plugins stay loaded: to unload them takes longer than all else here, and the kernel does it, too */
	ctx_free(&ctx);
	return exit_code;
}
