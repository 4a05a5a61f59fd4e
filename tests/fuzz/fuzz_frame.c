/* SPDX-License-Identifier: ISC */
/* What another host says, made up: bytes for whoever reads frames, and bytes that are carried in them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base64.h"
#include "remote/claim.h"
#include "remote/frame.h"
#include "remote/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const json_t *frame)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct claim claim;
	size_t length = 0;

	free(frame_data(frame, "in", &length));
	free(frame_data(frame, "out", &length));
	claim_read(json_object_get(frame, "claim"), &claim);
	hello_check(frame, "it", &err);
	error_clear(&err);
}

static void read_frames(const uint8_t *data, size_t size)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct frames frames;
	json_t *frame;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	if (send(fds[1], data, size, MSG_NOSIGNAL) < 0 && size)
		size = 0;
	shutdown(fds[1], SHUT_WR);
	frames_init(&frames, fds[0], fds[0]);
	while (!frames.ended && !err.code) {
		if (frames_read(&frames, &err) < 0)
			break;
		while ((frame = frames_next(&frames, &err))) {
			use(frame);
			json_decref(frame);
		}
	}
	error_clear(&err);
	frames_free(&frames);
	close(fds[0]);
	close(fds[1]);
}

/* What goes in comes out. */
static void carry(const uint8_t *data, size_t size)
{
	json_t *frame = json_object();
	char *text, *back;
	size_t length = 0;

	frame_put_data(frame, "out", (const char *)data, size);
	text = json_dumps(frame, JSON_COMPACT);
	json_decref(frame);
	frame = json_loads(text, 0, NULL);
	back = frame_data(frame, "out", &length);
	if (!back || length != size || memcmp(back, data, size) != 0)
		abort();
	free(back);
	free(text);
	json_decref(frame);
	text = str_ndup((const char *)data, size);
	free(base64_decode(text, &length));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 60000)
		return 0;
	read_frames(data, size);
	carry(data, size);
	return 0;
}
