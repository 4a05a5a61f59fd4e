/* SPDX-License-Identifier: ISC */
/* vmf-plugin-check: the command line, a process per check, and TAP. */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "plugin/check.h"

#define DEADLINE_SECONDS 60
#define FIRST_SIGNAL 1
#define LAST_SIGNAL 31

static const char usage[] =
	"usage: vmf-plugin-check [--run] [--only PATTERN]... [--timeout SECONDS] FILE.so [OPTION=VALUE]...\n"
	"       vmf-plugin-check --list\n"
	"\n"
	"Tries a plugin against the contract in vmf/plugin.h and prints TAP. "
	"OPTION=VALUE are the plugin's own\n"
	"options. Nothing is changed on the machine unless --run is given: then volumes, "
	"networks and the like\n"
	"are made with those options and removed again.\n"
	"\n"
	"  --run           make and remove things for real\n"
	"  --only PATTERN  only the checks whose name fits, as in --only 'dry*'\n"
	"  --timeout SECONDS  a check that takes longer has failed (60)\n"
	"  --list          name the checks and what each looks at\n"
	"\n"
	"Exit code: 0 all checks passed or were skipped, 1 some failed, 2 wrong usage.\n";

/* ---- results ------------------------------------------------------------------------------ */

void complain(struct subject *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strv_take(&s->complaints, str_vprintf(fmt, ap));
	va_end(ap);
}

void skip(struct subject *s, const char *fmt, ...)
{
	va_list ap;

	free(s->skipped);
	va_start(ap, fmt);
	s->skipped = str_vprintf(fmt, ap);
	va_end(ap);
}

/* ---- what a plugin must leave alone ------------------------------------------------------- */

struct surroundings {
	char cwd[4096];
	mode_t mask;
	struct strbuf environment;
	struct sigaction actions[LAST_SIGNAL + 1];
	sigset_t blocked;
	size_t n_fds;
};

extern char **environ;

static void look_around(struct surroundings *at)
{
	autostrv struct strv fds = STRV_INIT;
	struct vmf_error ignored = VMF_ERROR_INIT;

	memset(at, 0, sizeof(*at));
	if (!getcwd(at->cwd, sizeof(at->cwd)))
		at->cwd[0] = '\0';
	at->mask = umask(022);
	umask(at->mask);
	for (char **e = environ; *e; e++)
		strbuf_printf(&at->environment, "%s\n", *e);
	for (int i = FIRST_SIGNAL; i <= LAST_SIGNAL; i++)
		sigaction(i, NULL, &at->actions[i]);
	sigprocmask(SIG_SETMASK, NULL, &at->blocked);
	if (dir_list("/proc/self/fd", &fds, &ignored) < 0)
		error_clear(&ignored);
	at->n_fds = fds.count;
}

static void compare_surroundings(
	struct subject *s, const struct surroundings *a, const struct surroundings *b)
{
	if (strcmp(a->cwd, b->cwd) != 0)
		complain(s, "the working directory became %s", b->cwd);
	if (a->mask != b->mask)
		complain(s, "the umask became %03o", (unsigned)b->mask);
	if (!str_equal(a->environment.data, b->environment.data))
		complain(s, "the environment was changed");
	if (memcmp(&a->blocked, &b->blocked, sizeof(a->blocked)) != 0)
		complain(s, "the blocked signals were changed");
	for (int i = FIRST_SIGNAL; i <= LAST_SIGNAL; i++)
		if (a->actions[i].sa_handler != b->actions[i].sa_handler)
			complain(s, "what is done at signal %d was changed", i);
	if (a->n_fds != b->n_fds)
		complain(s, "%zu files were open before, %zu after", a->n_fds, b->n_fds);
}

/* ---- one check ---------------------------------------------------------------------------- */

