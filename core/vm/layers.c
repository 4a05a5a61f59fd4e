/* SPDX-License-Identifier: ISC */
/* The layers that VMs share - built-in, vmf.conf, classes - each read once in a run of the program. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "vm/builtin.h"
#include "vm/vm.h"

static int add_builtin(struct ctx *ctx, struct vmf_error *err)
{
	struct strbuf text = STRBUF_INIT;
	const char *rest = builtin_conf, *at;
	int rc;

	while ((at = strstr(rest, "@LIB@"))) {
		strbuf_add(&text, rest, (size_t)(at - rest));
		strbuf_puts(&text, ctx->paths.lib);
		rest = at + 5;
	}
	strbuf_puts(&text, rest);
	rc = conf_add_text(ctx->base, "built-in", text.data, text.length, err);
	strbuf_free(&text);
	return rc;
}

int layer_add_optional(struct conf *conf, const char *path, struct stat *st, struct vmf_error *err)
{
	struct vmf_error mine = VMF_ERROR_INIT;
	int rc = conf_add_file_stat(conf, path, st, &mine);
	bool is_missing = rc < 0 && mine.code == VMF_E_NOT_FOUND && !file_exists(path);

	if (st && is_missing)
		memset(st, 0, sizeof(*st));
	if (rc == 0)
		return 0;
	if (is_missing) {
		error_clear(&mine);
		return 0;
	}
	error_move(err, &mine);
	return -1;
}

int ctx_load(struct ctx *ctx, struct vmf_error *err)
{
	autofree char *main_file = str_printf("%s/vmf.conf", ctx->paths.etc);
	autofree char *default_file = str_printf("%s/classes/default.conf", ctx->paths.etc);

	if (ctx->base)
		return 0;
	ctx->base = conf_new(&vm_schema);
	if (add_builtin(ctx, err) < 0 || layer_add_optional(ctx->base, main_file, NULL, err) < 0)
		goto fail;
	ctx->with_default = conf_copy(ctx->base);
	if (layer_add_optional(ctx->with_default, default_file, NULL, err) < 0)
		goto fail;
	return 0;
fail:
	conf_free(ctx->with_default);
	conf_free(ctx->base);
	ctx->with_default = ctx->base = NULL;
	return -1;
}

void ctx_free(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->class_names.count; i++)
		conf_free(ctx->classes[i]);
	free(ctx->classes);
	strv_free(&ctx->class_names);
	ctx_forget_volumes(ctx);
	conf_free(ctx->with_default);
	conf_free(ctx->base);
	strv_free(&ctx->settings);
	strv_free(&ctx->planned);
	free(ctx->invoked_class);
	free(ctx->pretended);
	free(ctx->pretended_text);
	free(ctx->owner);
	json_decref(ctx->quota);
	free(ctx->chain_vm);
	paths_free(&ctx->paths);
}

/* The layers up to and with a class, read once. */
struct conf *ctx_class(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	autofree char *path = str_printf("%s/classes/%s.conf", ctx->paths.etc, name);
	struct conf *conf;

	for (size_t i = 0; i < ctx->class_names.count; i++)
		if (str_equal(ctx->class_names.items[i], name))
			return ctx->classes[i];
	conf = conf_copy(ctx->with_default);
	/* a class without a file is a class all the same: it is part of the volumes' names */
	if (layer_add_optional(conf, path, NULL, err) < 0) {
		conf_free(conf);
		return NULL;
	}
	strv_add(&ctx->class_names, name);
	ctx->classes = mem_resize(ctx->classes, ctx->class_names.count * sizeof(*ctx->classes));
	ctx->classes[ctx->class_names.count - 1] = conf;
	return conf;
}
