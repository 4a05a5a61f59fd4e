/* SPDX-License-Identifier: ISC */
/* lvm's programs: run in the C locale and without its words about open files, and understood when they fail.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lvm.h"

#define PROGRAM 4 /* in argv: what env gets stands before it */

static void add(struct lvm_args *a, const char *first, va_list more)
{
	for (const char *arg = first; arg; arg = va_arg(more, const char *)) {
		if (a->n + 1 >= a->size) {
			const char **larger = a->c->host->alloc(a->c, (a->size * 2 + 32) * sizeof(*larger));

			if (a->n)
				memcpy(larger, a->argv, a->n * sizeof(*larger));
			a->argv = larger;
			a->size = a->size * 2 + 32;
		}
		a->argv[a->n++] = arg;
	}
	a->argv[a->n] = NULL;
}

void lvm_args(const struct vmf_call *c, struct lvm_args *a, const char *program, ...)
{
	const char *path = getenv("PATH");
	va_list more;

	*a = (struct lvm_args){.c = c};
	/* the folders that the host looks in, too: lvm is in one that an ordinary PATH may lack */
	lvm_args_add(a, "env", "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1",
		c->host->printf(c, "PATH=%s%s/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", path ? path : "",
			path && *path ? ":" : ""),
		LVM_END);
	va_start(more, program);
	add(a, program, more);
	va_end(more);
}

void lvm_args_add(struct lvm_args *a, ...)
{
	va_list more;

	va_start(more, a);
	add(a, va_arg(more, const char *), more);
	va_end(more);
}

/* ---- its words ---------------------------------------------------------------------------- */

/* What does not say why it failed. */
static bool is_noise(const char *line)
{
	static const char *const noise[] = {"WARNING:", "File descriptor", "Run `", "Rounding ",
		"Reducing COW", "Cannot process volume group", "/run/lvm/lvmpolld.socket"};

	for (size_t i = 0; i < VMF_COUNT(noise); i++)
		if (strncmp(line, noise[i], strlen(noise[i])) == 0)
			return true;
	return false;
}

/* The first two lines that say something, as "this; that". */
static const char *words_of(const struct vmf_call *c, const struct vmf_run *run)
{
	const char *text = run->err && *run->err ? run->err : run->out ? run->out : "", *words = NULL;
	unsigned n = 0;

	for (const char *at = text; *at && n < 2; at += strcspn(at, "\n"), at += *at == '\n') {
		size_t length;

		at += strspn(at, " \t");
		length = strcspn(at, "\n");
		while (length && strchr(" \t\r.", at[length - 1]))
			length--;
		if (!length || is_noise(at))
			continue;
		words = words ? c->host->printf(c, "%s; %.*s", words, (int)length, at)
			      : c->host->printf(c, "%.*s", (int)length, at);
		n++;
	}
	return words ? words : c->host->printf(c, "exit code %d", run->status);
}

/* lvm's exit codes tell nothing: its words do. */
static const struct {
	const char *words;
	int code;
	const char *hint;
} meanings[] = {
	{"insufficient free space", VMF_E_NO_SPACE, "make room in the volume group, or use another storage"},
	{"Insufficient suitable", VMF_E_NO_SPACE, "make room in the volume group, or use another storage"},
	{"free space in thin pool", VMF_E_NO_SPACE, "lvextend the thin pool, or remove volumes or snapshots"},
	{"already exists", VMF_E_EXISTS, "choose another name, or remove that volume first"},
	{"in use", VMF_E_BUSY,
		"stop the VM that uses it, or unmount it; `lsof` and `dmsetup ls --tree` tell by what"},
	{"is used by another device", VMF_E_BUSY, "`dmsetup ls --tree` tells by which"},
	{"Permission denied", VMF_E_PERMISSION, "LVM wants root"},
	{" not found", VMF_E_NOT_FOUND, "`vgs` shows the volume groups; `vg` says which is meant"},
	{"Failed to find logical volume", VMF_E_NOT_FOUND, "`lvs` shows what there is"},
	{"missing from kernel", VMF_E_MISSING,
		"is the kernel built with the device mapper? `modprobe dm-mod` tells"},
	{"/dev/mapper/control", VMF_E_MISSING,
		"is the kernel built with the device mapper? `modprobe dm-mod` tells"},
};

static int explain(
	const struct vmf_call *c, const struct lvm_args *a, const struct vmf_run *run, struct vmf_error *err)
{
	const char *program = a->argv[PROGRAM], *words = words_of(c, run), *hint = NULL;
	int code = VMF_E_FAILED;

	if (run->status > 128)
		return c->host->fail(
			err, VMF_E_FAILED, 0, NULL, "%s was ended by signal %d", program, run->status - 128);
	if (run->status == 127)
		return c->host->fail(err, VMF_E_MISSING, 0, "install lvm2 (Debian: apt-get install lvm2)",
			"no program %s", program);
	for (size_t i = 0; i < VMF_COUNT(meanings) && !hint; i++)
		if (strstr(words, meanings[i].words)) {
			code = meanings[i].code;
			hint = meanings[i].hint;
		}
	return c->host->fail(err, code, 0, hint, "%s failed: %s", program, words);
}

static bool is_look(const struct lvm_args *a)
{
	return strcmp(a->argv[PROGRAM], "lvs") == 0 || strcmp(a->argv[PROGRAM], "vgs") == 0;
}

/* *killed: it was ended by a signal. */
static int run_it(
	const struct vmf_call *c, const struct lvm_args *a, char **out, bool *killed, struct vmf_error *err)
{
	struct vmf_run run = {.size = sizeof(run), .argv = a->argv};

	if (!is_look(a))
		lvm_forget();
	*killed = true;
	if (c->host->run(c, &run, err) < 0)
		return -1;
	*killed = run.status > 128;
	if (out)
		*out = run.out;
	return run.status == 0 ? 0 : explain(c, a, &run, err);
}

int lvm_try(const struct vmf_call *c, const struct lvm_args *a, char **out, struct vmf_error *err)
{
	bool killed;

	return run_it(c, a, out, &killed, err);
}

int lvm_run(const struct vmf_call *c, const struct lvm_args *a, char **out, struct vmf_error *err)
{
	bool killed;
	int rc = run_it(c, a, out, &killed, err);

	if (rc < 0 && killed && !is_look(a))
		lvm_mend(c);
	return rc;
}

/* ---- numbers for people ------------------------------------------------------------------- */

const char *lvm_size_text(const struct vmf_call *c, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
	size_t unit = 0;
	uint64_t tenths = bytes / 1024 * 10 + bytes % 1024 * 10 / 1024;

	for (; tenths >= 10240 && unit + 1 < VMF_COUNT(units); unit++)
		tenths /= 1024;
	if (tenths % 10 == 0)
		return c->host->printf(c, "%" PRIu64 " %s", tenths / 10, units[unit]);
	return c->host->printf(c, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10, units[unit]);
}

const char *lvm_percent_text(const struct vmf_call *c, int32_t hundredths)
{
	return c->host->printf(c, "%d.%d %%", hundredths / 100, hundredths % 100 / 10);
}
