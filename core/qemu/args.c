/* SPDX-License-Identifier: ISC */
/* QEMU's command line but for its disks, which are args_block.c's. */
#include "qemu/args.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_MAX 256 /* of a list in structured values */

void qemu_args_init(struct qemu_args *args, const char *program)
{
	memset(args, 0, sizeof(*args));
	args->next_set = 1;
	strv_add(&args->argv, program);
}

void qemu_args_free(struct qemu_args *args)
{
	for (size_t i = 0; i < args->n_fds; i++)
		close(args->fds[i]);
	free(args->fds);
	strv_free(&args->argv);
	memset(args, 0, sizeof(*args));
}

void qemu_args_add(struct qemu_args *args, const char *option, const char *value)
{
	strv_add(&args->argv, option);
	if (value)
		strv_add(&args->argv, value);
}

void qemu_args_addf(struct qemu_args *args, const char *option, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strv_add(&args->argv, option);
	strv_take(&args->argv, str_vprintf(fmt, ap));
	va_end(ap);
}

void qemu_args_json(struct qemu_args *args, const char *option, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(value);
	strv_add(&args->argv, option);
	strv_take(&args->argv, text ? text : str_dup("null"));
}

/* ---- fds ---------------------------------------------------------------------------------- */

int qemu_args_fd(struct qemu_args *args, int fd)
{
	if (fd >= 0 && fd <= STDERR_FILENO) { /* those are QEMU's own */
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

		if (copy >= 0) {
			close(fd);
			fd = copy;
		}
	}
	for (size_t i = 0; i < args->n_fds; i++)
		if (args->fds[i] == fd)
			return fd;
	args->fds = mem_resize(args->fds, (args->n_fds + 1) * sizeof(*args->fds));
	args->fds[args->n_fds++] = fd;
	return fd;
}

char *qemu_args_fdset(struct qemu_args *args, int fd)
{
	unsigned set = args->next_set++;

	qemu_args_addf(args, "-add-fd", "fd=%d,set=%u", qemu_args_fd(args, fd), set);
	return str_printf("/dev/fdset/%u", set);
}

char *qemu_args_procfd(struct qemu_args *args, int fd)
{
	return str_printf("/proc/self/fd/%d", qemu_args_fd(args, fd));
}

/* ---- structured values -------------------------------------------------------------------- */

/* The index that a path's component is, at most LIST_MAX, or -1 for a name. */
static int index_of(const char *part, size_t length)
{
	int index = 0;

	if (!length)
		return -1;
	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char)part[i]))
			return -1;
		index = index < LIST_MAX ? index * 10 + part[i] - '0' : LIST_MAX;
	}
	return index < LIST_MAX ? index : LIST_MAX;
}

static json_t *get_child(const json_t *parent, const char *part, size_t length)
{
	return json_is_array(parent) ? json_array_get(parent, (size_t)index_of(part, length))
				     : json_object_getn(parent, part, length);
}

/* Puts CHILD (consumed) into PARENT under a new name or behind its last item. */
static int put_child(json_t *parent, const char *part, size_t length, json_t *child)
{
	autofree char *name = str_ndup(part, length);
	int index = index_of(part, length);

	if (json_is_object(parent))
		return json_object_set_new(parent, name, child);
	if (json_is_array(parent) && index >= 0 && index < LIST_MAX &&
		(size_t)index == json_array_size(parent))
		return json_array_append_new(parent, child);
	json_decref(child);
	return -1;
}

/* Sets VALUE (consumed) under PATH, "a.b.0.c"; what is missing on the way is made. */
static int set_path(json_t *root, const char *path, json_t *value, struct vmf_error *err)
{
	const char *part = path;
	json_t *at = root;

	for (;;) {
		size_t length = strcspn(part, ".");
		json_t *child = length ? get_child(at, part, length) : NULL;
		const char *next = part + length + 1;

		if (!length || (child && !part[length]))
			break;
		if (!part[length]) {
			if (put_child(at, part, length, value) < 0)
				goto bad;
			return 0;
		}
		if (!child) {
			child = index_of(next, strcspn(next, ".")) >= 0 ? json_array() : json_object();
			if (put_child(at, part, length, child) < 0)
				break;
		}
		if (!json_is_object(child) && !json_is_array(child))
			break;
		at = child;
		part = next;
	}
	json_decref(value);
bad:
	return vmf_fail(err, VMF_E_FAILED, 0, "lists begin at 0 and have no gaps; names are not repeated",
		"the plugin's value \"%s\" for QEMU cannot be placed", path);
}

