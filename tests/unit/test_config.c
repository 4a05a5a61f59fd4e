/* SPDX-License-Identifier: ISC */
/* Reading, merging, and what is said of files that are wrong. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "conf-schema.h"

static struct vmf_error err;
static struct conf *conf;
static const struct conf_section *root;
static char folder[64];

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	strcpy(folder, "/tmp/vmf-test-config-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(setenv("HOME", "/home/me", 1), 0);
	unsetenv("nothing");
	ck_assert_int_eq(setenv("something", "4G", 1), 0);
	conf = conf_new(&test_schema);
	root = conf_root(conf);
}

static void teardown(void)
{
	struct vmf_error ignored = VMF_ERROR_INIT;

	conf_free(conf);
	ck_assert_int_eq(file_remove_tree(folder, &ignored), 0);
	error_clear(&err);
}

static const char *put(const char *name, const char *text)
{
	static char path[4][128];
	static unsigned next;
	char *to = path[next++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", folder, name);
	ck_assert_int_eq(file_write(to, text, strlen(text), 0600, false, &err), 0);
	return to;
}

static void add_to(struct conf *to, const char *name, const char *text)
{
	ck_assert_msg(conf_add_text(to, name, text, strlen(text), &err) == 0, "%s", err.message);
}

static void add(const char *text)
{
	add_to(conf, "t", text);
}

static void expect(const char *message)
{
	ck_assert_ptr_nonnull(err.message);
	ck_assert_str_eq(err.message, message);
	error_clear(&err);
}

static void expect_items(const struct conf_value *value, const char *joined)
{
	struct strv v;
	autofree char *text = NULL;

	ck_assert_ptr_nonnull(value);
	v = (struct strv){value->items, value->n_items};
	text = strv_join(&v, "|");
	ck_assert_str_eq(text, joined);
	ck_assert_ptr_null(value->items[value->n_items]);
}

static const char *where(const struct conf_section *in, const char *name)
{
	const struct conf_value *value = conf_get(in, name);

	ck_assert_ptr_nonnull(value);
	return conf_where(value->file, value->line);
}

/* ---- what is right ------------------------------------------------------------------------ */

START_TEST(defaults)
{
	ck_assert_int_eq(conf_number(root, "memory"), 512 << 20);
	ck_assert_str_eq(conf_string(root, "memory"), "512M");
	ck_assert_str_eq(where(root, "memory"), "built-in");
	ck_assert(!conf_is_set(root, "memory"));
	ck_assert_int_eq(conf_number(root, "timeout"), 60000);
	expect_items(conf_get(root, "words"), "one|two");
	ck_assert_ptr_null(conf_get(root, "class"));
	ck_assert_ptr_null(conf_string(root, "class"));
	ck_assert_int_eq(conf_number(root, "class"), 0);
	ck_assert(!conf_is_set(root, "class"));
	ck_assert_ptr_null(conf_get(root, "no such"));
	ck_assert_ptr_null(conf_get(NULL, "memory"));
	ck_assert_ptr_null(conf_find(NULL, "disk", NULL));
	ck_assert_ptr_null(conf_find(root, "disk", NULL));
}
END_TEST

static const char all_of_it[] = "\xef\xbb\xbf# a comment: memory = 1G\n"
				"class   = \"lab\"   // another { \" '\n"
				"memory  = ${something} /* of\n"
				"several } lines */ cpus=2\r\n"
				"disk \"root\" { storage = \"fast\"  size = \"20G\" lvm { thin = yes } }\n"
				"disk swap\n"
				"{\n"
				"\tsize = 1024 # bytes\n"
				"}\n"
				"\n"
				"nic 'lan' { mac = 02-00-5E-10-00-01 }\n"
				"display { vnc-tcp { port = 5901 } vnc-unix { } }\n"
				"storage = 'it''s'\n";

START_TEST(syntax)
{
	const struct conf_section *disk;
	static const char text[] =
		"class = 'it\\'s \\n # no comment' # one\n"
		"append = \"tab\\t \\\"x\\\" \\x41\\102 ${nothing:-de fault} \\${no} two\\\n"
		"lines\"\n"
		"args = { # first\n"
		"  \"a,b\", // second\n"
		"  'c}', /* third */ -d,\n"
		"}\n"
		"args += {}\n"
		"args += \"e\"\n"
		"cdrom = ${nothing:-/srv/a b.iso}\n";

	ck_assert_int_eq(conf_add_text(conf, "t", all_of_it,
				 sizeof(all_of_it) - 1 - strlen("storage = 'it''s'\n"), &err),
		0);
	add_to(conf, "u", text);
	ck_assert_str_eq(conf_string(root, "class"), "it's \\n # no comment");
	ck_assert_str_eq(where(root, "class"), "u:1");
	ck_assert_int_eq(conf_number(root, "memory"), INT64_C(4) << 30);
	ck_assert_str_eq(where(root, "memory"), "t:3");
	ck_assert_int_eq(conf_number(root, "cpus"), 2);
	ck_assert_str_eq(where(root, "cpus"), "t:4");
	ck_assert_str_eq(conf_string(root, "append"), "tab\t \"x\" AB de fault ${no} twolines");
	expect_items(conf_get(root, "args"), "a,b|c}|-d|e");
	ck_assert_str_eq(where(root, "args"), "u:9");
	ck_assert_str_eq(conf_string(root, "cdrom"), "/srv/a b.iso");
	disk = conf_find(root, "disk", "root");
	ck_assert_str_eq(conf_string(disk, "size"), "20G");
	ck_assert_str_eq(conf_where(disk->file, disk->line), "t:5");
	ck_assert_uint_eq(disk->n_sections, 1);
	ck_assert_str_eq(disk->sections[0]->keyword, "lvm");
	disk = conf_find(root, "disk", "swap");
	ck_assert_int_eq(conf_number(disk, "size"), 1024);
	ck_assert_str_eq(where(disk, "size"), "t:8");
	ck_assert_int_eq(conf_number(disk, "readonly"), 0);
	ck_assert_str_eq(conf_string(conf_find(root, "nic", NULL), "mac"), "02:00:5e:10:00:01");
	ck_assert_uint_eq(conf_find(root, "display", NULL)->n_sections, 2);
	ck_assert_ptr_null(root->sections[root->n_sections]);
}
END_TEST

