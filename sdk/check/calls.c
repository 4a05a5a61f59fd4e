/* SPDX-License-Identifier: ISC */
/* What a plugin does when it is called: on nothing, in dry-run, and with a host that fails. */
#include "check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the contract of every call ----------------------------------------------------------- */

/* 0 and untouched, or -1 and set. Returns the error's code, 0 for success. */
int judge(struct subject *s, const char *what, int rc, struct vmf_error *err)
{
	int code = err->code;

	if (rc == 0 && code)
		complain(s, "%s: returned 0, but set the error \"%s\"", what, err->message);
	else if (rc == -1 && !code)
		complain(s, "%s: returned -1 without host->fail()", what);
	else if (rc != 0 && rc != -1)
		complain(s, "%s: returned %d, which is neither 0 nor -1", what, rc);
	if (code && (code < VMF_E_FAILED || code > VMF_E_UNSUPPORTED))
		complain(s, "%s: the error's code is %d", what, code);
	if (err->message && (!*err->message || strchr(err->message, '\n') || str_ends(err->message, ".")))
		complain(s, "%s: a message is one line without a full stop: \"%s\"", what, err->message);
	error_clear(err);
	return rc == 0 ? 0 : code ? code : VMF_E_FAILED;
}

bool must(struct subject *s, int rc, const char *what, struct vmf_error *err)
{
	if (rc != 0 && err->code)
		complain(s, "%s: %s%s%s", what, err->message, err->hint ? "; " : "",
			err->hint ? err->hint : "");
	return judge(s, what, rc, err) == 0;
}

/* As long as they are open the volume is in use. */
static void close_layers(const struct vmf_block *block)
{
	for (size_t i = 0; i < block->n_layers; i++) {
		const struct vmf_block_layer *layer =
			(const void *)((const char *)block->layers + i * block->layer_stride);

		if (layer->fd > 2)
			close(layer->fd);
	}
}

static void storage_all(struct subject *s, const char *name)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_pool pool = {.size = sizeof(pool)};
	struct vmf_volume_list list = {0};
	struct vmf_snapshot_list snapshots = {0};
	struct vmf_block block = {.size = sizeof(block)};
	uint64_t bytes;
	char *path = NULL;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	TRY(s, ops, check, &pool, &err);
	TRY(s, ops, list, NULL, &list, &err);
	TRY(s, ops, list, name, &list, &err);
	TRY(s, ops, create, name, MIB, &err);
	TRY(s, ops, attach, name, &block, &err);
	close_layers(&block);
	TRY(s, ops, detach, name, &err);
	TRY(s, ops, grow, name, 2 * MIB, &err);
	TRY(s, ops, rename, name, "vmfcheck-renamed", &err);
	TRY(s, ops, snapshot, name, "one", &err);
	TRY(s, ops, snapshots, name, &snapshots, &err);
	TRY(s, ops, rollback, name, "one", 0, &err);
	TRY(s, ops, snapshot_remove, name, "one", &err);
	TRY(s, ops, clone, name, NULL, "vmfcheck-clone", 0, &err);
	TRY(s, ops, clone, name, "one", "vmfcheck-clone", 1, &err);
	TRY(s, ops, send, name, null, &err);
	TRY(s, ops, receive, "vmfcheck-received", MIB, null, &err);
	TRY(s, ops, send_own, name, null, &err);
	TRY(s, ops, own_size, null, &bytes, &err);
	TRY(s, ops, receive_own, "vmfcheck-received", null, &err);
	TRY(s, ops, map, name, 0, &path, &err);
	TRY(s, ops, unmap, name, &err);
	TRY(s, ops, remove, "vmfcheck-received", &err);
	TRY(s, ops, remove, "vmfcheck-clone", &err);
	TRY(s, ops, remove, "vmfcheck-renamed", &err);
	TRY(s, ops, remove, name, &err);
	close(null);
}

const struct vmf_nic check_nic = {
	.size = sizeof(check_nic), .mac = "52:54:00:12:34:56", .model = "virtio-net-pci"};

