#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Volumes and the storages they are in: clones of gold images, lists, what nobody needs, what stands on what, and many.

. "${0%/*}/../lib.sh"
. "${0%/*}/storage-lib.sh"
need_program strace strace

truncate -s 3M "$scratch/gold.raw"
ok "a VM" "$VMF" web create --disk 16M
cp "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"

# ---- clones of volumes ------------------------------------------------------------------------------

run "$VMF" gold create --disk 4M
run qemu-io -f qcow2 -c 'write -P 3 0 1M' "$images/gold-0.qcow2"
run "$VMF" gold snapshot v1
run qemu-io -f qcow2 -c 'write -P 4 0 1M' "$images/gold-0.qcow2"

# has VOLUME BYTE
has()
{
	qemu-io -r -f qcow2 -c "read -P $2 0 1M" "$images/$1.qcow2" | tee "$scratch/has"
	! grep -q 'verification failed' "$scratch/has"
}

ok "clone --volume defines a VM" "$VMF" c clone --volume gold-0
ok "with a disk that stands on it" is c 0 origin gold-0
ok "once more: its next disk" "$VMF" c clone --volume default:gold-0 --copy
ok "is a copy" is c 1 origin null
ok "with the same" has c-1 4
ok "of a snapshot" "$VMF" c clone --volume gold-0@v1
ok "is as it was then" has c-2 3
ok "of a volume in another storage" "$VMF" o disk add 1M --storage other
ok "is made there" "$VMF" c clone --volume other:o-0 --copy
ok "and noted" is c 3 storage other
bad "of no such volume" 4 'no volume "gold-9"' c clone --volume gold-9
bad "of no such snapshot" 4 'no snapshot "v9"' c clone --volume gold-0@v9
bad "of a VM and a volume" 2 'not both' c clone --volume gold-0 --from gold
bad "of no gold image" 4 'no gold image "nugget".*' -o gold=nugget c clone
says "the hint names what there is to say" 'hint: say --from VM or --volume NAME, or .set gold=NAME.'
ok "of a gold image by its VM's name" "$VMF" g clone
ok "stands on its first disk" is g 0 origin gold-0
run "$VMF" lab-gold disk add 2M
run "$VMF" h create --class lab
ok "of the class's own, if there is one" "$VMF" h clone
ok "stands on that" is h 0 origin lab-gold-0
ok "by a setting, as it was at a snapshot" "$VMF" -o gold=default:gold-0@v1 g clone
ok "is as it was then" has g-1 3
for vm in g h lab-gold; do
	run "$VMF" $vm destroy --yes
done
bad "a snapshot, copy-on-write" 12 'snapshot' c clone --volume gold-0@v1 --cow
fails "a gold image is not removed" 6 "$VMF" gold disk rm 0 --yes
says "as others stand on it" 'stands? on it'

# ---- storages ---------------------------------------------------------------------------------------

ok "storage list" "$VMF" storage list
says "has the default one" '^default \(default\)	file-qcow2	.*/lib/images	[0-9.]+[GTM]	[0-9.]+[GTMK]	-	-	snapshots,'
says "and those of vmf.conf" "^other	file-qcow2	$scratch/other	"
says "with what they can do" '^flat	.*	live-grow,rename,stream$'
"$VMF" --json storage list >"$out" 2>&1
ok "as JSON" jq -e '.[] | select(.name == "flat") | .usable and (.can | index("compress") | not) and .free_bytes > 0' "$out"
ok "storage list --names" "$VMF" storage list --names
says "has only those" '^again$'
echo 'storage "broken" { file-qcow2 { dir = "/nonexistent/a/b" } }' >>"$VMF_HOME/etc/vmf.conf"
echo 'storage "alien" { nosuch { } }' >>"$VMF_HOME/etc/vmf.conf"
ok "one that cannot be used" "$VMF" storage list
says "is shown with the reason" '^broken	file-qcow2	-	.*nonexistent'
says "and one whose plugin is not there" '^alien	nosuch	.*nosuch'
fails "its volumes cannot be" 4 "$VMF" storage volumes broken
sed -i '/"broken"\|"alien"/d' "$VMF_HOME/etc/vmf.conf"
ok "storage volumes STORE" "$VMF" storage volumes other
says "has the volume" '^other	o-0	qcow2	1M	.*	vmf	-	-	'
[ "$(grep -vc '^other' "$out")" = 0 ]
result $? "and no other"
truncate -s 5M "$images/strange.raw"
ok "storage volumes" "$VMF" storage volumes
says "has what others made" '^default	strange	raw	5M	.*	others	'
says "and what stands on what" '^default	c-0	.*	gold-0	'
fails "of a storage that is not there" 3 "$VMF" storage volumes nowhere
fails "one word too many" 2 "$VMF" storage volumes other more
fails "storage what" 2 "$VMF" storage