START_TEST(option_and_section_of_one_name)
{
	add("storage = \"fast\"\nstorage \"fast\" { lvm { vg = \"vg0\" } }\n");
	ck_assert_str_eq(conf_string(root, "storage"), "fast");
	ck_assert_str_eq(conf_find(root, "storage", "fast")->sections[0]->keyword, "lvm");
}
END_TEST

START_TEST(words_mean_themselves)
{
	static const char *const words[] = {"/srv/x/", "a-b_c.d:e@f%g", "$HOME", "a$", "5.", "~", "\\",
		"a\\nb", "-", "\xc3\xa4", "a/b", "/", "!", "[1]", "<>|&;?^`"};

	for (size_t i = 0; i < VMF_COUNT(words); i++) {
		autofree char *text = str_printf("class = %s\n", words[i]);

		add(text);
		ck_assert_str_eq(conf_string(root, "class"), words[i]);
	}
}
END_TEST

/* Whatever conf_quote() makes reads back as it was. */
START_TEST(quoted_strings_read_back)
{
	static const char *const words[] = {"", "a b", "\"", "\\", "\\\"", "${x}", "$", "${", "a\nb\tc",
		("\x01\x7f"
		 "1"),
		"'", "#", "// x", "/* y */", "}", "\xf0\x9f\x98\x80", "\r\n", "\\n", "a\\"};

	for (size_t i = 0; i < VMF_COUNT(words); i++) {
		autofree char *quoted = conf_quote(words[i]);
		autofree char *text = str_printf("class = %s\nargs = {%s, %s}\n", quoted, quoted, quoted);

		add(text);
		ck_assert_str_eq(conf_string(root, "class"), words[i]);
		ck_assert_str_eq(conf_get(root, "args")->items[1], words[i]);
	}
}
END_TEST

START_TEST(merging)
{
	struct conf *copy, *other;

	add_to(conf, "built-in",
		"class = \"a\"\nargs = {\"0\"}\ndisk \"x\" { size = 1K tags = {\"t\"} lvm { thin = no } }\n"
		"display { vnc-tcp { } vnc-unix { } }\n");
	ck_assert(!conf_is_set(root, "class"));
	ck_assert_str_eq(where(root, "class"), "built-in");
	add_to(conf, "main", "memory = 1G\nargs += {\"1\"}\ndisk \"x\" { storage = \"s\" }\n");
	copy = conf_copy(conf);
	add_to(copy, "vm",
		"\nclass = \"b\"\nargs += {\"2\"}\nwords += three\n"
		"disk \"x\" { tags += u size = 2K }\ndisk \"y\" { lvm { thin = yes } }\ndisplay { vnc-tcp { "
		"} }\n");

	/* the copy has all */
	root = conf_root(copy);
	ck_assert_str_eq(where(root, "class"), "vm:2");
	ck_assert(conf_is_set(root, "class"));
	ck_assert_str_eq(where(root, "memory"), "main:1");
	expect_items(conf_get(root, "args"), "0|1|2");
	expect_items(conf_get(root, "words"), "one|two|three");
	ck_assert_uint_eq(root->n_sections, 3);
	ck_assert_int_eq(conf_number(conf_find(root, "disk", "x"), "size"), 2048);
	ck_assert_str_eq(where(conf_find(root, "disk", "x"), "storage"), "main:3");
	expect_items(conf_get(conf_find(root, "disk", "x"), "tags"), "t|u");
	ck_assert_str_eq(conf_find(root, "display", NULL)->sections[0]->keyword, "vnc-unix");
	ck_assert_str_eq(conf_find(root, "display", NULL)->sections[1]->keyword, "vnc-tcp");

	/* the original has not changed */
	root = conf_root(conf);
	ck_assert_str_eq(conf_string(root, "class"), "a");
	expect_items(conf_get(root, "args"), "0|1");
	expect_items(conf_get(root, "words"), "one|two");
	ck_assert_uint_eq(root->n_sections, 2);
	ck_assert_int_eq(conf_number(conf_find(root, "disk", "x"), "size"), 1024);
	expect_items(conf_get(conf_find(root, "disk", "x"), "tags"), "t");
	ck_assert_str_eq(conf_find(root, "display", NULL)->sections[1]->keyword, "vnc-unix");

	/* the same layer elsewhere */
	other = conf_copy(conf);
	add_to(other, "class", "args = {\"c\"}\ncpus = 7\ndisk \"x\" { tags = {} }\n");
	conf_rebase(copy, other);
	root = conf_root(copy);
	expect_items(conf_get(root, "args"), "c|2");
	ck_assert_str_eq(where(root, "cpus"), "class:2");
	ck_assert_str_eq(where(root, "class"), "vm:2");
	expect_items(conf_get(conf_find(root, "disk", "x"), "tags"), "u");
	ck_assert_ptr_nonnull(conf_find(root, "disk", "y"));
	expect_items(conf_get(conf_find(conf_root(other), "disk", "x"), "tags"), "");
	conf_free(copy);
	conf_free(other);
}
END_TEST

