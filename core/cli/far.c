/* SPDX-License-Identifier: ISC */
/*
 * A chain for a VM that lives on another host. It is sent there whole, but for what belongs to this end:
 * `edit`, whose editor and file are here, and the file of `screenshot`.
 */
#include "cli/far.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/move.h"
#include "remote/claim.h"
#include "remote/managed.h"
#include "remote/remote.h"

#define DEFINITION_MAX (4 << 20)

struct far {
	int argc; /* the chain */
	char **argv;
	struct vm *vm;
	struct place *place;
	struct place *moved; /* the same, ours, once a move has led there */
	struct remote *remote;
	char *name;		   /* the VM's, which a chain may change */
	const struct claim *claim; /* room that is to be taken, or NULL */
	bool is_full;		   /* there was none */
	json_t *note;		   /* what has become of its definition there, or NULL */
};

/* ---- where -------------------------------------------------------------------------------- */

static void free_call(struct cli_call *call)
{
	strv_free(&call->args);
	strv_free(&call->options);
}

/* The verb at argv[i] and its words; returns where the next one begins. For a chain that has been checked. */
static int next_call(struct cli_call *call, int argc, char **argv, int i)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	int n_words;

	memset(call, 0, sizeof(*call));
	call->verb = cli_match(cli_verbs, argv + i, argc - i, &n_words);
	i = call->verb ? cli_take_words(call, argv, argc, i + n_words, &ignored) : i + 1;
	error_clear(&ignored);
	return i < 0 ? argc : i;
}

/* Where a VM that is not defined yet is going to live, if the chain or the class that it names says so. The
 * caller frees. */
static char *wanted_host(struct ctx *ctx, int argc, char **argv)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct cli_call call;
	const char *class_;
	struct conf *conf;
	char *host = NULL;

	next_call(&call, argc, argv, 1);
	if (call.verb && call.verb->run == verb_create) {
		class_ = cli_option(&call, "--class", 0);
		conf = class_ ? ctx_class(ctx, class_, &ignored) : NULL;
		if (conf && conf_is_set(conf_root(conf), "host"))
			host = str_dup(conf_string(conf_root(conf), "host"));
		if (cli_option(&call, "--host", 0))
			str_set(&host, cli_option(&call, "--host", 0));
	}
	for (size_t i = 0; call.verb && call.verb->run == verb_set && i < call.args.count; i++)
		if (str_starts(call.args.items[i], "host="))
			str_set(&host, call.args.items[i] + 5);
	free_call(&call);
	error_clear(&ignored); /* `create` says it */
	return host;
}

int far_place(struct vm *vm, int argc, char **argv, struct place **place, struct vmf_error *err)
{
	autofree char *host = vm->is_defined ? NULL : wanted_host(vm->ctx, argc, argv);

	*place = NULL;
	if (str_equal(host ? host : conf_string(vm->root, "host"), "auto")) {
		if (!vm->is_defined) /* choose.c's business */
			return 0;
		return vmf_fail(err, VMF_E_CONFIG, 0, "`create` chooses one; say here which it is",
			"vm \"%s\": host = \"auto\" is no host", vm->name);
	}
	if (!host)
		return place_of(vm, place, err);
	if (!conf_find(vm->root, "host", host)) /* `create` says it best */
		return 0;
	return place_find(vm->ctx, vm->root, host, place, err);
}

/* ---- one run ------------------------------------------------------------------------------ */

char *far_layer(const struct vm *vm)
{
	struct strbuf text = STRBUF_INIT;
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct conf *own = vm->class_ ? ctx_class(vm->ctx, vm->class_, &ignored) : NULL;

	error_clear(&ignored);
	conf_put_layers(vm->ctx->with_default, "host", &text);
	if (own)
		conf_put_layers(own, "host", &text);
	return strbuf_take(&text);
}

static void on_note(void *data, const json_t *note)
{
	struct far *far = data;

	if (json_object_get(note, "full"))
		far->is_full = true;
	if (!json_object_get(note, "definition"))
		return;
	json_decref(far->note);
	far->note = json_deep_copy(note);
}

/* Does the chain rename the VM to that? The other end is not free to choose. */
static bool is_renamed_to(int argc, char **argv, const char *name)
{
	bool found = false;

	for (int i = 1; i < argc;) {
		struct cli_call call;

		i = next_call(&call, argc, argv, i);
		found = found || (call.verb && call.verb->run == verb_rename && call.args.count &&
					 str_equal(call.args.items[0], name));
		free_call(&call);
	}
	return found;
}

/* A definition that comes from that host says that the VM lives there, whatever else it says: else the host
 * could have this one run what it likes. The caller frees; NULL and err. */
static char *with_host(const struct far *far, const char *text, struct vmf_error *err)
{
	struct conf *trial = conf_copy(far->vm->ctx->with_default);
	char *result = NULL;

	if (conf_add_text(trial, far->vm->file, text, strlen(text), err) == 0)
		result = str_equal(conf_string(conf_root(trial), "host"), far->place->name)
				 ? str_dup(text)
				 : conf_edit_text(
					   &vm_schema, far->vm->file, text, "host", far->place->name, err);
	conf_free(trial);
	return result;
}

