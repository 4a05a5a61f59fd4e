/* SPDX-License-Identifier: ISC */
/*
 * Plans: ordered steps, each with its undo, and the journal that lets another process undo them.
 *
 * A journal is a file of lines. "plan OPERATION PID [forward]" opens it, "step NAME ARGS" stands before a
 * step is run, "commit" behind the last one. What is in it after its writer has died:
 *   no commit, undo plan     the steps in it are undone, last first
 *   no commit, forward plan  the steps (all were written before the first was run) are run again
 *   commit                   a start's journal: the record of what a tear-down must undo; else only to be
 * removed commit, then-end         all is done but for the end of QEMU, which is torn down commit, ending a
 * start's journal whose tear-down was begun: done once QEMU is gone "also NAME" names a second VM that the
 * operation concerns: its journal is a link to this one, so that a command on either finds it. Undo and run
 * are idempotent, so a recovery that dies is simply done once more.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/steps.h"
#include "vm/vm.h"

struct planned {
	const struct step *step;
	json_t *args;
	char *text;
};

struct plan {
	struct vm *vm;
	char *operation;
	bool lasting, forward, then_end;
	struct planned *steps;
	size_t n_steps;
	char *path;
	char *also; /* the other VM's name, or NULL */
	int fd;
};

char *plan_journal_path(const struct ctx *ctx, const char *name, bool lasting)
{
	if (lasting)
		return str_printf("%s/journal/%s", ctx->paths.lib, name);
	return str_printf("%s/%s/journal", ctx->paths.run, name);
}

struct plan *plan_new(struct vm *vm, const char *operation, bool lasting)
{
	struct plan *plan = mem_alloc(sizeof(*plan));

	plan->vm = vm;
	plan->operation = str_dup(operation);
	plan->lasting = lasting;
	plan->path = plan_journal_path(vm->ctx, vm->name, lasting);
	plan->fd = -1;
	return plan;
}

void plan_forward(struct plan *plan)
{
	plan->forward = true;
}

void plan_then_end(struct plan *plan)
{
	plan->then_end = true;
}

void plan_also(struct plan *plan, const char *name)
{
	str_set(&plan->also, name);
}

void plan_add(struct plan *plan, const struct step *step, json_t *args, const char *fmt, ...)
{
	struct planned *p;
	va_list ap;

	plan->steps = mem_resize(plan->steps, (plan->n_steps + 1) * sizeof(*plan->steps));
	p = &plan->steps[plan->n_steps++];
	p->step = step;
	p->args = args ? args : json_object();
	va_start(ap, fmt);
	p->text = str_vprintf(fmt, ap);
	va_end(ap);
}

void plan_describe(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_steps; i++)
		strv_add(&plan->vm->ctx->planned, plan->steps[i].text);
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_steps; i++) {
		json_decref(plan->steps[i].args);
		free(plan->steps[i].text);
	}
	free(plan->steps);
	free(plan->operation);
	free(plan->path);
	free(plan->also);
	if (plan->fd >= 0)
		close(plan->fd);
	free(plan);
}

/*
 * Fault injection for the tests: VMF_FAULT=kill:N ends this process with SIGKILL at the Nth point that it
 * passes, fail:N makes that point fail. Ignored in privileged programs.
 */
static int fault_point(const char *where, struct vmf_error *err)
{
	static int passed;
	const char *fault = getenv("VMF_FAULT");
	const char *number = fault ? strchr(fault, ':') : NULL;

	passed++;
	if (!number || atoi(number + 1) != passed || getauxval(AT_SECURE))
		return 0;
	if (str_starts(fault, "kill:"))
		kill(getpid(), SIGKILL);
	return vmf_fail(err, VMF_E_FAILED, 0, NULL, "fault injected at point %d (%s)", passed, where);
}

static int journal_write(struct plan *plan, const char *line, struct vmf_error *err)
{
	if (fd_write_all(plan->fd, line, strlen(line)) < 0 || (plan->lasting && fdatasync(plan->fd) < 0))
		return vmf_fail_errno(err, "make room, then try again", "cannot write %s", plan->path);
	return 0;
}

