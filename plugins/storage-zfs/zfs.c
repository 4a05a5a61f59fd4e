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

static int fail(const struct vmf_call *c, const struct vmf_run *run, struct vmf_error *err)
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

/* 0: it ran, whatever it said. What the host would say if it cannot be run has no package in it. */
static int run_once(
	const struct vmf_call *c, const char *const *argv, struct vmf_run *run, struct vmf_error *err)
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
		if (run_once(s->c, argv, &run, err) < 0)
			return -1;
		if (run.status == 0) {
			if (out)
				*out = run.out;
			return 0;
		}
		if (!run.err || !strstr(run.err, "dataset is busy") || zv_now_ms() >= end)
			return fail(s->c, &run, err);
		zv_sleep_ms(pause);
		pause = pause < 400 ? pause * 2 : pause;
	}
}

/* ---- looking ------------------------------------------------------------------------------ */

#define FIELDS "name,property,value,source"

int zv_look_at(struct zv_store *s, const char *const *names, struct zv_items *items, struct vmf_error *err)
{
	const char **argv;
	size_t n = 0;
	char *out;

	while (names[n])
		n++;
	argv = s->h->alloc(s->c, (n + 8) * sizeof(*argv));
	argv[0] = "zfs";
	argv[1] = "get";
	argv[2] = "-Hp";
	argv[3] = "-o";
	argv[4] = FIELDS;
	argv[5] = "type," ZV_OWNER;
	memcpy(argv + 6, names, n * sizeof(*names));
	if (zv_zfs(s, argv, &out, err) < 0)
		return -1;
	zv_parse(s->c, out, items);
	return 0;
}

/* As they come from zfs they are not in the order of their making. */
static void sort_by_age(struct zv_items *all)
{
	for (size_t i = 1; i < all->count; i++)
		for (size_t k = i; k && zv_number(&all->items[k - 1], ZV_P_CREATETXG) >
						zv_number(&all->items[k], ZV_P_CREATETXG);
			k--) {
			struct zv_item later = all->items[k - 1];

			all->items[k - 1] = all->items[k];
			all->items[k] = later;
		}
}

int zv_look_volume(struct zv_store *s, const char *name, struct zv_item *volume, struct zv_items *snapshots,
	struct vmf_error *err)
{
	const char *const argv[] = {"zfs", "get", "-Hp", "-d", "1", "-t", "volume,snapshot,bookmark", "-o",
		FIELDS,
		"type,used,referenced,volsize,creation,createtxg,clones,defer_destroy,userrefs," ZV_OWNER,
		zv_full(s, name), NULL};
	const struct meaning *meaning;
	struct zv_items all;
	struct vmf_run run;

	if (run_once(s->c, argv, &run, err) < 0)
		return -1;
	if (run.status != 0) {
		meaning = meaning_of(run.err ? run.err : "");
		if (!meaning || meaning->code != VMF_E_NOT_FOUND)
			return fail(s->c, &run, err);
		/* a pool that is not imported is another matter */
		return zv_look(s, false, err);
	}
	zv_parse(s->c, run.out, &all);
	*volume = (struct zv_item){0};
	*snapshots = (struct zv_items){.items = s->h->alloc(s->c, (all.count + 1) * sizeof(*all.items))};
	for (size_t i = 0; i < all.count; i++)
		if (strpbrk(all.items[i].name, "@#"))
			snapshots->items[snapshots->count++] = all.items[i];
		else if (zv_is(&all.items[i], ZV_P_TYPE, "volume"))
			*volume = all.items[i];
	sort_by_age(snapshots);
	return volume->name ? 1 : 0;
}

/* The dataset's own lines, which stand among the others', and what is directly in it. */
static void sort_out(struct zv_store *s, const struct zv_items *all)
{
	size_t n = strlen(s->dataset);

	s->inside.items = s->h->alloc(s->c, (all->count + 1) * sizeof(*all->items));
	for (size_t i = 0; i < all->count; i++) {
		const char *name = all->items[i].name;

		if (strcmp(name, s->dataset) == 0)
			s->self = all->items[i];
		else if (strncmp(name, s->dataset, n) == 0 && name[n] == '/')
			s->inside.items[s->inside.count++] = all->items[i];
	}
}

static int no_dataset(struct zv_store *s, struct vmf_error *err)
{
	const struct vmf_host *h = s->h;
	const char *origin = h->opt_origin(s->c, "dataset");

	if (!s->self.name)
		return h->fail(err, VMF_E_NOT_FOUND, 0,
			strchr(s->dataset, '/')
				? h->printf(s->c, "zfs create -p %s, or set another dataset", s->dataset)
				: h->printf(s->c, "zpool import %s, or set another dataset", s->dataset),
			"there is no dataset %s (%s)", s->dataset, origin);
	return h->fail(err, VMF_E_CONFIG, 0, "set dataset = to the pool or filesystem that volumes are in",
		"%s is a %s, in which there are no volumes (%s)", s->dataset,
		s->self.value[ZV_P_TYPE] ? s->self.value[ZV_P_TYPE] : "thing", origin);
}

int zv_look(struct zv_store *s, bool inside, struct vmf_error *err)
{
	const char *const argv[] = {"zfs", "get", "-Hp", "-d", inside ? "1" : "0", "-t", "filesystem,volume",
		"-o", FIELDS,
		"type,used,available,referenced,volsize,volblocksize,origin,keystatus," ZV_OWNER, s->dataset,
		NULL};
	struct zv_items all;
	struct vmf_run run;

	s->self = (struct zv_item){0};
	s->inside = (struct zv_items){0};
	if (run_once(s->c, argv, &run, err) < 0)
		return -1;
	if (run.status != 0) {
		const struct meaning *meaning = meaning_of(run.err ? run.err : "");

		return meaning && meaning->code == VMF_E_NOT_FOUND ? no_dataset(s, err)
								   : fail(s->c, &run, err);
	}
	zv_parse(s->c, run.out, &all);
	sort_out(s, &all);
	return zv_is(&s->self, ZV_P_TYPE, "filesystem") ? 0 : no_dataset(s, err);
}
