#!/bin/bash
# SPDX-License-Identifier: ISC
# What vmf's verbs on disks mean, on qcow2 and raw files: tests/storage/verbs.sh. Other stores: storage-verbs-*.sh.

. "${0%/*}/../lib.sh"
need_program qemu-img qemu-utils
need_program qemu-io qemu-utils
need_program qemu-system-x86_64 qemu-system-x86
need_program jq jq

dry=yes
for store in qcow2 raw; do
	. "$top_srcdir/tests/storage/verbs.sh"
	rm -rf "$scratch/pool" "${VMF_HOME:?}"/* "$scratch"/x*
done
plan_now