static void step_line(struct strbuf *buf, const struct planned *p)
{
	char *args = json_dumps(p->args, JSON_COMPACT);

	strbuf_printf(buf, "step %s %s\n", p->step->name, args);
	free(args);
}

/* The other VM's journal: a link to NAME's. */
static int link_also(const struct ctx *ctx, const char *name, const char *also, struct vmf_error *err)
{
	autofree char *path = plan_journal_path(ctx, also, true);

	if (symlink(name, path) == 0)
		return 0;
	if (errno == EEXIST && file_exists(path)) {
		autofree char *hint = str_printf("`vmf %s status` finishes that", also);

		return vmf_fail(err, VMF_E_BUSY, 0, hint, "vm \"%s\" has unfinished work of its own", also);
	}
	/* a link that leads nowhere: its operation has ended */
	if (errno == EEXIST && unlink(path) == 0 && symlink(name, path) == 0)
		return 0;
	return vmf_fail_errno(err, NULL, "cannot make %s", path);
}

static void unlink_also(const struct ctx *ctx, const char *name, const char *also)
{
	autofree char *path = plan_journal_path(ctx, also, true);
	char target[256];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return;
	target[n] = '\0';
	if (str_equal(target, name))
		unlink(path);
}

static int journal_open(struct plan *plan, struct vmf_error *err)
{
	autostrbuf struct strbuf head = STRBUF_INIT;

	if (plan->lasting) {
		autofree char *folder = path_parent(plan->path);

		if (file_mkdirs(folder, 0700, err) < 0 ||
			(plan->also && link_also(plan->vm->ctx, plan->vm->name, plan->also, err) < 0))
			return -1;
	}
	plan->fd = open(plan->path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (plan->fd < 0)
		return vmf_fail_errno(err, NULL, "cannot write %s", plan->path);
	strbuf_printf(
		&head, "plan %s %d%s\n", plan->operation, (int)getpid(), plan->forward ? " forward" : "");
	if (plan->also)
		strbuf_printf(&head, "also %s\n", plan->also);
	if (plan->then_end)
		strbuf_puts(&head, "then-end\n");
	for (size_t i = 0; plan->forward && i < plan->n_steps; i++)
		step_line(&head, &plan->steps[i]);
	if (plan->forward)
		strbuf_puts(&head, "complete\n");
	if (journal_write(plan, head.data, err) < 0) {
		unlink(plan->path);
		return -1;
	}
	if (plan->lasting)
		file_sync_parent(plan->path);
	return 0;
}

static int journal_remove(const struct vm *vm, const char *path, const char *also, struct vmf_error *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", path);
	if (also)
		unlink_also(vm->ctx, vm->name, also);
	return 0;
}

/* Undoes the first COUNT steps. Goes on after a failure, and says what could not be undone. */
static int undo_steps(struct vm *vm, struct planned *steps, size_t count)
{
	int failed = 0;

	while (count-- > 0) {
		struct vmf_error err = VMF_ERROR_INIT;

		if (!steps[count].step->undo)
			continue;
		log_debug("undo %s", steps[count].step->name);
		if (fault_point(steps[count].step->name, &err) < 0 ||
			steps[count].step->undo(vm, steps[count].args, &err) < 0) {
			vmf_context(&err, "vm \"%s\": undo %s", vm->name, steps[count].step->name);
			log_error(&err);
			error_clear(&err);
			failed = -1;
		}
	}
	return failed;
}

int plan_run(struct plan *plan, void *data, bool keep, struct vmf_error *err)
{
	size_t i = 0;

	if (fault_point("journal", err) < 0 || journal_open(plan, err) < 0)
		return -1;
	for (; i < plan->n_steps; i++) {
		struct planned *p = &plan->steps[i];
		autostrbuf struct strbuf line = STRBUF_INIT;

		step_line(&line, p);
		log_debug("step %s", p->step->name);
		if (!plan->forward && journal_write(plan, line.data, err) < 0)
			goto undo;
		if (fault_point(p->step->name, err) < 0 ||
			(p->step->run && p->step->run(plan->vm, p->args, data, err) < 0)) {
			i++;
			goto undo;
		}
		if (log_interrupted && !plan->forward) {
			vmf_fail(err, VMF_E_FAILED, 0, NULL, "interrupted");
			i++;
			goto undo;
		}
	}
	if (fault_point("commit", err) < 0 || journal_write(plan, "commit\n", err) < 0)
		goto undo;
	(void)fault_point("committed", NULL);
	return keep ? 0 : journal_remove(plan->vm, plan->path, plan->also, err);
undo:
	/* a forward plan that cannot go on ends here: what is done stays done, and the person decides */
	if (plan->forward || undo_steps(plan->vm, plan->steps, i) == 0)
		journal_remove(plan->vm, plan->path, plan->also, NULL);
	return -1;
}

int plan_done(struct plan *plan, struct vmf_error *err)
{
	return journal_remove(plan->vm, plan->path, plan->also, err);
}

/* ---- journals of others ------------------------------------------------------------------- */

struct journal {
	char *operation, *also;
	bool forward, complete, committed, then_end, ending;
	struct planned *steps;
	size_t n_steps;
};

static void journal_free(struct journal *j)
{
	for (size_t i = 0; i < j->n_steps; i++)
		json_decref(j->steps[i].args);
	free(j->steps);
	free(j->operation);
	free(j->also);
}

/* A last line without its newline was cut off by a full disk or a kill: its step never began. */
static int journal_read(const char *path, struct journal *j, struct vmf_error *err)
{
	autofree char *text = NULL;
	char *line, *end;

	memset(j, 0, sizeof(*j));
	text = file_read_at(AT_FDCWD, path, 16 << 20, NULL);
	if (!text)
		return errno == ENOENT ? 0 : vmf_fail_errno(err, NULL, "cannot read %s", path);
	j->operation = str_dup("work");
	for (line = text; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (str_starts(line, "plan ")) {
			str_set(&j->operation, line + 5);
			j->operation[strcspn(j->operation, " ")] = '\0';
			j->forward = str_ends(line, " forward");
		} else if (str_starts(line, "also ")) {
			str_set(&j->also, line + 5);
		} else if (str_equal(line, "commit")) {
			j->committed = true;
		} else if (str_equal(line, "then-end")) {
			j->then_end = true;
		} else if (str_equal(line, "ending")) {
			j->ending = true;
		} else if (str_equal(line, "complete")) {
			j->complete = true;
		} else if (str_starts(line, "step ")) {
			char *args = strchr(line + 5, ' ');
			const struct step *step;
			json_t *json;

			if (!args)
				continue;
			*args++ = '\0';
			step = step_find(line + 5);
			json = json_loads(args, 0, NULL);
			if (!step || !json) {
				json_decref(json);
				return vmf_fail(err, VMF_E_FAILED, 0, "was it written by a newer vmf?",
					"%s: step \"%s\" is not understood", path, line + 5);
			}
			j->steps = mem_resize(j->steps, (j->n_steps + 1) * sizeof(*j->steps));
			j->steps[j->n_steps++] = (struct planned){step, json, NULL};
		}
	}
	return 1;
}

enum journal_state plan_journal_state(const char *path)
{
	autofree char *text = file_read_at(AT_FDCWD, path, 16 << 20, NULL);
	const char *commit = text ? strstr(text, "\ncommit\n") : NULL;

	if (!text)
		return JOURNAL_NONE;
	if (!commit)
		return JOURNAL_OPEN;
	return strstr(commit, "\nending\n") ? JOURNAL_ENDING : JOURNAL_STARTED;
}

int plan_mark_ending(struct vm *vm, struct vmf_error *err)
{
	autofree char *path = plan_journal_path(vm->ctx, vm->name, false);
	autoclose int fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);

	if (fault_point("ending", err) < 0)
		return -1;
	/* a full disk is no reason not to end: without the mark a killed stop only looks like a crash */
	if (fd >= 0 && fd_write_all(fd, "ending\n", 7) < 0)
		log_debug("cannot write %s", path);
	return 0;
}

