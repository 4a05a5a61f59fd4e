# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What vmf's verbs on disks mean, as one table that is tried on every store ($store, see stores.sh). A line of it is
#
#	EXPECTED | WORDS | PATTERN
#
# EXPECTED is one value for all stores, and behind it those of stores that differ: "0 raw=12 zfs=6"; "-" passes over the line.
#
#	0 | a newimg       vmf is run with the words and must have that exit status. A line of what it says fits the pattern, if
#	                   there is one. Where it fails, nothing has changed; where the store cannot do it (12), a hint names
#	                   another way. A dry run before it ($dry = yes) has the same exit status, or that behind dry=, and
#	                   changes nothing, too.
#	1 | = content a-0  a fact, as a function below or in stores.sh prints it
#	  | : write a-0 1  done past vmf; it must succeed

. "${BASH_SOURCE[0]%/*}/stores.sh"

# ---- facts ------------------------------------------------------------------------------------------------

# names: of a VM's snapshots
snapshots()
{
	"$VMF" --json "$1" snapshots | jq -r '.snapshots[] | select(.complete).name' | joined
}

disks()
{
	"$VMF" "$1" drives --names | sort | joined
}

# field VM DISK KEY: of what drives says
field()
{
	"$VMF" --json "$1" drives | jq -r --arg d "$2" ".drives[] | select(.disk == \$d) | .$3"
}

# MiB
size()
{
	echo $(($(field "$1" "$2" size_bytes) >> 20))
}

can()
{
	"$VMF" --json storage list | jq -r '.[] | select(.name == "s").can | sort | join(",")'
}

orphans()
{
	"$VMF" --json storage orphans | jq -r '.. | .volume? // empty' | sort | joined
}

status()
{
	"$VMF" "$1" status | sed 's/^[^:]*: \([a-z]*\).*/\1/'
}

# size_in_qemu VM DISK: MiB that the running VM's QEMU has for it
size_in_qemu()
{
	"$VMF" "$1" qmp query-named-block-nodes |
		jq --arg n "disk-$2" '[.return[] | select(."node-name" == $n) | .image."virtual-size"][0] / 1048576'
}

is_at()
{
	[ "$(field "$1" "$2" path)" = "$(path "$1-$2")" ] && echo yes
}

# ---- done past vmf ----------------------------------------------------------------------------------------

# forget VM: its definition goes, its volumes stay
forget()
{
	rm "$VMF_HOME/etc/vms/$1.conf"
}

# user VM VOLUME: a VM that is to use a volume of somebody else's
user()
{
	echo "disk \"x\" { volume = \"$2\" }" >"$VMF_HOME/etc/vms/$1.conf"
}

# is_image FILE FORMAT MIB: it begins with the image, and is so large
is_image()
{
	qemu-img convert -f "$2" -O raw "$1" "$scratch/got.raw" && [ "$(stat -c %s "$scratch/got.raw")" = $(($3 << 20)) ] &&
		cmp -n $((6 << 20)) "$scratch/img.raw" "$scratch/got.raw"
}

remove()
{
	rm -f "$@"
}

# install VM: a system that boots, if the machine has one for the test ($bootsector)
install()
{
	[ -n "${bootsector-}" ] || return 0
	"$VMF" "$1" disk import 0 "$bootsector" --yes
}

boots()
{
	[ -n "${bootsector-}" ] || return 0
	"$VMF" "$1" console --until "vmf-boot: count " --timeout 120s
}

# ---- the table is read ------------------------------------------------------------------------------------

# expected WHO WORD...: the value for a store, or a dry run
expected()
{
	local who=$1 word value=

	shift
	for word; do
		case $word in
		"$who="*) value=${word#*=} ;;
		*=*) ;;
		*) value=${value:-$word} ;;
		esac
	done
	echo "$value"
}

state()
{
	(cd "$VMF_HOME" && find . -path ./run -prune -o -path ./lib/log -prune -o -type f -print0 | sort -z | xargs -0r sha256sum)
	store_state
}

# unchanged NAME: whether the state is that of $scratch/before
unchanged()
{
	state >"$scratch/after"
	diff "$scratch/before" "$scratch/after" >>"$out" || {
		echo "$1 has changed that" >>"$out"
		false
	}
}

