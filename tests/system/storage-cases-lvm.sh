#!/bin/bash
# SPDX-License-Identifier: ISC
# The table of cases that all stores have in common, on the real LVM: tests/storage/cases-lvm.sh.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 1200 tests/storage/cases-lvm.sh
