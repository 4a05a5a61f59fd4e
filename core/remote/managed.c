/* SPDX-License-Identifier: ISC */
#include "remote/managed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "vm/move.h"
#include "vm/place.h"

#define DEFINITION_MAX (4 << 20)

static char *definition_path(const struct ctx *ctx, const char *name)
{
	return str_printf("%s/vms/%s.conf", ctx->paths.etc, name);
}

static char *read_text(const char *path)
{
	return file_read_at(AT_FDCWD, path, DEFINITION_MAX, NULL);
}

static int write_text(const char *path, const char *text, mode_t mode, struct vmf_error *err)
{
	autofree char *folder = path_parent(path);

	return file_mkdirs(folder, mode == 0600 ? 0700 : 0755, err) < 0
		       ? -1
		       : file_write(path, text, strlen(text), mode, true, err);
}

/* ---- the far end: before ------------------------------------------------------------------- */

static int put_layer(struct ctx *ctx, const char *name, const char *layer, struct vmf_error *err)
{
	autofree char *path = managed_layer(ctx, name);
	autofree char *old = read_text(path);

	if (str_equal(old ? old : "", layer ? layer : ""))
		return 0;
	if (layer && *layer)
		return write_text(path, layer, 0600, err);
	unlink(path);
	return 0;
}

/* By the way that a person's change takes, so that a running VM follows. */
static int change(struct ctx *ctx, const char *name, const char *old, const char *text, struct vmf_error *err)
{
	autofree char *path = definition_path(ctx, name);
	struct vmf_error broken = VMF_ERROR_INIT;
	struct vm *vm = vm_load(ctx, name, false, &broken);
	int rc;

	error_clear(&broken);
	if (!vm) /* what is there cannot be read: anything is better */
		return write_text(path, text, 0644, err);
	rc = vm_write_definition(vm, old, text, err);
	vm_free(vm);
	return rc;
}

/* Is what is there another one's? */
static int check_owner(const struct ctx *ctx, const char *name, const struct managed *managed,
	const json_t *record, bool is_there, struct vmf_error *err)
{
	const char *master = json_string_value(json_object_get(record, "master"));
	bool is_managed = record && !json_is_true(json_object_get(record, "gone"));

	(void)ctx;
	if (is_there && !is_managed)
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or another host",
			"there is a vm \"%s\" there that was not made from here", name);
	if (is_there && !str_equal(master, managed->master))
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or another host",
			"there is a vm \"%s\" there that is managed from \"%s\"", name,
			master ? master : "?");
	return 0;
}

/* TOLD: what the near end was told the definition has become, or NULL. */
static int put_record(struct ctx *ctx, const char *name, const struct managed *managed, const char *told,
	const json_t *old, struct vmf_error *err)
{
	json_t *record = json_pack(
		"{s:s, s:s?, s:s?}", "master", managed->master, "sent", managed->definition, "told", told);
	int rc = 0;

	if (!record)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the definition of \"%s\" is no UTF-8", name);
	if (!json_equal(record, (json_t *)old))
		rc = managed_write(ctx, name, record, err);
	json_decref(record);
	ctx->managed = MANAGED_SOME;
	return rc;
}

/* Does RECORD say that the near end may have TEXT from us, or that we have it from there? */
static bool is_known(const json_t *record, const char *text)
{
	return text && (str_equal(json_string_value(json_object_get(record, "sent")), text) ||
			       str_equal(json_string_value(json_object_get(record, "told")), text));
}

static int begin(struct ctx *ctx, const char *name, const struct managed *managed, const json_t *record,
	struct vmf_error *err)
{
	const char *near = managed->definition;
	autofree char *path = definition_path(ctx, name);
	autofree char *far = read_text(path);

	if (check_owner(ctx, name, managed, record, far != NULL, err) < 0)
		return -1;
	if (ctx->dry_run) {
		if (near && !str_equal(near, far) && !is_known(record, near)) {
			str_set(&ctx->pretended, name);
			str_set(&ctx->pretended_text, near);
		}
		return 0;
	}
	move_unmark(ctx, name); /* the near end says that it lives here */
	/* destroyed here, and the near end has not heard of it */
	if (!far && is_known(record, near))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, NULL, "vm \"%s\" was destroyed there", name) + 2;
	if (put_layer(ctx, name, managed->layer, err) < 0)
		return -1;
	if (near && !far && write_text(path, near, 0644, err) < 0)
		return -1;
	if (near && far && !str_equal(near, far) && !is_known(record, near)) {
		if (!is_known(record, far))
			log_warn("vm \"%s\" was changed at both ends; the near end's definition holds", name);
		if (change(ctx, name, far, near, err) < 0)
			return -1;
	}
	return put_record(
		ctx, name, managed, json_string_value(json_object_get(record, "told")), record, err);
}

int managed_begin(struct ctx *ctx, const char *name, const struct managed *managed, struct vmf_error *err)
{
	json_t *record;
	int rc;

	if (vm_name_check(name, err) < 0)
		return -1;
	record = managed_read(ctx, name);
	rc = begin(ctx, name, managed, record, err);
	json_decref(record);
	return rc;
}

/* ---- the far end: after -------------------------------------------------------------------- */

json_t *managed_end(struct ctx *ctx, const char *name, const char *new_name, const struct managed *managed)
{
	autofree char *path = definition_path(ctx, new_name);
	autofree char *far = read_text(path);
	struct vmf_error ignored = VMF_ERROR_INIT;
	json_t *record;

	if (far && str_equal(far, managed->definition) && str_equal(name, new_name))
		return NULL;
	if (far) {
		/* first written down, then told: else a destroyed one could come to life again */
		if (!ctx->dry_run && put_record(ctx, new_name, managed, far, NULL, &ignored) < 0)
			log_warn("%s", ignored.message);
		error_clear(&ignored);
		return json_pack("{s:s, s:s}", "name", new_name, "definition", far);
	}
	if (!managed->definition) { /* it did not come into being */
		if (!ctx->dry_run)
			managed_forget(ctx, name);
		return NULL;
	}
	if (ctx->dry_run)
		return NULL;
	managed_forget(ctx, name);
	record = json_pack(
		"{s:s, s:s, s:b}", "master", managed->master, "sent", managed->definition, "gone", 1);
	managed_write(ctx, name, record, NULL);
	json_decref(record);
	return json_pack("{s:s, s:n}", "name", name, "definition");
}

/* ---- the near end -------------------------------------------------------------------------- */

int managed_take(struct ctx *ctx, const char *name, const json_t *note, struct vmf_error *err)
{
	const char *text = json_string_value(json_object_get(note, "definition"));
	const char *new_name = json_string_value(json_object_get(note, "name"));
	autofree char *old = definition_path(ctx, name);
	autofree char *path = NULL;

	if (vm_name_check(new_name ? new_name : "", err) < 0)
		return -1;
	path = definition_path(ctx, new_name);
	if (text && write_text(path, text, 0644, err) < 0)
		return -1;
	if ((!text || !str_equal(name, new_name)) && unlink(old) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", old);
	return 0;
}
