/* SPDX-License-Identifier: ISC */
/*
 * Snapshots inside of qcow2 volumes: by QEMU while a VM runs on the volume, by qemu-img else. They are looked
 * up here, by their exact names: qemu-img takes a name for a number where it can, and lets two have the same.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "qcow2.h"

#define NAME_LENGTH 255 /* QEMU's own limit */

/* ---- looking ------------------------------------------------------------------------------ */

int fq_raw_has_none(struct fq_store *s, const char *path, struct vmf_error *err)
{
	return s->h->fail(err, VMF_E_UNSUPPORTED, 0,
		"make a full copy of it instead (clone --copy), or a qcow2 volume of it (qemu-img convert -O "
		"qcow2)",
		"%s is raw and cannot have snapshots", path);
}

/* "one, two and 3 more", or NULL. */
static const char *names_of(struct fq_store *s, const struct qcow2_snapshot *list, size_t count)
{
	const char *names = NULL;

	for (size_t i = 0; i < count && i < 10; i++)
		names = names ? s->h->printf(s->c, "%s, %s", names, list[i].name) : list[i].name;
	return count > 10 ? s->h->printf(s->c, "%s and %zu more", names, count - 10) : names;
}

int fq_snapshot_find(struct fq_store *s, int fd, const char *path, const struct qcow2 *q, const char *name,
	struct qcow2_snapshot *found, struct vmf_error *err)
{
	struct qcow2_snapshot *list;
	int n = 0;

	if (qcow2_read_snapshots(s->c, fd, path, q, &list, err) < 0)
		return -1;
	for (uint32_t i = 0; i < q->n_snapshots; i++)
		if (strcmp(list[i].name, name) == 0) {
			*found = list[i];
			n++;
		}
	if (n > 1)
		return s->h->fail(err, VMF_E_STATE, 0,
			s->h->printf(s->c, "remove one of them: qemu-img snapshot -d '%s' %s", name, path),
			"%s has %d snapshots \"%s\": which is meant", path, n, name);
	return n;
}

int fq_no_snapshot(struct fq_store *s, int fd, const char *path, const struct qcow2 *q, const char *name,
	struct vmf_error *err)
{
	struct qcow2_snapshot *list;
	const char *names;

	if (qcow2_read_snapshots(s->c, fd, path, q, &list, err) < 0)
		return -1;
	names = names_of(s, list, q->n_snapshots);
	return s->h->fail(err, VMF_E_NOT_FOUND, 0,
		names ? s->h->printf(s->c, "there is %s", names) : "it has none at all",
		"%s has no snapshot \"%s\"", path, name);
}

static int check_name(const struct vmf_call *c, const char *name, struct vmf_error *err)
{
	if (!name || !*name || strlen(name) > NAME_LENGTH)
		return c->host->fail(
			err, VMF_E_USAGE, 0, NULL, "a snapshot's name has 1 to %d bytes", NAME_LENGTH);
	for (const unsigned char *at = (const unsigned char *)name; *at; at++)
		if (*at < ' ' || *at == 0x7f)
			return c->host->fail(
				err, VMF_E_USAGE, 0, NULL, "a snapshot's name holds a control character");
	return 0;
}

/* ---- one volume's ------------------------------------------------------------------------- */

struct subject {
	struct fq_store s;
	struct fq_volume v;
	struct qcow2 q;
	int fd; /* -1: closed before somebody else is to open it */
	struct qcow2_snapshot found;
	bool is_there;
};

static void let_go(struct subject *on)
{
	if (on->fd >= 0)
		close(on->fd);
	fq_store_close(&on->s);
}

static int look(struct subject *on, const char *snapshot, struct vmf_error *err)
{
	int rc;

	if (on->v.format == FQ_RAW)
		return snapshot ? fq_raw_has_none(&on->s, on->v.path, err) : 0;
	on->fd = fq_open(&on->s, &on->v, O_RDONLY, err);
	if (on->fd < 0 || qcow2_read(on->s.c, on->fd, on->v.path, &on->q, err) < 0)
		return -1;
	if (!snapshot)
		return 0;
	rc = fq_snapshot_find(&on->s, on->fd, on->v.path, &on->q, snapshot, &on->found, err);
	on->is_there = rc > 0;
	return rc < 0 ? -1 : 0;
}

/* Finds the volume and, unless NULL, whether it has that snapshot: 1, 0 if there is no such volume. To be let
 * go of unless that is -1. */
static int find(const struct vmf_call *c, const char *name, const char *snapshot, struct subject *on,
	struct vmf_error *err)
{
	int rc;

	memset(on, 0, sizeof(*on));
	on->fd = -1;
	if ((snapshot && check_name(c, snapshot, err) < 0) || fq_store_open(c, &on->s, false, err) < 0)
		return -1;
	rc = fq_find(&on->s, name, &on->v, err);
	if (rc > 0 && look(on, snapshot, err) < 0)
		rc = -1;
	if (rc < 0)
		let_go(on);
	return rc;
}