/* The definition here becomes what it is there. */
static int take_note(struct far *far, struct vmf_error *err)
{
	const char *name = json_string_value(json_object_get(far->note, "name"));
	const char *text = json_string_value(json_object_get(far->note, "definition"));
	autofree char *own = NULL;
	int rc = 0;

	if (!far->note)
		return 0;
	if (!name || (!str_equal(name, far->name) && !is_renamed_to(far->argc, far->argv, name)))
		rc = vmf_fail(
			err, VMF_E_FAILED, 0, NULL, "host \"%s\" speaks of another vm", far->place->name);
	if (rc == 0 && text) {
		own = with_host(far, text, err);
		rc = own ? json_object_set_new(far->note, "definition", json_string(own)) : -1;
	}
	if (rc == 0 && !far->vm->ctx->dry_run)
		rc = managed_take(far->vm->ctx, far->name, far->note, err);
	if (rc == 0)
		str_set(&far->name, name);
	json_decref(far->note);
	far->note = NULL;
	return rc;
}

/* Words FROM to TO of the chain; MORE: others follow. OUTPUT: where it goes, or NULL. */
static int run_words(struct far *far, char **argv, int from, int to, bool more, struct strbuf *output,
	int *exit_code, struct vmf_error *err)
{
	autofree char *file = str_printf("%s/vms/%s.conf", far->vm->ctx->paths.etc, far->name);
	autofree char *text = file_read_at(AT_FDCWD, file, DEFINITION_MAX, NULL);
	autofree char *layer = far_layer(far->vm);
	char **words = mem_alloc(((size_t)(to - from) + 1) * sizeof(*words));
	char host[256] = "";
	json_t *request;
	int rc;

	words[0] = far->name;
	memcpy(words + 1, argv + from, (size_t)(to - from) * sizeof(*words));
	request = far_request(far->vm->ctx, to - from + 1, words);
	free(words);
	gethostname(host, sizeof(host) - 1);
	json_object_set_new(request, "master", json_string(host));
	json_object_set_new(request, "definition", text ? json_string(text) : json_null());
	json_object_set_new(request, "layer", json_string(layer));
	json_object_set_new(request, "more", json_boolean(more));
	if (far->claim)
		json_object_set_new(request, "claim", claim_json(far->claim));
	if (text && !json_is_string(json_object_get(request, "definition"))) {
		json_decref(request);
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is no UTF-8", file);
	}
	rc = far_run(far->remote, request, output, on_note, far, err);
	*exit_code = remote_exit_code(far->remote);
	/* also if it failed: what came before that was done */
	if (take_note(far, rc < 0 ? NULL : err) < 0)
		rc = -1;
	return rc;
}

/* ---- what belongs to this end --------------------------------------------------------------- */

static int edit_here(
	struct far *far, const struct cli_verb *verb, bool is_last, int *exit_code, struct vmf_error *err)
{
	struct ctx *ctx = far->vm->ctx;
	struct vm *vm = vm_load(ctx, far->name, false, err);
	struct cli_call call = {.ctx = ctx, .vm = vm, .verb = verb, .is_last = is_last};
	int rc;

	if (!vm)
		return -1;
	rc = verb->run(&call, err);
	vm_free(vm);
	/* what runs there follows */
	return rc < 0 || ctx->dry_run ? rc : run_words(far, NULL, 0, 0, false, NULL, exit_code, err);
}

static int picture_here(struct far *far, char **argv, int from, int to, const struct cli_call *call,
	bool is_last, int *exit_code, struct vmf_error *err)
{
	autostrbuf struct strbuf data = STRBUF_INIT;
	const char *file = call->args.items[0];
	mode_t mask = umask(0);

	umask(mask);
	if (str_equal(file, "-") || far->vm->ctx->dry_run)
		return run_words(far, argv, from, to, !is_last, NULL, exit_code, err);
	if (run_words(far, argv, from, to, !is_last, &data, exit_code, err) < 0)
		return -1;
	if (*exit_code)
		return 0;
	if (file_write(file, data.data ? data.data : "", data.length, 0666 & ~mask, false, err) < 0)
		return -1;
	if (far->vm->ctx->json)
		out_json(json_pack("{s:s, s:o}", "vm", far->name, "file", out_string(file)));
	else if (log_level() >= 0)
		printf("%s: its screen is in %s\n", far->name, file);
	return 0;
}