static char *options_json(const struct subject *s, struct vmf_error *err)
{
	json_t *object = json_object();
	char *text;

	for (size_t i = 0; i < s->settings.count; i++) {
		const char *equals = strchr(s->settings.items[i], '=');
		autofree char *name = str_ndup(s->settings.items[i], (size_t)(equals - s->settings.items[i]));
		const struct vmf_option *option = NULL;

		for (size_t j = 0; j < s->plugin.desc.n_options; j++)
			if (str_equal(s->plugin.desc.options[j].name, name))
				option = &s->plugin.desc.options[j];
		if (!option) {
			json_decref(object);
			vmf_fail(err, VMF_E_USAGE, 0, NULL, "the plugin has no option %s", name);
			return NULL;
		}
		if (option->type != VMF_OPT_LIST) {
			json_object_set_new(object, name, json_string(equals + 1));
			continue;
		}
		if (!json_object_get(object, name))
			json_object_set_new(object, name, json_array());
		json_array_append_new(json_object_get(object, name), json_string(equals + 1));
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

/* 0 and s->opts, 1 if the person has not given what is required, -1 */
static int resolve_options(struct subject *s, struct vmf_error *err)
{
	autofree char *json = NULL;

	for (size_t i = 0; i < s->plugin.desc.n_options; i++) {
		const struct vmf_option *o = &s->plugin.desc.options[i];
		autofree char *prefix = str_printf("%s=", o->name);
		bool is_given = false;

		for (size_t j = 0; j < s->settings.count; j++)
			is_given |= str_starts(s->settings.items[j], prefix);
		if ((o->flags & VMF_OPT_F_REQUIRED) && !is_given) {
			skip(s, "give its required option: %s=...", o->name);
			return 1;
		}
	}
	json = options_json(s, err);
	s->opts = json ? conf_opts_load(&s->plugin.desc, json, err) : NULL;
	return s->opts ? 0 : -1;
}

static int load(struct subject *s, struct vmf_error *err)
{
	if (check_trust(s->path, err) < 0 || loader_open(s->path, &s->module, err) < 0)
		return -1;
	return check_describe(s->module.symbol, &s->plugin, err);
}

static void scratch_is_empty(struct subject *s)
{
	autostrv struct strv names = STRV_INIT;
	struct vmf_error ignored = VMF_ERROR_INIT;

	if (dir_list(s->scratch, &names, &ignored) < 0)
		error_clear(&ignored);
	for (size_t i = 0; i < names.count; i++)
		complain(s, "left in the VM's run folder: %s", names.items[i]);
}

/* In the child: all that the check found goes to FD, a line each. */
static void run_check(struct subject *s, const struct check *check, int fd)
{
	struct vmf_error err = VMF_ERROR_INIT;
	struct surroundings before, after;
	int rc;

	/* the plugin's descriptors come and go within the check; ours are there before */
	look_around(&before);
	rc = load(s, &err);
	if (rc == 0 && !(check->kinds & OF(s->plugin.kind)))
		skip(s, "not for this kind of plugin");
	if (rc == 0 && !s->skipped && check->calls)
		rc = resolve_options(s, &err);
	if (rc < 0) {
		complain(s, "%s%s%s", err.message, err.hint ? "; " : "", err.hint ? err.hint : "");
	} else if (!s->skipped) {
		check->run(s);
		scratch_is_empty(s);
	}
	look_around(&after);
	compare_surroundings(s, &before, &after);
	for (size_t i = 0; i < s->complaints.count; i++)
		dprintf(fd, "%s\n", s->complaints.items[i]);
	if (s->skipped && !s->complaints.count)
		dprintf(fd, "SKIP %s\n", s->skipped);
}

static int silence(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -1;
	close(fd);
	return 0;
}

static char *read_all(int fd)
{
	struct strbuf text = STRBUF_INIT;
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		strbuf_add(&text, chunk, (size_t)n);
	return strbuf_take(&text);
}

static void print_lines(const char *prefix, const char *text)
{
	for (const char *at = text; *at; at += strcspn(at, "\n") + (at[strcspn(at, "\n")] == '\n'))
		printf("# %s%.*s\n", prefix, (int)strcspn(at, "\n"), at);
}

/* Runs the check in a process of its own. True: passed or skipped. */
static bool report(struct subject *s, const struct check *check, unsigned number)
{
	autofree char *said_path = path_join(s->scratch, "../said");
	autofree char *found = NULL, *said = NULL;
	struct vmf_error err = VMF_ERROR_INIT;
	int pipe_fds[2], status = 0;
	pid_t pid;
	bool passed;

	fflush(stdout);
	if (pipe2(pipe_fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		printf("not ok %u - %s\n# %s\n", number, check->name, strerror(errno));
		return false;
	}
	if (pid == 0) {
		close(pipe_fds[0]);
		if (silence(said_path) < 0)
			_exit(3);
		alarm(s->timeout_seconds);
		run_check(s, check, pipe_fds[1]);
		fflush(NULL); /* what the plugin printed, if it did */
		_exit(0);
	}
	close(pipe_fds[1]);
	found = read_all(pipe_fds[0]);
	close(pipe_fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	said = file_read(said_path, 1 << 20, NULL, &err);
	error_clear(&err);
	if (str_starts(found, "SKIP ") && status == 0 && (!said || !*said)) {
		printf("ok %u - %s # %.*s\n", number, check->name, (int)strcspn(found, "\n"), found);
		return true;
	}
	passed = !*found && status == 0 && (!said || !*said);
	printf("%sok %u - %s\n", passed ? "" : "not ", number, check->name);
	print_lines("", found);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("# no end after %u s\n", s->timeout_seconds);
	else if (WIFSIGNALED(status))
		printf("# ended by signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (status)
		printf("# the plugin ended the process with exit code %d\n", WEXITSTATUS(status));
	if (said && *said)
		print_lines("it printed: ", said);
	return passed;
}

/* ---- the command line --------------------------------------------------------------------- */

/* "/path/storage-lvm.so": kind and name as the file's name has them. */
static int name_subject(struct subject *s, struct vmf_error *err)
{
	const char *base = path_base(s->path);

	for (int k = VMF_STORAGE; k <= VMF_PLACEMENT; k++) {
		autofree char *prefix = str_printf("%s-", plugin_kind_name((enum vmf_kind)k));

		if (!str_starts(base, prefix) || !str_ends(base, ".so"))
			continue;
		s->plugin.kind = (enum vmf_kind)k;
		s->plugin.name = str_ndup(base + strlen(prefix), strlen(base) - strlen(prefix) - 3);
		s->plugin.path = str_dup(s->path);
		return 0;
	}
	return vmf_fail(err, VMF_E_USAGE, 0, "name it storage-, network-, display- or placement-NAME.so",
		"%s: the file's name does not say what kind of plugin it is", s->path);
}

static bool is_wanted(const struct check *check, const struct strv *only)
{
	for (size_t i = 0; i < only->count; i++)
		if (fnmatch(only->items[i], check->name, 0) == 0)
			return true;
	return only->count == 0;
}

static int run_all(struct subject *s, const struct strv *only)
{
	unsigned number = 0, failed = 0, count = 0;
	bool loads = true;

	for (const struct check *c = checks; c->name; c++)
		count += is_wanted(c, only);
	printf("1..%u\n", count);
	for (const struct check *c = checks; c->name; c++) {
		if (!is_wanted(c, only))
			continue;
		if (!loads || (c->runs && !s->may_run)) {
			printf("ok %u - %s # SKIP %s\n", ++number, c->name,
				loads ? "wants --run" : "it does not load");
			continue;
		}
		if (report(s, c, ++number))
			continue;
		failed++;
		if (c == checks) /* the first: without it there is nothing to check */
			loads = false;
	}
	return failed ? 1 : 0;
}

static int list_checks(void)
{
	for (const struct check *c = checks; c->name; c++)
		printf("%-14s %s%s\n", c->name, c->what, c->runs ? " (--run)" : "");
	return 0;
}

static int complain_usage(const char *what)
{
	fprintf(stderr, "vmf-plugin-check: %s\n%s", what, usage);
	return 2;
}

int main(int argc, char **argv)
{
	struct subject s = {.timeout_seconds = DEADLINE_SECONDS};
	autostrv struct strv only = STRV_INIT;
	autofree char *path = NULL, *folder = NULL;
	struct vmf_error err = VMF_ERROR_INIT;
	int i, rc;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (str_equal(argv[i], "--help") || str_equal(argv[i], "-h"))
			return fputs(usage, stdout) < 0;
		if (str_equal(argv[i], "--version"))
			return printf("vmf-plugin-check %s, plugin ABI %d.%d\n", VMF_VERSION, VMF_ABI_MAJOR,
				       VMF_ABI_MINOR) < 0;
		if (str_equal(argv[i], "--list"))
			return list_checks();
		if (str_equal(argv[i], "--run"))
			s.may_run = true;
		else if (str_equal(argv[i], "--only") && i + 1 < argc)
			strv_add(&only, argv[++i]);
		else if (str_equal(argv[i], "--timeout") && i + 1 < argc && atoi(argv[i + 1]) > 0)
			s.timeout_seconds = (unsigned)atoi(argv[++i]);
		else
			return complain_usage("there is no such option, or it lacks its word");
	}
	if (i >= argc)
		return complain_usage("which plugin?");
	path = realpath(argv[i], NULL);
	if (!path) {
		fprintf(stderr, "vmf-plugin-check: %s: %s\n", argv[i], strerror(errno));
		return 2;
	}
	s.path = path;
	for (i++; i < argc; i++) {
		if (!strchr(argv[i], '='))
			return complain_usage("the plugin's options are written OPTION=VALUE");
		strv_add(&s.settings, argv[i]);
	}
	if (name_subject(&s, &err) < 0) {
		log_error(&err);
		error_clear(&err);
		return 2;
	}
	folder = str_dup("/tmp/vmf-plugin-check-XXXXXX");
	if (!mkdtemp(folder)) {
		fprintf(stderr, "vmf-plugin-check: %s: %s\n", folder, strerror(errno));
		return 2;
	}
	s.scratch = path_join(folder, "run");
	rc = mkdir(s.scratch, 0700) == 0 ? run_all(&s, &only) : 2;
	if (file_remove_tree(folder, &err) < 0)
		error_clear(&err);
	strv_free(&s.settings);
	free(s.scratch);
	free(s.plugin.name);
	free(s.plugin.path);
	return rc;
}
