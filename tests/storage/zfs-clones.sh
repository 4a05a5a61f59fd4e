#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a real pool: clones and who stands on whom, what goes with what, full copies, streams.

. "${0%/*}/zfs-lib.sh"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
storage "z" { zfs { } }
END

# names: of VM's snapshots, with the disks that have them
names()
{
	"$VMF" "$1" snapshots | cut -f 1,4 | tr '\t\n' ': '
}

ok "the pool is made" new_pool
ok "a VM with two disks" "$VMF" web create --disk 16M --disk 16M

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

ok "a large volume" bash -c "'$call' zfs create large 100663296 &&
	head -c 100663296 /dev/zero | tr '\\0' x | dd of=\"\$(device large)\" bs=1M iflag=fullblock oflag=direct conv=fsync"
ok "a full copy of it" "$call" zfs clone large - copy copy
ok "both go" bash -c "'$call' zfs remove copy && '$call' zfs remove large"

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
