#!/bin/bash
# SPDX-License-Identifier: ISC
# Volumes and snapshots of LVM are made while vmf is killed, or lvm fails, at each step: they are there, or not.
# Runs in the storage guest; tests/system/storage-lvm-kill.sh is what starts it.

. "${0%/*}/lvm-fault-lib.sh"

each newimg reset made_or_not a newimg 8M
each "snapshot, thick" bare_thick snapshot_or_not a snapshot one
each "snapshot, thin" bare_thin snapshot_or_not a snapshot one

faults_end
