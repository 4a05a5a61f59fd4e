/* SPDX-License-Identifier: ISC */
/* What start.c gathers for command.c: the plugins' answers for each disk, NIC and the display. */
#ifndef VMF_VM_START_H
#define VMF_VM_START_H

#include "vm/vm.h"

#define SERIAL_MAX 4
#define READY_MS 60000 /* for QEMU to come up; under load, with much memory to restore */

struct start {
	const struct vm_start_options *options;
	struct vm_started *started;
	struct vmf_block *blocks;    /* one per disk */
	struct vmf_netdev *netdevs;  /* one per NIC */
	struct vmf_display display;
	struct qemu_args args;
	bool is_dry;
	int qmp_fd, events_fd, hmp_fd, agent_fd, serial_fds[SERIAL_MAX]; /* bound sockets; owned by args once given */
	bool from_saved;             /* it goes on from saved memory */
	json_t *places;              /* then: where its devices were (see save.c), or NULL */
	int saved_fd;                /* that memory, until args owns it, or -1 */
	off_t log_offset;
	pid_t pid;
	int pidfd;
};

/* QEMU's full path; NULL and err. The caller frees. */
char *command_program(const struct vm *vm, struct vmf_error *err);
/* The command line from what was gathered. */
int command_build(struct vm *vm, struct start *start, struct vmf_error *err);

/* ---- disks (command_disk.c) --------------------------------------------------------------- */

int command_disks(struct vm *vm, struct start *start, struct vmf_error *err);
/* -device; consumes it. It goes where it was when the VM was saved. */
void command_device(struct start *start, json_t *device);
/* What QEMU's -device and device_add take for a disk whose node is there; on ide the place is missing. */
json_t *command_disk_device(const struct vm_disk *disk);
json_t *command_scsi_controller(void);

/* ---- NICs (command_nic.c) ----------------------------------------------------------------- */

int command_nics(struct vm *vm, struct start *start, struct vmf_error *err);
/* What QEMU's -device and device_add take for a NIC whose netdev is there. */
json_t *command_nic_device(const struct vm_nic *nic);
/* The id of the netdev of the NIC in SLOT; the caller frees. */
char *command_netdev_id(const char *slot);
/* Adds to the NIC's device what its netdev asks of it: queues, MTU. */
void command_nic_fit(json_t *device, const struct vmf_netdev *netdev);

#endif
