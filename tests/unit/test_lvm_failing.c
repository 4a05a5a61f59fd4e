/* SPDX-License-Identifier: ISC */
/* The plugin storage-lvm: what it does when lvm fails, and with what dead processes left. */
#include <fcntl.h>
#include <unistd.h>

#include "lvm.h"

/* ---- when lvm fails -------------------------------------------------------------------------- */

static void meaning(const char *said, int exit_status, int code, const char *message)
{
	refused = "lvcreate";
	words = said;
	status = exit_status;
	ck_assert_int_eq(ops->create(&call, "new-0", 4 << 20, &err), -1);
	ck_assert_str_eq(err.message, message);
	ck_assert_int_eq(err.code, code);
	error_clear(&err);
}

START_TEST(words_are_understood)
{
	meaning("  Volume group \"vg0\" has insufficient free space (765 extents): 20480 required.\n", 5,
		VMF_E_NO_SPACE,
		"lvcreate failed: Volume group \"vg0\" has insufficient free space (765 extents): 20480 "
		"required");
	meaning("  WARNING: You have not turned on protection.\n  Rounding up size to full physical extent "
		"4.00 MiB\n"
		"  Logical Volume \"new-0\" already exists in volume group \"vg0\"\n",
		5, VMF_E_EXISTS,
		"lvcreate failed: Logical Volume \"new-0\" already exists in volume group \"vg0\"");
	meaning("  Volume group \"vg0\" not found\n  Cannot process volume group vg0\n", 5, VMF_E_NOT_FOUND,
		"lvcreate failed: Volume group \"vg0\" not found");
	meaning("  one\n\n  two.\n  three\n", 5, VMF_E_FAILED, "lvcreate failed: one; two");
	meaning("", 3, VMF_E_FAILED, "lvcreate failed: exit code 3");
	meaning("env: 'lvcreate': No such file or directory\n", 127, VMF_E_MISSING, "no program lvcreate");
	meaning("  /run/lock/lvm/V_vg0:aux: open failed: Permission denied\n", 5, VMF_E_PERMISSION,
		"lvcreate failed: /run/lock/lvm/V_vg0:aux: open failed: Permission denied");
}
END_TEST

typedef int change_fn(void);

static int change_create(void)
{
	return ops->create(&call, "new-0", 4 << 20, &err);
}

static int change_remove(void)
{
	return ops->remove(&call, "thin-0", &err);
}

static int change_rename(void)
{
	return ops->rename(&call, "web0-0", "web1-0", &err);
}

static int change_grow(void)
{
	return ops->grow(&call, "web0-0", 100 << 20, &err);
}

static int change_snapshot(void)
{
	return ops->snapshot(&call, "web0-2", "a", &err);
}

static int change_snapshot_remove(void)
{
	return ops->snapshot_remove(&call, "web0-0", "one", &err);
}

static int change_clone(void)
{
	return ops->clone(&call, "gold", NULL, "web1-0", 0, &err);
}

static int change_rollback(void)
{
	return ops->rollback(&call, "thin-0", "one", 0, &err);
}

static int change_list(void)
{
	struct vmf_volume_list list = {0};

	return ops->list(&call, NULL, &list, &err);
}

/* Each command of each call fails in turn: the call says so, in the host's own words. */
START_TEST(every_command_may_fail)
{
	static change_fn *const changes[] = {change_create, change_remove, change_rename, change_grow,
		change_snapshot, change_snapshot_remove, change_clone, change_rollback, change_list};
	change_fn *change = changes[_i];

	for (fail_at = 1; fail_at < 50; fail_at++) {
		int rc;

		n_runs = 0;
		rc = change();
		if (n_runs < fail_at) {
			ck_assert_int_eq(rc, 0);
			break;
		}
		/* what comes after the old self has got another name is tried once more */
		if (change == change_rollback && fail_at > 3) {
			ck_assert_int_eq(rc, 0);
			continue;
		}
		ck_assert_int_eq(rc, -1);
		ck_assert_msg(err.message && strstr(err.message, "took too long"), "command %u: %s", fail_at,
			err.message ? err.message : "no error");
		error_clear(&err);
	}
	ck_assert_uint_gt(fail_at, 1);
	ck_assert_uint_lt(fail_at, 50);
}
END_TEST

/* What was begun is taken back. */
START_TEST(rollback_that_fails)
{
	refused = "lvconvert";
	words = "  something is wrong\n";
	status = 5;
	lvs = "{\"report\": [{\"lv\": [{\"lv_name\": \"a\", \"lv_uuid\": \"A\", \"lv_attr\": \"owi-a-s---\", "
	      "\"lv_size\": "
	      "\"4194304\", \"lv_tags\": \"vmf\", \"vg_extent_size\": \"4194304\"}, {\"lv_name\": \"a.one\", "
	      "\"lv_uuid\": \"B\", "
	      "\"lv_attr\": \"sri-a-s---\", \"lv_size\": \"4194304\", \"lv_tags\": "
	      "\"vmf,vmf.snapshot=one,vmf.origin=A,vmf.created=7\", \"origin\": \"a\", \"origin_size\": "
	      "\"4194304\", "
	      "\"data_percent\": \"1.00\"}]}]}";
	ck_assert_int_eq(ops->rollback(&call, "a", "one", 0, &err), -1);
	did("lvchange --addtag vmf.rollback=one:4194304:7 vg0/a",
		"lvchange --deltag vmf.rollback=one:4194304:7 vg0/a", LVM_END);
}
END_TEST

