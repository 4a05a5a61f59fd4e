/* SPDX-License-Identifier: ISC */
/* Sizes, numbers, times, truth, addresses: what is understood, what is refused, and with which words. */
#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "config/value.h"

static struct vmf_error err;

static void setup(void)
{
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	error_clear(&err);
}

#define MIB (INT64_C(1) << 20)

static const struct vmf_option opt_string = {.name = "s", .type = VMF_OPT_STRING};
static const struct vmf_option opt_bool = {.name = "b", .type = VMF_OPT_BOOL};
static const struct vmf_option opt_int = {.name = "i", .type = VMF_OPT_INT};
static const struct vmf_option opt_small = {.name = "i", .type = VMF_OPT_INT, .min = -2, .max = 8};
static const struct vmf_option opt_size = {.name = "z", .type = VMF_OPT_SIZE};
static const struct vmf_option opt_disk = {.name = "z", .type = VMF_OPT_SIZE, .min = 512, .max = INT64_MAX};
static const struct vmf_option opt_memory = {
	.name = "m", .type = VMF_OPT_SIZE, .flags = VALUE_F_MIB, .min = MIB, .max = MIB << 24};
static const struct vmf_option opt_enum = {.name = "e", .type = VMF_OPT_ENUM, .choices = "qcow2|raw"};
static const struct vmf_option opt_mac = {.name = "m", .type = VMF_OPT_MAC};
static const struct vmf_option opt_port = {.name = "p", .type = VMF_OPT_PORT};
static const struct vmf_option opt_time = {.name = "t", .type = VMF_OPT_TIME, .min = 0, .max = 86400000};

static const struct {
	const struct vmf_option *option;
	const char *text;
	int64_t number;
} good[] = {
	{&opt_string, "", 0},
	{&opt_string, "gr\xc3\xbc\xc3\x9f", 0},
	{&opt_bool, "yes", 1},
	{&opt_bool, "on", 1},
	{&opt_bool, "True", 1},
	{&opt_bool, "no", 0},
	{&opt_bool, "OFF", 0},
	{&opt_bool, "false", 0},
	{&opt_int, "0", 0},
	{&opt_int, "007", 7},
	{&opt_int, "-12", -12},
	{&opt_int, "9223372036854775807", INT64_MAX},
	{&opt_int, "-9223372036854775808", INT64_MIN},
	{&opt_small, "-2", -2},
	{&opt_small, "8", 8},
	{&opt_size, "0", 0},
	{&opt_size, "4096", 4096},
	{&opt_size, "1b", 1},
	{&opt_size, "1K", 1024},
	{&opt_size, "3k", 3072},
	{&opt_size, "512M", 512 * MIB},
	{&opt_size, "512MB", 512 * MIB},
	{&opt_size, "512MiB", 512 * MIB},
	{&opt_size, "2G", 2048 * MIB},
	{&opt_size, "1.5T", 1536 * 1024 * MIB},
	{&opt_size, "0.1G", 107374182},
	{&opt_size, "1.25K", 1280},
	{&opt_size, "1.0", 1},
	{&opt_size, "7E", INT64_C(7) << 60},
	{&opt_size, "9223372036854775807", INT64_MAX},
	{&opt_disk, "512", 512},
	{&opt_memory, "2048", 2048 * MIB},
	{&opt_memory, "1.5", 3 * MIB / 2},
	{&opt_memory, "1048576b", MIB},
	{&opt_memory, "2G", 2048 * MIB},
	{&opt_enum, "raw", 0},
	{&opt_enum, "qcow2", 0},
	{&opt_mac, "02:00:5e:10:00:Ff", 0},
	{&opt_mac, "02-00-5e-10-00-01", 0},
	{&opt_port, "1", 1},
	{&opt_port, "65535", 65535},
	{&opt_time, "0", 0},
	{&opt_time, "5", 5000},
	{&opt_time, "250ms", 250},
	{&opt_time, "1.5s", 1500},
	{&opt_time, "2m", 120000},
	{&opt_time, "24h", 86400000},
};

