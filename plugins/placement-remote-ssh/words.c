/* SPDX-License-Identifier: ISC */
/* What ssh says when it fails, as one line with what to do about it. */
#include <string.h>

#include "ssh.h"

#define SSH_FAILED 255

static const struct {
	const char *said;
	int code;
	const char *means, *hint; /* %s: the address */
} known[] = {
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", VMF_E_PERMISSION, "its host key has changed",
		"if that is known to be right, `ssh-keygen -R %s` forgets the old one"},
	{"Host key verification failed", VMF_E_PERMISSION, "its host key is not known here",
		"`ssh %s` once, and compare the key before you accept it"},
	{"Permission denied (", VMF_E_PERMISSION, "it does not let us in",
		"`ssh-copy-id %s` takes our public key there; a key with a passphrase wants an ssh-agent"},
	{"Could not resolve hostname", VMF_E_NOT_FOUND, "nobody knows the address",
		"correct address = \"%s\""},
	{"Connection refused", VMF_E_FAILED, "nobody listens there", "is sshd running on %s?"},
	{"timed out", VMF_E_TIMEOUT, "it cannot be reached", "is %s up?"},
	{"No route to host", VMF_E_TIMEOUT, "it cannot be reached", "is %s up?"},
	{"Network is unreachable", VMF_E_TIMEOUT, "it cannot be reached", "is %s up?"},
	{"not responding", VMF_E_TIMEOUT, "it answers no more", "is %s up?"},
	{"no such identity", VMF_E_NOT_FOUND, "the key named by identity = is not there", NULL},
};

/* The last line that is not empty, in WORDS, which are cut. */
static char *last_line(char *words)
{
	size_t n = strlen(words);
	char *line;

	while (n && (words[n - 1] == '\n' || words[n - 1] == '\r'))
		words[--n] = '\0';
	line = strrchr(words, '\n');
	return line ? line + 1 : words;
}

int words_fail(const struct vmf_call *c, int status, char *words, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *address = h->opt_string(c, "address"), *command = h->opt_string(c, "command");
	char *line;

	for (size_t i = 0; status == SSH_FAILED && i < VMF_COUNT(known); i++)
		if (strstr(words, known[i].said)) {
			const char *before = known[i].hint, *at = before ? strstr(before, "%s") : NULL;
			char *hint =
				at ? h->printf(c, "%.*s%s%s", (int)(at - before), before, address, at + 2)
				   : NULL;

			return h->fail(err, known[i].code, 0, hint, "ssh %s: %s", address, known[i].means);
		}
	line = last_line(words);
	if (status == 127)
		return h->fail(err, VMF_E_MISSING, 0,
			"install vmf there, or say where it is: command = \"...\"", "there is no %s on %s",
			command, address);
	if (status == 126)
		return h->fail(
			err, VMF_E_PERMISSION, 0, NULL, "%s on %s cannot be run: %s", command, address, line);
	if (*line)
		return h->fail(err, VMF_E_FAILED, 0, NULL, "ssh %s: %s", address, line);
	return h->fail(err, VMF_E_FAILED, 0, NULL, "ssh %s ended with %d", address, status);
}
