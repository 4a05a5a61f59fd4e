/* SPDX-License-Identifier: ISC */
/* The person's terminal in raw mode, and back as it was. One terminal at a time. */
#ifndef VMF_BASE_TTY_H
#define VMF_BASE_TTY_H

#include <stdbool.h>

#include "base/error.h"

/*
 * A vmf may work for a person at another machine: its standard fds are pipes then, and what the person has is
 * told to it. tty_is() stands for isatty(3) where it matters what a person sees.
 */
bool tty_is(int fd);
/* IS_TTY: of standard input, output, error. WANT is called with how the input is to be read from here on:
 * "off" (not at all), "line", "bytes", "raw". */
void tty_set_far(const bool is_tty[3], void (*want)(const char *how));
/* Says so to the far person's end; does nothing for a person who is here. */
void tty_want(const char *how);

/*
 * Keeps how the terminal FD is set and makes it raw: every key is a byte, ^C and ^Z included, and read(2)
 * never waits (0 bytes: nothing there, or hung up: poll(2) tells). At exit() it is put back; signals are the
 * caller's.
 */
int tty_raw(int fd, struct vmf_error *err);
/* As it was before tty_raw(), also from the background. Does nothing if nothing is raw. */
void tty_restore(void);
/* The same for a while, and raw again; tty_raw_again() also where a shell has set it otherwise. */
void tty_pause(void);
void tty_raw_again(void);

#endif
