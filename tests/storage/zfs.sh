#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a real pool: what nbsvm does with ZFS, and what it does not; clones and who stands on whom, roll back,
# what is not vmf's, full pools, names, copies and streams.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
. "$top_srcdir/tests/storage/zfs-lib.sh" || exit 1
mkdir -p "$VMF_HOME/etc/classes"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
drive_size = "16M"
storage "z" { zfs { } }
storage "elsewhere" { zfs { dataset = "nowhere/vms" } }
storage "volume" { zfs { dataset = "tank/gold" } }
storage "slash" { zfs { dataset = "/tank" } }
storage "odd" { zfs { volblocksize = "5000" } }
storage "whole" { zfs { dataset = "tank/vms" sparse = no volblocksize = "16K" compression = "lz4" } }
storage "wrong" { zfs { compression = "best" } }
END
cat >"$VMF_HOME/etc/classes/default.conf" <<'END'
accel = "tcg"
memory = "32M"
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
ok "a filesystem in it" zfs create tank/vms

# ---- nbsvm's README ---------------------------------------------------------------------------------

ok "nbsvm foo newimg newimg newimg start -cdrom install.iso" \
	"$VMF" foo newimg newimg newimg start -cdrom "$top_srcdir/tests/lib.sh"
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
	"ln -s '$VMF' '$scratch/labvm'; '$scratch/labvm' foo newimg && zfs list -H tank/lab-foo-0"
ok "it goes" "$scratch/labvm" foo destroy --yes
ok "what nbsvm has not: the origin goes, its clone stays" "$VMF" bar destroy --yes
ok "with all that it had" has foo2-0 3
ok "it stands alone now" [ "$(origin foo2-0)" = - ]
ok "no snapshot is left of it" [ -z "$(zfs list -H -t snapshot tank/foo2-0)" ]
ok "foo is rolled back" "$VMF" foo rollback backup
ok "to what it was" has foo-0 1
ok "foo is renamed" "$VMF" foo rename fool
ok "volumes and snapshots with it" zfs list -H tank/fool-0@backup tank/fool-2@backup
ok "a boot sector on a volume" dd if=/usr/share/vmf-guest/bootsector.img of="$(device fool-0)" conv=notrunc,fsync
ok "boots" bash -c "'$VMF' fool start && '$VMF' fool console --until BOOTED --timeout 60s </dev/null"
run cat "$VMF_HOME/lib/log/fool.serial0"
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

# ---- devices ----------------------------------------------------------------------------------------

ok "map gives the device" bash -c "[ \"\$('$call' zfs map web-0 writable)\" = /dev/zvol/tank/web-0 ]"
ok "unmap" "$call" zfs unmap web-0
ok "attach opens it" "$call" zfs attach web-0
says "as a raw device" '^raw /dev/zvol/tank/web-0 device open$'
says "with the defaults" '^cache none, aio threads, discard 1, detect_zeroes 1$'
ok "the options are passed on" "$call" zfs cache=none aio=native discard=no detect_zeroes=no attach web-0 readonly
says "all of them" '^cache none, aio native, discard 0, detect_zeroes 0$'
fails "options that do not go together" 3 "$call" zfs cache=writeback aio=native attach web-0
fails "a volume that is not there" 4 "$call" zfs attach nothing
run zfs create -s -V 16M -o volmode=none tank/hidden
fails "a volume without a device" 10 "$call" zfs device_timeout=500ms attach hidden
says "the hint says why" 'hint: .*volmode'
run zfs destroy tank/hidden
# an old link that leads to another volume
run zfs create -s -V 16M tank/other
other=$(readlink -f "$(device other)")
wait_for 20 test -b /dev/zvol/tank/web-0
ln -sfn "$other" /dev/zvol/tank/web-0
fails "a link that leads to another volume is not followed" 10 "$call" zfs device_timeout=500ms attach web-0
run udevadm trigger --subsystem-match=block --action=change
run udevadm settle
ok "when it is right again it is" "$call" zfs attach web-0
run zfs destroy tank/other

# ---- size -------------------------------------------------------------------------------------------

