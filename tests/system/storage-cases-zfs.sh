#!/bin/bash
# SPDX-License-Identifier: ISC
# The table of cases that all stores have in common, on a real pool of ZFS: tests/storage/cases-zfs.sh.

. "${0%/*}/../lib.sh"

in_storage_guest --timeout 1200 --disks 1 --disk-size 768M tests/storage/cases-zfs.sh
