/* SPDX-License-Identifier: ISC */
/*
 * A move's two far ends: runs of the agent.
 *
 * "out" notes its manifest; at "go" it writes the stream and notes that it has; at "hold" it marks the VM and
 * notes that it does; at "drop" it removes it. If its input ends before, nothing has changed but, perhaps,
 * for the mark.
 *
 * "in" notes that it is ready, reads the stream and makes what is in it.
 *
 * "drop" removes what has the mark.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/move.h"
#include "remote/managed.h"
#include "vm/move.h"

/* Waits for that word of the near end. */
static int await(const char *word, struct vmf_error *err)
{
	char line[16];
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(STDIN_FILENO, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	return str_equal(line, word) ? 0 : vmf_fail(err, VMF_E_FAILED, 0, NULL, "the move was broken off");
}

static bool is_here(const json_t *request)
{
	return json_is_true(json_object_get(request, "here"));
}

/* What is here of a VM whose definition stays, as this is the near end, too. */
static int drop_here(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	struct vm *vm = vm_load(ctx, name, false, err);
	int rc = vm ? vm_destroy_but_definition(vm, err) : -1;

	vm_free(vm);
	return rc;
}

static int out(struct ctx *ctx, const json_t *request, const char *name, void (*note)(json_t *note),
	struct vmf_error *err)
{
	struct vm *vm = vm_load(ctx, name, false, err);
	json_t *manifest = NULL;
	bool here = is_here(request);
	int rc = -1;

	if (vm && !here)
		move_unmark(ctx, name); /* it is said to live here */
	if (vm)
		manifest = move_manifest(vm, err);
	if (manifest) {
		note(json_pack("{s:O}", "manifest", manifest));
		rc = await("go", err);
	}
	if (rc == 0)
		rc = move_send(vm, manifest, STDOUT_FILENO, err);
	if (rc == 0) {
		note(json_pack("{s:b}", "sent", 1));
		rc = await("hold", err);
	}
	if (rc == 0 && !here)
		rc = move_mark(ctx, name, err);
	if (rc == 0) {
		note(json_pack("{s:b}", "held", 1));
		rc = await("drop", err);
	}
	json_decref(manifest);
	if (rc == 0 && here) {
		vm_unlock(vm);
		rc = drop_here(ctx, name, err);
	} else if (rc == 0) {
		autofree char *uuid = str_dup(vm->uuid);

		vm_unlock(vm);
		rc = move_drop(ctx, name, uuid, err);
	}
	vm_free(vm);
	return rc;
}

static int make(struct ctx *ctx, const json_t *request, const char *name, void (*note)(json_t *note),
	struct vmf_error *err)
{
	const json_t *manifest = json_object_get(request, "manifest");
	const char *text = json_string_value(json_object_get(request, "definition"));
	struct vm *vm = vm_load(ctx, name, true, err);
	int rc = -1;

	if (!vm || !text)
		goto end;
	if (!is_here(request) && vm->is_defined)
		vmf_fail(err, VMF_E_EXISTS, 0, "`rename` it first", "there is a vm \"%s\" there already",
			name);
	else if (vm_lock_any(vm, err) == 0 && vm_become(vm, text, err) == 0)
		rc = move_check(vm, manifest, err);
	if (rc == 0) {
		note(json_pack("{s:b}", "ready", 1));
		rc = move_receive(vm, manifest, STDIN_FILENO, err);
	}
end:
	vm_free(vm);
	return rc;
}

static int in(struct ctx *ctx, const json_t *request, const char *name, void (*note)(json_t *note),
	struct vmf_error *err)
{
	const struct managed managed = {.master = json_string_value(json_object_get(request, "master")),
		.layer = json_string_value(json_object_get(request, "layer"))};
	autofree char *file = str_printf("%s/vms/%s.conf", ctx->paths.etc, name);
	int rc;

	if (is_here(request))
		return make(ctx, request, name, note, err);
	if (file_exists(file))
		return vmf_fail(err, VMF_E_EXISTS, 0, "`rename` it first",
			"there is a vm \"%s\" there already", name);
	if (managed_begin(ctx, name, &managed, err) != 0)
		return -1;
	rc = make(ctx, request, name, note, err);
	if (rc < 0)
		managed_forget(ctx, name);
	return rc;
}

int move_far(struct ctx *ctx, const json_t *request, void (*note)(json_t *note), struct vmf_error *err)
{
	const char *what = json_string_value(json_object_get(request, "move"));
	const char *name = json_string_value(json_array_get(json_object_get(request, "words"), 0));
	const char *uuid = json_string_value(json_object_get(request, "uuid"));

	ctx->is_far = true;
	if (vm_name_check(name ? name : "", err) < 0)
		return -1;
	if (str_equal(what, "out"))
		return out(ctx, request, name, note, err);
	if (str_equal(what, "in"))
		return in(ctx, request, name, note, err);
	if (str_equal(what, "drop") && uuid)
		return is_here(request) ? drop_here(ctx, name, err) : move_drop(ctx, name, uuid, err);
	return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL, "there is no such part of a move");
}
