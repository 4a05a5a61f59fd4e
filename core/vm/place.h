/* SPDX-License-Identifier: ISC */
/*
 * Where a VM lives: here, or on a host that a placement plugin leads to.
 *
 * A VM whose definition another vmf has given to this one (it is managed from there) lives here, whatever its
 * `host` says: that is its name at the other end. Of such a VM LIB/managed has NAME.json, what is known of
 * its master, and NAME.conf, the master's classes: a layer below the definition.
 */
#ifndef VMF_VM_PLACE_H
#define VMF_VM_PLACE_H

#include "vm/vm.h"

struct place {
	struct ctx *ctx;
	char *name; /* the host section's title */
	const struct plugin *plugin;
	struct vmf_opts *opts;
	char *run_dir;
	struct arena arena; /* of what the plugin gives back */
	struct host_services services;
};

/* *PLACE is set to where the VM lives, the caller's to free; NULL: here. */
int place_of(struct vm *vm, struct place **place, struct vmf_error *err);
/* The same of the host NAME in the configuration ROOT. */
int place_find(struct ctx *ctx, const struct conf_section *root, const char *name, struct place **place,
	struct vmf_error *err);
void place_free(struct place *place);
/* A call of the plugin; valid as long as PLACE. */
void place_call(struct place *place, struct vmf_call *call);

/* What is known of the VM's master, a new reference; NULL: the VM is not managed from elsewhere. */
json_t *managed_read(const struct ctx *ctx, const char *name);
int managed_write(const struct ctx *ctx, const char *name, const json_t *record, struct vmf_error *err);
/* The file of what the master's classes say. The caller frees. */
char *managed_layer(const struct ctx *ctx, const char *name);
void managed_forget(const struct ctx *ctx, const char *name);

#endif
