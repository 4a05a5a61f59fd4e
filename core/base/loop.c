/* SPDX-License-Identifier: ISC */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"

#define TRIES 64

/* ---- loop devices ------------------------------------------------------------------------- */

static int configure(int control, const struct loop_config *config, char **device)
{
	int number = ioctl(control, LOOP_CTL_GET_FREE);
	autofree char *path = number < 0 ? NULL : str_printf("/dev/loop%d", number);
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, config) < 0) {
		int saved = errno;

		if (fd >= 0)
			close(fd);
		errno = saved;
		return -1;
	}
	*device = str_dup(path);
	return fd;
}

int loop_attach(
	const char *path, uint64_t offset, uint64_t size, bool readonly, char **device, struct vmf_error *err)
{
	autoclose int file = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	autoclose int control = -1;
	struct loop_config config = {.fd = (__u32)file};
	int fd = -1;

	*device = NULL;
	if (file < 0)
		return vmf_fail_errno(err, NULL, "%s", path);
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return vmf_fail(err, errno == ENOENT ? VMF_E_MISSING : error_code_of(errno, VMF_E_FAILED),
			errno,
			errno == ENOENT ? "`modprobe loop`: this kernel may have it as a module" : NULL,
			"/dev/loop-control");
	config.info.lo_offset = offset;
	config.info.lo_sizelimit = size;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR | (readonly ? LO_FLAGS_READ_ONLY : 0);
	snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s", path);
	/* somebody else may be quicker to take the free one */
	for (int i = 0; i < TRIES && fd < 0; i++) {
		fd = configure(control, &config, device);
		if (fd < 0 && errno != EBUSY)
			break;
	}
	return fd < 0 ? vmf_fail_errno(err, NULL, "cannot make a loop device for %s", path) : fd;
}

void loop_list(const char *path, struct strv *devices)
{
	autostrv struct strv names = STRV_INIT;
	autofree char *deleted = str_printf("%s (deleted)", path);

	if (dir_list("/sys/block", &names, NULL) < 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		autofree char *file = str_printf("/sys/block/%s/loop/backing_file", names.items[i]);
		autofree char *backing =
			str_starts(names.items[i], "loop") ? file_read_at(AT_FDCWD, file, 65536, NULL) : NULL;

		if (!backing)
			continue;
		backing[strcspn(backing, "\n")] = '\0';
		if (str_equal(backing, path) || str_equal(backing, deleted))
			strv_addf(devices, "/dev/%s", names.items[i]);
	}
}

/* ---- mounts ------------------------------------------------------------------------------- */

/* "\040" and the like: proc(5). In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++)
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] && p[3]) {
			*to++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	*to = '\0';
}

/* The next line's mount point and source; false at the end. TEXT is cut up. */
static bool next_mount(char **text, char **point, char **source)
{
	char *line, *dash;

	while ((line = strsep(text, "\n")) && *line) {
		dash = strstr(line, " - ");
		if (!dash)
			continue;
		*dash = '\0';
		*source = dash + 3;
		strsep(source, " "); /* the type */
		if (*source)
			(*source)[strcspn(*source, " ")] = '\0';
		for (int i = 0; i < 4; i++) /* id, parent, device, root */
			strsep(&line, " ");
		*point = strsep(&line, " ");
		if (!*source || !*point)
			continue;
		unescape(*source);
		unescape(*point);
		return true;
	}
	return false;
}

void mount_list(const char *source, struct strv *points)
{
	autofree char *text = file_read_at(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, NULL);
	char *rest = text, *point, *of;
	size_t first = points->count;

	while (next_mount(&rest, &point, &of))
		if (str_equal(of, source))
			strv_add(points, point);
	for (size_t a = first, b = points->count; a + 1 < b; a++, b--) {
		char *swap = points->items[a];

		points->items[a] = points->items[b - 1];
		points->items[b - 1] = swap;
	}
}

bool mount_is_at(const char *path)
{
	autofree char *text = file_read_at(AT_FDCWD, "/proc/self/mountinfo", 64 << 20, NULL);
	char *rest = text, *point, *of;

	while (next_mount(&rest, &point, &of))
		if (str_equal(point, path))
			return true;
	return false;
}
