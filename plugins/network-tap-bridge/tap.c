/* SPDX-License-Identifier: ISC */
/* Taps: netlink cannot make them, /dev/net/tun does. One that is not persistent goes with its last fd. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TUN "/dev/net/tun"
#define VHOST "/dev/vhost-net"

bool may_administer(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return geteuid() == 0;
	return (data[0].effective & (1u << CAP_NET_ADMIN)) != 0;
}

static int no_tun(const struct vmf_call *c, int errnum, struct vmf_error *err)
{
	if (errnum == ENOENT || errnum == ENXIO || errnum == ENODEV)
		return c->host->fail(err, VMF_E_MISSING, errnum, "`modprobe tun` loads the driver", TUN);
	return c->host->fail(err, errnum == EACCES || errnum == EPERM ? VMF_E_PERMISSION : VMF_E_FAILED,
		errnum, "be root, or let your group open it: ls -l " TUN " shows whose it is",
		"cannot open " TUN);
}

int tun_check(const struct vmf_call *c, struct vmf_error *err)
{
	return access(TUN, R_OK | W_OK) < 0 ? no_tun(c, errno, err) : 0;
}

static int open_tun(const struct net *net, struct vmf_error *err)
{
	int fd = net->ns_fd >= 0 ? lab_open_tun(net->ns_fd) : open(TUN, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 ? fd : no_tun(net->call, errno, err);
}

static int why(const struct vmf_call *c, const struct tap *tap, int errnum, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;

	switch (errnum) {
	case EPERM:
		return h->fail(
			err, VMF_E_PERMISSION, errnum, NO_RIGHTS_HINT, "cannot make tap %s", tap->name);
	case EBUSY:
		if (!tap->is_persistent)
			return h->fail(
				err, VMF_E_EXISTS, 0, NULL, "there is an interface %s already", tap->name);
		return h->fail(err, VMF_E_BUSY, 0, "another VM, or a program of yours, has it open",
			"tap %s is in use", tap->name);
	case EINVAL:
		return h->fail(err, VMF_E_EXISTS, 0,
			"delete it, or set ifname = to another name; queues must be as they were when it was "
			"made",
			"interface %s is there already, and is no tap of this kind", tap->name);
	default:
		return h->fail(err, VMF_E_FAILED, errnum, NULL, "cannot make tap %s", tap->name);
	}
}

void tap_close(struct tap *tap)
{
	for (unsigned i = 0; i < tap->queues; i++)
		if (tap->fds[i] > 0)
			close(tap->fds[i]);
	memset(tap->fds, 0, sizeof(tap->fds));
}

/* Makes that fd one of the tap's queues: the first is never by mistake somebody else's tap of that name. */
static int take_queue(struct tap *tap, int fd, unsigned number)
{
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	if (tap->is_multi)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(req.ifr_name, tap->name, sizeof(req.ifr_name));
	if (number == 0) {
		req.ifr_flags |= (short)IFF_TUN_EXCL;
		tap->is_new = ioctl(fd, TUNSETIFF, &req) == 0;
		if (tap->is_new || !tap->is_persistent || errno != EBUSY)
			return tap->is_new ? 0 : -1;
		req.ifr_flags &= (short)~IFF_TUN_EXCL;
	}
	return ioctl(fd, TUNSETIFF, &req);
}

int tap_open(const struct net *net, struct tap *tap, struct vmf_error *err)
{
	memset(tap->fds, 0, sizeof(tap->fds));
	for (unsigned i = 0; i < tap->queues; i++) {
		tap->fds[i] = open_tun(net, err);
		if (tap->fds[i] < 0) {
			tap->fds[i] = 0;
			tap_close(tap);
			return -1;
		}
		if (take_queue(tap, tap->fds[i], i) < 0) {
			int errnum = errno;

			tap_close(tap);
			return why(net->call, tap, errnum, err);
		}
	}
	return 0;
}

int tap_keep(const struct vmf_call *c, const struct tap *tap, struct vmf_error *err)
{
	if (ioctl(tap->fds[0], TUNSETOWNER, (unsigned long)tap->owner) < 0 ||
		ioctl(tap->fds[0], TUNSETPERSIST, 1UL) < 0)
		return c->host->fail(err, errno == EPERM ? VMF_E_PERMISSION : VMF_E_FAILED, errno,
			NO_RIGHTS_HINT, "cannot make tap %s persistent", tap->name);
	return 0;
}

/* ---- vhost -------------------------------------------------------------------------------- */

bool vhost_is_there(void)
{
	return access(VHOST, R_OK | W_OK) == 0;
}

int vhost_open(const struct vmf_call *c, const char *when, unsigned queues, int *fds, size_t *count,
	struct vmf_error *err)
{
	*count = 0;
	if (strcmp(when, "off") == 0)
		return 0;
	for (unsigned i = 0; i < queues; i++) {
		int fd = open(VHOST, O_RDWR | O_CLOEXEC);

		if (fd < 0 && i == 0 && strcmp(when, "auto") == 0)
			return 0;
		if (fd < 0) {
			int errnum = errno;

			while (*count)
				close(fds[--*count]);
			return c->host->fail(err,
				errnum == EACCES || errnum == EPERM ? VMF_E_PERMISSION : VMF_E_MISSING,
				errnum,
				"set vhost = auto: then it is used where it is there; `modprobe vhost_net` "
				"loads it",
				"%s: vhost: cannot open " VHOST, c->host->opt_origin(c, "vhost"));
		}
		fds[(*count)++] = fd;
	}
	return 0;
}
