# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What the tests of storage-lvm share, in place of lib.sh at a test's top: a configuration, looks at volumes, and lvm's
# programs counted or made to fail.

. "${BASH_SOURCE[0]%/*}/lib.sh"

mkdir -p "$VMF_HOME/etc/vms"
cat >"$VMF_HOME/etc/vmf.conf" <<-END
	storage = "thick"
	network = "none"
	accel = "tcg"
	memory = "16M"
	drive_size = "12M"
	storage "thick" { lvm { snapshot_size = "8M" } }
	storage "thin" { lvm { pool = "pool" } }
	storage "part" { lvm { snapshot_percent = 50 zero = yes } }
	storage "lost" { lvm { vg = "vg9" } }
	storage "dry" { lvm { pool = "nopool" } }
END

# mark DEVICE TEXT [SECTOR]: puts it there; marked DEVICE TEXT [SECTOR]: whether it is there
mark()
{
	echo "$2" | dd of="$1" bs=512 seek="${3:-64}" conv=sync,notrunc,fsync status=none
}

marked()
{
	[ "$(dd if="$1" bs=512 skip="${3:-64}" count=1 iflag=direct status=none | tr -d '\0')" = "$2" ]
}

# field FIELD LV: one of lvs' fields of one LV
field()
{
	lvs --noheadings --units m --nosuffix -o "$1" "vg0/$2" | tr -d ' '
}

# is FIELD LV VALUE
is()
{
	[ "$(field "$1" "$2")" = "$3" ] || {
		echo "$1 of $2: $(field "$1" "$2")"
		return 1
	}
}

gone()
{
	! lvs "vg0/$1"
}

# The number that LVM increases whenever it changes the volume group.
seqno()
{
	vgs --noheadings -o vg_seqno vg0 | tr -d ' '
}

# same NAME STATUS COMMAND...: it ends with that status and has changed nothing
same()
{
	local before

	before=$(seqno)
	fails "$@"
	[ "$(seqno)" = "$before" ]
	result $? "$1: nothing was changed"
}

# ready VM N: its boot sector has counted so far
ready()
{
	"$VMF" "$1" console --until "vmf-boot: count $2" --timeout 120s
}

# group: a volume group of two disks with a thin pool and a volume of somebody else's, which no test may change
group()
{
	vgcreate -q vg0 /dev/vda /dev/vdb && lvcreate -qq -y --type thin-pool -L 200M -n pool vg0 && make_foreign
}

make_foreign()
{
	lvcreate -qq -y -L 12M -n foreign vg0 &&
		dd if=/dev/urandom of=/dev/vg0/foreign bs=1M count=12 oflag=direct status=none &&
		lvchange -qq --addtag theirs vg0/foreign || return
	foreign=$(sha256sum </dev/vg0/foreign)
}

# untouched: that volume is as it was, and no device hangs
untouched()
{
	[ "$(sha256sum </dev/vg0/foreign)" = "$foreign" ] && is lv_tags foreign theirs && none_suspended
}

none_suspended()
{
	! dmsetup info -c --noheadings -o name,suspended | grep ':Suspended'
}

# names: what there is in the volume group, on one line
names()
{
	lvs --noheadings -o lv_name vg0 | tr -d ' ' | sort | paste -s -d' '
}

# store VM STORE: where its new disks are, from now on
store()
{
	printf 'storage = "%s"\n' "$2" >>"$VMF_HOME/etc/vms/$1.conf"
}

# ---- lvm's programs, watched ------------------------------------------------------------------------

# With $watched in front of PATH each of lvm's programs is noted down in $calls, and the one whose number is named by
#	FAIL=N    does nothing and fails
#	LIE=N     does its work and fails
#	KILL=N    does its work, and vmf is killed
# Numbers count what changes something; with LOOKS=yes what only looks, too.
watched=$scratch/bin calls=$scratch/calls
mkdir "$watched"
cat >"$watched/lvm-watched" <<-END
	#!/bin/bash
	program=\${0##*/}
	[ \$program != lvs ] && [ \$program != vgs ] || [ "\${LOOKS-}" = yes ] || {
		echo "\$program" >>$calls.looks
		exec /usr/sbin/\$program "\$@"
	}
	echo "\$program \$*" >>$calls
	n=\$(wc -l <$calls)
	case \$n in
	"\${FAIL-}")
		echo "  this one was made to fail" >&2
		exit 5
		;;
	esac
	/usr/sbin/\$program "\$@"
	status=\$?
	case \$n in
	"\${LIE-}")
		echo "  this one was made to fail" >&2
		status=5
		;;
	"\${KILL-}") kill -9 \$PPID ;;
	esac
	exit \$status
END
chmod +x "$watched/lvm-watched"
for program in lvs vgs lvchange lvconvert lvcreate lvextend lvremove lvrename; do
	ln -s lvm-watched "$watched/$program"
done

# watch COMMAND...: runs it with lvm's programs watched
watch()
{
	# udevd opens a device once somebody has written to it: such a one is looked at twice
	udevadm settle -t 60
	: >"$calls"
	: >"$calls.looks"
	PATH=$watched:$PATH "$@"
}

# called NAME PROGRAM...: the last command that was watched ran these programs, in that order, and no others
called()
{
	local name=$1

	shift
	cut -d' ' -f1 "$calls" | paste -s -d' ' >"$out"
	[ "$(cat "$out")" = "$*" ]
	result $? "$name"
}