START_TEST(many_sections)
{
	struct strbuf text = STRBUF_INIT;

	for (int i = 0; i < 300; i++)
		strbuf_printf(&text, "disk \"d%d\" { size = %d }\n", i, 1000 + i);
	add(text.data);
	strbuf_free(&text);
	ck_assert_uint_eq(root->n_sections, 300);
	ck_assert_ptr_null(root->sections[300]);
	ck_assert_int_eq(conf_number(conf_find(root, "disk", "d299"), "size"), 1299);
	ck_assert_str_eq(where(conf_find(root, "disk", "d123"), "size"), "t:124");
}
END_TEST

START_TEST(paths)
{
	char here[4096];

	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
	ck_assert_int_eq(
		conf_add_file(conf, put("a.conf", "cdrom = \"iso/x.iso\"\nkey_file = ./k\n"), &err), 0);
	ck_assert(str_starts(conf_string(root, "cdrom"), folder));
	ck_assert(str_ends(conf_string(root, "cdrom"), "/iso/x.iso"));
	ck_assert_uint_eq(strlen(conf_string(root, "key_file")), strlen(folder) + 2);
	add("cdrom = /abs\nkey_file = \"~/k\"\n");
	ck_assert_str_eq(conf_string(root, "cdrom"), "/abs");
	ck_assert_str_eq(conf_string(root, "key_file"), "/home/me/k");
	ck_assert_int_eq(conf_add_setting(conf, "cdrom=x.iso", "-o", &err), 0);
	ck_assert(str_starts(conf_string(root, "cdrom"), here));
	/* a text that stands for a file is where that file is */
	add_to(conf, "/etc/vmf/vms/a.conf", "cdrom = ../x.iso\n");
	ck_assert_str_eq(conf_string(root, "cdrom"), "/etc/vmf/vms/../x.iso");
	add("cdrom = \"\"\n");
	ck_assert_str_eq(conf_string(root, "cdrom"), "");
}
END_TEST

START_TEST(settings)
{
	static const char *const list[] = {"memory=2048", "cpus=3", "args=-x", "args+={\"-y\", \"z z\"}",
		"disk.root.size=20G", "disk.\"a.b\".size=1G", "disk.root.lvm.vg=v g",
		"display.vnc-tcp.port=5901", "append=${no} \"q\"", "storage.s.lvm.vg=x", "class=a=b"};

	for (size_t i = 0; i < VMF_COUNT(list); i++)
		ck_assert_msg(
			conf_add_setting(conf, list[i], "-o", &err) == 0, "%s: %s", list[i], err.message);
	ck_assert_int_eq(conf_number(root, "memory"), INT64_C(2) << 30);
	ck_assert_str_eq(where(root, "memory"), "-o");
	ck_assert(conf_is_set(root, "memory"));
	expect_items(conf_get(root, "args"), "-x|-y|z z");
	ck_assert_int_eq(conf_number(conf_find(root, "disk", "root"), "size"), INT64_C(20) << 30);
	ck_assert_int_eq(conf_number(conf_find(root, "disk", "a.b"), "size"), 1 << 30);
	ck_assert_str_eq(conf_string(root, "append"), "${no} \"q\"");
	ck_assert_str_eq(conf_string(root, "class"), "a=b");
	ck_assert_ptr_nonnull(conf_find(conf_find(root, "display", NULL), "vnc-tcp", NULL));
	ck_assert_ptr_nonnull(conf_find(conf_find(root, "storage", "s"), "lvm", NULL));
}
END_TEST

static const struct {
	const char *setting, *message;
} bad_settings[] = {
	{"memory", "-o: \"memory\" is no KEY=VALUE"},
	{"=2G", "-o: \"=2G\" is no KEY=VALUE"},
	{"memroy=2G", "-o: memroy: unknown word \"memroy\""},
	{"memory=2X", "-o: memory: \"2X\" is no size, its unit is K, M, G or T"},
	{"memory+=2G", "-o: memory takes one value, write = instead of +="},
	{"disk=x", "-o: disk: sections have a name, write disk.NAME.OPTION"},
	{"disk.root=x", "-o: disk.root is a section, write disk.root.OPTION"},
	{"disk.root.sze=1G", "-o: disk.root.sze: unknown word \"sze\""},
	{"nic.lan.lvm.vg=1", "-o: nic.lan.lvm.vg: unknown word \"lvm\""},
	{"disk.\"a.size=1", "-o: \"disk.\\\"a.size\" is no key"},
	{"disk..size=1", "-o: \"disk..size\" is no key"},
	{"disk.\"\".size=1", "-o: \"disk.\\\"\\\".size\" is no key"},
	{"disk.\"a\\b\".size=1", "-o: disk.\"a\\b\".size: \"a\\b\" is no name for a disk"},
	{".=1", "-o: \".\" is no key"},
	{"a.=1", "-o: \"a.\" is no key"},
	{"display.vnc tcp.port=1", "-o: display.vnc tcp.port: letters, digits, '_' and '-' make a name"},
	{"args={\"a\"", "-o: the list that begins here has no end, add }"},
	{"args={a b}", "-o: a comma is missing, lists are written {\"a\", \"b\"}"},
	{"class=\xff", "-o: class: not valid UTF-8"},
};

