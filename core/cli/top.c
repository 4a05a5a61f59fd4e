/* SPDX-License-Identifier: ISC */
/*
 * top: what the VMs that run take, again and again. A terminal gets a table that is drawn over, a pipe plain
 * rows with tabs, as `list` does. What a process takes is in /proc; what its disks do QEMU says, what its
 * NICs do their plugins.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/tty.h"
#include "cli/cli.h"
#include "config/value.h"

#define INTERVAL_MS 2000
#define ANSWER_MS 500
#define CTRL_C 3

/* What has been counted since a VM was started. */
struct counts {
	int64_t when_ms; /* 0: never looked */
	double cpu_s;
	uint64_t read, written, received, sent;
};

struct row {
	struct vm *vm;
	struct vm_state state;
	struct counts before, now;
	uint64_t resident;
	double cpu;			      /* per cent of one processor */
	double read, written, received, sent; /* bytes a second */
	bool is_seen;
};

struct top {
	struct ctx *ctx;
	struct row **rows;
	size_t n_rows;
	char sort; /* the key that chose it */
};

/* ---- one VM ------------------------------------------------------------------------------- */

static void read_process(struct row *row)
{
	autofree char *stat_path = str_printf("/proc/%d/stat", (int)row->state.pid);
	autofree char *statm_path = str_printf("/proc/%d/statm", (int)row->state.pid);
	autofree char *stat = file_read_at(AT_FDCWD, stat_path, 4096, NULL);
	autofree char *statm = file_read_at(AT_FDCWD, statm_path, 4096, NULL);
	const char *behind = stat ? strrchr(stat, ')') : NULL; /* the name may hold anything */
	unsigned long user, system, pages;

	if (behind &&
		sscanf(behind, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
		row->now.cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
	if (statm && sscanf(statm, "%*u %lu", &pages) == 1)
		row->resident = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void read_disks(struct row *row)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	json_t *answer = NULL, *disk;
	size_t i;

	if (vm_qmp(row->vm, time_now_ms() + ANSWER_MS, &ignored) == 0 &&
		qmp_command(row->vm->qmp, "query-blockstats", NULL, &answer, time_now_ms() + ANSWER_MS,
			&ignored) == 0) {
		row->now.read = row->now.written = 0;
		json_array_foreach(answer, i, disk)
		{
			json_t *stats = json_object_get(disk, "stats");

			row->now.read += (uint64_t)json_integer_value(json_object_get(stats, "rd_bytes"));
			row->now.written += (uint64_t)json_integer_value(json_object_get(stats, "wr_bytes"));
		}
	}
	vm_qmp_close(row->vm); /* others want it, too */
	json_decref(answer);
	error_clear(&ignored);
}

static void read_nics(struct row *row)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct vm *vm = row->vm;

	row->now.received = row->now.sent = 0;
	if (!vm->is_resolved && vm_resolve(vm, &ignored) < 0)
		log_debug("vm \"%s\": %s", vm->name, ignored.message);
	for (size_t i = 0; vm->is_resolved && i < vm->n_nics; i++) {
		const struct vm_nic *n = &vm->nics[i];
		struct vmf_nic nic = {
			.size = sizeof(nic), .mac = n->mac, .model = n->model, .segment = n->segment};
		struct vmf_nic_info info = {.size = sizeof(info)};
		struct vm_call call;

		vm_call_nic(vm, n, &call);
		if (n->plugin->ops.network.info &&
			n->plugin->ops.network.info(&call.call, &nic, &info, &ignored) == 0) {
			row->now.received += info.rx_bytes;
			row->now.sent += info.tx_bytes;
		}
		error_clear(&ignored);
	}
	error_clear(&ignored);
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

static void look(struct row *row)
{
	pid_t pid = row->state.pid;
	double seconds;

	vm_state_of(row->vm, &row->state);
	row->before = row->now;
	if (pid != row->state.pid) /* another process: its counts begin anew */
		memset(&row->before, 0, sizeof(row->before));
	memset(&row->now, 0, sizeof(row->now));
	row->now.read = row->before.read;
	row->now.written = row->before.written;
	row->resident = 0;
	if (row->state.pid) {
		row->now.when_ms = time_now_ms();
		read_process(row);
		if (!str_equal(row->state.status, "hung"))
			read_disks(row);
		read_nics(row);
	}
	seconds = row->before.when_ms ? (double)(row->now.when_ms - row->before.when_ms) / 1000 : 0;
	row->cpu = seconds > 0 && row->now.cpu_s > row->before.cpu_s
			   ? 100 * (row->now.cpu_s - row->before.cpu_s) / seconds
			   : 0;
	row->read = rate(row->now.read, row->before.read, seconds);
	row->written = rate(row->now.written, row->before.written, seconds);
	row->received = rate(row->now.received, row->before.received, seconds);
	row->sent = rate(row->now.sent, row->before.sent, seconds);
}

/* ---- all ---------------------------------------------------------------------------------- */

static struct row *row_of(struct top *top, const char *name)
{
	struct vmf_error ignored = VMF_ERROR_INIT;
	struct row *row;

	for (size_t i = 0; i < top->n_rows; i++)
		if (str_equal(top->rows[i]->vm->name, name))
			return top->rows[i];
	row = mem_alloc(sizeof(*row));
	row->vm = vm_load(top->ctx, name, true, &ignored);
	error_clear(&ignored);
	if (!row->vm) {
		free(row);
		return NULL;
	}
	top->rows = mem_resize(top->rows, (top->n_rows + 1) * sizeof(struct row *));
	top->rows[top->n_rows++] = row;
	return row;
}

static void row_free(struct row *row)
{
	vm_free(row->vm);
	free(row);
}

static double value_of(const struct row *row, char sort)
{
	switch (sort) {
	case 'c':
		return row->cpu;
	case 'm':
		return (double)row->resident;
	case 'd':
		return row->read + row->written;
	case 't':
		return row->received + row->sent;
	}
	return 0;
}

static char sort_key;

static int compare(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
	double p = value_of(x, sort_key), q = value_of(y, sort_key);

	return p > q ? -1 : p < q ? 1 : strcmp(x->vm->name, y->vm->name);
}

static int look_at_all(struct top *top, struct vmf_error *err)
{
	autostrv struct strv names = STRV_INIT;
	size_t n = 0;

	if (vm_names(top->ctx, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < top->n_rows; i++)
		top->rows[i]->is_seen = false;
	for (size_t i = 0; i < names.count; i++) {
		struct vm_state state;
		struct row *row;

		vm_state_read(top->ctx, names.items[i], &state);
		row = state.pid ? row_of(top, names.items[i]) : NULL;
		if (row) {
			row->is_seen = true;
			look(row);
		}
	}
	for (size_t i = 0; i < top->n_rows; i++)
		if (top->rows[i]->is_seen)
			top->rows[n++] = top->rows[i];
		else
			row_free(top->rows[i]);
	top->n_rows = n;
	sort_key = top->sort;
	if (n)
		qsort(top->rows, n, sizeof(struct row *), compare);
	return 0;
}

/* ---- shown --------------------------------------------------------------------------------- */

static void print_json(const struct top *top)
{
	json_t *all = json_array();

	for (size_t i = 0; i < top->n_rows; i++) {
		const struct row *r = top->rows[i];

		json_array_append_new(all,
			json_pack("{s:s, s:s, s:i, s:f, s:I, s:I, s:I, s:I, s:I}", "vm", r->vm->name, "state",
				r->state.status, "pid", (int)r->state.pid, "cpu_percent", r->cpu, "resident",
				(json_int_t)r->resident, "read_rate", (json_int_t)r->read, "write_rate",
				(json_int_t)r->written, "receive_rate", (json_int_t)r->received, "send_rate",
				(json_int_t)r->sent));
	}
	out_json(all);
}

static void print_rows(const struct top *top)
{
	for (size_t i = 0; i < top->n_rows; i++) {
		const struct row *r = top->rows[i];

		printf("%s\t%s\t%.1f\t%llu\t%.0f\t%.0f\t%.0f\t%.0f\n", r->vm->name, r->state.status, r->cpu,
			(unsigned long long)r->resident, r->read, r->written, r->received, r->sent);
	}
}

/* "12.3M" */
static void put_size(struct strbuf *out, double bytes)
{
	static const char units[] = "BKMGT";
	size_t unit = 0;

	for (; bytes >= 1000 && units[unit + 1]; unit++)
		bytes /= 1024;
	strbuf_printf(out, unit && bytes < 100 ? " %8.1f%c" : " %8.0f%c", bytes, units[unit]);
}

static void draw(const struct top *top)
{
	autostrbuf struct strbuf text = STRBUF_INIT;
	struct winsize size = {.ws_row = 0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		size.ws_row = 24;
	strbuf_puts(&text, "\033[H\033[7m");
	strbuf_printf(&text, "%-20s %-10s %6s %9s %9s %9s %9s %9s", "Name", "State", "CPU %", "Memory",
		"Read/s", "Write/s", "Recv/s", "Send/s");
	strbuf_puts(&text, "\033[m\033[K\r\n");
	for (size_t i = 0; i < top->n_rows && i + 3 < size.ws_row; i++) {
		const struct row *r = top->rows[i];
		const double values[] = {(double)r->resident, r->read, r->written, r->received, r->sent};

		strbuf_printf(&text, "%-20.20s %-10.10s %6.1f", r->vm->name, r->state.status, r->cpu);
		for (size_t k = 0; k < VMF_COUNT(values); k++)
			put_size(&text, values[k]);
		strbuf_puts(&text, "\033[K\r\n");
	}
	strbuf_puts(&text, "\033[Jorder: n name  c CPU  m memory  d disk  t traffic; q quits\033[K");
	fd_write_all(STDOUT_FILENO, text.data, text.length);
}

/* Until the next look is due; false: the person wants to go. */
static bool wait_for_keys(struct top *top, int64_t until_ms)
{
	for (;;) {
		struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
		int64_t left = until_ms - time_now_ms();
		char keys[64];
		ssize_t n;

		if (left <= 0)
			return true;
		n = poll(&p, 1, (int)left);
		if (log_interrupted || (n < 0 && errno != EINTR))
			return false;
		n = n > 0 ? read(STDIN_FILENO, keys, sizeof(keys)) : 0;
		if (p.revents && n <= 0) /* the terminal is gone */
			return false;
		for (ssize_t i = 0; i < n; i++) {
			if (keys[i] == 'q' || keys[i] == CTRL_C)
				return false;
			if (!strchr("ncmdt", keys[i]))
				continue;
			top->sort = sort_key = keys[i];
			if (top->n_rows)
				qsort(top->rows, top->n_rows, sizeof(struct row *), compare);
			draw(top);
		}
	}
}

static int show_on_terminal(struct top *top, int64_t interval_ms, struct vmf_error *err)
{
	int rc = tty_raw(STDIN_FILENO, err);

	if (rc < 0)
		return -1;
	fd_write_all(STDOUT_FILENO, "\033[?1049h\033[?25l", 14);
	do {
		rc = look_at_all(top, err);
		if (rc == 0)
			draw(top);
	} while (rc == 0 && wait_for_keys(top, time_now_ms() + interval_ms));
	fd_write_all(STDOUT_FILENO, "\033[?25h\033[?1049l", 14);
	tty_restore();
	return rc;
}

/* The first rows come after one interval: before, there are no rates. */
static int show_plain(struct top *top, int64_t interval_ms, int64_t count, struct vmf_error *err)
{
	if (look_at_all(top, err) < 0)
		return -1;
	for (int64_t i = 0; (!count || i < count) && !log_interrupted; i++) {
		for (int64_t until = time_now_ms() + interval_ms; !log_interrupted && time_now_ms() < until;)
			time_sleep_ms(until - time_now_ms() < 100 ? until - time_now_ms() : 100);
		if (log_interrupted || look_at_all(top, err) < 0)
			break;
		if (top->ctx->json)
			print_json(top);
		else
			print_rows(top);
		if (fflush(stdout) != 0) /* nobody reads on */
			break;
	}
	return err->code ? -1 : 0;
}

int command_top(struct cli_call *call, struct vmf_error *err)
{
	const char *interval = cli_option(call, "--interval", 0), *count = cli_option(call, "--count", 0);
	int64_t interval_ms = INTERVAL_MS, n = 1;
	struct top top = {.ctx = call->ctx, .sort = 'c'};
	int rc;

	if (call->args.count)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "top takes no word: %s", call->args.items[0]);
	if (interval && value_parse_time(interval, &interval_ms, err) < 0)
		return cli_usage(err, "--interval");
	if (interval_ms < 100 || interval_ms > 3600000)
		return vmf_fail(err, VMF_E_USAGE, 0, NULL, "--interval: 100ms to 1h, not %s", interval);
	if (count && value_parse_int(count, &n, err) < 0)
		return cli_usage(err, "--count");
	if (n < 0)
		return vmf_fail(err, VMF_E_USAGE, 0, "0: for ever", "--count: %s", count);
	if (ctx_load(call->ctx, err) < 0)
		return -1;
	if (!count && !call->ctx->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		rc = show_on_terminal(&top, interval_ms, err);
	else
		rc = show_plain(&top, interval_ms, n, err);
	for (size_t i = 0; i < top.n_rows; i++)
		row_free(top.rows[i]);
	free(top.rows);
	return rc;
}
