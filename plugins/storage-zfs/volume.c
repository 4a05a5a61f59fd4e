/* SPDX-License-Identifier: ISC */
/* Volumes come, and change their names and sizes. How they go is in remove.c. */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "zv.h"

/* ---- create ------------------------------------------------------------------------------- */

void zv_opt_new(const struct zv_store *s, const char **argv, size_t *n, bool is_clone)
{
	const struct vmf_host *h = s->h;
	const char *compression = h->opt_string(s->c, "compression");
	int64_t block = h->opt_int(s->c, "volblocksize");

	argv[(*n)++] = "-o";
	argv[(*n)++] = zv_mark(s);
	if (compression && *compression) {
		argv[(*n)++] = "-o";
		argv[(*n)++] = h->printf(s->c, "compression=%s", compression);
	}
	if (is_clone) /* its blocks are its origin's */
		return;
	if (block > 0) {
		argv[(*n)++] = "-o";
		argv[(*n)++] = h->printf(s->c, "volblocksize=%" PRId64, block);
	}
	if (h->opt_bool(s->c, "sparse"))
		argv[(*n)++] = "-s";
}

int zv_size_check(const struct vmf_call *c, uint64_t size_bytes, struct vmf_error *err)
{
	if (size_bytes && size_bytes <= ZV_MAX_SIZE)
		return 0;
	return c->host->fail(err, VMF_E_USAGE, 0, NULL, "a volume cannot have %" PRIu64 " bytes", size_bytes);
}

int zv_create(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	const char *argv[16] = {"zfs", "create", "-V", c->host->printf(c, "%" PRIu64, size_bytes)};
	struct zv_store s;
	size_t n = 4;
	int rc = -1;

	if (zv_size_check(c, size_bytes, err) < 0 || zv_open(c, &s, err) < 0 ||
		zv_name_check(&s, name, err) < 0)
		return -1;
	zv_opt_new(&s, argv, &n, false);
	argv[n++] = zv_full(&s, name);
	argv[n] = NULL;
	s.may_recall = true; /* zfs itself refuses a name that is taken meanwhile */
	if (zv_begin(&s, ZV_INSIDE, NULL, err) == 0 && zv_find_none(&s, name, err) == 0 &&
		(c->host->opt_bool(c, "sparse") || zv_need_space(&s, name, size_bytes, err) == 0))
		rc = c->dry_run ? 0 : zv_zfs(&s, argv, err);
	zv_close(&s);
	return rc;
}

/* ---- rename ------------------------------------------------------------------------------- */

static int rename_found(
	struct zv_store *s, const struct zv_item *item, const char *new_name, struct vmf_error *err)
{
	const char *const argv[] = {"zfs", "rename", item->name, zv_full(s, new_name), NULL};

	if (zv_must_be_ours(s, item, "renamed", err) < 0 ||
		zv_must_be_free(s, zv_base(item->name), err) < 0 || zv_find_none(s, new_name, err) < 0)
		return -1;
	return s->c->dry_run ? 0 : zv_zfs(s, argv, err);
}

/* A rename that was done before it could be noted down: the new name is there and it is this VM's. */
static bool is_renamed(const struct zv_store *s, const char *new_name)
{
	const struct zv_item *item = zv_find(s, new_name);
	const char *uuid = item ? zv_owner_uuid(item) : NULL;

	return uuid && s->c->vm && s->c->vm->uuid && strcmp(uuid, s->c->vm->uuid) == 0;
}

int zv_rename(const struct vmf_call *c, const char *name, const char *new_name, struct vmf_error *err)
{
	const struct zv_item *item;
	struct zv_store s;
	int rc = -1;

	if (zv_open(c, &s, err) < 0 || zv_name_check(&s, name, err) < 0 ||
		zv_name_check(&s, new_name, err) < 0)
		return -1;
	if (zv_begin(&s, ZV_INSIDE, name, err) == 0) {
		item = zv_find(&s, name);
		if (item)
			rc = rename_found(&s, item, new_name, err);
		else if (is_renamed(&s, new_name) || zv_find_or_fail(&s, name, err))
			rc = 0;
	}
	zv_close(&s);
	return rc;
}

/* ---- grow --------------------------------------------------------------------------------- */

static bool is_live(const struct zv_store *s, const char *name)
{
	return s->c->vm && s->c->slot && s->h->qmp && zv_use_of(s, name) == ZV_WRITTEN;
}

static const char *json_string(const struct vmf_call *c, const char *text)
{
	char *json = c->host->alloc(c, strlen(text) * 6 + 3), *to = json;

	*to++ = '"';
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			to += sprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			to += sprintf(to, "\\u%04x", (unsigned char)*text);
		else
			*to++ = *text;
	}
	*to++ = '"';
	return json;
}

/* The guest learns of it by its QEMU, whose node has the slot's name. */
static int tell_guest(struct zv_store *s, uint64_t size, struct vmf_error *err)
{
	const char *arguments = s->h->printf(
		s->c, "{\"node-name\": %s, \"size\": %" PRIu64 "}", json_string(s->c, s->c->slot), size);

	return s->h->qmp(s->c, "block_resize", arguments, -1, NULL, NULL, err);
}

static int grow_found(struct zv_store *s, const struct zv_item *item, uint64_t size, struct vmf_error *err)
{
	uint64_t now = zv_number(item, ZV_P_VOLSIZE), block = zv_number(item, ZV_P_VOLBLOCKSIZE);
	const char *argv[] = {"zfs", "set", NULL, item->name, NULL};
	const char *name = zv_base(item->name);
	bool live = is_live(s, name);

	if (zv_must_be_ours(s, item, "resized", err) < 0 || (!live && zv_must_be_free(s, name, err) < 0))
		return -1;
	if (size < now)
		return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
			"make a smaller disk and copy the files over in the guest",
			"%s has %" PRIu64 " bytes and cannot shrink to %" PRIu64, item->name, now, size);
	if (block)
		size = (size + block - 1) / block * block;
	if (!s->h->opt_bool(s->c, "sparse") && zv_need_space(s, name, size - now, err) < 0)
		return -1;
	if (s->c->dry_run)
		return 0;
	argv[2] = s->h->printf(s->c, "volsize=%" PRIu64, size);
	if (size > now && zv_zfs(s, argv, err) < 0)
		return -1;
	return live ? tell_guest(s, size, err) : 0;
}

int zv_grow(const struct vmf_call *c, const char *name, uint64_t size_bytes, struct vmf_error *err)
{
	const struct zv_item *item;
	struct zv_store s;
	int rc = -1;

	if (zv_size_check(c, size_bytes, err) < 0 || zv_open(c, &s, err) < 0 ||
		zv_name_check(&s, name, err) < 0)
		return -1;
	if (zv_begin(&s, ZV_INSIDE, name, err) == 0 && (item = zv_find_or_fail(&s, name, err)))
		rc = grow_found(&s, item, size_bytes, err);
	zv_close(&s);
	return rc;
}