static int finish_steps(struct vm *vm, const struct journal *j, struct vmf_error *err)
{
	int rc = 0;

	log_warn("vm \"%s\": finishing an interrupted %s", vm->name, j->operation);
	for (size_t i = 0; rc == 0 && i < j->n_steps; i++)
		if (j->steps[i].step->run)
			rc = j->steps[i].step->run(vm, j->steps[i].args, NULL, err);
	return rc;
}

static int take_back(struct vm *vm, const struct journal *j, struct vmf_error *err)
{
	if (!j->committed)
		log_warn("vm \"%s\": undoing an interrupted %s", vm->name, j->operation);
	if (undo_steps(vm, j->steps, j->n_steps) == 0)
		return 0;
	return vmf_fail(err, VMF_E_FAILED, 0, "mend what is said above, then repeat the command",
		"what an interrupted %s left could not all be undone", j->operation);
}

/* STARTED_TOO: the record of a running VM, too, which is then torn down. */
static int recover_one(struct vm *vm, const char *path, bool started_too, struct vmf_error *err)
{
	struct journal j;
	bool is_start;
	int rc;

	/* of a VM that runs: nothing has to be recovered, so it need not be understood */
	if (!started_too && plan_journal_state(path) == JOURNAL_STARTED)
		return 0;
	rc = journal_read(path, &j, err);

	if (rc <= 0)
		goto out;
	rc = 0;
	is_start = str_equal(j.operation, "start");
	if (is_start && j.committed && !started_too && !(j.ending && lock_is_held(vm->op_fd, LOCK_LIFE) == 0))
		goto out;
	if (!j.committed && j.forward && j.complete) {
		rc = finish_steps(vm, &j, err);
		if (rc < 0)
			journal_remove(vm, path, j.also, NULL);
	} else if (!j.forward && (!j.committed || is_start)) {
		rc = take_back(vm, &j, err);
	} else if (j.committed && j.then_end) {
		log_warn("vm \"%s\": finishing an interrupted %s", vm->name, j.operation);
		rc = plan_undo_start(vm, err);
	}
	if (rc == 0)
		rc = journal_remove(vm, path, j.also, err);
out:
	journal_free(&j);
	return rc < 0 ? -1 : 0;
}

