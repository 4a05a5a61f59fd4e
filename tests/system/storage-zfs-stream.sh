#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-zfs on a real pool, its own streams: tests/storage/zfs-stream.sh.

. "${0%/*}/../lib.sh"

cp "$top_builddir/tests/storage/call" "$scratch/call"
in_storage_guest --timeout 600 --disks 1 --disk-size 768M "$scratch/call" tests/storage/zfs-stream.sh
