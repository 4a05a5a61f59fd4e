/* SPDX-License-Identifier: ISC */
/*
 * Relays that run: RUN/.relays has a file for each, which the relay itself holds locked. So a file whose lock
 * is free is of one that was killed, and whoever finds it removes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "cli/serve.h"

#define END_MS 5000
#define NOTE_MAX 4096
#define TRIES 5 /* somebody may just tidy the folder away */

static char *folder_of(const struct ctx *ctx)
{
	return str_printf("%s/.relays", ctx->paths.run);
}

/* ---- one's own ----------------------------------------------------------------------------- */

static char *text_of(const struct serve *s)
{
	const struct sockaddr *bound = (const struct sockaddr *)&s->bound;
	autofree char *address = net_address_text(bound);
	json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:b, s:i, s:I}", "vm", s->call->vm->name, "relay",
		s->kind, "address", address, "port", (int)net_port(bound), "once", !s->many, "pid",
		(int)getpid(), "since", (json_int_t)time(NULL));
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	return text;
}

static char *path_of_own(const struct ctx *ctx, const struct serve *s)
{
	return str_printf("%s/.relays/%s.%d", ctx->paths.run, s->call->vm->name, (int)getpid());
}

static bool is_still(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int relays_note(struct ctx *ctx, const struct serve *s)
{
	autofree char *folder = folder_of(ctx);
	autofree char *path = path_of_own(ctx, s);
	autofree char *text = text_of(s);
	pid_t holder;

	for (int i = 0; i < TRIES; i++) {
		int fd;

		if (mkdir(folder, 0700) < 0 && errno != EEXIST)
			break;
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			break;
		if (lock_take_named(fd, 0, &holder) == 0 && is_still(fd, path) &&
			fd_write_all(fd, text, strlen(text)) == 0)
			return fd;
		close(fd);
	}
	log_info("%s: `vmf relays` will not show it: %s: %s", s->what, path, strerror(errno));
	return -1;
}

void relays_forget(struct ctx *ctx, const struct serve *s, int note)
{
	autofree char *folder = folder_of(ctx);
	autofree char *path = path_of_own(ctx, s);

	if (note < 0)
		return;
	unlink(path);
	close(note);
	rmdir(folder); /* unless there are others */
}

/* ---- all ----------------------------------------------------------------------------------- */

/* Who holds the note; 0: nobody, and it was removed. */
static pid_t holder_of(const char *path, char text[NOTE_MAX])
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	pid_t holder = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	if (lock_take_named(fd, 0, &holder) == 0) {
		if (is_still(fd, path))
			unlink(path);
		holder = 0;
	}
	n = pread(fd, text, NOTE_MAX - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return holder;
}

/* Those that live; an array of what they noted, with the pid that the kernel says. */
static json_t *read_all(struct ctx *ctx, struct vmf_error *err)
{
	autofree char *folder = folder_of(ctx);
	autostrv struct strv names = STRV_INIT;
	json_t *all = json_array();

	if (dir_list(folder, &names, err) < 0) {
		json_decref(all);
		return NULL;
	}
	strv_sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		autofree char *path = path_join(folder, names.items[i]);
		char text[NOTE_MAX];
		pid_t pid = holder_of(path, text);
		json_t *json = pid > 0 ? json_loads(text, 0, NULL) : NULL;

		if (!json)
			continue;
		json_object_set_new(json, "pid", json_integer(pid));
		json_array_append_new(all, json);
	}
	rmdir(folder); /* if nothing is left */
	return all;
}

