# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# One table of cases for all stores: a verb means the same everywhere, and where a store cannot do something it says so and names
# another way. The test that sources this, after lib.sh, has made the store: STORE is qcow2, raw, thick, thin or zfs, a column of the
# table; VMF's configuration has it as the storage "s".
#
#	case_is NAME STATUS... -- WORD...     vmf WORD... ends with the status of our column; what fails changes nothing
#	case_has VM DISK BYTE                 the disk's first MiB is that byte

columns="qcow2 raw thick thin zfs"

# volume VM DISK KEY: of what drives says
volume()
{
	"$VMF" --json "$1" drives | jq -r --arg d "$2" ".drives[] | select(.disk == \$d) | .$3"
}

put()
{
	local path

	path=$(volume "$1" "$2" path) || return
	case $STORE in
	qcow2) qemu-io -f qcow2 -c "write -P $3 0 1M" "$path" ;;
	raw) qemu-io -f raw -c "write -P $3 0 1M" "$path" ;;
	*) head -c 1048576 /dev/zero | tr '\0' "\\$(printf %03o "$3")" | dd of="$path" bs=1M conv=notrunc,fsync status=none ;;
	esac
}

has()
{
	local path

	path=$(volume "$1" "$2" path) || return
	case $STORE in
	qcow2 | raw)
		# a clone of a raw volume is a qcow2 file that stands on it
		qemu-io -r -f "$(volume "$1" "$2" format)" -c "read -P $3 0 1M" "$path" >"$scratch/has" && ! grep -q 'verification failed' "$scratch/has"
		;;
	*)
		[ "$(head -c 1048576 "$path" | cksum)" = \
			"$(head -c 1048576 /dev/zero | tr '\0' "\\$(printf %03o "$3")" | cksum)" ]
		;;
	esac
}

case_has()
{
	ok "$STORE: disk $2 of $1 has what it should" has "$1" "$2" "$3"
}

