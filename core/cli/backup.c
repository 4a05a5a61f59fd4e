/* SPDX-License-Identifier: ISC */
/*
 * `backup` and `restore`: all that a person has told this vmf, in one archive of tar: the folder of the
 * configuration (definitions, classes, hosts, settings) and what is known of VMs at other hosts. Disks are
 * not in it.
 *
 * A restore is unpacked beside its place and read once; then the definitions change hands last, so that one
 * that was killed can be done again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "cli/cli.h"

#define ETC "vmf-backup/etc"
#define LIB "vmf-backup/lib"

/* Of LIB: who manages what, and what moves have left to do. */
static const char *const kept[] = {"managed", "moves"};

static int run_tar(const char *const *argv, int in, int out, struct vmf_error *err)
{
	struct vmf_run run = {.size = sizeof(run),
		.argv = argv,
		.stdin_fd = in,
		.stdout_fd = out,
		.flags = VMF_RUN_DIES_WITH_HOST};
	int rc = proc_run(&run, 0, err);

	if (rc == 0 && run.status != 0) {
		char *words = run.err ? run.err : (char *)"";

		words[strcspn(words, "\n")] = '\0';
		rc = vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s", *words ? words : "tar failed");
	}
	free(run.out);
	free(run.err);
	return rc;
}

/* ---- out ----------------------------------------------------------------------------------- */

static int write_archive(const struct ctx *ctx, struct file_new *file, struct vmf_error *err)
{
	/* from the root on, and called by names that say nothing of where they were */
	autofree char *etc = str_printf("--transform=s|^%s|" ETC "|S", ctx->paths.etc + 1);
	autofree char *lib = str_printf("--transform=s|^%s|" LIB "|S", ctx->paths.lib + 1);
	char *folders[VMF_COUNT(kept)];
	const char *argv[16] = {"tar", "-cz", "--numeric-owner", "--exclude=.restore", etc, lib, "-C", "/",
		ctx->paths.etc + 1};
	size_t n = 9;
	int rc;

	if (strpbrk(ctx->paths.etc, "|\\*[]^$&") || strpbrk(ctx->paths.lib, "|\\*[]^$&"))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, NULL,
			"the folders %s and %s have characters that tar's rules have a use for",
			ctx->paths.etc, ctx->paths.lib);
	for (size_t i = 0; i < VMF_COUNT(kept); i++) {
		folders[i] = str_printf("%s/%s", ctx->paths.lib, kept[i]);
		if (file_exists(folders[i]))
			argv[n++] = folders[i] + 1;
	}
	rc = run_tar(argv, 0, file->fd, err);
	for (size_t i = 0; i < VMF_COUNT(kept); i++)
		free(folders[i]);
	return rc;
}

int command_backup(struct cli_call *call, struct vmf_error *err)
{
	struct ctx *ctx = call->ctx;
	struct file_new file;
	struct strv names = STRV_INIT;
	const char *path = call->args.count ? call->args.items[0] : NULL;
	int rc;

	if (call->args.count != 1)
		return vmf_fail(err, VMF_E_USAGE, 0, "as in: backup /srv/vmf.tar.gz",
			"backup wants a file behind it");
	if (file_exists(path))
		return vmf_fail(err, VMF_E_EXISTS, 0, "choose another name, or remove it first",
			"there is a %s already", path);
	if (!file_exists(ctx->paths.etc))
		return vmf_fail(
			err, VMF_E_NOT_FOUND, 0, NULL, "there is nothing to back up: no %s", ctx->paths.etc);
	if (vm_names(ctx, &names, err) < 0)
		return -1;
	if (ctx->dry_run) {
		out_dry(call, "write %s and what is known of %zu VMs to %s", ctx->paths.etc, names.count,
			path);
		strv_free(&names);
		return 0;
	}
	rc = file_new_open(&file, path, err);
	if (rc == 0) {
		rc = fchmod(file.fd, 0600) < 0 ? vmf_fail_errno(err, NULL, "%s", path)
					       : write_archive(ctx, &file, err);
		if (rc == 0)
			rc = file_new_publish(&file, err);
		else
			file_new_drop(&file);
	}
	if (rc == 0 && ctx->json)
		out_json(json_pack("{s:o, s:I}", "file", out_string(path), "vms", (json_int_t)names.count));
	else if (rc == 0 && log_level() >= 0)
		printf("%s: %zu VMs and all settings\n", path, names.count);
	strv_free(&names);
	return rc < 0 ? vmf_context(err, "backup") : 0;
}

/* ---- in ------------------------------------------------------------------------------------ */

