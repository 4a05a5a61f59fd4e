/* SPDX-License-Identifier: ISC */
/* Addresses and ports as people write them, listening, and whose a connection is. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/net.h"
#include "base/str.h"

static struct sockaddr_storage address(const char *text, uint16_t port)
{
	struct sockaddr_storage a;
	struct sockaddr_in *four = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
		a.ss_family = AF_INET;
		four->sin_port = htons(port);
	} else {
		ck_assert_int_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
		a.ss_family = AF_INET6;
		six->sin6_port = htons(port);
	}
	return a;
}

static const struct {
	const char *range, *peer;
	bool is_in;
} ranges[] = {
	{"192.0.2.7", "192.0.2.7", true},
	{"192.0.2.7", "192.0.2.8", false},
	{"192.0.2.0/24", "192.0.2.255", true},
	{"192.0.2.0/24", "192.0.3.0", false},
	{"192.0.2.0/25", "192.0.2.127", true},
	{"192.0.2.0/25", "192.0.2.128", false},
	{"0.0.0.0/0", "203.0.113.9", true},
	{"0.0.0.0/0", "2001:db8::1", false},
	/* an IPv6 socket that IPv4 clients come to */
	{"192.0.2.0/24", "::ffff:192.0.2.1", true},
	{"192.0.2.0/24", "::ffff:192.0.3.1", false},
	{"2001:db8::/33", "2001:db8:7fff::1", true},
	{"2001:db8::/33", "2001:db8:8000::1", false},
	{"2001:db8::1", "2001:db8::1", true},
	{"2001:db8::1", "2001:db8::2", false},
	{"::/0", "2001:db8::2", true},
	{"::/0", "192.0.2.1", false},
};

START_TEST(ranges_hold_what_they_say)
{
	struct sockaddr_storage peer = address(ranges[_i].peer, 1);
	struct net_range range;

	ck_assert_int_eq(net_parse_range(ranges[_i].range, &range, NULL), 0);
	ck_assert_int_eq(net_in_range(&range, (struct sockaddr *)&peer), ranges[_i].is_in);
}
END_TEST

static const char *const no_ranges[] = {"", "localhost", "192.0.2", "192.0.2.1/", "192.0.2.1/33",
	"192.0.2.1/-1", "192.0.2.1/1x", "2001:db8::/129", "/8", "192.0.2.1/8/8", "192.0.2.1 ",
	"2001:db8:::1"};

START_TEST(no_range)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct net_range range;

	ck_assert_int_eq(net_parse_range(no_ranges[_i], &range, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_USAGE);
	error_clear(&err);
}
END_TEST

static const struct {
	const char *text;
	int first, last; /* -1: none */
} ports[] = {
	{"0", 0, 0},
	{"1", 1, 1},
	{"65535", 65535, 65535},
	{"5900-5999", 5900, 5999},
	{"7-7", 7, 7},
	{"", -1, -1},
	{"65536", -1, -1},
	{"-1", -1, -1},
	{"5999-5900", -1, -1},
	{"0-5", -1, -1},
	{"5900-", -1, -1},
	{"5900-5999-6000", -1, -1},
	{"0x10", -1, -1},
	{" 80", -1, -1},
	{"99999999999999999999", -1, -1},
};

START_TEST(ports_are_read)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct net_ports read;
	int rc = net_parse_ports(ports[_i].text, &read, &err);

	ck_assert_int_eq(rc, ports[_i].first < 0 ? -1 : 0);
	if (rc == 0) {
		ck_assert_int_eq(read.first, ports[_i].first);
		ck_assert_int_eq(read.last, ports[_i].last);
	} else {
		ck_assert_int_eq(err.code, VMF_E_USAGE);
	}
	error_clear(&err);
}
END_TEST

START_TEST(the_first_free_port_is_taken)
{
	struct sockaddr_storage first, second;
	struct vmf_error err = VMF_ERROR_INIT;
	int a = net_listen("127.0.0.1", (struct net_ports){0, 0}, &first, &err), b;
	uint16_t port = net_port((struct sockaddr *)&first);
	autofree char *text = net_text((struct sockaddr *)&first);
	autofree char *expected = str_printf("127.0.0.1:%u", port);

	ck_assert_int_ge(a, 0);
	ck_assert_str_eq(text, expected);
	ck_assert_int_eq(net_listen("127.0.0.1", (struct net_ports){port, port}, &second, &err), -1);
	ck_assert_int_eq(err.code, VMF_E_BUSY);
	error_clear(&err);
	b = net_listen("127.0.0.1", (struct net_ports){port, (uint16_t)(port > 60000 ? 65535 : port + 1000)},
		&second, &err);
	ck_assert_int_ge(b, 0);
	ck_assert_int_gt(net_port((struct sockaddr *)&second), port);
	close(a);
	close(b);
}
END_TEST

START_TEST(not_every_address_can_be_listened_on)
{
	static const char *const wrong[] = {"192.0.2.1", "localhost", "", "2001:db8::1"};
	struct sockaddr_storage bound;

	for (size_t i = 0; i < VMF_COUNT(wrong); i++) {
		struct vmf_error err = VMF_ERROR_INIT;

		ck_assert_int_eq(net_listen(wrong[i], (struct net_ports){0, 0}, &bound, &err), -1);
		ck_assert_int_eq(err.code, VMF_E_USAGE);
		error_clear(&err);
	}
}
END_TEST

/* IPv4, IPv6, and IPv4 to an IPv6 socket. */
START_TEST(a_connection_has_an_owner)
{
	static const char *const at[][2] = {{"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"::", "127.0.0.1"}};
	struct sockaddr_storage bound, to, peer;
	socklen_t length = sizeof(peer);
	uid_t uid = 12345;
	int s = net_listen(at[_i][0], (struct net_ports){0, 0}, &bound, NULL), c, accepted;
	uint16_t port = net_port((struct sockaddr *)&bound);

	ck_assert_int_ge(s, 0);
	to = address(at[_i][1], port);
	c = socket(to.ss_family, SOCK_STREAM, 0);
	ck_assert_int_eq(
		connect(c, (struct sockaddr *)&to,
			to.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
		0);
	accepted = accept(s, (struct sockaddr *)&peer, &length);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_eq(net_owner_of((struct sockaddr *)&peer, port, &uid), NET_OURS);
	ck_assert_uint_eq(uid, geteuid());
	/* another port's it is not */
	ck_assert_int_eq(net_owner_of((struct sockaddr *)&peer, (uint16_t)(port ^ 1), NULL), NET_ANOTHER);
	/* one that nobody holds any more says user 0, which is not believed */
	close(c);
	ck_assert_int_eq(net_owner_of((struct sockaddr *)&peer, port, NULL), NET_ANOTHER);
	peer = address("203.0.113.1", 7);
	ck_assert_int_eq(net_owner_of((struct sockaddr *)&peer, port, NULL), NET_ELSEWHERE);
	close(accepted);
	close(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net");
	TCase *c = tcase_create("net");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(c, ranges_hold_what_they_say, 0, VMF_COUNT(ranges));
	tcase_add_loop_test(c, no_range, 0, VMF_COUNT(no_ranges));
	tcase_add_loop_test(c, ports_are_read, 0, VMF_COUNT(ports));
	tcase_add_test(c, the_first_free_port_is_taken);
	tcase_add_test(c, not_every_address_can_be_listened_on);
	tcase_add_loop_test(c, a_connection_has_an_owner, 0, 3);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