static json_t *value_of(const struct vmf_prop *prop)
{
	switch (prop->type) {
	case VMF_PROP_STRING:
		return prop->string ? json_string(prop->string) : NULL;
	case VMF_PROP_INT:
		return json_integer(prop->number);
	case VMF_PROP_BOOL:
		return json_boolean(prop->number);
	default:
		return NULL;
	}
}

static int add_props(json_t *to, const struct vmf_props *props, struct vmf_error *err)
{
	size_t stride = props->stride ? props->stride : sizeof(struct vmf_prop);

	for (size_t i = 0; i < props->count; i++) {
		const struct vmf_prop *p = (const void *)((const char *)props->items + i * stride);
		json_t *value = p->key ? value_of(p) : NULL;

		if (!value)
			return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the plugin's value \"%s\" for QEMU %s",
				p->key ? p->key : "",
				p->type == VMF_PROP_STRING ? "is no UTF-8 text"
							   : "has a type that is not known");
		if (set_path(to, p->key, value, err) < 0)
			return -1;
	}
	return 0;
}

json_t *qemu_props_json(const struct vmf_props *props, struct vmf_error *err)
{
	json_t *json = json_object();

	if (add_props(json, props, err) < 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

/* ---- netdev ------------------------------------------------------------------------------- */

/* "3:4:5"; the fds belong to ARGS from now on. */
static char *take_fds(struct qemu_args *args, int *fds, size_t count)
{
	struct strbuf buf = STRBUF_INIT;

	for (size_t i = 0; i < count; i++) {
		strbuf_printf(&buf, "%s%d", i ? ":" : "", qemu_args_fd(args, fds[i]));
		fds[i] = -1;
	}
	return strbuf_take(&buf);
}

static int add_fds(struct qemu_args *args, json_t *json, struct vmf_netdev *netdev, struct vmf_error *err)
{
	size_t n = netdev->n_fds, n_vhost = netdev->n_vhost_fds;
	const char *prop = netdev->fd_prop ? netdev->fd_prop : n > 1 ? "fds" : "fd";

	if (n > VMF_COUNT(netdev->fds) || n_vhost > VMF_COUNT(netdev->vhost_fds) ||
		netdev->n_keep_fds > VMF_COUNT(netdev->keep_fds))
		return vmf_fail(
			err, VMF_E_FAILED, 0, NULL, "the plugin gives more fds than there is room for");
	while (netdev->n_keep_fds)
		qemu_args_fd(args, netdev->keep_fds[--netdev->n_keep_fds]);
	if (n) {
		autofree char *text = take_fds(args, netdev->fds, n);

		netdev->n_fds = 0;
		if (set_path(json, prop, json_string(text), err) < 0)
			return -1;
	} else if (netdev->queues > 1) {
		json_object_set_new(json, "queues", json_integer(netdev->queues));
	}
	if (n_vhost) {
		autofree char *text = take_fds(args, netdev->vhost_fds, n_vhost);

		netdev->n_vhost_fds = 0;
		json_object_set_new(json, "vhost", json_true());
		json_object_set_new(json, n > 1 || n_vhost > 1 ? "vhostfds" : "vhostfd", json_string(text));
	}
	return 0;
}

int qemu_args_netdev(struct qemu_args *args, const char *id, struct vmf_netdev *netdev, struct vmf_error *err)
{
	json_t *json;

	if (!netdev->type)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the plugin gives no type of network");
	json = json_pack("{s:s, s:s}", "type", netdev->type, "id", id);
	if (!json)
		return vmf_fail(err, VMF_E_FAILED, 0, NULL, "the plugin's type of network is no UTF-8 text");
	if (add_props(json, &netdev->props, err) < 0 || add_fds(args, json, netdev, err) < 0) {
		json_decref(json);
		return -1;
	}
	qemu_args_json(args, "-netdev", json);
	return 0;
}

/* ---- for people --------------------------------------------------------------------------- */

static bool is_plain(const char *word)
{
	return *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				     "-_=+.,:/@%") == strlen(word);
}

char *qemu_args_shell(const struct qemu_args *args)
{
	struct strbuf buf = STRBUF_INIT;

	for (size_t i = 0; i < args->argv.count; i++) {
		const char *word = args->argv.items[i];

		if (i)
			strbuf_putc(&buf, ' ');
		if (is_plain(word)) {
			strbuf_puts(&buf, word);
			continue;
		}
		strbuf_putc(&buf, '\'');
		for (; *word; word++) {
			if (*word == '\'')
				strbuf_puts(&buf, "'\\''");
			else
				strbuf_putc(&buf, *word);
		}
		strbuf_putc(&buf, '\'');
	}
	return strbuf_take(&buf);
}
