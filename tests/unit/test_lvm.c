/* SPDX-License-Identifier: ISC */
/* The plugin storage-lvm: what it reads, and what it asks LVM for. */
#include <time.h>

#include "lvm.h"

/* ---- reading ------------------------------------------------------------------------------- */

static const struct vmf_volume *volume(const struct vmf_volume_list *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (str_equal(list->items[i].name, name))
			return &list->items[i];
	return NULL;
}

START_TEST(list_is_read)
{
	struct vmf_volume_list list = {0};
	const struct vmf_volume *v;

	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(n_looks, 1);
	ck_assert_uint_eq(list.count, 11);
	ck_assert_uint_eq(list.stride, sizeof(*v));
	v = volume(&list, "web0-0");
	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(v->id, "/dev/vg0/web0-0");
	ck_assert_str_eq(v->format, "raw");
	ck_assert_uint_eq(v->virtual_bytes, 64 << 20);
	ck_assert_uint_eq(v->used_bytes, 64 << 20);
	ck_assert_uint_eq(v->is_ours, 1);
	ck_assert_str_eq(v->owner_uuid, UUID);
	ck_assert_ptr_null(v->origin);
	ck_assert_uint_eq(v->in_use, 0);
	ck_assert_uint_eq(volume(&list, "web0-10")->in_use, 1);
	ck_assert_ptr_null(volume(&list, "web0-2")->owner_uuid);
	/* a copy-on-write clone has its origin's size */
	v = volume(&list, "clone-0");
	ck_assert_uint_eq(v->virtual_bytes, 64 << 20);
	ck_assert_uint_eq(v->used_bytes, 4 << 20);
	ck_assert_str_eq(v->origin, "web0-0");
	ck_assert_str_eq(v->owner_uuid, "22222222-2222-3333-4444-555555555555");
	v = volume(&list, "thin-0");
	ck_assert_uint_eq(v->virtual_bytes, 100 << 20);
	ck_assert_uint_eq(v->used_bytes / 10000, (25 << 20) / 10000);
	ck_assert_str_eq(volume(&list, "tclone-0")->origin, "thin-0@one");
	/* others' are there, too */
	ck_assert_uint_eq(volume(&list, "gold")->is_ours, 0);
	ck_assert_str_eq(volume(&list, "lvol0")->origin, "web0-0");
	/* what LVM forbids is read back; snapshots, pools and what is in the making are no volumes */
	ck_assert_str_eq(volume(&list, "snapshot1-0")->id, "/dev/vg0/+73napshot1-0");
	ck_assert_ptr_null(volume(&list, "web0-0.one"));
	ck_assert_ptr_null(volume(&list, "thin-0.one"));
	ck_assert_ptr_null(volume(&list, "pool"));
	ck_assert_ptr_null(volume(&list, ".vmf-half-0"));
}
END_TEST

