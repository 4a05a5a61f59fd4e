/* SPDX-License-Identifier: ISC */
/*
 * Image files. A raw image's first bytes are its guest's, who could make them look like a qcow2 image that
 * stands on any file of this host: so an image that names further files is never followed.
 */
#include "vm/image.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"

#define HEAD 512
#define CONVERT_MS INT64_C(604800000) /* a week: nobody knows how large and how slow */

/* ---- what a file is ----------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t at;
	const char *magic;
	size_t length;
	const char *hint;
} known[] = {
	{"qcow2", 0, "QFI\xfb\0\0\0", 7, NULL},
	{"VMDK", 0, "KDMV", 4, "`qemu-img convert -O qcow2 FILE NEW` makes it qcow2"},
	{"VMDK", 0, "# Disk Descriptor", 17, "`qemu-img convert -O qcow2 FILE NEW` makes it qcow2"},
	{"VHDX", 0, "vhdxfile", 8, "`qemu-img convert -O qcow2 FILE NEW` makes it qcow2"},
	{"VHD", 0, "conectix", 8, "`qemu-img convert -O qcow2 FILE NEW` makes it qcow2"},
	{"VDI", 64, "\x7f\x10\xda\xbe", 4, "`qemu-img convert -O qcow2 FILE NEW` makes it qcow2"},
	{"gzip", 0, "\x1f\x8b", 2, "`gunzip` it first"},
	{"xz", 0,
		"\xfd"
		"7zXZ",
		5, "`unxz` it first"},
	{"zstd", 0, "\x28\xb5\x2f\xfd", 4, "`unzstd` it first"},
	{"bzip2", 0, "BZh", 3, "`bunzip2` it first"},
	{"zip", 0, "PK\x03\x04", 4, "`unzip` it first"},
};

static const char *probe(const char *path, const unsigned char *head, struct vmf_error *err)
{
	for (size_t i = 0; i < VMF_COUNT(known); i++) {
		if (memcmp(head + known[i].at, known[i].magic, known[i].length) != 0)
			continue;
		if (!known[i].hint)
			return "qcow2";
		vmf_fail(err, VMF_E_UNSUPPORTED, 0, known[i].hint,
			"%s looks like %s; --format raw takes it as it is", path, known[i].name);
		return NULL;
	}
	return "raw";
}

static uint64_t number(const unsigned char *head, size_t at)
{
	uint64_t value;

	memcpy(&value, head + at, sizeof(value));
	return be64toh(value);
}

/* docs/interop/qcow2.txt: 8: the backing file's name, 24: size, 72: features that must be understood */
static int read_qcow2(const unsigned char *head, struct image *image, struct vmf_error *err)
{
	if (memcmp(head, known[0].magic, known[0].length) != 0)
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is no qcow2 image", image->path);
	image->size_bytes = number(head, 24);
	if (number(head, 8))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"`qemu-img convert -O qcow2 FILE NEW` makes a whole one of it",
			"%s stands on another image", image->path);
	if (head[7] >= 3 && (number(head, 72) & 4))
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0,
			"`qemu-img convert -O qcow2 FILE NEW` makes a whole one of it",
			"%s has its data in another file", image->path);
	return 0;
}

/* By QEMU or a tool of its, which say so by locks on single bytes: 101 to write, 103 to change the size. What
 * would be read meanwhile is of no one moment. */
static bool is_written(int fd)
{
	for (off_t byte = 101; byte <= 103; byte += 2) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

		if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
			return true;
	}
	return false;
}

static int look_at(int fd, const char *format, struct image *image, struct vmf_error *err)
{
	unsigned char head[HEAD] = {0};
	uint64_t bytes = 0;
	struct stat st;

	if (fstat(fd, &st) < 0 || (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) < 0))
		return vmf_fail_errno(err, NULL, "%s", image->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return vmf_fail(err, VMF_E_CONFIG, 0, "name an image file", "%s is no image, but a %s",
			image->path, S_ISDIR(st.st_mode) ? "folder" : "special file");
	image->size_bytes = S_ISBLK(st.st_mode) ? bytes : (uint64_t)st.st_size;
	if (is_written(fd))
		return vmf_fail(err, VMF_E_BUSY, 0, "stop the VM that uses it, or clone a snapshot of that",
			"image %s is being written to", image->path);
	if (pread(fd, head, sizeof(head), 0) < 0)
		return vmf_fail_errno(err, NULL, "cannot read %s", image->path);
	image->format = format ? format : probe(image->path, head, err);
	if (!image->format || (str_equal(image->format, "qcow2") && read_qcow2(head, image, err) < 0))
		return -1;
	image->size_bytes = (image->size_bytes + 511) & ~UINT64_C(511);
	if (image->size_bytes == 0)
		return vmf_fail(err, VMF_E_CONFIG, 0, NULL, "%s is empty", image->path);
	return 0;
}

/* What it said, on one line and without its name before it. */
static char *words_of(const struct vmf_run *run)
{
	char *words = str_dup(run->err && *run->err ? run->err : "without a word");
	size_t length = strlen(words);

	while (length && strchr("\n. ", words[length - 1]))
		words[--length] = '\0';
	for (char *at = words; (at = strchr(at, '\n'));)
		*at = ';';
	if (str_starts(words, "qemu-img: "))
		memmove(words, words + 10, strlen(words + 10) + 1);
	return words;
}

