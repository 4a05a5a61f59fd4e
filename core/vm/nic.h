/* SPDX-License-Identifier: ISC */
/* What is typed about NICs, and what it means. */
#ifndef VMF_VM_NIC_H
#define VMF_VM_NIC_H

#include "vm/vm.h"

/* ---- NICs (nic.c) ------------------------------------------------------------------------- */

#define VM_NICS_MAX 32

/* All NICs that the VM is to have; those that are so already stay as they are. */
struct vm_nics {
	size_t count;
	struct strv words;   /* what each is plugged into: see nic.h; those that are missing: the default network */
	const char *network; /* that bare bridges are on, and NICs without a word; NULL: chosen */
	const char *model;   /* NULL: the default for new ones */
	struct strv props;   /* "key=value"; none: as they are */
};
/* In the definition, and in the running guest (*IS_LIVE) at once; both or neither. */
int vm_nics_set(struct vm *vm, const struct vm_nics *nics, bool *is_live, struct vmf_error *err);
/* Plugs NIC WHICH (its number or title) in, into what WORD says; NULL: where it was. */
int vm_nic_connect(struct vm *vm, const char *which, const char *word, bool *is_live, struct vmf_error *err);
/* Pulls its cable. */
int vm_nic_disconnect(struct vm *vm, const char *which, bool *is_live, struct vmf_error *err);

/* A port of this host leads to the guest, or no more (forward.c). */
struct vm_forwarded {
	char *item, *rule; /* what stands in the definition; "tcp:127.0.0.1:2222-:22", or NULL; the caller frees both */
	bool is_live;
};
/* WHICH: a NIC's number or title; NULL: the first that can. In the definition and the running VM, both or neither. */
int vm_forward(struct vm *vm, const char *which, const char *text, bool remove, struct vm_forwarded *done,
	struct vmf_error *err);

/* A NIC as it is to be. Strings live as long as the VM's arena. */
struct nic_wish {
	const char *network;
	const char *segment; /* NULL: the network's own; "": none */
	const char *model;   /* NULL: as it is, or the default */
	const struct strv *props; /* NULL: as they are */
	bool is_linked;
};

/* ---- words (nic_words.c) ------------------------------------------------------------------ */

/* The network that a bare bridge's name is on: the VM's default if that has segments, else the first one that has. NULL
 * and err if there is none. */
const char *nic_network_for_bridges(struct vm *vm, struct vmf_error *err);
/* "NETWORK", "NETWORK:BRIDGE", "BRIDGE", "NETWORK:-", "-"; WORD NULL: the VM's default network. ON: the network of bare
 * bridges, or NULL. */
int nic_word_parse(struct vm *vm, const char *word, const char *on, struct nic_wish *wish, struct vmf_error *err);
/* The word for what a NIC is; the caller frees. */
char *nic_word(struct vm *vm, const struct vm_nic *nic);

#endif
