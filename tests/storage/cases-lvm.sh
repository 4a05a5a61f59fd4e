#!/bin/bash
# SPDX-License-Identifier: ISC
# The table of cases that all stores have in common, on LVM (cases.sh): STORES (thin; with VMF_LONG thick, too). Runs in the
# storage guest.

. "${0%/*}/lib.sh"

mkdir -p "$VMF_HOME/etc"
ok "a volume group with a thin pool" bash -c "vgcreate -q vg0 /dev/vda /dev/vdb &&
	lvcreate -qq -y --type thin-pool -L 300M -n pool vg0"
for STORE in ${STORES:-thin ${VMF_LONG:+thick}}; do
	rm -rf "${VMF_HOME:?}"/etc/vms
	cat >"$VMF_HOME/etc/vmf.conf" <<-END
		accel = "tcg"
		memory = "16M"
		network = "none"
		drive_size = "8M"
		storage = "s"
		storage "s" { lvm { vg = "vg0" $([ "$STORE" = thin ] && echo 'pool = "pool"' || echo 'snapshot_size = "8M"') } }
	END
	# shellcheck disable=SC2034 # cases.sh uses it
	. "${0%/*}/cases.sh"
done
plan_now
