#!/bin/bash
# SPDX-License-Identifier: ISC
# LVM and ZFS, in the storage guest: guest-stores.sh. There all is emulated, so only ratios mean something.

. "${BASH_SOURCE[0]%/*}/lib.sh"
in_storage_guest --disks 3 --disk-size 2G --timeout 1500 "$bench/pairs" "$top_srcdir/tests/bench/guest-stores.sh" \
	tests/bench/guest-stores.sh