/* Definitions that are there are not to be lost. */
static int check_empty(struct ctx *ctx, struct vmf_error *err)
{
	struct strv names = STRV_INIT;
	int rc = vm_names(ctx, &names, err);

	if (rc == 0 && names.count)
		rc = vmf_fail(err, VMF_E_STATE, 0, "`vmf -C FOLDER restore FILE` restores it elsewhere",
			"there are VMs here already, as \"%s\"", names.items[0]);
	strv_free(&names);
	return rc;
}

/* All entries of FROM go to TO, in place of those of the same name; LAST last. */
static int take_over(const char *from, const char *to, const char *last, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	int rc = dir_list(from, &names, err);

	if (rc == 0 && names.count)
		rc = file_mkdirs(to, 0755, err);
	for (int round = 0; rc == 0 && round < 2; round++)
		for (size_t i = 0; rc == 0 && i < names.count; i++) {
			autofree char *source = path_join(from, names.items[i]);
			autofree char *target = path_join(to, names.items[i]);

			if (str_equal(names.items[i], last) != (round == 1))
				continue;
			if (file_exists(target) && file_remove_tree(target, err) < 0)
				rc = -1;
			else if (rename(source, target) < 0)
				rc = vmf_fail_errno(err, NULL, "cannot make %s", target);
		}
	if (rc == 0 && names.count) {
		autofree char *any = path_join(to, names.items[0]);

		file_sync_parent(any);
	}
	return rc;
}

static int unpack(const char *path, const char *folder, struct vmf_error *err)
{
	const char *const argv[] = {"tar", "-xz", "--no-same-owner", "-C", folder, "vmf-backup", NULL};
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return vmf_fail_errno(err, NULL, "%s", path);
	if (run_tar(argv, fd, 0, err) == 0)
		return 0;
	vmf_context(err, "%s is no backup of vmf's, or is damaged", path);
	return -1;
}

/* LIB may be another filesystem. */
static int copy_into(const char *from, const char *lib, const char *name, struct vmf_error *err)
{
	autofree char *to = path_join(lib, name);
	autostrv struct strv names = STRV_INIT;
	int rc = file_mkdirs(to, 0700, err) < 0 ? -1 : dir_list(from, &names, err);

	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		autofree char *source = path_join(from, names.items[i]);
		autofree char *target = path_join(to, names.items[i]);
		size_t length = 0;
		autofree char *text = file_read(source, 8 << 20, &length, err);

		rc = text ? file_write(target, text, length, 0600, true, err) : -1;
	}
	return rc;
}

static int restore(struct ctx *ctx, const char *path, const char *folder, struct vmf_error *err)
{
	autofree char *etc = path_join(folder, ETC);
	int rc = file_mkdirs(folder, 0700, err);

	if (rc == 0)
		rc = unpack(path, folder, err);
	if (rc == 0 && !file_exists(etc))
		rc = vmf_fail(err, VMF_E_FAILED, 0, NULL, "%s is no backup of vmf's", path);
	for (size_t i = 0; rc == 0 && i < VMF_COUNT(kept); i++) {
		autofree char *name = str_printf(LIB "/%s", kept[i]);
		autofree char *from = path_join(folder, name);

		if (file_exists(from))
			rc = copy_into(from, ctx->paths.lib, kept[i], err);
	}
	return rc == 0 ? take_over(etc, ctx->paths.etc, "vms", err) : -1;
}

int command_restore(struct cli_call *call, struct vmf_error *err)
{
	struct ctx *ctx = call->ctx;
	/* of the same filesystem as the definitions */
	autofree char *folder = path_join(ctx->paths.etc, ".restore");
	const char *path = call->args.count ? call->args.items[0] : NULL;
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct strv names = STRV_INIT;
	int rc;

	if (call->args.count != 1)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "restore wants a file that `backup` has written");
	if (check_empty(ctx, err) < 0)
		return -1;
	if (!file_exists(path))
		return vmf_fail(err, VMF_E_NOT_FOUND, 0, NULL, "there is no %s", path);
	if (ctx->dry_run) {
		out_dry(call, "unpack %s into %s and %s", path, ctx->paths.etc, ctx->paths.lib);
		return 0;
	}
	rc = file_remove_tree(folder, err);
	if (rc == 0)
		rc = restore(ctx, path, folder, err);
	file_remove_tree(folder, &ignored);
	error_clear(&ignored);
	if (rc == 0)
		rc = vm_names(ctx, &names, err);
	if (rc == 0 && ctx->json)
		out_json(json_pack("{s:o, s:I}", "file", out_string(path), "vms", (json_int_t)names.count));
	else if (rc == 0 && log_level() >= 0)
		printf("%s: %zu VMs and all settings are back\n", path, names.count);
	strv_free(&names);
	return rc < 0 ? vmf_context(err, "restore") : 0;
}
