/* SPDX-License-Identifier: ISC */
/* What `vnc` and `web` share: a running VM's screen, which is VNC. */
#ifndef VMF_CLI_SCREEN_H
#define VMF_CLI_SCREEN_H

#include "vm/vm.h"

/* Resolves the VM; where its display is. VMF_E_NOT_FOUND: it has none; VMF_E_UNSUPPORTED: it is not VNC. */
int screen_look(struct vm *vm, struct vmf_display_info *info, struct vmf_error *err);
/* Hands CLIENT, a connected stream, to QEMU, which has a copy of it then; the caller keeps its own. IS_KNOWN: it has shown who
 * it is already, and is asked for no password. Waits for a third of
 * a second at most: VMF_E_TIMEOUT and VMF_E_BUSY say that it may do so later. */
int screen_hand_over(struct vm *vm, int client, bool is_known, struct vmf_error *err);
/* A stream to the display past QEMU's monitor, the caller's; -1 and errno (EAGAIN: not now). After screen_look(). */
int screen_open(struct vm *vm);
/* Makes and sets a password that holds for WAIT_MS (0: until another is set); *password, the caller frees.
 * VMF_E_UNSUPPORTED: the display asks for none. */
int screen_set_password(struct vm *vm, int64_t wait_ms, char **password, struct vmf_error *err);
/* WHEN: "now", or "+SECONDS". What goes wrong is passed over. */
void screen_expire(struct vm *vm, const char *when);

#endif