/* Where the rest of the chain goes, too. */
static int move_away(struct far *far, const struct cli_call *call, int *exit_code, struct vmf_error *err)
{
	struct ctx *ctx = far->vm->ctx;
	char master[256] = "";
	autofree char *layer = NULL;
	struct move m = {.host = call->args.items[0], .master = master, .from = far->place};
	struct cli_call said = *call;
	int rc = -1;

	/* what was changed there is known here from now on */
	if (run_words(far, NULL, 0, 0, true, NULL, exit_code, err) < 0 || *exit_code)
		return *exit_code ? 0 : -1;
	gethostname(master, sizeof(master) - 1);
	m.vm = vm_load(ctx, far->name, false, err);
	if (!m.vm)
		return -1;
	m.layer = layer = far_layer(m.vm);
	rc = move_run(&m, err);
	said.ctx = ctx;
	said.vm = m.vm;
	if (rc == 0)
		move_say(&said, &m);
	vm_free(m.vm);
	if (rc == 0 && !ctx->dry_run && m.to && !call->is_last) {
		remote_close(far->remote);
		far->remote = remote_open(m.to, FAR_HELLO_MS, err);
		rc = far->remote ? 0 : -1;
		place_free(far->moved);
		far->place = far->moved = m.to;
		return rc;
	}
	place_free(m.to);
	if (rc == 0 && !ctx->dry_run && !call->is_last)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "run the rest of the chain now",
			"vm \"%s\" lives here now", far->name);
	return rc;
}

/* What would go wrong at this end once it is done at the other. */
static int check_here(const struct far *far, const struct cli_call *call, struct vmf_error *err)
{
	const char *word = call->args.count ? call->args.items[0] : "";
	autofree char *file = NULL;

	if (!call->verb)
		return 0;
	if (call->verb->run == verb_rename) {
		file = str_printf("%s/vms/%s.conf", far->vm->ctx->paths.etc, word);
		if (vm_name_check(word, err) < 0)
			return -1;
		return file_exists(file) ? vmf_fail(err, VMF_E_EXISTS, 0, "choose another name",
						   "there is a vm \"%s\" already", word)
					 : 0;
	}
	for (size_t i = 0; call->verb->run == verb_set && far->vm->is_defined && i < call->args.count; i++)
		if (str_starts(call->args.items[i], "host="))
			return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`move` does that",
				"vm \"%s\" lives on host \"%s\": `set host=` does not move it", far->name,
				far->place->name);
	if (call->verb->run == verb_screenshot && !str_equal(word, "-")) {
		autofree char *folder = path_parent(word);

		if (access(folder, W_OK) < 0)
			return vmf_fail_errno(err, NULL, "screenshot: cannot write into %s", folder);
	}
	return 0;
}

/* ---- the chain ---------------------------------------------------------------------------- */

static bool is_ours(const struct cli_call *call)
{
	return call->verb && (call->verb->run == verb_edit || call->verb->run == verb_screenshot ||
				     call->verb->run == verb_move);
}

/* The next part of the chain from argv[i] on: one verb of ours, or all up to the next of those. */
static int run_part(struct far *far, int argc, char **argv, int *i, int *exit_code, struct vmf_error *err)
{
	struct cli_call call;
	int from = *i, rc;

	*i = next_call(&call, argc, argv, from);
	if (is_ours(&call)) {
		call.is_last = *i >= argc;
		rc = call.verb->run == verb_move ? move_away(far, &call, exit_code, err)
		     : call.verb->run == verb_edit
			     ? edit_here(far, call.verb, *i >= argc, exit_code, err)
			     : picture_here(far, argv, from, *i, &call, *i >= argc, exit_code, err);
		free_call(&call);
		return rc;
	}
	while (*i < argc) {
		int next;

		free_call(&call);
		next = next_call(&call, argc, argv, *i);
		if (is_ours(&call))
			break;
		*i = next;
	}
	free_call(&call);
	return run_words(far, argv, from, *i, *i < argc, NULL, exit_code, err);
}

int far_chain(
	struct vm *vm, struct place *place, int argc, char **argv, int *exit_code, struct vmf_error *err)
{
	struct far far = {.vm = vm, .place = place, .argc = argc, .argv = argv, .name = str_dup(vm->name)};
	struct vmf_error later = VMF_ERROR_INIT;
	int rc = 0;

	for (int i = 1; rc == 0 && i < argc;) {
		struct cli_call call;

		i = next_call(&call, argc, argv, i);
		rc = check_here(&far, &call, err);
		free_call(&call);
	}
	if (move_finish(vm->ctx, vm->name, &later) < 0)
		log_warn("vm \"%s\": what it has left at the host that it was moved from is still there: %s",
			vm->name, later.message);
	error_clear(&later);
	if (rc == 0)
		far.remote = remote_open(place, FAR_HELLO_MS, err);
	if (!far.remote)
		rc = -1;
	*exit_code = 0;
	for (int i = 1; rc == 0 && *exit_code == 0 && i < argc && !log_interrupted;)
		rc = run_part(&far, argc, argv, &i, exit_code, err);
	remote_close(far.remote);
	place_free(far.moved);
	free(far.name);
	return rc;
}

int far_claim(struct vm *vm, struct place *place, int argc, char **argv, const struct claim *claim,
	int *exit_code, struct vmf_error *err)
{
	struct far far = {.vm = vm,
		.place = place,
		.argc = argc,
		.argv = argv,
		.name = str_dup(vm->name),
		.claim = claim};
	int rc = -1;

	far.remote = remote_open(place, FAR_HELLO_MS, err);
	if (far.remote)
		rc = run_words(&far, argv, 1, argc, false, NULL, exit_code, err);
	remote_close(far.remote);
	free(far.name);
	return rc == 0 && far.is_full ? 1 : rc;
}
