#!/bin/bash
# SPDX-License-Identifier: ISC
# tests/storage/zfs.sh on real ZFS, in the storage guest.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_program qemu-system-x86_64 qemu-system-x86
"$top_srcdir/tests/guest/storage/build.sh" >"$out" 2>&1 || skip_all "no storage guest: $(tail -n 2 "$out" | tr '\n' ' ')"
"$top_srcdir/tests/guest/storage/run.sh" --timeout 850 --disks 1 --disk-size 768M "$top_builddir/tests/storage/call" -- \
	env call=/vmf/call bash tests/storage/zfs.sh
