#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm on the real LVM, the short of it: a VM's life on thick and thin volumes, how few commands of LVM's that takes,
# and what is refused. The long of it is in the other lvm-*.sh. Runs in the storage guest; tests/system/storage-lvm.sh is
# what starts it.

. "${0%/*}/lvm-lib.sh"

export LOOKS=yes

# ---- nothing there ----------------------------------------------------------------------------------

fails "no volume group" 4 "$VMF" foo newimg
says "is said by its name" 'vg0.*not found'
mv /usr/sbin/lvs /usr/sbin/no-lvs
fails "no lvm" 9 "$VMF" foo newimg
mv /usr/sbin/no-lvs /usr/sbin/lvs
says "is said with what to do" 'install lvm2'
ok "a volume group, and a volume of somebody else's in it" group
fails "a thin pool that is not there" 4 "$VMF" -o storage=dry foo newimg
says "is said with how to make it" 'lvcreate --type thin-pool'

# ---- images, start, stop ------------------------------------------------------------------------------

ok "newimg" watch "$VMF" foo newimg
called "looks once and makes it" lvs lvcreate
uuid=$(sed -n 's/^uuid = "\(.*\)"/\1/p' "$VMF_HOME/etc/vms/foo.conf")
ok "it carries the mark and the VM's UUID" is lv_tags foo-0 "vmf,vmf.vm=$uuid"
ok "a disk that boots" make_bootable /dev/vg0/foo-0 "from the host"
ok "foo newimg start" watch "$VMF" foo newimg start
called "looks once for each" lvs lvcreate lvs
ok "drives" watch "$VMF" foo drives
printf '/dev/vg0/foo-%d\n' 0 1 | cmp - "$out"
result $? "are foo-0 and foo-1"
called "which takes one look" lvs
ok "the guest boots" ready foo 1
ok "and reads what the host wrote" grep -aF "disk says: from the host" "$VMF_HOME/lib/log/foo.serial0"
fails "another VM cannot have its disk" 7 "$VMF" thief set disk.x.volume=foo-0 start
says "as it is in use" '/dev/vg0/foo-0 is in use'
ok "foo stop" "$VMF" foo stop
ok "what the guest wrote is there" counted /dev/vg0/foo-0 1

# ---- thick --------------------------------------------------------------------------------------------

mark /dev/vg0/foo-1 first
ok "a snapshot" watch "$VMF" foo snapshot one
called "takes one command a disk" lvs lvcreate lvs lvcreate
mark /dev/vg0/foo-1 second
ok "rollback" "$VMF" foo rollback one
ok "puts the disks back" marked /dev/vg0/foo-1 first
ok "and keeps the snapshot" is origin foo-1.one foo-1
ok "destroy" watch "$VMF" foo destroy --yes
# with further storages of LVM a look at what those have, as that may stand on it
called "takes two commands for a thick volume with snapshots" lvs lvs lvs lvremove lvremove lvs lvremove lvremove

# ---- thin ---------------------------------------------------------------------------------------------

ok "a thin volume" "$VMF" -o storage=thin tin newimg
store tin thin
mark /dev/vg0/tin-0 first
ok "a snapshot" watch "$VMF" tin snapshot one
called "takes one command" lvs lvcreate
mark /dev/vg0/tin-0 second
ok "a clone of it" watch "$VMF" two clone --from tin@one
called "takes one command" lvs lvcreate
ok "has what it had" marked /dev/vg0/two-0 first
ok "rollback" watch "$VMF" tin rollback one
called "is a new snapshot under the old name" lvs lvs lvcreate lvrename lvrename lvremove
ok "puts the disk back" marked /dev/vg0/tin-0 first
ok "rename" "$VMF" tin rename tan
ok "its snapshots go with it" is pool_lv tan-0.one pool
ok "destroy" watch "$VMF" tan destroy --yes
called "takes one command for a thin volume and its snapshots" lvs lvs lvremove
ok "the clone is there" marked /dev/vg0/two-0 first
ok "storage list" watch "$VMF" storage list
says "shows size and free" 'volume group vg0.*2G.*1\.8G'
says "and how full a thin pool is" 'thin pool vg0/pool.*200M.*[0-9]+%.*[0-9]+%'
called "takes one look at all storages of a volume group, and one at the one that is not there" lvs lvs
[ -z "$("$VMF" storage orphans 2>"$out")" ]
result $? "nothing is an orphan"
ok "destroy" "$VMF" two destroy --yes

# ---- what is refused ------------------------------------------------------------------------------------

same "a volume that no volume group holds" 11 "$VMF" foo newimg 100G
says "is refused with numbers" 'has [0-9.]+ GiB left, but volume "foo-0" takes 100 GiB'
same "a volume of no size" 2 "$VMF" foo newimg 0M
printf 'disk "x" { volume = "foreign" }\n' >"$VMF_HOME/etc/vms/his.conf"
same "a foreign volume is not grown" 8 "$VMF" his disk resize x 100M
same "nor given a snapshot" 8 "$VMF" his snapshot one
ok "nor removed" "$VMF" his destroy --yes
ok "it is as it was, and no device is left suspended" untouched
run names
says "nothing of vmf's is left" '^foreign pool$'
plan_now