START_TEST(settings_that_are_wrong)
{
	ck_assert_int_eq(conf_add_setting(conf, bad_settings[_i].setting, "-o", &err), -1);
	expect(bad_settings[_i].message);
}
END_TEST

/* ---- what is wrong ------------------------------------------------------------------------ */

static const struct {
	const char *text, *message;
} wrong[] = {
	{"memroy = 2G\n", "t:1: \"memroy\" is no option, do you mean memory?"},
	{"zzz = 2G\n", "t:1: \"zzz\" is no option, vmf.conf(5) lists what there is"},
	{"size = 2G\n", "t:1: \"size\" is no option, it belongs into a section: disk"},
	{"disk \"a\" { sze = 1\n }\n", "t:1: \"sze\" is no option of disk, do you mean size?"},
	{"disk \"a\" { zzz = 1\n }\n",
		"t:1: \"zzz\" is no option of disk, there are size, storage, readonly, tags"},
	{"dsk \"a\" { size = 1K }\n", "t:1: \"dsk\" is no section, do you mean disk?"},
	{"\n/*\n*/ memory = 2X\n", "t:3: memory: \"2X\" is no size, its unit is K, M, G or T"},
	{"cpus = 0\n", "t:1: cpus: \"0\" is out of range, from 1 to 64"},
	{"cpus = \"\"\n", "t:1: cpus: \"\" is no whole number"},
	{"cpus = 1\n# x\ncpus = 1\n", "t:3: \"cpus\" is set here and in line 1, remove one of them"},
	{"args = {a}\nargs = {b}\n", "t:2: \"args\" is set here and in line 1, remove one of them"},
	{"args += {a}\nargs = {b}\n", "t:2: \"args\" is set here and in line 1, remove one of them"},
	{"cpus += 1\n", "t:1: \"cpus\" takes one value, write cpus = VALUE"},
	{"cpus = {1}\n", "t:1: \"cpus\" takes one value, write cpus = VALUE"},
	{"disk \"a\" { }\n\ndisk a { }\n", "t:3: disk \"a\" stands here and in line 1, put all into one"},
	{"display { }\ndisplay { }\n", "t:2: display stands here and in line 1, put all into one"},
	{"display { a { }\n a { } }\n", "t:2: a stands here and in line 1, put all into one"},
	{"disk { }\n", "t:1: \"disk\" has no name, write disk \"NAME\" { ... }"},
	{"display \"x\" { }\n", "t:1: \"display\" has no name of its own, write { behind it"},
	{"disk \"a\\\\b\" { }\n", "t:1: \"a\\\\b\" is no name for a disk: no backslash, quote or variable, "
				  "at most 200 characters"},
	{"disk = 5\n", "t:1: \"disk\" is a section, write it with { and }"},
	{"disk \"x\"\n", "t:1: \"disk\" is a section, write it with { and }"},
	{"memory { }\n", "t:1: \"memory\" is an option, write NAME = VALUE"},
	{"nic \"x\" { lvm { } }\n", "t:1: \"lvm\" is no section of nic, there are mac"},
	{"display { a { b { } } }\n", "t:1: \"b\" cannot stand here: a plugin's section holds options only"},
	{"display { a \"b\" { } }\n", "t:1: \"a\" has no name of its own, write { behind it"},
	{"disk \"a\" {\n size = 1K\n", "t:1: the section that begins here has no end, add }"},
	{"display {\n a {\n b = c\n}\n", "t:1: the section that begins here has no end, add }"},
	{"cpus = 2\n}\n", "t:2: there is no section that this } could end, remove it"},
	{"cpus =\nmemory = 1G\n", "t:1: \"cpus\" has no value, write one behind the ="},
	{"cpus = \n", "t:1: \"cpus\" has no value, write one behind the ="},
	{"cpus = }\n", "t:1: \"cpus\" has no value, write one behind the ="},
	{"foo\nmemory = 1G\n",
		"t:1: \"foo\" stands alone, write NAME = VALUE, and quotes around a value with blanks"},
	{"foo", "t:1: \"foo\" cannot stand here alone: write NAME = VALUE"},
	{"\"cpus\" = 2\n", "t:1: \"cpus\" cannot stand here: write NAME = VALUE, the name without quotes"},
	{"= 2\n", "t:1: \"=\" cannot stand here alone: write NAME = VALUE"},
	{"class = \"abc\ncpus = 2\n",
		"t:1: the string has no end on its line, add \" (or \\ at the end of the line)"},
	{"class = 'abc\n", "t:1: the string has no end on its line, add ' (or \\ at the end of the line)"},
	{"class = \"abc", "t:1: the string has no end on its line, add \" (or \\ at the end of the line)"},
	{"/* abc\n", "t:1: the comment that begins here has no end, add */"},
	{"class = a\"b\"\n", "t:1: put the whole value in quotes"},
	{"class = \"a\"b\n", "t:1: put the whole value in quotes"},
	{"class = a+b\n", "t:1: put the whole value in quotes"},
	{"class = *\n", "t:1: '*' cannot stand here, put a value that has it in quotes"},
	{"class = a//b\n", "t:1: put the whole value in quotes"},
	{"class = ${a}b\n", "t:1: put the whole value in quotes"},
	{"class = a${b}\n", "t:1: put the whole value in quotes"},
	{"class = ${}\n", "t:1: a variable is written as ${name} or ${name:-default}"},
	{"class = ${a-b}\n", "t:1: a variable is written as ${name} or ${name:-default}"},
	{"class = \"${a\"\n", "t:1: a variable is written as ${name} or ${name:-default}"},
	{"class = \"${a:-x\ny}\"\n", "t:1: a variable is written as ${name} or ${name:-default}\n"
				     "t:2: \"y\" cannot stand here alone: write NAME = VALUE"},
	{"class = \"\\400\"\n", "t:1: \\400 is no character, octal ones go from \\001 to \\377"},
	{"class = \"\\9\"\n", "t:1: \\9 is no character, octal ones go from \\001 to \\377"},
	{"class = \"a\\0b\"\n", "t:1: a string cannot hold a zero byte"},
	{"class = \"a\\x00b\"\n", "t:1: a string cannot hold a zero byte"},
	{"class = \"\\xff\"\n", "t:1: class: \"\xff\" is not valid UTF-8"},
	{"class = \"\xff\"\n", "t:1: byte 0xff is not UTF-8, save the file in that encoding"},
	{"args = {\"a\" \"b\"}\n", "t:1: a comma is missing, lists are written {\"a\", \"b\"}"},
	{"args = {\"a\",\ncpus = 2\n", "t:1: the list that begins here has no end, add }"},
	{"args = {,}\n", "t:1: a string is missing here, lists are written {\"a\", \"b\"}"},
	{"args = {\"a\"", "t:1: the list that begins here has no end, add }"},
	{"foo(\"x\")\n", "t:1: a ( cannot stand here, put a value that has it in quotes"},
	{"include(x)\n", "t:1: write it as include(\"path\"), without backslashes and variables"},
	{"include(\"x\"\n", "t:1: write it as include(\"path\"), without backslashes and variables"},
	{"include(\"x\")\n", "t:1: only files can include others, write out what is in \"x\""},
	{"disk \"a\" { include(\"x\") }\n", "t:1: include() cannot stand in a section, move it out"},
	{"nic \"a\" { mac = 01:00:00:00:00:00 }\n",
		"t:1: mac: \"01:00:00:00:00:00\" is a multicast address, the first byte of a NIC's is even"},
	/* all of them, and what is right in between does no harm */
	{"memroy = 1\ncpus = x\nclass = \"a\"\n\ndisk \"a\" {\n size = 1Q\n foo\n}\ndisk \"b\" { size = 1 "
	 "}\n",
		"t:1: \"memroy\" is no option, do you mean memory?\n"
		"t:2: cpus: \"x\" is no whole number\n"
		"t:6: size: \"1Q\" is no size, its unit is K, M, G or T\n"
		"t:7: \"foo\" cannot stand here alone: write NAME = VALUE\n"
		"t:9: size: \"1\" is too small, at least 512"},
	{"a { b { c { d = e\n } } \"x\" }\ncpus = x\n",
		"t:1: \"a\" is no section, vmf.conf(5) lists what there is\n"
		"t:2: \"x\" cannot stand here: write NAME = VALUE, the name without quotes\n"
		"t:3: cpus: \"x\" is no whole number"},
};

