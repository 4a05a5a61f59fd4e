/* SPDX-License-Identifier: ISC */
/* Opening modules. Knows libltdl and nothing of what is in a plugin. */
#ifndef VMF_PLUGIN_LOADER_H
#define VMF_PLUGIN_LOADER_H

#include "base/error.h"
#include "base/str.h"

struct loader_module {
	void *handle;	    /* for loader_close(); NULL: linked in */
	const void *symbol; /* what the entry symbol stands for */
};

/*
 * Opens the shared object PATH (absolute) and finds its entry symbol, MODULE_LTX_vmf_plugin, where MODULE is
 * the file's name without .so and with '_' for all but letters and digits. Everything that the object needs
 * is bound at once, so that what is missing is said here, in the dynamic linker's own words.
 */
int loader_open(const char *path, struct loader_module *module, struct vmf_error *err);
/* The same for a module that is linked in, "storage-lvm"; VMF_E_NOT_FOUND if it is not. */
int loader_open_linked(const char *name, struct loader_module *module, struct vmf_error *err);
void loader_close(struct loader_module *module);
/* Names of the modules that are linked in: "storage-lvm", ... */
void loader_linked_names(struct strv *names);
/* Lets go of libltdl; all modules must be closed. */
void loader_teardown(void);

#endif
