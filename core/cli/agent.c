/* SPDX-License-Identifier: ISC */
/* The far end's command line: what an agent's runs are. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/tty.h"
#include "cli/cli.h"
#include "cli/move.h"
#include "remote/agent.h"
#include "remote/claim.h"
#include "remote/managed.h"

static int notes_fd;

static void put_note(json_t *note)
{
	char *text = json_dumps(note, JSON_COMPACT);
	autofree char *line = str_printf("%s\n", text ? text : "");

	/* a near end that is gone hears nothing, and that is no error of ours */
	if (text && fd_write_all(notes_fd, line, strlen(line)) < 0)
		log_debug("a note could not be sent");
	free(text);
	json_decref(note);
}

/* The near end reads its person's input only while somebody wants it. */
static void want_input(const char *how)
{
	fflush(stdout);
	fflush(stderr);
	put_note(json_pack("{s:s}", "input", how));
}

static void take_settings(struct ctx *ctx, const json_t *request)
{
	const json_t *tty = json_object_get(request, "tty"), *item;
	const char *class_ = json_string_value(json_object_get(request, "class"));
	json_int_t columns = json_integer_value(json_object_get(request, "columns"));
	bool is_tty[3];
	size_t i;

	ctx->json = json_is_true(json_object_get(request, "json"));
	ctx->dry_run = json_is_true(json_object_get(request, "dry_run"));
	ctx->goes_on = json_is_true(json_object_get(request, "more"));
	str_set(&ctx->invoked_class, class_);
	json_array_foreach(json_object_get(request, "settings"), i, item)
	{
		if (json_is_string(item))
			strv_add(&ctx->settings, json_string_value(item));
	}
	log_set_level((int)json_integer_value(json_object_get(request, "level")));
	for (i = 0; i < 3; i++)
		is_tty[i] = json_is_true(json_array_get(tty, i));
	tty_set_far(is_tty, want_input);
	if (columns > 0) {
		autofree char *text = str_printf("%d", (int)columns);

		setenv("COLUMNS", text, 1);
	}
}

static int run_managed(
	struct ctx *ctx, const json_t *request, struct strv *words, int *exit_code, struct vmf_error *err)
{
	struct managed managed = {
		.master = json_string_value(json_object_get(request, "master")),
		.definition = json_string_value(json_object_get(request, "definition")),
		.layer = json_string_value(json_object_get(request, "layer")),
	};
	const char *name = words->items[0];
	const json_t *wanted = json_object_get(request, "claim");
	struct claim claim;
	autoclose int lock = -1; /* until the VM is defined */
	json_t *note;
	int rc;

	ctx->is_far = true;
	if (wanted) {
		claim_read(wanted, &claim);
		rc = claim_take(ctx, &claim, &lock, err);
		if (rc > 0) {
			put_note(json_pack("{s:b}", "full", 1));
			*exit_code = VMF_E_NO_SPACE;
		}
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
	rc = managed_begin(ctx, name, &managed, err);
	if (rc != 0) {
		if (rc > 0)
			put_note(json_pack("{s:s, s:n}", "name", name, "definition"));
		return -1;
	}
	str_set(&ctx->chain_vm, name);
	if (words->count > 1)
		rc = cli_words(ctx, (int)words->count, words->items, exit_code, err);
	note = managed_end(ctx, name, ctx->chain_vm, &managed);
	if (note)
		put_note(note);
	return rc;
}

/* In the run's own process. */
static int run(const json_t *request, int notes, void *data)
{
	struct ctx *ctx = data;
	struct vmf_error err = VMF_ERROR_INIT;
	struct strv words = STRV_INIT;
	const json_t *item;
	int exit_code = 0, rc;
	size_t i;

	notes_fd = notes;
	json_array_foreach(json_object_get(request, "words"), i, item)
	{
		strv_add(&words, json_is_string(item) ? json_string_value(item) : "");
	}
	take_settings(ctx, request);
	if (words.count == 0)
		rc = vmf_fail(&err, VMF_E_USAGE, 0, NULL, "the near end asks for nothing");
	else if (json_object_get(request, "move"))
		rc = move_far(ctx, request, put_note, &err);
	else if (json_string_value(json_object_get(request, "master")))
		rc = run_managed(ctx, request, &words, &exit_code, &err);
	else
		rc = cli_words(ctx, (int)words.count, words.items, &exit_code, &err);
	if (rc < 0) {
		cli_say_error(ctx, &err);
		exit_code = err.code ? err.code : VMF_E_FAILED;
	}
	error_clear(&err);
	strv_free(&words);
	return exit_code;
}

int command_agent(struct cli_call *call, struct vmf_error *err)
{
	const struct agent_ops ops = {.run = run, .data = call->ctx};
	int in, out, null;

	if (!cli_option(call, "--stdio", 0) || call->args.count)
		return vmf_fail(err, VMF_E_USAGE, 0, "agent --stdio: another vmf runs it",
			"agent wants --stdio alone");
	/* whatever writes to standard output by mistake must not disturb the frames */
	in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (in < 0 || out < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return vmf_fail_errno(err, NULL, "agent");
	close(null);
	return agent_serve(in, out, &ops, err);
}

int agent_here(struct ctx *ctx, struct vmf_error *err)
{
	const struct agent_ops ops = {.run = run, .data = ctx};
	struct vmf_error mine = VMF_ERROR_INIT;
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return vmf_fail_errno(err, NULL, "socketpair");
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(ends[0]);
		_exit(agent_serve(ends[1], ends[1], &ops, &mine) < 0 ? VMF_E_FAILED : 0);
	}
	close(ends[1]);
	if (pid > 0)
		return ends[0];
	vmf_fail_errno(err, NULL, "fork");
	close(ends[0]);
	return -1;
}
