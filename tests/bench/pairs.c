/* SPDX-License-Identifier: ISC */
/*
 * Runs two commands by turns and prints the medians of their times as a ratio. Beside it stands A/A: the same
 * command against itself in the same rounds, which says how much of a ratio is noise.
 *
 * The time of a command is the wall clock's around spawn, exec and wait4; the processor's time of A stands
 * behind it, as that hardly changes when others use the machine, too. What must be so before and what has to
 * be cleared away afterwards are shell commands that are not measured. A peak is the ru_maxrss of wait4,
 * which begins with what this program itself holds: so it is kept small, and uses posix_spawn.
 *
 * Orphans become our children (PR_SET_CHILD_SUBREAPER): what A leaves running is seen, by its name.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64
#define PAIRS_MAX 1000
#define WORDS_MAX 32
#define WORD_MAX 512
#define WARM_UP 2

extern char **environ;

struct side {
	const char *name, *command, *before, *after;
};

struct series {
	const struct side *side;
	double ms[PAIRS_MAX], cpu_ms[PAIRS_MAX];
	long peak_kib;
};

static struct {
	const char *label, *left;
	int pairs, jobs;
	bool has_sessions;
	double ratio, ms, extra_ms, mib; /* targets; 0: none */
} want = {.label = "", .pairs = 30, .jobs = 1};

static void die(const char *what, const char *which)
{
	fprintf(stderr, "pairs: %s: %s: %s\n", want.label, what, which);
	exit(1);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* COMMAND's words; a % is the job's number. */
static void split(const char *command, int job, char words[WORDS_MAX][WORD_MAX], char *argv[WORDS_MAX + 1])
{
	size_t n = 0, at = 0;

	for (const char *c = command;; c++) {
		bool ends = *c == '\0' || *c == ' ';

		if (n == WORDS_MAX || at + 12 > WORD_MAX)
			die("too long", command);
		if (ends && at) {
			words[n][at] = '\0';
			argv[n] = words[n];
			n++;
			at = 0;
		} else if (*c == '%') {
			at += (size_t)snprintf(words[n] + at, WORD_MAX - at, "%d", job);
		} else if (!ends) {
			words[n][at++] = *c;
		}
		if (*c == '\0')
			break;
	}
	argv[n] = NULL;
	if (n == 0)
		die("empty command", command);
}

static pid_t spawn(char *const argv[], const posix_spawn_file_actions_t *actions)
{
	posix_spawnattr_t attributes;
	pid_t pid;
	int error;

	posix_spawnattr_init(&attributes);
	if (want.has_sessions)
		posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
	error = posix_spawnp(&pid, argv[0], actions, &attributes, argv, environ);
	if (error)
		die(strerror(error), argv[0]);
	posix_spawnattr_destroy(&attributes);
	return pid;
}

/* A shell command that is not measured. */
static void run_shell(const char *command, const posix_spawn_file_actions_t *actions)
{
	char shell[] = "sh", flag[] = "-c";
	char *const argv[] = {shell, flag, (char *)command, NULL};
	int status;

	if (!command)
		return;
	if (waitpid(spawn(argv, actions), &status, 0) < 0 || status != 0)
		die("failed", command);
}

static double cpu_ms_of(const struct rusage *usage)
{
	return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e3 +
	       (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e3;
}

static void run_batch(
	struct series *s, int jobs, posix_spawn_file_actions_t *actions, double *ms, double *cpu_ms)
{
	static char words[JOBS_MAX][WORDS_MAX][WORD_MAX];
	static char *argv[JOBS_MAX][WORDS_MAX + 1];
	pid_t pids[JOBS_MAX];
	double begin;
	bool failed = false;

	for (int i = 0; i < jobs; i++)
		split(s->side->command, i, words[i], argv[i]);
	*cpu_ms = 0;
	begin = now_ms();
	for (int i = 0; i < jobs; i++)
		pids[i] = spawn(argv[i], actions);
	for (int i = 0; i < jobs; i++) {
		struct rusage usage;
		int status;

		if (wait4(pids[i], &status, 0, &usage) < 0 || status != 0)
			failed = true;
		*cpu_ms += cpu_ms_of(&usage);
		if (usage.ru_maxrss > s->peak_kib)
			s->peak_kib = usage.ru_maxrss;
	}
	*ms = now_ms() - begin;
	if (failed)
		die("failed", s->side->command);
}

/* Our living children, direct or orphaned, must all be called LEFT. */
static void check_left(const char *left)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		char path[300], comm[32] = "", state = 'Z';
		int parent = 0, n = 0;
		FILE *stat;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		stat = fopen(path, "re");
		if (!stat)
			continue;
		n = fscanf(stat, "%*d (%31[^)]) %c %d", comm, &state, &parent);
		fclose(stat);
		if (n == 3 && parent == (int)getpid() && state != 'Z' &&
			(!left || strncmp(comm, left, strlen(left)) != 0))
			die("stays running", comm);
	}
	if (proc)
		closedir(proc);
}

