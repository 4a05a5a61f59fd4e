/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/tty.h"

static int level;
volatile int log_interrupted;

static struct {
	const char *what;
	int64_t began_ms, shown_ms;
	uint64_t began_at;
	bool is_drawn; /* on a terminal: the cursor is at its end */
} progress;

void log_set_level(int new_level)
{
	level = new_level;
}

int log_level(void)
{
	return level;
}

static void say(const char *prefix, const char *fmt, va_list ap) VMF_PRINTF(2, 0);

static void say(const char *prefix, const char *fmt, va_list ap)
{
	log_progress_end();
	flockfile(stderr);
	fprintf(stderr, "vmf: %s", prefix);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	if (level < 0)
		return;
	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	if (level < 1)
		return;
	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (level < 2)
		return;
	va_start(ap, fmt);
	say("debug: ", fmt, ap);
	va_end(ap);
}

void log_error(const struct vmf_error *err)
{
	log_progress_end();
	fprintf(stderr, "vmf: %s\n", err->message ? err->message : "failed");
	if (err->hint)
		fprintf(stderr, "vmf: hint: %s\n", err->hint);
}

/* ---- progress ----------------------------------------------------------------------------- */

void log_progress_end(void)
{
	if (progress.is_drawn)
		fputs("\r\033[K", stderr);
	memset(&progress, 0, sizeof(progress));
}

static void draw(const char *what, uint64_t done, uint64_t total, double seconds)
{
	double rate = (double)(done - progress.began_at) / seconds / 1048576.0;

	if (progress.is_drawn)
		fputs("\r\033[K", stderr);
	if (total)
		fprintf(stderr, "vmf: %s: %3.0f %%, %.0f MiB/s, %.0f s left", what,
			100.0 * (double)done / (double)total, rate,
			rate > 0 ? (double)(total - done) / 1048576.0 / rate : 0.0);
	else if (done)
		fprintf(stderr, "vmf: %s: %.0f MiB, %.0f MiB/s", what, (double)done / 1048576.0, rate);
	else
		fprintf(stderr, "vmf: %s: %.0f s", what, seconds);
	progress.is_drawn = tty_is(STDERR_FILENO);
	if (!progress.is_drawn)
		fputc('\n', stderr);
}

int log_progress(const char *what, uint64_t done, uint64_t total)
{
	int64_t now = time_now_ms(), began, shown;

	if (progress.what != what || done < progress.began_at) {
		log_progress_end();
		progress.what = what;
		progress.began_ms = progress.shown_ms = now;
		progress.began_at = done;
	}
	if (log_interrupted)
		return -1;
	began = now - progress.began_ms;
	shown = now - progress.shown_ms;
	if (level < 0 || began < 2000)
		return 0;
	/* the first line after two seconds, then not more than can be read */
	if (!(total && done == total) && progress.shown_ms != progress.began_ms &&
		shown < (progress.is_drawn ? 200 : 10000))
		return 0;
	progress.shown_ms = now;
	draw(what, done, total, (double)began / 1000.0);
	return 0;
}
