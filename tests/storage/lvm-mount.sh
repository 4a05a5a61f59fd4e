#!/bin/bash
# SPDX-License-Identifier: ISC
# Disks on volumes of LVM shown on the host, grown while their guest runs, sent and received. Runs in the storage guest;
# tests/system/storage-lvm-mount.sh is what starts it.

. "${0%/*}/lvm-lib.sh"

# table DEVICE FIRST COUNT: a partition table with one partition, in sectors
table()
{
	local hex i

	hex=$(printf '80000000830000%02x' 0)
	for i in "$2" "$3"; do
		hex+=$(printf '%02x%02x%02x%02x' $((i & 255)) $((i >> 8 & 255)) $((i >> 16 & 255)) $((i >> 24 & 255)))
	done
	# shellcheck disable=SC2001 # a backslash in front of each two digits
	printf '%b' "$(sed 's/../\\x&/g' <<<"$hex")" | dd of="$1" bs=1 seek=446 conv=notrunc status=none &&
		printf '\x55\xaa' | dd of="$1" bs=1 seek=510 conv=notrunc,fsync status=none
}

ok "a volume group" group
for store in thick thin; do
	vm=m$store at=/dev/vg0/m$store-0
	ok "$vm: a VM with a disk" "$VMF" -o storage=$store $vm newimg 64M
	store $vm $store
	ok "$vm: with a partition" table $at 2048 120000
	ok "$vm: and a filesystem in it" mke2fs -q -F -t ext4 -E offset=1048576 $at 60000k
	ok "$vm: a volume that is not active" lvchange -an vg0/$vm-0
	ok "$vm: mount" "$VMF" $vm disk mount 0 "$scratch/mnt-$vm"
	part=$(findmnt -rn -o TARGET | grep "$scratch/mnt-$vm")
	ok "$vm: shows the partition" test -d "$part/lost+found"
	fails "$vm: read-only" 1 touch "$part/file"
	fails "$vm: it does not start meanwhile" 6 "$VMF" $vm start
	fails "$vm: nor is it destroyed" 6 "$VMF" $vm destroy --yes
	ok "$vm: umount" "$VMF" $vm disk umount 0
	ok "$vm: leaves the volume as it was" is lv_active $vm-0 ""
	ok "$vm: mount for writing" "$VMF" $vm disk mount 0 "$scratch/mnt-$vm" --rw
	part=$(findmnt -rn -o TARGET | grep "$scratch/mnt-$vm")
	ok "$vm: a file is written" eval "echo 'for the guest' >$part/file"
	ok "$vm: umount" "$VMF" $vm disk umount 0
	ok "$vm: a snapshot of the whole" "$VMF" $vm snapshot one
	ok "$vm: mount" "$VMF" $vm disk mount 0 "$scratch/mnt-$vm"
	part=$(findmnt -rn -o TARGET | grep "$scratch/mnt-$vm")
	ok "$vm: the file is there" grep -qx "for the guest" "$part/file"
	fails "$vm: what is mounted is not rolled back" 6 "$VMF" $vm rollback one
	ok "$vm: umount" "$VMF" $vm disk umount 0
	ok "$vm: no loop device is left" test -z "$(losetup -a)"
	ok "$vm: no mount is left" test -z "$(findmnt -rn -o TARGET | grep mnt-)"
	ok "$vm: the snapshot goes" "$VMF" $vm snapshot --delete one

	lvchange -ay vg0/$vm-0 >"$out" 2>&1
	ok "$vm: the disk boots" make_bootable $at "from $vm"
	ok "$vm: start" "$VMF" $vm start
	ok "$vm: ready" ready $vm 1
	ok "$vm: grows while it runs" "$VMF" $vm disk resize 0 96M
	ok "$vm: and has grown" is lv_size $vm-0 96.00
	ok "$vm: QEMU knows" "$VMF" $vm qmp '{"execute": "query-block"}'
	says "$vm: its new size" '"virtual-size": *100663296'
	fails "$vm: it does not shrink" 12 "$VMF" $vm disk resize 0 64M
	ok "$vm: stop" "$VMF" $vm stop
	ok "$vm: export" "$VMF" $vm disk export 0 "$scratch/$vm.raw"
	cmp "$scratch/$vm.raw" $at >"$out" 2>&1
	result $? "$vm: is the same"
	ok "$vm: import" "$VMF" -o storage=$store $vm-copy disk add --image "$scratch/$vm.raw"
	cmp "$scratch/$vm.raw" $at >"$out" 2>&1
	result $? "$vm: is the same"
	rm "$scratch/$vm.raw"
	ok "$vm: destroy" "$VMF" $vm destroy --yes
	ok "$vm: the copy, too" "$VMF" $vm-copy destroy --yes
done
ok "what is not vmf's is as it was, and no device is left suspended" untouched
run names
says "nothing of vmf's is left" '^foreign pool$'
plan_now
