/* SPDX-License-Identifier: ISC */
/* The guest agent of a VM. A guest that does not answer must hold nobody up: who asks by the way waits for
 * little. */
#include "vm/guest.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "qemu/guest.h"

#define ANSWER_MS 250
#define SILENT_MS 50 /* once SILENT_MAX have not answered: a list of many must not wait for each */
#define SILENT_MAX 3

static int n_silent; /* of those that this process has asked by the way */

static char *socket_path(const struct vm *vm)
{
	return str_printf("%s/ga", vm->run_dir);
}

bool vm_has_guest_agent(const struct vm *vm)
{
	autofree char *path = socket_path(vm);

	return file_exists(path);
}

int vm_guest_ask(struct vm *vm, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ms,
	struct vmf_error *err)
{
	autofree char *path = socket_path(vm);
	int rc;

	if (!file_exists(path)) {
		json_decref(arguments);
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`set guest_agent=yes`, and start it anew",
			"vm \"%s\" has no channel for a guest agent", vm->name);
	}
	rc = guest_ask(path, command, arguments, answer, deadline_ms, err);
	return rc < 0 ? vmf_context(err, "vm \"%s\"", vm->name) : 0;
}

/* By the way: whatever is wrong is no error. */
static json_t *ask_quickly(struct vm *vm, const char *command, json_t *arguments)
{
	struct vmf_error err = VMF_ERROR_INIT;
	json_t *answer = NULL;

	if (vm_guest_ask(vm, command, arguments, &answer,
		    time_now_ms() + (n_silent < SILENT_MAX ? ANSWER_MS : SILENT_MS), &err) < 0) {
		n_silent += err.code == VMF_E_TIMEOUT;
		log_info("%s", err.message);
	}
	error_clear(&err);
	return answer;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

/* Link-local ones lead nowhere without the name of an interface. What is no address is the guest's invention.
 */
static bool is_useful(const char *address)
{
	return *address && strspn(address, "0123456789abcdefABCDEF.:") == strlen(address) &&
	       strlen(address) < 46 && strncasecmp(address, "fe80:", 5) != 0;
}

static void add_kind(json_t *found, const json_t *interface, const char *kind)
{
	const json_t *all = json_object_get(interface, "ip-addresses"), *one;
	size_t i;

	json_array_foreach(all, i, one)
	{
		const char *address = text_of(one, "ip-address");

		if (str_equal(text_of(one, "ip-address-type"), kind) && is_useful(address))
			json_array_append_new(found, json_string(address));
	}
}

json_t *vm_guest_addresses(struct vm *vm, const char *mac)
{
	json_t *all, *one, *found = NULL;
	size_t i;

	if (!vm_has_guest_agent(vm))
		return NULL;
	all = ask_quickly(vm, "guest-network-get-interfaces", NULL);
	json_array_foreach(all, i, one)
	{
		if (strcasecmp(text_of(one, "hardware-address"), mac) != 0)
			continue;
		if (!found)
			found = json_array();
		/* a bridge or a VLAN on it has its MAC, too */
		add_kind(found, one, "ipv4");
	}
	json_array_foreach(all, i, one)
	{
		if (strcasecmp(text_of(one, "hardware-address"), mac) == 0)
			add_kind(found, one, "ipv6");
	}
	json_decref(all);
	return found;
}

/* ---- the console's size --------------------------------------------------------------------- */

bool vm_guest_set_size(struct vm *vm, unsigned port, unsigned rows, unsigned columns)
{
	autofree char *tty = str_printf("/dev/ttyS%u", port);
	autofree char *n_rows = str_printf("%u", rows);
	autofree char *n_columns = str_printf("%u", columns);
	json_t *answer = ask_quickly(vm, "guest-exec",
		json_pack("{s:s, s:[s,s,s,s,s,s]}", "path", "stty", "arg", "-F", tty, "rows", n_rows, "cols",
			n_columns));

	json_decref(answer);
	return answer != NULL;
}
