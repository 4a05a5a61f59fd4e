/* SPDX-License-Identifier: ISC */
/*
 * The plugin storage-zfs, loaded as vmf loads it, with a program "zfs" that says what the real one once said:
 * how its words are read. That it does the right thing to a pool is for tests/storage/zfs.sh.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "config/config.h"
#include "plugin/plugin.h"

#include "zfs-recorded.h"

#undef fail /* a macro of check.h, and a call of the host table */

#define UUID "11111111-2222-3333-4444-555555555555"

static struct strv folders;
static char *folder; /* of this test, with "zfs" in it */
static const struct plugin *plugin;
static const struct vmf_storage_ops *ops;
static struct vmf_opts *opts;
static struct arena arena;
static struct host_services services = {.arena = &arena};
static struct vmf_vm_id id = {.size = sizeof(id), .name = "web", .uuid = UUID};
static struct vmf_call call;
static struct vmf_error err;

/* ---- helpers ------------------------------------------------------------------------------ */

static void write_text(const char *name, const char *text, mode_t mode)
{
	autofree char *path = str_printf("%s/%s", folder, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

/* From here on zfs prints OUT, complains with WORDS and ends with STATUS; its arguments are added to "calls".
 */
static void zfs_says(const char *out, const char *words, int status)
{
	autofree char *script =
		str_printf("#!/bin/sh\necho \"$@\" >>'%s/calls'\ncat '%s/out'\ncat '%s/err' >&2\nexit %d\n",
			folder, folder, folder, status);

	write_text("out", out, 0644);
	write_text("err", words, 0644);
	write_text("zfs", script, 0755);
}

static size_t calls(void)
{
	autofree char *path = str_printf("%s/calls", folder);
	autofree char *text = file_read(path, 1 << 20, NULL, NULL);
	size_t n = 0;

	for (const char *at = text; at && *at; at++)
		n += *at == '\n';
	return n;
}

static void use(const char *json)
{
	conf_opts_free(opts);
	opts = conf_opts_load(&plugin->desc, json, &err);
	ck_assert_msg(opts != NULL, "%s", err.message);
	host_call_init(&call, &services, opts, &id, "z", "disk-0", 0);
	call.dry_run = 1; /* there is no pool that could be locked */
}

static void setup(void)
{
	autofree char *path = NULL;

	plugin_search_path(&folders);
	plugin_setup(&folders);
	plugin = plugin_get(VMF_STORAGE, "zfs", &err);
	ck_assert_msg(plugin != NULL, "%s", err.message);
	ops = &plugin->ops.storage;
	folder = str_dup("/tmp/vmf-test-zfs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	path = str_printf("%s:%s", folder, getenv("PATH"));
	setenv("PATH", path, 1);
	use("{}");
}

static void teardown(void)
{
	conf_opts_free(opts);
	opts = NULL;
	plugin_teardown();
	strv_free(&folders);
	file_remove_tree(folder, NULL);
	free(folder);
	arena_free(&arena);
	error_clear(&err);
}

static void fails(int rc, int code, const char *words, const char *hint)
{
	ck_assert_int_eq(rc, -1);
	ck_assert_msg(err.code == code, "%s: %s", error_code_name(err.code), err.message);
	ck_assert_msg(strstr(err.message, words) != NULL, "no \"%s\" in: %s", words, err.message);
	if (hint)
		ck_assert_msg(err.hint && strstr(err.hint, hint), "no \"%s\" in: %s", hint,
			err.hint ? err.hint : "");
	error_clear(&err);
}

static struct vmf_volume_list list;

static const struct vmf_volume *volume(size_t i)
{
	return (const void *)((const char *)list.items + i * list.stride);
}

/* ---- list --------------------------------------------------------------------------------- */

START_TEST(list_reads_volumes)
{
	zfs_says(TANK FILESYSTEM("tank/vms", "24576", "671064064", "-", "-", "-")
			 VOLUME("tank/web-10", "12288", "16777216", "-", UUID, "local") VOLUME("tank/web-2",
				 "24576", "33554432", "tank/gold@master", UUID, "local") VOLUME("tank/web-3",
				 "0", "33554432", "tank/gold@vmf-0123456789abcdef", "none", "local")
				 VOLUME("tank/web-4", "0", "33554432", "other/gold@master", "-", "-"),
		"", 0);
	ck_assert_int_eq(ops->list(&call, NULL, &list, &err), 0);
	ck_assert_uint_eq(list.count, 4);
	ck_assert_uint_eq(calls(), 1);
	ck_assert_str_eq(volume(0)->name, "web-2");
	ck_assert_str_eq(volume(0)->id, "/dev/zvol/tank/web-2");
	ck_assert_str_eq(volume(0)->format, "raw");
	ck_assert_uint_eq(volume(0)->virtual_bytes, 33554432);
	ck_assert_uint_eq(volume(0)->used_bytes, 24576);
	ck_assert_uint_eq(volume(0)->is_ours, 1);
	ck_assert_str_eq(volume(0)->owner_uuid, UUID);
	ck_assert_str_eq(volume(0)->origin, "gold@master");
	ck_assert_uint_eq(volume(1)->is_ours, 1);
	ck_assert_ptr_null(volume(1)->owner_uuid);
	ck_assert_str_eq(volume(1)->origin, "gold");
	ck_assert_uint_eq(volume(2)->is_ours, 0);
	ck_assert_str_eq(volume(2)->origin, "other/gold@master");
	ck_assert_str_eq(volume(3)->name, "web-10");
	ck_assert_ptr_null(volume(3)->origin);
}
END_TEST

START_TEST(list_reads_what_zfs_has_said)
{
	zfs_says(recorded_volumes, "", 0);
	ck_assert_int_eq(ops->list(&call, NULL, &list, &err), 0);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_str_eq(volume(0)->name, "odd");
	ck_assert_uint_eq(volume(0)->virtual_bytes, 10002432);
	ck_assert_uint_eq(volume(0)->used_bytes, 12623872);
	ck_assert_uint_eq(volume(0)->is_ours, 1);
	ck_assert_ptr_null(volume(0)->owner_uuid);
	ck_assert_str_eq(volume(1)->name, "web-0");
	ck_assert_uint_eq(volume(1)->virtual_bytes, 16777216);
	ck_assert_str_eq(volume(1)->owner_uuid, UUID);
}
END_TEST

START_TEST(list_takes_only_what_is_set_on_the_volume)
{
	zfs_says(TANK VOLUME("tank/a", "0", "512", "-", UUID, "inherited from tank") VOLUME("tank/b", "0",
			 "512", "-", UUID, "received") VOLUME("tank/c", "0", "512", "-", UUID, "default")
			 VOLUME("tank/d", "0", "512", "-", "-", "local")
				 VOLUME("tank/e", "0", "512", "-", "", "local"),
		"", 0);
	ck_assert_int_eq(ops->list(&call, NULL, &list, &err), 0);
	ck_assert_uint_eq(list.count, 5);
	for (size_t i = 0; i < list.count; i++) {
		ck_assert_uint_eq(volume(i)->is_ours, 0);
		ck_assert_ptr_null(volume(i)->owner_uuid);
	}
}
END_TEST

START_TEST(list_looks_for_a_prefix)
{
	zfs_says(TANK VOLUME("tank/web-0", "0", "512", "-", UUID, "local")
			 VOLUME("tank/webs-0", "0", "512", "-", UUID, "local")
				 VOLUME("tank/.vmf-0123456789abcdef", "0", "512", "-", UUID, "local"),
		"", 0);
	ck_assert_int_eq(ops->list(&call, "web-", &list, &err), 0);
	ck_assert_uint_eq(list.count, 1);
	ck_assert_int_eq(ops->list(&call, NULL, &list, &err), 0);
	ck_assert_uint_eq(list.count, 2); /* those in the making are nobody's to see */
	ck_assert_int_eq(ops->list(&call, "", &list, &err), 0);
	ck_assert_uint_eq(list.count, 2);
	ck_assert_int_eq(ops->list(&call, "nothing", &list, &err), 0);
	ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(list_survives_odd_words)
{
	/* a value with tabs, one with a line in it, a line that is cut off, a property that nobody asked for
	 */
	zfs_says(TANK "tank/a\ttype\tvolume\t-\ntank/a\tvolsize\t512\tlocal\ntank/"
		      "a\tvmf:owner\tx\ty\tz\tinherited from a\n"
		      "and so on\n\n\t\t\t\ntank/a\tvmf:other\t1\tlocal\ntank/b\ttype\tvol",
		"", 0);
	ck_assert_int_eq(ops->list(&call, NULL, &list, &err), 0);
	ck_assert_uint_eq(list.count, 1);
	ck_assert_uint_eq(volume(0)->virtual_bytes, 512);
	ck_assert_uint_eq(volume(0)->is_ours, 0);
	zfs_says("", "", 0);
	fails(ops->list(&call, NULL, &list, &err), VMF_E_NOT_FOUND, "there is no dataset tank",
		"zpool import tank");
}
END_TEST

/* ---- check -------------------------------------------------------------------------------- */

static struct vmf_pool pool = {.size = sizeof(pool)};

START_TEST(check_tells_room)
{
	zfs_says(FILESYSTEM("tank", "900", "100", "-", "-", "-"), "", 0);
	ck_assert_int_eq(ops->check(&call, &pool, &err), 0);
	ck_assert_uint_eq(pool.size_bytes, 1000);
	ck_assert_uint_eq(pool.free_bytes, 100);
	ck_assert_int_eq(pool.data_percent, 90);
	ck_assert_int_eq(pool.meta_percent, -1);
	ck_assert_str_eq(pool.description, "dataset tank");
	ck_assert(pool.caps & VMF_STORAGE_COW_CLONE);
	ck_assert(pool.caps & VMF_STORAGE_LIVE_SNAPSHOT);
	use("{\"sparse\": false}");
	ck_assert_int_eq(ops->check(&call, &pool, &err), 0);
	ck_assert_int_eq(pool.data_percent, -1);
}
END_TEST

START_TEST(check_tells_what_is_wrong)
{
	zfs_says("", "cannot open 'tank': dataset does not exist\n", 1);
	fails(ops->check(&call, &pool, &err), VMF_E_NOT_FOUND, "there is no dataset tank (zfs)",
		"zpool import tank");
	zfs_says("",
		"The ZFS modules are not loaded.\nTry running '/sbin/modprobe zfs' as root to load them.\n",
		1);
	fails(ops->check(&call, &pool, &err), VMF_E_MISSING, "zfs get: The ZFS modules are not loaded",
		"zfs-dkms");
	zfs_says("", "Permission denied the ZFS utilities must be run as root.\n", 1);
	fails(ops->check(&call, &pool, &err), VMF_E_PERMISSION, "must be run as root", "zfs allow");
	zfs_says("", "internal error: out of memory\n", 1);
	fails(ops->check(&call, &pool, &err), VMF_E_FAILED, "zfs get: internal error: out of memory", NULL);
	zfs_says("", "", 3);
	fails(ops->check(&call, &pool, &err), VMF_E_FAILED, "zfs get: exit code 3", NULL);
	zfs_says(VOLUME("tank", "0", "512", "-", "-", "-"), "", 0);
	fails(ops->check(&call, &pool, &err), VMF_E_CONFIG, "tank is a volume", "set dataset =");
	zfs_says(FILESYSTEM("tank", "900", "100", "unavailable", "-", "-"), "", 0);
	fails(ops->check(&call, &pool, &err), VMF_E_STATE, "the key of tank is not loaded",
		"zfs load-key tank");
}
END_TEST

START_TEST(check_believes_a_list_of_just_now)
{
	zfs_says(TANK VOLUME("tank/web-0", "0", "512", "-", UUID, "local"), "", 0);
	ck_assert_int_eq(ops->list(&call, NULL, &list, &err), 0);
	zfs_says("", "cannot open 'tank': dataset does not exist\n", 1);
	ck_assert_int_eq(ops->check(&call, &pool, &err), 0);
	ck_assert_uint_eq(pool.free_bytes, 671064064);
	ck_assert_uint_eq(calls(), 1);
	/* but not of another dataset, and a list is always made anew */
	use("{\"dataset\": \"other\"}");
	fails(ops->check(&call, &pool, &err), VMF_E_NOT_FOUND, "there is no dataset other", NULL);
	use("{}");
	fails(ops->list(&call, NULL, &list, &err), VMF_E_NOT_FOUND, "there is no dataset tank", NULL);
	ck_assert_uint_eq(calls(), 3);
}
END_TEST

START_TEST(check_looks_at_options)
{
	static const char *const names[] = {
		"", "/tank", "tank/", "tank//a", "9tank", "tank/..", "tank@a", "-r", "tank/a b\\t"};

	zfs_says(TANK, "", 0);
	for (size_t i = 0; i < VMF_COUNT(names); i++) {
		autofree char *json = str_printf("{\"dataset\": \"%s\"}", names[i]);

		use(json);
		fails(ops->check(&call, &pool, &err), VMF_E_CONFIG, "is not a dataset's name",
			"as in dataset =");
	}
	use("{\"volblocksize\": \"12K\"}");
	fails(ops->check(&call, &pool, &err), VMF_E_CONFIG, "not a power of two", NULL);
	use("{\"cache\": \"writeback\", \"aio\": \"native\"}");
	fails(ops->check(&call, &pool, &err), VMF_E_CONFIG, "needs cache = \"none\"", NULL);
	ck_assert_uint_eq(calls(), 0);
}
END_TEST

/* ---- snapshots ---------------------------------------------------------------------------- */

START_TEST(snapshots_are_sorted_by_age)
{
	struct vmf_snapshot_list found = {0};
	const struct vmf_snapshot *s;

	zfs_says(PLAIN SNAPSHOT("tank/web-0@b", "1764111110", "120", "", "off", UUID, "local")
			 SNAPSHOT("tank/web-0@c", "1764111111", "99", "tank/c-0,tank/d-0", "off", UUID,
				 "inherited from tank/web-0") SNAPSHOT("tank/web-0@vmf-0123456789abcdef",
				 "1764111111", "130", "tank/e-0", "on", UUID, "local")
				 SNAPSHOT("tank/web-0@gone", "1764111111", "131", "tank/f-0", "on", UUID,
					 "local") "tank/web-0#mark\tcreatetxg\t98\t-\n",
		"", 0);
	ck_assert_int_eq(ops->snapshots(&call, "web-0", &found, &err), 0);
	ck_assert_uint_eq(found.count, 2);
	ck_assert_uint_eq(calls(), 1);
	s = found.items;
	ck_assert_str_eq(s->name, "c");
	ck_assert_uint_eq(s->is_ours, 0);
	s = (const void *)((const char *)found.items + found.stride);
	ck_assert_str_eq(s->name, "b");
	ck_assert_int_eq(s->created, 1764111110);
	ck_assert_uint_eq(s->used_bytes, 8192);
	ck_assert_uint_eq(s->is_ours, 1);
}
END_TEST

START_TEST(snapshots_are_what_zfs_has_said)
{
	struct vmf_snapshot_list found = {0};
	const struct vmf_snapshot *s;

	zfs_says(recorded_snapshots, "", 0);
	ck_assert_int_eq(ops->snapshots(&call, "web-0", &found, &err), 0);
	ck_assert_uint_eq(found.count, 2);
	s = found.items;
	ck_assert_str_eq(s->name, "one");
	ck_assert_uint_eq(s->is_ours, 1);
	s = (const void *)((const char *)found.items + found.stride);
	ck_assert_str_eq(s->name, "two");
	ck_assert_uint_eq(s->is_ours, 0);
	ck_assert_int_eq(s->created, 1795651424);
	fails(ops->rollback(&call, "web-0", "one", VMF_SNAPSHOT_LATER_TOO, &err), VMF_E_PERMISSION, "(@two)",
		"tank/web-0@two");
	fails(ops->remove(&call, "web-0", &err), VMF_E_NOT_FOUND, "there is no dataset tank", NULL);
}
END_TEST

#define ROOM(available, reserved, own) \
	PLAIN "tank/web-0\tavailable\t" available "\t-\ntank/web-0\trefreservation\t" reserved \
	      "\tlocal\ntank/web-0\tusedbydataset\t" own "\t-\n"

START_TEST(snapshots_need_room)
{
	zfs_says(ROOM("16777216", "0", "104857600"), "", 0);
	ck_assert_int_eq(ops->snapshot(&call, "web-0", "a", &err), 0);
	zfs_says(ROOM("16777215", "0", "104857600"), "", 0);
	fails(ops->snapshot(&call, "web-0", "a", &err), VMF_E_NO_SPACE,
		"tank has 15 MiB left, but a snapshot of web-0 needs 16 MiB", "make room");
	/* 100 MiB are reserved, of which 60 are written: 40 of what is available are its own already */
	zfs_says(ROOM("121634816", "104857600", "62914560"), "", 0);
	ck_assert_int_eq(ops->snapshot(&call, "web-0", "a", &err), 0);
	zfs_says(ROOM("121634815", "104857600", "62914560"), "", 0);
	fails(ops->snapshot(&call, "web-0", "a", &err), VMF_E_NO_SPACE,
		"tank has 75 MiB left, but a snapshot of web-0 needs 76 MiB", NULL);
	/* all that is left is what it has reserved */
	zfs_says(ROOM("16777216", "104857600", "0"), "", 0);
	fails(ops->snapshot(&call, "web-0", "a", &err), VMF_E_NO_SPACE, "has 0 MiB left", NULL);
}
END_TEST

START_TEST(rollback_says_what_it_would_drop)
{
	zfs_says(PLAIN SNAPSHOT("tank/web-0@a", "1", "10", "", "off", UUID, "local") SNAPSHOT(
			 "tank/web-0@b", "2", "20", "", "off", UUID, "local") SNAPSHOT("tank/web-0@c", "3",
			 "30", "", "off", UUID, "local") "tank/web-0#a\tcreatetxg\t10\t-\n",
		"", 0);
	fails(ops->rollback(&call, "web-0", "a", 0, &err), VMF_E_STATE, "losing the later snapshots b, c",
		"--later-too");
	ck_assert_int_eq(ops->rollback(&call, "web-0", "a", VMF_SNAPSHOT_LATER_TOO, &err), 0);
	ck_assert_int_eq(ops->rollback(&call, "web-0", "c", 0, &err), 0);
	fails(ops->rollback(&call, "web-0", "d", 0, &err), VMF_E_NOT_FOUND, "has no snapshot \"d\"",
		"there is a, b, c");
	zfs_says(PLAIN SNAPSHOT("tank/web-0@a", "1", "10", "", "off", UUID,
			 "local") "tank/web-0#later\tcreatetxg\t11\t-\n",
		"", 0);
	fails(ops->rollback(&call, "web-0", "a", VMF_SNAPSHOT_LATER_TOO, &err), VMF_E_PERMISSION,
		"has not made what is newer (#later)", "zfs destroy tank/web-0#later");
	zfs_says(PLAIN SNAPSHOT("tank/web-0@a", "1", "10", "", "off", UUID, "local")
			 SNAPSHOT("tank/web-0@vmf-0123456789abcdef", "1", "11", "tank/c-0,tank/d-0", "on",
				 UUID, "local"),
		"", 0);
	fails(ops->rollback(&call, "web-0", "a", VMF_SNAPSHOT_LATER_TOO, &err), VMF_E_STATE,
		"as tank/c-0, tank/d-0 stand on what is newer", "remove tank/c-0, tank/d-0 first");
}
END_TEST

/* ---- dry runs ----------------------------------------------------------------------------- */

START_TEST(dry_runs_only_look)
{
	autofree char *path = NULL, *said = NULL;

	zfs_says(TANK VOLUME("tank/web-0", "0", "16777216", "-", UUID, "local"), "", 0);
	ck_assert_int_eq(ops->create(&call, "new", 1048576, &err), 0);
	fails(ops->create(&call, "web-0", 1048576, &err), VMF_E_EXISTS, "tank/web-0 exists", NULL);
	ck_assert_int_eq(ops->rename(&call, "web-0", "web-1", &err), 0);
	ck_assert_int_eq(ops->grow(&call, "web-0", 33554432, &err), 0);
	fails(ops->grow(&call, "web-0", 1, &err), VMF_E_UNSUPPORTED, "cannot shrink to 1", NULL);
	fails(ops->grow(&call, "web-0", 0, &err), VMF_E_USAGE, "cannot have 0 bytes", NULL);
	ck_assert_int_eq(ops->clone(&call, "web-0", NULL, "new", 0, &err), 0);
	ck_assert_int_eq(ops->remove(&call, "web-0", &err), 0);
	ck_assert_int_eq(ops->remove(&call, "nothing", &err), 0);
	use("{\"sparse\": false}");
	call.dry_run = 1;
	fails(ops->create(&call, "new", UINT64_C(700) << 20, &err), VMF_E_NO_SPACE,
		"tank has 639 MiB left, but new needs 700 MiB", NULL);
	path = str_printf("%s/calls", folder);
	said = file_read(path, 1 << 20, NULL, &err);
	for (const char *at = said; at && *at; at = strchr(at, '\n') + 1)
		ck_assert_msg(str_starts(at, "get "), "%s", at);
}
END_TEST

START_TEST(names_are_those_of_zfs)
{
	static const char *const bad[] = {
		"", ".", ".a", "-a", " a", "a ", "a/b", "a@b", "a#b", "a%b", "a\tb", "\xc3\xa4"};
	char name[300] = "";

	zfs_says(TANK, "", 0);
	for (size_t i = 0; i < VMF_COUNT(bad); i++)
		fails(ops->create(&call, bad[i], 512, &err), VMF_E_USAGE, "ZFS has no volumes of the name",
			"letters, digits");
	memset(name, 'x', 230);
	fails(ops->create(&call, name, 512, &err), VMF_E_USAGE, "too long for ZFS", "at most 229 bytes");
	name[229] = '\0';
	ck_assert_int_eq(ops->create(&call, name, 512, &err), 0);
	ck_assert_int_eq(ops->create(&call, "a b:c_d.e-f", 512, &err), 0);
}
END_TEST

START_TEST(what_is_missing_is_named)
{
	setenv("PATH", "/nowhere", 1);
	if (access("/usr/sbin/zfs", X_OK) == 0 || access("/sbin/zfs", X_OK) == 0)
		return; /* it is looked for there as well */
	fails(ops->check(&call, &pool, &err), VMF_E_MISSING, "the program zfs cannot be run",
		"zfsutils-linux");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zfs");
	TCase *tcase = tcase_create("words");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, list_reads_volumes);
	tcase_add_test(tcase, list_reads_what_zfs_has_said);
	tcase_add_test(tcase, list_takes_only_what_is_set_on_the_volume);
	tcase_add_test(tcase, list_looks_for_a_prefix);
	tcase_add_test(tcase, list_survives_odd_words);
	tcase_add_test(tcase, check_tells_room);
	tcase_add_test(tcase, check_tells_what_is_wrong);
	tcase_add_test(tcase, check_believes_a_list_of_just_now);
	tcase_add_test(tcase, check_looks_at_options);
	tcase_add_test(tcase, snapshots_are_sorted_by_age);
	tcase_add_test(tcase, snapshots_are_what_zfs_has_said);
	tcase_add_test(tcase, snapshots_need_room);
	tcase_add_test(tcase, rollback_says_what_it_would_drop);
	tcase_add_test(tcase, dry_runs_only_look);
	tcase_add_test(tcase, names_are_those_of_zfs);
	tcase_add_test(tcase, what_is_missing_is_named);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
