#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm with the real LVM, in the storage guest: disks on the host, that grow, that are sent.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 1200 tests/storage/lvm-mount.sh