# ---- orphans ----------------------------------------------------------------------------------------

ok "storage orphans" "$VMF" storage orphans
ok "there are none" [ ! -s "$out" ]
rm "$VMF_HOME/etc/vms/o.conf"
ok "the definition of a VM is gone" "$VMF" storage orphans
says "its volume is one, once" '^other	o-0	qcow2	1M	'
[ "$(wc -l <"$out")" = 1 ]
result $? "but those that others use or stand on are not"
rm "$VMF_HOME/etc/vms/gold.conf"
ok "a gold image without a VM" "$VMF" storage orphans
[ "$(cut -f 2 "$out")" = o-0 ]
result $? "is none while something stands on it"
"$VMF" --json storage orphans >"$out" 2>&1
ok "as JSON" jq -e '.[0] | .volume == "o-0" and .owner == null and .removed == false' "$out"
bad "they are removed only when told" 2 'no terminal to ask on' storage orphans --remove
bad "and --yes alone is nothing" 2 'is for --remove' storage orphans --yes
ok "a dry run" "$VMF" --dry-run storage orphans --remove
says "says what would go" 'remove volume o-0 of storage "other"'
ok "it is there" test -e "$scratch/other/o-0.qcow2"
echo 'nonsense = 1' >"$VMF_HOME/etc/vms/broken.conf"
fails "not while a definition cannot be read" 3 "$VMF" storage orphans --remove --yes
ok "it is still there" test -e "$scratch/other/o-0.qcow2"
rm "$VMF_HOME/etc/vms/broken.conf"
ok "storage orphans --remove --yes" "$VMF" storage orphans --remove --yes
says "says so" '^other	o-0	.*	removed	'
ok "it is gone" test ! -e "$scratch/other/o-0.qcow2"
ok "the gold image is not" test -e "$images/gold-0.qcow2"
ok "nor what others made" test -e "$images/strange.raw"
run "$VMF" c destroy --yes
ok "once nothing stands on it" "$VMF" storage orphans --remove --yes
ok "it goes" test ! -e "$images/gold-0.qcow2"

# a volume that is marked for a VM that is there, but does not use it
run "$VMF" web disk add 1M --name spare
sed -i '/^disk "spare"/,/^}/d' "$VMF_HOME/etc/vms/web.conf"
ok "a volume that its VM does not use" "$VMF" storage orphans
says "is one, and whose it was is said" '^default	web-spare	.*	of web	'
ok "it goes" "$VMF" storage orphans --remove --yes
ok "its VM's disk stays" test -e "$images/web-0.qcow2"
cp "$scratch/web.conf" "$VMF_HOME/etc/vms/web.conf"

# ---- what stands on what, and many -------------------------------------------------------------------

# somebody's image, not named like a volume; another storage's, which may stand on what is here
run "$VMF" base create --disk 2M
run qemu-img create -q -f qcow2 -F qcow2 -b base-0.qcow2 "$images/somebody.img"
bad "what somebody's image stands on is not removed" 6 'somebody.img stands on it' base destroy --yes
rm "$images/somebody.img"
sed -i "s|\(storage \"other\" .* dir = [^ ]*\)|\1 backing_dirs = {\"$images\"}|" "$VMF_HOME/etc/vmf.conf"
run qemu-img create -q -f qcow2 -F qcow2 -b "$images/base-0.qcow2" "$scratch/other/upper.qcow2"
bad "nor what another storage's volume stands on" 6 'volume upper of storage "other" stands on' base destroy --yes
bad "as a disk" 6 'volume upper of storage "other" stands on' base disk rm 0 --yes
bad "nor is it replaced" 6 'stands on' base disk import 0 "$scratch/gold.raw" --yes
bad "nor renamed" 6 'stands on' base rename higher
mv "$VMF_HOME/etc/vms/base.conf" "$scratch/base.conf"
fails "nor removed as an orphan" 1 "$VMF" storage orphans --remove --yes
says "as it is said" 'volume upper of storage "other" stands on it'
mv "$scratch/base.conf" "$VMF_HOME/etc/vms/base.conf"
rm "$scratch/other/upper.qcow2"
ok "then it goes" "$VMF" base destroy --yes