/* A thin volume between its two selves is the old one; the next change gives it its name back. */
#define SELF(lv, uuid, tags) \
	"{\"lv_name\": \"" lv "\", \"lv_uuid\": \"" uuid \
	"\", \"lv_attr\": \"Vwi-a-tz--\", \"lv_tags\": \"" tags \
	"\", \"pool_lv\": \"pool\", \"vg_extent_size\": \"4194304\"}"
#define SELVES(...) "{\"report\": [{\"lv\": [" __VA_ARGS__ "]}]}"
#define DEAD "vmf,vmf.id=A,vmf.by=@:x:1:1" /* @: this machine */

static void selves(const char *form, const char *shown, const char *first, const char *second)
{
	char node[256] = "";
	autofree char *text = NULL;
	struct vmf_volume_list list = {0};

	gethostname(node, sizeof(node) - 1);
	text = str_printf("%.*s%s%s", (int)strcspn(form, "@"), form, node, strchr(form, '@') + 1);
	lvs = text;
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.items[0].name, "a");
	ck_assert_str_eq(list.items[0].id, shown);
	OK(ops->remove(&call, "nobody", &err));
	did(first, second, LVM_END);
}

START_TEST(selves_are_told_apart)
{
	struct vmf_volume_list list = {0};

	selves(SELVES(SELF("a", "A", "vmf") "," SELF("a+new", "B", DEAD)), "/dev/vg0/a", REMOVE("B", "a+new"),
		NULL);
	selves(SELVES(SELF("a+old", "A", "vmf") "," SELF("a+new", "B", DEAD)), "/dev/vg0/a+old",
		"lvrename vg0 a+old a", REMOVE("B", "a+new"));
	selves(SELVES(SELF("a+old", "A", "vmf") "," SELF("a", "B", DEAD)), "/dev/vg0/a", REMOVE("A", "a+old"),
		NULL);
	/* somebody is at work on it: another machine, for all we know */
	lvs = SELVES(SELF("a+old", "A", "vmf") "," SELF("a+new", "B", "vmf,vmf.by=other:x:1:1"));
	OK(ops->list(&call, NULL, &list, &err));
	ck_assert_str_eq(list.items[0].id, "/dev/vg0/a+old");
	OK(ops->remove(&call, "nobody", &err));
	did(NULL, LVM_END);
}
END_TEST

/* ---- what a dead process left ---------------------------------------------------------------- */

START_TEST(leftovers_go)
{
	static const char form[] =
		"{\"report\": [{\"lv\": [{\"lv_name\": \".vmf-x\", \"lv_uuid\": \"X\", \"lv_attr\": "
		"\"-wi-a-----\", \"lv_tags\": "
		"\"vmf,vmf.by=%s\", \"vg_extent_size\": \"4194304\", \"vg_free\": \"1073741824\"}]}]}";
	char node[256] = "", boot[64] = "";
	autofree char *dead = NULL, *over = NULL, *alien = NULL, *text = NULL;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	ck_assert_int_gt(read(fd, boot, 36), 0);
	close(fd);
	gethostname(node, sizeof(node) - 1);
	/* a process that cannot be, one of a boot that is over, one of another machine */
	dead = str_printf("%s:%s:1:1", node, boot);
	over = str_printf("%s:00000000-0000-0000-0000-000000000000:%d:1", node, (int)getpid());
	alien = str_printf("other:%s:1:1", boot);
	for (int i = 0; i < 3; i++) {
		free(text);
		text = str_printf(form, i == 0 ? dead : i == 1 ? over : alien);
		lvs = text;
		OK(ops->remove(&call, "nobody", &err));
		if (i < 2)
			did(REMOVE("X", ".vmf-x"), LVM_END);
		else
			did(NULL, LVM_END);
	}
	/* a dry run touches nothing */
	free(text);
	text = str_printf(form, dead);
	lvs = text;
	call.dry_run = 1;
	OK(ops->remove(&call, "nobody", &err));
	did(NULL, LVM_END);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lvm_failing");
	TCase *failing = tcase_create("failing");

	tcase_add_checked_fixture(failing, setup, teardown);
	tcase_add_test(failing, words_are_understood);
	tcase_add_loop_test(failing, every_command_may_fail, 0, 9);
	tcase_add_test(failing, rollback_that_fails);
	tcase_add_test(failing, leftovers_go);
	tcase_add_test(failing, selves_are_told_apart);
	suite_add_tcase(suite, failing);
	return run_suite(suite);
}
