/* SPDX-License-Identifier: ISC */
/* The definition in the person's editor. What is wrong never replaces what is right. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"

extern char **environ;

#define DEFINITION_MAX (4 << 20)

static char *find_editor(void)
{
	static const char *const usual[] = {"editor", "vi", "nano"};
	const char *set = getenv("VISUAL");

	if (!set || !*set)
		set = getenv("EDITOR");
	if (set && *set)
		return str_dup(set);
	for (size_t i = 0; i < VMF_COUNT(usual); i++) {
		char *path = proc_find_program(usual[i]);

		if (path)
			return path;
	}
	return NULL;
}

/* Through the shell, as the editor may be several words. ^C is the editor's while it runs. */
static int run_editor(const char *editor, const char *path, struct vmf_error *err)
{
	autofree char *script = str_printf("exec %s \"$1\"", editor);
	char *argv[] = {(char *)"sh", (char *)"-c", script, (char *)"vmf", (char *)path, NULL};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	pid_t pid;
	int rc, status = 0;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGQUIT);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	rc = posix_spawn(&pid, "/bin/sh", NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	if (rc)
		return vmf_fail(err, VMF_E_FAILED, rc, NULL, "cannot run the editor");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return vmf_fail(err, VMF_E_FAILED, 0, "set VISUAL or EDITOR to another",
			"the editor failed (%s)", editor);
	return 0;
}

static char *make_copy(const struct vm *vm, const char *text, struct vmf_error *err)
{
	const char *folder = getenv("TMPDIR");
	char *path = str_printf("%s/vmf-%s-XXXXXX.conf", folder && *folder ? folder : "/tmp", vm->name);
	autoclose int fd = mkstemps(path, 5);

	if (fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0)
		return path;
	vmf_fail_errno(err, "set TMPDIR to a folder with room", "cannot write %s", path);
	if (fd >= 0)
		unlink(path);
	free(path);
	return NULL;
}

/* Shows what is wrong; *again: the person wants to mend it. */
static bool ask_again(struct vmf_error *problem)
{
	char answer[16] = "";

	log_error(problem);
	fputs("Edit again? [Y/n] ", stderr);
	fflush(stderr);
	return fgets(answer, sizeof(answer), stdin) && answer[0] != 'n' && answer[0] != 'N';
}

/* Runs the editor on COPY until the text is right; NULL and err if it never is. The caller frees. */
static char *edit_until_right(
	struct vm *vm, const char *editor, const char *copy, bool *keep, struct vmf_error *err)
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);

	for (;;) {
		struct vmf_error problem = VMF_ERROR_INIT;
		struct vm *trial;
		bool is_right;
		char *text;

		if (run_editor(editor, copy, err) < 0)
			return NULL;
		text = file_read(copy, DEFINITION_MAX, NULL, err);
		if (!text)
			return NULL;
		trial = vm_try(vm, text, &problem);
		is_right = trial != NULL;
		vm_free(trial);
		if (is_right)
			return text;
		free(text);
		if (!terminal) {
			error_move(err, &problem);
			return NULL;
		}
		if (!ask_again(&problem)) {
			*keep = true;
			vmf_fail(err, VMF_E_CONFIG, 0, NULL, "vm \"%s\": not changed; your text is in %s",
				vm->name, copy);
			error_clear(&problem);
			return NULL;
		}
		error_clear(&problem);
	}
}

int verb_edit(struct cli_call *call, struct vmf_error *err)
{
	struct vm *vm = call->vm;
	autofree char *editor = find_editor();
	autofree char *old = NULL;
	autofree char *text = NULL;
	autofree char *copy = NULL;
	struct vm_state state;
	bool keep = false, changed;
	int rc = -1;

	if (vm_need_unlocked(vm, err) < 0)
		return -1;
	if (!editor)
		return vmf_fail(err, VMF_E_MISSING, 0, "set VISUAL or EDITOR", "no editor was found");
	old = file_read(vm->file, DEFINITION_MAX, NULL, err);
	copy = old ? make_copy(vm, old, err) : NULL;
	if (!copy)
		return -1;
	text = edit_until_right(vm, editor, copy, &keep, err);
	changed = text && !str_equal(text, old);
	if (text)
		rc = changed ? vm_write_definition(vm, old, text, err) : 0;
	if (text && rc < 0) {
		keep = true;
		vmf_context(err, "your text is in %s", copy);
	}
	if (!keep)
		unlink(copy);
	if (rc < 0)
		return -1;
	vm_state_read(call->ctx, vm->name, &state);
	out_result(call, json_pack("{s:b}", "changed", changed), "%s: %s%s", vm->name,
		changed ? "changed" : "not changed",
		changed && state.phase == VM_ALIVE ? " (at its next start)" : "");
	return 0;
}
