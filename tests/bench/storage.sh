#!/bin/bash
# SPDX-License-Identifier: ISC
# Disks in files: full copies against the quicker of qemu-img and dd, what vmf adds to a snapshot and to a clone, and two
# hundred volumes against one. A full copy of vmf's is on the disk when it is done, so the others sync theirs as well.

. "${BASH_SOURCE[0]%/*}/lib.sh"
need qemu-img qemu-utils
need qemu-io qemu-utils
images=$VMF_HOME/lib/images
rounds=$PAIRS
mkdir "$scratch/flat"
echo "storage \"flat\" { file-qcow2 { dir = \"$scratch/flat\" format = \"raw\" } }" >>"$VMF_HOME/etc/vmf.conf"

# script NAME: a command of what comes on standard input
script()
{
	{
		echo '#!/bin/sh'
		cat
	} >"$scratch/$1"
	chmod +x "$scratch/$1"
}

# ---- full copies ------------------------------------------------------------------------------------

head -c 384M /dev/urandom >"$scratch/data"
create one create --disk 512M
create two create
create two disk add 512M --storage flat
qemu-img convert -n -f raw -O qcow2 "$scratch/data" "$images/one-0.qcow2" || exit 1
dd if="$scratch/data" of="$scratch/flat/two-0.raw" bs=1M conv=notrunc status=none || exit 1
rm "$scratch/data"
sync
script convert <<END
qemu-img convert -f qcow2 -O qcow2 $images/one-0.qcow2 $scratch/copy && exec sync $scratch/copy
END
script convert-raw <<END
qemu-img convert -f raw -O raw $scratch/flat/two-0.raw $scratch/copy && exec sync $scratch/copy
END

# large ones need no many rounds
PAIRS=$((rounds < 10 ? rounds : 10))
pairs -l "full copy, qcow2, 384 MiB in 512" -y qemu-img -r 1.11 -m 16 \
	-a "$VMF new clone --from one --copy" -C "$VMF new destroy --yes" \
	-b "$scratch/convert" -D "rm $scratch/copy"
pairs -l "full copy, raw, 384 MiB in 512" -y dd -r 1.11 -m 16 \
	-a "$VMF new clone --from two --copy" -C "$VMF new destroy --yes" \
	-b "dd if=$scratch/flat/two-0.raw of=$scratch/copy bs=1M conv=sparse,fsync status=none" -D "rm $scratch/copy"
pairs -l "full copy, raw, 384 MiB in 512" -y qemu-img -r 1.11 -m 16 \
	-a "$VMF new clone --from two --copy" -C "$VMF new destroy --yes" \
	-b "$scratch/convert-raw" -D "rm $scratch/copy"
PAIRS=$rounds

# ---- snapshots, clones ------------------------------------------------------------------------------

pairs -l "snapshot" -y qemu-img -d 10 -m 16 \
	-a "$VMF one snapshot s" -C "$VMF one snapshot --delete s" \
	-b "qemu-img snapshot -c s $images/one-0.qcow2" -D "qemu-img snapshot -d s $images/one-0.qcow2"
pairs -l "clone, copy-on-write" -y qemu-img -d 10 -m 16 \
	-a "$VMF new clone --from one" -C "$VMF new destroy --yes" \
	-b "qemu-img create -q -f qcow2 -b $images/one-0.qcow2 -F qcow2 $scratch/overlay" -D "rm $scratch/overlay"

# ---- many volumes -----------------------------------------------------------------------------------

create few create --disk 1M
create many create
for _ in {1..200}; do
	create many disk add 1M >/dev/null
done
pairs -l "drives, 200 volumes" -x 200 -y 1 -d 20 -m 16 -a "$VMF many drives" -b "$VMF few drives"
pairs -l "list with disks, 205 volumes" -x disks -y none -d 20 -m 16 \
	-a "$VMF list --columns name,disks" -b "$VMF list --columns name"
