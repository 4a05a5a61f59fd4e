#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, in the storage guest: a thin pool that fills under a guest.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 1200 tests/storage/lvm-full.sh
