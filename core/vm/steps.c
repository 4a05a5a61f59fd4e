/* SPDX-License-Identifier: ISC */
#include "vm/steps.h"

const struct step *step_find(const char *name)
{
	static const struct step *const all[] = {
		&step_run_folder,
		&step_disk_attach,
		&step_nic_up,
		&step_display,
		&step_spawn,
		&step_ready,
		&step_definition,
		&step_volume_create,
		&step_volume_import,
		&step_volume_remove,
		&step_file_remove,
		&step_volume_rename,
		&step_file_rename,
		&step_save_pause,
		&step_save_write,
		&step_volume_snapshot,
		&step_guest_snapshot,
		&step_snapshot_remove,
		&step_volume_rollback,
		&step_guest_resume,
		&step_volume_clone,
		&step_file_copy,
		&step_definition_change,
		&step_disk_plug,
		&step_nic_plug,
		&step_nic_unplug,
		&step_nic_move,
		&step_nic_link,
		&step_nic_forward,
		&step_volume_grow,
		&step_volume_compress,
		&step_volume_export,
		&step_mount_record,
		&step_mount_image,
		&step_mount_parts,
		&step_unmount,
		&step_trim,
		&step_volume_receive,
		&step_file_receive,
	};

	for (size_t i = 0; i < VMF_COUNT(all); i++)
		if (str_equal(all[i]->name, name))
			return all[i];
	return NULL;
}
