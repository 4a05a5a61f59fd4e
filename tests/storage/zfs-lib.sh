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

# origin VOLUME
origin()
{
	zfs get -H -o value origin "tank/$1" | sed 's|^tank/||'
}

# for conditions that are written as bash -c "has a 1 && has b 2"
export -f wait_for device filled has own no_own
