#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, in the storage guest: the same while they are rolled back.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 7200 tests/storage/lvm-kill-rollback.sh
