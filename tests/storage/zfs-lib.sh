# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What the tests of storage-zfs share: a pool "tank" on the first disk of the storage guest. Sourced in place of lib.sh.

. "${BASH_SOURCE[0]%/*}/lib.sh"

modprobe zfs || skip_all "the guest has no ZFS"
mkdir -p "$VMF_HOME/etc/classes"
cat >"$VMF_HOME/etc/classes/default.conf" <<'END'
accel = "tcg"
memory = "32M"
network = "none"
END
export call=/vmf/call # tests/storage/call.c

new_pool()
{
	zpool create -f -O mountpoint=none tank /dev/vda
}

# device VOLUME: its device's path, once it is there
device()
{
	udevadm settle -t 20 && wait_for 20 test -b "/dev/zvol/tank/$1" && echo "/dev/zvol/tank/$1"
}

# filled BYTE: a MiB of it
filled()
{
	head -c 1048576 /dev/zero | tr '\0' "\\$(printf %03o "$1")"
}

# put VOLUME BYTE: its first MiB becomes that byte; has VOLUME BYTE: it is
put()
{
	local to

	to=$(device "$1") && filled "$2" | dd of="$to" bs=1M conv=notrunc,fsync status=none
}

has()
{
	local from

	from=$(device "$1") && [ "$(head -c 1048576 "$from" | cksum)" = "$(filled "$2" | cksum)" ]
}

sum()
{
	local from

	from=$(device "$1") && sha256sum <"$from"
}

# everything: all volumes and snapshots, what they stand on, and whose they are
everything()
{
	zfs list -H -t volume,snapshot -o name,origin,vmf:owner -r tank
}

# volumes: names of all volumes below tank on one line, vmf's own as well
volumes()
{
	zfs list -H -t volume -o name -r tank | sed 's|^tank/||' | tr '\n' ' '
}

# own: those that vmf makes for itself
own()
{
	zfs list -H -t volume,snapshot -o name -r tank | grep -E '[@/][.]?vmf-[0-9a-f]{16}$'
}

no_own()
{
	! own
}

# What is not vmf's: a volume with snapshots and a clone, a filesystem, and the dataset's own mark, which all inherit.
new_neighbours()
{
	zfs set vmf:owner=11111111-2222-3333-4444-555555555555 tank
	zfs create tank/theirs && zfs create -s -V 4M tank/gold && put gold 7 && zfs snapshot tank/gold@one && put gold 8 &&
		zfs snapshot tank/gold@two && zfs clone tank/gold@one tank/gold2 && device gold2 >/dev/null &&
		neighbours >"$scratch/neighbours"
}

neighbours()
{
	zfs list -H -t all -o name,origin,vmf:owner -r tank/theirs tank/gold tank/gold2
	sum gold
	sum gold2
}

neighbours_same()
{
	neighbours | diff "$scratch/neighbours" -
}

# own_volumes: all but those, and those in the making
own_volumes()
{
	volumes | tr ' ' '\n' | grep -Ev '^(gold2?|[.]vmf-.*)$' | tr '\n' ' '
}

no_orphans()
{
	[ "$("$VMF" --json storage orphans)" = "[]" ]
}

# names VM: its snapshots, with the disks that have them
names()
{
	"$VMF" "$1" snapshots | cut -f 1,4 | tr '\t\n' ': '
}

defined()
{
	[ -e "$VMF_HOME/etc/vms/$1.conf" ]
}

# gone VM...: destroys those that are there
gone()
{
	local vm

	for vm; do
		! defined "$vm" || "$VMF" "$vm" destroy --yes || return
	done
}

# origin VOLUME
origin()
{
	zfs get -H -o value origin "tank/$1" | sed 's|^tank/||'
}

# for conditions that are written as bash -c "has a 1 && has b 2"
export -f wait_for device filled has own no_own volumes defined
