#!/bin/bash
# SPDX-License-Identifier: ISC
# The example configuration in conf/: every file of it is read, and every VM could be started.

. "${0%/*}/../lib.sh"

need_program qemu-system-x86_64 qemu-system-x86
need_program qemu-img qemu-utils
mkdir -p "$VMF_HOME/etc" "$scratch/images"
cp -R "$top_srcdir/conf/vmf.conf" "$top_srcdir/conf/classes" "$top_srcdir/conf/vms" "$VMF_HOME/etc"
chmod -R u+w "$VMF_HOME/etc"
export VMF_IMAGES=$scratch/images
# the disks that web0's file speaks of, as if they were there for long
run qemu-img create -f qcow2 "$VMF_IMAGES/server-web0-root.qcow2" 8G
run qemu-img create -f raw "$VMF_IMAGES/server-web0-data.raw" 16M

"$VMF" list --names >"$scratch/names"
plan $((6 * $(wc -l <"$scratch/names") + 5))
basename -s .conf -a "$top_srcdir"/conf/vms/*.conf | diff "$scratch/names" - >"$out"
result $? "all example VMs are listed"

fails "a chain about one that is not there says so" 4 "$VMF" nobody config status
says "by its name" 'no vm "nobody"'
while read -r vm; do
	ok "$vm: its settings are shown" "$VMF" "$vm" config --origin
	says "$vm: from its own file" "vms/$vm.conf:[0-9]"
	says "$vm: and its class" "classes/[a-z]*.conf:[0-9]"
	ok "$vm: start --dry-run" "$VMF" "$vm" start --dry-run
	ok "$vm: the command for QEMU" "$VMF" "$vm" info --command
	says "$vm: has its machine" '-machine'
	if [ "$vm" = web0 ]; then
		says "its disks and their serial number" 'server-web0-root.*WEB0DATA'
		says "its forwarded port" '127.0.0.1:2222-:22'
	fi
done <"$scratch/names"
