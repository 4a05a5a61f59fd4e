/* SPDX-License-Identifier: ISC */
/*
 * screenshot: QEMU writes into memory that it is handed (it may run as a user who can write nowhere), and the
 * file is made from that once the picture is whole. What QEMU gives is not trusted: it may be a guest's that
 * has broken out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "base/tty.h"
#include "cli/cli.h"
#include "cli/talk.h"

#define ANSWER_MS 60000
#define PICTURE_MAX (1u << 28)

/* "png" or "ppm" by the name's end; "-": standard output, as png. NULL: neither. */
static const char *format_of(const char *file)
{
	size_t n = strlen(file);

	if (str_equal(file, "-") || (n > 4 && strcasecmp(file + n - 4, ".png") == 0))
		return "png";
	return n > 4 && strcasecmp(file + n - 4, ".ppm") == 0 ? "ppm" : NULL;
}

static int check_file(const struct cli_call *call, const char *file, struct vmf_error *err)
{
	autofree char *folder = path_parent(file);
	struct stat st;

	if (!format_of(file))
		return vmf_fail(err, VMF_E_USAGE, 0, "name a file that ends in .png or .ppm",
			"screenshot: \"%s\"", file);
	if (call->ctx->is_far) /* the file is the near end's */
		return 0;
	if (str_equal(file, "-"))
		return tty_is(STDOUT_FILENO)
			       ? vmf_fail(err, VMF_E_USAGE, 0, "send it into a file or a program",
					 "screenshot: a picture is not for a terminal")
			       : 0;
	if (stat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "screenshot: %s is there and no file", file);
	if (access(folder, W_OK) < 0)
		return vmf_fail_errno(err, NULL, "screenshot: cannot write into %s", folder);
	return 0;
}

/* The whole picture, or something that was broken off? */
static bool is_whole(const char *format, const char *data, size_t length)
{
	static const char head[] = "\x89PNG\r\n\x1a\n", tail[] = "\0\0\0\0IEND\xae\x42\x60\x82";
	unsigned width, height;
	int n = 0;

	if (str_equal(format, "png"))
		return length > sizeof(head) + sizeof(tail) && memcmp(data, head, sizeof(head) - 1) == 0 &&
		       memcmp(data + length - (sizeof(tail) - 1), tail, sizeof(tail) - 1) == 0;
	return sscanf(data, "P6 %5u %5u 255%n", &width, &height, &n) == 2 && n > 0 &&
	       length == (size_t)n + 1 + 3 * (size_t)width * height;
}

/* Reads it once and judges what was read: QEMU could change it afterwards. The caller frees. */
static char *read_picture(int fd, const char *format, size_t *length, struct vmf_error *err)
{
	struct stat st;
	char *data;

	*length = fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < PICTURE_MAX ? (size_t)st.st_size : 0;
	data = mem_alloc(*length + 1);
	if (*length && pread(fd, data, *length, 0) == (ssize_t)*length && is_whole(format, data, *length))
		return data;
	free(data);
	vmf_fail(err, VMF_E_FAILED, 0, NULL, "screenshot: QEMU gave no whole picture");
	return NULL;
}

/* Has QEMU write a picture into FD. */
static int dump(struct vm *vm, int fd, const char *format, struct vmf_error *err)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	autofree char *path = NULL;
	json_t *answer = NULL;
	json_int_t set, number;
	int rc;

	if (qmp_command_fd(vm->qmp, "add-fd", NULL, fd, &answer, time_now_ms() + ANSWER_MS, err) < 0)
		return -1;
	set = json_integer_value(json_object_get(answer, "fdset-id"));
	number = json_integer_value(json_object_get(answer, "fd"));
	json_decref(answer);
	/* not /dev/fdset: from there QEMU takes a copy that it never gives back */
	path = str_printf("/proc/self/fd/%lld", (long long)number);
	rc = qmp_command(vm->qmp, "screendump", json_pack("{s:s, s:s}", "filename", path, "format", format),
		NULL, time_now_ms() + ANSWER_MS, err);
	/* QEMU drops it with our connection otherwise */
	qmp_command(vm->qmp, "remove-fd", json_pack("{s:I}", "fdset-id", set), NULL,
		time_now_ms() + ANSWER_MS, &ignored);
	error_clear(&ignored);
	if (rc < 0 && err->message && strstr(err->message, "There is no console")) {
		error_clear(err);
		vmf_fail(err, VMF_E_UNSUPPORTED, 0, "`set vga=std` gives it one at its next start",
			"it has no graphics card");
	}
	return rc;
}

/* The picture in memory, or NULL and err; the caller frees. */
static char *take_picture(struct vm *vm, const char *format, size_t *length, struct vmf_error *err)
{
	autoclose int fd = memfd_create("screenshot", MFD_CLOEXEC);

	if (fd < 0) {
		vmf_fail_errno(err, NULL, "screenshot");
		return NULL;
	}
	return dump(vm, fd, format, err) < 0 ? NULL : read_picture(fd, format, length, err);
}

int verb_screenshot(struct cli_call *call, struct vmf_error *err)
{
	const char *file = call->args.items[0], *format = format_of(file);
	struct vm *vm = call->vm;
	autofree char *data = NULL;
	mode_t mask = umask(0);
	size_t length;

	umask(mask);
	if (check_file(call, file, err) < 0)
		return -1;
	if (out_dry(call, "write what its screen shows to %s", file))
		return 0;
	if (talk_qmp(vm, false, err) < 0)
		return -1;
	data = take_picture(vm, format, &length, err);
	if (!data)
		return vmf_context(err, "vm \"%s\"", vm->name);
	if (str_equal(file, "-") || call->ctx->is_far)
		return fwrite(data, 1, length, stdout) == length
			       ? 0
			       : vmf_fail_errno(err, NULL, "standard output");
	if (file_write(file, data, length, 0666 & ~mask, false, err) < 0)
		return -1;
	out_result(call, json_pack("{s:o}", "file", out_string(file)), "%s: its screen is in %s", vm->name,
		file);
	return 0;
}