START_TEST(list_by_prefix)
{
	struct vmf_volume_list list = {0};

	OK(ops->list(&call, "web0-", &list, &err));
	ck_assert_uint_eq(list.count, 3);
	ck_assert_str_eq(list.items[0].name, "web0-0");
	ck_assert_str_eq(list.items[1].name, "web0-2");
	ck_assert_str_eq(list.items[2].name, "web0-10");
	OK(ops->list(&call, "nobody-", &list, &err));
	ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(snapshots_are_read)
{
	struct vmf_snapshot_list list = {0};

	OK(ops->snapshots(&call, "web0-0", &list, &err));
	ck_assert_uint_eq(list.count, 2);
	ck_assert_str_eq(list.items[0].name, "lvol0");
	ck_assert_uint_eq(list.items[0].is_ours, 0);
	ck_assert_str_eq(list.items[1].name, "one");
	ck_assert_int_eq(list.items[1].created, 1795651886);
	ck_assert_uint_eq(list.items[1].used_bytes / 10000, (32 << 20) / 10000 * 3140 / 10000);
	OK(ops->snapshots(&call, "thin-0", &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.items[0].name, "one");
	OK(ops->snapshots(&call, "gold", &list, &err));
	ck_assert_uint_eq(list.count, 0);
}
END_TEST

START_TEST(pool_is_read)
{
	struct vmf_pool pool = {.size = sizeof(pool)};

	OK(ops->check(&call, &pool, &err));
	ck_assert_uint_eq(pool.size_bytes, 6434062336);
	ck_assert_uint_eq(pool.free_bytes, 5922357248);
	ck_assert_int_eq(pool.data_percent, -1);
	ck_assert_str_eq(pool.description, "volume group vg0");
	use("\"pool\": \"pool\"");
	OK(ops->check(&call, &pool, &err));
	ck_assert_uint_eq(pool.size_bytes, 200 << 20);
	ck_assert_int_eq(pool.data_percent, 13);
	ck_assert_int_eq(pool.meta_percent, 11);
	ck_assert_str_eq(pool.description, "thin pool vg0/pool");
	use("\"pool\": \"nopool\"");
	REFUSED(ops->check(&call, &pool, &err), VMF_E_NOT_FOUND, "no thin pool vg0/nopool");
	use("\"pool\": \"gold\"");
	REFUSED(ops->check(&call, &pool, &err), VMF_E_CONFIG, "vg0/gold is no thin pool");
	use("\"pool\": \"vg0/pool\"");
	REFUSED(ops->check(&call, &pool, &err), VMF_E_CONFIG, "no thin pool's name");
	use("\"vg\": \"-vg\"");
	REFUSED(ops->check(&call, &pool, &err), VMF_E_CONFIG, "no volume group's name");
}
END_TEST

START_TEST(empty_group)
{
	struct vmf_volume_list list = {0};
	struct vmf_pool pool = {.size = sizeof(pool)};

	lvs = EMPTY;
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(list.count, 0);
	OK(ops->check(&call, &pool, &err));
	ck_assert_uint_eq(pool.free_bytes, 1 << 30);
	/* another one, as what was seen of a group is kept where lvs takes its time */
	use("\"vg\": \"vg1\"");
	vgs = "{\"report\": [{\"vg\": []}]}";
	REFUSED(ops->list(&call, NULL, &list, &err), VMF_E_NOT_FOUND, "no volume group \"vg1\"");
}
END_TEST

/* Where lvs takes its time it is not asked for each call, but once something was changed, or another group is
 * meant. */
START_TEST(looks_are_kept)
{
	struct vmf_volume_list list = {0};
	struct vmf_snapshot_list snapshots = {0};
	struct vmf_pool pool = {.size = sizeof(pool)};

	look_ms = 40;
	for (int i = 0; i < 3; i++) {
		OK(ops->check(&call, &pool, &err));
		OK(ops->list(&call, NULL, &list, &err));
		OK(ops->snapshots(&call, "web0-0", &snapshots, &err));
	}
	ck_assert_uint_eq(n_looks, 1);
	ck_assert_uint_gt(list.count, 3);
	OK(ops->snapshot(&call, "web0-2", "a", &err));
	ck_assert_uint_eq(n_looks, 1);
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(n_looks, 2);
	/* that a volume is open may no longer be true */
	ck_assert_int_eq(ops->remove(&call, "web0-10", &err), -1);
	error_clear(&err);
	ck_assert_uint_eq(n_looks, 3);
	OK(ops->detach(&call, "web0-10", &err));
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(n_looks, 4);
	use("\"vg\": \"vg1\"");
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(n_looks, 5);
	nanosleep(&(struct timespec){0, 500000000}, NULL);
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(n_looks, 6);
}
END_TEST

/* Whatever the report, nothing crashes, and what is not understood is an error. */
START_TEST(odd_reports)
{
	static const char *const odd[] = {"", "{", "[]", "{}", "null", "{\"report\": []}",
		"{\"report\": [{}]}", "{\"report\": [{\"lv\": 1}]}",
		"{\"report\": [{\"lv\": [1, null, {}]}]}", "WARNING: something\n{}"};
	struct vmf_volume_list list = {0};

	for (size_t i = 0; i < VMF_COUNT(odd); i++) {
		lvs = vgs = odd[i];
		ck_assert_int_eq(ops->list(&call, NULL, &list, &err), -1);
		ck_assert_ptr_nonnull(err.message);
		error_clear(&err);
	}
	/* cut off anywhere */
	for (size_t n = 0; n + 8 < strlen(recorded); n += 17) {
		autofree char *cut = str_ndup(recorded, n);

		lvs = cut;
		ck_assert_int_eq(ops->list(&call, NULL, &list, &err), -1);
		error_clear(&err);
	}
}
END_TEST

START_TEST(odd_rows)
{
	struct vmf_volume_list list = {0};

	lvs = "{\"report\": [{\"lv\": [{\"lv_name\": \"a\", \"lv_attr\": \"\", \"lv_tags\": "
	      "\"vmf.vm=x,,vmf\", \"vg_extent_size\": "
	      "\"4194304\"}, {\"lv_name\": \"b\", \"lv_attr\": \"Vwi-aotz--and more\", \"lv_tags\": "
	      "\"vmf.vm=x\", "
	      "\"data_percent\": \"100\"}, {\"lv_name\": \"c+\", \"data_percent\": \"7,5\", \"lv_attr\": "
	      "\"Vwi\"}]}]}";
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(list.count, 3);
	ck_assert_str_eq(volume(&list, "a")->owner_uuid, "x");
	ck_assert_uint_eq(volume(&list, "b")->in_use, 1);
	/* a tag without the mark means nothing */
	ck_assert_ptr_null(volume(&list, "b")->owner_uuid);
	ck_assert_uint_eq(volume(&list, "b")->is_ours, 0);
	ck_assert_ptr_nonnull(volume(&list, "c+"));
}
END_TEST

/* ---- what lvm is asked for ------------------------------------------------------------------ */

START_TEST(create_thick_and_thin)
{
	OK(ops->create(&call, "new-0", 10 << 20, &err));
	/* the one in the making belongs to another machine's process, or to a boot that is over: not asked
	 * here */
	did("lvcreate --yes -n new-0 --wipesignatures y -L 10485760b" TAGS " vg0", LVM_END);
	use("\"lvcreate\": [\"--type\", \"raid1\"], \"vg\": \"vg0\"");
	OK(ops->create(&call, "new-0", 1 << 20, &err));
	did("lvcreate --yes -n new-0 --wipesignatures y -L 1048576b --type raid1" TAGS " vg0", LVM_END);
	use("\"pool\": \"pool\"");
	OK(ops->create(&call, "new-0", UINT64_C(1) << 40, &err));
	did("lvcreate --yes -n new-0 --type thin -V 1099511627776b --thinpool pool" TAGS " vg0", LVM_END);
	call.dry_run = 1;
	OK(ops->create(&call, "new-0", 10 << 20, &err));
	did(NULL, LVM_END);
}
END_TEST

START_TEST(create_is_refused)
{
	REFUSED(ops->create(&call, "web0-0", 10 << 20, &err), VMF_E_EXISTS, "vg0/web0-0 exists");
	REFUSED(ops->create(&call, "pool", 10 << 20, &err), VMF_E_EXISTS, "vg0/pool exists");
	REFUSED(ops->create(&call, "web0-0.one", 10 << 20, &err), VMF_E_EXISTS, "vg0/web0-0.one exists");
	REFUSED(ops->create(&call, "new-0", UINT64_C(6) << 30, &err), VMF_E_NO_SPACE,
		"vg0 has 5.5 GiB left, but volume \"new-0\" takes 6 GiB");
	ck_assert_int_eq(ops->create(&call, "new-0", 0, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_USAGE);
	error_clear(&err);
	ck_assert_int_eq(ops->create(&call, "", 1 << 20, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_USAGE);
	error_clear(&err);
	ck_assert_int_eq(ops->create(&call, "a\nb", 1 << 20, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_USAGE);
	error_clear(&err);
}
END_TEST

/* LVM's name for it, and that it is read back as what was asked for. */
static void named(const char *name, const char *lv)
{
	autofree char *row = str_printf("{\"report\": [{\"lv\": [{\"lv_name\": \"%s\", \"vg_extent_size\": "
					"\"4194304\", \"lv_attr\": \"-wi\"}]}]}",
		lv);
	autofree char *command =
		str_printf("lvcreate --yes -n %s --wipesignatures y -L 4194304b" TAGS " vg0", lv);
	struct vmf_volume_list list = {0};

	lvs = EMPTY;
	OK(ops->create(&call, name, 4 << 20, &err));
	did(command, LVM_END);
	lvs = row;
	OK(ops->list(&call, name, &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.items[0].name, name);
}

START_TEST(names)
{
	named("lab-web0-0", "lab-web0-0");
	named("snapshot-0", "+73napshot-0");
	named("my-snapshot-0", "my-snapshot-0");
	named("pvmove0-1", "+70vmove0-1");
	named("a_tdata-0", "a+5Ftdata-0");
	named("x_mlogx", "x+5Fmlogx");
	named("-x", "+2Dx");
	named(".", "+2E");
	named("..", "+2E.");
	named(".vmf-x", "+2Evmf-x");
	named("a b@c", "a+20b+40c");
	named("a+b", "a+b");
	named("a+2B", "a+2B2B");
	named("a+k", "a+k");
	named("a+new", "a+2Bnew");
	named("a+old", "a+2Bold");
	named("\xc3\xa4", "+C3+A4");
	/* an LV of the person's own that looks like ours but is not */
	lvs = "{\"report\": [{\"lv\": [{\"lv_name\": \"a+41\", \"vg_extent_size\": \"4194304\", \"lv_attr\": "
	      "\"-wi\"}]}]}";
	{
		struct vmf_volume_list list = {0};

		OK(ops->list(&call, "a+41", &list, &err));
		ck_assert_uint_eq(list.count, 1);
	}
}
END_TEST

START_TEST(remove_only_ours)
{
	REFUSED(ops->remove(&call, "gold", &err), VMF_E_PERMISSION, "vg0/gold was not made by vmf");
	REFUSED(ops->remove(&call, "web0-10", &err), VMF_E_BUSY, "/dev/vg0/web0-10 is in use");
	REFUSED(ops->remove(&call, "web0-0", &err), VMF_E_STATE, "clone-0, lvol0 stand on it");
	OK(ops->remove(&call, "nobody", &err));
	/* not a volume's name, and so nothing that is there */
	OK(ops->remove(&call, "web0-0.one", &err));
	OK(ops->remove(&call, "pool", &err));
	OK(ops->remove(&call, ".vmf-half-0", &err));
	did(NULL, LVM_END);
	OK(ops->remove(&call, "web0-2", &err));
	did(REMOVE("68r3sn-MNFc-Xy1q-ndNB-lL2F-T4kZ-ghA2IX", "web0-2"), LVM_END);
	/* with its snapshots; a thin clone of one lives on */
	OK(ops->remove(&call, "thin-0", &err));
	did("lvremove --yes --select (lv_uuid=\"4qyEC0-qpvK-1Qyd-Kdf7-Qnih-SU47-jf2qAn\" || "
	    "lv_uuid=\"SjDskx-jLFR-NBIk-RwxY-TCro-ZWfv-igxODs\") && lv_tags=vmf && lv_role!=thickorigin "
	    "vg0/thin-0.one vg0/thin-0",
		LVM_END);
	call.dry_run = 1;
	OK(ops->remove(&call, "thin-0", &err));
	did(NULL, LVM_END);
}
END_TEST

START_TEST(rename_with_snapshots)
{
	OK(ops->rename(&call, "web0-0", "web1-0", &err));
	did("lvrename vg0 web0-0 web1-0", "lvrename vg0 web0-0.one web1-0.one", LVM_END);
	REFUSED(ops->rename(&call, "gold", "silver", &err), VMF_E_PERMISSION, "is not renamed");
	REFUSED(ops->rename(&call, "web0-2", "gold", &err), VMF_E_EXISTS, "vg0/gold exists");
	REFUSED(ops->rename(&call, "nobody", "somebody", &err), VMF_E_NOT_FOUND, "no volume \"nobody\"");
	/* done already, but for the snapshot */
	OK(ops->rename(&call, "was-0", "web0-0", &err));
	did(NULL, LVM_END);
	/* there, but another VM's */
	REFUSED(ops->rename(&call, "was-0", "clone-0", &err), VMF_E_NOT_FOUND, "no volume \"was-0\"");
}
END_TEST

START_TEST(grow_only_larger)
{
	OK(ops->grow(&call, "web0-2", 100 << 20, &err));
	did("lvextend --yes -L 104857600b vg0/web0-2", LVM_END);
	/* what rounds up to what it has */
	OK(ops->grow(&call, "web0-2", (64 << 20) - 5, &err));
	did(NULL, LVM_END);
	REFUSED(ops->grow(&call, "web0-2", 32 << 20, &err), VMF_E_UNSUPPORTED,
		"has 64 MiB and cannot shrink to 32 MiB");
	REFUSED(ops->grow(&call, "clone-0", 100 << 20, &err), VMF_E_UNSUPPORTED,
		"copy-on-write clone of web0-0");
	REFUSED(ops->grow(&call, "gold", 100 << 20, &err), VMF_E_PERMISSION, "is not resized");
	REFUSED(ops->grow(&call, "web0-2", UINT64_C(7) << 30, &err), VMF_E_NO_SPACE, "takes 6.9 GiB");
	/* LVM resizes origins only while they are closed */
	OK(ops->grow(&call, "web0-0", 100 << 20, &err));
	did("lvchange -an vg0/web0-0", "lvextend --yes -L 104857600b vg0/web0-0",
		"lvchange -ay -K vg0/web0-0", LVM_END);
	OK(ops->grow(&call, "thin-0", UINT64_C(1) << 40, &err));
	did("lvextend --yes -L 1099511627776b vg0/thin-0", LVM_END);
}
END_TEST

START_TEST(snapshots_are_made)
{
	use("\"snapshot_size\": \"8M\"");
	OK(ops->snapshot(&call, "web0-2", "a", &err));
	ck_assert_uint_eq(commands.count, 1);
	ck_assert_msg(str_starts(commands.items[0],
			      "lvcreate --yes --snapshot --permission r -n web0-2.a -L 8388608b" TAGS
			      " --addtag vmf.snapshot=a --addtag "
			      "vmf.origin=68r3sn-MNFc-Xy1q-ndNB-lL2F-T4kZ-ghA2IX --addtag "
			      "vmf.created="),
		"%s", commands.items[0]);
	strv_free(&commands);
	/* more than all of the origin is never of use */
	use("");
	OK(ops->snapshot(&call, "web0-2", "a", &err));
	ck_assert_ptr_nonnull(strstr(commands.items[0], "-L 79691776b"));
	strv_free(&commands);
	use("\"snapshot_percent\": 25");
	OK(ops->snapshot(&call, "web0-2", "a", &err));
	ck_assert_ptr_nonnull(strstr(commands.items[0], "-L 16777216b"));
	strv_free(&commands);
	OK(ops->snapshot(&call, "thin-0", "two", &err));
	ck_assert_msg(str_starts(commands.items[0],
			      "lvcreate --yes --snapshot --permission r --setactivationskip y -n thin-0.two"),
		"%s", commands.items[0]);
	strv_free(&commands);
	REFUSED(ops->snapshot(&call, "web0-0", "one", &err), VMF_E_EXISTS, "snapshot \"one\" already");
	REFUSED(ops->snapshot(&call, "clone-0", "a", &err), VMF_E_UNSUPPORTED,
		"of which LVM makes no snapshots");
	REFUSED(ops->snapshot(&call, "gold", "a", &err), VMF_E_PERMISSION, "was not made by vmf");
	REFUSED(ops->snapshot(&call, "nobody", "a", &err), VMF_E_NOT_FOUND, "no volume");
}
END_TEST

START_TEST(snapshots_are_removed)
{
	OK(ops->snapshot_remove(&call, "web0-0", "one", &err));
	did(REMOVE("tsKY3W-ts5e-8XAU-ruFI-48Pd-36ln-Uu8kFS", "web0-0.one"), LVM_END);
	OK(ops->snapshot_remove(&call, "web0-0", "two", &err));
	OK(ops->snapshot_remove(&call, "nobody", "one", &err));
	did(NULL, LVM_END);
	REFUSED(ops->snapshot_remove(&call, "web0-0", "lvol0", &err), VMF_E_PERMISSION,
		"lvol0 was not made by vmf");
}
END_TEST

START_TEST(clones)
{
	use("\"snapshot_size\": \"8M\"");
	OK(ops->clone(&call, "gold", NULL, "web1-0", 0, &err));
	did("lvcreate --yes --snapshot -n web1-0 -L 8388608b" TAGS " vg0/gold", LVM_END);
	OK(ops->clone(&call, "thin-0", "one", "web1-0", 0, &err));
	did("lvcreate --yes --snapshot --permission rw --setactivationskip n --activate y -n web1-0" TAGS
	    " vg0/thin-0.one",
		LVM_END);
	REFUSED(ops->clone(&call, "web0-0", "one", "web1-0", 0, &err), VMF_E_UNSUPPORTED,
		"is a thick snapshot");
	REFUSED(ops->clone(&call, "clone-0", NULL, "web1-0", 0, &err), VMF_E_UNSUPPORTED,
		"is a thick snapshot");
	REFUSED(ops->clone(&call, "web0-10", NULL, "web1-0", 0, &err), VMF_E_BUSY, "in use");
	REFUSED(ops->clone(&call, "web0-0", NULL, "gold", 0, &err), VMF_E_EXISTS, "vg0/gold exists");
	REFUSED(ops->clone(&call, "web0-0", "two", "web1-0", 0, &err), VMF_E_NOT_FOUND,
		"no snapshot \"two\"");
	REFUSED(ops->clone(&call, "clone-0", NULL, "web1-0", 1, &err), VMF_E_STATE,
		"room for changes ran full");
}
END_TEST

START_TEST(rollback_thin)
{
	const char *by;

	OK(ops->rollback(&call, "thin-0", "one", 0, &err));
	by = strstr(commands.items[0], " --addtag vmf.by=");
	ck_assert_msg(by != NULL, "%s", commands.items[0]);
	{
		autofree char *tag = str_ndup(by + 10, strcspn(by + 10, " "));
		autofree char *make = str_printf(
			"lvcreate --yes --snapshot --permission rw --setactivationskip n --activate y -n "
			"thin-0+new" TAGS
			" --addtag vmf.id=SjDskx-jLFR-NBIk-RwxY-TCro-ZWfv-igxODs --addtag %s vg0/thin-0.one",
			tag);

		did(make, "lvrename vg0 thin-0 thin-0+old", "lvrename vg0 thin-0+new thin-0",
			"lvremove --yes --select (lv_uuid=\"SjDskx-jLFR-NBIk-RwxY-TCro-ZWfv-igxODs\") && "
			"lv_tags=vmf && lv_role!=thickorigin vg0/thin-0+old",
			LVM_END);
	}
	REFUSED(ops->rollback(&call, "thin-0", "two", 0, &err), VMF_E_NOT_FOUND, "no snapshot \"two\"");
	REFUSED(ops->rollback(&call, "gold", "one", 0, &err), VMF_E_PERMISSION, "was not made by vmf");
	REFUSED(ops->rollback(&call, "web0-0", "lvol0", 0, &err), VMF_E_PERMISSION, "was not made by vmf");
	call.dry_run = 1;
	OK(ops->rollback(&call, "thin-0", "one", 0, &err));
	did(NULL, LVM_END);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lvm");
	TCase *reading = tcase_create("reading"), *asking = tcase_create("asking");

	tcase_add_checked_fixture(reading, setup, teardown);
	tcase_add_test(reading, list_is_read);
	tcase_add_test(reading, list_by_prefix);
	tcase_add_test(reading, snapshots_are_read);
	tcase_add_test(reading, pool_is_read);
	tcase_add_test(reading, empty_group);
	tcase_add_test(reading, looks_are_kept);
	tcase_add_test(reading, odd_reports);
	tcase_add_test(reading, odd_rows);
	suite_add_tcase(suite, reading);
	tcase_add_checked_fixture(asking, setup, teardown);
	tcase_add_test(asking, create_thick_and_thin);
	tcase_add_test(asking, create_is_refused);
	tcase_add_test(asking, names);
	tcase_add_test(asking, remove_only_ours);
	tcase_add_test(asking, rename_with_snapshots);
	tcase_add_test(asking, grow_only_larger);
	tcase_add_test(asking, snapshots_are_made);
	tcase_add_test(asking, snapshots_are_removed);
	tcase_add_test(asking, clones);
	tcase_add_test(asking, rollback_thin);
	suite_add_tcase(suite, asking);
	return run_suite(suite);
}