static int missing(struct vmf_error *err)
{
	if (err && err->code == VMF_E_MISSING && err->hint)
		str_set(&err->hint, "install Debian's package qemu-utils");
	return -1;
}

/* QEMU reads what was cut off as zeroes, without a word. */
static int check_whole(const struct image *image, struct vmf_error *err)
{
	autofree char *name = image_name(image->path, image->format);
	const char *const argv[] = {"qemu-img", "check", "-q", "-f", image->format, name, NULL};
	struct vmf_run run = {.size = sizeof(run), .argv = argv, .flags = VMF_RUN_DIES_WITH_HOST};
	autofree char *words = NULL;
	int rc = proc_run(&run, 0, err);

	if (rc < 0)
		return missing(err);
	words = words_of(&run);
	if (run.status == 2)
		rc = vmf_fail(err, VMF_E_FAILED, 0, "fetch it again; `qemu-img check` tells more",
			"the image %s is damaged, or was cut off", image->path);
	else if (run.status == 1)
		rc = vmf_fail(err, strstr(words, "lock") ? VMF_E_BUSY : VMF_E_FAILED, 0, NULL, "image %s: %s",
			image->path, words);
	free(run.out);
	free(run.err);
	return rc;
}

static bool is_format(const char *word)
{
	return str_equal(word, "raw") || str_equal(word, "qcow2") || str_equal(word, IMAGE_OWN);
}

static int no_format(const char *word, struct vmf_error *err)
{
	return vmf_fail(err, VMF_E_USAGE, 0, "raw, qcow2, or own: the stream of the storage's own kind",
		"there is no format \"%s\"", word);
}

int image_look(const char *path, const char *format, struct image *image, struct vmf_error *err)
{
	/* O_NONBLOCK: a FIFO must not hold us */
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	memset(image, 0, sizeof(*image));
	if (format && !is_format(format))
		return no_format(format, err);
	image->path = fd < 0 ? NULL : realpath(path, NULL);
	if (!image->path)
		return vmf_fail(err, error_code_of(errno, errno == ENOENT ? VMF_E_NOT_FOUND : VMF_E_FAILED),
			errno, NULL, "image %s", path);
	if (look_at(fd, format, image, err) == 0 &&
		(!str_equal(image->format, "qcow2") || check_whole(image, err) == 0))
		return 0;
	image_free(image);
	return -1;
}

void image_free(struct image *image)
{
	free(image->path);
	memset(image, 0, sizeof(*image));
}

const char *image_format_of(const char *path, const char *wanted, struct vmf_error *err)
{
	static const struct {
		const char *ending, *format;
	} endings[] = {{".qcow2", "qcow2"}, {".raw", "raw"}, {".img", "raw"}};

	if (wanted && is_format(wanted))
		return wanted;
	for (size_t i = 0; !wanted && i < VMF_COUNT(endings); i++)
		if (str_ends(path, endings[i].ending))
			return endings[i].format;
	if (wanted)
		no_format(wanted, err);
	else
		vmf_fail(err, VMF_E_USAGE, 0, "add --format qcow2, or let it end in .qcow2, .raw or .img",
			"%s does not say what format it is to have", path);
	return NULL;
}

char *image_name(const char *path, const char *format)
{
	struct stat st;
	bool is_device = stat(path, &st) == 0 && S_ISBLK(st.st_mode);
	json_t *node = json_pack("{s:s, s:{s:s, s:s}}", "driver", format, "file", "driver",
		is_device ? "host_device" : "file", "filename", path);
	char *text = node ? json_dumps(node, JSON_COMPACT) : NULL;
	/* a path that is no UTF-8 cannot be said in JSON */
	char *name = text ? str_printf("json:%s", text) : str_printf("%s%s", *path == '/' ? "" : "./", path);

	free(text);
	json_decref(node);
	return name;
}

/* ---- qemu-img ----------------------------------------------------------------------------- */

struct progress {
	const char *what;
	uint64_t bytes;
};

/* "    (12.34/100%)\r", again and again */
static void show_progress(void *data, const char *text)
{
	const struct progress *p = data;
	const char *last = strrchr(text, '(');
	double percent = last && strchr(last, '%') ? strtod(last + 1, NULL) : -1;

	if (percent >= 0 && percent <= 100)
		log_progress(p->what, (uint64_t)((double)p->bytes / 100 * percent), p->bytes);
}

int image_convert(const struct strv *argv, const char *what, uint64_t bytes, struct vmf_error *err)
{
	struct progress progress = {what, bytes};
	struct proc_watch watch = {show_progress, &progress};
	autostrv struct strv all = STRV_INIT;
	struct vmf_run run = {.size = sizeof(run), .timeout_ms = CONVERT_MS, .flags = VMF_RUN_DIES_WITH_HOST};
	autofree char *words = NULL;
	int rc;

	strv_add(&all, "qemu-img");
	strv_add(&all, "convert");
	strv_add(&all, "-p");
	strv_add_all(&all, argv);
	run.argv = (const char *const *)all.items;
	rc = proc_run_watched(&run, 0, &watch, err);
	if (rc < 0)
		missing(err);
	if (rc == 0 && run.status) {
		words = words_of(&run);
		rc = vmf_fail(err, strstr(words, "No space left") ? VMF_E_NO_SPACE : VMF_E_FAILED, 0,
			strstr(words, "No space left") ? "make room, or use another storage" : NULL,
			"%s: qemu-img: %s", what, words);
	}
	free(run.out);
	free(run.err);
	return rc;
}
