/* SPDX-License-Identifier: ISC */
/*
 * Owners: added, changed, removed, listed. They are sections of vmf.conf, each change of which is made under
 * a lock; what sshd reads, ETC/authorized_keys, is written from that anew each time, and is never a person's
 * own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/sshkey.h"
#include "cli/cli.h"
#include "cli/gate.h"
#include "config/value.h"
#include "vm/owner.h"
#include "vm/quota.h"

#define CONF_MAX (4 << 20)
#define KEYS_MAX (1 << 20)
#define LOCK_MS 20000

static char *conf_path(const struct ctx *ctx)
{
	return str_printf("%s/vmf.conf", ctx->paths.etc);
}

/* The lock for changes of vmf.conf's owners; -1 and err. */
static int lock_users(const struct ctx *ctx, struct vmf_error *err)
{
	autofree char *path = path_join(ctx->paths.lib, "users.lock");
	int fd;

	if (file_mkdirs(ctx->paths.lib, 0700, err) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && lock_wait(fd, 0, time_now_ms() + LOCK_MS) == 0)
		return fd;
	vmf_fail_errno(err, NULL, "cannot lock %s", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- keys ---------------------------------------------------------------------------------- */

static int add_key(struct strv *keys, const char *line, struct vmf_error *err)
{
	char *key = sshkey_parse(line, err);

	if (!key)
		return -1;
	for (size_t i = 0; i < keys->count; i++)
		if (sshkey_is_same(keys->items[i], key)) {
			free(key);
			return 0;
		}
	strv_take(keys, key);
	return 0;
}

/* WORD: a key, or a file with one in each line. */
static int read_keys(const char *word, struct strv *keys, struct vmf_error *err)
{
	autofree char *text = NULL;
	size_t before = keys->count;
	char *save = NULL;

	if (strchr(word, ' '))
		return add_key(keys, word, err) < 0 ? cli_usage(err, "--key") : 0;
	text = file_read(word, KEYS_MAX, NULL, err);
	if (!text)
		return vmf_context(err, "--key");
	if (strstr(text, "PRIVATE KEY")) {
		add_key(keys, "PRIVATE KEY", err);
		return vmf_context(err, "--key: %s", word);
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (line[strspn(line, " \t\r")] && *line != '#' && add_key(keys, line, err) < 0)
			return vmf_context(err, "--key: %s", word);
	return keys->count > before ? 0
				    : vmf_fail(err, VMF_E_USAGE, 0, NULL, "--key: %s has no key in it", word);
}

/* sshd takes the first line that fits: a key is one owner's only. */
static int check_keys(
	const struct conf_section *root, const char *name, const struct strv *keys, struct vmf_error *err)
{
	for (size_t i = 0; i < root->n_sections; i++) {
		const struct conf_section *s = root->sections[i];
		const struct conf_value *list = str_equal(s->keyword, "owner") ? conf_get(s, "keys") : NULL;

		for (size_t k = 0; list && !str_equal(s->title, name) && k < list->n_items; k++)
			for (size_t n = 0; n < keys->count; n++)
				if (sshkey_is_same(list->items[k], keys->items[n]))
					return vmf_fail(err, VMF_E_EXISTS, 0,
						"each owner has keys of her own",
						"that key is owner \"%s\"'s already", s->title);
	}
	return 0;
}

/* A word for the shell of the account, inside of the double quotes of authorized_keys. */
static void put_word(struct strbuf *out, const char *word)
{
	bool is_plain = *word != '\0';

	for (const char *p = word; *p; p++)
		is_plain = is_plain && (strchr("/._-+,:@%=", *p) || (*p >= '0' && *p <= '9') ||
					       (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z'));
	if (is_plain) {
		strbuf_puts(out, word);
		return;
	}
	strbuf_putc(out, '\'');
	for (const char *p = word; *p; p++)
		if (*p == '\'')
			strbuf_puts(out, "'\\''");
		else if (*p == '"')
			strbuf_puts(out, "\\\"");
		else
			strbuf_putc(out, *p);
	strbuf_putc(out, '\'');
}

static void put_lines(const struct ctx *ctx, const struct conf_section *owner, struct strbuf *out)
{
	const struct conf_value *keys = conf_get(owner, "keys");
	char program[4096] = "vmf";
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[n > 0 ? n : 3] = '\0';
	for (size_t i = 0; keys && conf_number(owner, "enabled") && i < keys->n_items; i++) {
		autofree char *key = sshkey_parse(keys->items[i], NULL);

		if (!key || owner_name_check(owner->title, NULL) < 0) {
			log_warn("owner \"%s\": key %zu is none, and left out", owner->title, i + 1);
			continue;
		}
		strbuf_puts(out, "command=\"");
		put_word(out, program);
		if (ctx->paths.is_home) {
			autofree char *home = path_parent(ctx->paths.etc);

			strbuf_puts(out, " -C ");
			put_word(out, home);
		}
		strbuf_printf(out, " gate %s\",restrict,pty %s\n", owner->title, key);
	}
}

static char *all_lines(const struct ctx *ctx, const struct conf_section *root, const char *name)
{
	struct strbuf out = STRBUF_INIT;

	for (size_t i = 0; i < root->n_sections; i++)
		if (str_equal(root->sections[i]->keyword, "owner") &&
			(!name || str_equal(root->sections[i]->title, name)))
			put_lines(ctx, root->sections[i], &out);
	return strbuf_take(&out);
}

static int write_keys(const struct ctx *ctx, const struct conf_section *root, struct vmf_error *err)
{
	autofree char *path = path_join(ctx->paths.etc, "authorized_keys");
	autofree char *lines = all_lines(ctx, root, NULL);
	autofree char *text = str_printf(
		"# Written by vmf from the owners of vmf.conf: `vmf user keys --write` does it again.\n%s",
		lines);

	return file_write(path, text, strlen(text), 0644, true, err);
}

/* ---- changes -------------------------------------------------------------------------------- */

/* TEXT, which is consumed, with KEY of the owner set (VALUE "": as if it were not); NULL and err. */
static char *set_key(char *text, const char *path, const char *name, const char *key, const char *value,
	struct vmf_error *err)
{
	autofree char *title = conf_quote(name);
	autofree char *full = str_printf("owner.%s.%s", strchr(name, '.') ? title : name, key);
	char *edited;

	if (!text || !value)
		return text;
	edited = conf_edit_text(&vm_schema, path, text, full, *value ? value : NULL, err);
	free(text);
	return edited;
}

/* {"a", "b"}; "" if there are none. */
static char *list_text(const struct strv *items)
{
	struct strbuf out = STRBUF_INIT;

	for (size_t i = 0; i < items->count; i++) {
		autofree char *quoted = conf_quote(items->items[i]);

		strbuf_printf(&out, "%s%s", i ? ", " : "{", quoted);
	}
	if (items->count)
		strbuf_putc(&out, '}');
	return strbuf_take(&out);
}

/* Verbs are named as they are called, so that a slip is seen here and not when they are missed. */
static int check_verb(const char *word, struct vmf_error *err)
{
	const struct cli_verb *verb = cli_find(cli_verbs, word);
	char *words[] = {(char *)word};

	if (str_equal(word, "all") || (verb && gate_usage(verb)))
		return 0;
	if (!verb)
		return cli_unknown(cli_verbs, words, 1, err) < 0 ? cli_usage(err, "--allow") : 0;
	return vmf_fail(err, VMF_E_USAGE, 0, "`vmf help gate` says why",
		"--allow: %s cannot be given to owners", word);
}

/* "a,b" as a list's text; NULL: not given. */
static int read_list(struct cli_call *call, const char *option, char **text, struct vmf_error *err)
{
	autofree char *copy = str_dup(cli_option(call, option, 0));
	autostrv struct strv items = STRV_INIT;
	char *save = NULL;

	*text = NULL;
	if (!copy)
		return 0;
	for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (str_equal(option, "--allow") ? check_verb(word, err) < 0
						 : vm_name_check(word, err) < 0 && cli_usage(err, option) < 0)
			return -1;
		strv_add(&items, word);
	}
	*text = list_text(&items);
	return 0;
}

/* The keys that there are, without those that --no-key names, with those that --key brings; NULL: as they
 * are. */
static int new_keys(struct cli_call *call, const struct conf_section *root, const char *name, char **text,
	struct vmf_error *err)
{
	const struct conf_section *section = conf_find(root, "owner", name);
	const struct conf_value *list = section ? conf_get(section, "keys") : NULL;
	autostrv struct strv keys = STRV_INIT;
	autostrv struct strv fresh = STRV_INIT;
	const char *word;

	*text = NULL;
	if (!cli_option(call, "--key", 0) && !cli_option(call, "--no-key", 0))
		return 0;
	for (size_t i = 0; list && i < list->n_items; i++) {
		bool goes = false;

		for (size_t k = 0; (word = cli_option(call, "--no-key", k)); k++)
			goes = goes || (*word && strstr(list->items[i], word));
		if (!goes)
			strv_add(&keys, list->items[i]);
	}
	if (cli_option(call, "--no-key", 0) && keys.count == (list ? list->n_items : 0))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf user keys` shows them",
			"owner \"%s\" has no key with \"%s\" in it", name, cli_option(call, "--no-key", 0));
	for (size_t i = 0; (word = cli_option(call, "--key", i)); i++)
		if (read_keys(word, &fresh, err) < 0)
			return -1;
	if (check_keys(root, name, &fresh, err) < 0)
		return -1;
	for (size_t i = 0; i < fresh.count; i++)
		if (add_key(&keys, fresh.items[i], err) < 0)
			return -1;
	*text = list_text(&keys);
	return 0;
}

static char *with_options(struct cli_call *call, const struct conf_section *root, const char *path,
	char *text, const char *name, struct vmf_error *err)
{
	static const struct {
		const char *option, *key;
	} numbers[] = {{"--vms", "vms"}, {"--cpus", "cpus"}, {"--memory", "memory"}, {"--disk", "disk"}};
	autofree char *keys = NULL;
	autofree char *allow = NULL;
	autofree char *classes = NULL;

	if (new_keys(call, root, name, &keys, err) < 0 || read_list(call, "--allow", &allow, err) < 0 ||
		read_list(call, "--classes", &classes, err) < 0) {
		free(text);
		return NULL;
	}
	for (size_t i = 0; text && i < VMF_COUNT(numbers); i++) {
		text = set_key(text, path, name, numbers[i].key, cli_option(call, numbers[i].option, 0), err);
		if (!text)
			cli_usage(err, numbers[i].option);
	}
	text = set_key(text, path, name, "allow", allow, err);
	text = set_key(text, path, name, "classes", classes, err);
	if (cli_option(call, "--disable", 0))
		text = set_key(text, path, name, "enabled", "no", err);
	else if (cli_option(call, "--enable", 0))
		text = set_key(text, path, name, "enabled", "", err);
	return set_key(text, path, name, "keys", keys, err);
}

/* The whole must be right with it; then both files are. CLOSING: who is shut out is so first. */
static int write_all(
	struct cli_call *call, const char *path, const char *text, bool closing, struct vmf_error *err)
{
	autofree char *folder = path_parent(path);
	struct conf *trial = conf_new(&vm_schema);
	int rc = conf_add_text(trial, path, text, strlen(text), err);

	if (rc == 0 && out_dry(call, "write %s", path)) {
		out_dry(call, "write %s/authorized_keys", call->ctx->paths.etc);
		out_plan(call, NULL);
	} else if (rc == 0) {
		rc = file_mkdirs(folder, 0755, err);
		if (rc == 0 && closing)
			rc = write_keys(call->ctx, conf_root(trial), err);
		if (rc == 0)
			rc = file_write(path, text, strlen(text), 0644, true, err);
		if (rc == 0 && !closing)
			rc = write_keys(call->ctx, conf_root(trial), err);
	}
	conf_free(trial);
	return rc;
}

/* What is done to owners is written down beside what they do. */
static void note(const struct cli_call *call, const char *done, const char *name)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct strv words = STRV_INIT;
	autofree char *who = str_printf("uid %d", (int)getuid());
	struct audit audit = {.who = who};

	strv_add(&words, "user");
	strv_add(&words, done);
	strv_add(&words, name);
	if (audit_begin(call->ctx, &audit, &words, NULL, &ignored) == 0)
		audit_end(call->ctx, &audit, "ok", 0, NULL);
	else
		log_warn("%s", ignored.message);
	error_clear(&ignored);
	strv_free(&words);
}

static void said(const struct cli_call *call, const char *name, const char *what)
{
	if (call->ctx->dry_run)
		return;
	note(call, what, name);
	if (call->ctx->json)
		out_json(json_pack("{s:s, s:s}", "owner", name, "done", what));
	else if (log_level() >= 0)
		printf("%s: %s\n", name, what);
}

static int change(struct cli_call *call, bool is_new, struct vmf_error *err)
{
	autofree char *path = conf_path(call->ctx);
	autofree char *text = NULL;
	autoclose int lock = lock_users(call->ctx, err);
	const char *name = call->args.count ? call->args.items[0] : "";
	const struct conf_section *root;

	if (lock < 0 || owner_name_check(name, err) < 0 || ctx_load(call->ctx, err) < 0)
		return -1;
	if (cli_option(call, "--enable", 0) && cli_option(call, "--disable", 0))
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--enable and --disable: which of them?");
	root = conf_root(call->ctx->base);
	if (is_new && owner_find(call->ctx, name))
		return vmf_fail(err, VMF_E_EXISTS, 0, "`vmf user set` changes what she may have",
			"there is an owner \"%s\" already", name);
	if (!is_new && !owner_find(call->ctx, name))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf user list` shows all",
			"there is no owner \"%s\"", name);
	text = file_exists(path) ? file_read(path, CONF_MAX, NULL, err) : str_dup("");
	if (is_new) /* a section, even if nothing stands in it */
		text = set_key(text, path, name, "enabled", "yes", err);
	text = text ? with_options(call, root, path, text, name, err) : NULL;
	if (!text || write_all(call, path, text,
			     cli_option(call, "--disable", 0) || cli_option(call, "--no-key", 0), err) < 0)
		return -1;
	said(call, name, is_new ? "added" : "changed");
	return 0;
}

int command_user_add(struct cli_call *call, struct vmf_error *err)
{
	if (call->args.count != 1)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in: user add alice --key alice.pub",
			"user add wants a name behind it");
	return change(call, true, err);
}

int command_user_set(struct cli_call *call, struct vmf_error *err)
{
	if (call->args.count != 1 || !call->options.count)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in: user set alice --vms 3",
			"user set wants a name behind it, and what is to be changed");
	return change(call, false, err);
}

static int check_none(struct ctx *ctx, const char *name, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;

	if (vm_names(ctx, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.count; i++) {
		struct vmf_error ignored = VMF_ERROR_INIT;
		struct vm *vm = vm_load(ctx, names.items[i], true, &ignored);
		bool is_hers = vm && str_equal(conf_string(vm->root, "owner"), name);
		autofree char *hint = str_printf(
			"`vmf %s set owner=` takes it away, `vmf user set %s --disable` shuts her out",
			names.items[i], name);

		vm_free(vm);
		error_clear(&ignored);
		if (is_hers)
			return vmf_fail(err, VMF_E_STATE, 0, hint, "vm \"%s\" is owner \"%s\"'s",
				names.items[i], name);
	}
	return 0;
}

int command_user_remove(struct cli_call *call, struct vmf_error *err)
{
	autofree char *path = conf_path(call->ctx);
	autoclose int lock = -1;
	autofree char *text = NULL;
	autofree char *edited = NULL;
	autofree char *title = NULL;
	autofree char *key = NULL;
	const char *name;

	if (call->args.count != 1)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "user remove wants a name behind it");
	name = call->args.items[0];
	lock = lock_users(call->ctx, err);
	if (lock < 0 || owner_name_check(name, err) < 0 || ctx_load(call->ctx, err) < 0)
		return -1;
	if (!owner_find(call->ctx, name))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf user list` shows all",
			"there is no owner \"%s\"", name);
	if (check_none(call->ctx, name, err) < 0)
		return -1;
	title = conf_quote(name);
	key = str_printf("owner.%s", strchr(name, '.') ? title : name);
	text = file_read(path, CONF_MAX, NULL, err);
	edited = text ? conf_edit_text(&vm_schema, path, text, key, NULL, err) : NULL;
	if (!edited)
		return -1;
	if (str_equal(text, edited))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "it stands in another file: remove it there",
			"%s has no owner \"%s\"", path, name);
	if (write_all(call, path, edited, true, err) < 0)
		return -1;
	said(call, name, "removed");
	return 0;
}

/* ---- to look at ----------------------------------------------------------------------------- */

static json_t *number_json(int64_t most)
{
	return most < 0 ? json_null() : json_integer(most);
}

static char *of(int64_t used, int64_t most, bool is_size)
{
	autofree char *a = is_size ? value_format_size((uint64_t)used) : str_printf("%lld", (long long)used);
	autofree char *b = most < 0  ? str_dup("-")
			   : is_size ? value_format_size((uint64_t)most)
				     : str_printf("%lld", (long long)most);

	return str_printf("%s/%s", a, b);
}

static int show(struct cli_call *call, const struct conf_section *owner, struct out_table *table,
	json_t *array, struct vmf_error *err)
{
	const struct conf_value *keys = conf_get(owner, "keys");
	bool is_enabled = conf_number(owner, "enabled") != 0;
	struct quota most, used;
	char *cells[5];
	json_t *json;

	quota_limits(call->ctx, owner->title, &most);
	if (quota_used(call->ctx, owner->title, NULL, true, &used, err) < 0)
		return -1;
	json = json_pack("{s:s, s:b, s:i, s:I, s:o, s:I, s:o, s:I, s:o, s:I, s:o}", "name", owner->title,
		"enabled", is_enabled, "keys", keys ? (int)keys->n_items : 0, "vms_used",
		(json_int_t)used.vms, "vms", number_json(most.vms), "cpus_used", (json_int_t)used.cpus,
		"cpus", number_json(most.cpus), "memory_used_bytes", (json_int_t)used.memory_bytes,
		"memory_bytes", number_json(most.memory_bytes), "disk_used_bytes",
		(json_int_t)used.disk_bytes, "disk_bytes", number_json(most.disk_bytes));
	json_array_append_new(array, json);
	cells[0] = of(used.vms, most.vms, false);
	cells[1] = of(used.cpus, most.cpus, false);
	cells[2] = of(used.memory_bytes, most.memory_bytes, true);
	cells[3] = of(used.disk_bytes, most.disk_bytes, true);
	cells[4] = str_printf("%zu", keys ? keys->n_items : 0);
	out_table_row(table, (const char *const[]){owner->title, is_enabled ? "enabled" : "disabled",
				     cells[0], cells[1], cells[2], cells[3], cells[4]});
	for (size_t i = 0; i < VMF_COUNT(cells); i++)
		free(cells[i]);
	return 0;
}

int command_user_list(struct cli_call *call, struct vmf_error *err)
{
	static const char *const heads[] = {"NAME", "STATE", ">VMS", ">CPUS", ">MEMORY", ">DISK", ">KEYS"};
	bool only_names = cli_option(call, "--names", 0) != NULL;
	const struct conf_section *root;
	struct out_table *table;
	json_t *array;
	int rc = 0;

	if (ctx_load(call->ctx, err) < 0)
		return -1;
	root = conf_root(call->ctx->base);
	table = out_table_new(heads, VMF_COUNT(heads));
	array = json_array();
	if (!only_names)
		ctx_remember_volumes(call->ctx);
	for (size_t i = 0; rc == 0 && i < root->n_sections; i++)
		if (str_equal(root->sections[i]->keyword, "owner") && only_names)
			puts(root->sections[i]->title);
		else if (str_equal(root->sections[i]->keyword, "owner"))
			rc = show(call, root->sections[i], table, array, err);
	if (rc == 0 && !only_names && call->ctx->json)
		out_json(json_incref(array));
	else if (rc == 0 && !only_names)
		out_table_print(table);
	json_decref(array);
	out_table_free(table);
	return rc;
}

int command_user_keys(struct cli_call *call, struct vmf_error *err)
{
	const char *name = call->args.count ? call->args.items[0] : NULL;
	autofree char *lines = NULL;

	if (call->args.count > 1)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "user keys: one owner's name, or none");
	if (ctx_load(call->ctx, err) < 0)
		return -1;
	if (name && !owner_find(call->ctx, name))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, "`vmf user list` shows all",
			"there is no owner \"%s\"", name);
	if (cli_option(call, "--write", 0)) {
		autoclose int lock = -1;

		if (out_dry(call, "write %s/authorized_keys", call->ctx->paths.etc)) {
			out_plan(call, NULL);
			return 0;
		}
		lock = lock_users(call->ctx, err);
		return lock < 0 ? -1 : write_keys(call->ctx, conf_root(call->ctx->base), err);
	}
	lines = all_lines(call->ctx, conf_root(call->ctx->base), name);
	fputs(lines, stdout);
	return 0;
}
