/* SPDX-License-Identifier: ISC */
#include "cli/viewer.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/proc.h"

/* In the order in which they are looked for. vncviewer may be any of several: host::port all of them know. */
static const char *const known[] = {
	"xtigervncviewer {socket}",
	"remote-viewer vnc://{host}:{port}",
	"vncviewer {host}::{port}",
	"gvncviewer {host}:{display}",
	"krdc vnc://{host}:{port}",
	"vinagre {host}::{port}",
};

bool viewer_has_screen(void)
{
	const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

	return (x && *x) || (wayland && *wayland);
}

static void split(const char *line, struct strv *words)
{
	while (*line) {
		size_t n = strcspn(line, " \t");

		if (n)
			strv_take(words, str_ndup(line, n));
		line += n + strspn(line + n, " \t");
	}
}

static bool has_mark(const struct strv *words, const char *mark)
{
	for (size_t i = 1; i < words->count; i++)
		if (strstr(words->items[i], mark))
			return true;
	return false;
}

/* What is known of PROGRAM, or NULL. */
static const char *known_as(const char *program)
{
	const char *base = strrchr(program, '/');

	base = base ? base + 1 : program;
	for (size_t i = 0; i < VMF_COUNT(known); i++)
		if (strlen(base) == strcspn(known[i], " ") && strncmp(base, known[i], strlen(base)) == 0)
			return known[i];
	return NULL;
}

/* One without marks gets those that are known of it, or a VNC URL. */
static void complete(struct strv *words)
{
	const char *line = known_as(words->items[0]);
	autostrv struct strv more = STRV_INIT;

	if (has_mark(words, "{socket}") || has_mark(words, "{host}") || has_mark(words, "{port}") ||
		has_mark(words, "{display}"))
		return;
	split(line ? line : "x vnc://{host}:{port}", &more);
	for (size_t i = 1; i < more.count; i++)
		strv_add(words, more.items[i]);
}

static int take(const char *line, struct viewer *viewer, struct vmf_error *err)
{
	autofree char *program = NULL;

	split(line, &viewer->words);
	if (viewer->words.count == 0)
		return vmf_fail(err, VMF_E_USAGE, 0, "name a program", "the viewer is \"\"");
	program = proc_find_program(viewer->words.items[0]);
	if (!program)
		return vmf_fail(err, VMF_E_MISSING, 0, "is it installed, and its folder in PATH?",
			"no program %s", viewer->words.items[0]);
	complete(&viewer->words);
	viewer->takes_socket = has_mark(&viewer->words, "{socket}");
	return 0;
}

int viewer_find(const char *line, bool has_socket, struct viewer *viewer, struct vmf_error *err)
{
	memset(viewer, 0, sizeof(*viewer));
	if (line) {
		if (take(line, viewer, err) < 0)
			return -1;
		if (has_socket || !viewer->takes_socket)
			return 0;
		return vmf_fail(err, VMF_E_UNSUPPORTED, 0, "name one with {host} and {port}",
			"the viewer wants a socket, and this display has none");
	}
	for (size_t i = 0; i < VMF_COUNT(known); i++) {
		autofree char *name = str_ndup(known[i], strcspn(known[i], " "));
		autofree char *program = proc_find_program(name);

		if (program && (has_socket || !strstr(known[i], "{socket}")))
			return take(known[i], viewer, err);
	}
	return vmf_fail(err, VMF_E_MISSING, 0,
		"install tigervnc-viewer or virt-viewer, or set viewer = ... in vmf.conf",
		"no program that shows a screen was found");
}

/* TEXT with its marks filled in. */
static char *fill(const char *text, const char *socket, const char *host, unsigned port)
{
	struct strbuf out = STRBUF_INIT;

	while (*text) {
		if (str_starts(text, "{socket}"))
			strbuf_puts(&out, socket ? socket : "");
		else if (str_starts(text, "{host}"))
			strbuf_puts(&out, host);
		else if (str_starts(text, "{port}"))
			strbuf_printf(&out, "%u", port);
		else if (str_starts(text, "{display}"))
			strbuf_printf(&out, "%d", (int)port - 5900);
		else {
			strbuf_putc(&out, *text++);
			continue;
		}
		text = strchr(text, '}') + 1;
	}
	return strbuf_take(&out);
}

pid_t viewer_start(const struct viewer *viewer, const char *socket, const char *host, unsigned port,
	struct vmf_error *err)
{
	autostrv struct strv words = STRV_INIT;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	char **argv;
	pid_t pid;
	int rc;

	for (size_t i = 0; i < viewer->words.count; i++)
		strv_take(&words, fill(viewer->words.items[i], socket, host, port));
	argv = mem_alloc((words.count + 1) * sizeof(*argv));
	memcpy(argv, words.items, words.count * sizeof(*argv));
	posix_spawnattr_init(&attributes);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawnp(&pid, argv[0], NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	free(argv);
	return rc ? vmf_fail(err, VMF_E_FAILED, rc, NULL, "cannot run %s", viewer->words.items[0]) : pid;
}

void viewer_free(struct viewer *viewer)
{
	strv_free(&viewer->words);
}
