/* SPDX-License-Identifier: ISC */
/* Segments of this host, and what is plugged into them, by the first network whose plugin knows such things. */
#ifndef VMF_VM_SEGMENTS_H
#define VMF_VM_SEGMENTS_H

#include "vm/vm.h"

struct segments {
	struct ctx *ctx;
	struct arena arena;
	const struct plugin *plugin;
	struct vmf_opts *opts;
	const char *network; /* of the configuration, whose plugin it is */
	struct vmf_segment_list list; /* after segments_list(); all strings live as long as this */
};

/* VMF_E_MISSING if no network of the configuration has segments. */
int segments_open(struct ctx *ctx, struct segments *s, struct vmf_error *err);
void segments_free(struct segments *s);
/* Without those that the configuration's net_ignore says, unless ALL. */
int segments_list(struct segments *s, bool all, struct vmf_error *err);
const struct vmf_segment *segment_at(const struct segments *s, size_t i);
const struct vmf_port *segment_port_at(const struct vmf_segment *segment, size_t i);
/* Is there anything of that name, segment or port? After segments_list(). */
bool segments_have(const struct segments *s, const char *name);
/* See struct vmf_network_ops. PORTS is NULL-terminated. */
int segments_create(struct segments *s, const char *name, const char *const *ports, struct vmf_error *err);
/* DRY: only whether it could be. */
int segments_remove(struct segments *s, const char *name, bool dry, struct vmf_error *err);
int segments_wire(struct segments *s, const struct vmf_wire *wire, struct vmf_error *err);
/* Changes vmf.conf's net_ignore: PATTERNS are added or taken out. The list as it is then; free it. */
int segments_ignore(struct ctx *ctx, const struct strv *patterns, bool remove, struct strv *now, struct vmf_error *err);

#endif
