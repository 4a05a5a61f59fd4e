#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, killed at every step, in the storage guest.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 7200 tests/storage/lvm-kill.sh
