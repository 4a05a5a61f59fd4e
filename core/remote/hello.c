/* SPDX-License-Identifier: ISC */
#include "remote/hello.h"

#include <unistd.h>

#include <vmf/plugin.h>

#include "base/str.h"

json_t *hello_new(void)
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return json_pack("{s:{s:s, s:i, s:[i,i], s:s}}", "hello", "version", VMF_VERSION, "protocol",
		REMOTE_PROTOCOL, "abi", VMF_ABI_MAJOR, VMF_ABI_MINOR, "host",
		str_utf8_span(host) == __builtin_strlen(host) ? host : "");
}

int hello_check(const json_t *frame, const char *who, struct vmf_error *err)
{
	const json_t *hello = json_object_get(frame, "hello"), *abi = json_object_get(hello, "abi");
	const char *version = json_string_value(json_object_get(hello, "version"));
	long long protocol = json_integer_value(json_object_get(hello, "protocol"));
	long long major = json_integer_value(json_array_get(abi, 0));
	autofree char *theirs = str_quote(version ? version : "?");

	if (!json_is_object(hello))
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s does not say what it is", who);
	if (protocol != REMOTE_PROTOCOL)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "install the same version at both ends",
			"%s has vmf %s, which speaks protocol %lld; this is vmf \"%s\", which speaks %d", who,
			theirs, protocol, VMF_VERSION, REMOTE_PROTOCOL);
	if (major != VMF_ABI_MAJOR)
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "install the same version at both ends",
			"%s has vmf %s, whose plugins are of ABI %lld; those of vmf \"%s\" here are of ABI "
			"%d",
			who, theirs, major, VMF_VERSION, VMF_ABI_MAJOR);
	return 0;
}
