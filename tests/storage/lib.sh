# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What tests share that run in the storage guest: tests/guest/storage/run.sh boots it, and takes this folder along. They
# make volume groups and pools of whole disks, so they refuse to run anywhere else. At a test's top, in place of lib.sh:
#
#	. "${0%/*}/lib.sh"

. "${BASH_SOURCE[0]%/*}/../lib.sh"

[ "${VMF_STORAGE_GUEST-}" = yes ] || skip_all "it is for the storage guest: tests/guest/storage/run.sh -- bash tests/storage/${0##*/}"

bootsector=/usr/share/vmf-guest/bootsector.img

# has_zfs: whether the guest was booted with ZFS
has_zfs()
{
	ls /lib/modules/*/zfs.ko
}

# write_text DISK TEXT: puts it where the boot sector reads it
write_text()
{
	echo "$2" | dd of="$1" bs=512 seek=1 conv=sync,notrunc,fsync status=none
}

# reads DISK TEXT: whether it is there, past the cache
reads()
{
	dd if="$1" bs=512 skip=1 count=1 iflag=direct status=none | tr -d '\0' >"$scratch/text"
	echo "$2" | diff - "$scratch/text"
}

# make_bootable DISK TEXT: puts the boot sector there, and the text that it says when it boots
make_bootable()
{
	dd if="$bootsector" of="$1" bs=1M conv=notrunc,fsync status=none && write_text "$1" "$2"
}

# boot DISK: boots it in a QEMU of its own, and ends that once it has counted; prints what it said
boot()
{
	local serial qemu line status=1

	exec {serial}< <(exec timeout 120 qemu-system-x86_64 -accel tcg -m 16M -nodefaults -display none -serial stdio \
		-drive "file=$1,format=raw,if=virtio,cache=none" </dev/null)
	qemu=$!
	while read -r line <&"$serial"; do
		echo "${line%$'\r'}"
		case $line in "vmf-boot: count "*)
			status=0
			break
			;;
		esac
	done
	kill $qemu
	wait $qemu
	exec {serial}<&-
	return $status
}

# counted DISK N: whether the guest has counted to that, as its disk tells
counted()
{
	[ "$(dd if="$1" bs=512 skip=2 count=1 iflag=direct status=none | head -n 1)" = "count: $2" ]
}
