/* SPDX-License-Identifier: ISC */
/*
 * The only file that includes ltdl.h.
 *
 * libltdl finds entry symbols and carries the modules that are linked in, but its own way of opening
 * shared objects says "file not found" whatever is wrong, and binds lazily, so that an undefined symbol
 * kills the process at its first call. So a loader of ours takes its place: dlopen(RTLD_NOW | RTLD_LOCAL)
 * with dlerror() kept. Names without a folder are never given to libltdl: it would search
 * LTDL_LIBRARY_PATH and LD_LIBRARY_PATH for them.
 */
#include "plugin/loader.h"

#include <ctype.h>
#include <dlfcn.h>
#include <ltdl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define ENTRY "vmf_plugin"

/* libtool makes this table for programs that are linked with -dlopen; the others do without. */
extern LT_DLSYM_CONST lt_dlsymlist lt_preloaded_symbols[] __attribute__((weak));

static bool is_ready;
static char *reason; /* dlerror() of the last open that failed */

/* ---- libltdl's side ----------------------------------------------------------------------- */

static lt_module module_open(lt_user_data data, const char *filename, lt_dladvise advise)
{
	void *handle = dlopen(filename, RTLD_NOW | RTLD_LOCAL);

	(void)data;
	(void)advise;
	if (!handle)
		str_set(&reason, dlerror());
	return handle;
}

static int module_close(lt_user_data data, lt_module module)
{
	(void)data;
	return dlclose(module);
}

static void *module_symbol(lt_user_data data, lt_module module, const char *name)
{
	(void)data;
	return dlsym(module, name);
}

static int setup(struct vmf_error *err)
{
	lt_dlvtable *ours;

	if (is_ready)
		return 0;
	if (lt_dlinit() != 0)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "libltdl: %s", lt_dlerror());
	/* lt_dlexit() frees it */
	ours = calloc(1, sizeof(*ours));
	if (!ours)
		abort();
	ours->name = "vmf";
	ours->module_open = module_open;
	ours->module_close = module_close;
	ours->find_sym = module_symbol;
	ours->priority = LT_DLLOADER_PREPEND;
	if (lt_dlloader_add(ours) != 0) {
		free(ours);
		lt_dlexit();
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "libltdl: %s", lt_dlerror());
	}
	free(lt_dlloader_remove("lt_dlopen"));
	is_ready = true;
	return 0;
}

/* ---- what went wrong ---------------------------------------------------------------------- */

/* "/path/x.so: undefined symbol: f" without the path, which stands in front of our message already. */
static const char *without_path(const char *text, const char *path)
{
	size_t length = strlen(path);

	return strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0 ? text + length + 2
											: text;
}

static const char *hint_for(const char *text)
{
	if (strstr(text, "undefined symbol"))
		return "the plugin was linked without a library that it needs, or is older or newer than a "
		       "library here: "
		       "install the plugin that belongs to this system, or rebuild it";
	if (strstr(text, "invalid ELF header") || strstr(text, "file too short") ||
		strstr(text, "wrong ELF class"))
		return "the file is no plugin of this machine's kind, or is damaged: install it anew, or "
		       "remove it";
	if (strstr(text, "cannot open shared object file"))
		return "install the library that is named, or remove the plugin";
	return "install the plugin anew, or remove it";
}

/* ---- modules ------------------------------------------------------------------------------ */

/* "storage-lvm.so" -> "storage_lvm" */
static char *module_of(const char *file)
{
	char *module = str_ndup(file, strcspn(file, "."));

	for (char *c = module; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	return module;
}

int loader_open(const char *path, struct loader_module *module, struct vmf_error *err)
{
	autofree char *name = module_of(path_base(path));
	const char *text;

	*module = (struct loader_module){NULL, NULL};
	if (path[0] != '/')
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "plugin %s: the path is not absolute", path);
	if (setup(err) < 0)
		return -1;
	str_set(&reason, NULL);
	module->handle = lt_dlopen(path);
	if (!module->handle) {
		text = without_path(reason ? reason : lt_dlerror(), path);
		return vmf_fail(
			err, VMF_E_FAILED, 0, hint_for(text), "plugin %s: cannot be loaded: %s", path, text);
	}
	module->symbol = lt_dlsym(module->handle, ENTRY);
	if (!module->symbol) {
		loader_close(module);
		return vmf_fail(err, VMF_E_FAILED, 0,
			"it is no plugin of vmf, or was renamed after it was built: restore its name, or "
			"remove it",
			"plugin %s: has no symbol %s_LTX_" ENTRY, path, name);
	}
	return 0;
}

void loader_close(struct loader_module *module)
{
	if (module->handle)
		lt_dlclose(module->handle);
	*module = (struct loader_module){NULL, NULL};
}

/* The table holds "storage-lvm.a" with no address, then that archive's symbols, then the next archive. */
int loader_open_linked(const char *name, struct loader_module *module, struct vmf_error *err)
{
	autofree char *id = module_of(name);
	autofree char *symbol = str_printf("%s_LTX_" ENTRY, id);

	*module = (struct loader_module){NULL, NULL};
	for (const lt_dlsymlist *s = lt_preloaded_symbols; s && s->name; s++) {
		if (s->address && str_equal(s->name, symbol)) {
			module->symbol = s->address;
			return 0;
		}
	}
	return vmf_fail(err, VMF_E_NOT_FOUND, 0, NULL, "plugin %s is not linked in", name);
}

void loader_linked_names(struct strv *names)
{
	for (const lt_dlsymlist *s = lt_preloaded_symbols; s && s->name; s++)
		if (!s->address && (str_ends(s->name, ".a") || str_ends(s->name, ".la")))
			strv_take(names, str_ndup(s->name, (size_t)(strrchr(s->name, '.') - s->name)));
}

void loader_teardown(void)
{
	if (is_ready)
		lt_dlexit();
	is_ready = false;
	str_set(&reason, NULL);
}
