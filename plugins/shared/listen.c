/* SPDX-License-Identifier: ISC */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_address(const char *text)
{
	unsigned char room[16];

	return inet_pton(AF_INET, text, room) == 1 || inet_pton(AF_INET6, text, room) == 1;
}

static int is_range(const char *text)
{
	size_t n = strcspn(text, "/");
	char address[64], *end;
	long bits;

	if (n >= sizeof(address))
		return 0;
	memcpy(address, text, n);
	address[n] = '\0';
	if (!is_address(address))
		return 0;
	if (!text[n])
		return 1;
	bits = strtol(text + n + 1, &end, 10);
	return end > text + n + 1 && !*end && bits >= 0 && bits <= (strchr(address, ':') ? 128 : 32);
}

/* "5900" or "5900-5999" */
static int parse_ports(const char *text, uint32_t ports[2])
{
	char *end;

	if (strspn(text, "0123456789-") != strlen(text))
		return -1;
	ports[0] = ports[1] = (uint32_t)strtoul(text, &end, 10);
	if (*end == '-')
		ports[1] = (uint32_t)strtoul(end + 1, &end, 10);
	return *end || ports[0] < 1 || ports[1] > 65535 || ports[0] > ports[1] ? -1 : 0;
}

int listen_check(const struct vmf_call *c, const char *example, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *address = h->opt_string(c, "bind"), *port = h->opt_string(c, "port");
	uint32_t ports[2];

	if (!is_address(address))
		return h->fail(err, VMF_E_CONFIG, 0,
			"as in 127.0.0.1, ::1, or 0.0.0.0 for all of this machine",
			"%s: bind: \"%s\" is no address", h->opt_origin(c, "bind"), address);
	if (parse_ports(port, ports) < 0)
		return h->fail(err, VMF_E_CONFIG, 0,
			h->printf(c, "as in %.*s, or %s", (int)strcspn(example, "-"), example, example),
			"%s: port: \"%s\" is no port from 1 to 65535, nor a range of these",
			h->opt_origin(c, "port"), port);
	for (size_t i = 0; i < h->opt_count(c, "allow"); i++)
		if (!is_range(h->opt_item(c, "allow", i)))
			return h->fail(err, VMF_E_CONFIG, 0, "as in 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32",
				"%s: allow: \"%s\" is no address", h->opt_origin(c, "allow"),
				h->opt_item(c, "allow", i));
	return 0;
}

int listen_check_files(const struct vmf_call *c, const char *dir, const char *const *files, size_t count,
	const char *hint, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;

	for (size_t i = 0; i < count; i++) {
		const char *path = h->printf(c, "%s/%s", dir, files[i]);

		if (access(path, R_OK) < 0)
			return h->fail(err, errno == EACCES ? VMF_E_PERMISSION : VMF_E_CONFIG, errno, hint,
				"%s: tls: %s", h->opt_origin(c, "tls"), path);
	}
	return 0;
}

void listen_info(const struct vmf_call *c, struct vmf_display_info *info)
{
	const struct vmf_host *h = c->host;
	size_t n = h->opt_count(c, "allow");
	const char **allow;

	if (info->size < sizeof(*info)) /* a host that knows of no relays */
		return;
	info->relay = (h->opt_bool(c, "many") ? VMF_RELAY_MANY : 0u) |
		      (h->opt_bool(c, "any_user") ? VMF_RELAY_ANY_USER : 0u);
	info->relay_address = h->opt_string(c, "bind");
	parse_ports(h->opt_string(c, "port"), info->relay_ports);
	/* one for many waits until it is stopped, unless somebody has said how long */
	if (!h->opt_bool(c, "many") || h->opt_is_set(c, "timeout"))
		info->relay_timeout_ms = h->opt_int(c, "timeout");
	if (n == 0)
		return;
	allow = h->alloc(c, (n + 1) * sizeof(*allow));
	for (size_t i = 0; i < n; i++)
		allow[i] = h->strdup(c, h->opt_item(c, "allow", i));
	info->relay_allow = allow;
}