fails "size 0" 2 "$call" zfs create null 0
ok "it grows" "$call" zfs grow web-0 33554432
ok "and has the size" [ "$(zfs get -Hp -o value volsize tank/web-0)" = 33554432 ]
ok "odd sizes are rounded up" "$call" zfs grow web-0 33554433
ok "to whole blocks" [ $(($(zfs get -Hp -o value volsize tank/web-0) % 8192)) = 0 ]
fails "it does not shrink" 12 "$call" zfs grow web-0 1048576
says "both sizes are told" 'cannot shrink to 1048576$'
ok "what it had is there" has web-0 2
ok "dry runs" env CALL_DRY_RUN=1 "$call" zfs grow web-0 67108864
ok "of all that changes something" bash -c "export CALL_DRY_RUN=1
	'$call' zfs create new 1048576 && '$call' zfs rename web-0 web-9 && '$call' zfs snapshot web-0 x &&
	'$call' zfs clone web-0 - new && '$call' zfs clone web-0 one new copy && '$call' zfs rollback web-0 one &&
	'$call' zfs snapshot-remove web-0 one && '$call' zfs receive new 1048576 </dev/null && '$call' zfs attach web-0 &&
	'$call' zfs map web-0 && '$call' zfs remove web-0"
ok "change nothing" [ "$(everything | wc -l)" = 2 ]

# ---- in use -----------------------------------------------------------------------------------------

run "$VMF" web start
ok "the VM runs" "$VMF" web status
ok "a snapshot of it" "$VMF" web snapshot live
ok "a clone of that" "$VMF" live clone --from web@live
fails "but not of itself" 7 "$VMF" new clone --from web
says "the hint names another way" 'hint: stop the VM that uses it, or clone a snapshot of it'
for what in "remove web-0" "rename web-0 web-9" "rollback web-0 live" "attach web-0" "map web-0 writable" "send web-0"; do
	# shellcheck disable=SC2086 # words
	fails "$what: refused while it is in use" 7 "$call" zfs $what
done
ok "it goes on" bash -c "'$VMF' web status | grep running"
ok "it stops" bash -c "'$VMF' web stop && '$VMF' live destroy --yes"
run mke2fs -q "$(device web-0)"
mkdir "$scratch/mnt"
ok "it is mounted" mount "$(device web-0)" "$scratch/mnt"
for what in "remove web-0" "rename web-0 web-9" "rollback web-0 live" "attach web-0" "grow web-0 99999999"; do
	# shellcheck disable=SC2086 # words
	fails "$what: refused while it is mounted" 7 "$call" zfs $what
done
says "the hint says so" 'hint: unmount it'
ok "it is mounted no more" umount "$scratch/mnt"
exec 7<"$(device web-0)"
fails "what somebody just reads is not removed either" 7 "$call" zfs device_timeout=500ms remove web-0
says "in the words of zfs" 'zfs destroy: cannot destroy .tank/web-0.: dataset is busy'
exec 7<&-
ok "it goes" "$VMF" web destroy --yes
ok "all of it" [ -z "$(everything)" ]

# ---- what is not vmf's ------------------------------------------------------------------------------

zfs set vmf:owner=11111111-2222-3333-4444-555555555555 tank # inherited by everything
run zfs create -s -V 16M tank/gold
put gold 7
zfs snapshot tank/gold@one
put gold 8
zfs snapshot tank/gold@two
gold=$(sum gold)
for what in "remove gold" "rename gold mine" "rollback gold two" "snapshot gold x" "snapshot-remove gold one" "grow gold 33554432"; do
	# shellcheck disable=SC2086 # words
	fails "$what: refused, as it is not vmf's" 8 "$call" zfs $what
done
ok "list says so" bash -c "'$call' zfs list gold | grep 'foreign -'"
ok "and so it says of snapshots" bash -c "'$call' zfs snapshots gold | grep 'one foreign dated'"
fails "its name is taken" 5 "$call" zfs create gold 1048576
fails "for a clone, too" 5 "$call" zfs clone gold - gold
fails "a filesystem's as well" 5 "$call" zfs create vms 1048576
ok "a clone of it" "$call" zfs clone gold one clone1
ok "and of what it is now" "$call" zfs clone gold - clone2
ok "a copy" "$call" zfs clone gold one clone3 copy
ok "they have what it had" bash -c "has clone1 7 && has clone2 8 && has clone3 7"
cat >>"$VMF_HOME/etc/vmf.conf" <<'END'
END
run "$VMF" user create
echo 'disk "root" { volume = "gold" }' >>"$VMF_HOME/etc/vms/user.conf"
ok "a VM on a volume that is not vmf's" "$VMF" user start --dry-run
ok "is destroyed" "$VMF" user destroy --yes
says "the volume stays" 'volume gold .* was not made by vmf for it, and stays'
ok "clones go" bash -c "for n in 1 2 3; do '$call' zfs remove clone\$n || exit; done"
ok "gold is as it was" [ "$(sum gold)" = "$gold" ]
ok "and so are its snapshots" [ "$(zfs list -H -o name -t snapshot tank/gold | tr '\n' ' ')" = "tank/gold@one tank/gold@two " ]
zfs inherit vmf:owner tank

