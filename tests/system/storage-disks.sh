#!/bin/bash
# SPDX-License-Identifier: ISC
# `disk trim` in LVM and ZFS: tests/storage/disks.sh.

. "${0%/*}/../lib.sh"

in_storage_guest --timeout 850 --disks 2 --disk-size 512M tests/storage/disks.sh
