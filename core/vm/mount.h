/* SPDX-License-Identifier: ISC */
/* The inside of `disk mount`: what mount.c, mount_export.c and mount_parts.c share. */
#ifndef VMF_VM_MOUNT_H
#define VMF_VM_MOUNT_H

#include "vm/disk.h"
#include "vm/vm.h"

/* Where things of a mounted disk are, all of them lasting: LIB/mounts/NAME/SLOT.* */
struct mount_paths {
	char *folder; /* LIB/mounts/NAME */
	char *record; /* what was begun: JSON */
	char *image;  /* the disk as a raw file, where qemu-storage-daemon shows it */
	char *lock;   /* qemu-storage-daemon's pid; locked by it as long as it lives */
	char *log;    /* its words */
};
void mount_paths_init(const struct vm *vm, const char *slot, struct mount_paths *paths);
void mount_paths_free(struct mount_paths *paths);
/* What the raw image is, or is going to be: a mapped device is known by its own name. The caller frees. */
char *mount_image(const json_t *record, const struct mount_paths *paths);

struct plan;
/* Adds to PLAN what makes the disk a raw image on this host; *record, the caller's, is the steps' DATA. (mount.c) */
int plan_show(struct vm *vm, const struct vm_disk *disk, struct plan *plan, const struct vm_mount *mount, json_t **record,
	struct vmf_error *err);

/* ---- the disk as a raw file (mount_export.c) ---------------------------------------------- */

/* Starts a qemu-storage-daemon that shows BLOCK as the raw file PATHS->image. */
int export_start(
	struct vm *vm, const char *slot, const struct vmf_block *block, const struct mount_paths *paths, struct vmf_error *err);
/* Ends it, after it has written everything. Ended already: 0. */
int export_stop(const struct mount_paths *paths, struct vmf_error *err);
bool export_is_alive(const struct mount_paths *paths);

/* ---- its partitions (mount_parts.c) -------------------------------------------------------- */

/* Makes the record's folder. */
int mount_folder(const json_t *record, struct vmf_error *err);
/* Mounts what is in the raw image IMAGE at FOLDER, or its partitions at FOLDER/partN. What was mounted and what was
 * not is added to the array PARTS (see vm_disk_mounted). VMF_E_UNSUPPORTED: nothing of it can be mounted. */
int parts_mount(const char *image, const char *folder, bool readonly, json_t *parts, struct vmf_error *err);
/* Unmounts everything that stands on IMAGE, and waits until its loop devices are gone. */
int parts_unmount(const char *image, struct vmf_error *err);

#endif
