#!/bin/bash
# SPDX-License-Identifier: ISC
# The example configuration in conf/: every file of it is read, and every VM could be started.

. "${0%/*}/../lib.sh"

need_program qemu-system-x86_64 qemu-system-x86
mkdir -p "$VMF_HOME/etc" "$scratch/images"
cp -R "$top_srcdir/conf/vmf.conf" "$top_srcdir/conf/classes" "$top_srcdir/conf/vms" "$VMF_HOME/etc"
chmod -R u+w "$VMF_HOME/etc"
export VMF_IMAGES=$scratch/images

"$VMF" list --names >"$scratch/names"
plan $((6 * $(wc -l <"$scratch/names") + 1))
basename -s .conf -a "$top_srcdir"/conf/vms/*.conf | diff "$scratch/names" - >"$out"
result $? "all example VMs are listed"

while read -r vm; do
	ok "$vm: its settings are shown" "$VMF" "$vm" config --origin
	says "$vm: from its own file" "vms/$vm.conf:[0-9]"
	says "$vm: and its class" "classes/[a-z]*.conf:[0-9]"
	ok "$vm: start --dry-run" "$VMF" "$vm" start --dry-run
	ok "$vm: the command for QEMU" "$VMF" "$vm" info --command
	says "$vm: has its machine" '-machine'
done <"$scratch/names"
