/* SPDX-License-Identifier: ISC */
/*
 * One ssh for each stream. With ControlMaster the first to a host stays in the background and carries the
 * later ones, so that these cost no more than a round trip.
 *
 * Its standard error is a file in memory: nobody has to read it, and when ssh has failed, its words are
 * there. It runs in a session of its own, as a ^C at the person's terminal is for vmf to handle, not for ssh
 * to die of.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ssh.h"

#define ARGS_MAX 96
#define WORDS_MAX 65536
#define ASK_MS 5000 /* for a host that has let us in */
#define END_MS 2000 /* for an ssh that has closed its end already */

extern char **environ;

static struct link *links;

/* ---- the command line ---------------------------------------------------------------------- */

struct args {
	const char *argv[ARGS_MAX];
	size_t n;
};

static void add(struct args *args, const char *word)
{
	if (args->n + 1 < ARGS_MAX)
		args->argv[args->n++] = word;
}

static void add_option(struct args *args, char *option)
{
	add(args, "-o");
	add(args, option);
}

static long long seconds(const struct vmf_call *c, const char *option)
{
	long long ms = (long long)c->host->opt_int(c, option);

	return ms > 0 && ms < 1000 ? 1 : ms / 1000;
}

static void fill(const struct vmf_call *c, struct args *args)
{
	const struct vmf_host *h = c->host;

	add(args, h->opt_string(c, "ssh"));
	if (h->opt_string(c, "config")) {
		add(args, "-F");
		add(args, h->opt_string(c, "config"));
	}
	/* ssh takes the first of what it is told twice */
	for (size_t i = 0; i < h->opt_count(c, "options"); i++)
		add_option(args, h->strdup(c, h->opt_item(c, "options", i)));
	if (h->opt_string(c, "user")) {
		add(args, "-l");
		add(args, h->opt_string(c, "user"));
	}
	if (h->opt_is_set(c, "port")) {
		add(args, "-p");
		add(args, h->printf(c, "%lld", (long long)h->opt_int(c, "port")));
	}
	if (h->opt_string(c, "identity")) {
		add(args, "-i");
		add(args, h->opt_string(c, "identity"));
	}
	add(args, "-oBatchMode=yes"); /* nobody answers questions */
	add(args, "-oForwardX11=no");
	add(args, "-oForwardAgent=no");
	add(args, "-oClearAllForwardings=yes");
	add_option(args, h->printf(c, "ConnectTimeout=%lld", seconds(c, "timeout")));
	add_option(args, h->printf(c, "ServerAliveInterval=%lld", seconds(c, "keepalive")));
	add(args, "-oServerAliveCountMax=3");
	if (h->opt_bool(c, "multiplex") && c->run_dir) {
		add(args, "-oControlMaster=auto");
		add_option(args, h->printf(c, "ControlPath=%s/%%C", c->run_dir));
		add_option(args, h->printf(c, "ControlPersist=%lld", seconds(c, "persist")));
	}
	add(args, "-T");
}

/* ---- starting ----------------------------------------------------------------------------- */

static int spawn(const struct args *args, int io, int words, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, usual;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_adddup2(&actions, io, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, io, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, words, STDERR_FILENO);
	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &usual);
	posix_spawnattr_setflags(
		&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	rc = posix_spawnp(pid, args->argv[0], &actions, &attributes, (char *const *)args->argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

int link_open(
	const struct vmf_call *c, const char *forward, const char *command, int *fd, struct vmf_error *err)
{
	const struct vmf_host *h = c->host;
	struct args args = {.n = 0};
	struct link *link = calloc(1, sizeof(*link));
	int ends[2] = {-1, -1}, words = memfd_create("ssh", MFD_CLOEXEC), rc;
	pid_t pid;

	if (!link || words < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		rc = errno;
		free(link);
		if (words >= 0)
			close(words);
		return h->fail(err, VMF_E_FAILED, rc, NULL, "ssh cannot be started");
	}
	fill(c, &args);
	if (forward) {
		add(&args, "-W");
		add(&args, forward);
	}
	add(&args, "--"); /* an address is none of ssh's options */
	add(&args, h->opt_string(c, "address"));
	if (command)
		add(&args, command);
	rc = spawn(&args, ends[1], words, &pid);
	close(ends[1]);
	if (rc) {
		close(ends[0]);
		close(words);
		free(link);
		return h->fail(err, rc == ENOENT ? VMF_E_MISSING : VMF_E_FAILED, rc, "Debian: openssh-client",
			"%s cannot be started", args.argv[0]);
	}
	*link = (struct link){ends[0], words, pid, links};
	links = link;
	*fd = ends[0];
	return 0;
}

char *link_ask(const struct vmf_call *c, const char *command, struct vmf_error *err)
{
	struct args args = {.n = 0};
	struct vmf_run run = {.size = sizeof(run),
		.argv = args.argv,
		.timeout_ms = c->host->opt_int(c, "timeout") + ASK_MS};

	fill(c, &args);
	add(&args, "--");
	add(&args, c->host->opt_string(c, "address"));
	add(&args, command);
	if (c->host->run(c, &run, err) < 0)
		return NULL;
	if (run.status == 0)
		return run.out;
	words_fail(c, run.status, c->host->strdup(c, run.err), err);
	return NULL;
}

/* ---- ending ------------------------------------------------------------------------------- */

static bool has_closed(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Its exit code, or 128 + signal; -1: it has not ended. */
static int wait_for(int pid, int most_ms)
{
	const struct timespec moment = {.tv_nsec = 10000000};
	int status;
	pid_t ended;

	while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && most_ms > 0) {
		nanosleep(&moment, NULL);
		most_ms -= 10;
	}
	if (ended != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static char *read_words(const struct vmf_call *c, int fd)
{
	char *words = c->host->alloc(c, WORDS_MAX);
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, words, WORDS_MAX - 1, size > WORDS_MAX - 1 ? size - (WORDS_MAX - 1) : 0);

	for (ssize_t i = 0; i < n; i++) /* a far shell may say anything */
		if ((unsigned char)words[i] < ' ' && words[i] != '\n')
			words[i] = words[i] == '\r' ? '\n' : '?';
	return words;
}

int link_close(const struct vmf_call *c, int fd, struct vmf_error *err)
{
	struct link **at = &links, *link;
	int status = -1, rc = 0;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	link = *at;
	if (!link)
		return 0;
	*at = link->next;
	if (has_closed(fd))
		status = wait_for(link->pid, END_MS);
	close(fd);
	if (status > 0)
		rc = words_fail(c, status, read_words(c, link->words), err);
	else if (status < 0) /* the closed end is its sign to end; who started us reaps it */
		waitpid(link->pid, NULL, WNOHANG);
	close(link->words);
	free(link);
	return rc;
}
