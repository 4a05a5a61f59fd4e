/* SPDX-License-Identifier: ISC */
/* Volumes of the plugin storage-file-qcow2: new ones, and clones and copies of all kinds of images. */
#include "file_qcow2.h"

/* ---- new volumes -------------------------------------------------------------------------- */

static const char *const preallocations[] = {"off", "metadata", "falloc", "full"};

START_TEST(create_allocated)
{
	autofree char *more = str_printf("\"preallocation\": \"%s\"", preallocations[_i]);
	autofree char *raw = str_printf("%s, \"format\": \"raw\"", more);

	use(more);
	OK(ops->create(&call, "v", 16 << 20, &err));
	sound("v.qcow2");
	ck_assert(has("v.qcow2", 0, 16, 0));
	must("test $(stat -c %%b v.qcow2) %s 32000", _i < 2 ? "-lt" : "-gt");
	must("qemu-img info v.qcow2 | grep -q '16777216 bytes'");
	/* all clusters have a place, so that the guest's writes need none */
	must("qemu-img check v.qcow2 | grep -q '^256/256 =' %s", _i ? "" : "&& exit 1 || exit 0");
	if (_i == 1)
		return;
	use(raw);
	OK(ops->create(&call, "r", (16 << 20) - 5, &err));
	must("test $(stat -c %%s r.raw) = 16777216");
	must("test $(stat -c %%b r.raw) %s 32000", _i < 2 ? "-lt" : "-gt");
}
END_TEST

START_TEST(create_odd_sizes)
{
	static const char *const clusters[] = {"512", "4K", "64K", "2M"};
	static const uint64_t sizes[] = {512, 65536 + 512, (uint64_t)3 << 30};

	for (size_t i = 0; i < VMF_COUNT(clusters); i++)
		for (size_t k = 0; k < VMF_COUNT(sizes); k++) {
			autofree char *more = str_printf("\"cluster_size\": \"%s\"", clusters[i]);
			autofree char *name = str_printf("v%zu-%zu", i, k);
			autofree char *file = str_printf("%s.qcow2", name);

			use(more);
			OK(ops->create(&call, name, sizes[k], &err));
			sound(file);
			must("qemu-img info %s | grep -q '(%llu bytes)'", file, (unsigned long long)sizes[k]);
		}
}
END_TEST

START_TEST(grow_keeps_data)
{
	use("\"format\": \"raw\", \"preallocation\": \"full\"");
	OK(ops->create(&call, "r", 4 << 20, &err));
	put("r.raw", 1, 2, 77);
	OK(ops->grow(&call, "r", 8 << 20, &err));
	ck_assert(has("r.raw", 1, 2, 77));
	ck_assert(has("r.raw", 4, 4, 0));
	must("test $(stat -c %%b r.raw) -ge 16384");
	use("");
	OK(ops->create(&call, "q", 4 << 20, &err));
	put("q.qcow2", 1, 2, 78);
	OK(ops->grow(&call, "q", 8 << 20, &err));
	ck_assert(has("q.qcow2", 1, 2, 78));
	must("qemu-img info q.qcow2 | grep -q '8388608 bytes'");
}
END_TEST

/* ---- clones ------------------------------------------------------------------------------- */

