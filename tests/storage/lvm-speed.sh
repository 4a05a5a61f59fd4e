#!/bin/bash
# SPDX-License-Identifier: ISC
# A full copy of a volume of LVM is as quick as dd's, and says how far it is. Runs in the storage guest;
# tests/system/storage-lvm-speed.sh is what starts it.

. "${0%/*}/lvm-lib.sh"

# What vmf does besides copying is done by commands of LVM's: the copying is what is between the first one's end and the
# second one's begin.
rm "$watched/lvcreate" "$watched/lvrename"
for program in lvcreate lvrename; do
	cat >"$watched/$program" <<-END
		#!/bin/bash
		echo \$EPOCHREALTIME >>$calls.times
		/usr/sbin/$program "\$@"
		status=\$?
		echo \$EPOCHREALTIME >>$calls.times
		exit \$status
	END
	chmod +x "$watched/$program"
done

# by_vmf, by_dd: *best is the shortest time so far, in microseconds
best_vmf=999999999 best_dd=999999999
by_vmf()
{
	local took

	: >"$calls.times"
	watch "$VMF" copy clone --from gold --copy || return
	took=$(awk 'NR == 2 { from = $1 } NR == 3 { printf "%d", ($1 - from) * 1000000 }' "$calls.times")
	echo "vmf: $took us"
	[ "$took" -ge $best_vmf ] || best_vmf=$took
	cmp /dev/vg0/gold-0 /dev/vg0/copy-0 && "$VMF" copy destroy --yes
}

by_dd()
{
	local from=$EPOCHREALTIME took

	dd if=/dev/vg0/gold-0 of=/dev/vg0/dd bs=4M oflag=direct conv=fsync status=none || return
	took=$((${EPOCHREALTIME/./} - ${from/./}))
	echo "dd: $took us"
	[ "$took" -ge $best_dd ] || best_dd=$took
}

# something that is not zeroes, quicker than random numbers come
noise()
{
	head -c 1M /dev/urandom >"$scratch/noise"
	for ((i = 0; i < 256; i++)); do cat "$scratch/noise"; done | dd of="$1" bs=1M iflag=fullblock oflag=direct status=none
}

vgcreate -q vg0 /dev/vda /dev/vdb >"$out" 2>&1
ok "a volume of 256 MB" "$VMF" gold newimg 256M
ok "with something in it" noise /dev/vg0/gold-0
ok "another one, for dd" lvcreate -qq -y -L 256M -n dd vg0
for _ in 1 2 3; do
	ok "dd copies it" by_dd
	tail -n 1 "$out" | sed 's/^/# /'
	ok "vmf copies it, and it is the same" by_vmf
	grep us "$out" | sed 's/^/# /'
done
echo "best of dd: $best_dd us, of vmf: $best_vmf us" >"$out"
sed 's/^/# /' "$out"
[ $((best_dd * 10)) -ge $((best_vmf * 9)) ]
result $? "at no less than nine tenths of its speed"

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
plan_now
