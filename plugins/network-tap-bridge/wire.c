/* SPDX-License-Identifier: ISC */
/*
 * Cables between bridges of two network namespaces: a veth pair with one end in each. Both ends' names come
 * from what they connect, so that the same wire is there once; their alias tells it.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMESPACES "/run/netns"

static const char *shown(const char *name)
{
	return name ? name : "-";
}

const struct vmf_wire *wire_of(const struct vmf_call *c, const char *alias)
{
	char words[4][65];
	struct vmf_wire *wire;

	if (sscanf(alias, "vmf wire %64s %64s %64s %64s", words[0], words[1], words[2], words[3]) != 4)
		return NULL;
	wire = c->host->alloc(c, sizeof(*wire));
	wire->size = sizeof(*wire);
	for (int i = 0; i < 2; i++) {
		wire->namespaces[i] =
			strcmp(words[2 * i], "-") == 0 ? NULL : c->host->strdup(c, words[2 * i]);
		wire->segments[i] = c->host->strdup(c, words[2 * i + 1]);
	}
	return wire;
}

/* ---- namespaces --------------------------------------------------------------------------- */

static int make_namespace(const struct vmf_call *c, const char *path, struct vmf_error *err)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), file, errnum = 0;

	if (here < 0)
		return c->host->fail(err, VMF_E_FAILED, errno, NULL, "/proc/self/ns/net");
	if (mkdir(NAMESPACES, 0755) < 0 && errno != EEXIST)
		errnum = errno;
	file = errnum ? -1 : open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (!errnum && file < 0)
		errnum = errno;
	if (!errnum && unshare(CLONE_NEWNET) < 0)
		errnum = errno;
	else if (!errnum && mount("/proc/self/ns/net", path, "none", MS_BIND, NULL) < 0)
		errnum = errno;
	if (setns(here, CLONE_NEWNET) < 0 && !errnum)
		errnum = errno;
	if (file >= 0) {
		close(file);
		if (errnum)
			unlink(path);
	}
	close(here);
	if (!errnum)
		return 0;
	return c->host->fail(err, errnum == EPERM || errnum == EACCES ? VMF_E_PERMISSION : VMF_E_FAILED,
		errnum, "be root", "cannot make network namespace %s", path + sizeof(NAMESPACES));
}

