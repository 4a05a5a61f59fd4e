# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What the tests of storage-zfs share: a pool "tank" of their own. They run in the storage guest, where the first disk is
# theirs, or wherever there is ZFS, in a file. Sourced after tests/lib.sh.

need_program zfs zfsutils-linux
modprobe zfs 2>/dev/null
[ -e /dev/zfs ] || skip_all "not possible here: no module zfs in this kernel"
! zpool list -H tank >/dev/null 2>&1 || skip_all "there is a pool tank already"
: "${call:=$top_builddir/tests/storage/call}"
export call

new_pool()
{
	local on=$scratch/pool

	if [ "${VMF_STORAGE_GUEST-}" = yes ]; then
		on=/dev/vda
	else
		truncate -s 768M "$on" || return
	fi
	zpool create -f -O mountpoint=none tank "$on"
}

zfs_cleanup()
{
	end_all
	# udev may still be looking at what went last
	for _ in 1 2 3 4 5; do
		zpool destroy tank 2>/dev/null && break
		sleep 1
	done
	rm -rf "$scratch"
}
trap zfs_cleanup EXIT

# device VOLUME: its device's path, once it is there
device()
{
	wait_for 20 test -b "/dev/zvol/tank/$1" && echo "/dev/zvol/tank/$1"
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

	from=$(device "$1") && head -c 1048576 "$from" | cmp - <(filled "$2")
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
