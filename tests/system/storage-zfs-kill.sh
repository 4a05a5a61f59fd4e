#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-zfs, killed at every point: tests/storage/zfs-kill.sh.

. "${0%/*}/../lib.sh"

cp "$top_builddir/tests/storage/call" "$scratch/call"
in_storage_guest --timeout 3000 --disks 1 --disk-size 768M "$scratch/call" tests/storage/zfs-kill.sh
