# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# The stores that one table of cases is tried on (verbs.sh), and what a test must know of each to look past vmf: qcow2 and
# raw in a folder; thick and thin, volumes of LVM; zfs. Sourced behind lib.sh, with $store set to one of them.

# ---- what is different ------------------------------------------------------------------------------------

# store_settings: its section in vmf.conf, and that of one which is not there
store_settings()
{
	case $store in
	qcow2) echo "file-qcow2 { dir = \"$scratch/pool\" }" "file-qcow2 { dir = \"$scratch/none/pool\" }" ;;
	raw) echo "file-qcow2 { dir = \"$scratch/pool\" format = \"raw\" }" "file-qcow2 { dir = \"$scratch/none/pool\" }" ;;
	thick) echo 'lvm { snapshot_size = "8M" }' 'lvm { vg = "vg9" }' ;;
	thin) echo 'lvm { pool = "pool" }' 'lvm { pool = "nopool" }' ;;
	zfs) echo 'zfs { }' 'zfs { dataset = "nopool" }' ;;
	esac | sed 's/^\(.* }\) \([a-z].*\)$/storage "s" { \1 }\nstorage "lost" { \2 }/'
}

# store_make: the pool itself
store_make()
{
	case $store in
	qcow2 | raw) mkdir "$scratch/pool" ;;
	thick) vgcreate -q vg0 /dev/vda ;;
	thin) vgcreate -q vg0 /dev/vda && lvcreate -q -y --type thin-pool -L 400M -n pool vg0 ;;
	zfs) modprobe zfs && zpool create -f -O mountpoint=none tank /dev/vda ;;
	esac
}

# path VOLUME: where it is
path()
{
	case $store in
	qcow2 | raw) echo "$scratch/pool/$1.$store" ;;
	thick | thin) echo "/dev/vg0/$1" ;;
	zfs) echo "/dev/zvol/tank/$1" ;;
	esac
}

# foreign VOLUME: one of 4 MiB that was not made by vmf
foreign()
{
	case $store in
	qcow2 | raw) qemu-img create -q -f "$store" "$scratch/pool/$1.$store" 4M ;;
	thick) lvcreate -q -y -L 4M -n "$1" vg0 ;;
	thin) lvcreate -q -y -V 4M --thinpool pool -n "$1" vg0 ;;
	zfs) zfs create -s -V 4M "tank/$1" ;;
	esac
}

unforeign()
{
	case $store in
	qcow2 | raw) rm "$scratch/pool/$1.$store" ;;
	thick | thin) lvremove -q -y "vg0/$1" ;;
	zfs) zfs destroy "tank/$1" ;;
	esac
}

# volumes: all of the store but snapshots, as the store itself tells
volumes()
{
	case $store in
	qcow2 | raw) (cd "$scratch/pool" && ls -- *."$store") 2>/dev/null | sed "s/\.$store\$//" ;;
	thick | thin) lvs --noheadings -o lv_name,lv_tags vg0 | grep -v -e vmf.snapshot -e '^ *pool ' | awk '{ print $1 }' ;;
	zfs) zfs list -H -t volume -o name -r tank | sed 's|^tank/||' ;;
	esac | sort | joined
}

# store_state: all that a refused command must leave as it is
store_state()
{
	case $store in
	qcow2 | raw) (cd "$scratch" && find pool -printf '%p %s %m\n' | sort && find pool -type f -exec sha256sum {} + | sort) ;;
	thick | thin) vgs --noheadings -o vg_seqno vg0 ;;
	zfs) zfs list -H -p -t volume,snapshot -o name,guid,volsize,origin,vmf:owner -r tank ;;
	esac
}

# ---- what follows from it ---------------------------------------------------------------------------------

joined()
{
	paste -s -d, | sed 's/^$/none/'
}

# device VOLUME: its path, once udev has made that
device()
{
	wait_for 20 test -e "$(path "$1")" && path "$1"
}

# write VOLUME BYTE: 64 KiB of it at the beginning, and at 3 MiB
write()
{
	local at to

	to=$(device "$1") || return
	if [ "$store" = qcow2 ]; then
		qemu-io -f qcow2 -c "write -P $2 0 64k" -c "write -P $2 3M 64k" "$to"
		return
	fi
	head -c 65536 /dev/zero | tr '\0' "\\$(printf %03o "$2")" >"$scratch/block"
	for at in 0 48; do
		dd if="$scratch/block" of="$to" bs=64k seek=$at conv=notrunc,fsync status=none || return
	done
}

# content VOLUME: the byte that it has at both, or "mixed"
content()
{
	local from bytes

	from=$(device "$1") || return
	if [ "$store" = qcow2 ]; then
		rm -f "$scratch/content"
		qemu-img convert -U -f qcow2 -O raw "$from" "$scratch/content" || return
		from=$scratch/content
	elif [ "$store" != raw ]; then
		blockdev --flushbufs "$from"
	fi
	bytes=$({ head -c 65536 "$from" && dd if="$from" bs=64k skip=48 count=1 status=none; } | od -An -v -tu1 -w1 | sort -un)
	case $bytes in
	*$'\n'*) echo mixed ;;
	*) echo "$bytes" | tr -d ' ' ;;
	esac
}
