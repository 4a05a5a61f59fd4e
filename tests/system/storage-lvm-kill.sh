#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, in the storage guest: vmf killed, and lvm failing, while volumes are made.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 7200 tests/storage/lvm-kill.sh
