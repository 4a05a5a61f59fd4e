/* SPDX-License-Identifier: ISC */
/*
 * `info`: all about one VM. It shows what it can find out: a plugin that fails, or is not there, is one of
 * the problems that it lists, not the end of it.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "config/value.h"

#define ASK_MS 1000
#define COMMAND_MAX (4 << 20)

struct info {
	struct vm *vm;
	struct vm_state state;
	struct qemu_args command; /* of the process that runs, else what start would use; empty: unknown */
	struct strv problems;
};

static void note(struct info *info, struct vmf_error *err)
{
	strv_add(&info->problems, err->message);
	error_clear(err);
}

/* ---- QEMU's command line ------------------------------------------------------------------- */

static int get_command(struct info *info, struct vmf_error *err)
{
	autofree char *path = str_printf("/proc/%d/cmdline", (int)info->state.pid);
	autofree char *words = NULL;
	size_t length = 0;

	if (!info->state.pid)
		return vm_command(info->vm, NULL, &info->command, err);
	words = file_read_at(AT_FDCWD, path, COMMAND_MAX, &length);
	if (!words)
		return vmf_fail_errno(err, NULL, "cannot read %s", path);
	for (size_t i = 0; i < length; i += strlen(words + i) + 1)
		strv_add(&info->command.argv, words + i);
	return 0;
}

/* ---- parts -------------------------------------------------------------------------------- */

static json_t *get_disks(struct info *info)
{
	struct vmf_error err = VMF_ERROR_INIT;
	json_t *array = json_array();
	struct vmf_volume *volumes;

	if (vm_disk_volumes(info->vm, &volumes, &err) < 0)
		note(info, &err);
	for (size_t i = 0; i < info->vm->n_disks; i++)
		json_array_append_new(array, disk_json(&info->vm->disks[i], &volumes[i]));
	return array;
}

static json_t *get_nics(struct info *info)
{
	json_t *array = json_array();

	for (size_t i = 0; i < info->vm->n_nics; i++) {
		struct vmf_error err = VMF_ERROR_INIT;

		json_array_append_new(
			array, nic_json(info->vm, &info->vm->nics[i], info->state.pid != 0, &err));
		if (err.code)
			note(info, &err);
	}
	return array;
}

static json_t *get_display(struct info *info)
{
	const struct plugin *plugin = info->vm->display.plugin;
	struct vmf_display_info now = {.size = sizeof(now)};
	struct vmf_error err = VMF_ERROR_INIT;
	struct vm_call call;
	json_t *json;

	if (!info->vm->display.name)
		return json_null();
	if (info->state.pid && plugin && plugin->ops.display.info) {
		vm_call_display(info->vm, &info->vm->display, &call);
		if (plugin->ops.display.info(&call.call, &now, &err) < 0)
			note(info, &err);
	}
	json = json_pack("{s:s}", "plugin", info->vm->display.name);
	json_object_set_new(json, "type", out_string(now.type));
	json_object_set_new(json, "path", out_string(now.path));
	json_object_set_new(json, "address", out_string(now.address));
	json_object_set_new(json, "port", now.port ? json_integer(now.port) : json_null());
	json_object_set_new(json, "how", out_string(now.how));
	return json;
}

static json_t *get_sockets(struct info *info)
{
	struct vm *vm = info->vm;
	json_t *serial = json_array(), *json;
	autofree char *qmp = str_printf("%s/qmp", vm->run_dir);
	autofree char *hmp = str_printf("%s/hmp", vm->run_dir);

	for (int i = 0; i < (int)conf_number(vm->root, "serial"); i++) {
		autofree char *path = str_printf("%s/s%d", vm->run_dir, i);

		json_array_append_new(serial, out_string(info->state.pid ? path : NULL));
	}
	json = json_pack("{s:o}", "serial", serial);
	json_object_set_new(json, "qmp", out_string(info->state.pid ? qmp : NULL));
	json_object_set_new(json, "hmp", out_string(info->state.pid ? hmp : NULL));
	return json;
}

