/* SPDX-License-Identifier: ISC */
/* The program zfs: how it is run, and what its refusals mean. */
#include "zv.h"

#include <string.h>

#define WORDS 240	/* bytes of zfs' own that are quoted */
#define BUSY_STEP_MS 50 /* between two attempts at first */

/* ---- words -------------------------------------------------------------------------------- */

static const struct meaning {
	const char *words;
	int code;
	const char *hint;
} meanings[] = {
	{"dataset does not exist", VMF_E_NOT_FOUND, NULL},
	{"no such pool", VMF_E_NOT_FOUND, NULL},
	{"already exists", VMF_E_EXISTS, "choose another name, or remove that one first"},
	{"out of space", VMF_E_NO_SPACE, "make room, or use another storage"},
	{"quota", VMF_E_NO_SPACE, "make room, or raise the quota"},
	{"dataset is busy", VMF_E_BUSY,
		"something has its device open, or a snapshot is held: lsof /dev/zd*, zfs holds"},
	{"ermission denied", VMF_E_PERMISSION, "be root, or let root give you the right by `zfs allow`"},
	{"must be run as root", VMF_E_PERMISSION, "be root, or let root give you the right by `zfs allow`"},
	{"modules are not loaded", VMF_E_MISSING,
		"modprobe zfs; Debian has the module as zfs-dkms, in contrib"},
	{"modules cannot be auto-loaded", VMF_E_MISSING,
		"modprobe zfs; Debian has the module as zfs-dkms, in contrib"},
	{"/dev/zfs", VMF_E_MISSING, "modprobe zfs; Debian has the module as zfs-dkms, in contrib"},
	{"pool I/O is currently suspended", VMF_E_FAILED,
		"`zpool status` says what is wrong, `zpool clear` goes on"},
	{"read only", VMF_E_PERMISSION, "the pool was imported with readonly=on"},
};

static const struct meaning *meaning_of(const char *words)
{
	for (size_t i = 0; i < VMF_COUNT(meanings); i++)
		if (strstr(words, meanings[i].words))
			return &meanings[i];
	return NULL;
}

/* The first line, which says what; further ones tell of switches that vmf does not use. */
static const char *first_line(const struct vmf_call *c, const char *text)
{
	size_t n;

	text += strspn(text, " \t\r\n");
	n = strcspn(text, "\r\n");
	if (n > WORDS)
		return c->host->printf(c, "%.*s...", WORDS, text);
	while (n && strchr(" \t.:", text[n - 1]))
		n--;
	return c->host->printf(c, "%.*s", (int)n, text);
}

int zv_zfs_failed(const struct vmf_call *c, const struct vmf_run *run, struct vmf_error *err)
{
	const char *text = run->err && *run->err ? run->err : run->out ? run->out : "";
	const struct meaning *meaning = meaning_of(text);
	const char *words = first_line(c, text);

	if (!*words)
		words = c->host->printf(c, run->status > 128 ? "ended by signal %d" : "exit code %d",
			run->status > 128 ? run->status - 128 : run->status);
	return c->host->fail(err, meaning ? meaning->code : VMF_E_FAILED, 0, meaning ? meaning->hint : NULL,
		"zfs %s: %s", run->argv[1], words);
}

/* ---- running it --------------------------------------------------------------------------- */

/* What the host would say if it cannot be run has no package in it. */
int zv_zfs_once(const struct vmf_call *c, const char *const *argv, struct vmf_run *run, struct vmf_error *err)
{
	*run = (struct vmf_run){.size = sizeof(*run), .argv = argv};
	if (c->host->run(c, run, NULL) == 0)
		return 0;
	if (!run->err && !run->out)
		return c->host->fail(err, VMF_E_MISSING, 0,
			"install ZFS; Debian has it in contrib: zfsutils-linux, and the module as zfs-dkms",
			"the program zfs cannot be run");
	return c->host->fail(err, VMF_E_TIMEOUT, 0, "`zpool status` says whether the pool answers",
		"zfs %s took too long or was interrupted, and was ended", argv[1]);
}

int zv_zfs(struct zv_store *s, const char *const *argv, char **out, struct vmf_error *err)
{
	int64_t end = zv_now_ms() + s->h->opt_int(s->c, "device_timeout"), pause = BUSY_STEP_MS;
	struct vmf_run run;

	for (;;) {
		if (zv_zfs_once(s->c, argv, &run, err) < 0)
			return -1;
		if (run.status == 0) {
			if (out)
				*out = run.out;
			return 0;
		}
		if (!run.err || !strstr(run.err, "dataset is busy") || zv_now_ms() >= end)
			return zv_zfs_failed(s->c, &run, err);
		zv_sleep_ms(pause);
		pause = pause < 400 ? pause * 2 : pause;
	}
}
