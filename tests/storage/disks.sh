#!/bin/bash
# SPDX-License-Identifier: ISC
# `disk trim` in LVM and ZFS: what filesystems do not use and what is zeroes goes back to the pool. Runs in the storage
# guest; tests/system/storage-disks.sh is what starts it.

. "${0%/*}/lib.sh"

modprobe fuse
mkdir -p "$VMF_HOME/etc/vms"
vgcreate -q vg0 /dev/vda >"$out" 2>&1
lvcreate -qq -y --type thin-pool -L 200M -n pool vg0 >>"$out" 2>&1
cat >"$VMF_HOME/etc/vmf.conf" <<-END
	storage = "thin"
	network = "none"
	accel = "tcg"
	storage "thin" { lvm { pool = "pool" } }
END
stores="thin"
if has_zfs >/dev/null 2>&1; then
	modprobe zfs && zpool create -f tank /dev/vdb
	echo 'storage "zfs" { zfs { } }' >>"$VMF_HOME/etc/vmf.conf"
	stores+=" zfs"
fi
mkdir "$scratch/files"
echo hello >"$scratch/files/greeting"
truncate -s 48M "$scratch/disk.raw"
mkfs.ext4 -q -d "$scratch/files" "$scratch/disk.raw"

# used DISK: KiB
used()
{
	sync
	[ "$1" != zfs ] || zpool sync
	"$VMF" --json web drives | jq --arg d "$1" '.drives[] | select(.disk == $d) | .used_bytes / 1024 | floor'
}

# a file that is removed again
fill_and_empty()
{
	"$VMF" web disk mount "$1" "$scratch/at" --rw && head -c 24M /dev/urandom >"$scratch/at/junk" &&
		sync -f "$scratch/at/junk" && rm "$scratch/at/junk" && "$VMF" web disk umount "$1"
}

for store in $stores; do
	ok "$store: a disk" "$VMF" web disk add --image "$scratch/disk.raw" --storage "$store" --name "$store"
	ok "$store: is filled, and emptied" fill_and_empty "$store"
	before=$(used "$store")
	ok "$store: is trimmed" "$VMF" -v web disk trim "$store"
	after=$(used "$store")
	echo "# $store: $before KiB before, $after KiB after"
	[ "$after" -lt $((before - 16000)) ]
	result $? "$store: what nobody needs is given back"
	ok "$store: is mounted" "$VMF" web disk mount "$store" "$scratch/at"
	ok "$store: has what it had" grep -qx hello "$scratch/at/greeting"
	ok "$store: is unmounted" "$VMF" web disk umount "$store"
	ok "$store: nothing is left" [ -z "$(grep "$scratch/at" /proc/mounts)$(ls "$VMF_HOME/lib/mounts" 2>/dev/null)" ]
done
plan_now
