#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-zfs and the host: tests/storage/zfs-host.sh.

. "${0%/*}/../lib.sh"

need_program partx util-linux
cp "$top_builddir/tests/storage/call" "$scratch/call"
in_storage_guest --timeout 850 --disks 1 --disk-size 768M "$scratch/call" "$(command -v partx)" tests/storage/zfs-host.sh
