/* SPDX-License-Identifier: ISC */
#include "remote/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc.h"
#include "vm/capacity.h"

#define LOCK_MS 60000

json_t *claim_json(const struct claim *claim)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "cpus", (json_int_t)claim->cpus, "memory_bytes",
		(json_int_t)claim->memory_bytes, "cpus_most", (json_int_t)claim->cpus_most,
		"memory_bytes_most", (json_int_t)claim->memory_bytes_most);
}

void claim_read(const json_t *json, struct claim *claim)
{
	claim->cpus = json_integer_value(json_object_get(json, "cpus"));
	claim->memory_bytes = json_integer_value(json_object_get(json, "memory_bytes"));
	claim->cpus_most = json_integer_value(json_object_get(json, "cpus_most"));
	claim->memory_bytes_most = json_integer_value(json_object_get(json, "memory_bytes_most"));
}

int claim_take(struct ctx *ctx, const struct claim *claim, int *lock, struct vmf_error *err)
{
	autofree char *path = path_join(ctx->paths.lib, "claim");
	struct capacity c;
	int fd;

	if (file_mkdirs(ctx->paths.lib, 0700, err) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || lock_wait(fd, 0, time_now_ms() + LOCK_MS) < 0) {
		vmf_fail_errno(err, NULL, "cannot lock %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (capacity_read(ctx, &c, err) < 0) {
		close(fd);
		return -1;
	}
	if (c.cpus_defined + claim->cpus > claim->cpus_most ||
		c.memory_defined_bytes + claim->memory_bytes > claim->memory_bytes_most) {
		close(fd);
		return 1;
	}
	*lock = fd;
	return 0;
}