# All that vmf knows: definitions, volumes, snapshots. Room that is used is left out: filesystems tell it late.
everything()
{
	local vm

	cat "$VMF_HOME"/etc/vms/*.conf 2>/dev/null
	"$VMF" --json storage volumes s | jq -cS 'walk(if type == "object" then del(.used_bytes) else . end)'
	for vm in $("$VMF" list --names); do
		"$VMF" --json "$vm" snapshots | jq -cS 'walk(if type == "object" then del(.used_bytes) else . end)'
	done
}

# Ours of STATUS...
expected()
{
	local column status=

	for column in $columns; do
		[ "$column" != "$STORE" ] || status=$1
		shift
	done
	echo "$status"
}

case_is()
{
	local name=$1 statuses=() status got

	shift
	while [ "$1" != -- ]; do
		statuses+=("$1")
		shift
	done
	shift
	status=$(expected "${statuses[@]}")
	[ "$status" = 0 ] || everything >"$scratch/before"
	run "$VMF" "$@"
	got=$?
	if [ "$status" != 0 ]; then
		everything | diff "$scratch/before" - >"$scratch/diff" || { cat "$scratch/diff" >>"$out" && got="$got, and it changed something"; }
		# an inability names another way
		[ "$status" != 12 ] || grep -q '^vmf: hint: ' "$out" || got="$got, without a hint"
	fi
	[ "$got" = "$status" ] || echo "exit status $got, not $status" >>"$out"
	[ "$got" = "$status" ]
	result $? "$STORE: $name"
}

# ---- the table --------------------------------------------------------------------------------------

truncate -s 3M "$scratch/three.raw"
printf '\125%.0s' {1..512} | dd of="$scratch/three.raw" conv=notrunc status=none

#                                                         qcow2  raw thick thin  zfs
case_is "a VM and two disks"                                  0    0    0    0    0  -- a create --disk 8M --disk 8M
put a 0 1 && put a 1 11
case_has a 0 1
case_is "its name is taken"                                   5    5    5    5    5  -- a create --disk 8M
case_is "no size"                                             2    2    2    2    2  -- a newimg 0M
case_is "no such size"                                        2    2    2    2    2  -- a newimg 8X
case_is "no such storage"                                     3    3    3    3    3  -- a disk add 8M --storage nowhere
case_is "its next disk"                                       0    0    0    0    0  -- a newimg 8M
case_is "one with a name"                                     0    0    0    0    0  -- a disk add 8M --name data
case_is "a name that is taken"                                5    5    5    5    5  -- a disk add 8M --name data
put a data 13
case_is "it grows"                                            0    0    0    0    0  -- a disk resize data 16M
case_has a data 13
case_is "by some more"                                        0    0    0    0    0  -- a disk resize data +4M
ok "$STORE: it has that size" [ "$(volume a data size_bytes)" = $((20 << 20)) ]
case_is "it does not shrink"                                 12   12   12   12   12  -- a disk resize data 8M
case_is "a disk that is not there"                            4    4    4    4    4  -- a disk resize nothing 8M
case_is "it is removed"                                       0    0    0    0    0  -- a disk rm data --yes
case_is "once more"                                           4    4    4    4    4  -- a disk rm data --yes
case_is "another, too"                                        0    0    0    0    0  -- a disk rm 2 --yes
case_is "an image"                                            0    0    0    0    0  -- a disk export 0 "$scratch/$STORE.raw"
case_is "its file is there already"                           5    5    5    5    5  -- a disk export 0 "$scratch/$STORE.raw"
put a 0 2
case_is "the image comes back"                                0    0    0    0    0  -- a disk import 0 "$scratch/$STORE.raw" --yes
case_has a 0 1
case_is "no image"                                            4    4    4    4    4  -- a disk import 0 "$scratch/none.raw" --yes
case_is "a disk of an image"                                  0    0    0    0    0  -- a disk add --name i --image "$scratch/three.raw"
case_is "smaller than the image"                              2    2    2    2    2  -- a disk add 1M --name j --image "$scratch/three.raw"
case_is "packing"                                             0   12   12   12   12  -- a disk compress 0
case_has a 0 1
case_is "it goes"                                             0    0    0    0    0  -- a disk rm i --yes

case_is "a snapshot"                                          0   12    0    0    0  -- a snapshot one
put a 0 2 && put a 1 12
case_is "another"                                             0   12    0    0    0  -- a snapshot two
put a 0 3
case_is "the first name again"                                5   12    5    5    5  -- a snapshot one
case_is "what is not there"                                   4    4    4    4    4  -- a rollback three
case_is "back to the last"                                    0    4    0    0    0  -- a rollback two
[ "$STORE" = raw ] || case_has a 0 2
case_is "a clone of what was"                                 0   12    0    0    0  -- c clone --from a@one
[ "$STORE" = raw ] || case_has c 0 1
case_is "which is removed"                                    0    4    0    0    0  -- c destroy --yes
case_is "back to one with a later one"                        0    4    0    0    6  -- a rollback one
case_is "whatever becomes of that"                            0    4    0    0    0  -- a rollback one --later-too
[ "$STORE" = raw ] || { case_has a 0 1 && case_has a 1 11; }
case_is "the later one: who drops it says so"                 0    4    0    0    4  -- a snapshot --delete two
case_is "a snapshot goes"                                     0    4    0    0    0  -- a snapshot --delete one
case_is "once more"                                           4    4    4    4    4  -- a snapshot --delete one
case_is "of one disk"                                         0   12    0    0    0  -- a snapshot part --disk 1
case_is "of a disk that is not there"                         4    4    4    4    4  -- a snapshot lost --disk 7
case_is "back to one that not all disks have"                 4    4    4    4    4  -- a rollback part
put a 1 14
case_is "that one alone"                                      0    4    0    0    0  -- a rollback part --disk 1
[ "$STORE" = raw ] || case_has a 1 11
case_is "it goes"                                             0    4    0    0    0  -- a snapshot --delete part
ok "$STORE: none is left" [ -z "$("$VMF" a snapshots)" ]

put a 0 4
case_is "a clone as the store does it best"                   0    0    0    0    0  -- b clone --from a
case_has b 0 4
case_has b 1 "$([ "$STORE" = raw ] && echo 14 || echo 11)"
case_is "its name is taken"                                   5    5    5    5    5  -- b clone --from a
case_is "of itself"                                           2    2    2    2    2  -- n clone --from n
case_is "of nothing"                                          4    4    4    4    4  -- n clone --from nobody
case_is "of what never was"                                   4   12    4    4    4  -- n clone --from a@never
case_is "copy-on-write or nothing"                            0   12    0    0    0  -- w clone --from a --cow
case_is "a full copy"                                         0    0    0    0    0  -- f clone --from a --copy
put f 0 5
put b 0 6
case_has a 0 4
[ "$STORE" = raw ] || case_has w 0 4
case_is "the origin goes while clones stand on it"            6    0    6    0    0  -- a destroy --yes
case_is "a clone goes"                                        0    4    0    0    0  -- w destroy --yes
case_has b 0 6
case_is "and the other"                                       0    0    0    0    0  -- b destroy --yes
case_is "now the origin can go"                               0    4    0    4    4  -- a destroy --yes
case_has f 0 5
case_is "another name"                                        0    0    0    0    0  -- f rename g
case_has g 0 5
case_is "one that is taken"                                   5    5    5    5    5  -- g rename g
case_is "it is in use"                                        0    0    0    0    0  -- g start
case_is "a running VM is not destroyed"                       6    6    6    6    6  -- g destroy --yes
case_is "nor renamed"                                         6    6    6    6    6  -- g rename h
case_is "nor packed"                                          6    6    6    6    6  -- g disk compress 0
case_is "a disk is added while it runs"                       0    0    0    0    0  -- g disk add 8M --name live
case_is "and grows"                                           0    0    0    0    0  -- g disk resize live 12M
ok "$STORE: QEMU knows" [ "$("$VMF" g qmp query-named-block-nodes |
	jq '[.return[] | select(."node-name" == "disk-live") | .image."virtual-size"][0]')" = $((12 << 20)) ]
case_is "a snapshot while it runs"                            0   12    0    0    0  -- g snapshot live
case_is "no roll back while it runs"                          6    6    6    6    6  -- g rollback live
case_is "it stops"                                            0    0    0    0    0  -- g stop
case_is "back to then"                                        0    4    0    0    0  -- g rollback live
case_has g 0 5
case_is "all of it goes"                                      0    0    0    0    0  -- g destroy --yes
ok "$STORE: nothing is left" [ -z "$("$VMF" storage volumes s | grep '	vmf	')" ]
ok "$STORE: no orphan" [ -z "$("$VMF" storage orphans)" ]

# ---- what nbsvm's README shows ----------------------------------------------------------------------

vm_boots()
{
	"$VMF" "$1" console --until "vmf-boot: count " --timeout 120s
}

ok "$STORE: nbsvm foo newimg newimg newimg start -cdrom install.iso" \
	"$VMF" foo newimg newimg newimg start -cdrom "$scratch/three.raw"
ok "$STORE: three images, by their numbers" [ "$("$VMF" foo drives --names | tr '\n' ' ')" = "0 1 2 " ]
ok "$STORE: it runs" "$VMF" foo status
ok "$STORE: nbsvm foo stop" "$VMF" foo stop
ok "$STORE: what nbsvm never did: images go" "$VMF" foo disk rm 2 --yes disk rm 1 --yes
ok "$STORE: nbsvm foo newimg start -- vnc, with another verb" "$VMF" foo newimg start -cdrom "$scratch/three.raw" -- info
says "QEMU has what stood before --" 'file": *"'"$scratch/three.raw"'|-cdrom '"$scratch/three.raw"
ok "$STORE: it stops" "$VMF" foo stop
if [ "${bootsector-}" ]; then
	case $STORE in
	qcow2 | raw) ok "$STORE: an installed system" "$VMF" foo disk import 0 "$bootsector" --yes ;;
	*) ok "$STORE: an installed system" make_bootable "$(volume foo 0 path)" "of $STORE" ;;
	esac
	ok "$STORE: nbsvm foo start" "$VMF" foo start
	ok "$STORE: it boots" vm_boots foo
	ok "$STORE: stop" "$VMF" foo stop
fi
ok "$STORE: gold=foo nbsvm bar clone" "$VMF" -o gold=foo bar clone
ok "$STORE: a disk of another VM by its name" "$VMF" bar clone --volume s:foo-1
ok "$STORE: has two disks" [ "$("$VMF" bar drives --names | tr '\n' ' ')" = "0 1 " ]
ok "$STORE: bar goes" "$VMF" bar destroy --yes
if [ "$STORE" != raw ]; then
	put foo 0 7
	ok "$STORE: snapshot_name=backup nbsvm foo snapshot" "$VMF" foo snapshot backup
	put foo 0 8
	ok "$STORE: snapshot_vm=foo snapshot_name=backup nbsvm baz clone" "$VMF" baz clone --from foo@backup
	case_has baz 0 7
	ok "$STORE: a chain: rollback, start, stop" "$VMF" foo rollback backup start -- stop
	case_has foo 0 7
fi
for vm in baz foo; do
	[ ! -e "$VMF_HOME/etc/vms/$vm.conf" ] || ok "$STORE: $vm goes" "$VMF" $vm destroy --yes
done
ok "$STORE: nothing is left" [ -z "$("$VMF" storage volumes s | grep '	vmf	')" ]
