#!/bin/bash
# SPDX-License-Identifier: ISC
# Snapshots of a running VM with two disks agree, on thin: tests/storage/pair.sh.

. "${0%/*}/../lib.sh"

need_program as binutils
as --32 -o "$scratch/writer.o" "$top_srcdir/tests/storage/writer.s" &&
	ld -m elf_i386 -Ttext 0x7c00 -e 0 --oformat binary -o "$scratch/writer.img" "$scratch/writer.o" &&
	truncate -s 1M "$scratch/writer.img" || exit 1
in_storage_guest --lvm --timeout 850 --disks 1 "$scratch/writer.img" tests/storage/pair-thin.sh