START_TEST(good_values)
{
	int64_t number = -1;

	ck_assert_msg(value_check(good[_i].option, good[_i].text, &number, &err) == 0, "\"%s\": %s",
		good[_i].text, err.message);
	ck_assert_msg(number == good[_i].number, "\"%s\" gives %" PRId64, good[_i].text, number);
	ck_assert_int_eq(err.code, 0);
}
END_TEST

static const struct {
	const struct vmf_option *option;
	const char *text, *message;
} bad[] = {
	{&opt_string, "a\xff", "is not valid UTF-8"},
	{&opt_string, "\xed\xa0\x80", "is not valid UTF-8"},
	{&opt_string, "\xc0\x80", "is not valid UTF-8"},
	{&opt_string, "\xf4\x90\x80\x80", "is not valid UTF-8"},
	{&opt_string, "\xe2\x82", "is not valid UTF-8"},
	{&opt_bool, "", "\"\" is neither yes nor no"},
	{&opt_bool, "1", "\"1\" is neither yes nor no"},
	{&opt_int, "", "\"\" is no whole number"},
	{&opt_int, "-", "\"-\" is no whole number"},
	{&opt_int, "+1", "\"+1\" is no whole number"},
	{&opt_int, " 1", "\" 1\" is no whole number"},
	{&opt_int, "1 ", "\"1 \" is no whole number"},
	{&opt_int, "0x10", "\"0x10\" is no whole number"},
	{&opt_int, "1.5", "\"1.5\" is no whole number"},
	{&opt_int, "9223372036854775808", "\"9223372036854775808\" is too large"},
	{&opt_int, "-9223372036854775809", "\"-9223372036854775809\" is too large"},
	{&opt_small, "9", "\"9\" is out of range, from -2 to 8"},
	{&opt_small, "-3", "\"-3\" is out of range, from -2 to 8"},
	{&opt_size, "", "\"\" is no size, write it as 512M, 2G or 1.5T"},
	{&opt_size, "-1", "\"-1\" is no size, write it as 512M, 2G or 1.5T"},
	{&opt_size, "G", "\"G\" is no size, write it as 512M, 2G or 1.5T"},
	{&opt_size, "1.G", "\"1.G\" is no size, write it as 512M, 2G or 1.5T"},
	{&opt_size, "4X", "\"4X\" is no size, its unit is K, M, G or T"},
	{&opt_size, "4Gi", "\"4Gi\" is no size, its unit is K, M, G or T"},
	{&opt_size, "4GG", "\"4GG\" is no size, its unit is K, M, G or T"},
	{&opt_size, "4 G", "\"4 G\" is no size, its unit is K, M, G or T"},
	{&opt_size, "1.5", "\"1.5\" is not a whole number of bytes, add a unit as in 1.5G"},
	{&opt_size, "8E", "\"8E\" is too large"},
	{&opt_size, "99999999999999999999",
		"\"99999999999999999999\" is no size, write it as 512M, 2G or 1.5T"},
	{&opt_disk, "511", "\"511\" is too small, at least 512"},
	{&opt_memory, "0.5", "\"0.5\" is out of range, from 1M to 16T"},
	{&opt_memory, "17T", "\"17T\" is out of range, from 1M to 16T"},
	{&opt_enum, "", "\"\" is not possible, choose one of: qcow2 raw"},
	{&opt_enum, "qcow", "\"qcow\" is not possible, choose one of: qcow2 raw"},
	{&opt_enum, "qcow2|raw", "\"qcow2|raw\" is not possible, choose one of: qcow2 raw"},
	{&opt_mac, "", "\"\" is no MAC address, write it as 02:00:5e:10:00:01"},
	{&opt_mac, "02:00:5e:10:00", "\"02:00:5e:10:00\" is no MAC address, write it as 02:00:5e:10:00:01"},
	{&opt_mac, "02:00:5e:10:00:0g",
		"\"02:00:5e:10:00:0g\" is no MAC address, write it as 02:00:5e:10:00:01"},
	{&opt_mac, "02:00:5e:10:00:011",
		"\"02:00:5e:10:00:011\" is no MAC address, write it as 02:00:5e:10:00:01"},
	{&opt_mac, "01:00:5e:10:00:01",
		"\"01:00:5e:10:00:01\" is a multicast address, the first byte of a NIC's is even"},
	{&opt_mac, "00:00:00:00:00:00", "\"00:00:00:00:00:00\" is no MAC address of a NIC"},
	{&opt_port, "0", "\"0\" is out of range, from 1 to 65535"},
	{&opt_port, "65536", "\"65536\" is out of range, from 1 to 65535"},
	{&opt_port, "http", "\"http\" is no whole number"},
	{&opt_time, "", "\"\" is no time, write it as 500ms, 30s, 5m or 1h"},
	{&opt_time, "5d", "\"5d\" is no time, its unit is ms, s, m or h"},
	{&opt_time, "25h", "\"25h\" is out of range, from 0s to 86400s"},
};