/* An fd of the namespace; -1 and err. */
static int open_namespace(const struct vmf_call *c, const char *name, bool create, struct vmf_error *err)
{
	const char *path = name ? c->host->printf(c, NAMESPACES "/%s", name) : "/proc/self/ns/net";
	int fd;

	if (name && (strchr(name, '/') || *name == '.' || !*name || strlen(name) > 64))
		return c->host->fail(err, VMF_E_USAGE, 0,
			"`ip netns` lists those that there are; - is this one",
			"\"%s\" is no name of a network namespace", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && create && name) {
		if (make_namespace(c, path, err) < 0)
			return -1;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return c->host->fail(err, VMF_E_NOT_FOUND, 0,
			"--create makes it; `ip netns` lists those that there are",
			"there is no network namespace %s", name);
	return c->host->fail(err, VMF_E_FAILED, errno, NULL, "%s", path);
}

/* ---- one end ------------------------------------------------------------------------------ */

struct end {
	int namespace;
	char name[IFNAMSIZ];
	const char *segment;
};

/* Goes there, for as long as NET is open. */
static int enter(const struct vmf_call *c, int namespace, struct net *net, struct vmf_error *err)
{
	if (setns(namespace, CLONE_NEWNET) < 0)
		return c->host->fail(err, errno == EPERM ? VMF_E_PERMISSION : VMF_E_FAILED, errno, "be root",
			"cannot enter the network namespace");
	return net_open(net, c, err);
}

static int find_bridge(
	struct net *net, const struct end *end, bool create, struct link *bridge, struct vmf_error *err)
{
	const char *why = link_name_wrong(end->segment);

	if (why)
		return net->call->host->fail(err, VMF_E_USAGE, 0, NULL, "\"%s\" is %s", end->segment, why);
	if (create)
		return bridge_need(net, end->segment, GROUP_KEPT, 0, bridge, err);
	return bridge_find(net, end->segment, bridge, err);
}

static int plug(
	const struct vmf_call *c, const struct end *end, const struct vmf_wire *wire, struct vmf_error *err)
{
	struct port port = {.keeps_mtu = true};
	struct link bridge, link;
	struct net net;
	int rc;

	port.alias = c->host->printf(c, "vmf wire %s %s %s %s", shown(wire->namespaces[0]), wire->segments[0],
		shown(wire->namespaces[1]), wire->segments[1]);
	if (enter(c, end->namespace, &net, err) < 0)
		return -1;
	rc = find_bridge(&net, end, wire->create, &bridge, err);
	if (rc == 0 && net_link(&net, end->name, &link, err) != 0)
		rc = err && c->host->fail(err, VMF_E_FAILED, 0, NULL, "%s has gone at once", end->name);
	if (rc == 0)
		rc = port_attach(&net, &link, &bridge, &port, err);
	net_close(&net);
	return rc < 0 ? -1 : 0;
}

/* Is the bridge there, or may it be made? Before anything is. */
static int look(
	const struct vmf_call *c, const struct end *end, const struct vmf_wire *wire, struct vmf_error *err)
{
	struct link bridge;
	struct net net;
	int rc;

	if (enter(c, end->namespace, &net, err) < 0)
		return -1;
	rc = find_bridge(&net, end, wire->create, &bridge, err);
	net_close(&net);
	return rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static void name_ends(const struct vmf_wire *wire, struct end ends[2])
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	uint64_t hash = 14695981039346656037u;

	for (int i = 0; i < 4; i++) {
		const char *text = i % 2 ? wire->segments[i / 2] : shown(wire->namespaces[i / 2]);

		for (; *text; text++)
			hash = (hash ^ (unsigned char)*text) * 1099511628211u;
		hash = (hash ^ '/') * 1099511628211u;
	}
	for (int i = 0; i < 2; i++) {
		uint64_t rest = hash;
		char code[9];

		for (int k = 0; k < 8; k++, rest /= 32)
			code[k] = digits[rest % 32];
		code[8] = '\0';
		snprintf(ends[i].name, sizeof(ends[i].name), "wire%c-%s", 'A' + i, code);
		ends[i].segment = wire->segments[i];
	}
}

/* Both at once: the pair. */
static int change_pair(
	const struct vmf_call *c, const struct vmf_wire *wire, struct end ends[2], struct vmf_error *err)
{
	struct link link;
	struct net net;
	int rc;

	if (enter(c, ends[0].namespace, &net, err) < 0)
		return -1;
	rc = net_link(&net, ends[0].name, &link, err);
	if (rc == 0 && wire->remove)
		rc = c->dry_run ? 0 : net_delete(&net, &link, err);
	else if (rc > 0 && !wire->remove && !c->dry_run &&
		 veth_make(&net, ends[0].name, ends[1].name, ends[1].namespace) != 0)
		rc = net_fail(&net, err, "cannot make the wire from %s to %s", wire->segments[0],
			wire->segments[1]);
	net_close(&net);
	return rc < 0 ? -1 : 0;
}

static int do_wire(
	const struct vmf_call *c, const struct vmf_wire *wire, struct end ends[2], struct vmf_error *err)
{
	struct vmf_wire gone = *wire;

	if (wire->remove)
		return change_pair(c, wire, ends, err);
	if (look(c, &ends[0], wire, err) < 0 || look(c, &ends[1], wire, err) < 0 ||
		change_pair(c, wire, ends, err) < 0)
		return -1;
	if (c->dry_run || (plug(c, &ends[0], wire, err) == 0 && plug(c, &ends[1], wire, err) == 0))
		return 0;
	gone.remove = 1;
	change_pair(c, &gone, ends, NULL);
	return -1;
}

int segment_wire(const struct vmf_call *c, const struct vmf_wire *wire, struct vmf_error *err)
{
	int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), rc = 0;
	struct end ends[2] = {{.namespace = -1}, {.namespace = -1}};

	if (here < 0)
		return c->host->fail(err, VMF_E_FAILED, errno, NULL, "/proc/self/ns/net");
	name_ends(wire, ends);
	for (int i = 0; rc == 0 && i < 2; i++) {
		if (c->dry_run && wire->create) /* what is missing would be made */
			continue;
		ends[i].namespace = open_namespace(c, wire->namespaces[i], wire->create, err);
		rc = ends[i].namespace < 0 ? -1 : 0;
	}
	if (rc == 0 && !(c->dry_run && wire->create))
		rc = do_wire(c, wire, ends, err);
	if (setns(here, CLONE_NEWNET) < 0 && rc == 0 && errno != EPERM)
		rc = c->host->fail(err, VMF_E_FAILED, errno, NULL, "cannot go back to the network namespace");
	for (int i = 0; i < 2; i++)
		if (ends[i].namespace >= 0)
			close(ends[i].namespace);
	close(here);
	return rc;
}
