#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a pool that fills: what is refused beforehand, and what becomes of a guest that finds it full.

. "${0%/*}/zfs-lib.sh"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
drive_size = "16M"
storage "z" { zfs { } }
storage "whole" { zfs { sparse = no } }
END
ok "the pool is made" new_pool
new_neighbours

# left: bytes that the pool has
left()
{
	zfs get -Hp -o value available tank
}

# fill_to MIB: all but that is taken
fill_to()
{
	run zfs destroy tank/filler
	zpool sync && zfs create -o refreservation=$(($(left) - ($1 << 20))) tank/filler
}

# ---- what is reserved -------------------------------------------------------------------------------

ok "a VM whose disk is reserved" "$VMF" -o storage=whole res create --disk 100M
run "$VMF" res set storage=whole
ok "60 MiB of it are written" bash -c "head -c 62914560 /dev/zero | tr '\0' x | dd of='$(device res-0)' bs=1M conv=fsync,notrunc"
ok "40 MiB are left in the pool" fill_to 40
fails "a snapshot of it, which would reserve 60 more" 11 "$VMF" res snapshot one
says "is refused with numbers" 'tank has [34][0-9] MiB left, but a snapshot of res-0 needs 7[0-9] MiB'
fails "and so is a clone of it" 11 "$VMF" clone clone --from res
ok "nothing was made" bash -c "no_own && [ -z \"\$(zfs list -H -t snapshot tank/res-0)\" ]"
fails "a new one of 100 MiB" 11 "$VMF" -o storage=whole new create --disk 100M
says "is refused with numbers" 'tank has [34][0-9] MiB left, but new-0 needs 100 MiB'
fails "and the disk does not grow by that" 11 "$VMF" res disk resize 0 200M
ok "it has its size" [ "$(zfs get -Hp -o value volsize tank/res-0)" = 104857600 ]
ok "with room" fill_to 100
ok "it has its snapshot" "$VMF" res snapshot one
ok "all goes" bash -c "'$VMF' res destroy --yes && zfs destroy tank/filler"

# ---- a guest that finds it full ---------------------------------------------------------------------

run "$VMF" web newimg
run "$VMF" web snapshot empty
ok "a guest's disk" make_bootable "$(device web-0)" "before"
run "$VMF" web snapshot one
ok "it boots" bash -c "'$VMF' web start && '$VMF' web console --until 'count 1' --timeout 100s </dev/null"
ok "most of the pool is taken" fill_to 40
ok "the rest is written" bash -c "zfs create -s -V 1G tank/rest && udevadm settle && wait_for 20 test -b /dev/zvol/tank/rest &&
	! head -c 100000000 /dev/zero | tr '\0' x | dd of=/dev/zvol/tank/rest bs=128k oflag=direct"
ok "in small pieces, too" bash -c "! head -c 20000000 /dev/zero | tr '\0' y | dd of=/dev/zvol/tank/rest bs=8k seek=100000 oflag=direct"
run zpool sync
run left
ok "storage list tells" bash -c "'$VMF' storage list | grep -E '^z .*(9[5-9]|100)%'"
fails "no snapshot is begun" 11 "$VMF" web snapshot two
says "as a person is told" 'tank has [0-9] MiB left, but a snapshot of web-0 needs 16 MiB'
says "with what to do" 'hint: make room: remove volumes or snapshots, or zpool add'
fails "no clone" 11 "$VMF" clone clone --from web@one
fails "no copy" 11 "$VMF" clone clone --from web@one --copy
ok "nothing is left of them" bash -c "no_own && ! [ -e '$VMF_HOME/etc/vms/clone.conf' ]"
# the guest counts with each key; it may take some writes until ZFS has no block left
for n in 1 2 3 4 5 6; do
	echo x | "$VMF" web console --until 'count 10' --timeout 2s >/dev/null 2>&1
	! "$VMF" web wait io-error --timeout 2s >/dev/null 2>&1 || break
done
ok "the guest's write stops it" "$VMF" web wait io-error --timeout 20s
fails "status tells" 25 "$VMF" web status
says "which disk, and why" '^web: io-error .*disk-0: write: No space left on device$'
says "and what to do" '^ *mend the storage, then .vmf web resume'
ok "it is paused, not lost" bash -c "'$VMF' list | grep -E '^web.*io-error'"
ok "room is made" bash -c "zfs destroy tank/rest && zfs destroy tank/filler && zpool sync"
ok "it goes on" "$VMF" web resume
ok "and runs" bash -c "wait_for 20 '$VMF' web status"
counted_on()
{
	local n

	n=$(dd if=/dev/zvol/tank/web-0 bs=512 skip=2 count=1 iflag=direct status=none | head -n 1)
	[ "${n#count: }" -ge 2 ]
}
ok "what it wrote last is on the disk" wait_for 30 counted_on
ok "it stops" "$VMF" web stop
ok "its snapshot is whole" bash -c "'$VMF' web rollback one && '$VMF' web start && '$VMF' web console --until 'count 1' --timeout 100s </dev/null"
says "with what it had" 'disk says: before'
ok "it stops" "$VMF" web stop
ok "it goes" "$VMF" web destroy --yes
ok "the neighbours are as they were" neighbours_same
ok "nothing is left" [ -z "$(own_volumes)" ]
plan_now
