/* SPDX-License-Identifier: ISC */
/* Disks in QEMU's words, on the command line and as what is plugged into a running VM. */
#include <string.h>

#include "vm/start.h"

/* The controller that scsi disks are on. */
static const char scsi_id[] = "scsi";

json_t *command_scsi_controller(void)
{
	return json_pack("{s:s, s:s}", "driver", "virtio-scsi-pci", "id", scsi_id);
}

json_t *command_disk_device(const struct vm_disk *d)
{
	const char *serial = d->section ? conf_string(d->section, "serial") : NULL;
	json_t *device =
		json_pack("{s:s, s:s, s:s}", "driver", "virtio-blk-pci", "id", d->slot, "drive", d->slot);

	if (str_equal(d->bus, "scsi")) {
		json_object_set_new(device, "driver", json_string("scsi-hd"));
		json_object_set_new(device, "bus", json_string("scsi.0"));
	} else if (str_equal(d->bus, "ide")) {
		json_object_set_new(device, "driver", json_string("ide-hd"));
	} else if (str_equal(d->bus, "nvme")) {
		json_object_set_new(device, "driver", json_string("nvme"));
		serial = serial ? serial : d->slot;
	} else if (str_equal(d->bus, "usb")) {
		json_object_set_new(device, "driver", json_string("usb-storage"));
		json_object_set_new(device, "bus", json_string("usb.0"));
	}
	if (!str_equal(d->bus, "nvme")) { /* nvme has neither */
		json_object_set_new(device, "werror", json_string("stop"));
		json_object_set_new(device, "rerror", json_string(d->readonly ? "report" : "stop"));
	}
	if (serial)
		json_object_set_new(device, "serial", json_string(serial));
	if (d->section && conf_get(d->section, "bootindex"))
		json_object_set_new(device, "bootindex", json_integer(conf_number(d->section, "bootindex")));
	return device;
}

void command_device(struct start *s, json_t *device)
{
	const char *id = json_string_value(json_object_get(device, "id"));
	json_t *place = id ? json_object_get(s->places, id) : NULL;

	if (place)
		json_object_update(device, place);
	qemu_args_json(&s->args, "-device", device);
}

/* ide.1 has the CD drive */
static void place_on_ide(json_t *device, unsigned n_ide)
{
	json_object_set_new(device, "bus", json_string(n_ide < 2 ? "ide.0" : "ide.1"));
	json_object_set_new(device, "unit", json_integer(n_ide < 2 ? n_ide : 1));
}

int command_disks(struct vm *vm, struct start *s, struct vmf_error *err)
{
	/* a controller that was plugged in stays, though its disks have gone */
	bool has_scsi = false, needs_scsi = json_object_get(s->places, scsi_id) != NULL;
	unsigned n_ide = 0;

	for (size_t i = 0; i < vm->n_disks; i++) {
		const struct vm_disk *d = &vm->disks[i];
		bool is_ide = str_equal(d->bus, "ide");
		json_t *device;

		if (is_ide && n_ide >= 3)
			return vmf_fail(err, VMF_E_CONFIG, 0, "set bus = \"virtio\" or \"scsi\"",
				"disk \"%s\": three IDE disks and the CD drive fill the controller",
				d->title);
		if (d->readonly)
			s->blocks[i].readonly = 1;
		if (qemu_args_block(&s->args, d->slot, &s->blocks[i], s->is_dry, err) < 0)
			return vmf_context(err, "disk \"%s\"", d->title);
		if (str_equal(d->bus, "scsi") && !has_scsi) {
			command_device(s, command_scsi_controller());
			has_scsi = true;
		}
		device = command_disk_device(d);
		if (is_ide)
			place_on_ide(device, n_ide++);
		command_device(s, device);
	}
	if (needs_scsi && !has_scsi)
		command_device(s, command_scsi_controller());
	return 0;
}