START_TEST(texts_that_are_wrong)
{
	ck_assert_int_eq(conf_add_text(conf, "t", wrong[_i].text, strlen(wrong[_i].text), &err), -1);
	ck_assert_int_eq(err.code, VMF_E_CONFIG);
	expect(wrong[_i].message);
	/* the tree is as it was, and the next text finds nothing of this one */
	ck_assert_uint_eq(root->n_sections, 0);
	for (size_t i = 0; i < root->n_values; i++)
		ck_assert(!conf_is_set(root, test_root_options[i].name));
	add("class = \"fine\" args = {\"a\"}\n");
	ck_assert_str_eq(conf_string(root, "class"), "fine");
}
END_TEST

START_TEST(zero_bytes)
{
	static const char text[] = "cpus = 2\ncl\0ass = x\n";

	ck_assert_int_eq(conf_add_text(conf, "t", text, sizeof(text) - 1, &err), -1);
	expect("t:2: a zero byte: this is no text file");
}
END_TEST

START_TEST(limits)
{
	struct strbuf text = STRBUF_INIT;

	for (int i = 0; i < 200; i++)
		strbuf_puts(&text, "bad\n");
	ck_assert_int_eq(conf_add_text(conf, "t", text.data, text.length, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "\nt: 150 more like these"));
	error_clear(&err);
	strbuf_free(&text);

	for (int i = 0; i < 100; i++)
		strbuf_puts(&text, "a {\n");
	ck_assert_int_eq(conf_add_text(conf, "t", text.data, text.length, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "too many sections in sections, 16 are possible"));
	error_clear(&err);
	strbuf_free(&text);

	for (int i = 0; i < 5000; i++)
		strbuf_printf(&text, "nic n%d { }\n", i);
	ck_assert_int_eq(conf_add_text(conf, "t", text.data, text.length, &err), -1);
	expect("t:4097: too many sections, 4096 are possible: use several files");
	strbuf_free(&text);

	strbuf_puts(&text, "args = {");
	for (int i = 0; i < 70000; i++)
		strbuf_puts(&text, "a,");
	strbuf_puts(&text, "}\n");
	ck_assert_int_eq(conf_add_text(conf, "t", text.data, text.length, &err), -1);
	expect("t:1: too many values, 65536 are possible: use several files");
	strbuf_free(&text);

	for (size_t i = 0; i < (4u << 20) / 16 + 1; i++)
		strbuf_puts(&text, "# a remark      \n");
	ck_assert_int_eq(conf_add_text(conf, "t", text.data, text.length, &err), -1);
	expect("t: too large, at most 4 MiB");
	strbuf_free(&text);
}
END_TEST

