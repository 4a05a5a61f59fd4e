/* SPDX-License-Identifier: ISC */
/*
 * What the tests of the plugin storage-lvm share: the plugin, loaded as vmf loads it, with what a real lvs said
 * (lvm-lvs.json) in place of LVM. What LVM makes of it is tested in tests/storage/lvm*.sh.
 */
#ifndef VMF_TESTS_LVM_H
#define VMF_TESTS_LVM_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "plugin/plugin.h"

#undef fail /* a macro of check.h, and a call of the host table */

#define UUID "11111111-2222-3333-4444-555555555555"
#define EMPTY "{\"report\": [{\"lv\": []}]}"
#define EMPTY_VG \
	"{\"report\": [{\"vg\": [{\"vg_size\": \"1073741824\", \"vg_free\": \"1073741824\", " \
	"\"vg_extent_size\": " \
	"\"4194304\"}]}]}"

#define TAGS " --addtag vmf --addtag vmf.vm=" UUID
#define REMOVE(uuid, lv) \
	"lvremove --yes --select (lv_uuid=\"" uuid "\") && lv_tags=vmf && lv_role!=thickorigin vg0/" lv

extern const struct vmf_storage_ops *ops;
extern struct vmf_vm_id id;
extern struct vmf_call call;
extern struct vmf_error err;

extern char *recorded;        /* what lvs said once */
extern const char *lvs, *vgs; /* what they say now */
extern const char *refused;   /* a program that fails ... */
extern const char *words;     /* ... with these words ... */
extern int status;            /* ... and this exit status */
extern struct strv commands;  /* those that change something */
extern unsigned n_looks, n_runs, fail_at;
extern long look_ms;          /* how long lvs takes */

/* The store's options, as JSON without the braces. */
void use(const char *text);
void setup(void);
void teardown(void);
/* Runs the cases, fork by fork; the program's exit status. */
int run_suite(Suite *suite);

#define OK(call_) ck_assert_msg((call_) == 0, "%s (%s)", err.message, err.hint ? err.hint : "no hint")
/* It fails with that code and these words in its message, with a hint, and lvm was asked for nothing. */
#define REFUSED(call_, code_, words_) \
	do { \
		ck_assert_int_eq((call_), -1); \
		ck_assert_msg(err.code == (code_) && strstr(err.message, (words_)), "code %d: %s", err.code, \
			err.message); \
		ck_assert_msg(err.hint != NULL, "no hint: %s", err.message); \
		ck_assert_msg(commands.count == 0, "%s", commands.count ? commands.items[0] : ""); \
		error_clear(&err); \
	} while (0)

#define LVM_END ((const char *)NULL)

/* The commands since the last time, in their order, and LVM_END. */
void did(const char *first, ...) __attribute__((sentinel));

#endif