static const char *word(json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static char *pid_text(json_t *json)
{
	return str_printf("%lld", (long long)json_integer_value(json_object_get(json, "pid")));
}

static void print_table(json_t *all)
{
	static const char *const columns[] = {">ID", "VM", "RELAY", "ADDRESS", ">PORT", "FOR", "SINCE"};
	struct out_table *table = out_table_new(columns, VMF_COUNT(columns));
	json_t *json;
	size_t i;

	json_array_foreach(all, i, json)
	{
		autofree char *pid = pid_text(json);
		autofree char *since = out_time(json_integer_value(json_object_get(json, "since")));
		autofree char *port =
			str_printf("%lld", (long long)json_integer_value(json_object_get(json, "port")));
		const char *cells[] = {pid, word(json, "vm"), word(json, "relay"), word(json, "address"),
			port, json_is_true(json_object_get(json, "once")) ? "one" : "many", since};

		out_table_row(table, cells);
	}
	out_table_print(table);
	out_table_free(table);
}

/* ---- their end ----------------------------------------------------------------------------- */

static int end_one(struct ctx *ctx, json_t *json, struct vmf_error *err)
{
	pid_t pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
	autofree char *path = str_printf("%s/.relays/%s.%d", ctx->paths.run, word(json, "vm"), (int)pid);
	int pidfd = proc_pidfd(pid), rc = 0;
	char text[NOTE_MAX];

	/* the pid is believed only while it holds the note */
	if (pidfd >= 0 && holder_of(path, text) == pid) {
		if (proc_signal(pidfd, SIGTERM) < 0 && errno != ESRCH)
			rc = vmf_fail_errno(err, NULL, "relay %d", (int)pid);
		else if (!proc_wait_end(pidfd, time_now_ms() + END_MS) && proc_signal(pidfd, SIGKILL) < 0)
			rc = vmf_fail_errno(err, NULL, "relay %d", (int)pid);
	}
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

static bool is_named(const struct cli_call *call, json_t *json)
{
	autofree char *pid = pid_text(json);
	const char *id;

	for (size_t i = 0; (id = cli_option(call, "--end", i)); i++)
		if (str_equal(id, pid))
			return true;
	return cli_option(call, "--all", 0) != NULL;
}

/* Each that is named must be there, before any is ended. */
static int check_names(const struct cli_call *call, json_t *all, struct vmf_error *err)
{
	const char *id;

	for (size_t i = 0; (id = cli_option(call, "--end", i)); i++) {
		bool found = false;
		json_t *json;
		size_t k;

		json_array_foreach(all, k, json)
		{
			autofree char *pid = pid_text(json);

			found |= str_equal(id, pid);
		}
		if (!found)
			return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf relays` shows those that run",
				"there is no relay %s", id);
	}
	return 0;
}

static int end_some(struct cli_call *call, json_t *all, struct vmf_error *err)
{
	json_t *ended = json_array(), *json;
	int rc = check_names(call, all, err);
	size_t i;

	json_array_foreach(all, i, json)
	{
		autofree char *id = pid_text(json);

		if (rc < 0 || !is_named(call, json))
			continue;
		if (out_dry(call, "end relay %s of %s: %s", id, word(json, "vm"), word(json, "relay")))
			continue;
		rc = end_one(call->ctx, json, err);
		if (rc == 0 && !call->ctx->json && log_level() >= 0)
			printf("relay %s of %s has ended: %s\n", id, word(json, "vm"), word(json, "relay"));
		json_array_append(ended, json);
	}
	if (rc == 0 && call->ctx->json && !call->ctx->dry_run)
		out_json(json_incref(ended));
	if (rc == 0 && call->ctx->planned.count)
		out_plan(call, NULL);
	json_decref(ended);
	return rc;
}

int command_relays(struct cli_call *call, struct vmf_error *err)
{
	json_t *all;
	int rc = 0;

	if (call->args.count)
		return vmf_fail(err, VMF_E_USAGE, 0, "--end ID ends one", "relays takes no word: %s",
			call->args.items[0]);
	all = read_all(call->ctx, err);
	if (!all)
		return -1;
	if (cli_option(call, "--end", 0) || cli_option(call, "--all", 0))
		rc = end_some(call, all, err);
	else if (call->ctx->json)
		out_json(json_incref(all));
	else
		print_table(all);
	json_decref(all);
	return rc;
}
