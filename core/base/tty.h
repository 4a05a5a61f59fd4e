/* SPDX-License-Identifier: ISC */
/* The person's terminal in raw mode, and back as it was. One terminal at a time. */
#ifndef VMF_BASE_TTY_H
#define VMF_BASE_TTY_H

#include "base/error.h"

/*
 * Keeps how the terminal FD is set and makes it raw: every key is a byte, ^C and ^Z included, and read(2) never
 * waits (0 bytes: nothing there, or hung up: poll(2) tells). At exit() it is put back; signals are the caller's.
 */
int tty_raw(int fd, struct vmf_error *err);
/* As it was before tty_raw(), also from the background. Does nothing if nothing is raw. */
void tty_restore(void);
/* The same for a while, and raw again; tty_raw_again() also where a shell has set it otherwise. */
void tty_pause(void);
void tty_raw_again(void);

#endif
