/* SPDX-License-Identifier: ISC */
/* The storages of vmf.conf as a whole: pools, volumes, and volumes that nobody needs. */
#ifndef VMF_VM_STORAGE_H
#define VMF_VM_STORAGE_H

#include "vm/vm.h"

struct store {
	const char *name;
	const char *plugin_name;
	const struct plugin *plugin; /* NULL: it cannot be used, see error */
	struct vmf_opts *opts;
	struct vmf_pool pool;
	struct vmf_volume_list volumes; /* after stores_list() */
	struct vmf_error error;
	bool is_default;
};

struct stores {
	struct ctx *ctx;
	struct arena arena;
	struct store *items;
	size_t count;
};

/* Those that vmf.conf and class default define, each asked what it is. One that cannot be used has its error; only a
 * broken configuration is ours. */
int stores_open(struct ctx *ctx, struct stores *stores, struct vmf_error *err);
/* The one of that name; VMF_E_CONFIG and NULL, or its own error and NULL. */
struct store *stores_find(struct stores *stores, const char *name, struct vmf_error *err);
/* Their volumes; a failure is the store's error. */
void stores_list(struct stores *stores);
void stores_free(struct stores *stores);

/* ---- orphans ------------------------------------------------------------------------------ */

struct orphan {
	struct store *store;
	const struct vmf_volume *volume;
	char *owner; /* the defined VM that it is marked for, though that does not use it; or NULL */
	bool is_removed;
};

struct orphans {
	struct orphan *items;
	size_t count;
	struct strv unread; /* VMs that cannot be read: what they use may be among the orphans */
};

/* Volumes of vmf's making that neither a defined VM uses nor a volume that one uses stands on. Lists the volumes. */
int orphans_find(struct stores *stores, struct orphans *orphans, struct vmf_error *err);
/* Removes them, those first that others stand on last. Refused while there are unread VMs. */
int orphans_remove(struct stores *stores, struct orphans *orphans, struct vmf_error *err);
void orphans_free(struct orphans *orphans);

#endif
