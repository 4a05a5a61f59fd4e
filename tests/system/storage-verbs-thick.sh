#!/bin/bash
# SPDX-License-Identifier: ISC
# What vmf's verbs on disks mean, on thick: tests/storage/verbs.sh.

. "${0%/*}/../lib.sh"

in_storage_guest --lvm --timeout 3600 --disks 1 tests/storage/verbs-thick.sh