# a volume that somebody else has open
run "$VMF" base create --disk 2M
run "$VMF" base snapshot x
background qemu-io -f qcow2 -c 'sleep 600000' "$images/base-0.qcow2"
in_use()
{
	[ "$("$VMF" --json storage volumes default | jq '.[] | select(.volume == "base-0") | .in_use')" = true ]
}
ok "a volume is open elsewhere" wait_for 20 in_use
bad "it is not grown" 7 'base-0.qcow2 is in use' base disk resize 0 4M
bad "nor packed" 7 'in use|snapshots' base disk compress 0
bad "nor removed" 7 'in use' base disk rm 0 --yes
bad "nor destroyed" 7 'in use' base destroy --yes
bad "nor renamed" 7 'in use' base rename higher
bad "nor given a snapshot" 7 'in use' base snapshot y
bad "nor rolled back" 6 'in use' base rollback x
bad "nor cloned" 7 'open for writing' new clone --from base
bad "nor exported" 7 'in use' base disk export 0 "$scratch/in-use.raw"
bad "nor copied from" 7 'being written to' web disk add --image "$images/base-0.qcow2"
bad "nor does its VM start" 7 'in use' base start
kill "${background_pids##* }"
wait "${background_pids##* }" 2>"$out"
background_pids=
ok "then it goes" "$VMF" base destroy --yes

# a size that is set makes no disk
run "$VMF" base create
run "$VMF" base set disk.late.size=2M
fails "a disk that is only configured" 4 "$VMF" base start
says "the hint says what makes it" 'hint: .vmf base disk add --name late. makes it'
ok "that makes it" "$VMF" base disk add --name late
says "as large as it is configured" '\(2M\)'
run "$VMF" base destroy --yes

# a filesystem that is full
if [ "$(id -u)" = 0 ] && mkdir "$scratch/small" && truncate -s 8M "$scratch/small.img" &&
	mkfs.ext4 -q -m 0 "$scratch/small.img" && mount -o loop "$scratch/small.img" "$scratch/small" 2>"$out"; then
	echo "storage \"small\" { file-qcow2 { dir = \"$scratch/small\" } }" >>"$VMF_HOME/etc/vmf.conf"
	run "$VMF" full disk add 2M --storage small --name a
	dd if=/dev/zero of="$scratch/small/fill" bs=4k 2>"$out"
	bad "a snapshot that there is no room for" 11 'left, but this needs' full snapshot x
	bad "a clone" 11 'left, but this needs' new clone --from full
	bad "a full copy" 11 'left, but this needs|No space left' new clone --from full --copy
	bad "a new disk" 11 'No space left' full disk add 2M --storage small --name b
	bad "a copy of an image" 11 'No space left|left, but' full disk add --image "$scratch/gold.raw" --storage small --name b
	ok "nothing is left there" [ "$(find "$scratch/small" -name '*.qcow2' | sort | tr '\n' ' ')" = \
		"$scratch/small/.vmf/full-a.qcow2 $scratch/small/full-a.qcow2 " ]
	rm "$scratch/small/fill"
	ok "with room the snapshot is made" "$VMF" full snapshot x
	run "$VMF" full destroy --yes
	umount "$scratch/small"
	sed -i '/"small"/d' "$VMF_HOME/etc/vmf.conf"
else
	skip "a filesystem that is full" "not possible here: it takes root and loop devices"
fi

run "$VMF" many create
for _ in {0..199}; do
	"$VMF" many disk add 1M >"$out" 2>&1
done
if strace -qq -o /dev/null true 2>"$out"; then
	for words in "many drives" "many info" "list --columns name,disks" "storage volumes" "storage orphans"; do
		# shellcheck disable=SC2086 # words
		run strace -f -qq -o "$scratch/trace" -e trace=execve "$VMF" $words
		[ "$(grep -c execve "$scratch/trace")" = 1 ]
		result $? "no program is run for two hundred volumes: $words"
	done
	run strace -qq -o "$scratch/trace" -e trace=openat,open "$VMF" list --columns name,disks
	[ "$(grep -c 'many-7.qcow2' "$scratch/trace")" -le 2 ]
	result $? "and each is looked at once, however many VMs there are"
else
	skip "no program is run for two hundred volumes" "not possible here: $(head -n 1 "$out")"
fi
ok "two hundred disks are removed with their VM" "$VMF" many destroy --yes

plan_now
