#!/bin/bash
# SPDX-License-Identifier: ISC
# The table of cases that all stores have in common, on images in files: qcow2 and raw. See tests/storage/cases.sh.

. "${0%/*}/../lib.sh"
need_program qemu-img qemu-utils
need_program qemu-io qemu-utils
need_program qemu-system-x86_64 qemu-system-x86
need_program jq jq

for STORE in qcow2 raw; do
	rm -rf "$VMF_HOME"
	mkdir -p "$VMF_HOME/etc" "$scratch/$STORE.images"
	cat >"$VMF_HOME/etc/vmf.conf" <<-END
		accel = "tcg"
		memory = "32M"
		network = "none"
		drive_size = "8M"
		storage = "s"
		storage "s" { file-qcow2 { dir = "$scratch/$STORE.images" format = "$STORE" } }
	END
	# shellcheck disable=SC2034 # cases.sh uses it
	. "${0%/*}/../storage/cases.sh"
done
plan_now
