/* SPDX-License-Identifier: ISC */
/* A plugin for real, from making to removing. */
#include "check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct vmf_volume *find_volume(struct subject *s, const char *name)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_volume_list list = {0};

	if (!MUST(s, &s->plugin.ops.storage, list, name, &list, &err))
		return NULL;
	if (list.count && list.stride < offsetof(struct vmf_volume, in_use) + sizeof(uint32_t)) {
		complain(s, "list: a stride of %zu bytes", list.stride);
		return NULL;
	}
	for (size_t i = 0; i < list.count; i++) {
		const struct vmf_volume *v = (const void *)((const char *)list.items + i * list.stride);

		if (str_equal(v->name, name))
			return v;
	}
	return NULL;
}

static void look_at_volume(struct subject *s, const char *name, uint64_t bytes)
{
	const struct vmf_volume *v = find_volume(s, name);

	if (!v) {
		complain(s, "list: does not show the volume %s that was made", name);
		return;
	}
	if (!v->is_ours)
		complain(s, "list: a volume that create made is not marked as ours");
	if (!str_equal(v->owner_uuid, s->vm.uuid))
		complain(
			s, "list: owner_uuid is %s, not the VM's", v->owner_uuid ? v->owner_uuid : "missing");
	if (v->virtual_bytes < bytes)
		complain(s, "list: virtual_bytes is %llu, asked for were %llu",
			(unsigned long long)v->virtual_bytes, (unsigned long long)bytes);
	if (!v->id || !v->format)
		complain(s, "list: a volume without id or format");
}

static void attach_volume(struct subject *s, const char *name)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_block block = {.size = sizeof(block)};

	if (MUST(s, ops, attach, name, &block, &err)) {
		if (!block.n_layers || !block.layers || !block.layers[0].driver)
			complain(s, "attach: gave no layer, or one without driver");
		else if (block.layers[0].fd < 0 &&
			 (!block.layers[0].path || access(block.layers[0].path, F_OK) < 0))
			complain(s, "attach: the path %s is not there",
				block.layers[0].path ? block.layers[0].path : "(none)");
		else if (block.layers[0].fd > 2)
			close(block.layers[0].fd);
	}
	MUST(s, ops, detach, name, &err);
	MUST(s, ops, detach, name, &err);
}

static void snapshot_volume(struct subject *s, const char *name)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_snapshot_list list = {0};
	struct vmf_pool pool = {.size = sizeof(pool)};

	if (!ops->snapshot ||
		(ops->check && MUST(s, ops, check, &pool, &err) && !(pool.caps & VMF_STORAGE_SNAPSHOT)))
		return;
	if (!MUST(s, ops, snapshot, name, "one", &err))
		return;
	if (MUST(s, ops, snapshots, name, &list, &err) && list.count != 1)
		complain(s, "snapshots: shows %zu after one was made", list.count);
	MUST(s, ops, rollback, name, "one", 0, &err);
	MUST(s, ops, snapshot_remove, name, "one", &err);
	MUST(s, ops, snapshot_remove, name, "one", &err);
}

/* Writes a few words to the volume where the host can have it, at the byte PLACE. True: they are there. */
#define PLACE 1048576
static const char words[] = "written by vmf-plugin-check";

static bool map_volume(struct subject *s, const char *name)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	char *path = NULL;
	bool written = false;
	int fd;

	if (!ops->map || !MUST(s, ops, map, name, 1, &path, &err))
		return false;
	fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		complain(s, "map: the path %s cannot be opened", path ? path : "(none)");
	else
		written = pwrite(fd, words, sizeof(words), PLACE) == sizeof(words) && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	MUST(s, ops, unmap, name, &err);
	MUST(s, ops, unmap, name, &err);
	return written;
}

/* The volume's bytes, in memory; -1: it could not be had. */
static int send_volume(struct subject *s, const char *name, uint64_t bytes)
{
	struct vmf_error err = VMF_ERROR_INIT;
	int fd = memfd_create("vmf-plugin-check", MFD_CLOEXEC);
	off_t size;

	if (fd >= 0 && !MUST(s, &s->plugin.ops.storage, send, name, fd, &err)) {
		close(fd);
		return -1;
	}
	size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
	if (fd >= 0 && size < (off_t)bytes)
		complain(s, "send: gave %lld bytes of %llu", (long long)size, (unsigned long long)bytes);
	return fd;
}

static void look_for_words(struct subject *s, int fd, const char *what)
{
	char found[sizeof(words)] = "";

	if (pread(fd, found, sizeof(found), PLACE) != sizeof(found) ||
		memcmp(found, words, sizeof(words)) != 0)
		complain(s, "%s: the data that was written is not in it", what);
}

/* OTHER as it came to be by WHAT, with the same in it; it goes again. */
static void look_at_copy(struct subject *s, const char *other, uint64_t bytes, bool written, const char *what)
{
	struct vmf_error err = VMF_ERROR_INIT;
	int fd;

	look_at_volume(s, other, bytes);
	if (written && s->plugin.ops.storage.send) {
		fd = send_volume(s, other, bytes);
		if (fd >= 0)
			look_for_words(s, fd, what);
		if (fd >= 0)
			close(fd);
	}
	MUST(s, &s->plugin.ops.storage, remove, other, &err);
}

