/* SPDX-License-Identifier: ISC */
/*
 * Choosing a host for a new VM. The rule is simple: of the hosts that it fits on, the one with the most
 * memory left for further VMs; what counts are the VMs that are defined there, whether they run or not. The
 * host itself has the last word, under a lock, as others may choose at the same time; if it has no room any
 * more, the next one is chosen.
 */
#include "cli/choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/far.h"
#include "remote/claim.h"
#include "remote/hosts.h"

#define ANSWER_MS 10000

struct choice {
	struct vm *vm;
	struct claim need;
	struct host_answers hosts;
	struct strv full; /* hosts that had no room after all */
};

/* ---- what is wanted ------------------------------------------------------------------------ */

static int first_call(struct cli_call *call, int argc, char **argv)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	int n_words = 1, i;

	memset(call, 0, sizeof(*call));
	call->verb = cli_match(cli_verbs, argv + 1, argc - 1, &n_words);
	i = call->verb ? cli_take_words(call, argv, argc, 1 + n_words, &ignored) : -1;
	error_clear(&ignored);
	return i < 0 ? argc : i;
}

static void free_call(struct cli_call *call)
{
	strv_free(&call->args);
	strv_free(&call->options);
}

/* What holds for the new VM before its own options: the class that they name, -o. The caller frees. */
static struct conf *layers(const struct vm *vm, const struct cli_call *call)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	const char *class_ = call->verb ? cli_option(call, "--class", 0) : NULL;
	const struct conf *base = class_ ? ctx_class(vm->ctx, class_, &ignored) : NULL;
	struct conf *conf = conf_copy(base ? base : vm->conf);

	for (size_t i = 0; base && i < vm->ctx->settings.count; i++)
		conf_add_setting(conf, vm->ctx->settings.items[i], "-o", &ignored);
	error_clear(&ignored); /* `create` says it */
	return conf;
}

bool choose_is_wanted(const struct vm *vm, int argc, char **argv)
{
	struct cli_call call;
	struct conf *conf;
	const char *host;
	bool is_wanted;

	if (vm->is_defined)
		return false;
	first_call(&call, argc, argv);
	conf = layers(vm, &call);
	host = cli_option(&call, "--host", 0);
	is_wanted = call.verb && call.verb->run == verb_create &&
		    str_equal(host ? host : conf_string(conf_root(conf), "host"), "auto");
	conf_free(conf);
	free_call(&call);
	return is_wanted;
}

/* What the VM will need: its classes, -o and the options of `create`. */
static int read_need(struct choice *choice, const struct cli_call *call, struct vmf_error *err)
{
	static const char *const options[][2] = {{"--memory", "memory"}, {"--cpus", "cpus"}};
	struct conf *trial = layers(choice->vm, call);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < VMF_COUNT(options); i++) {
		const char *value = cli_option(call, options[i][0], 0);
		autofree char *setting = value ? str_printf("%s=%s", options[i][1], value) : NULL;

		if (setting)
			rc = conf_add_setting(trial, setting, options[i][0], err);
	}
	choice->need.cpus = conf_number(conf_root(trial), "cpus");
	choice->need.memory_bytes = conf_number(conf_root(trial), "memory");
	conf_free(trial);
	return rc;
}

/* ---- the rule ----------------------------------------------------------------------------- */

static void limits(const struct choice *choice, const struct host_answer *host, struct claim *claim)
{
	const struct conf_section *section = conf_find(choice->vm->root, "host", host->name);

	*claim = choice->need;
	claim->cpus_most = conf_is_set(section, "cpus")
				   ? conf_number(section, "cpus")
				   : json_integer_value(json_object_get(host->json, "cpus"));
	claim->memory_bytes_most = conf_is_set(section, "memory")
					   ? conf_number(section, "memory")
					   : json_integer_value(json_object_get(host->json, "memory_bytes"));
}

/* Memory that would be left, or -1 and why not. The caller frees *why. */
static int64_t judge(const struct choice *choice, const struct host_answer *host, char **why)
{
	int64_t cpus = json_integer_value(json_object_get(host->json, "cpus_defined"));
	int64_t memory = json_integer_value(json_object_get(host->json, "memory_defined_bytes"));
	struct claim claim;

	limits(choice, host, &claim);
	*why = NULL;
	if (host->error.code)
		*why = str_dup(host->error.message);
	else if (strv_has(&choice->full, host->name))
		*why = str_dup("others were quicker");
	else if (cpus + claim.cpus > claim.cpus_most)
		*why = str_printf("%lld of %lld CPUs are taken", (long long)cpus, (long long)claim.cpus_most);
	else if (memory + claim.memory_bytes > claim.memory_bytes_most)
		*why = str_printf("%lld of %lld MiB of memory are taken", (long long)memory >> 20,
			(long long)claim.memory_bytes_most >> 20);
	return *why ? -1 : claim.memory_bytes_most - memory - claim.memory_bytes;
}

