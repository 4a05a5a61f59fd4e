#!/bin/bash
# SPDX-License-Identifier: ISC
# VLANs, which not every kernel has, in the storage guest: tests/storage/vlan.sh.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --disks 1 --timeout 900 tests/storage/vlan.sh