/* The store's own stream gives the size away, and becomes the same volume. */
static void stream_own(struct subject *s, const char *name, const char *other, uint64_t bytes, bool written)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	int fd = memfd_create("vmf-plugin-check", MFD_CLOEXEC);
	uint64_t size = 0;

	if (fd < 0 || !MUST(s, ops, send_own, name, fd, &err) || lseek(fd, 0, SEEK_SET) < 0 ||
		!MUST(s, ops, own_size, fd, &size, &err)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (size != bytes)
		complain(s, "own_size: says %llu bytes, not %llu", (unsigned long long)size,
			(unsigned long long)bytes);
	if (lseek(fd, 0, SEEK_CUR) != 0)
		complain(s, "own_size: has moved the stream's position");
	if (MUST(s, ops, receive_own, other, fd, &err))
		look_at_copy(s, other, bytes, written, "receive_own");
	close(fd);
}

/* All ways by which a volume becomes another one. */
static void copy_volume(struct subject *s, const char *name, uint64_t bytes, bool written)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	autofree char *other = str_printf("%s-other", name);
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_pool pool = {.size = sizeof(pool)};
	int fd;

	if (!ops->check || !MUST(s, ops, check, &pool, &err))
		return;
	if (pool.caps & VMF_STORAGE_STREAM) {
		fd = send_volume(s, name, bytes);
		if (fd >= 0 && written)
			look_for_words(s, fd, "send");
		if (fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 && MUST(s, ops, receive, other, bytes, fd, &err))
			look_at_copy(s, other, bytes, written, "receive");
		if (fd >= 0)
			close(fd);
	}
	if ((pool.caps & VMF_STORAGE_OWN_STREAM) && ops->send_own && ops->own_size && ops->receive_own)
		stream_own(s, name, other, bytes, written);
	if (ops->clone && MUST(s, ops, clone, name, NULL, other, 1, &err))
		look_at_copy(s, other, bytes, written, "clone (copy)");
	if (ops->clone && (pool.caps & VMF_STORAGE_COW_CLONE) &&
		MUST(s, ops, clone, name, NULL, other, 0, &err))
		look_at_copy(s, other, bytes, written, "clone (copy-on-write)");
}

static void storage_life(struct subject *s)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	autofree char *name = str_printf("vmfcheck-%d", (int)getpid());
	autofree char *other = str_printf("%s-renamed", name);
	const char *now = name;
	int code;

	if (!MUST(s, ops, create, name, 4 * MIB, &err))
		return;
	look_at_volume(s, name, 4 * MIB);
	code = TRY(s, ops, create, name, 4 * MIB, &err);
	if (code != VMF_E_EXISTS)
		complain(s, "create: the code for a name that is taken is %s, not exists",
			error_code_name(code));
	attach_volume(s, name);
	copy_volume(s, name, 4 * MIB, map_volume(s, name));
	if (ops->grow && MUST(s, ops, grow, name, 8 * MIB, &err)) {
		look_at_volume(s, name, 8 * MIB);
		if (TRY(s, ops, grow, name, MIB, &err) == 0)
			complain(s, "grow: made a volume smaller");
	}
	snapshot_volume(s, name);
	if (ops->rename && MUST(s, ops, rename, name, other, &err)) {
		now = other;
		look_at_volume(s, other, 4 * MIB);
		if (find_volume(s, name))
			complain(s, "rename: the old name is still listed");
	}
	MUST(s, ops, remove, now, &err);
	if (find_volume(s, now))
		complain(s, "remove: the volume is still listed");
	MUST(s, ops, remove, now, &err);
}

static void network_life(struct subject *s)
{
	const struct vmf_network_ops *ops = &s->plugin.ops.network;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_netdev netdev = {.size = sizeof(netdev)};

	if (!MUST(s, ops, check, &check_nic, &err) || !MUST(s, ops, up, &check_nic, &netdev, &err))
		return;
	if (!netdev.type || !*netdev.type)
		complain(s, "up: gave no type");
	if (netdev.n_fds > VMF_COUNT(netdev.fds) || (netdev.n_fds && !netdev.fd_prop))
		complain(s, "up: %zu fds, fd_prop %s", netdev.n_fds,
			netdev.fd_prop ? netdev.fd_prop : "missing");
	close_netdev(&netdev);
	MUST(s, ops, down, &err);
	MUST(s, ops, down, &err);
}

static void display_life(struct subject *s)
{
	const struct vmf_display_ops *ops = &s->plugin.ops.display;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_display display = {.size = sizeof(display)};

	if (!MUST(s, ops, check, &err))
		return;
	MUST(s, ops, prepare, &display, &err);
	MUST(s, ops, cleanup, &err);
	MUST(s, ops, cleanup, &err);
}

static void placement_life(struct subject *s)
{
	const struct vmf_placement_ops *ops = &s->plugin.ops.placement;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_host_info info = {.size = sizeof(info), .temperature_millicelsius = INT32_MIN};
	int fd = -1;

	if (!MUST(s, ops, probe, &info, &err))
		return;
	if (info.is_alive && (!info.cpus || !info.memory_bytes))
		complain(s, "probe: a host that is alive has processors and memory");
	if (ops->connect && info.is_alive && MUST(s, ops, connect, &fd, &err))
		MUST(s, ops, disconnect, fd, &err);
}

void calls_life(struct subject *s)
{
	host_prepare(s, "root");
	switch (s->plugin.kind) {
	case VMF_STORAGE:
		storage_life(s);
		break;
	case VMF_NETWORK:
		network_life(s);
		break;
	case VMF_DISPLAY:
		display_life(s);
		break;
	case VMF_PLACEMENT:
		placement_life(s);
		break;
	}
}
