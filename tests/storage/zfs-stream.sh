#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs on a real pool: disks with their snapshots as ZFS' own stream, to files and back; bad streams, kills.

. "${0%/*}/zfs-lib.sh"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
storage "z" { zfs { } }
storage "dir" { file-qcow2 { dir = "/vmf-images" } }
END
mkdir -p /vmf-images
ok "the pool is made" new_pool
ok "what is not vmf's" new_neighbours
file=$scratch/web.zfs

# ---- out and in ------------------------------------------------------------------------------------

ok "a VM" "$VMF" web create --disk 16M
put web-0 1
ok "a snapshot" "$VMF" web snapshot one
put web-0 2
ok "a dry run" "$VMF" --dry-run web disk export 0 "$file" --format own
says "says what would be done" "copy volume web-0 .* to $file \(own\)"
ok "makes nothing" bash -c "[ ! -e '$file' ] && no_own"
ok "a disk becomes a stream" "$VMF" web disk export 0 "$file" --format own
ok "and nothing of it stays" no_own
ok "there is one already" [ -s "$file" ]
fails "which is not written over" 5 "$VMF" web disk export 0 "$file" --format own
ok "zfs takes it" bash -c "zfs receive tank/plain <'$file' && has plain 2 && zfs list tank/plain@one && zfs destroy -r tank/plain"
ok "another VM" "$VMF" copy create --disk 1M
put copy-0 3
ok "a dry run" "$VMF" --dry-run copy disk import 0 "$file" --format own --yes
ok "changes nothing" has copy-0 3
ok "its disk becomes that" "$VMF" copy disk import 0 "$file" --format own --yes
ok "with what is in it" has copy-0 2
ok "and its snapshot" bash -c "[ \"\$('$VMF' copy snapshots | cut -f 1)\" = one ]"
ok "nothing else" bash -c "no_own && [ \"\$(volumes | tr ' ' '\n' | grep -c ^copy)\" = 1 ]"
ok "it is the VM's own" bash -c "[ \"\$(zfs get -H -o value,source vmf:owner tank/copy-0@one)\" = \"\$(zfs get -H -o value,source vmf:owner tank/copy-0)\" ]"
ok "it goes back" "$VMF" copy rollback one
ok "as before" has copy-0 1
ok "a further disk of it" "$VMF" copy disk add 20M --image "$file" --format own
ok "which is as large as it is to be" [ "$(zfs get -Hp -o value volsize tank/copy-1)" = 20971520 ]
ok "a large one without a size" "$VMF" copy disk add --image "$file" --format own --name data
ok "is as large as the stream's" [ "$(zfs get -Hp -o value volsize tank/copy-data)" = 16777216 ]
ok "the definition says so" grep -E 'size = "?16M' "$VMF_HOME/etc/vms/copy.conf"
ok "through a chain of hands" bash -c "'$VMF' copy disk export 1 '$file.2' --format own && '$VMF' x disk add --image '$file.2' --format own && has x-0 2"
ok "as large" [ "$(zfs get -Hp -o value volsize tank/x-0)" = 20971520 ]
ok "JSON" bash -c "[ \"\$('$VMF' --json x disk export 0 '$file.3' --format own | jq -r .format)\" = own ]"

# ---- clones ----------------------------------------------------------------------------------------

ok "a clone" "$VMF" c1 clone --from web@one
put c1-0 5
ok "a snapshot of it" "$VMF" c1 snapshot two
ok "it becomes a stream" "$VMF" c1 disk export 0 "$scratch/c1.zfs" --format own
says "without its snapshots, as is said" 'is a clone: it is sent without its snapshots'
ok "which stands alone" bash -c "'$VMF' alone disk add --image '$scratch/c1.zfs' --format own && has alone-0 5 && [ -z \"\$('$VMF' alone snapshots)\" ]"
ok "on nothing" [ "$(origin alone-0)" = - ]

# ---- what is not possible --------------------------------------------------------------------------

ok "a larger disk" bash -c "'$VMF' big create --disk 96M && head -c 60M /dev/urandom | dd of=\$(device big-0) bs=1M conv=fsync status=none"
state=$(everything)
head -c 100000 "$file" >"$scratch/short.zfs"
head -c 100000 /dev/urandom >"$scratch/noise.zfs"
zfs snapshot tank/gold@s && zfs send tank/gold@s >"$scratch/plain.zfs" && zfs destroy tank/gold@s
fails "a stream that was cut off" 1 "$VMF" big disk import 0 "$scratch/short.zfs" --format own --yes
says "in the words of zfs" 'zfs receive: .*(incomplete stream|checksum|most recent)'
fails "one of noise" 12 "$VMF" copy disk import 0 "$scratch/noise.zfs" --format own --yes
says "is none" 'noise.zfs: this is no stream of ZFS'
fails "one that vmf did not write" 12 "$VMF" copy disk import 0 "$scratch/plain.zfs" --format own --yes
says "tells another way" 'hint: .zfs receive. it'
fails "too small a disk" 2 "$VMF" copy disk add 1M --image "$file" --format own
fails "a store without streams" 12 "$VMF" copy disk add --image "$file" --format own --storage dir
says "names other formats" 'hint: use --format raw or qcow2'
fails "there is no such format" 2 "$VMF" web disk export 0 "$scratch/y" --format zfs
fails "it is not packed" 2 "$VMF" web disk export 0 "$scratch/y" --format own --compress
ok "nothing was changed" [ "$state" = "$(everything)" ]
ok "no file was made" [ ! -e "$scratch/y" ]
ok "nor is anything in the making" no_own

# ---- kills -----------------------------------------------------------------------------------------

before=$(sum big-0)
ok "is sent" "$VMF" big disk export 0 "$scratch/big.zfs" --format own
for ms in 50 150 300 500 800; do
	"$VMF" y disk add --image "$scratch/big.zfs" --format own &
	pid=$!
	sleep "$(printf '0.%03d' "$ms")"
	# somebody else works in the same dataset meanwhile
	"$VMF" other newimg 1M && "$VMF" other destroy --yes
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	"$VMF" y destroy --yes
	ok "after a kill at $ms ms it is gone" bash -c "! zfs list tank/y-0 && no_own"
	ok "and comes in" "$VMF" y disk add --image "$scratch/big.zfs" --format own
	ok "whole" [ "$before" = "$(sum y-0)" ]
	ok "it goes" "$VMF" y destroy --yes
	ok "nothing is in the making" no_own
done
for ms in 50 150 300; do
	rm -f "$scratch/big2.zfs"
	"$VMF" big disk export 0 "$scratch/big2.zfs" --format own &
	pid=$!
	sleep "$(printf '0.%03d' "$ms")"
	kill -KILL $pid 2>/dev/null
	wait $pid 2>/dev/null
	ok "after a kill of sending at $ms ms" bash -c "[ -e '$scratch/big2.zfs' ] || '$VMF' big disk export 0 '$scratch/big2.zfs' --format own"
	ok "nothing is left of it" no_own
done
ok "somebody else works in the dataset while it comes in" bash -c "
	'$VMF' y disk add --image '$scratch/big.zfs' --format own & pid=\$!
	for i in 1 2 3 4; do '$VMF' other newimg 1M && '$VMF' other destroy --yes || exit; done
	wait \$pid"
ok "which harms nothing" [ "$before" = "$(sum y-0)" ]
for vm in web copy x c1 alone big y; do
	ok "$vm goes" "$VMF" "$vm" destroy --yes
done
ok "nothing is left of them" [ -z "$(own_volumes)" ]
ok "what is not vmf's is as it was" neighbours_same
plan_now
