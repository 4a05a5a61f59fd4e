/* SPDX-License-Identifier: ISC */
#include "base/tty.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static int raw_fd = -1;
static struct termios before, raw;
static bool far_tty[3];
static void (*far_want)(const char *how);

bool tty_is(int fd)
{
	return far_want && fd >= 0 && fd <= STDERR_FILENO ? far_tty[fd] : isatty(fd) == 1;
}

void tty_set_far(const bool is_tty[3], void (*want)(const char *how))
{
	for (int i = 0; i < 3; i++)
		far_tty[i] = is_tty[i];
	far_want = want;
}

void tty_want(const char *how)
{
	if (far_want)
		far_want(how);
}

int tty_raw(int fd, struct vmf_error *err)
{
	static bool is_registered;

	if (far_want) {
		far_want("raw");
		return 0;
	}
	if (tcgetattr(fd, &before) < 0)
		return vmf_fail_errno(err, NULL, "cannot read the terminal's settings");
	raw = before;
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (!is_registered)
		atexit(tty_restore);
	is_registered = true;
	raw_fd = fd;
	if (tcsetattr(fd, TCSANOW, &raw) == 0)
		return 0;
	raw_fd = -1;
	return vmf_fail_errno(err, NULL, "cannot set the terminal");
}

void tty_raw_again(void)
{
	if (raw_fd >= 0)
		tcsetattr(raw_fd, TCSANOW, &raw);
}

void tty_pause(void)
{
	sigset_t stop, mask;

	if (raw_fd < 0)
		return;
	/* in the background this would stop us; and TCSADRAIN would wait for a terminal that takes no more
	 * output */
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	sigprocmask(SIG_BLOCK, &stop, &mask);
	tcsetattr(raw_fd, TCSANOW, &before);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

void tty_restore(void)
{
	tty_pause();
	raw_fd = -1;
}