void close_netdev(struct vmf_netdev *netdev)
{
	for (size_t i = 0; i < netdev->n_fds && i < VMF_COUNT(netdev->fds); i++)
		close(netdev->fds[i]);
	for (size_t i = 0; i < netdev->n_vhost_fds && i < VMF_COUNT(netdev->vhost_fds); i++)
		close(netdev->vhost_fds[i]);
	for (size_t i = 0; i < netdev->n_keep_fds && i < VMF_COUNT(netdev->keep_fds); i++)
		close(netdev->keep_fds[i]);
}

static void network_all(struct subject *s, const char *name)
{
	const struct vmf_network_ops *ops = &s->plugin.ops.network;
	const char *const no_ports[] = {NULL};
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_netdev netdev = {.size = sizeof(netdev)};
	struct vmf_nic_info info = {.size = sizeof(info)};
	struct vmf_segment_list segments = {0};
	struct vmf_trouble_list troubles = {0};

	if (ops->caps)
		ops->caps(&s->call);
	TRY(s, ops, check, &check_nic, &err);
	TRY(s, ops, up, &check_nic, &netdev, &err);
	TRY(s, ops, info, &check_nic, &info, &err);
	TRY(s, ops, reconnect, NULL, &err);
	TRY(s, ops, segment_list, &segments, &err);
	TRY(s, ops, examine, &troubles, &err);
	TRY(s, ops, segment_create, name, no_ports, &err);
	TRY(s, ops, segment_remove, name, &err);
	TRY(s, ops, down, &err);
	close_netdev(&netdev);
}

static void display_all(struct subject *s)
{
	const struct vmf_display_ops *ops = &s->plugin.ops.display;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_display display = {.size = sizeof(display)};
	struct vmf_display_info info = {.size = sizeof(info)};
	int fd = -1;

	TRY(s, ops, check, &err);
	TRY(s, ops, prepare, &display, &err);
	TRY(s, ops, info, &info, &err);
	if (ops->open && TRY(s, ops, open, &fd, &err) == 0 && fd >= 0)
		close(fd);
	TRY(s, ops, cleanup, &err);
}

static void placement_all(struct subject *s)
{
	const struct vmf_placement_ops *ops = &s->plugin.ops.placement;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_host_info info = {.size = sizeof(info), .temperature_millicelsius = INT32_MIN};

	ops->caps(&s->call);
	TRY(s, ops, probe, &info, &err);
}

static void call_all(struct subject *s, const char *name)
{
	switch (s->plugin.kind) {
	case VMF_STORAGE:
		storage_all(s, name);
		break;
	case VMF_NETWORK:
		network_all(s, name);
		break;
	case VMF_DISPLAY:
		display_all(s);
		break;
	case VMF_PLACEMENT:
		placement_all(s);
		break;
	}
}

void calls_dry(struct subject *s)
{
	host_prepare(s, "root");
	s->call.dry_run = 1;
	call_all(s, "vmfcheck-dry");
}

void calls_faults(struct subject *s)
{
	host_prepare(s, "root");
	s->call.dry_run = !s->may_run;
	/* one service after the other fails, until there are no more of them */
	for (unsigned n = 1; n < 200; n++) {
		host_fail_at(n);
		call_all(s, "vmfcheck-faults");
		if (host_services_used() < n)
			break;
	}
	host_fail_at(0);
	call_all(s, "vmfcheck-faults");
}

/* ---- what is said and what is there ------------------------------------------------------- */

static void want(struct subject *s, bool is_claimed, const char *claim, bool is_there, const char *call)
{
	if (is_claimed && !is_there)
		complain(s, "claims %s, but has no call %s", claim, call);
	if (!is_claimed && is_there)
		complain(s, "has the call %s, but does not claim %s", call, claim);
}