# others' snapshots and clones of what is vmf's
run "$VMF" web create --disk 16M
put web-0 1
run "$VMF" web snapshot ours
zfs snapshot tank/web-0@theirs
fails "somebody's later snapshot is not lost by a roll back" 8 "$VMF" web rollback ours --later-too
says "the hint has the command" 'hint: if they are yours to remove: zfs destroy tank/web-0@theirs'
fails "nor by a removal" 8 "$VMF" web destroy --yes
ok "nothing has changed" [ "$(zfs list -H -o name -t snapshot tank/web-0 | tr '\n' ' ')" = "tank/web-0@ours tank/web-0@theirs " ]
ok "a bookmark is no snapshot" bash -c "zfs destroy tank/web-0@theirs && zfs bookmark tank/web-0@ours tank/web-0#mark"
ok "one as old as the snapshot is no obstacle" "$VMF" web rollback ours
ok "their clone" zfs clone tank/web-0@ours tank/theirs
fails "is no reason to change it" 6 "$call" zfs remove web-0
says "the hint has the command" 'hint: .*zfs promote tank/theirs'
ok "without it" zfs destroy tank/theirs
zfs hold keep tank/web-0@ours
fails "a snapshot that is held" 7 "$VMF" web snapshot --delete ours
fails "keeps its volume" 7 "$call" zfs remove web-0
says "the hint says how" 'hint: .zfs holds tank/web-0@ours'
zfs release keep tank/web-0@ours
ok "it goes" "$VMF" web destroy --yes

# handed over
ok "a volume is handed over" zfs set vmf:owner=none tank/gold
ok "list says so" bash -c "'$call' zfs list gold | grep 'ours -'"
ok "it can be grown now" "$call" zfs grow gold 33554432
ok "with the snapshots that vmf has not made it is not removed" bash -c "! '$call' zfs remove gold"
run zfs destroy tank/gold@one,two
ok "without them it is" "$call" zfs remove gold

# ---- room -------------------------------------------------------------------------------------------

fails "more than there is" 11 "$call" zfs dataset=tank/vms sparse=no create big 99999999999
says "is refused with numbers" 'tank/vms has [0-9]+ MiB left, but big needs 95367 MiB'
ok "sparse it may be" "$call" zfs dataset=tank/vms create big 99999999999
fails "but not grow" 11 "$call" zfs dataset=tank/vms sparse=no grow big 199999999999
ok "it goes" "$call" zfs dataset=tank/vms remove big
ok "another storage of the same pool" "$VMF" -o storage=whole res create --disk 100M
ok "reserves" [ "$(zfs get -Hp -o value refreservation tank/vms/res-0)" -ge 104857600 ]
ok "in blocks as told" [ "$(zfs get -Hp -o value volblocksize tank/vms/res-0)" = 16384 ]
ok "and packs" [ "$(zfs get -H -o value,source compression tank/vms/res-0)" = "lz4	local" ]
run "$VMF" res set storage=whole
ok "it goes" "$VMF" res destroy --yes
run "$VMF" web create --disk 700M
ok "most of the pool is written" bash -c "head -c 500000000 /dev/urandom | dd of='$(device web-0)' bs=1M conv=fsync"
run zpool sync
ok "vmf warns" "$VMF" more create --disk 16M
says "with what is left" 'tank is [0-9]+% full, [0-9]+ MiB are left: guests on sparse volumes get errors'
fails "a full copy of it has no room" 11 "$VMF" copy clone --from web --copy
says "which is told beforehand" 'but copy-0 needs [0-9]+ MiB'
ok "nothing is left of it" bash -c "no_own && ! zfs list tank/copy-0"
ok "in the midst of a stream, too" bash -c "head -c 300000000 /dev/urandom | '$call' zfs receive got 300000000; [ \$? = 11 ]"
ok "nothing is left of that" bash -c "no_own && ! zfs list tank/got"
ok "the pool can be left when it is full" bash -c "'$call' zfs send web-0 | head -c 1000000 | cmp -n 1000000 - '$(device web-0)'"
ok "both go" bash -c "'$VMF' more destroy --yes && '$VMF' web destroy --yes"

