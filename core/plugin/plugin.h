/* SPDX-License-Identifier: ISC */
/* Plugins: found in folders or linked in, loaded when asked for, checked before they are believed. */
#ifndef VMF_PLUGIN_PLUGIN_H
#define VMF_PLUGIN_PLUGIN_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum plugin_state { PLUGIN_OK, PLUGIN_BROKEN, PLUGIN_SHADOWED };

struct plugin {
	struct vmf_plugin desc; /* a copy: fields that the plugin's own struct does not reach are zero */
	union {
		struct vmf_storage_ops storage;
		struct vmf_network_ops network;
		struct vmf_display_ops display;
		struct vmf_placement_ops placement;
	} ops;                  /* copied the same way: a NULL call is one that the plugin does not have */
	enum vmf_kind kind;
	char *name;             /* from the file's name where the plugin is broken */
	char *path;             /* "built-in" if linked in */
	char *why;              /* PLUGIN_BROKEN: what is wrong; PLUGIN_SHADOWED: the path that comes first */
	enum plugin_state state;
};

/*
 * Where plugins are looked for, in order: VMF_PLUGIN_PATH (parted by ':'; not when running with more rights
 * than the caller), the build tree that the program stands in, the prefix that it stands in, the prefix
 * that it was configured for.
 */
void plugin_search_path(struct strv *folders);
/* Folders in the order in which they are searched; the linked-in plugins come last. Call once, or not at all: then
 * they are those of plugin_search_path(). */
void plugin_setup(const struct strv *folders);
/*
 * The plugin, loaded on first use. VMF_E_MISSING: there is none of that name (the hint names the nearest,
 * or the package); VMF_E_FAILED: it is broken, with the dynamic linker's or our own reason and the path.
 */
const struct plugin *plugin_get(enum vmf_kind kind, const char *name, struct vmf_error *err);
/* Looks at every plugin in every folder; the list and its plugins are valid until plugin_teardown(). */
size_t plugin_list(const struct plugin *const **list);
/* Names only, of one kind, without loading anything (file names and preloaded symbols). */
void plugin_names(enum vmf_kind kind, struct strv *names);
void plugin_teardown(void);

const char *plugin_kind_name(enum vmf_kind kind); /* "storage", ... */

/* ---- the host table ----------------------------------------------------------------------- */

struct qmp;

/* What core puts behind call->host_data. All may be NULL where a call cannot need them. */
struct host_services {
	struct arena *arena;  /* required */
	void *data;           /* handed to these: */
	const char *(*state_get)(void *data, const char *slot, const char *key);
	int (*state_set)(void *data, const char *slot, const char *key, const char *value, struct vmf_error *err);
	int (*qmp)(void *data, const char *command, const char *arguments_json, int fd, const char *fd_name,
		char **answer_json, struct vmf_error *err); /* *answer_json malloc'd */
};

/* The table that every call gets. */
const struct vmf_host *host_table(void);
/* Fills a call: host, opts, sizes. */
void host_call_init(struct vmf_call *call, const struct host_services *services, const struct vmf_opts *opts,
	const struct vmf_vm_id *vm, const char *instance, const char *slot, unsigned slot_index);

#endif