START_TEST(clone_overlay)
{
	struct vmf_volume_list list = {0};
	struct vmf_block block = {.size = sizeof(block)};

	OK(ops->create(&call, "gold", 16 << 20, &err));
	put("gold.qcow2", 0, 4, 1);
	id.uuid = "99999999-2222-3333-4444-555555555555";
	OK(make_clone("gold", NULL, "web", 0));
	sound("web.qcow2");
	same("gold.qcow2", "web.qcow2");
	put("web.qcow2", 0, 2, 2);
	ck_assert(has("gold.qcow2", 0, 4, 1));
	ck_assert(has("web.qcow2", 0, 2, 2) && has("web.qcow2", 2, 2, 1) && has("web.qcow2", 4, 12, 0));
	OK(ops->list(&call, "web", &list, &err));
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.items[0].origin, "gold");
	ck_assert_str_eq(list.items[0].owner_uuid, id.uuid);
	OK(ops->attach(&call, "web", &block, &err));
	ck_assert_uint_eq(block.n_layers, 2);
	ck_assert(str_ends(block.layers[1].path, "/gold.qcow2"));
	ck_assert_uint_eq(block.discard, 1);
	ck_assert_uint_eq(block.detect_zeroes, 1);

	/* an overlay cannot lose its base */
	REFUSED(ops->remove(&call, "gold", &err), VMF_E_STATE, "web stands on it");
	REFUSED(ops->rename(&call, "gold", "silver", &err), VMF_E_STATE, "web stands on it");
	REFUSED(ops->attach(&call, "gold", &block, &err), VMF_E_STATE, "web stands on it");
	must("qemu-img snapshot -c one gold.qcow2");
	REFUSED(ops->rollback(&call, "gold", "one", 0, &err), VMF_E_STATE, "web stands on it");
	block = (struct vmf_block){.size = sizeof(block), .readonly = 1};
	OK(ops->attach(&call, "gold", &block, &err));
	OK(ops->remove(&call, "web", &err));
	block = (struct vmf_block){.size = sizeof(block)};
	OK(ops->attach(&call, "gold", &block, &err));
	OK(ops->remove(&call, "gold", &err));
	ck_assert(!exists("gold.qcow2") && !exists(".vmf/gold.qcow2.base"));
}
END_TEST

/* Foreign images as bases: raw, of an odd size, a link, a name with a colon, and overlays on overlays. */
START_TEST(clone_of_foreign)
{
	must("qemu-img create -f raw gold.raw 4M && truncate -s 4194805 gold.raw");
	put("gold.raw", 0, 4, 3);
	must("printf x | dd of=gold.raw bs=1 seek=4194804 conv=notrunc");
	OK(make_clone("gold", NULL, "a", 0));
	same("gold.raw", "a.qcow2");
	must("mkdir sub && mv a.qcow2 sub/a.qcow2 && ln -s sub/a.qcow2 'a:b.qcow2'");
	OK(make_clone("a:b", NULL, "c", 0));
	same("gold.raw", "c.qcow2");
	put("c.qcow2", 1, 1, 9);
	OK(make_clone("c", NULL, "d", 1));
	must("rm c.qcow2 a:b.qcow2 sub/a.qcow2 gold.raw");
	ck_assert(has("d.qcow2", 0, 1, 3) && has("d.qcow2", 1, 1, 9) && has("d.qcow2", 2, 2, 3));
}
END_TEST

