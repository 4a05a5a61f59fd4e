/* SPDX-License-Identifier: ISC */
/*
 * What lvs says, as JSON: every value is a string there, and what does not apply is empty.
 *
 * lvs is what a call takes its time with, and one verb of vmf's makes many calls: the last answer is kept for
 * ten times as long as it took to come, unless we change something ourselves meanwhile. What must not be
 * decided by an old answer is decided by LVM, which locks the volume group while it changes it.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lvm.h"

static const char *word(json_t *row, const char *field)
{
	const char *text = json_string_value(json_object_get(row, field));

	return text ? text : "";
}

static const char *keep(const struct lvm *s, json_t *row, const char *field)
{
	const char *text = word(row, field);

	return *text ? s->h->strdup(s->c, text) : NULL;
}

static uint64_t number(json_t *row, const char *field)
{
	return strtoull(word(row, field), NULL, 10);
}

/* "14.77": never by strtod(), which the locale teaches commas. */
static int32_t hundredths(json_t *row, const char *field)
{
	const char *text = word(row, field);
	char *end;
	long whole = strtol(text, &end, 10);
	int32_t value = (int32_t)whole * 100;

	if (end == text || whole < 0 || whole > 1000)
		return -1;
	if (*end == '.' && end[1] >= '0' && end[1] <= '9') {
		value += (end[1] - '0') * 10;
		if (end[2] >= '0' && end[2] <= '9')
			value += end[2] - '0';
	}
	return value;
}

static void read_tag(const struct lvm *s, struct lvm_lv *lv, const char *tag, size_t length)
{
	const char *text = s->h->printf(s->c, "%.*s", (int)length, tag);

	if (strcmp(text, "vmf") == 0)
		lv->is_ours = true;
	else if (strncmp(text, "vmf.vm=", 7) == 0)
		lv->vm_uuid = text + 7;
	else if (strncmp(text, "vmf.snapshot=", 13) == 0)
		lv->snapshot = lvm_decode(s->c, text + 13);
	else if (strncmp(text, "vmf.id=", 7) == 0)
		lv->id = text + 7;
	else if (strncmp(text, "vmf.origin=", 11) == 0)
		lv->of = text + 11;
	else if (strncmp(text, "vmf.created=", 12) == 0)
		lv->created = strtoll(text + 12, NULL, 10);
	else if (strncmp(text, "vmf.rollback=", 13) == 0)
		lv->rollback = text + 13;
	else if (strncmp(text, "vmf.by=", 7) == 0)
		lv->by = text + 7;
}

static void read_tags(const struct lvm *s, struct lvm_lv *lv, const char *tags)
{
	while (*tags) {
		size_t length = strcspn(tags, ",");

		read_tag(s, lv, tags, length);
		tags += length;
		tags += *tags == ',';
	}
	/* the others mean something only together with the mark */
	if (!lv->is_ours)
		lv->id = lv->vm_uuid = lv->snapshot = lv->of = lv->rollback = lv->by = NULL;
	if (!lv->id)
		lv->id = lv->uuid;
}

/* lv_attr, see lvs(8): type, permission, allocation, fixed, state, open, target, zeroing, health, skipped. */
static void read_attr(struct lvm_lv *lv, const char *attr)
{
	char a[11] = "----------";

	memcpy(a, attr, strlen(attr) < 10 ? strlen(attr) : 10);
	if (strchr("tTdDe", a[0]))
		lv->kind = LVM_POOL;
	else if (a[0] == 'V')
		lv->kind = LVM_THIN;
	else if (strchr("sS", a[0]))
		lv->kind = LVM_COW;
	else
		lv->kind = lv->pool && a[6] == 't' ? LVM_THIN : LVM_THICK;
	lv->is_merging = a[0] == 'O' || a[0] == 'S';
	lv->is_readonly = a[1] == 'r';
	lv->is_active = a[4] != '-';
	lv->is_invalid = a[4] == 'I' || a[4] == 'S';
	lv->is_stuck = strchr("sSMdi", a[4]) != NULL;
	lv->is_open = a[5] == 'o';
	lv->zeroes = a[7] == 'z';
	lv->health = a[8];
}

