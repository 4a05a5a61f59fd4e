#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, in the storage guest: all that it does.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 3600 tests/storage/lvm-life.sh