/* The same, where the volume has to be there. */
static int take(const struct vmf_call *c, const char *name, const char *snapshot, struct subject *on,
	struct vmf_error *err)
{
	int rc = find(c, name, snapshot, on, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	rc = c->host->fail(err, VMF_E_NOT_FOUND, 0, NULL, "there is no volume \"%s\" in %s", name, on->s.dir);
	let_go(on);
	return rc;
}

/* qemu-img snapshot FLAG WHICH; it opens what the image stands on, so that is looked at first. */
static int by_qemu_img(struct subject *on, const char *flag, const char *which, struct vmf_error *err)
{
	const char *const argv[] = {
		"qemu-img", "snapshot", "-q", flag, which, fq_qemu_img_name(&on->s, &on->v), NULL};
	struct fq_layer layers[FQ_MAX_LAYERS];
	size_t count;

	if (fq_chain(&on->s, &on->v, layers, &count, err) < 0 ||
		fq_must_be_free(&on->s, &on->v, true, err) < 0)
		return -1;
	return on->s.c->dry_run ? 0 : fq_qemu_img_change(&on->s, &on->v, argv, err);
}

/* A copy of the L1 table, the list of snapshots anew, and reference counts: what making one or going back
 * takes. */
static int need_room(struct subject *on, struct vmf_error *err)
{
	uint64_t cluster = (uint64_t)1 << on->q.cluster_bits;

	return fq_need_space(&on->s, (on->q.l1_entries * UINT64_C(8) / cluster + 6) * cluster, err);
}

static int by_qemu(struct subject *on, const char *command, const char *snapshot, struct vmf_error *err)
{
	const struct vmf_call *c = on->s.c;
	const char *arguments = c->host->printf(
		c, "{\"device\": %s, \"name\": %s}", fq_json_string(c, c->slot), fq_json_string(c, snapshot));

	return c->dry_run ? 0 : c->host->qmp(c, command, arguments, -1, NULL, NULL, err);
}

/* ---- calls -------------------------------------------------------------------------------- */

int fq_snapshot(const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	struct subject on;
	int rc = -1;

	if (take(c, name, snapshot, &on, err) < 0)
		return -1;
	if (on.is_there)
		c->host->fail(err, VMF_E_EXISTS, 0, "choose another name, or remove that one first",
			"%s has a snapshot \"%s\" already", on.v.path, snapshot);
	else if (fq_must_be_ours(&on.s, &on.v, "given a snapshot", err) == 0 && need_room(&on, err) == 0)
		rc = fq_is_live(&on.s, &on.v) ? by_qemu(&on, "blockdev-snapshot-internal-sync", snapshot, err)
					      : by_qemu_img(&on, "-c", snapshot, err);
	let_go(&on);
	return rc;
}

int fq_snapshots(
	const struct vmf_call *c, const char *name, struct vmf_snapshot_list *list, struct vmf_error *err)
{
	struct qcow2_snapshot *found;
	struct subject on;
	bool is_ours;
	int rc = 0;

	if (take(c, name, NULL, &on, err) < 0)
		return -1;
	*list = (struct vmf_snapshot_list){.stride = sizeof(struct vmf_snapshot)};
	is_ours = fq_mark_is_ours(&on.s, on.v.file, &on.v.st, NULL);
	if (on.fd >= 0)
		rc = qcow2_read_snapshots(c, on.fd, on.v.path, &on.q, &found, err);
	if (rc == 0 && on.q.n_snapshots) {
		list->count = on.q.n_snapshots;
		list->items = c->host->alloc(c, list->count * sizeof(*list->items));
		for (size_t i = 0; i < list->count; i++)
			list->items[i] = (struct vmf_snapshot){.size = sizeof(list->items[i]),
				.name = found[i].name,
				.created = found[i].created,
				.is_ours = is_ours};
	}
	let_go(&on);
	return rc;
}

int fq_rollback(const struct vmf_call *c, const char *name, const char *snapshot, uint32_t flags,
	struct vmf_error *err)
{
	struct subject on;
	int rc = -1;

	(void)flags; /* later snapshots stay */
	if (take(c, name, snapshot, &on, err) < 0)
		return -1;
	if (!on.is_there)
		fq_no_snapshot(&on.s, on.fd, on.v.path, &on.q, snapshot, err);
	else if (fq_use_of(on.fd) == FQ_WRITTEN)
		c->host->fail(err, VMF_E_STATE, 0, "`stop` the VM first",
			"%s is in use and cannot be rolled back", on.v.path);
	else if (fq_must_be_ours(&on.s, &on.v, "rolled back", err) == 0 &&
		 fq_must_be_bare(&on.s, &on.v, "rolled back", err) == 0 && need_room(&on, err) == 0)
		rc = by_qemu_img(&on, "-a", on.found.id, err);
	let_go(&on);
	return rc;
}

int fq_snapshot_remove(
	const struct vmf_call *c, const char *name, const char *snapshot, struct vmf_error *err)
{
	struct subject on;
	int rc = find(c, name, snapshot, &on, err);

	if (rc < 0)
		return -1;
	/* gone already, perhaps by a qemu-img that was killed before it gave back what the snapshot took up
	 */
	if (rc > 0 && !on.is_there && !c->dry_run && !fq_is_live(&on.s, &on.v) &&
		fq_mark_is_ours(&on.s, on.v.file, &on.v.st, NULL))
		fq_give_back_leaks(&on.s, &on.v);
	if (rc == 0 || !on.is_there)
		rc = 0;
	else if (fq_must_be_ours(&on.s, &on.v, "changed", err) < 0)
		rc = -1;
	else
		rc = fq_is_live(&on.s, &on.v)
			     ? by_qemu(&on, "blockdev-snapshot-delete-internal-sync", snapshot, err)
			     : by_qemu_img(&on, "-d", snapshot, err);
	let_go(&on);
	return rc;
}
