/* SPDX-License-Identifier: ISC */
/* One line of a person's file changes, and nothing else. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf-schema.h"

static struct vmf_error err;

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(chdir("/"), 0);
}

static void teardown(void)
{
	error_clear(&err);
}

/* before, KEY=VALUE (or KEY alone: remove), after (NULL: as before) */
static const struct {
	const char *before, *setting, *after;
} edits[] = {
	/* new options */
	{"", "memory=2G", "memory = \"2G\"\n"},
	{"cpus = 2", "memory=2G", "cpus = 2\nmemory = \"2G\"\n"},
	{"# head\n\ncpus = 2 # two\n# tail\n", "memory=2G",
		"# head\n\ncpus = 2 # two\nmemory = \"2G\"\n# tail\n"},
	{"cpus = 2 /* a\nb */\n", "memory=2G", "cpus = 2\nmemory = \"2G\"\n /* a\nb */\n"},
	{"cpus = 2 disk \"a\" { }\n", "memory=2G", "cpus = 2\nmemory = \"2G\"\n disk \"a\" { }\n"},
	{"disk \"a\" { }\n# end\n", "memory=2G", "disk \"a\" { }\n# end\nmemory = \"2G\"\n"},
	{"cpus = 2\ndisk \"a\" {\n}\n", "memory=2G", "cpus = 2\nmemory = \"2G\"\ndisk \"a\" {\n}\n"},
	{"\xef\xbb\xbf"
	 "cpus = 2\n",
		"class=x",
		"\xef\xbb\xbf"
		"cpus = 2\nclass = \"x\"\n"},
	/* changed ones */
	{"memory = \"1G\" # why\n", "memory=2G", "memory = \"2G\" # why\n"},
	{"memory=1G// why\n", "memory=2G", NULL}, /* an error, see below */
	{"  memory  =  1G\n", "memory=2G", "  memory  =  2G\n"},
	{"memory = 1G\n", "memory=1.5G", "memory = 1.5G\n"},
	{"class = a\n", "class=b c", "class = \"b c\"\n"},
	{"class = a\n", "class=", "class = \"\"\n"},
	{"class = 'a'\n", "class=it's \"b\" ${c} \\d", "class = \"it's \\\"b\\\" \\${c} \\\\d\"\n"},
	{"class = \"a\\\nb\" # x\n", "class=c", "class = \"c\" # x\n"},
	{"cpus = 1 cpus_ = 2\n", "cpus=3", NULL}, /* an error, see below */
	{"/* class = a */ class = b\n", "class=c", "/* class = a */ class = c\n"},
	/* variables keep their wrapper */
	{"memory = ${mem:-1G} # x\n", "memory=2G", "memory = ${mem:-2G} # x\n"},
	{"memory = \"${mem:-1G}\"\n", "memory=2G", "memory = \"${mem:-2G}\"\n"},
	{"memory = ${mem}\n", "memory=2G", "memory = \"2G\"\n"},
	{"memory = ${mem:-}\n", "memory=2G", "memory = ${mem:-2G}\n"},
	{"class = \"a${b:-c}\"\n", "class=d", "class = \"d\"\n"},
	{"class = \"${a:-b}${c:-d}\"\n", "class=d", "class = \"d\"\n"},
	{"class = '${a:-b}'\n", "class=d", "class = \"d\"\n"},
	{"class = ${a:-b}\n", "class=c}d", "class = \"c}d\"\n"},
	{"class = ${a:-b}\n", "class=x y", "class = ${a:-x y}\n"},
	/* lists */
	{"", "args=-a", "args = {\"-a\"}\n"},
	{"", "args+=-a", "args += {\"-a\"}\n"},
	{"", "args={\"-a\", '-b'}", "args = {\"-a\", \"-b\"}\n"},
	{"args = {\"x\"} # y\n", "args={\"-a\",-b}", "args = {\"-a\", \"-b\"} # y\n"},
	{"args = {\"x\"} # y\n", "args+=-a", "args = {\"x\", \"-a\"} # y\n"},
	{"args = {\"x\",}\n", "args+={a,b}", "args = {\"x\", \"a\", \"b\"}\n"},
	{"args = {}\n", "args+=-a", "args = {\"-a\"}\n"},
	{"args = x\n", "args+=-a", "args = {x, \"-a\"}\n"},
	{"args = {\n\t\"x\", # one }\n\t\"y\" # two\n}\n", "args+=z",
		"args = {\n\t\"x\", # one }\n\t\"y\", \"z\" # two\n}\n"},
	{"args = {a}\nargs += {b}\n", "args+=c", "args = {a}\nargs += {b, \"c\"}\n"},
	{"args = {a}\ncpus = 2\nargs += {b} # x\nargs += c\n", "args=d", "args = {\"d\"}\ncpus = 2\n"},
	{"args += {a}\n", "args=d", "args = {\"d\"}\n"},
	{"args = {a}\nargs += {b}\n", "args", ""},
	/* removal */
	{"cpus = 2\nmemory = 1G # x\nclass = a\n", "memory", "cpus = 2\nclass = a\n"},
	{"cpus = 2 memory = 1G class = a\n", "memory", "cpus = 2 class = a\n"},
	{"cpus = 2\n\tmemory = 1G", "memory", "cpus = 2\n"},
	{"memory = 1G /* a\nb */\n", "memory", " /* a\nb */\n"},
	{"cpus = 2\n", "memory", "cpus = 2\n"},
	{"args = {\n a,\n b\n} # x\ncpus = 2\n", "args", "cpus = 2\n"},
	/* sections */
	{"", "disk.root.size=20G", "disk \"root\" {\n\tsize = \"20G\"\n}\n"},
	{"cpus = 2", "disk.\"a.b\".size=20G", "cpus = 2\n\ndisk \"a.b\" {\n\tsize = \"20G\"\n}\n"},
	{"cpus = 2\n\n", "disk.a.size=20G", "cpus = 2\n\ndisk \"a\" {\n\tsize = \"20G\"\n}\n"},
	{"disk \"a\" { }\n", "disk.a.size=20G", "disk \"a\" { size = \"20G\" }\n"},
	{"disk \"a\" {}\n", "disk.a.size=20G", "disk \"a\" { size = \"20G\" }\n"},
	{"disk \"a\" { size = \"1G\" } # x\n", "disk.a.size=20G", "disk \"a\" { size = \"20G\" } # x\n"},
	{"disk \"a\" { size = 1G }\n", "disk.a.storage=s", "disk \"a\" { size = 1G storage = \"s\" }\n"},
	{"disk \"a\" {\n\tsize = 1G # x\n}\n", "disk.a.storage=s",
		"disk \"a\" {\n\tsize = 1G # x\n\tstorage = \"s\"\n}\n"},
	{"  disk \"a\" {\n  }\n", "disk.a.size=1G", "  disk \"a\" {\n  \tsize = \"1G\"\n  }\n"},
	{"disk \"a\" {\n\tsize = 1G }\n", "disk.a.storage=s",
		"disk \"a\" {\n\tsize = 1G storage = \"s\" }\n"},
	{"disk \"a\" { size = 1G readonly = yes }\n", "disk.a.size", "disk \"a\" { readonly = yes }\n"},
	{"disk \"a\" {\n\tsize = 1G\n\treadonly = yes\n}\n", "disk.a.size",
		"disk \"a\" {\n\treadonly = yes\n}\n"},
	{"disk \"a\" { size = 1G }\ndisk \"b\" { size = 2G }\n", "disk.b.size=3G",
		"disk \"a\" { size = 1G }\ndisk \"b\" { size = 3G }\n"},
	{"cpus = 2\ndisk \"a\" {\n\tsize = 1G\n} # x\nclass = b\n", "disk.a", "cpus = 2\nclass = b\n"},
	{"cpus = 2\n", "disk.a", "cpus = 2\n"},
	{"cpus = 2\n", "disk.a.size", "cpus = 2\n"},
	/* plugins' sections */
	{"", "display.vnc-tcp.port=5901", "display {\n\tvnc-tcp {\n\t\tport = \"5901\"\n\t}\n}\n"},
	{"display {\n}\n", "display.vnc-tcp.port=5901",
		"display {\n\tvnc-tcp {\n\t\tport = \"5901\"\n\t}\n}\n"},
	{"display { }\n", "display.vnc-tcp.port=5901", "display { vnc-tcp { port = \"5901\" } }\n"},
	{"display { vnc-tcp { port = 5900 } }\n", "display.vnc-tcp.port=5901",
		"display { vnc-tcp { port = 5901 } }\n"},
	{"display { vnc-tcp { port = 5900 } }\n", "display.vnc-tcp.port", "display { vnc-tcp { } }\n"},
	{"display { vnc-tcp { port = 5900 } vnc-unix { } }\n", "display.vnc-tcp",
		"display { vnc-unix { } }\n"},
	{"display { a { l = {x /* } */, y} } }\n", "display.a.l+=z",
		"display { a { l = {x /* } */, y, \"z\"} } }\n"},
	{"display { a { } }\n", "display.a.l+=z", "display { a { l += {\"z\"} } }\n"},
	{"display { a { } }\n", "display.a.l={p, q}", "display { a { l = {p, q} } }\n"},
	{"display { a { k = v } }\n", "display.a.k={p}", "display { a { k = {p} } }\n"},
	/* paths are the person's, not the file's; other forms are made canonical */
	{"", "cdrom=iso/x.iso", "cdrom = \"/iso/x.iso\"\n"},
	{"", "cdrom=/x.iso", "cdrom = \"/x.iso\"\n"},
	{"", "nic.a.mac=02-00-5E-10-00-01", "nic \"a\" {\n\tmac = \"02:00:5e:10:00:01\"\n}\n"},
	/* lines end as they did */
	{"cpus = 2\r\nclass = a\r\n", "cpus=3", "cpus = 3\r\nclass = a\r\n"},
	{"cpus = 2\r\n", "disk.a.size=1G", "cpus = 2\r\n\r\ndisk \"a\" {\r\n\tsize = \"1G\"\r\n}\r\n"},
	/* what cannot be read from here does not matter */
	{"include(\"/none\")\ncpus = ${unset} memory = 5X\n", "memory=1G",
		"include(\"/none\")\ncpus = ${unset} memory = 1G\n"},
};

