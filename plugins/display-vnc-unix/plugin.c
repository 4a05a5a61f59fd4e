/* SPDX-License-Identifier: ISC */
/*
 * display-vnc-unix: QEMU's VNC server on a unix socket in the VM's run folder. Who may open the folder may
 * see the screen; nothing listens on a network.
 *
 * The socket lies in RUN/q, which belongs to QEMU's user. So what is found there is not trusted: a link
 * would lead us, with our rights, to somebody else's socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <vmf/plugin.h>

static const struct vmf_option options[] = {
	{.name = "share",
		.type = VMF_OPT_ENUM,
		.default_value = "ignore",
		.choices = "allow-exclusive|force-shared|ignore",
		.help = "what becomes of a viewer that asks for the screen alone",
		.since = "0.1"},
};

/* The socket's path, or NULL and ERR. */
static const char *socket_path(const struct vmf_call *c, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	const char *path;

	if (!c->vm || !c->vm->run_dir) {
		h->fail(err, VMF_E_STATE, 0, NULL, "the display needs a VM with a run folder");
		return NULL;
	}
	path = h->printf(c, "%s/q/vnc", c->vm->run_dir);
	if (strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return path;
	h->fail(err, VMF_E_CONFIG, 0, "use a shorter home folder (--home) or a shorter name for the VM",
		"the VNC socket's path %s has %zu bytes, a socket's path can have %zu", path, strlen(path),
		sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
	return NULL;
}

static int vnc_check(const struct vmf_call *c, struct vmf_error *err)
{
	return socket_path(c, err) ? 0 : -1;
}

static int vnc_prepare(const struct vmf_call *c, struct vmf_display *display, struct vmf_error *err)
{
	const char *path = socket_path(c, err);
	struct vmf_prop *share;

	if (!path)
		return -1;
	share = c->host->alloc(c, sizeof(*share));
	*share = (struct vmf_prop){
		.key = "share", .type = VMF_PROP_STRING, .string = c->host->opt_string(c, "share")};
	display->vnc = c->host->printf(c, "unix:%s", path);
	display->props =
		(struct vmf_props){.items = share, .count = share->string ? 1 : 0, .stride = sizeof(*share)};
	return 0;
}

static int vnc_cleanup(const struct vmf_call *c, struct vmf_error *err)
{
	const char *path = c->vm && c->vm->run_dir ? c->host->printf(c, "%s/q/vnc", c->vm->run_dir) : NULL;

	if (!path || c->dry_run || unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	return c->host->fail(err, VMF_E_FAILED, errno, NULL, "cannot remove %s", path);
}

/* An O_PATH fd of the socket: what it is cannot change behind our back. */
static int hold_socket(const struct vmf_call *c, const char *path, struct vmf_error *err)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return c->host->fail(
			err, VMF_E_STATE, 0, "start the VM first", "there is no VNC socket %s", path);
	if (fd < 0)
		return c->host->fail(err, errno == EACCES ? VMF_E_PERMISSION : VMF_E_FAILED, errno, NULL,
			"cannot open %s", path);
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		return fd;
	close(fd);
	return c->host->fail(
		err, VMF_E_FAILED, 0, "stop the VM: its QEMU cannot be trusted", "%s is not a socket", path);
}

static int vnc_info(const struct vmf_call *c, struct vmf_display_info *info, struct vmf_error *err)
{
	const char *path = socket_path(c, err);
	int fd = path ? hold_socket(c, path, err) : -1;

	if (fd < 0)
		return -1;
	close(fd);
	info->type = "vnc";
	info->path = path;
	info->how = c->host->printf(c, "vncviewer %s", path);
	return 0;
}

/* Milliseconds that are left for poll(2); -1: no deadline. */
static int left_ms(const struct vmf_call *c)
{
	struct timespec now;
	int64_t left;

	if (!c->deadline_ms)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	left = c->deadline_ms - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	return left < 0 ? 0 : left > 3600000 ? 3600000 : (int)left;
}

/* A unix socket with a full queue says EAGAIN at once and cannot be polled: try until the deadline. */
static int connect_until(const struct vmf_call *c, int s, const struct sockaddr_un *address)
{
	while (connect(s, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		int left = left_ms(c);

		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -1;
		if (left == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		poll(NULL, 0, left > 0 && left < 20 ? left : 20);
	}
	return 0;
}

static int vnc_open(const struct vmf_call *c, int *fd, struct vmf_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = socket_path(c, err);
	int held = path ? hold_socket(c, path, err) : -1, s;

	if (held < 0)
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", held);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s >= 0 && connect_until(c, s, &address) == 0 && fcntl(s, F_SETFL, 0) == 0) {
		close(held);
		*fd = s;
		return 0;
	}
	if (errno == ECONNREFUSED)
		c->host->fail(err, VMF_E_STATE, 0, "start the VM first", "nobody listens on %s", path);
	else
		c->host->fail(err,
			errno == EACCES	     ? VMF_E_PERMISSION
			: errno == ETIMEDOUT ? VMF_E_TIMEOUT
					     : VMF_E_FAILED,
			errno, NULL, "cannot connect to %s", path);
	if (s >= 0)
		close(s);
	close(held);
	return -1;
}

static const struct vmf_display_ops ops = {
	.size = sizeof(ops),
	.check = vnc_check,
	.prepare = vnc_prepare,
	.cleanup = vnc_cleanup,
	.info = vnc_info,
	.open = vnc_open,
};

VMF_PLUGIN(display_vnc_unix) = {
	.size = sizeof(struct vmf_plugin),
	.abi_major = VMF_ABI_MAJOR,
	.abi_minor = VMF_ABI_MINOR,
	.kind = VMF_DISPLAY,
	.name = "vnc-unix",
	.version = PLUGIN_VERSION,
	.summary = "VNC on a unix socket in the VM's run folder",
	.options = options,
	.n_options = VMF_COUNT(options),
	.option_stride = sizeof(options[0]),
	.need_stride = sizeof(struct vmf_need),
	.ops = &ops,
};
