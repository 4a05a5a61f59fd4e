#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a real pool, at its edges: devices, sizes, volumes in use, what is not vmf's, full pools, names, rights.

. "${0%/*}/zfs-lib.sh"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
storage "z" { zfs { } }
storage "elsewhere" { zfs { dataset = "nowhere/vms" } }
storage "volume" { zfs { dataset = "tank/gold" } }
storage "slash" { zfs { dataset = "/tank" } }
storage "odd" { zfs { volblocksize = "5000" } }
storage "whole" { zfs { dataset = "tank/vms" sparse = no volblocksize = "16K" compression = "lz4" } }
storage "wrong" { zfs { compression = "best" } }
END
ok "the pool is made" new_pool
ok "a filesystem in it" zfs create tank/vms
ok "a VM" "$VMF" web create --disk 16M
put web-0 1
run "$VMF" web snapshot one
put web-0 2

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
run zfs create -s -V 16M tank/hidden
rm "$(device hidden)" # as where udevd does not run
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
ok "a large volume has some data" bash -c "head -c 62914560 /dev/zero | tr '\0' x | dd of='$(device web-0)' bs=1M conv=fsync"
run zpool sync
# all but 50 MiB of what is left is reserved
run zfs create -o refreservation=$(($(zfs get -Hp -o value available tank) - 52428800)) tank/taken
ok "vmf warns" "$VMF" more create --disk 16M
says "with what is left" 'tank is [0-9]+% full, [0-9]+ MiB are left: guests on sparse volumes get errors'
fails "a full copy of it has no room" 11 "$VMF" copy clone --from web --copy
says "which is told beforehand" 'but copy-0 needs [0-9]+ MiB'
ok "nothing is left of it" bash -c "no_own && ! zfs list tank/copy-0"
ok "in the midst of a stream, too" bash -c "head -c 100000000 /dev/zero | tr '\0' x | '$call' zfs receive got 100000000; [ \$? = 11 ]"
ok "nothing is left of that" bash -c "no_own && ! zfs list tank/got"
ok "the pool can be left when it is full" bash -c "'$call' zfs send web-0 | head -c 1000000 | cmp -n 1000000 - '$(device web-0)'"
ok "both go" bash -c "'$VMF' more destroy --yes && '$VMF' web destroy --yes && zfs destroy tank/taken"

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
ok "vmf-plugin-check" "$top_builddir/vmf-plugin-check" --run --timeout 500 "$VMF_PLUGIN_PATH/storage-zfs.so" \
	dataset=tank/vms device_timeout=2s
! grep -E '^not ok|SKIP' "$out"
result $? "has nothing to say"
ok "and leaves nothing" [ -z "$(everything)" ]

plan_now
