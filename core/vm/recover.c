/* SPDX-License-Identifier: ISC */
/* Journals of others: what a vmf that died has left is undone or finished; and the start's, which stays. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/proc.h"
#include "vm/journal.h"
#include "vm/steps.h"

#define JOURNAL_MAX (16 << 20)

struct journal {
	char *operation, *also;
	bool forward, complete, committed, then_end, ending;
	struct planned_list steps, thens;
};

static void journal_free(struct journal *j)
{
	planned_free(&j->steps);
	planned_free(&j->thens);
	free(j->operation);
	free(j->also);
}

/* "NAME ARGS" of a line, which is cut up. */
static int read_step(const char *path, char *line, struct planned_list *list, struct vmf_error *err)
{
	char *args = strchr(line, ' ');
	const struct step *step;
	json_t *json;

	if (!args)
		return 0;
	*args++ = '\0';
	step = step_find(line);
	json = json_loads(args, 0, NULL);
	if (!step || !json) {
		json_decref(json);
		return vmf_fail(err, VMF_E_FAILED, 0, "was it written by a newer vmf?",
			"%s: step \"%s\" is not understood", path, line);
	}
	list->items = mem_resize(list->items, (list->count + 1) * sizeof(*list->items));
	list->items[list->count++] = (struct planned){step, json, NULL};
	return 0;
}

/* A last line without its newline was cut off by a full disk or a kill: its step never began. */
static int journal_read(const char *path, struct journal *j, struct vmf_error *err)
{
	autofree char *text = NULL;
	char *line, *end;
	int rc = 0;

	memset(j, 0, sizeof(*j));
	text = file_read_at(AT_FDCWD, path, JOURNAL_MAX, NULL);
	if (!text)
		return errno == ENOENT ? 0 : vmf_fail_errno(err, NULL, "cannot read %s", path);
	j->operation = str_dup("work");
	for (line = text; rc == 0 && (end = strchr(line, '\n')); line = end + 1) {
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
			rc = read_step(path, line + 5, &j->steps, err);
		} else if (str_starts(line, "then ")) {
			rc = read_step(path, line + 5, &j->thens, err);
		}
	}
	return rc < 0 ? -1 : 1;
}

enum journal_state plan_journal_state(const char *path)
{
	autofree char *text = file_read_at(AT_FDCWD, path, JOURNAL_MAX, NULL);
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
	for (size_t i = 0; rc == 0 && i < j->steps.count; i++)
		if (j->steps.items[i].step->run)
			rc = j->steps.items[i].step->run(vm, j->steps.items[i].args, NULL, err);
	vm->was_destroyed |= rc == 0 && str_equal(j->operation, "destroy");
	return rc;
}

static int take_back(struct vm *vm, const struct journal *j, struct vmf_error *err)
{
	if (!j->committed)
		log_warn("vm \"%s\": undoing an interrupted %s", vm->name, j->operation);
	if (planned_undo(vm, &j->steps, j->steps.count) == 0)
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
	} else if (j.committed && j.thens.count) {
		log_warn("vm \"%s\": finishing an interrupted %s", vm->name, j.operation);
		rc = planned_finish(vm, &j.thens, &j.steps, err);
		if (rc < 0)
			journal_remove(vm, path, j.also, NULL);
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
		journal_unlink_also(vm->ctx, name, vm->name);
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

static void leave(struct vm *vm, const struct vm_recorded *recorded, size_t n)
{
	struct vm_call *calls = mem_alloc(n * sizeof(*calls));
	const struct vmf_call **list = mem_alloc(n * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		vm_call_recorded(vm, &recorded[i], &calls[i]);
		list[i] = &calls[i].call;
	}
	recorded[0].plugin->ops.network.leave(list, n);
	free(list);
	free(calls);
}

/* Of NICs of one plugin that can, which are kept in RECORDED: may this one be kept, too? */
static bool can_leave_with(const struct vm_recorded *recorded, size_t n, const struct step *step)
{
	return step == &step_nic_up && recorded[n].plugin->ops.network.leave &&
	       (n == 0 || recorded[n].plugin == recorded[0].plugin);
}

void plan_prepare_undo(struct vm *vm, bool is_ending)
{
	autofree char *path = plan_journal_path(vm->ctx, vm->name, false);
	struct vm_recorded *recorded;
	struct journal j;
	size_t n = 0;

	journal_read(path, &j, NULL);
	recorded = mem_alloc((j.steps.count + 1) * sizeof(*recorded));
	for (size_t i = 0; i < j.steps.count; i++) {
		/* steps that are no plugin's have no record; what is wrong is said when they are undone */
		if (vm_recorded_load(vm, j.steps.items[i].args, &recorded[n], NULL) == 0 &&
			can_leave_with(recorded, n, j.steps.items[i].step))
			n++;
		else
			vm_recorded_free(&recorded[n]);
	}
	if (is_ending && n > 1)
		leave(vm, recorded, n);
	while (n)
		vm_recorded_free(&recorded[--n]);
	free(recorded);
	journal_free(&j);
}

int plan_undo_start(struct vm *vm, struct vmf_error *err)
{
	autofree char *started = plan_journal_path(vm->ctx, vm->name, false);

	return recover_one(vm, started, true, err);
}

/* ---- the record of a VM that runs --------------------------------------------------------- */

/* A line of the start's journal that says that STEP was done for SLOT. */
static bool is_record_of(const char *line, size_t length, const struct step *step, const char *slot)
{
	autofree char *head = str_printf("step %s ", step->name);
	size_t n = strlen(head);
	json_t *args;
	bool is_it;

	if (length <= n || strncmp(line, head, n) != 0)
		return false;
	args = json_loadb(line + n, length - n, 0, NULL);
	is_it = str_equal(json_string_value(json_object_get(args, "slot")), slot);
	json_decref(args);
	return is_it;
}

int plan_start_record(
	struct vm *vm, const struct step *step, const char *slot, json_t *record, struct vmf_error *err)
{
	autofree char *path = plan_journal_path(vm->ctx, vm->name, false);
	autofree char *text = file_read(path, JOURNAL_MAX, NULL, err);
	autofree char *args = record ? json_dumps(record, JSON_COMPACT) : NULL;
	autostrbuf struct strbuf out = STRBUF_INIT;
	bool is_new = args != NULL;

	if (!text)
		return -1;
	for (const char *line = text, *next; *line; line = next) {
		const char *end = strchrnul(line, '\n');

		next = *end ? end + 1 : end;
		if (is_record_of(line, (size_t)(end - line), step, slot))
			continue;
		/* what stands before QEMU is undone after its end */
		if (is_new && str_starts(line, "step qemu ")) {
			strbuf_printf(&out, "step %s %s\n", step->name, args);
			is_new = false;
		}
		strbuf_add(&out, line, (size_t)(next - line));
	}
	if (file_write_at(vm->run_fd, "journal", out.data, out.length, 0600) < 0)
		return vmf_fail_errno(err, "make room, then try again", "cannot write %s", path);
	return 0;
}
