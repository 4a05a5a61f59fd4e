#!/bin/bash
# SPDX-License-Identifier: ISC
# The storage guest itself, without vmf's plugins: LVM and ZFS are real, and a small guest boots inside it from a volume.
# Runs there; tests/system/storage-guest.sh is what starts it.

. "${0%/*}/lib.sh"

# ---- the harness ------------------------------------------------------------------------------------

ok "the disks are there" blockdev --getsize64 /dev/vda /dev/vdb /dev/vdc /dev/vdd
ok "vmf runs" "$VMF" plugin list
ok "a plugin passes vmf-plugin-check" /vmf/vmf-plugin-check "$VMF_PLUGIN_PATH/placement-local.so"

# ---- LVM --------------------------------------------------------------------------------------------

ok "vgcreate" vgcreate -q vg /dev/vda /dev/vdb
ok "lvcreate, thick" lvcreate -q -y -L 64M -n thick vg
ok "udev makes its link" test -b /dev/vg/thick
ok "a disk is written to it" make_bootable /dev/vg/thick "written to LVM"
ok "a guest boots from it" boot /dev/vg/thick
says "and reads what was written" '^vmf-boot: disk says: written to LVM$'
ok "what the guest wrote is there" counted /dev/vg/thick 1

ok "lvcreate, a snapshot of it" lvcreate -q -y -s -L 16M -n before vg/thick
ok "the volume is changed" write_text /dev/vg/thick "changed"
ok "the snapshot has what was" reads /dev/vg/before "written to LVM"
ok "lvconvert --merge" lvconvert -q --merge vg/before
ok "the volume is as it was" reads /dev/vg/thick "written to LVM"
merged()
{
	! lvs vg/before
}
ok "the snapshot is used up" wait_for 60 merged
ok "lvextend" lvextend -q -L +32M vg/thick
ok "it is larger" test "$(blockdev --getsize64 /dev/vg/thick)" = $((96 << 20))

ok "lvcreate, a thin pool" lvcreate -q -y --type thin-pool -L 128M -n pool vg
ok "lvcreate, a thin volume" lvcreate -q -y -V 1G --thinpool pool -n thin vg
ok "a disk is written to it" make_bootable /dev/vg/thin "written to thin LVM"
ok "lvcreate, a thin snapshot" lvcreate -q -y -s -kn -n origin vg/thin
ok "a guest boots from the thin volume" boot /dev/vg/thin
says "and reads what was written" '^vmf-boot: disk says: written to thin LVM$'
ok "the volume has its count" counted /dev/vg/thin 1
ok "the snapshot has none" counted /dev/vg/origin 0
ok "lvconvert --merge, thin" lvconvert -q -y --merge vg/origin
ok "the thin volume is as it was" counted /dev/vg/thin 0
ok "lvremove" lvremove -q -y vg
ok "vgremove" vgremove -q vg
ok "pvremove" pvremove -q /dev/vda /dev/vdb
run dmsetup ls
says "no device of LVM is left" '^No devices found'

# ---- ZFS --------------------------------------------------------------------------------------------

if ! run has_zfs; then
	skip "ZFS" "the guest was started with --lvm"
	plan_now
	exit
fi
ok "zpool create" zpool create -O compression=off tank /dev/vdc
ok "zfs create, a sparse volume" zfs create -s -V 64M tank/disk
ok "udev makes its link" wait_for 100 test -b /dev/zvol/tank/disk
ok "a disk is written to it" make_bootable /dev/zvol/tank/disk "written to ZFS"
ok "zfs snapshot" zfs snapshot tank/disk@before
ok "a guest boots from it" boot /dev/zvol/tank/disk
says "and reads what was written" '^vmf-boot: disk says: written to ZFS$'
ok "what the guest wrote is there" counted /dev/zvol/tank/disk 1
ok "zfs clone" zfs clone tank/disk@before tank/clone
ok "udev makes the clone's link" wait_for 100 test -b /dev/zvol/tank/clone
ok "the clone has what was" counted /dev/zvol/tank/clone 0
ok "zfs destroy, the clone" zfs destroy tank/clone
ok "zfs rollback" zfs rollback tank/disk@before
ok "the volume is as it was" counted /dev/zvol/tank/disk 0
ok "zfs set volsize" zfs set volsize=96M tank/disk
ok "it is larger" test "$(blockdev --getsize64 /dev/zvol/tank/disk)" = $((96 << 20))
sent()
{
	zfs send tank/disk@before | zfs receive tank/copy
}
ok "zfs send, zfs receive" sent
ok "the copy has its link" wait_for 100 test -b /dev/zvol/tank/copy
ok "and what was sent" reads /dev/zvol/tank/copy "written to ZFS"
ok "zpool export" zpool export tank
ok "zpool import" zpool import tank
ok "zpool destroy" zpool destroy tank
fails "no pool is left" 1 zpool list tank

plan_now
