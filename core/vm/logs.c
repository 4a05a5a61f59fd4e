/* SPDX-License-Identifier: ISC */
/*
 * What a guest says on its serial ports is kept, and a guest may say much. There is no daemon that could look
 * after it: each command on the VM does. The front of the file becomes a hole, so that all that is behind it
 * stays where it is, for QEMU that writes at the end and for those who read.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/vm.h"

#define LOG_KEPT (4 << 20) /* more than is ever shown */
#define BLOCK 4096

void vm_bound_logs(const struct vm *vm)
{
	for (int i = 0; i < (int)conf_number(vm->root, "serial"); i++) {
		autofree char *suffix = str_printf(".serial%d", i);
		autofree char *path = vm_lib_path(vm, "log", suffix);
		autoclose int fd = -1;
		struct stat st;

		if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
			(off_t)st.st_blocks * 512 <= 2 * LOG_KEPT || st.st_size <= 2 * LOG_KEPT)
			continue;
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				      (st.st_size - LOG_KEPT) / BLOCK * BLOCK) < 0)
			log_debug("cannot shorten %s: %s", path, strerror(errno));
	}
}
