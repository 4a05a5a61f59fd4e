#!/bin/bash
# SPDX-License-Identifier: ISC
#
# LVM and ZFS in the storage guest, which lvm-and-zfs.sh starts: full copies against dd, what vmf adds to a snapshot and to
# a clone, two hundred volumes against one. A person runs the store's own commands for the same; vmf's own share is also in
# its processor's time.

. "${0%/*}/../lib.sh"
rounds=20
mkdir -p "$VMF_HOME/etc/vms"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
network = "none"
accel = "tcg"
storage = "thin"
storage "thick" { lvm { snapshot_size = "8M" } }
storage "thin" { lvm { pool = "pool" } }
storage "zfs" { zfs { } }
END

pairs()
{
	/vmf/pairs -n "$PAIRS" "$@" || exit 1
}

must()
{
	"$@" >"$out" 2>&1 || {
		echo "not measured: $*"
		cat "$out"
		exit 1
	}
}

# script NAME: a command of what comes on standard input
script()
{
	{
		echo '#!/bin/sh'
		cat
	} >"$scratch/$1"
	chmod +x "$scratch/$1"
}

# noise DEVICE MIB: something that is not zeroes, quicker than random numbers come
noise()
{
	head -c 1M /dev/urandom >"$scratch/noise"
	for ((i = 0; i < $2; i++)); do cat "$scratch/noise"; done |
		dd of="$1" bs=1M iflag=fullblock oflag=direct conv=fsync status=none
}

must vgcreate -q vg0 /dev/vda /dev/vdb
must lvcreate -qq -y --type thin-pool -L 400M -n pool vg0
must zpool create -f -O mountpoint=none tank /dev/vdc

# ---- full copies ------------------------------------------------------------------------------------

# Beside a large copy: a small one and dd. So the store's own commands, which take a second here, are on both sides.
copies()
{
	local name=$1 store=$2 from=$3 to=$4 mib=$5

	must "$VMF" -o storage="$store" big create --disk "${mib}M"
	must "$VMF" -o storage="$store" small create --disk 4M
	must udevadm settle
	noise "$from" "$mib"
	noise "${from/big/small}" 4
	script "copy-$store" <<END
$VMF -o storage=$store new clone --from small --copy >/dev/null &&
	exec dd if=$from of=$to bs=4M iflag=direct oflag=direct conv=fsync status=none
END
	PAIRS=5
	pairs -l "full copy, $name, $mib MiB" -y "of 4 MiB, and dd" -r 1.11 \
		-a "$VMF -o storage=$store new clone --from big --copy" \
		-C "$VMF -o storage=$store new destroy --yes; udevadm settle" \
		-b "$scratch/copy-$store" -D "$VMF -o storage=$store new destroy --yes; udevadm settle"
	PAIRS=$rounds
	must "$VMF" -o storage="$store" big destroy --yes
	must "$VMF" -o storage="$store" small destroy --yes
}

must lvcreate -qq -y -Wy -Zy -L 768M -n hand vg0
copies "thick LVM" thick /dev/vg0/big-0 /dev/vg0/hand 768
must lvremove -qq -f vg0/hand
must zfs create -s -V 256M tank/hand
must udevadm settle
copies ZFS zfs /dev/zvol/tank/big-0 /dev/zvol/tank/hand 256
must zfs destroy tank/hand

# ---- snapshots, clones ------------------------------------------------------------------------------

# Beside them what a person types: a look, and the command. Both looks are at all of the group or pool.
must "$VMF" three create --disk 64M
script lv-snapshot <<'END'
lvs vg0 >/dev/null && exec lvcreate -qq -s -n hand -kn vg0/three-0
END
pairs -l "snapshot, thin LVM" -y "lvs, lvcreate" -d 10 \
	-a "$VMF three snapshot s" -C "$VMF three snapshot --delete s" \
	-b "$scratch/lv-snapshot" -D "lvremove -qq -f vg0/hand"
pairs -l "clone, thin LVM" -y "lvs, lvcreate" -d 10 \
	-a "$VMF new clone --from three" -C "$VMF new destroy --yes" \
	-b "$scratch/lv-snapshot" -D "lvremove -qq -f vg0/hand"
must "$VMF" -o storage=zfs four create --disk 64M
script zv-snapshot <<'END'
zfs list -r tank >/dev/null && exec zfs snapshot tank/four-0@hand
END
pairs -l "snapshot, ZFS" -y "zfs list, snapshot" -d 10 \
	-a "$VMF -o storage=zfs four snapshot s" -C "$VMF -o storage=zfs four snapshot --delete s" \
	-b "$scratch/zv-snapshot" -D "zfs destroy tank/four-0@hand"
script zv-clone <<'END'
zfs list -r tank >/dev/null && zfs snapshot tank/four-0@hand && exec zfs clone tank/four-0@hand tank/hand
END
pairs -l "clone, ZFS" -y "zfs list, snapshot, clone" -d 10 \
	-a "$VMF -o storage=zfs new clone --from four" -C "$VMF -o storage=zfs new destroy --yes; udevadm settle" \
	-b "$scratch/zv-clone" -D "udevadm settle; zfs destroy tank/hand; zfs destroy tank/four-0@hand"

# ---- many volumes -----------------------------------------------------------------------------------

must "$VMF" few create --disk 4M
must "$VMF" many create
for ((i = 0; i < 200; i++)); do
	echo "create --thin --virtualsize 4M --name many-$i --addtag vmf vg0/pool"
done >"$scratch/commands"
must lvm <"$scratch/commands"
PAIRS=10
pairs -l "drives, 200 thin volumes" -x 200 -y 1 -m 16 -a "$VMF many drives" -b "$VMF few drives"
pairs -l "drives, 200 thin volumes" -y lvs -m 16 -a "$VMF many drives" -b "lvs vg0"