/* The journal is a link: the operation was begun on another VM, and to lock that one tidies up. */
static int recover_other(struct vm *vm, const char *path, const char *name, struct vmf_error *err)
{
	struct vm *other = file_exists(path) ? vm_load(vm->ctx, name, true, err) : NULL;
	int rc = other || !file_exists(path) ? 0 : -1;

	if (other)
		rc = vm_lock_any(other, err);
	vm_free(other);
	if (rc == 0)
		unlink_also(vm->ctx, name, vm->name);
	return rc;
}

int plan_recover(struct vm *vm, struct vmf_error *err)
{
	autofree char *lasting = plan_journal_path(vm->ctx, vm->name, true);
	autofree char *started = plan_journal_path(vm->ctx, vm->name, false);
	char other[256];
	ssize_t n = readlink(lasting, other, sizeof(other) - 1);

	if (n > 0) {
		other[n] = '\0';
		if (recover_other(vm, lasting, other, err) < 0)
			return -1;
	}

	/* a start that did not commit first: it stands on what a create has made */
	if (recover_one(vm, started, false, err) < 0)
		return -1;
	return recover_one(vm, lasting, true, err);
}

void plan_prepare_undo(struct vm *vm)
{
	autofree char *path = plan_journal_path(vm->ctx, vm->name, false);
	struct journal j;

	journal_read(path, &j, NULL);
	for (size_t i = 0; i < j.n_steps; i++) {
		struct vm_recorded r;

		/* steps that are no plugin's have no record; what is wrong is said when they are undone */
		vm_recorded_load(vm, j.steps[i].args, &r, NULL);
		vm_recorded_free(&r);
	}
	journal_free(&j);
}

int plan_undo_start(struct vm *vm, struct vmf_error *err)
{
	autofree char *started = plan_journal_path(vm->ctx, vm->name, false);

	return recover_one(vm, started, true, err);
}
