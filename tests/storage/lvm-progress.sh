#!/bin/bash
# SPDX-License-Identifier: ISC
# A full copy of a volume of LVM says how far it is. Runs in the storage guest; tests/system/storage-lvm-progress.sh is
# what starts it.

. "${0%/*}/lvm-lib.sh"

# something that is not zeroes, quicker than random numbers come
noise()
{
	head -c 1M /dev/urandom >"$scratch/noise"
	for ((i = 0; i < 768; i++)); do cat "$scratch/noise"; done | dd of="$1" bs=1M iflag=fullblock oflag=direct status=none
}

vgcreate -q vg0 /dev/vda /dev/vdb >"$out" 2>&1
ok "a volume of 768 MB" "$VMF" gold newimg 768M
ok "with something in it" noise /dev/vg0/gold-0
# told once it takes longer than two seconds, which is helped along
"$VMF" copy clone --from gold --copy >"$out" 2>&1 </dev/null &
pid=$!
wait_for 60 test -e /dev/vg0/.vmf-copy-0
kill -STOP $pid
sleep 2.2
kill -CONT $pid
wait $pid
result $? "a copy that takes its time"
says "tells how far it is, its rate, and the time that is left" 'copying to copy-0: +[0-9]+ %, [0-9]+ MiB/s, [0-9]+ s left'
cmp /dev/vg0/gold-0 /dev/vg0/copy-0 >"$out" 2>&1
result $? "is the same"
plan_now
