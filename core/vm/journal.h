/* SPDX-License-Identifier: ISC */
/* What plan.c, which writes journals, and recover.c, which reads those of others, share. */
#ifndef VMF_VM_JOURNAL_H
#define VMF_VM_JOURNAL_H

#include "vm/vm.h"

struct planned {
	const struct step *step;
	json_t *args;
	char *text; /* what --dry-run shows; NULL in a journal */
};

struct planned_list {
	struct planned *items;
	size_t count;
};

void planned_free(struct planned_list *list);
/* Undoes the first COUNT steps. Goes on after a failure, and says what could not be undone. */
int planned_undo(struct vm *vm, const struct planned_list *list, size_t count);
/* After a commit: runs THENS. If one fails that has an undo, it and all STEPS are undone. */
int planned_finish(struct vm *vm, const struct planned_list *thens, const struct planned_list *steps,
	struct vmf_error *err);
/* See plan.c. */
int fault_point(const char *where, struct vmf_error *err);
int journal_remove(const struct vm *vm, const char *path, const char *also, struct vmf_error *err);
/* Removes VM ALSO's journal if that is a link to NAME's. */
void journal_unlink_also(const struct ctx *ctx, const char *name, const char *also);

#endif
