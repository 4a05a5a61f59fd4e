/* SPDX-License-Identifier: ISC */
/*
 * What the tests of the plugin storage-file-qcow2 share: the plugin, loaded as vmf loads it, a store of its own for
 * each test, and QEMU's tools, which write and check what is in the volumes.
 */
#ifndef VMF_TESTS_FILE_QCOW2_H
#define VMF_TESTS_FILE_QCOW2_H

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/file.h"
#include "plugin/plugin.h"

#undef fail /* a macro of check.h, and a call of the host table */

extern char *folder; /* of this test, with the store in it */
extern const struct vmf_storage_ops *ops;
extern struct host_services services;
extern struct vmf_vm_id id;
extern struct vmf_call call;
extern struct vmf_error err;

void setup(void);
void teardown(void);
/* Runs the cases, fork by fork; the program's exit status. */
int run_suite(Suite *suite);

/* A shell's command in the store; its exit status. What it said is in *words, which stay until the next one. */
extern char *words;
int shell(const char *fmt, ...) VMF_PRINTF(1, 2);
void must(const char *fmt, ...) VMF_PRINTF(1, 2);

/* The store's options besides its folder: "\"format\": \"raw\"". */
void use(const char *more);

#define OK(call_) ck_assert_msg((call_) == 0, "%s (%s)", err.message, err.hint ? err.hint : "no hint")
/* It fails with that code, these words in its message and a hint. */
#define REFUSED(call_, code_, words_) \
	do { \
		ck_assert_int_eq((call_), -1); \
		ck_assert_msg( \
			err.code == (code_) && strstr(err.message, (words_)), "code %d: %s", err.code, err.message); \
		ck_assert_msg(err.hint != NULL, "no hint: %s", err.message); \
		error_clear(&err); \
	} while (0)

/* Fills a stretch of a volume, in MiB, with one byte; whether it is there. */
void put(const char *file, unsigned from, unsigned count, unsigned byte);
bool has(const char *file, unsigned from, unsigned count, unsigned byte);
/* Two images have the same size and content. */
void same(const char *a, const char *b);
void sound(const char *file);
/* All that is in the folder, sorted, marks and all. The caller frees. */
char *listing(void);
bool exists(const char *file);
void drop(const char *file);
int make_clone(const char *origin, const char *snapshot, const char *name, unsigned copy);

/* Another program that has the image open for writing, until let_go(). */
struct user {
	pid_t pid;
	int in;
};
struct user use_image(const char *file);
void let_go(struct user user);

/* Shell commands that make an image s.qcow2 (the last one: s.raw) of 33 MiB, each of another kind. */
#define N_SOURCES 10
extern const char *const sources[N_SOURCES];
/* Scattered writes, zeroes and holes, the same in every run. */
void scribble(const char *file, unsigned seed);

#endif