# verbs NAME STATUS PATTERN WORD...
verbs()
{
	local name=$1 wanted=$2 pattern=$3 got bad=0

	shift 3
	if [ "$wanted" != 0 ] || [ "${dry-no}" = yes ]; then
		state >"$scratch/before"
	fi
	if [ "${dry-no}" = yes ]; then
		run "$VMF" --dry-run "$@"
		got=$?
		[ $got = "$dry_value" ] || { echo "exit status $got of the dry run, not $dry_value" >>"$out" && bad=1; }
		unchanged "the dry run" || bad=1
		[ $bad = 0 ] || { result 1 "$name: dry run" && return; }
	fi
	run "$VMF" "$@"
	got=$?
	[ $got = "$wanted" ] || { echo "exit status $got, not $wanted" >>"$out" && bad=1; }
	[ $got = 0 ] || [ "$wanted" = 0 ] || unchanged "the failure" || bad=1
	[ -z "$pattern" ] || grep -Eq -- "$pattern" "$out" || { echo "no line fits: $pattern" >>"$out" && bad=1; }
	[ $got != 12 ] || grep -q '^vmf: hint: ' "$out" || { echo "no hint names another way" >>"$out" && bad=1; }
	result $bad "$name"
}

# table GROUP: reads it, if $cases names its group or nothing
table()
{
	local left words pattern value

	case " ${cases:=disks clones images use nbsvm} " in *" $1 "*) ;; *) return ;; esac
	while IFS='|' read -r left words pattern; do
		# shellcheck disable=SC2206 # words
		local -a e=($left) w=($words)
		[ ${#w[@]} -gt 0 ] || continue
		value=$(expected "$store" "${e[@]}")
		dry_value=$(expected dry dry="$value" "${e[@]}")
		pattern=${pattern#"${pattern%%[! ]*}"}
		[ "$value" != - ] || continue
		case ${w[0]} in
		:) ok "$store: ${w[*]:1}" "${w[@]:1}" ;;
		=)
			"${w[@]:1}" >"$scratch/fact" 2>"$out"
			[ "$(cat "$scratch/fact")" = "$value" ] || echo "it is $(cat "$scratch/fact"), not $value" >>"$out"
			[ "$(cat "$scratch/fact")" = "$value" ]
			result $? "$store: ${w[*]:1} is $value"
			;;
		*) verbs "$store: ${w[*]} ($value)" "$value" "$pattern" "${w[@]}" ;;
		esac
	done
}

mkdir -p "$VMF_HOME/etc/classes" "$VMF_HOME/etc/vms" "$scratch/files"
cat >"$VMF_HOME/etc/vmf.conf" <<END
storage = "s"
network = "none"
accel = "tcg"
memory = "16M"
drive_size = "4M"
$(store_settings)
END
i=$scratch/img.raw x=$scratch/x
head -c $((6 << 20)) /dev/urandom >"$i"
qemu-img convert -f raw -O qcow2 "$i" "$scratch/img.qcow2"
ok "$store: the store is made" store_make

# ---- disks are made, seen, grown, removed -----------------------------------------------------------------

table disks <<END
cow-clones,live-grow,live-snapshots,map,rename,snapshots,stream zfs=cow-clones,live-grow,live-snapshots,map,own-stream,rename,snapshots,stream qcow2=compress,cow-clones,live-grow,live-snapshots,rename,snapshots,stream raw=live-grow,rename,stream | = can
0                            | a create --disk 8M --disk 8M
0,1                          | = disks a
a-0,a-1                      | = volumes
8                            | = size a 0
yes                          | = is_at a 1
5                            | a create --disk 8M            | there is one already
2                            | b create --disk 0
11 qcow2=- raw=- thin=- zfs=- | b create --disk 500G         | takes 500 GiB
0                            | a newimg
a-0,a-1,a-2                  | = volumes
0                            | a disk add 4M --name data
0,1,2,data                   | = disks a
5                            | a disk add 4M --name data     | there is a disk "data" already
2                            | a disk add 0M
0                            | a disk resize data 8M
8                            | = size a data
0                            | a disk resize data +4M
12                           | = size a data
0                            | a disk resize data 12M        | has 12M already
12                           | a disk resize data 4M         | cannot shrink
4                            | a disk resize nine 16M        | no disk "nine"
0                            | a disk rm data --yes
0                            | a disk rm 2 --yes
a-0,a-1                      | = volumes
4                            | a disk rm 2 --yes
                             | : foreign b-0
