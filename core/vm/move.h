/* SPDX-License-Identifier: ISC */
/*
 * A VM that goes to another host: what each of both ends does. The end that it comes from has it taken all the while, and
 * writes its disks and files as one stream; the end that it goes to makes them, and only what makes the VM, its
 * definition, comes later, once it is settled that it lives there.
 *
 * Between "all is there" and "it lives there" a mark (LIB/managed/NAME.moving) at the old host keeps it from being started:
 * from then on only the near end, which has the definition, says where it lives.
 */
#ifndef VMF_VM_MOVE_H
#define VMF_VM_MOVE_H

#include "vm/vm.h"

/* Takes the VM, which must be off or saved, and says what there is to send; NULL and err. */
json_t *move_manifest(struct vm *vm, struct vmf_error *err);
/* Writes all that the manifest names to FD. */
int move_send(struct vm *vm, const json_t *manifest, int fd, struct vmf_error *err);
/* Looks whether what MANIFEST names can be made here, for VM, which has become what it is going to be. Removes what a move
 * that did not come to its end has left. */
int move_check(struct vm *vm, const json_t *manifest, struct vmf_error *err);
/* Makes it from the stream FD: all or nothing. VM is taken. */
int move_receive(struct vm *vm, const json_t *manifest, int fd, struct vmf_error *err);

/* The mark. */
int move_mark(const struct ctx *ctx, const char *name, struct vmf_error *err);
void move_unmark(const struct ctx *ctx, const char *name);
bool move_is_marked(const struct ctx *ctx, const char *name);
/* The VM with the mark lives elsewhere now: all of it is removed. Gone already: 0. */
int move_drop(struct ctx *ctx, const char *name, const char *uuid, struct vmf_error *err);

/* ---- the stream (move_stream.c) ------------------------------------------------------------ */

/* All of FROM, in parts with a checksum behind them; zeroes are only counted. -1 and errno. */
int move_encode(int from, int to);
/* The other way. EBADMSG: what came is not what was sent. */
int move_decode(int from, int to);

#endif
