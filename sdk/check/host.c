/* SPDX-License-Identifier: ISC */
/* The host that a plugin under test sees: vmf's own, with services that can be made to fail. */
#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_KEYS 64

static unsigned fail_at, used;
static struct {
	char *slot, *key, *value;
} kept[MAX_KEYS];
static struct vmf_host host;

void host_fail_at(unsigned n)
{
	fail_at = n;
	used = 0;
}

unsigned host_services_used(void)
{
	return used;
}

static bool is_to_fail(void)
{
	return ++used == fail_at;
}

static int refuse(struct vmf_error *err, const char *service)
{
	return vmf_fail(
		err, VMF_E_FAILED, 0, "this failure was made on purpose", "%s was made to fail", service);
}

static const char *state_get(void *data, const char *slot, const char *key)
{
	(void)data;
	for (size_t i = 0; i < MAX_KEYS && kept[i].key; i++)
		if (str_equal(kept[i].slot, slot) && str_equal(kept[i].key, key))
			return kept[i].value;
	return NULL;
}

static int state_set(void *data, const char *slot, const char *key, const char *value, struct vmf_error *err)
{
	(void)data;
	if (is_to_fail())
		return refuse(err, "state_set");
	for (size_t i = 0; i < MAX_KEYS; i++) {
		if (kept[i].key && !(str_equal(kept[i].slot, slot) && str_equal(kept[i].key, key)))
			continue;
		str_set(&kept[i].slot, slot);
		str_set(&kept[i].key, key);
		str_set(&kept[i].value, value);
		return 0;
	}
	return vmf_fail(err, VMF_E_NO_SPACE, 0, NULL, "more than %d keys", MAX_KEYS);
}

static int qmp(void *data, const char *command, const char *arguments_json, int fd, const char *fd_name,
	char **answer_json, struct vmf_error *err)
{
	(void)data;
	(void)arguments_json;
	(void)fd;
	(void)fd_name;
	if (is_to_fail())
		return refuse(err, command);
	if (answer_json)
		*answer_json = str_dup("{}");
	return 0;
}

static int run(const struct vmf_call *call, struct vmf_run *what, struct vmf_error *err)
{
	return is_to_fail() ? refuse(err, what->argv[0]) : host_table()->run(call, what, err);
}

static int run_checked(const struct vmf_call *call, struct vmf_run *what, struct vmf_error *err)
{
	return is_to_fail() ? refuse(err, what->argv[0]) : host_table()->run_checked(call, what, err);
}

static int progress(const struct vmf_call *call, const char *what, uint64_t done, uint64_t total)
{
	(void)call;
	(void)what;
	(void)done;
	(void)total;
	return is_to_fail() ? -1 : 0;
}

static void no_log(const struct vmf_call *call, int level, const char *fmt, ...) VMF_PRINTF(3, 4);

static void no_log(const struct vmf_call *call, int level, const char *fmt, ...)
{
	va_list ap;
	char *text;

	(void)call;
	(void)level;
	/* formatted all the same, so that wrong arguments are found */
	va_start(ap, fmt);
	text = str_vprintf(fmt, ap);
	va_end(ap);
	free(text);
}

void host_prepare(struct subject *s, const char *slot)
{
	host = *host_table();
	host.run = run;
	host.run_checked = run_checked;
	host.progress = progress;
	host.log = no_log;
	s->services = (struct host_services){
		.arena = &s->arena, .data = s, .state_get = state_get, .state_set = state_set, .qmp = qmp};
	s->vm = (struct vmf_vm_id){
		.size = sizeof(s->vm),
		.name = "check",
		.uuid = "00000000-0000-4000-8000-0000000000c4",
		.run_dir = s->scratch,
	};
	host_call_init(&s->call, &s->services, s->opts, &s->vm, "check", slot, 0);
	s->call.host = &host;
}
