/* SPDX-License-Identifier: ISC */
/* Snapshots inside of qcow2 volumes, of VMs that are off and that run. */
#include "file_qcow2.h"

#include <stdio.h>

START_TEST(snapshots)
{
	struct vmf_snapshot_list list;
	/* names that are other snapshots' numbers: qemu-img would take the number */
	static const char *const names[] = {"2", "1", "x", "it's \"so\""};

	OK(ops->create(&call, "v", 8 << 20, &err));
	for (unsigned i = 0; i < VMF_COUNT(names); i++) {
		put("v.qcow2", 0, 1, i + 1);
		OK(ops->snapshot(&call, "v", names[i], &err));
		REFUSED(ops->snapshot(&call, "v", names[i], &err), VMF_E_EXISTS, "already");
	}
	put("v.qcow2", 0, 1, 99);
	OK(ops->snapshots(&call, "v", &list, &err));
	ck_assert_uint_eq(list.count, VMF_COUNT(names));
	for (unsigned i = 0; i < VMF_COUNT(names); i++) {
		ck_assert_str_eq(list.items[i].name, names[i]);
		ck_assert_uint_eq(list.items[i].is_ours, 1);
		ck_assert_int_gt(list.items[i].created, 1500000000);
	}
	for (unsigned i = VMF_COUNT(names); i-- > 0;) {
		OK(ops->rollback(&call, "v", names[i], 0, &err));
		ck_assert_msg(has("v.qcow2", 0, 1, i + 1), "snapshot %s", names[i]);
	}
	OK(ops->snapshot_remove(&call, "v", "1", &err));
	OK(ops->snapshot_remove(&call, "v", "1", &err)); /* gone already */
	OK(ops->snapshots(&call, "v", &list, &err));
	ck_assert_uint_eq(list.count, VMF_COUNT(names) - 1);
	ck_assert_str_eq(list.items[0].name, "2");
	REFUSED(ops->rollback(&call, "v", "1", 0, &err), VMF_E_NOT_FOUND, "no snapshot \"1\"");
	OK(ops->rollback(&call, "v", "x", 0, &err));
	ck_assert(has("v.qcow2", 0, 1, 3));
	sound("v.qcow2");
	must("qemu-img snapshot -c x v.qcow2");
	REFUSED(ops->rollback(&call, "v", "x", 0, &err), VMF_E_STATE, "2 snapshots \"x\"");
}
END_TEST

START_TEST(snapshot_refusals)
{
	struct vmf_snapshot_list list;
	struct user user;

	must("qemu-img create -q -f qcow2 foreign.qcow2 4M && qemu-img snapshot -c one foreign.qcow2");
	REFUSED(ops->snapshot(&call, "foreign", "two", &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->rollback(&call, "foreign", "one", 0, &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->snapshot_remove(&call, "foreign", "one", &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->remove(&call, "foreign", &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->rename(&call, "foreign", "mine", &err), VMF_E_PERMISSION, "not made by vmf");
	OK(ops->snapshots(&call, "foreign", &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_uint_eq(list.items[0].is_ours, 0);

	use("\"format\": \"raw\"");
	OK(ops->create(&call, "r", 4 << 20, &err));
	use("");
	REFUSED(ops->snapshot(&call, "r", "one", &err), VMF_E_UNSUPPORTED, "raw");
	REFUSED(ops->rollback(&call, "r", "one", 0, &err), VMF_E_UNSUPPORTED, "raw");
	REFUSED(make_clone("r", "one", "c", 1), VMF_E_UNSUPPORTED, "raw");
	OK(ops->snapshots(&call, "r", &list, &err));
	ck_assert_uint_eq(list.count, 0);

	/* another file under the volume's name is foreign, though the mark is there */
	OK(ops->create(&call, "v", 4 << 20, &err));
	OK(ops->snapshot(&call, "v", "one", &err));
	user = use_image("v.qcow2");
	REFUSED(ops->rollback(&call, "v", "one", 0, &err), VMF_E_STATE, "in use");
	let_go(user);
	must("cp v.qcow2 other && mv other v.qcow2");
	REFUSED(ops->rollback(&call, "v", "one", 0, &err), VMF_E_PERMISSION, "not made by vmf");
	REFUSED(ops->snapshot_remove(&call, "v", "one", &err), VMF_E_PERMISSION, "not made by vmf");
}
END_TEST

static char asked[256];

static int record_qmp(void *data, const char *command, const char *arguments, int fd, const char *fd_name,
	char **answer, struct vmf_error *e)
{
	(void)data;
	(void)fd;
	(void)fd_name;
	(void)answer;
	(void)e;
	snprintf(asked, sizeof(asked), "%s %s", command, arguments);
	return 0;
}

static int refuse_qmp(void *data, const char *command, const char *arguments, int fd, const char *fd_name,
	char **answer, struct vmf_error *e)
{
	record_qmp(data, command, arguments, fd, fd_name, answer, e);
	return vmf_fail(e, VMF_E_STATE, 0, NULL, "no QEMU listens");
}

/* With a VM on the volume it is QEMU that is asked, on the slot's node. */
START_TEST(snapshot_live)
{
	struct user user;

	OK(ops->create(&call, "v", 4 << 20, &err));
	OK(ops->snapshot(&call, "v", "old", &err));
	services.qmp = record_qmp;
	user = use_image("v.qcow2");
	OK(ops->snapshot(&call, "v", "a\"b", &err));
	ck_assert_str_eq(
		asked, "blockdev-snapshot-internal-sync {\"device\": \"disk-root\", \"name\": \"a\\\"b\"}");
	OK(ops->snapshot_remove(&call, "v", "old", &err));
	ck_assert_str_eq(asked,
		"blockdev-snapshot-delete-internal-sync {\"device\": \"disk-root\", \"name\": \"old\"}");
	asked[0] = '\0';
	call.dry_run = 1;
	OK(ops->snapshot(&call, "v", "new", &err));
	REFUSED(ops->snapshot(&call, "v", "old", &err), VMF_E_EXISTS, "already");
	ck_assert_str_eq(asked, "query-status (null)");
	call.dry_run = 0;
	/* nor is there if it is off, and somebody else has the volume open */
	services.qmp = refuse_qmp;
	REFUSED(ops->snapshot(&call, "v", "new", &err), VMF_E_BUSY, "in use");
	REFUSED(ops->grow(&call, "v", 8 << 20, &err), VMF_E_BUSY, "in use");
	/* without a VM in the call there is nobody to ask */
	call.vm = NULL;
	REFUSED(ops->snapshot(&call, "v", "new", &err), VMF_E_BUSY, "in use");
	let_go(user);
	services.qmp = NULL;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file-qcow2");
	TCase *tests = tcase_create("snapshots");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, snapshots);
	tcase_add_test(tests, snapshot_refusals);
	tcase_add_test(tests, snapshot_live);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
