#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs and the host: disks of stopped VMs mounted there, how often zfs is run, and what is said where it is missing.

. "${0%/*}/zfs-lib.sh"
export PATH=$PATH:/vmf # partx came along
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
drive_size = "32M"
storage "z" { zfs { } }
END
ok "the pool is made" new_pool

# ---- how often zfs is run ---------------------------------------------------------------------------

mkdir "$scratch/bin"
cat >"$scratch/bin/zfs" <<END
#!/bin/sh
echo "\$@" >>"$scratch/zfs-calls"
exec $(command -v zfs) "\$@"
END
chmod +x "$scratch/bin/zfs"

# costs NAME N COMMAND...: it succeeds, and runs zfs N times at most
costs()
{
	local name=$1 most=$2 n

	shift 2
	: >"$scratch/zfs-calls"
	PATH=$scratch/bin:$PATH "$@" >"$out" 2>&1 </dev/null && n=$(wc -l <"$scratch/zfs-calls") && cat "$scratch/zfs-calls" >>"$out" &&
		[ "$n" -le "$most" ] && { [ "$n" -ge 1 ] || [ "$most" = 0 ]; }
	result $? "$name: $n calls of zfs, at most $most"
}

costs "a new VM with a disk" 3 "$VMF" web newimg
put web-0 1
costs "a snapshot: one that makes it" 3 "$VMF" web snapshot one
costs "a copy-on-write clone of it: one that makes it" 3 "$VMF" c1 clone --from web@one
costs "one of the disk as it is: three" 5 "$VMF" c2 clone --from web
costs "a start" 1 "$VMF" web start
costs "a snapshot of a running VM" 3 "$VMF" web snapshot two
costs "a stop" 0 "$VMF" web stop
costs "a roll back" 6 "$VMF" web rollback two
costs "a removal" 5 "$VMF" c2 destroy --yes
ok "all go" bash -c "'$VMF' c1 destroy --yes && '$VMF' web destroy --yes"
ok "nothing is left" [ -z "$(everything)" ]

# ---- what is missing --------------------------------------------------------------------------------

run "$VMF" web newimg
put web-0 1
for verb in "web newimg" "web drives" "web start" "web snapshot x" "new clone --from web" "web destroy --yes" "storage volumes z"; do
	mount --bind /dev/null "$(command -v zfs)"
	# shellcheck disable=SC2086 # words
	fails "$verb without zfs" 9 "$VMF" $verb
	umount "$(command -v zfs)"
	says "names the package" 'hint: .*zfsutils-linux'
done
ok "the volume is as it was" has web-0 1
ok "the pool is left alone" zpool export tank
for verb in "web newimg" "web drives" "web snapshot x" "web destroy --yes"; do
	# shellcheck disable=SC2086 # words
	fails "$verb without the pool" 4 "$VMF" $verb
	says "names the pool" 'hint: zpool import tank'
done
ok "the module is unloaded" modprobe -r zfs
mv /lib/modules/*/zfs.ko "$scratch/"
depmod -a
fails "without the module nothing is made" 9 "$VMF" web newimg
says "which is said" 'ZFS module.*|/dev/zfs'
says "with its package" 'hint: .*zfs-dkms'
mv "$scratch/zfs.ko" /lib/modules/*/
depmod -a
ok "with it" modprobe zfs
ok "and the pool" zpool import -d /dev tank
ok "it goes on" "$VMF" web newimg
ok "the first is as it was" has web-0 1
ok "it goes" "$VMF" web destroy --yes

# ---- mounts -----------------------------------------------------------------------------------------

# little_endian NUMBER: four bytes
little_endian()
{
	local byte

	for byte in $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); do
		printf '%b' "\\0$(printf %o $byte)"
	done
}

# partition DEVICE: one Linux partition, from sector 2048 to its end, as a PC's partition table says it
partition()
{
	{
		printf '\000\000\000\000\203\000\000\000'
		little_endian 2048
		little_endian $(($(blockdev --getsz "$1") - 2048))
	} | dd of="$1" bs=1 seek=446 conv=notrunc status=none
	printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc,fsync status=none
}

# made_by_guest DEVICE: a filesystem with a file on it, in the first partition
made_by_guest()
{
	local loop

	partition "$1" && loop=$(losetup -f --show -o 1048576 "$1") && mke2fs -q -t ext2 "$loop" && mkdir -p "$scratch/mnt" &&
		mount "$loop" "$scratch/mnt" && echo "of the guest" >"$scratch/mnt/file" && umount "$scratch/mnt" && losetup -d "$loop"
}

run "$VMF" web newimg
ok "a disk with a partition and a file" made_by_guest "$(device web-0)"
before=$(sum web-0)
ok "it is mounted" "$VMF" web disk mount 0 "$scratch/web"
ok "the partition's file is there" grep -x "of the guest" "$scratch/web/part1/file"
ok "nothing can be written" bash -c "! touch '$scratch/web/part1/other'"
fails "the VM does not start meanwhile" 6 "$VMF" web start
says "the hint says why" "hint: .*disk umount 0"
fails "nor is it rolled back or destroyed" 6 "$VMF" web destroy --yes
ok "it can have a snapshot" "$VMF" web snapshot mounted
ok "it is unmounted" "$VMF" web disk umount 0
ok "and is as it was" [ "$(sum web-0)" = "$before" ]
ok "for writing, if that is said" "$VMF" web disk mount 0 "$scratch/web" --rw
ok "it can be written to" bash -c "echo 'of the host' >'$scratch/web/part1/other'"
fails "no snapshot then" 6 "$VMF" web snapshot writing
ok "it is unmounted" "$VMF" web disk umount 0
ok "once more" "$VMF" web disk mount 0 "$scratch/web"
ok "what was written is there" grep -x "of the host" "$scratch/web/part1/other"
ok "and is unmounted" "$VMF" web disk umount 0
ok "nothing of it is left" bash -c "[ -z \"\$(losetup -a)\" ] && [ -z \"\$('$VMF' --json web info | grep -o 'of the host')\" ]"
ok "back to before" "$VMF" web rollback mounted
ok "it has what it had" [ "$(sum web-0)" = "$before" ]
ok "it goes" "$VMF" web destroy --yes

# ---- many -------------------------------------------------------------------------------------------

for n in $(seq 200); do
	zfs create -s -V 1M -o vmf:owner=none "tank/many-$n" || break
done
udevadm settle
echo "uuid = \"11111111-2222-3333-4444-555555555555\"" >"$VMF_HOME/etc/vms/many.conf"
costs "drives of 200 disks" 1 "$VMF" many drives
ok "all are told" [ "$(grep -c '^/dev/zvol/tank/many-' "$out")" = 200 ]
costs "list with their number" 1 "$VMF" list --columns name,disks
says "which is 200" '^many.*200'
costs "info" 1 "$VMF" many info
costs "volumes of the storage" 2 "$VMF" storage volumes
ok "all are told" [ "$(grep -c 'many-' "$out")" = 200 ]
costs "orphans" 3 "$VMF" storage orphans
costs "the storage" 1 "$VMF" storage list

plan_now