static json_t *gather(struct info *info)
{
	struct vm *vm = info->vm;
	const struct conf_section *root = vm->root;
	struct vmf_error err = VMF_ERROR_INIT;
	autofree char *log = vm_lib_path(vm, "log", ".log");
	json_t *json = json_pack("{s:s, s:o, s:s}", "vm", vm->name, "file",
		out_string(vm->is_defined ? vm->file : NULL), "uuid", vm->uuid);
	json_t *state = status_json(&info->state, vm->name);

	if (vm_resolve(vm, &err) < 0)
		note(info, &err);
	json_object_set_new(json, "class", out_string(vm->class_));
	json_object_set_new(json, "description", out_string(conf_string(root, "description")));
	json_object_set_new(json, "owner", out_string(conf_string(root, "owner")));
	json_object_set_new(json, "host", out_string(conf_string(root, "host")));
	json_object_set_new(json, "locked", json_boolean(conf_number(root, "locked")));
	json_object_update(json, state);
	json_decref(state);
	json_object_set_new(json, "memory_bytes", json_integer((json_int_t)vm_memory_bytes(vm)));
	json_object_set_new(json, "cpus", json_integer(conf_number(root, "cpus")));
	json_object_set_new(json, "cdrom", out_string(vm_cdrom(root)));
	json_object_set_new(json, "disks", get_disks(info));
	json_object_set_new(json, "nics", get_nics(info));
	json_object_set_new(json, "display", get_display(info));
	json_object_set_new(json, "sockets", get_sockets(info));
	json_object_set_new(json, "log", out_string(log));
	if (info->problems.count == 0 && get_command(info, &err) < 0)
		note(info, &err);
	json_object_set_new(json, "command", out_strings(&info->command.argv));
	json_object_set_new(json, "problems", out_strings(&info->problems));
	return json;
}

/* ---- for people --------------------------------------------------------------------------- */

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void put(const char *label, const char *text)
{
	autofree char *clean = text && *text ? out_clean(text) : NULL;

	if (clean)
		printf("%-14s%s\n", label, clean);
}

static void put_size(struct strbuf *line, const json_t *json, const char *key, const char *what)
{
	json_int_t bytes = json_integer_value(json_object_get(json, key));
	autofree char *size = value_format_size((uint64_t)bytes);

	if (bytes)
		strbuf_printf(line, ", %s%s", what, size);
}

static void put_disk(const json_t *d)
{
	autostrbuf struct strbuf line = STRBUF_INIT;
	autofree char *label = str_printf("disk %s", text_of(d, "disk"));

	strbuf_printf(&line, "%s of storage \"%s\", %s", text_of(d, "volume"), text_of(d, "storage"),
		text_of(d, "bus"));
	if (!json_is_true(json_object_get(d, "exists")))
		strbuf_puts(&line, ", missing");
	if (text_of(d, "format"))
		strbuf_printf(&line, ", %s", text_of(d, "format"));
	put_size(&line, d, "size_bytes", "");
	put_size(&line, d, "used_bytes", "used ");
	if (json_is_true(json_object_get(d, "readonly")))
		strbuf_puts(&line, ", read-only");
	put(label, line.data);
	put("", text_of(d, "path"));
}

static void put_nic(const json_t *n)
{
	autostrbuf struct strbuf line = STRBUF_INIT;
	autofree char *label = str_printf("nic %s", text_of(n, "nic"));
	json_t *word;
	size_t i;

	strbuf_printf(&line, "%s on network \"%s\", %s", text_of(n, "mac"), text_of(n, "network"),
		text_of(n, "model"));
	if (text_of(n, "segment"))
		strbuf_printf(&line, *text_of(n, "segment") ? ", in %s" : ", plugged into nothing%s",
			text_of(n, "segment"));
	if (text_of(n, "interface"))
		strbuf_printf(&line, ", %s", text_of(n, "interface"));
	if (!json_is_true(json_object_get(n, "link")))
		strbuf_puts(&line, ", unplugged");
	json_array_foreach(json_object_get(n, "addresses"), i, word)
		strbuf_printf(&line, "%s%s", i ? " " : ", address ", json_string_value(word));
	put(label, line.data);
	json_array_foreach(json_object_get(n, "forwards"), i, word) put("", json_string_value(word));
}