static void storage_agrees(struct subject *s)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_pool pool = {.size = sizeof(pool)};

	if (!ops->check) {
		skip(s, "it has no call check that would say what it can do");
		return;
	}
	if (ops->check(&s->call, &pool, &err) < 0) {
		skip(s, "its pool cannot be used: %s", err.message ? err.message : "no reason given");
		error_clear(&err);
		return;
	}
	if (pool.caps & (VMF_STORAGE_SNAPSHOT | VMF_STORAGE_LIVE_SNAPSHOT)) {
		want(s, true, "snapshots", ops->snapshot != NULL, "snapshot");
		want(s, true, "snapshots", ops->snapshots != NULL, "snapshots");
		want(s, true, "snapshots", ops->rollback != NULL, "rollback");
		want(s, true, "snapshots", ops->snapshot_remove != NULL, "snapshot_remove");
	} /* else: the options may take away what the calls are there for */
	if (pool.caps & VMF_STORAGE_COW_CLONE)
		want(s, true, "copy-on-write clones", ops->clone != NULL, "clone");
	if (pool.caps & VMF_STORAGE_LIVE_GROW)
		want(s, true, "growing a running VM's volume", ops->grow != NULL, "grow");
	want(s, (pool.caps & VMF_STORAGE_RENAME) != 0, "renaming", ops->rename != NULL, "rename");
	want(s, (pool.caps & VMF_STORAGE_STREAM) != 0, "streams", ops->send != NULL, "send");
	want(s, (pool.caps & VMF_STORAGE_STREAM) != 0, "streams", ops->receive != NULL, "receive");
	want(s, (pool.caps & VMF_STORAGE_OWN_STREAM) != 0, "streams of its own", ops->send_own != NULL,
		"send_own");
	want(s, (pool.caps & VMF_STORAGE_OWN_STREAM) != 0, "streams of its own", ops->own_size != NULL,
		"own_size");
	want(s, (pool.caps & VMF_STORAGE_OWN_STREAM) != 0, "streams of its own", ops->receive_own != NULL,
		"receive_own");
	want(s, (pool.caps & VMF_STORAGE_MAP) != 0, "mapping", ops->map != NULL, "map");
	want(s, (pool.caps & VMF_STORAGE_MAP) != 0, "mapping", ops->unmap != NULL, "unmap");
}

static void network_agrees(struct subject *s)
{
	const struct vmf_network_ops *ops = &s->plugin.ops.network;
	uint32_t caps = ops->caps ? ops->caps(&s->call) : 0;

	want(s, (caps & VMF_NETWORK_SEGMENTS) != 0, "segments", ops->segment_create != NULL,
		"segment_create");
	want(s, (caps & VMF_NETWORK_SEGMENTS) != 0, "segments", ops->segment_remove != NULL,
		"segment_remove");
	want(s, (caps & VMF_NETWORK_SEGMENTS) != 0, "segments", ops->segment_list != NULL, "segment_list");
	want(s, (caps & VMF_NETWORK_RECONNECT) != 0, "reconnecting", ops->reconnect != NULL, "reconnect");
}

void calls_agree(struct subject *s)
{
	host_prepare(s, NULL);
	s->call.dry_run = 1;
	switch (s->plugin.kind) {
	case VMF_STORAGE:
		storage_agrees(s);
		break;
	case VMF_NETWORK:
		network_agrees(s);
		break;
	case VMF_PLACEMENT:
		if (!(s->plugin.ops.placement.caps(&s->call) & VMF_PLACEMENT_HERE))
			want(s, true, "another host", s->plugin.ops.placement.connect != NULL, "connect");
		break;
	case VMF_DISPLAY:
		break;
	}
}

/* ---- nothing there ------------------------------------------------------------------------ */

/* Undoing what is gone succeeds; all else says that it is not there. */
void calls_nothing_there(struct subject *s)
{
	const struct vmf_storage_ops *ops = &s->plugin.ops.storage;
	struct vmf_error err = VMF_ERROR_INIT;
	struct vmf_block block = {.size = sizeof(block)};
	const char *name = "vmfcheck-never-made";
	int code;

	host_prepare(s, "root");
	switch (s->plugin.kind) {
	case VMF_STORAGE:
		MUST(s, ops, remove, name, &err);
		MUST(s, ops, detach, name, &err);
		MUST(s, ops, unmap, name, &err);
		MUST(s, ops, snapshot_remove, name, "one", &err);
		code = TRY(s, ops, attach, name, &block, &err);
		if (code == 0)
			complain(s, "attach: a volume that does not exist was attached");
		else if (code != VMF_E_NOT_FOUND)
			complain(s, "attach: the code for a volume that does not exist is %s, not not-found",
				error_code_name(code));
		break;
	case VMF_NETWORK:
		MUST(s, &s->plugin.ops.network, down, &err);
		break;
	case VMF_DISPLAY:
		MUST(s, &s->plugin.ops.display, cleanup, &err);
		break;
	case VMF_PLACEMENT:
		break;
	}
}