5                            | b create --disk 4M            | b-0
                             | : foreign a-2
0                            | a newimg 4M                   | a-3
0                            | a disk rm 3 --yes
                             | : unforeign b-0
4                            | -o storage=lost b newimg
3                            | -o storage=nowhere b newimg
0                            | storage list                  | ^lost
END

# ---- snapshots --------------------------------------------------------------------------------------------

table disks <<END
                             | : unforeign a-2
                             | : write a-0 1
                             | : write a-1 1
0 raw=12                     | a snapshot one
5 raw=12                     | a snapshot one
2                            | a snapshot .one
                             | : write a-0 2
                             | : write a-1 2
0 raw=12                     | a snapshot two
                             | : write a-0 3
                             | : write a-1 3
one,two raw=none             | = snapshots a
a-0,a-1                      | = volumes
4                            | a rollback nine
0 raw=4 zfs=6                | a rollback one
0 raw=4                      | a rollback one --later-too
1 raw=3                      | = content a-0
1 raw=3                      | = content a-1
one,two raw=none zfs=one     | = snapshots a
0 raw=4 zfs=4                | a rollback two
2 raw=3 zfs=1                | = content a-1
0 raw=4                      | a snapshot --delete one
4                            | a snapshot --delete one
two raw=none zfs=none        | = snapshots a
0                            | a rename b
b-0,b-1                      | = volumes
two raw=none zfs=none        | = snapshots b
2 raw=3 zfs=1                | = content b-0
0 raw=12                     | b snapshot part --disk 1
4                            | b snapshot lost --disk 7
4                            | b rollback part
                             | : write b-1 8
0 raw=4                      | b rollback part --disk 1
2 raw=8 zfs=1                | = content b-1
0 raw=4                      | b snapshot --delete part
                             | : write b-0 9
0 raw=4 zfs=-                | b rollback two
2 raw=9 zfs=9                | = content b-0
0                            | b destroy --yes
none                         | = volumes
4                            | b snapshots
END

# ---- clones -----------------------------------------------------------------------------------------------

table clones <<END
0                            | g create --disk 8M
                             | : write g-0 5
0 raw=12                     | g snapshot s
                             | : write g-0 6
0                            | c1 clone --from g
0 raw=12                     | c2 clone --from g@s
0                            | c3 clone --from g --copy
0 raw=12                     | c4 clone --from g --cow
12 thin=0 zfs=0              | c5 clone --from g@s --cow
0 raw=12                     | c6 clone --from g@s --copy
4                            | c7 clone --from nobody
4 raw=12                     | c7 clone --from g@never
5                            | c3 clone --from g
2                            | g clone --from g
6                            | = content c1-0
5 raw=-                      | = content c2-0
6                            | = content c3-0
6 raw=-                      | = content c4-0
5 qcow2=- raw=- thick=-      | = content c5-0
5 raw=-                      | = content c6-0
none                         | = snapshots c3
                             | : write c1-0 7
6                            | = content g-0
6                            | = content c3-0
0 qcow2=6                    | g start --paused
0                            | g stop
END

table clones <<END
                             | : write c3-0 8
6                            | = content g-0
0 qcow2=6                    | g rename h
0 qcow2=-                    | h rename g
7                            | = content c1-0
0                            | c1 rename d1
7                            | = content d1-0
6 raw=0 thin=0 zfs=0         | g destroy --yes               | g
7                            | = content d1-0
8                            | = content c3-0
5 raw=-                      | = content c2-0
6 raw=-                      | = content c4-0
0                            | d1 destroy --yes
0 raw=4                      | c2 destroy --yes
0                            | c3 destroy --yes
0 raw=4                      | c4 destroy --yes
4 thin=0 zfs=0               | c5 destroy --yes
0 raw=4                      | c6 destroy --yes
0 raw=4 thin=4 zfs=4         | g destroy --yes
none                         | = volumes
END

# ---- images -----------------------------------------------------------------------------------------------

