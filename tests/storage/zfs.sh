#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a real pool: what nbsvm does with ZFS, line by line, and snapshots.

. "${0%/*}/zfs-lib.sh"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
drive_size = "16M"
storage "z" { zfs { } }
END

# names: of VM's snapshots, with the disks that have them
names()
{
	"$VMF" "$1" snapshots | cut -f 1,4 | tr '\t\n' ': '
}

# ---- no pool ----------------------------------------------------------------------------------------

fails "without the pool nothing is made" 4 "$VMF" foo newimg
says "the hint names the pool and the option" 'hint: zpool import tank, or set another dataset'
ok "the pool is made" new_pool

# ---- nbsvm's README ---------------------------------------------------------------------------------

ok "nbsvm foo newimg newimg newimg start -cdrom install.iso" \
	"$VMF" foo newimg newimg newimg start -cdrom "$bootsector"
ok "the VM runs" "$VMF" foo status
ok "three volumes, numbered from 0" [ "$(volumes)" = "foo-0 foo-1 foo-2 " ]
ok "drives: one path a line" "$VMF" foo drives
says "which is the device" '^/dev/zvol/tank/foo-2$'
ok "QEMU has them, in order" "$VMF" foo info --command
says "as raw devices" '"driver":"host_device".*"driver":"raw"'
ok "they are sparse" [ "$(zfs get -H -o value refreservation tank/foo-0)" = none ]
ok "and marked in the VM's name" [ "$(zfs get -Hp -o value,source vmf:owner tank/foo-0)" = \
	"$(sed -n 's/^uuid = "\(.*\)"$/\1/p' "$VMF_HOME/etc/vms/foo.conf")	local" ]
ok "they are in use" bash -c "'$call' zfs list foo-0 | grep 'in use'"
ok "nbsvm foo stop" "$VMF" foo stop
ok "and are no more" bash -c "! '$call' zfs list foo-0 | grep 'in use'"

put foo-0 1
ok "snapshot_name=backup nbsvm foo snapshot" "$VMF" foo snapshot backup
ok "it is ZFS' own" zfs list -H tank/foo-0@backup
ok "one of each disk" [ "$(names foo)" = "backup:0,1,2 " ]
put foo-0 2
ok "nbsvm bar newimg" "$VMF" bar newimg
put bar-0 3
ok "bar@master" "$VMF" bar snapshot master
put bar-0 4
ok "snapshot_vm=bar snapshot_name=master nbsvm foo2 clone" "$VMF" foo2 clone --from bar@master
ok "it stands on that snapshot" [ "$(origin foo2-0)" = bar-0@master ]
ok "and has what that had" has foo2-0 3
ok "a class in the names, by the program's name" bash -c \
	"ln -s '$VMF' '$scratch/labvm'; '$scratch/labvm' exam newimg && zfs list -H tank/lab-exam-0"
ok "it goes" "$scratch/labvm" exam destroy --yes
ok "what nbsvm has not: the origin goes, its clone stays" "$VMF" bar destroy --yes
ok "with all that it had" has foo2-0 3
ok "it stands alone now" [ "$(origin foo2-0)" = - ]
ok "no snapshot is left of it" [ -z "$(zfs list -H -t snapshot tank/foo2-0)" ]
ok "foo is rolled back" "$VMF" foo rollback backup
ok "to what it was" has foo-0 1
ok "foo is renamed" "$VMF" foo rename fool
ok "volumes and snapshots with it" zfs list -H tank/fool-0@backup tank/fool-2@backup
ok "a boot sector on a volume" make_bootable "$(device fool-0)" "this is fool"
ok "boots" bash -c "'$VMF' fool start && '$VMF' fool console --until 'vmf-boot: count ' --timeout 100s </dev/null"
says "and reads what is there" 'vmf-boot: disk says: this is fool'
ok "it grows while it runs" "$VMF" fool disk resize 0 24M
ok "and QEMU knows" bash -c "'$VMF' fool qmp query-named-block-nodes | grep -E 'virtual-size\": *25165824\\b'"
ok "and stops" "$VMF" fool stop
ok "both go" bash -c "'$VMF' fool destroy --yes && '$VMF' foo2 destroy --yes"
ok "and nothing is left" [ -z "$(everything)" ]

# ---- snapshots --------------------------------------------------------------------------------------

ok "a VM with two disks" "$VMF" web create --disk 16M --disk 16M
for n in 1 2 3; do
	put web-0 $n
	put web-1 $n
	ok "snapshot $n" "$VMF" web snapshot "s$n"
done
put web-0 4
ok "they are listed, the oldest first" [ "$(names web)" = "s1:0,1 s2:0,1 s3:0,1 " ]
fails "a name that is taken" 5 "$VMF" web snapshot s1
fails "one that is not there" 4 "$VMF" web rollback s4
fails "roll back with later ones" 6 "$VMF" web rollback s1
says "names them" 'without losing the later snapshots s2, s3$'
says "and the way" 'hint: .*--later-too'
ok "nothing has changed" has web-0 4
ok "a dry run of it" "$VMF" --dry-run web rollback s1 --later-too
ok "changes nothing" [ "$(names web)" = "s1:0,1 s2:0,1 s3:0,1 " ]
ok "to the last one it goes without" "$VMF" web rollback s3
ok "and is done" has web-0 3
ok "to the first one with it" "$VMF" web rollback s1 --later-too
ok "both disks" bash -c "has web-0 1 && has web-1 1"
ok "the later ones are gone" [ "$(names web)" = "s1:0,1 " ]

# in what a program has written, but the host not yet passed on
exec 7<>"$(device web-0)"
filled 9 >&7
ok "a snapshot while a device is open" "$VMF" web snapshot dirty
exec 7>&-
put web-0 1
ok "back to it" "$VMF" web rollback dirty
ok "it has what was written just before" has web-0 9
ok "snapshots go" bash -c "'$VMF' web snapshot --delete dirty && '$VMF' web snapshot --delete s1"
ok "all of them" [ -z "$(zfs list -H -t snapshot)" ]
fails "once more: vmf knows that" 4 "$VMF" web snapshot --delete s1
ok "the plugin does not mind" "$call" zfs snapshot-remove web-0 s1
ok "nor without the volume" "$call" zfs snapshot-remove nothing s1

plan_now