START_TEST(clone_refusals)
{
	struct user user;
	autofree char *before = NULL, *after = NULL;

	OK(ops->create(&call, "gold", 4 << 20, &err));
	OK(ops->create(&call, "taken", 4 << 20, &err));
	OK(ops->snapshot(&call, "gold", "one", &err));
	before = listing();
	REFUSED(make_clone("gold", NULL, "taken", 0), VMF_E_EXISTS, "exists");
	REFUSED(make_clone("gold", NULL, "taken", 1), VMF_E_EXISTS, "exists");
	REFUSED(make_clone("gold", NULL, "a/b", 1), VMF_E_USAGE, "not a volume's name");
	REFUSED(make_clone("gold", "one", "web", 0), VMF_E_UNSUPPORTED, "nothing can stand on a snapshot");
	REFUSED(make_clone("gold", "two", "web", 1), VMF_E_NOT_FOUND, "no snapshot \"two\"");
	user = use_image("gold.qcow2");
	REFUSED(make_clone("gold", NULL, "web", 0), VMF_E_BUSY, "open for writing");
	REFUSED(make_clone("gold", NULL, "web", 1), VMF_E_BUSY, "open for writing");
	call.dry_run = 1;
	REFUSED(make_clone("gold", NULL, "web", 0), VMF_E_BUSY, "open for writing");
	call.dry_run = 0;
	/* a snapshot stays as it is while somebody writes */
	OK(make_clone("gold", "one", "from-one", 1));
	OK(ops->remove(&call, "from-one", &err));
	let_go(user);
	use("\"format\": \"raw\"");
	REFUSED(make_clone("gold", NULL, "web", 0), VMF_E_UNSUPPORTED, "raw volume cannot stand on");
	call.dry_run = 1;
	use("");
	call.dry_run = 1;
	OK(make_clone("gold", NULL, "web", 0));
	OK(make_clone("gold", NULL, "web", 1));
	after = listing();
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(copies)
{
	static const char *const kinds[] = {"", "\"format\": \"raw\"", "\"cluster_size\": \"4K\"",
		"\"cluster_size\": \"2M\"", "\"preallocation\": \"metadata\"",
		"\"preallocation\": \"full\", \"format\": \"raw\""};
	const char *source = strstr(sources[_i], "s.raw") ? "s.raw" : "s.qcow2";

	must("%s", sources[_i]);
	scribble(source, (unsigned)_i);
	for (size_t k = 0; k < VMF_COUNT(kinds); k++) {
		autofree char *name = str_printf("copy%zu", k);
		autofree char *file = str_printf("%s.%s", name, strstr(kinds[k], "raw") ? "raw" : "qcow2");

		use(kinds[k]);
		OK(make_clone("s", NULL, name, 1));
		same(source, file);
		if (strstr(file, "qcow2")) {
			sound(file);
			must("qemu-img info '%s' | grep -q 'backing' && exit 1 || exit 0", file);
		}
	}
	if (_i == 0 || _i == 9) /* holes stay holes */
		must("test $(stat -c %%b copy1.raw) -lt $((33 * 2048 - 4000))");
}
END_TEST

START_TEST(copy_of_snapshot)
{
	OK(ops->create(&call, "v", 8 << 20, &err));
	put("v.qcow2", 0, 2, 1);
	OK(ops->snapshot(&call, "v", "a,b", &err)); /* QEMU's options part words by commas */
	put("v.qcow2", 0, 4, 2);
	OK(ops->grow(&call, "v", 16 << 20, &err));
	OK(make_clone("v", "a,b", "old", 1));
	OK(make_clone("v", NULL, "new", 1));
	sound("old.qcow2");
	sound("new.qcow2");
	ck_assert(has("old.qcow2", 0, 2, 1) && has("old.qcow2", 2, 6, 0));
	ck_assert(has("new.qcow2", 0, 4, 2) && has("new.qcow2", 4, 12, 0));
	must("qemu-img info old.qcow2 | grep -q '(8388608 bytes)'");
	must("qemu-img snapshot -l new.qcow2 | grep -q a,b && exit 1 || exit 0");
	/* and where only qemu-img can read it */
	must("qemu-img create -q -f qcow2 -o extended_l2=on e.qcow2 8M && qemu-io -c 'write -P 7 0 1M' "
	     "e.qcow2 &&"
	     "qemu-img snapshot -c 5 e.qcow2 && qemu-io -c 'write -P 8 0 1M' e.qcow2 && qemu-img snapshot -c "
	     "1 e.qcow2");
	OK(make_clone("e", "5", "e5", 1));
	OK(make_clone("e", "1", "e1", 1));
	ck_assert(has("e5.qcow2", 0, 1, 7) && has("e1.qcow2", 0, 1, 8));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file-qcow2");
	TCase *tests = tcase_create("volumes");

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 300);
	tcase_add_loop_test(tests, create_allocated, 0, (int)VMF_COUNT(preallocations));
	tcase_add_test(tests, create_odd_sizes);
	tcase_add_test(tests, grow_keeps_data);
	tcase_add_test(tests, clone_overlay);
	tcase_add_test(tests, clone_of_foreign);
	tcase_add_test(tests, clone_refusals);
	tcase_add_loop_test(tests, copies, 0, N_SOURCES);
	tcase_add_test(tests, copy_of_snapshot);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