table images <<END
2                            | e create --image $i --disk 4M
0                            | e create --image $scratch/img.qcow2 --disk 8M
8                            | = size e 0
0                            | e disk export 0 $x.raw
                             | : is_image $x.raw raw 8
5                            | e disk export 0 $x.raw
0                            | e disk export 0 $x.qcow2 --compress
                             | : is_image $x.qcow2 qcow2 8
2                            | e disk export 0 $x.img --compress
                             | : write e-0 3
0                            | e disk import 0 $x.qcow2 --yes
                             | : remove $x.raw
0                            | e disk export 0 $x.raw
                             | : is_image $x.raw raw 8
e-0                          | = volumes
4                            | e disk import 0 $scratch/none --yes
0 raw=12 thick=12 thin=12 zfs=12 | e disk compress 0
0 raw=12                     | e snapshot s
6 raw=0                      | e disk import 0 $i --yes
6 raw=12 thick=12 thin=12 zfs=12 | e disk compress 0         | snapshots|cannot compress
                             | : remove $x.raw
0                            | e disk export 0 $x.raw
                             | : is_image $x.raw raw 8
0                            | e disk add --image $i
6 thick=8 thin=8             | = size e 1
0                            | e destroy --yes
none                         | = volumes
END

# ---- volumes in use ---------------------------------------------------------------------------------------

table use <<END
0                            | u create --disk 8M
                             | : write u-0 4
                             | : user thief u-0
0                            | u start --paused
paused                       | = status u
7 dry=0                      | thief start                   | in use
6                            | u destroy --yes
6                            | u rename v
6                            | u disk import 0 $i --yes
6                            | u disk export 0 $x.2.raw
6                            | u disk compress 0
7                            | v clone --from u
7                            | v clone --from u --copy
0 raw=12                     | u snapshot live
6                            | u rollback live
0 raw=12                     | v clone --from u@live
4 raw=12                     | w clone --from u@life
0 thick=6                    | u disk resize 0 12M
12 thick=8                   | = size u 0
0                            | u disk add 4M
0,1                          | = disks u
0                            | u disk resize 1 8M
8                            | = size_in_qemu u 1
paused                       | = status u
0                            | u stop
4                            | = content u-0
4 raw=-                      | = content v-0
                             | : write u-0 5
4                            | u rollback live               | u-1|no snapshot "live"
5                            | = content u-0
0                            | u disk rm 1 --yes
0 raw=4                      | u rollback live
4 raw=5                      | = content u-0
0                            | u disk add 4M
END

# ---- what nobody needs ------------------------------------------------------------------------------------

table use <<END
                             | : forget thief
0 raw=4                      | v destroy --yes
none                         | = orphans
                             | : forget u
u-0,u-1                      | = orphans
0                            | storage orphans --remove --yes
none                         | = volumes
0                            | o create --disk 4M
                             | : write o-0 2
0                            | p clone --from o
                             | : forget o
none raw=o-0                 | = orphans
0                            | storage orphans --remove --yes
2                            | = content p-0
0                            | p destroy --yes
0                            | storage orphans --remove --yes
none                         | = volumes
END

# ---- what nbsvm's README shows ----------------------------------------------------------------------------

truncate -s 3M "$scratch/install.iso"

table nbsvm <<END
0 dry=4                      | foo newimg newimg newimg start -cdrom $scratch/install.iso
0,1,2                        | = disks foo
running                      | = status foo
0                            | foo stop
0                            | foo disk rm 2 --yes disk rm 1 --yes
0                            | foo newimg start -cdrom $scratch/install.iso -- info --command | install.iso
0                            | foo stop
                             | : install foo
0                            | foo start
                             | : boots foo
0                            | foo stop
0                            | -o gold=foo bar clone
0                            | bar clone --volume s:foo-1
0,1                          | = disks bar
0                            | bar destroy --yes
                             | : write foo-0 7
0 raw=12                     | foo snapshot backup
                             | : write foo-0 8
0 raw=12                     | baz clone --from foo@backup
7 raw=-                      | = content baz-0
0 raw=4                      | foo rollback backup start -- stop
7 raw=8                      | = content foo-0
0 raw=4                      | baz destroy --yes
0                            | foo destroy --yes
none                         | = volumes
END
