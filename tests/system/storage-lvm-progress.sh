#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, in the storage guest: how quick full copies are.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --disks 2 --timeout 1200 tests/storage/lvm-progress.sh