START_TEST(bad_values)
{
	int64_t number;

	ck_assert_int_eq(value_check(bad[_i].option, bad[_i].text, &number, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_CONFIG);
	if (bad[_i].option == &opt_string)
		ck_assert_ptr_nonnull(strstr(err.message, bad[_i].message));
	else
		ck_assert_str_eq(err.message, bad[_i].message);
}
END_TEST

static const struct {
	uint64_t bytes;
	const char *text;
} sizes[] = {
	{0, "0"},
	{1, "1"},
	{1023, "1023"},
	{1024, "1K"},
	{1025, "1K"},
	{1536, "1.5K"},
	{1280, "1.25K"},
	{UINT64_C(1) << 20, "1M"},
	{(UINT64_C(1) << 20) - 1, "1M"},
	{UINT64_C(512) << 20, "512M"},
	{UINT64_C(20) << 30, "20G"},
	{UINT64_C(10100) << 20, "9.9G"},
	{UINT64_C(3) << 39, "1.5T"},
	{UINT64_C(1) << 50, "1P"},
	{UINT64_C(3) << 59, "1.5E"},
	{UINT64_MAX, "16E"},
};

START_TEST(sizes_for_people)
{
	autofree char *text = value_format_size(sizes[_i].bytes);

	ck_assert_str_eq(text, sizes[_i].text);
}
END_TEST

/* What is exact reads back as it was. */
START_TEST(sizes_read_back)
{
	for (int shift = 0; shift < 62; shift++)
		for (uint64_t n = 1; n < 4 && n << shift <= INT64_MAX; n++) {
			autofree char *text = value_format_size(n << shift);
			uint64_t bytes;

			ck_assert_int_eq(value_parse_size(text, 1, &bytes, &err), 0);
			ck_assert_msg(bytes == n << shift, "%s", text);
		}
}
END_TEST

START_TEST(mac_in_canonical_form)
{
	char mac[18];

	ck_assert_int_eq(value_parse_mac("0A-Bc:DE-00:11:fF", mac, &err), 0);
	ck_assert_str_eq(mac, "0a:bc:de:00:11:ff");
}
END_TEST

START_TEST(names_of_types)
{
	for (uint32_t type = VMF_OPT_STRING; type <= VMF_OPT_TIME; type++)
		ck_assert_str_ne(value_type_name(type), "unknown");
	ck_assert_str_eq(value_type_name(VMF_OPT_SIZE), "size");
	ck_assert_str_eq(value_type_name(0), "unknown");
	ck_assert_str_eq(value_type_name(UINT32_MAX), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("value");
	TCase *tc = tcase_create("value");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, good_values, 0, VMF_COUNT(good));
	tcase_add_loop_test(tc, bad_values, 0, VMF_COUNT(bad));
	tcase_add_loop_test(tc, sizes_for_people, 0, VMF_COUNT(sizes));
	tcase_add_test(tc, sizes_read_back);
	tcase_add_test(tc, mac_in_canonical_form);
	tcase_add_test(tc, names_of_types);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
