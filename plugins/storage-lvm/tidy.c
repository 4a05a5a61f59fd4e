/* SPDX-License-Identifier: ISC */
/*
 * What dead processes left half made: volumes in the making, and thin volumes between their old and their new
 * self. A tag says which process is at work on them; what another machine's process does is left alone, as it
 * may live, whatever is to be seen from here.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lvm.h"

/* ---- who makes it -------------------------------------------------------------------------- */

/* When the process began, in the kernel's ticks: with it a pid means one process only. */
static unsigned long long start_of(const char *pid)
{
	char path[64], text[1024];
	unsigned long long start = 0;
	const char *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ')');
	if (!at ||
		sscanf(at,
			") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
			&start) != 1)
		return 0;
	return strncmp(at, ") Z", 3) == 0 ? 0 : start;
}

/* The node's name and this boot's id, as they stand in the tag. */
static void where_are_we(const struct vmf_call *c, const char **node, char boot[37])
{
	struct utsname u;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, boot, 36);

	if (fd >= 0)
		close(fd);
	boot[n < 0 ? 0 : n] = '\0';
	*node = lvm_encode(c, uname(&u) == 0 ? u.nodename : "?");
}

const char *lvm_maker(const struct vmf_call *c)
{
	const char *node, *pid = c->host->printf(c, "%d", (int)getpid());
	char boot[37];

	where_are_we(c, &node, boot);
	return c->host->printf(c, "vmf.by=%s:%s:%s:%llu", node, boot, pid, start_of(pid));
}

void lvm_remove_made(const struct lvm *s, const char *lv)
{
	const struct lvm_lv *found;
	struct lvm now;

	if (lvm_look(s->c, &now, NULL) < 0)
		return;
	found = lvm_find_lv(&now, lv);
	if (!found || !found->is_ours || !found->by ||
		strcmp(found->by, lvm_maker(s->c) + strlen("vmf.by=")) != 0)
		return;
	if (lvm_remove_lv(&now, found, NULL) < 0)
		s->h->log(s->c, VMF_LOG_INFO, "%s is to be removed by the next change", lvm_path(s, lv));
}

/* Another node's process may live, whatever is to be seen from here. */
static bool is_dead(const struct vmf_call *c, const char *by)
{
	char *text = c->host->strdup(c, by), *parts[4], *at = text;
	const char *node;
	char boot[37];

	for (size_t i = 0; i < VMF_COUNT(parts); i++) {
		parts[i] = at;
		at += strcspn(at, ":");
		if (*at)
			*at++ = '\0';
	}
	where_are_we(c, &node, boot);
	if (strcmp(parts[0], node) != 0)
		return false;
	return strcmp(parts[1], boot) != 0 || start_of(parts[2]) == 0 ||
	       start_of(parts[2]) != strtoull(parts[3], NULL, 10);
}

/* ---- tidying -------------------------------------------------------------------------------- */

const char *lvm_stem(const struct vmf_call *c, const char *lv, const char *suffix)
{
	size_t length = strlen(lv), n = strlen(suffix);

	if (length <= n || strcmp(lv + length - n, suffix) != 0)
		return NULL;
	return c->host->printf(c, "%.*s", (int)(length - n), lv);
}

static bool drop(const struct lvm *s, const struct lvm_lv *lv)
{
	if (lv->is_open || lvm_remove_lv(s, lv, NULL) < 0)
		return false;
	s->h->log(
		s->c, VMF_LOG_INFO, "removed %s, which an interrupted run left behind", lvm_path(s, lv->lv));
	return true;
}

/* LV is the new or the old self of STEM. */
static bool tidy_aside(const struct lvm *s, const struct lvm_lv *lv, const char *stem, bool is_new)
{
	const struct lvm_lv *volume = lvm_find_lv(s, stem);
	const struct lvm_lv *fresh = lvm_find_lv(s, s->h->printf(s->c, "%s" LVM_NEW_SUFFIX, stem));
	const struct lvm_lv *made = fresh ? fresh : volume;

	if (made && made->by && !is_dead(s->c, made->by))
		return false;
	/* a new self without its name is of no use; an old one is if the volume has its new self already */
	if (is_new || volume)
		return drop(s, lv);
	return !lv->is_open && lvm_rename_lv(s, lv->lv, stem, NULL) == 0;
}

/* It is ours, or something of ours stands on it. */
static bool is_needed(const struct lvm *s, const struct lvm_lv *lv)
{
	if (lv->is_ours)
		return true;
	for (size_t i = 0; i < s->count; i++) {
		const struct lvm_lv *on = &s->lvs[i];

		if (on->is_ours && ((on->origin && strcmp(on->origin, lv->lv) == 0) ||
					   (on->pool && strcmp(on->pool, lv->lv) == 0)))
			return true;
	}
	return false;
}

void lvm_mend(const struct vmf_call *c)
{
	struct lvm s;

	/* lvs waits for others that are at work: what is suspended when it answers, nobody is at work on */
	if (lvm_look(c, &s, NULL) < 0)
		return;
	for (size_t i = 0; i < s.count; i++)
		if (s.lvs[i].is_stuck && lvm_refresh(&s, s.lvs[i].lv, NULL) < 0)
			s.h->log(c, VMF_LOG_WARN, "%s is suspended: lvchange --refresh %s lets it go on",
				lvm_path(&s, s.lvs[i].lv), lvm_path(&s, s.lvs[i].lv));
}

bool lvm_tidy(const struct lvm *s)
{
	bool changed = false;

	for (size_t i = 0; !s->c->dry_run && i < s->count; i++) {
		const struct lvm_lv *lv = &s->lvs[i];
		const char *new_of = lv->is_ours ? lvm_stem(s->c, lv->lv, LVM_NEW_SUFFIX) : NULL;
		const char *old_of = lv->is_ours ? lvm_stem(s->c, lv->lv, LVM_OLD_SUFFIX) : NULL;

		if (lv->is_stuck && is_needed(s, lv)) {
			changed |= lvm_refresh(s, lv->lv, NULL) == 0;
			continue;
		}
		if (lvm_is_temp(lv) && lv->by && is_dead(s->c, lv->by))
			changed |= drop(s, lv);
		else if (new_of || old_of)
			changed |= tidy_aside(s, lv, new_of ? new_of : old_of, new_of != NULL);
	}
	return changed;
}
