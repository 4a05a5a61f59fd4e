/* SPDX-License-Identifier: ISC */
/*
 * A network of one's own, for who may not touch the host's: a user and a network namespace
 * (user_namespaces(7)) in which that user has all rights. Each QEMU with a NIC in it holds a file descriptor
 * of it, so it is there as long as one of them is, and goes with the last, whatever ended that. It is found
 * again by these descriptors, in /proc; the alias of its loopback interface says what it is. There is one for
 * each user.
 *
 * We never enter it ourselves: a child that shares our table of files does, opens there what we need, and
 * ends.
 */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALIAS "vmf: network of a user"
#define TRIED_MAX 16 /* other namespaces that the user's processes hold */

/* ---- a child there -------------------------------------------------------------------------- */

/* What RUN gives in a child that shares our files: an fd that is ours then, or -1 and errno. */
static int by_child(int (*run)(int arg), int arg)
{
	int *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd, status;
	pid_t pid;

	if (result == MAP_FAILED)
		return -1;
	*result = -EIO;
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		fd = run(arg);
		*result = fd < 0 ? -errno : fd;
		_exit(0);
	}
	fd = pid < 0 ? -errno : 0;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (fd == 0)
		fd = *result;
	munmap(result, sizeof(*result));
	if (fd >= 0)
		return fd;
	errno = -fd;
	return -1;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), saved;
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return n < 0 ? -1 : 0;
}

/* A new pair of namespaces, in which we are root (user_namespaces(7): setgroups must be forbidden first). */
static int make_there(int unused)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[64];

	(void)unused;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -1;
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	if (put("/proc/self/setgroups", "deny\n") < 0 || put("/proc/self/uid_map", map) < 0)
		return -1;
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	if (put("/proc/self/gid_map", map) < 0)
		return -1;
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static int enter(int ns)
{
	int user = ioctl(ns, NS_GET_USERNS), rc;

	if (user < 0)
		return -1;
	rc = setns(user, CLONE_NEWUSER);
	close(user);
	return rc < 0 ? -1 : setns(ns, CLONE_NEWNET);
}

static int netlink_there(int ns)
{
	struct sockaddr_nl here = {.nl_family = AF_NETLINK};
	int fd = enter(ns) < 0 ? -1 : socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0 ? -1 : fd;
}

static int tun_there(int ns)
{
	return enter(ns) < 0 ? -1 : open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

int lab_netlink(int ns)
{
	return by_child(netlink_there, ns);
}

int lab_open_tun(int ns)
{
	return by_child(tun_there, ns);
}

/* ---- where it is ---------------------------------------------------------------------------- */

/* Shows each of a process' files; a positive answer ends it. */
static int each_file(int proc, const char *pid,
	int (*show)(int dir, const char *name, const char *link, void *data), void *data)
{
	char path[64], link[128];
	const struct dirent *entry;
	int fd, answer = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%.16s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir && fd >= 0)
		close(fd);
	while (dir && answer == 0 && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		answer = show(dirfd(dir), entry->d_name, link, data);
	}
	if (dir)
		closedir(dir);
	return answer;
}

/* The files of all processes of this user. */
static int each_of_ours(int (*show)(int dir, const char *name, const char *link, void *data), void *data)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	struct stat st;
	int answer = 0;

	while (proc && answer == 0 && (entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
			fstatat(dirfd(proc), entry->d_name, &st, 0) < 0 || st.st_uid != geteuid())
			continue;
		answer = each_file(dirfd(proc), entry->d_name, show, data);
	}
	if (proc)
		closedir(proc);
	return answer;
}

struct wanted {
	const char *link;
	int flags, fd;
};

static int open_same(int dir, const char *name, const char *link, void *data)
{
	struct wanted *w = data;

	if (strcmp(link, w->link) != 0)
		return 0;
	w->fd = openat(dir, name, w->flags | O_CLOEXEC);
	return w->fd >= 0;
}

int lab_find_file(const char *link, int flags)
{
	struct wanted w = {link, flags, -1};

	each_of_ours(open_same, &w);
	return w.fd;
}

struct search {
	const struct vmf_call *call;
	char own[64];
	ino_t tried[TRIED_MAX];
	size_t n_tried;
	int fd;
};

/* Is it the user's network, and may we enter it? */
static bool is_it(const struct vmf_call *c, int ns)
{
	struct net net;
	struct link link;
	bool is = false;

	if (net_open_at(&net, c, ns, NULL) < 0)
		return false;
	is = net_link(&net, "lo", &link, NULL) == 0 && strcmp(link.alias, ALIAS) == 0;
	net.ns_fd = -1; /* the caller's */
	net_close(&net);
	return is;
}

static int try_namespace(int dir, const char *name, const char *link, void *data)
{
	struct search *s = data;
	struct stat st;
	int fd;

	if (strncmp(link, "net:[", 5) != 0 || strcmp(link, s->own) == 0 || s->n_tried == TRIED_MAX)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	for (size_t i = 0; i < s->n_tried; i++)
		if (s->tried[i] == st.st_ino) {
			close(fd);
			return 0;
		}
	s->tried[s->n_tried++] = st.st_ino;
	if (is_it(s->call, fd)) {
		s->fd = fd;
		return 1;
	}
	close(fd);
	return 0;
}

int lab_find(const struct vmf_call *c)
{
	struct search s = {.call = c, .fd = -1};
	ssize_t n = readlink("/proc/self/ns/net", s.own, sizeof(s.own) - 1);

	if (n < 0)
		return -1;
	each_of_ours(try_namespace, &s);
	return s.fd;
}

/* ---- a new one ------------------------------------------------------------------------------ */

static int name_it(struct net *net, struct vmf_error *err)
{
	struct nl_msg *msg = net_message(RTM_NEWLINK, 0, 1, IFF_UP, IFF_UP);

	if (msg && nla_put_string(msg, IFLA_IFALIAS, ALIAS) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return net_request(net, msg) ? net_fail(net, err, "cannot set up a network of your own") : 0;
}

static int make(const struct vmf_call *c, struct vmf_error *err)
{
	int fd = by_child(make_there, 0), rc;
	struct net net;

	if (fd < 0)
		return c->host->fail(err, errno == ENOSPC || errno == EPERM ? VMF_E_PERMISSION : VMF_E_FAILED,
			errno,
			"let users have namespaces: `sysctl user.max_user_namespaces "
			"kernel.unprivileged_userns_clone`; "
			"or be root",
			"a network of your own cannot be made");
	if (net_open_at(&net, c, fd, err) < 0) {
		close(fd);
		return -1;
	}
	rc = name_it(&net, err);
	net.ns_fd = -1;
	net_close(&net);
	if (rc == 0)
		return fd;
	close(fd);
	return -1;
}

int lab_need(const struct vmf_call *c, struct vmf_error *err)
{
	struct net host;
	int fd;

	/* two that begin at once must not make two */
	if (net_open_at(&host, c, -1, err) < 0)
		return -1;
	net_lock(&host);
	fd = lab_find(c);
	if (fd < 0)
		fd = make(c, err);
	/* QEMU, which is going to hold it, is not there yet: as long as we are, it is found by ours */
	net_close(&host);
	return fd;
}