static char *edit(const char *before, const char *setting)
{
	autofree char *key = str_dup(setting);
	char *value = strchr(key, '=');

	if (value)
		*value++ = '\0';
	return conf_edit_text(&test_schema, "/f", before, key, value, &err);
}

START_TEST(one_change)
{
	autofree char *after = edit(edits[_i].before, edits[_i].setting);

	if (!edits[_i].after) {
		ck_assert_ptr_null(after);
		ck_assert_int_eq(err.code, VMF_E_CONFIG);
		return;
	}
	ck_assert_msg(after != NULL, "%s in \"%s\": %s", edits[_i].setting, edits[_i].before, err.message);
	ck_assert_str_eq(after, edits[_i].after);
}
END_TEST

/* The same change twice is one; and the tree has what was set. */
START_TEST(changes_last)
{
	const char *setting = edits[_i].setting;
	autofree char *once = edits[_i].after ? edit(edits[_i].before, setting) : NULL;
	autofree char *twice = NULL;
	struct conf *a, *b;

	if (!once || strstr(setting, "+=") || strstr(once, "include"))
		return;
	twice = edit(once, setting);
	ck_assert_str_eq(once, twice);
	if (!strchr(setting, '=') || strstr(setting, "display"))
		return;
	a = conf_new(&test_schema);
	b = conf_new(&test_schema);
	ck_assert_msg(conf_add_text(a, "/f", once, strlen(once), &err) == 0, "%s", err.message);
	ck_assert_int_eq(conf_add_setting(b, setting, "-o", &err), 0);
	for (size_t i = 0; i < test_schema.n_options; i++) {
		const char *name = test_root_options[i].name;

		if (conf_is_set(conf_root(b), name))
			ck_assert_str_eq(conf_string(conf_root(a), name), conf_string(conf_root(b), name));
	}
	if (conf_root(b)->n_sections)
		ck_assert_str_eq(conf_root(b)->sections[0]->title,
			conf_find(conf_root(a), conf_root(b)->sections[0]->keyword,
				conf_root(b)->sections[0]->title)
				->title);
	conf_free(a);
	conf_free(b);
}
END_TEST

