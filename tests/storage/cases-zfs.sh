#!/bin/bash
# SPDX-License-Identifier: ISC
# The table of cases that all stores have in common, on ZFS (cases.sh). Runs in the storage guest.

. "${0%/*}/zfs-lib.sh"

mkdir -p "$VMF_HOME/etc"
ok "a pool" new_pool
cat >"$VMF_HOME/etc/vmf.conf" <<-END
	accel = "tcg"
	memory = "16M"
	network = "none"
	drive_size = "8M"
	storage = "s"
	storage "s" { zfs { } }
END
# shellcheck disable=SC2034 # cases.sh uses it
STORE=zfs
. "${0%/*}/cases.sh"
plan_now
