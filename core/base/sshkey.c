/* SPDX-License-Identifier: ISC */
#include "base/sshkey.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/str.h"

#define LINE_MAX_LENGTH 16384
#define COMMENT_MAX 100

static const char *const types[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521", "ssh-rsa", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"};

static int no_key(struct vmf_error *err, const char *why)
{
	return vmf_fail(
		err, VMF_E_USAGE, 0, "as in NAME.pub: ssh-ed25519 AAAA... comment", "no public key: %s", why);
}

/* What is inside begins with the type, too (RFC 4253, 6.6): neither was cut off or glued from two. */
static int check_blob(const char *type, const char *text, struct vmf_error *err)
{
	size_t length = 0, n = strlen(type);
	autofree char *data = base64_decode(text, &length);
	const unsigned char *p = (const unsigned char *)data;

	if (!data || length < 4 + n + 4)
		return no_key(err, "its base64 is cut off or wrong");
	if (((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) != n ||
		memcmp(p + 4, type, n) != 0)
		return no_key(err, "what is inside is of another type");
	for (size_t at = 0; at < length;) { /* strings, each with its length, to the end */
		size_t part;

		if (length - at < 4)
			return no_key(err, "it is cut off");
		part = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
		if (part > length - at - 4)
			return no_key(err, "it is cut off");
		at += 4 + part;
	}
	return 0;
}

char *sshkey_parse(const char *line, struct vmf_error *err)
{
	autofree char *copy = NULL;
	struct strbuf key = STRBUF_INIT;
	char *save = NULL, *type, *blob, *comment;
	bool is_known = false;

	line += strspn(line, " \t");
	if (strlen(line) > LINE_MAX_LENGTH || strstr(line, "PRIVATE KEY")) {
		no_key(err, strstr(line, "PRIVATE KEY") ? "this is a private one, which nobody should have"
							: "it is too long");
		return NULL;
	}
	copy = str_ndup(line, strcspn(line, "\r\n"));
	type = strtok_r(copy, " \t", &save);
	blob = type ? strtok_r(NULL, " \t", &save) : NULL;
	comment = blob ? strtok_r(NULL, "", &save) : NULL;
	for (size_t i = 0; type && i < VMF_COUNT(types); i++)
		is_known = is_known || str_equal(type, types[i]);
	if (!type || !blob || !is_known) {
		no_key(err, is_known ? "its base64 is missing"
				     : "it does not begin with a type that OpenSSH has");
		return NULL;
	}
	if (check_blob(type, blob, err) < 0)
		return NULL;
	strbuf_printf(&key, "%s %s", type, blob);
	for (size_t i = 0; comment && comment[i] && i < COMMENT_MAX; i++) {
		bool is_plain = comment[i] > ' ' && comment[i] < 0x7f && !strchr("\"\\$", comment[i]);

		if (i == 0)
			strbuf_putc(&key, ' ');
		strbuf_putc(&key, is_plain || comment[i] == ' ' ? comment[i] : '_');
	}
	return strbuf_take(&key);
}

int sshkey_is_same(const char *a, const char *b)
{
	const char *x = strchr(a, ' '), *y = strchr(b, ' ');
	size_t n = x ? strcspn(x + 1, " ") : 0;

	return x && y && n == strcspn(y + 1, " ") && strncmp(x + 1, y + 1, n) == 0;
}