static const struct {
	const char *before, *setting;
	int code;
	const char *message;
} refusals[] = {
	{"", "memroy=1G", VMF_E_CONFIG, "memroy: unknown word \"memroy\""},
	{"", "memory=1X", VMF_E_CONFIG, "memory: \"1X\" is no size, its unit is K, M, G or T"},
	{"", "memory+=1G", VMF_E_CONFIG, "memory takes one value, write = instead of +="},
	{"", "disk.a=1G", VMF_E_USAGE, "disk.a is a section, name an option in it"},
	{"", "disk.a.lvm", 0, NULL},
	{"", "memroy", VMF_E_CONFIG, "memroy: unknown word \"memroy\""},
	{"", "", VMF_E_USAGE, "\"\" is no key"},
	{"cpus = 2\nfoo\n", "memory=1G", VMF_E_CONFIG,
		"/f:2: \"foo\" cannot stand here alone: write NAME = VALUE"},
	{"disk \"a\" {\n", "memory=1G", VMF_E_CONFIG, "/f:1: the section that begins here has no end, add }"},
	{"# \xff\n", "memory=1G", VMF_E_CONFIG, "/f: not a text file in UTF-8, or too large"},
	{"display { a { } }\n", "display.a.l={p", 0, NULL},
	{"display { a { } }\n", "display.a.l={p q}", VMF_E_FAILED,
		"/f: display.a.l cannot be changed: /f:1: a comma is missing, lists are written {\"a\", "
		"\"b\"}"},
};

START_TEST(what_is_refused)
{
	autofree char *after = edit(refusals[_i].before, refusals[_i].setting);

	if (!refusals[_i].message) {
		ck_assert_ptr_nonnull(after);
		return;
	}
	ck_assert_ptr_null(after);
	ck_assert_int_eq(err.code, refusals[_i].code);
	ck_assert_str_eq(err.message, refusals[_i].message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("edit");
	TCase *tc = tcase_create("edit");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, one_change, 0, VMF_COUNT(edits));
	tcase_add_loop_test(tc, changes_last, 0, VMF_COUNT(edits));
	tcase_add_loop_test(tc, what_is_refused, 0, VMF_COUNT(refusals));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