static void read_lv(const struct lvm *s, struct lvm_lv *lv, json_t *row)
{
	lv->lv = s->h->strdup(s->c, word(row, "lv_name"));
	lv->name = lvm_decode(s->c, lv->lv);
	lv->uuid = s->h->strdup(s->c, word(row, "lv_uuid"));
	lv->origin = keep(s, row, "origin");
	if (lv->origin && lv->origin[0] == '[') /* a cached volume's inner parts */
		lv->origin = NULL;
	lv->pool = keep(s, row, "pool_lv");
	read_attr(lv, word(row, "lv_attr"));
	lv->size = number(row, "lv_size");
	lv->virtual_size = lv->kind == LVM_COW ? number(row, "origin_size") : lv->size;
	lv->data = hundredths(row, "data_percent");
	lv->meta = hundredths(row, "metadata_percent");
	lv->tags = s->h->strdup(s->c, word(row, "lv_tags"));
	read_tags(s, lv, lv->tags);
}

static int read_rows(struct lvm *s, json_t *rows)
{
	size_t n = json_array_size(rows);
	json_t *first = json_array_get(rows, 0);

	if (!n)
		return 0;
	s->vg_size = number(first, "vg_size");
	s->vg_free = number(first, "vg_free");
	s->extent = number(first, "vg_extent_size");
	s->lvs = s->h->alloc(s->c, n * sizeof(*s->lvs));
	for (size_t i = 0; i < n; i++) {
		json_t *row = json_array_get(rows, i);

		if (*word(row, "lv_name")) /* a VG has none */
			read_lv(s, &s->lvs[s->count++], row);
	}
	return 1;
}

/* ---- what is kept -------------------------------------------------------------------------- */

#define KEEP_FROM_MS 5 /* what comes sooner can be asked for again */
#define KEEP_TIMES 10
#define KEEP_MOST_MS 10000

static struct {
	char *vg;
	json_t *root;
	int64_t until_ms;
} kept;

int64_t lvm_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void lvm_forget(void)
{
	free(kept.vg);
	json_decref(kept.root);
	memset(&kept, 0, sizeof(kept));
}

/* When vmf has no more use for the plugin. */
__attribute__((destructor)) static void at_end(void)
{
	lvm_forget();
}

static void keep_report(const struct lvm *s, json_t *root, int64_t took_ms)
{
	int64_t keep_ms = took_ms * KEEP_TIMES < KEEP_MOST_MS ? took_ms * KEEP_TIMES : KEEP_MOST_MS;

	lvm_forget();
	if (took_ms < KEEP_FROM_MS)
		return;
	kept.vg = strdup(s->vg);
	kept.root = json_incref(root);
	kept.until_ms = lvm_now_ms() + keep_ms;
}

/* ---- reports ------------------------------------------------------------------------------- */

static int read_report(struct lvm *s, const json_t *root, struct vmf_error *err)
{
	json_t *report = json_array_get(json_object_get(root, "report"), 0), *rows;

	rows = json_object_get(report, "lv");
	if (!rows)
		rows = json_object_get(report, "vg");
	if (json_is_array(rows))
		return read_rows(s, rows);
	return s->h->fail(err, VMF_E_FAILED, 0, "is it lvm2 2.02.158 or later? `lvm version` tells",
		"lvs answered with a report of another kind");
}

int lvm_report(struct lvm *s, const char *json, int64_t took_ms, struct vmf_error *err)
{
	json_error_t where;
	json_t *root = json_loads(json ? json : "", 0, &where);
	int rc;

	if (!root)
		return s->h->fail(err, VMF_E_FAILED, 0, "is it lvm2 2.02.158 or later? `lvm version` tells",
			"lvs did not answer with JSON (line %d: %s)", where.line, where.text);
	rc = read_report(s, root, err);
	if (rc > 0)
		keep_report(s, root, took_ms);
	json_decref(root);
	return rc;
}

bool lvm_report_kept(struct lvm *s)
{
	if (!kept.root || !kept.vg || strcmp(kept.vg, s->vg) != 0 || lvm_now_ms() >= kept.until_ms)
		return false;
	s->is_kept = read_report(s, kept.root, NULL) > 0;
	return s->is_kept;
}
