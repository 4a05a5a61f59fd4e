#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a real pool: what nbsvm does with ZFS, and what it does not: roll back, clones and who stands on whom,
# removal, copies, streams.

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

# ---- clones and what they stand on ------------------------------------------------------------------

put web-0 1
ok "a clone without a snapshot" "$VMF" c1 clone --from web
ok "is on one of vmf's own" bash -c "[ \$(own | wc -l) = 2 ]"
ok "which nobody sees" [ -z "$("$VMF" web snapshots)" ]
ok "list tells the volume that it stands on" bash -c "'$call' zfs list c1-0 | grep ' on web-0$'"
put c1-0 2
ok "a clone of the clone" "$VMF" c2 clone --from c1
put c2-0 3
ok "the origin goes on on its own" put web-0 4
ok "each has its own" bash -c "has web-0 4 && has c1-0 2 && has c2-0 3"
ok "the clone goes" "$VMF" c2 destroy --yes
ok "and with it the snapshots under it" bash -c "[ \$(own | wc -l) = 2 ]"
ok "and the other" "$VMF" c1 destroy --yes
ok "and its own" no_own

# a chain, taken away from its root
ok "a chain of clones" bash -c "'$VMF' c1 clone --from web && '$VMF' c2 clone --from c1 && '$VMF' c3 clone --from c2"
put c2-0 5
put c3-0 6
ok "its root goes" "$VMF" web destroy --yes
ok "its middle goes" "$VMF" c2 destroy --yes
ok "the ends are whole" bash -c "has c1-0 4 && has c3-0 6"
ok "one of them goes" "$VMF" c1 destroy --yes
ok "the last is whole" has c3-0 6
ok "and stands alone" [ "$(origin c3-0)" = - ]
ok "nothing is left but that" [ "$(everything | wc -l)" = 2 ]
ok "it is renamed" "$VMF" c3 rename web

# snapshots with clones of several ages, and names that clash with a clone's own
put web-0 1
run "$VMF" web snapshot a
ok "a clone of a" "$VMF" ca clone --from web@a
put web-0 2
run "$VMF" web snapshot b
ok "two clones of b" bash -c "'$VMF' cb clone --from web@b && '$VMF' cc clone --from web@b"
put web-0 3
run "$VMF" web snapshot c
ok "a clone has snapshots of the same names" bash -c "'$VMF' cb snapshot a && '$VMF' cb snapshot b"
fails "roll back to a, on which later ones and clones stand" 6 "$VMF" web rollback a --later-too
says "names the clones" 'as tank/cb-0, tank/cc-0 stand on what is newer|as tank/cc-0, tank/cb-0 stand on'
ok "nothing has changed" has web-0 3
ok "the origin goes" "$VMF" web destroy --yes
ok "all clones are whole" bash -c "has ca-0 1 && has cb-0 2 && has cc-0 2"
ok "the snapshots of the clone are its own" [ "$(names cb)" = "a:0,1 b:0,1 " ]
ok "it can be rolled back to the second" "$VMF" cb rollback b
ok "clones go in any order" bash -c "'$VMF' cb destroy --yes && '$VMF' ca destroy --yes"
ok "the last is whole" has cc-0 2
ok "it goes, too" "$VMF" cc destroy --yes
ok "and nothing is left" [ -z "$(everything)" ]

# a snapshot on which something stands
run "$VMF" web create --disk 16M
put web-0 1
run "$VMF" web snapshot gold
ok "clones of a snapshot" bash -c "'$VMF' c1 clone --from web@gold && '$VMF' c2 clone --from web@gold"
ok "the snapshot is removed" "$VMF" web snapshot --delete gold
ok "and seen no more" [ -z "$("$VMF" web snapshots)" ]
ok "its name is free" "$VMF" web snapshot gold
ok "the clones are whole" bash -c "has c1-0 1 && has c2-0 1"
ok "the new one is removed at once" "$VMF" web snapshot --delete gold
ok "a clone goes" "$VMF" c1 destroy --yes
ok "what the other needs stays" own
ok "the other goes" "$VMF" c2 destroy --yes
ok "and what it stood on" no_own

# ---- full copies ------------------------------------------------------------------------------------

put web-0 1
run "$VMF" web snapshot one
put web-0 2
ok "a full copy" "$VMF" copy clone --from web --copy
ok "has it all" [ "$(sum copy-0)" = "$(sum web-0)" ]
ok "and stands alone" [ "$(origin copy-0)" = - ]
ok "zeroes take no room" [ "$(zfs get -Hp -o value referenced tank/copy-0)" -lt 3000000 ]
ok "of a snapshot" "$VMF" old clone --from web@one --copy
ok "it has that" has old-0 1
ok "nothing of vmf's own is left" no_own
ok "all go" bash -c "'$VMF' copy destroy --yes && '$VMF' old destroy --yes"

# ---- streams ----------------------------------------------------------------------------------------

ok "a volume is sent" bash -c "'$call' zfs send web-0 >'$scratch/stream'"
ok "as the bytes that it has" [ "$(sha256sum <"$scratch/stream")" = "$(sum web-0)" ]
ok "to a file with holes" [ "$(du -k "$scratch/stream" | cut -f 1)" -lt 2100 ]
ok "and to a pipe" bash -c "[ \"\$('$call' zfs send web-0 | sha256sum)\" = '$(sum web-0)' ]"
ok "it is received" bash -c "'$call' zfs receive got 16777216 <'$scratch/stream'"
ok "whole" [ "$(sum got)" = "$(sum web-0)" ]
ok "with the mark" [ "$(zfs get -H -o source vmf:owner tank/got)" = local ]
fails "under a name that is taken" 5 bash -c "'$call' zfs receive got 16777216 <'$scratch/stream'"
fails "a stream that is too short" 1 bash -c "head -c 5000000 '$scratch/stream' | '$call' zfs receive short 16777216"
says "is told with both numbers" 'ended after 5000000 of 16777216 bytes'
ok "nothing is left of it" bash -c "no_own && ! zfs list tank/short"
ok "an odd size" bash -c "head -c 100001 '$scratch/stream' | '$call' zfs receive odd 100001"
ok "is rounded up" [ "$(zfs get -Hp -o value volsize tank/odd)" -ge 100001 ]
ok "its bytes are there" cmp -n 100001 "$scratch/stream" "$(device odd)"
ok "both go" bash -c "'$call' zfs remove got && '$call' zfs remove odd && '$call' zfs remove odd"

plan_now
