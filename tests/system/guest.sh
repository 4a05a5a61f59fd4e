#!/bin/bash
# SPDX-License-Identifier: ISC
# The test guest under bare QEMU, without vmf: what its README promises, so that other tests can rely on it.

. "${0%/*}/../lib.sh"

need_guest
need_program curl curl
plan 15

truncate -s 8M "$scratch/disk"
mkfifo "$scratch/serial.in" "$scratch/serial.out" "$scratch/hmp.in" "$scratch/hmp.out"
port=$((20000 + RANDOM % 10000))

# boot APPEND QEMU-ARG...: in the background
boot()
{
	local append=$1

	shift
	timeout 300 qemu-system-x86_64 -accel tcg -cpu max -m 128M -nodefaults -vga std -display none \
		-kernel "$guest_dir/vmlinuz" -initrd "$guest_dir/initrd" -append "$append" "$@" </dev/null \
		>"$scratch/qemu" 2>&1 &
	qemu_pid=$!
	background_pids="$background_pids $qemu_pid"
}

type_in()
{
	echo "$1" >"$scratch/serial.in"
}

# answers NAME COMMAND TEXT [SECONDS]: the command, typed on the serial port, is answered with that text
answers()
{
	local before

	before=$(wc -c <"$scratch/serial")
	type_in "$2"
	wait_for "${4:-20}" eval "tail -c +$((before + 1)) '$scratch/serial' | tr -d '\r' | tail -n +2 | grep -Eq -- '$3'"
	local status=$?
	tail -c +$((before + 1)) "$scratch/serial" >"$out"
	result $status "$1"
}

monitor()
{
	echo "$1" >"$scratch/hmp.in"
}

is_gone()
{
	! kill -0 "$qemu_pid" 2>/dev/null
}

cat "$scratch/serial.out" >"$scratch/serial" &
cat "$scratch/hmp.out" >"$scratch/hmp" &
boot "$guest_append vmf.name=alice" -chardev pipe,id=s,path="$scratch/serial" -serial chardev:s \
	-chardev pipe,id=m,path="$scratch/hmp" -mon m -drive file="$scratch/disk",format=raw,if=virtio \
	-netdev user,id=n,hostfwd=tcp:127.0.0.1:$port-:80 -device virtio-net-pci,netdev=n,romfile= \
	-netdev user,id=n2
# the pipes are held open by us: QEMU would see an end with each command
exec 7>"$scratch/serial.in" 8>"$scratch/hmp.in"

wait_text 60 "$scratch/serial" 'vmf-guest: ready' && wait_text 10 "$scratch/serial" 'vmf-guest:~# '
status=$?
cat "$scratch/qemu" "$scratch/serial" >"$out"
result $status "it boots to ready and a prompt" || exit 1

answers "vmf.name is its name" hostname '^alice'
answers "disk-write fills a disk" "disk-write vda 1 7" '^disk-write: 1 MB, seed 7, on /dev/vda'
answers "disk-check reads it back" "disk-check vda" '^disk-check: ok, 1 MB, seed 7, on /dev/vda'
head -c 512 "$scratch/disk" >"$out"
says "it is in the image" '^vmf-block 0000000000 of 2048 seed 7'
printf x | dd of="$scratch/disk" bs=1 seek=$((512 * 1000 + 20)) conv=notrunc status=none
answers "disk-check finds a changed byte" "disk-check vda" '^disk-check: bad block 1000 on /dev/vda'

answers "DHCP gives an address" "until ip addr show eth0 | grep 'inet '; do sleep 0.2; done" 'inet 10.0.2.15/24'
wait_for 20 curl -fs -o "$out" "http://127.0.0.1:$port/"
says "HTTP answers with its name" '^vmf test guest alice'
ok "and tells how long it is up" curl -fs --max-time 20 "http://127.0.0.1:$port/cgi-bin/uptime"

answers "ticks counts" ticks 'tick 2'
monitor stop
sleep 0.5
before=$(grep -c '^tick' "$scratch/serial")
sleep 2
[ "$before" = "$(grep -c '^tick' "$scratch/serial")" ] && monitor cont &&
	wait_text 20 "$scratch/serial" "tick $((before + 2))"
result $? "stands still while stopped and goes on where it was"
type_in $'\003'

monitor "device_add virtio-net-pci,netdev=n2,id=hot"
answers "a NIC that is plugged in is given an address" \
	"until ip addr show eth1 | grep 'inet '; do sleep 0.2; done 2>/dev/null" 'inet 10.0.2.15/24'

monitor "screendump $scratch/screen.ppm"
wait_for 10 test -s "$scratch/screen.ppm"
sleep 0.5
[ "$(tail -c +16 "$scratch/screen.ppm" | od -An -v -tx1 -w3 | sort -u | wc -l)" -gt 1 ]
result $? "the screen shows something"

monitor system_powerdown
wait_for 15 is_gone
status=$?
tail -n 5 "$scratch/serial" >"$out"
result $status "the power button turns it off"

# shellcheck disable=SC2016 # the guest's shell expands it
boot 'console=ttyS0 quiet mitigations=off no_timer_check vmf.run="echo here $((40 + 2)); exit 3" vmf.poweroff' -serial file:"$scratch/run"
wait_for 60 is_gone
cp "$scratch/run" "$out"
tr -d '\r' <"$scratch/run" | grep -q '^here 42' && grep -q '^vmf-guest: run: exit status 3' "$scratch/run"
result $? "vmf.run runs a command and tells its end, vmf.poweroff ends it"
