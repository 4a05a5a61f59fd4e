/* SPDX-License-Identifier: ISC */
/* A forward: a port of this host that leads to one of the guest. Knows nothing of QEMU but its notation. */
#ifndef USER_MODE_FORWARD_H
#define USER_MODE_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include <vmf/plugin.h>

struct forward {
	bool is_udp;
	char host[16]; /* dotted quad that is listened on */
	uint16_t host_port; /* 0: a free one is to be chosen */
	char guest[16]; /* dotted quad, or empty: the guest's first address */
	uint16_t guest_port;
};

/*
 * [tcp:|udp:][HOST:]PORT:GUEST-PORT, with GUEST: before the guest's port if need be, or as QEMU writes it:
 * tcp:[HOST]:PORT-[GUEST]:GUEST-PORT. NULL, or what is wrong with TEXT.
 */
const char *forward_parse(const char *text, struct forward *f);
/* "tcp:127.0.0.1:2222-:22" into TEXT, as QEMU takes it */
#define FORWARD_LENGTH 64
void forward_format(const struct forward *f, char text[FORWARD_LENGTH]);
/* 0, or the errno that says why this host's port cannot be listened on. */
int forward_try(const struct forward *f);
/*
 * A free port for F: the same one each time for the same SEED as long as it is free, so that people can get
 * used to it. 0: there is none.
 */
uint16_t forward_choose(const struct forward *f, const char *seed);
bool forward_same_port(const struct forward *a, const struct forward *b);

#endif
