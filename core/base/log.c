/* SPDX-License-Identifier: ISC */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/proc.h"

static int level;
volatile int log_interrupted;

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
	fprintf(stderr, "vmf: %s\n", err->message ? err->message : "failed");
	if (err->hint)
		fprintf(stderr, "vmf: hint: %s\n", err->hint);
}

int log_progress(const char *what, uint64_t done, uint64_t total)
{
	static int64_t began_ms, shown_ms;
	static uint64_t began_at;
	static const char *of;
	int64_t now = time_now_ms();
	bool terminal = isatty(STDERR_FILENO) != 0;
	bool is_end = total && done == total;
	double seconds, rate;

	if (of != what || done < began_at) {
		of = what;
		began_ms = now;
		shown_ms = 0;
		began_at = done;
	}
	if (log_interrupted)
		return -1;
	if (level < 0 || now - began_ms < 2000)
		return 0;
	if (!is_end && now - shown_ms < (terminal ? 200 : 10000))
		return 0;
	shown_ms = now;
	seconds = (double)(now - began_ms) / 1000.0;
	rate = (double)(done - began_at) / seconds / 1048576.0;
	if (terminal)
		fputs("\r\033[K", stderr);
	if (total)
		fprintf(stderr, "vmf: %s: %3.0f %%, %.0f MiB/s, %.0f s left", what, 100.0 * (double)done / (double)total,
			rate, rate > 0 ? (double)(total - done) / 1048576.0 / rate : 0.0);
	else if (done)
		fprintf(stderr, "vmf: %s: %.0f MiB, %.0f MiB/s", what, (double)done / 1048576.0, rate);
	else
		fprintf(stderr, "vmf: %s", what);
	if (!terminal || is_end)
		fputc('\n', stderr);
	return 0;
}
