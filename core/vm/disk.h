/* SPDX-License-Identifier: ISC */
/* What can be done with single disks of a VM (disk_add.c, disk_change.c, disk_copy.c, mount.c, trim.c). */
#ifndef VMF_VM_DISK_H
#define VMF_VM_DISK_H

#include "vm/vm.h"

/* The disk of that title or number, after vm_resolve(); NULL and err. */
struct vm_disk *vm_disk_find(struct vm *vm, const char *title, struct vmf_error *err);

/* A disk that is to be. A title that is configured already, without its volume, is made as it is configured. */
struct vm_new_disk {
	const char *title;         /* NULL: the next number */
	const char *storage, *bus; /* NULL: as the VM's disks are by default */
	uint64_t size_bytes;       /* 0: as configured, as the image, or drive_size */
	const struct image *image; /* what it is to be a copy of, or NULL */
	const char *origin;        /* the volume of STORAGE that it is to be a clone of, or NULL */
	bool is_gold;              /* ORIGIN is looked for as [CLASS-]ORIGIN, then as the first volume of a VM of that name */
	const char *snapshot;      /* of that, or NULL */
	enum vm_clone_how how;
};
struct vm_disk_added {
	char *title, *volume, *storage;
	uint64_t size_bytes;
	bool is_plugged; /* the running guest has it */
};
/* Makes the volume, notes the disk in the definition where that is needed (which is made if there is none) and plugs
 * it into the running VM. Free what was added. */
int vm_disk_add(struct vm *vm, const struct vm_new_disk *new, struct vm_disk_added *added, struct vmf_error *err);
void vm_disk_added_free(struct vm_disk_added *added);
/* Fails with VMF_E_STATE if the VM's memory is saved, which goes with its disks as they are. */
int vm_need_no_memory(struct vm *vm, struct vmf_error *err);

/* Grows only: a smaller size is VMF_E_UNSUPPORTED. Also while the VM runs, where the store can. */
struct vm_disk_size {
	uint64_t bytes;
	bool is_more; /* so much more than it has */
};
struct vm_disk_resized {
	uint64_t from_bytes, to_bytes;
};
int vm_disk_resize(struct vm *vm, const char *title, const struct vm_disk_size *wanted, struct vm_disk_resized *resized,
	struct vmf_error *err);
/* The disk and its volume go, also of a running VM, whose guest must let go of it (VMF_E_TIMEOUT). */
int vm_disk_remove(struct vm *vm, const char *title, struct vmf_error *err);
/* Packs the volume of a VM that is off; what it took up, before and after. */
int vm_disk_compress(
	struct vm *vm, const char *title, uint64_t *before_bytes, uint64_t *after_bytes, struct vmf_error *err);
/* The disk of a VM that is off becomes a copy of the image, and keeps its size if that is larger. */
int vm_disk_import(
	struct vm *vm, const char *title, const struct image *image, uint64_t *size_bytes, struct vmf_error *err);
struct vm_disk_export {
	const char *file, *format; /* as struct image's; the file must not be there */
	bool compress;
	uint64_t size_bytes;       /* set: of the disk */
};
int vm_disk_export(struct vm *vm, const char *title, struct vm_disk_export *export, struct vmf_error *err);

/* A stopped VM's disk on this host (mount.c): needs root. */
struct vm_mount {
	const char *folder; /* NULL: below LIB/mnt; missing or empty */
	bool writable;
	bool trims;         /* what is discarded must reach the volume: a loop device on a block device discards nothing */
	json_t *record;     /* set, the caller's: "folder", "readonly", "parts": [{"part", "type", "path" or "why"}] */
};
int vm_disk_mount(struct vm *vm, const char *title, struct vm_mount *mount, struct vmf_error *err);
/* Also of a VM that is no longer defined. *folder: where it was, the caller frees. VMF_E_BUSY: somebody is in it. */
int vm_disk_umount(struct vm *vm, const char *title, char **folder, struct vmf_error *err);
/* Gives back what the disk of a VM that is off takes up and does not need (trim.c): needs root. What it took up, before
 * and after. */
int vm_disk_trim(
	struct vm *vm, const char *title, uint64_t *before_bytes, uint64_t *after_bytes, struct vmf_error *err);
/* Records of what is mounted of the VM; a new array. */
json_t *vm_mounts(const struct vm *vm);
/* VMF_E_STATE if a disk of the VM is mounted, or is for writing. Forgets what a reboot has unmounted. */
int vm_need_unmounted(struct vm *vm, struct vmf_error *err);
int vm_need_unwritten(struct vm *vm, struct vmf_error *err);

/* For those who do the above: the VM taken and its disk found (to be let go of by vm_end_change() in any case); NULL. */
struct vm_disk *vm_disk_take(struct vm *vm, const char *title, struct vmf_error *err);
/* Runs the plan, or shows it, unless RC is -1 already; frees it. Gives 0 or -1. */
int vm_disk_run(struct vm *vm, struct plan *plan, const char *title, int rc, struct vmf_error *err);
/* The VM is off, and nothing of a run is left. */
int vm_disk_off(struct vm *vm, struct vmf_error *err);
/* VMF_E_NOT_FOUND, and what makes it, unless the disk's volume is there. */
int vm_disk_exists(struct vm *vm, const struct vm_disk *disk, struct vmf_volume *volume, struct vmf_error *err);
/* VMF_E_UNSUPPORTED unless its store has streams of its own kind. */
int vm_need_own_stream(struct vm *vm, const struct vm_disk *disk, struct vmf_error *err);
/* What a disk of that image will have; of a stream of the disk's store's own kind that store says it. */
int vm_image_size(struct vm *vm, const struct vm_disk *disk, const struct image *image, uint64_t *size_bytes,
	struct vmf_error *err);
uint32_t vm_disk_caps(struct vm *vm, const struct vm_disk *disk); /* VMF_STORAGE_* of its store */
/* Made by vmf, and for this VM. */
bool vm_disk_is_ours(const struct vm *vm, const struct vmf_volume *volume);
/* Adds to PLAN that the definition says the disk's size, if that is where it is said. */
int vm_disk_note_size(
	struct vm *vm, struct plan *plan, const struct vm_disk *disk, uint64_t size_bytes, struct vmf_error *err);

#endif
