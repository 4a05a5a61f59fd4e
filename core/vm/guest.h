/* SPDX-License-Identifier: ISC */
/* What a VM's guest says of itself, if QEMU's guest agent runs in it and the VM has a channel for it. */
#ifndef VMF_VM_GUEST_H
#define VMF_VM_GUEST_H

#include "vm/vm.h"

/* Has the VM that runs a channel? */
bool vm_has_guest_agent(const struct vm *vm);
/* As guest_ask(); of a VM without a channel VMF_E_UNSUPPORTED. */
int vm_guest_ask(struct vm *vm, const char *command, json_t *arguments, json_t **answer, int64_t deadline_ms,
	struct vmf_error *err);
/* The IP addresses of the NIC with that MAC, IPv4 before IPv6; an array, the caller's, or NULL: they are not known. */
json_t *vm_guest_addresses(struct vm *vm, const char *mac);
/* Tells the guest how large the terminal at its serial port PORT is. False: it cannot be told. */
bool vm_guest_set_size(struct vm *vm, unsigned port, unsigned rows, unsigned columns);

#endif
