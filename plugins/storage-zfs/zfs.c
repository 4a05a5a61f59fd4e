/* SPDX-License-Identifier: ISC */
/* The program zfs: how it is run, and what its refusals mean. */
#include "zv.h"

#include <stdlib.h>
#include <string.h>

#define WORDS 240		     /* bytes of zfs' own that are quoted */
#define BUSY_STEP_MS 50		     /* between two attempts at first */
#define STREAM_MS INT64_C(604800000) /* a week: nobody knows how large and how slow */

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

/* ---- what was told ------------------------------------------------------------------------ */

#define BELIEVED_MS 10000

static struct told {
	char *question, *answer;
	int64_t when_ms;
} told[8]; /* the oldest is the first to go */
static size_t next_told;

static void forget(void)
{
	for (size_t i = 0; i < VMF_COUNT(told); i++) {
		free(told[i].question);
		free(told[i].answer);
		told[i] = (struct told){0};
	}
}

__attribute__((destructor)) static void forget_at_last(void)
{
	forget();
}

static const char *question_of(const struct vmf_call *c, const char *const *argv)
{
	const char *question = "";

	for (; *argv; argv++)
		question = c->host->printf(c, "%s%s\n", question, *argv);
	return question;
}

static void record(const struct vmf_call *c, const char *const *argv, const char *answer, int64_t when_ms)
{
	struct told *t = &told[next_told++ % VMF_COUNT(told)];

	free(t->question);
	free(t->answer);
	*t = (struct told){strdup(question_of(c, argv)), strdup(answer), when_ms};
}

char *zv_recall(struct zv_store *s, const char *const *argv)
{
	const char *question = question_of(s->c, argv);
	const struct told *last = NULL;

	for (size_t i = 0; i < VMF_COUNT(told); i++)
		if (told[i].question && told[i].answer && strcmp(told[i].question, question) == 0 &&
			zv_now_ms() - told[i].when_ms <= BELIEVED_MS &&
			(!last || told[i].when_ms >= last->when_ms))
			last = &told[i];
	return last ? s->h->strdup(s->c, last->answer) : NULL;
}

/* ---- running it --------------------------------------------------------------------------- */

/* What the host would say if it cannot be run has no package in it. */
static int run_once(struct zv_store *s, const char *const *argv, struct vmf_run *run, struct vmf_error *err)
{
	/* it does not read its input: the lock is held until both of us have let go of it */
	*run = (struct vmf_run){
		.size = sizeof(*run), .argv = argv, .stdin_fd = s->lock_fd > 0 ? s->lock_fd : 0};
	if (s->h->run(s->c, run, NULL) == 0)
		return 0;
	if (!run->err && !run->out)
		return s->h->fail(err, VMF_E_MISSING, 0,
			"install ZFS; Debian has it in contrib: zfsutils-linux, and the module as zfs-dkms",
			"the program zfs cannot be run");
	return s->h->fail(err, VMF_E_TIMEOUT, 0, "`zpool status` says whether the pool answers",
		"zfs %s took too long or was interrupted, and was ended", argv[1]);
}

int zv_ask(struct zv_store *s, const char *const *argv, struct vmf_run *run, struct vmf_error *err)
{
	int64_t now = zv_now_ms();

	*run = (struct vmf_run){.size = sizeof(*run), .argv = argv};
	if (s->may_recall && (run->out = zv_recall(s, argv)))
		return 0;
	if (s->lock_fd < 0)
		zv_settle();
	if (run_once(s, argv, run, err) < 0)
		return -1;
	if (s->records && run->status == 0 && run->out)
		record(s->c, argv, run->out, now);
	return 0;
}

int zv_zfs_stream(
	struct zv_store *s, const char *const *argv, const struct zv_stream *stream, struct vmf_error *err)
{
	struct vmf_run run = {.size = sizeof(run),
		.argv = argv,
		.stdin_fd = stream->in,
		.stdout_fd = stream->out,
		.timeout_ms = STREAM_MS,
		.flags = VMF_RUN_DIES_WITH_HOST,
		.progress = stream->what,
		.progress_total = stream->total};

	forget();
	if (s->h->run(s->c, &run, err) < 0)
		return -1;
	return run.status == 0 ? 0 : zv_zfs_failed(s->c, &run, err);
}

static bool is_busy(const struct vmf_run *run)
{
	return run->status != 0 && run->err && strstr(run->err, "dataset is busy");
}

int zv_zfs(struct zv_store *s, const char *const *argv, struct vmf_error *err)
{
	int64_t end = zv_now_ms() + s->h->opt_int(s->c, "device_timeout"), pause = BUSY_STEP_MS;
	bool is_locked = s->lock_fd >= 0;
	struct vmf_run run;

	forget();
	for (;;) {
		if (run_once(s, argv, &run, err) < 0)
			return -1;
		if (!is_busy(&run) || zv_now_ms() >= end)
			return run.status == 0 ? 0 : zv_zfs_failed(s->c, &run, err);
		zv_unlock(s);
		zv_sleep_ms(pause);
		if (is_locked && zv_lock(s, err) < 0)
			return -1;
		pause = pause < 400 ? pause * 2 : pause;
	}
}