static void put_display(const json_t *d)
{
	autostrbuf struct strbuf line = STRBUF_INIT;

	if (!json_is_object(d)) {
		put("display", "none");
		return;
	}
	strbuf_puts(&line, text_of(d, "plugin"));
	if (text_of(d, "path"))
		strbuf_printf(&line, ", %s", text_of(d, "path"));
	if (text_of(d, "address"))
		strbuf_printf(&line, ", %s:%d", text_of(d, "address"),
			(int)json_integer_value(json_object_get(d, "port")));
	if (text_of(d, "how"))
		strbuf_printf(&line, " (`%s`)", text_of(d, "how"));
	put("display", line.data);
}

static void print_command(const struct info *info)
{
	autofree char *line = qemu_args_shell(&info->command);

	puts(line);
}

static void print(const struct info *info, const json_t *json)
{
	autofree char *state = status_line(&info->state);
	autofree char *memory = value_format_size(vm_memory_bytes(info->vm));
	autofree char *size = str_printf("%s, %d CPU%s", memory, (int)conf_number(info->vm->root, "cpus"),
		conf_number(info->vm->root, "cpus") == 1 ? "" : "s");
	const json_t *part;
	json_t *socket;
	size_t i;

	put("name", info->vm->name);
	put("state", state);
	put("", text_of(json, "advice"));
	put("description", text_of(json, "description"));
	put("definition", text_of(json, "file"));
	put("class", text_of(json, "class"));
	put("uuid", text_of(json, "uuid"));
	put("owner", text_of(json, "owner"));
	put("host", text_of(json, "host"));
	if (json_is_true(json_object_get(json, "locked")))
		put("locked", "yes");
	put("memory", size);
	put("cdrom", text_of(json, "cdrom"));
	json_array_foreach(json_object_get(json, "disks"), i, part) put_disk(part);
	json_array_foreach(json_object_get(json, "nics"), i, part) put_nic(part);
	put_display(json_object_get(json, "display"));
	json_array_foreach(json_object_get(json_object_get(json, "sockets"), "serial"), i, socket)
	{
		autofree char *label = str_printf("serial %zu", i);

		put(label, json_string_value(socket));
	}
	put("log", text_of(json, "log"));
	if (info->command.argv.count) {
		printf("\nQEMU's command line%s:\n", info->state.pid ? "" : " at its next start");
		print_command(info);
	}
}

int verb_info(struct cli_call *call, struct vmf_error *err)
{
	struct info info = {.vm = call->vm};
	bool only_command = cli_option(call, "--command", 0) != NULL;
	json_t *json = NULL;
	int rc = 0;

	vm_state_ask(call->vm, &info.state, time_now_ms() + ASK_MS);
	if (only_command)
		rc = get_command(&info, err);
	else
		json = gather(&info);
	if (rc == 0 && call->ctx->json) {
		out_json(json ? json_incref(json)
			      : json_pack("{s:s, s:o}", "vm", call->vm->name, "command",
					out_strings(&info.command.argv)));
	} else if (rc == 0 && only_command) {
		print_command(&info);
	} else if (rc == 0) {
		print(&info, json);
		for (size_t i = 0; i < info.problems.count; i++)
			log_warn("%s", info.problems.items[i]);
	}
	json_decref(json);
	qemu_args_free(&info.command);
	strv_free(&info.problems);
	return rc;
}
