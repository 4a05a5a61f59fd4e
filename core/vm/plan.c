/* SPDX-License-Identifier: ISC */
/*
 * Plans: ordered steps, each with its undo, and the journal that lets another process undo them (recover.c).
 *
 * A journal is a file of lines. "plan OPERATION PID [forward]" opens it, "step NAME ARGS" stands before a
 * step is run, "commit" behind the last one. What is in it after its writer has died:
 *   no commit, undo plan     the steps in it are undone, last first
 *   no commit, forward plan  the steps (all were written before the first was run) are run again
 *   commit                   a start's journal: the record of what a tear-down must undo; else only to be
 *                            removed
 *   commit, then-end         all is done but for the end of QEMU, which is torn down
 *   commit, then NAME ARGS   all is done but for these steps, which are run
 *   commit, ending           a start's journal whose tear-down was begun: done once QEMU is gone
 * "also NAME" names a second VM that the operation concerns: its journal is a link to this one, so that a
 * command on either finds it. Undo and run are idempotent, so a recovery that dies is simply done once more.
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
#include "vm/journal.h"
#include "vm/quota.h"
#include "vm/steps.h"

struct plan {
	struct vm *vm;
	char *operation;
	bool lasting, forward, then_end;
	struct planned_list steps, thens;
	char *path;
	char *also; /* the other VM's name, or NULL */
	struct quota need;
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

void plan_needs(struct plan *plan, const struct quota *need)
{
	plan->need.vms += need->vms;
	plan->need.cpus += need->cpus;
	plan->need.memory_bytes += need->memory_bytes;
	plan->need.disk_bytes += need->disk_bytes;
}

void plan_also(struct plan *plan, const char *name)
{
	str_set(&plan->also, name);
}

static void add(struct planned_list *list, const struct step *step, json_t *args, char *text)
{
	list->items = mem_resize(list->items, (list->count + 1) * sizeof(*list->items));
	list->items[list->count++] = (struct planned){step, args ? args : json_object(), text};
}

void plan_add(struct plan *plan, const struct step *step, json_t *args, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(&plan->steps, step, args, str_vprintf(fmt, ap));
	va_end(ap);
}

void plan_then(struct plan *plan, const struct step *step, json_t *args, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(&plan->thens, step, args, str_vprintf(fmt, ap));
	va_end(ap);
}

void plan_describe(const struct plan *plan)
{
	const struct planned_list *const lists[] = {&plan->steps, &plan->thens};

	for (size_t k = 0; k < VMF_COUNT(lists); k++)
		for (size_t i = 0; i < lists[k]->count; i++)
			strv_add(&plan->vm->ctx->planned, lists[k]->items[i].text);
}

void planned_free(struct planned_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		json_decref(list->items[i].args);
		free(list->items[i].text);
	}
	free(list->items);
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	planned_free(&plan->steps);
	planned_free(&plan->thens);
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
int fault_point(const char *where, struct vmf_error *err)
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

static void step_line(struct strbuf *buf, const char *word, const struct planned *p)
{
	char *args = json_dumps(p->args, JSON_COMPACT);

	strbuf_printf(buf, "%s %s %s\n", word, p->step->name, args);
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

void journal_unlink_also(const struct ctx *ctx, const char *name, const char *also)
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
	for (size_t i = 0; i < plan->thens.count; i++)
		step_line(&head, "then", &plan->thens.items[i]);
	for (size_t i = 0; plan->forward && i < plan->steps.count; i++)
		step_line(&head, "step", &plan->steps.items[i]);
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

int journal_remove(const struct vm *vm, const char *path, const char *also, struct vmf_error *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return vmf_fail_errno(err, NULL, "cannot remove %s", path);
	if (also)
		journal_unlink_also(vm->ctx, vm->name, also);
	return 0;
}

int planned_undo(struct vm *vm, const struct planned_list *list, size_t count)
{
	const struct planned *steps = list->items;
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

int planned_finish(struct vm *vm, const struct planned_list *thens, const struct planned_list *steps,
	struct vmf_error *err)
{
	for (size_t i = 0; i < thens->count; i++) {
		const struct planned *p = &thens->items[i];

		log_debug("step %s", p->step->name);
		if (fault_point(p->step->name, err) == 0 && p->step->run(vm, p->args, NULL, err) == 0)
			continue;
		if (p->step->undo &&
			(planned_undo(vm, thens, i + 1) < 0 || planned_undo(vm, steps, steps->count) < 0))
			log_warn("vm \"%s\": not all of it could be undone", vm->name);
		return -1;
	}
	return 0;
}

int plan_run(struct plan *plan, void *data, bool keep, struct vmf_error *err)
{
	autoclose int quota = -1; /* until all is there to be counted */
	size_t i = 0;
	int rc;

	if (quota_take(plan->vm, &plan->need, str_equal(plan->operation, "start"), &quota, err) < 0)
		return -1;
	if (fault_point("journal", err) < 0 || journal_open(plan, err) < 0)
		return -1;
	for (; i < plan->steps.count; i++) {
		struct planned *p = &plan->steps.items[i];
		autostrbuf struct strbuf line = STRBUF_INIT;

		step_line(&line, "step", p);
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
	rc = planned_finish(plan->vm, &plan->thens, &plan->steps, err);
	if (keep && rc == 0)
		return 0;
	return journal_remove(plan->vm, plan->path, plan->also, rc < 0 ? NULL : err) < 0 ? -1 : rc;
undo:
	if (plan->forward) {
		/* one that stops half way is gone on with once more by the next command; if that fails, too,
		 * the person decides */
		if (i > 1 && plan->lasting)
			log_warn("vm \"%s\": the next command on it tries to finish this", plan->vm->name);
		else
			journal_remove(plan->vm, plan->path, plan->also, NULL);
	} else if (planned_undo(plan->vm, &plan->steps, i) == 0) {
		journal_remove(plan->vm, plan->path, plan->also, NULL);
	}
	return -1;
}

int plan_done(struct plan *plan, struct vmf_error *err)
{
	return journal_remove(plan->vm, plan->path, plan->also, err);
}