# ---- names and options ------------------------------------------------------------------------------

long=$(printf 'x%.0s' $(seq 300))
fails "a name that is too long" 2 "$call" zfs create "${long:0:250}" 1048576
says "is told with what may be" 'in tank a name has at most [0-9]+ bytes'
ok "the longest" "$call" zfs create "${long:0:229}" 1048576
ok "can be cloned" "$call" zfs clone "${long:0:229}" - clone
ok "and has a device" "$call" zfs attach "${long:0:229}"
fails "a snapshot's name is too long then" 2 "$call" zfs snapshot "${long:0:229}" "${long:0:22}"
ok "a shorter one" "$call" zfs snapshot "${long:0:229}" "${long:0:20}"
ok "both go" bash -c "'$call' zfs remove clone && '$call' zfs remove '${long:0:229}'"
for name in 'a/b' 'a@b' 'a#b' 'a%b' .hidden -r .. '' 'a	b' 'ä' ' a'; do
	fails "no volume of the name \"$name\"" 2 "$call" zfs create "$name" 1048576
done
ok "a name with a space" "$call" zfs create "a b" 1048576
ok "has a device" "$call" zfs attach "a b"
says "where udev puts it" '^raw /dev/zvol/tank/a\+b '
fails "a snapshot with a name of vmf's own" 2 "$call" zfs snapshot "a b" vmf-0123456789abcdef
fails "or of none" 2 "$call" zfs snapshot "a b" "x/y"
ok "it goes" "$call" zfs remove "a b"
ok "an empty pool" [ -z "$(everything)" ]
for storage in elsewhere:4 slash:3 odd:3 wrong:1; do
	fails "storage ${storage%:*} is refused" "${storage#*:}" "$VMF" -o storage="${storage%:*}" x create --disk 1M
done
says "in the words of zfs" "zfs create: .*compression.* must be one of"
run zfs create -s -V 16M tank/gold
fails "a volume is no place for volumes" 3 "$VMF" -o storage=volume x create --disk 1M
run zfs destroy tank/gold
ok "nothing was made" [ -z "$(everything)" ]
ok "nor defined" [ ! -e "$VMF_HOME/etc/vms/x.conf" ]

# ---- rights and the contract -------------------------------------------------------------------------

chmod 755 "$VMF_HOME" "$scratch"
fails "an ordinary user" 8 setpriv --reuid 65534 --regid 65534 --clear-groups "$call" zfs create mine 1048576
says "is told how to be allowed" 'hint: be root, or let root give you the right by .zfs allow'
ok "vmf-plugin-check" "$top_builddir/vmf-plugin-check" --run "$VMF_PLUGIN_PATH/storage-zfs.so" dataset=tank/vms \
	device_timeout=2s
! grep -E '^not ok|SKIP' "$out"
result $? "has nothing to say"
ok "and leaves nothing" [ -z "$(everything)" ]

# ---- many -------------------------------------------------------------------------------------------

for n in $(seq 40); do
	zfs create -s -V 1M "tank/many$n-0"
done
mkdir "$scratch/bin"
cat >"$scratch/bin/zfs" <<END
#!/bin/sh
echo "\$@" >>"$scratch/zfs-calls"
exec $(command -v zfs) "\$@"
END
chmod +x "$scratch/bin/zfs"
ok "forty volumes are listed" bash -c "PATH='$scratch/bin:$PATH' '$call' zfs list many | wc -l | grep -x 40"
ok "by one call of zfs" [ "$(wc -l <"$scratch/zfs-calls")" = 1 ]
for n in $(seq 40); do
	zfs destroy "tank/many$n-0"
done

plan_now