/* ---- files -------------------------------------------------------------------------------- */

START_TEST(files_that_are_none)
{
	autofree char *fifo = path_join(folder, "fifo");
	autofree char *none = path_join(folder, "none");
	autofree char *large = path_join(folder, "large");
	int fd;

	ck_assert_int_eq(conf_add_file(conf, none, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_NOT_FOUND);
	error_clear(&err);
	ck_assert_int_eq(conf_add_file(conf, folder, &err), -1);
	ck_assert(str_ends(err.message, " is a folder, not a file"));
	error_clear(&err);
	ck_assert_int_eq(conf_add_file(conf, "/dev/zero", &err), -1);
	expect("/dev/zero is a device, socket or pipe, not a file");
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(conf_add_file(conf, fifo, &err), -1);
	ck_assert(str_ends(err.message, " is a device, socket or pipe, not a file"));
	error_clear(&err);
	fd = open(large, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(ftruncate(fd, (4 << 20) + 1), 0);
	close(fd);
	ck_assert_int_eq(conf_add_file(conf, large, &err), -1);
	ck_assert(str_ends(err.message, ": File too large"));
	ck_assert_int_eq(conf_add_file(conf, put("empty", ""), NULL), 0);
	/* a file whose size is said to be 0 */
	error_clear(&err);
	ck_assert_int_eq(conf_add_file(conf, "/proc/self/status", &err), -1);
	ck_assert_int_eq(err.code, VMF_E_CONFIG);
}
END_TEST

START_TEST(includes)
{
	const char *path =
		put("a.conf", "cpus = 2\nargs = {a}\ninclude(\"sub/b.conf\")\nargs += {c}\nmemory = 1G\n");
	autofree char *sub = path_join(folder, "sub");

	ck_assert_int_eq(mkdir(sub, 0700), 0);
	put("sub/b.conf",
		"# in the place where it is included\ncpus = 3\nargs += {b}\nmemory = 2G\ncdrom = x\n"
		"disk \"x\" { size = 1K }\ninclude(\"c.conf\")\n");
	put("sub/c.conf", "class = \"c\"\n");
	ck_assert_msg(conf_add_file(conf, path, &err) == 0, "%s", err.message);
	ck_assert_int_eq(conf_number(root, "cpus"), 3);
	ck_assert(str_ends(where(root, "cpus"), "/sub/b.conf:2"));
	ck_assert_int_eq(conf_number(root, "memory"), 1 << 30);
	expect_items(conf_get(root, "args"), "a|b|c");
	ck_assert(str_ends(conf_string(root, "cdrom"), "/sub/x"));
	ck_assert(str_ends(where(root, "class"), "/sub/c.conf:1"));
	ck_assert_ptr_nonnull(conf_find(root, "disk", "x"));
}
END_TEST

START_TEST(includes_that_are_wrong)
{
	const char *path =
		put("a.conf", "cpus = x\ninclude(\"b.conf\")\ninclude(\"none.conf\")\ninclude(\".\")\n");

	put("b.conf", "\n\nmemory = y\ninclude(\"a.conf\")\n");
	ck_assert_int_eq(conf_add_file(conf, path, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.message, "a.conf:1: cpus: \"x\""));
	ck_assert_ptr_nonnull(strstr(err.message, "b.conf:3: memory: \"y\""));
	ck_assert_ptr_nonnull(strstr(err.message, "b.conf:4: include(\"a.conf\"): "));
	ck_assert_ptr_nonnull(strstr(err.message, "a.conf includes itself in the end"));
	ck_assert_ptr_nonnull(strstr(err.message, "a.conf:3: include(\"none.conf\"): "));
	ck_assert_ptr_nonnull(strstr(err.message, "No such file"));
	ck_assert_ptr_nonnull(strstr(err.message, "a.conf:4: include(\".\"): "));
	error_clear(&err);
	put("a.conf", "cpus = 4\n");
	ck_assert_int_eq(conf_add_file(conf, path, &err), 0);
}
END_TEST

START_TEST(includes_without_end)
{
	autofree char *first = path_join(folder, "f0");

	for (int i = 0; i < 40; i++) {
		autofree char *name = str_printf("f%d", i);
		autofree char *text = str_printf("include(\"f%d\")\n", i + 1);

		put(name, text);
	}
	ck_assert_int_eq(conf_add_file(conf, first, &err), -1);
	ck_assert_ptr_nonnull(
		strstr(err.message, "f16:1: include(\"f17\"): too many files include each other"));
	error_clear(&err);
	/* twice each: more than anybody could wait for */
	for (int i = 0; i < 16; i++) {
		autofree char *name = str_printf("f%d", i);
		autofree char *text = str_printf("include(\"f%d\")\ninclude(\"f%d\")\n", i + 1, i + 1);

		put(name, text);
	}
	put("f16", "\n");
	ck_assert_int_eq(conf_add_file(conf, first, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.message, "too many included files, 256 are possible"));
}
END_TEST

/* ---- plugins' options --------------------------------------------------------------------- */

static struct vmf_opts *resolve(const char *disk)
{
	const struct conf_section *layers[2];

	layers[0] = conf_find(conf_find(root, "storage", "fast"), "lvm", NULL);
	layers[1] = disk ? conf_find(conf_find(root, "disk", disk), "lvm", NULL) : NULL;
	return conf_opts_resolve(&test_lvm, layers, 2, &err);
}

START_TEST(plugin_options)
{
	const char *path = put("a.conf",
		"storage \"fast\" {\n\tlvm {\n\t\tvg = vg0\n\t\t# x\n\t\tdir = d\n\t\ttags += a\n\t}\n}\n");
	struct vmf_opts *opts, *again;
	autofree char *json = NULL;
	const struct conf_value *v;

	ck_assert_int_eq(conf_add_file(conf, path, &err), 0);
	add("disk \"x\" { lvm { thin = yes tags += {\"b\"} } }\n");
	ck_assert_int_eq(conf_add_setting(conf, "storage.fast.lvm.tags+=o", "-o", &err), 0);
	ck_assert_int_eq(conf_add_setting(conf, "disk.x.lvm.chunk=1M", "-o", &err), 0);
	opts = resolve("x");
	ck_assert_msg(opts != NULL, "%s", err.message);
	ck_assert_uint_eq(opts->n_values, 5);
	ck_assert_str_eq(opts->plugin, "lvm");
	v = conf_opts_get(opts, "vg");
	expect_items(v, "vg0");
	ck_assert(str_ends(conf_where(v->file, v->line), "/a.conf:3"));
	ck_assert_int_eq(conf_opts_get(opts, "thin")->number, 1);
	ck_assert_int_eq(conf_opts_get(opts, "chunk")->number, 1 << 20);
	ck_assert_str_eq(conf_opts_get(opts, "chunk")->file, "-o");
	v = conf_opts_get(opts, "dir");
	ck_assert(str_starts(v->items[0], folder) && str_ends(v->items[0], "/d"));
	ck_assert_int_eq(v->line, 5);
	expect_items(conf_opts_get(opts, "tags"), "vmf|a|o|b");
	ck_assert_ptr_null(conf_opts_get(opts, "no such"));

	json = conf_opts_save(opts);
	again = conf_opts_load(&test_lvm, json, &err);
	ck_assert_msg(again != NULL, "%s", err.message);
	for (size_t i = 0; i < opts->n_values; i++) {
		const struct conf_value *a = opts->values[i], *b = again->values[i];
		struct strv joined = {a->items, a->n_items};
		autofree char *text = strv_join(&joined, "|");

		expect_items(b, text);
		ck_assert_int_eq(a->number, b->number);
		ck_assert(str_equal(a->file, "built-in") == str_equal(b->file, "built-in"));
	}
	conf_opts_free(again);
	conf_opts_free(opts);
}
END_TEST

START_TEST(plugin_defaults_are_kept)
{
	struct vmf_opts *opts;
	autofree char *json = NULL;

	add("storage \"fast\" { lvm { vg = a } }\n");
	opts = resolve(NULL);
	json = conf_opts_save(opts);
	conf_opts_free(opts);
	ck_assert_str_eq(json, "{\"vg\":\"a\",\"thin\":{\"default\":\"no\"},\"chunk\":{\"default\":\"64K\"},"
			       "\"tags\":{\"default\":[\"vmf\"]}}");
	opts = conf_opts_load(&test_lvm, json, &err);
	ck_assert_str_eq(conf_opts_get(opts, "thin")->file, "built-in");
	ck_assert_str_ne(conf_opts_get(opts, "vg")->file, "built-in");
	ck_assert_ptr_null(conf_opts_get(opts, "dir"));
	conf_opts_free(opts);
}
END_TEST

START_TEST(plugin_options_that_are_wrong)
{
	const struct conf_section *none[1] = {NULL};

	add("storage \"fast\" {\n lvm {\n  vgg = a\n  chunk = 1 \n\n thin = maybe vg = \"x\"\n vg = y } }\n");
	ck_assert_ptr_null(resolve(NULL));
	ck_assert_int_eq(err.code, VMF_E_CONFIG);
	expect("t:3: \"vgg\" is no option of lvm, do you mean vg?\n"
	       "t:4: chunk: \"1\" is out of range, from 4K to 1G\n"
	       "t:6: thin: \"maybe\" is neither yes nor no\n"
	       "t:7: \"vg\" is set here and in line 6, remove one of them");
	add("storage \"slow\" {\n lvm { thin = yes } }\n");
	none[0] = conf_find(conf_find(root, "storage", "slow"), "lvm", NULL);
	ck_assert_ptr_null(conf_opts_resolve(&test_lvm, none, 1, &err));
	expect("t:2: lvm needs vg, add vg = ... (the volume group)");
	none[0] = NULL;
	ck_assert_ptr_null(conf_opts_resolve(&test_lvm, none, 1, &err));
	expect("lvm: lvm needs vg, add vg = ... (the volume group)");
	/* a mistake of syntax shows when the file is read, used or not */
	ck_assert_int_eq(conf_add_text(conf, "t", "display { x { a = \"b } }\n", 24, &err), -1);
	expect("t:1: the string has no end on its line, add \" (or \\ at the end of the line)");
}
END_TEST

static const struct {
	const char *json, *message;
} bad_json[] = {
	{"", "options of lvm: no JSON object: '[' or '{' expected near end of file"},
	{"[]", "options of lvm: no JSON object"},
	{"{\"vg\": {}}", "lvm: vg: no string, number or truth value"},
	{"{\"vg\": null}", "lvm: vg: no string, number or truth value"},
	{"{\"vg\": [\"a\"]}", "lvm: vg: no string, number or truth value"},
	{"{\"tags\": [[]]}", "lvm: tags: item 0 is no string"},
	{"{\"chunk\": 1}", "lvm: chunk: \"1\" is out of range, from 4K to 1G"},
};

START_TEST(json_that_is_wrong)
{
	ck_assert_ptr_null(conf_opts_load(&test_lvm, bad_json[_i].json, &err));
	expect(bad_json[_i].message);
}
END_TEST

START_TEST(json_of_any_type)
{
	struct vmf_opts *opts = conf_opts_load(&test_lvm,
		"{\"thin\": true, \"chunk\": 8192, \"tags\": \"one\", \"gone\": 1, \"vg\": \"v\"}", &err);

	ck_assert_msg(opts != NULL, "%s", err.message);
	ck_assert_int_eq(conf_opts_get(opts, "thin")->number, 1);
	ck_assert_int_eq(conf_opts_get(opts, "chunk")->number, 8192);
	expect_items(conf_opts_get(opts, "tags"), "one");
	conf_opts_free(opts);
	opts = conf_opts_load(&test_lvm, "{\"tags\": []}", &err);
	expect_items(conf_opts_get(opts, "tags"), "");
	conf_opts_free(opts);
	conf_opts_free(NULL);
}
END_TEST

START_TEST(where_it_is)
{
	char path[600];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	ck_assert_str_eq(conf_where(NULL, 0), "built-in");
	ck_assert_str_eq(conf_where("built-in", 5), "built-in");
	ck_assert_str_eq(conf_where("-o", 0), "-o");
	ck_assert_str_eq(conf_where("a", 3), "a:3");
	ck_assert(str_ends(conf_where(path, 12345), "xx:12345"));
}
END_TEST

/* What is unset is told, once for each place and only there. */
START_TEST(variables_that_are_not_set)
{
	static const char text[] = "# ${nothing}\nclass = \"a${nothing}b\"\nappend = ${nothing:-x}\n"
				   "cdrom = '${nothing}'\nmemory = ${something}\n"
				   "display { a { b = ${nothing} } }\n";
	autofree char *path = path_join(folder, "log");
	autofree char *log = NULL;
	int saved = dup(STDERR_FILENO), fd = open(path, O_RDWR | O_CREAT, 0600);

	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	add(text);
	add(text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fd);
	log = file_read(path, 4096, NULL, &err);
	ck_assert_str_eq(log, "vmf: t:2: ${nothing} is not set in the environment and counts as empty, "
			      "write ${nothing:-default}\n");
	ck_assert_str_eq(conf_string(root, "class"), "ab");
	ck_assert_str_eq(conf_string(root, "append"), "x");
	ck_assert(str_ends(conf_string(root, "cdrom"), "/${nothing}"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, syntax);
	tcase_add_test(tc, option_and_section_of_one_name);
	tcase_add_test(tc, words_mean_themselves);
	tcase_add_test(tc, quoted_strings_read_back);
	tcase_add_test(tc, merging);
	tcase_add_test(tc, many_sections);
	tcase_add_test(tc, paths);
	tcase_add_test(tc, settings);
	tcase_add_loop_test(tc, settings_that_are_wrong, 0, VMF_COUNT(bad_settings));
	tcase_add_loop_test(tc, texts_that_are_wrong, 0, VMF_COUNT(wrong));
	tcase_add_test(tc, zero_bytes);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, files_that_are_none);
	tcase_add_test(tc, includes);
	tcase_add_test(tc, includes_that_are_wrong);
	tcase_add_test(tc, includes_without_end);
	tcase_add_test(tc, plugin_options);
	tcase_add_test(tc, plugin_defaults_are_kept);
	tcase_add_test(tc, plugin_options_that_are_wrong);
	tcase_add_loop_test(tc, json_that_is_wrong, 0, VMF_COUNT(bad_json));
	tcase_add_test(tc, json_of_any_type);
	tcase_add_test(tc, where_it_is);
	tcase_add_test(tc, variables_that_are_not_set);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