static void measure(
	struct series *s, bool checks, posix_spawn_file_actions_t *actions, double *ms, double *cpu_ms)
{
	run_shell(s->side->before, actions);
	run_batch(s, want.jobs, actions, ms, cpu_ms);
	if (checks)
		check_left(want.left);
	run_shell(s->side->after, actions);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double median(double *values)
{
	size_t n = (size_t)want.pairs;

	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static const char *verdict(double value, double target, const char *unit)
{
	static char text[4][48];
	static int at;

	at = (at + 1) % 4;
	snprintf(
		text[at], sizeof(text[at]), " (%s %.4g%s)", value <= target ? "<=" : "MISSED:", target, unit);
	return target > 0 ? text[at] : "";
}

static void report(struct series *a, struct series *b, struct series *again)
{
	double ms = median(a->ms), other = b ? median(b->ms) : 0;
	double same = (b ? other : ms) / median(again->ms);
	double mib = (double)a->peak_kib / 1024;

	printf("%-30s %s %.2f ms%s cpu %.2f", want.label, a->side->name, ms, verdict(ms, want.ms, " ms"),
		median(a->cpu_ms));
	if (b)
		printf("  %s %.2f ms  ratio %.3f%s", b->side->name, other, ms / other,
			verdict(ms / other, want.ratio, ""));
	if (want.extra_ms > 0)
		printf("  more %.2f ms%s", ms - other, verdict(ms - other, want.extra_ms, " ms"));
	printf("  A/A %.3f  peak %.1f MiB%s  n=%d\n", same, mib, verdict(mib, want.mib, " MiB"), want.pairs);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: pairs -l LABEL [OPTION]... -a COMMAND [-b COMMAND]\n"
		"commands: words parted by blanks, run without a shell; %% is the number of the job\n"
		"  -a, -b COMMAND   what is measured; without -b, A alone (twice, for the A/A line)\n"
		"  -A, -B COMMAND   shell commands to be run before each, -C, -D after each\n"
		"  -x, -y NAME      what A and B are called: vmf, bare\n"
		"  -n PAIRS         30   -j JOBS  so many at the same time: 1\n"
		"  -s               each in a session of its own, as the kernel may share the processors by "
		"session\n"
		"  -k NAME          what A may leave running\n"
		"targets: -r RATIO  -t MS of A  -d MS that A may take longer  -m MIB of A's peak memory\n");
	exit(2);
}

static void read_options(int argc, char **argv, struct side *a, struct side *b)
{
	int option;

	while ((option = getopt(argc, argv, "l:a:b:A:B:C:D:x:y:n:j:sk:r:t:d:m:")) != -1) {
		switch (option) {
		case 'l':
			want.label = optarg;
			break;
		case 'a':
			a->command = optarg;
			break;
		case 'b':
			b->command = optarg;
			break;
		case 'A':
			a->before = optarg;
			break;
		case 'B':
			b->before = optarg;
			break;
		case 'C':
			a->after = optarg;
			break;
		case 'D':
			b->after = optarg;
			break;
		case 'x':
			a->name = optarg;
			break;
		case 'y':
			b->name = optarg;
			break;
		case 'n':
			want.pairs = atoi(optarg);
			break;
		case 'j':
			want.jobs = atoi(optarg);
			break;
		case 's':
			want.has_sessions = true;
			break;
		case 'k':
			want.left = optarg;
			break;
		case 'r':
			want.ratio = atof(optarg);
			break;
		case 't':
			want.ms = atof(optarg);
			break;
		case 'd':
			want.extra_ms = atof(optarg);
			break;
		case 'm':
			want.mib = atof(optarg);
			break;
		default:
			usage();
		}
	}
	if (!a->command || optind < argc || want.pairs < 1 || want.pairs > PAIRS_MAX || want.jobs < 1 ||
		want.jobs > JOBS_MAX)
		usage();
}

int main(int argc, char **argv)
{
	static struct side sides[2] = {{.name = "vmf"}, {.name = "bare"}};
	static struct series series[3];
	posix_spawn_file_actions_t actions;
	int n_series, null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	read_options(argc, argv, &sides[0], &sides[1]);
	/* the one that is the measure is run twice in each round */
	n_series = sides[1].command ? 3 : 2;
	series[0].side = &sides[0];
	for (int i = 1; i < n_series; i++)
		series[i].side = &sides[n_series - 2];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, null_fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, null_fd, STDOUT_FILENO);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int round = -WARM_UP; round < want.pairs; round++) {
		for (int i = 0; i < n_series; i++) {
			/* each is first, second and last equally often */
			struct series *s = &series[(i + round + WARM_UP) % n_series];
			double ms, cpu_ms;

			measure(s, s->side == &sides[0], &actions, &ms, &cpu_ms);
			if (round >= 0) {
				s->ms[round] = ms;
				s->cpu_ms[round] = cpu_ms;
			}
		}
	}
	report(&series[0], n_series == 3 ? &series[1] : NULL, &series[n_series - 1]);
	posix_spawn_file_actions_destroy(&actions);
	return 0;
}
