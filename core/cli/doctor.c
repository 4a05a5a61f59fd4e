/* SPDX-License-Identifier: ISC */
/* `doctor`: what of this host does not do, and the command that mends it; --install fetches packages that are
 * missing. */
#include "vm/doctor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "cli/cli.h"

#define INSTALL_MS 3600000

static const char *const state_words[] = {"ok", "note", "wrong"};

static void print_json(const struct findings *f)
{
	json_t *array = json_array();

	for (size_t i = 0; i < f->count; i++) {
		const struct finding *x = &f->items[i];
		json_t *json = json_pack("{s:s}", "state", state_words[x->state]);

		json_object_set_new(json, "subject", out_string(x->subject));
		json_object_set_new(json, "what", out_string(x->what));
		json_object_set_new(json, "remedy", out_string(x->remedy));
		json_object_set_new(json, "package", out_string(x->package));
		json_array_append_new(array, json);
	}
	out_json(array);
}

/* Lines, not a table: what is wrong is a sentence. What is well comes first, as what is last is read first.
 */
static void print_text(const struct findings *f)
{
	for (int state = FINDING_OK; state <= FINDING_WRONG; state++) {
		for (size_t i = 0; i < f->count; i++) {
			const struct finding *x = &f->items[i];
			autofree char *what = x->what ? out_clean(x->what) : NULL;
			autofree char *remedy = x->remedy ? out_clean(x->remedy) : NULL;

			if ((int)x->state != state)
				continue;
			printf("%-5s  %s%s%s\n", state_words[state], x->subject, what ? ": " : "",
				what ? what : "");
			if (remedy)
				printf("       -> %s\n", remedy);
		}
	}
}

/* ---- packages ----------------------------------------------------------------------------- */

/* Of what is wrong only: nobody needs all that plugins could use. */
static void missing_packages(const struct findings *f, struct strv *packages)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].state == FINDING_WRONG && f->items[i].package &&
			!strv_has(packages, f->items[i].package))
			strv_add(packages, f->items[i].package);
}

static int run_apt(const struct strv *packages, struct vmf_error *err)
{
	autostrv struct strv argv = STRV_INIT;
	struct vmf_run run = {.size = sizeof(run), .stdout_fd = STDERR_FILENO, .timeout_ms = INSTALL_MS};
	int rc;

	strv_add(&argv, "apt-get");
	strv_add(&argv, "install");
	strv_add(&argv, "--yes");
	strv_add(&argv, "--no-install-recommends");
	strv_add_all(&argv, packages);
	run.argv = (const char *const *)argv.items;
	rc = proc_run(&run, 0, err);
	if (rc == 0 && run.status)
		rc = vmf_fail(err, VMF_E_FAILED, 0, "`apt-get update` first, if its lists are old",
			"apt-get: %s", run.err && *run.err ? run.err : "failed");
	free(run.out);
	free(run.err);
	return rc;
}

static int install(struct cli_call *call, const struct findings *f, struct vmf_error *err)
{
	autostrv struct strv packages = STRV_INIT;
	autofree char *names = NULL;
	autofree char *question = NULL;

	missing_packages(f, &packages);
	if (packages.count == 0) {
		log_info("no package is missing");
		return 0;
	}
	names = strv_join(&packages, " ");
	if (out_dry(call, "apt-get install %s", names)) {
		out_plan(call, NULL);
		return 0;
	}
	question = str_printf("apt-get is to install %s.", names);
	if (!cli_option(call, "--yes", 0) && cli_confirm(question, "install", err) < 0)
		return -1;
	return run_apt(&packages, err);
}

/* ---- the command -------------------------------------------------------------------------- */

int command_doctor(struct cli_call *call, struct vmf_error *err)
{
	struct findings f;
	int rc = 0;

	if (call->args.count)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "doctor: \"%s\" is one word too many",
			call->args.items[0]);
	if (doctor_examine(call->ctx, &f, err) < 0)
		return -1;
	if (cli_option(call, "--install", 0)) {
		rc = install(call, &f, err);
		findings_free(&f);
		if (rc < 0 || call->ctx->dry_run)
			return rc;
		if (doctor_examine(call->ctx, &f, err) < 0)
			return -1;
	}
	if (call->ctx->json)
		print_json(&f);
	else
		print_text(&f);
	for (size_t i = 0; i < f.count; i++)
		if (f.items[i].state == FINDING_WRONG)
			call->exit_code = VMF_E_FAILED;
	findings_free(&f);
	return 0;
}