static int ask(struct choice *choice, struct vmf_error *err)
{
	struct ctx *ctx = choice->vm->ctx;
	const struct conf_section *root = choice->vm->root;
	char host[] = "host", info[] = "info", *words[] = {host, info};
	json_t *request = far_request(ctx, 2, words);
	int rc = 0;

	for (size_t i = 0; i < root->n_sections; i++)
		if (str_equal(root->sections[i]->keyword, "host"))
			hosts_add(ctx, root, root->sections[i]->title, &choice->hosts);
	json_object_set_new(request, "json", json_true());
	json_object_set_new(request, "dry_run", json_false());
	json_object_set_new(request, "settings", json_array());
	hosts_ask(ctx, &choice->hosts, request, "info", ANSWER_MS);
	json_decref(request);
	for (size_t i = 0; rc == 0 && i < choice->hosts.count; i++) {
		struct host_answer *h = &choice->hosts.items[i];

		if (h->place || h->error.code)
			continue;
		h->json = hosts_this(ctx, err);
		rc = h->json ? 0 : -1;
	}
	return rc;
}

/* The best one, or NULL and err with what is wrong with each. */
static struct host_answer *best(const struct choice *choice, struct vmf_error *err)
{
	struct host_answer *found = NULL;
	autostrbuf struct strbuf reasons = STRBUF_INIT;
	int64_t most = -1;

	for (size_t i = 0; i < choice->hosts.count; i++) {
		struct host_answer *host = &choice->hosts.items[i];
		autofree char *why = NULL;
		int64_t left = judge(choice, host, &why);

		if (left > most) {
			most = left;
			found = host;
		}
		if (why)
			strbuf_printf(&reasons, "%s%s: %s", reasons.length ? "; " : "", host->name, why);
	}
	if (!found)
		vmf_fail(err, VMF_E_NO_SPACE, 0, "`vmf host list` shows what is used", "no host has room: %s",
			reasons.data ? reasons.data : "there are none");
	return found;
}

static void explain(const struct choice *choice, const struct host_answer *chosen)
{
	json_t *array = choice->vm->ctx->json ? json_array() : NULL;

	for (size_t i = 0; i < choice->hosts.count; i++) {
		const struct host_answer *host = &choice->hosts.items[i];
		autofree char *why = NULL;
		int64_t left = judge(choice, host, &why);

		if (array)
			json_array_append_new(
				array, json_pack("{s:s, s:b, s:o, s:o}", "name", host->name, "chosen",
					       host == chosen, "why", out_string(why), "memory_left_bytes",
					       left < 0 ? json_null() : json_integer(left)));
		else if (why)
			printf("%s: does not fit: %s\n", host->name, why);
		else
			printf("%s: %lld MiB would be left%s\n", host->name, (long long)left >> 20,
				host == chosen ? ": chosen" : "");
	}
	if (array)
		out_json(array);
}

/* ---- doing it ----------------------------------------------------------------------------- */

/* The words of `create` with the host that was chosen. */
static void new_words(struct strv *words, const char *name, const char *host, const struct cli_call *call)
{
	strv_add(words, name);
	strv_add(words, "create");
	strv_add(words, "--host");
	strv_add(words, host);
	for (size_t i = 0; i + 1 < call->options.count; i += 2) {
		const char *option = call->options.items[i], *value = call->options.items[i + 1];

		if (str_equal(option, "--host"))
			continue;
		strv_add(words, option);
		strv_add(words, value);
	}
}

/* 1: there was no room. */
static int create_on(struct choice *choice, struct host_answer *host, struct strv *words, int *exit_code,
	struct vmf_error *err)
{
	struct claim claim;
	int lock = -1, rc;

	limits(choice, host, &claim);
	if (host->place)
		return far_claim(
			choice->vm, host->place, (int)words->count, words->items, &claim, exit_code, err);
	rc = claim_take(choice->vm->ctx, &claim, &lock, err);
	if (rc == 0)
		rc = cli_words(choice->vm->ctx, (int)words->count, words->items, exit_code, err);
	if (lock >= 0)
		close(lock);
	return rc;
}

static int choose(struct choice *choice, const struct cli_call *call, int *exit_code, struct vmf_error *err)
{
	for (;;) {
		autostrv struct strv words = STRV_INIT;
		struct host_answer *host;
		int rc;

		if (ask(choice, err) < 0)
			return -1;
		host = best(choice, err);
		if (cli_option(call, "--explain", 0)) {
			error_clear(err);
			explain(choice, host);
			return 0;
		}
		if (!host)
			return -1;
		log_info("vm \"%s\": host \"%s\" is chosen", choice->vm->name, host->name);
		new_words(&words, choice->vm->name, host->name, call);
		rc = create_on(choice, host, &words, exit_code, err);
		if (rc <= 0)
			return rc;
		strv_add(&choice->full, host->name);
		hosts_free(&choice->hosts);
	}
}

int choose_chain(struct vm *vm, int argc, char **argv, int *exit_code, struct vmf_error *err)
{
	struct choice choice = {.vm = vm};
	struct cli_call call;
	int next = first_call(&call, argc, argv), rc = read_need(&choice, &call, err);
	bool is_all = next >= argc || cli_option(&call, "--explain", 0) || vm->ctx->dry_run;

	if (rc == 0)
		rc = choose(&choice, &call, exit_code, err);
	free_call(&call);
	hosts_free(&choice.hosts);
	strv_free(&choice.full);
	if (rc < 0 || *exit_code || is_all)
		return rc;
	argv[next - 1] = argv[0]; /* it is defined now, and says where it lives */
	return cli_words(vm->ctx, argc - next + 1, argv + next - 1, exit_code, err);
}
