/* SPDX-License-Identifier: ISC */
/*
 * vmf-plugin-check: one plugin, tried against the contract in vmf/plugin.h. Each check runs in a process of
 * its own, so that a plugin that crashes or hangs fails one check and no more.
 */
#ifndef VMF_SDK_CHECK_H
#define VMF_SDK_CHECK_H

#include <stdbool.h>

#include "base/str.h"
#include "config/config.h"
#include "plugin/loader.h"
#include "plugin/plugin.h"

struct subject {
	const char *path; /* absolute */
	struct plugin plugin;
	struct loader_module module;
	struct strv settings; /* "name=value", as given */
	bool may_run;	      /* --run: things may be created and removed */
	char *scratch;	      /* an empty folder, the VM's run folder */
	unsigned timeout_seconds; /* the end of each check */

	struct vmf_opts *opts;
	struct arena arena;
	struct host_services services;
	struct vmf_vm_id vm;
	struct vmf_call call;
	struct strv complaints; /* what the check found */
	char *skipped;		/* why it could not be made */
};

struct check {
	const char *name;
	const char *what; /* one line for --list */
	unsigned kinds;	  /* 1 << kind */
	bool runs;	  /* wants --run */
	bool calls;	  /* wants the plugin's options */
	void (*run)(struct subject *s);
};

#define OF(kind) (1u << (kind))
#define ALL_KINDS (OF(VMF_STORAGE) | OF(VMF_NETWORK) | OF(VMF_DISPLAY) | OF(VMF_PLACEMENT))

extern const struct check checks[]; /* ends with a NULL name */

void complain(struct subject *s, const char *fmt, ...) VMF_PRINTF(2, 3);
void skip(struct subject *s, const char *fmt, ...) VMF_PRINTF(2, 3);

/* ---- the host that can fail (host.c) ------------------------------------------------------ */

/* A call's surroundings, on the fault-injecting host; slot as given. */
void host_prepare(struct subject *s, const char *slot);
/* The host's Nth service that can fail (counted from 1) will; 0: none. */
void host_fail_at(unsigned n);
/* How many services that can fail were asked for since host_fail_at(). */
unsigned host_services_used(void);

/* ---- calls (calls.c, life.c) -------------------------------------------------------------- */

/* 0 and untouched, or -1 and set. Returns the error's code, 0 for success. */
int judge(struct subject *s, const char *what, int rc, struct vmf_error *err);
/* The same for what has to succeed. */
bool must(struct subject *s, int rc, const char *what, struct vmf_error *err);

/* Calls FN of the table OPS if the plugin has it; gives the code, or 0 if it has not. Wants an `err`. */
#define TRY(s, ops, fn, ...) ((ops)->fn ? judge((s), #fn, (ops)->fn(&(s)->call, __VA_ARGS__), &err) : 0)
#define MUST(s, ops, fn, ...) must((s), (ops)->fn ? (ops)->fn(&(s)->call, __VA_ARGS__) : 0, #fn, &err)

#define MIB 1048576u
extern const struct vmf_nic check_nic;
void close_netdev(struct vmf_netdev *netdev);

/* Every call that the plugin has, in dry-run; the contract of results and errors is looked after. */
void calls_dry(struct subject *s);
void calls_agree(struct subject *s);
void calls_faults(struct subject *s);
void calls_nothing_there(struct subject *s);
void calls_life(struct subject *s);

#endif
