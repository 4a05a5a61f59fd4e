#!/bin/bash
# SPDX-License-Identifier: ISC
# What happens to QEMU behind vmf's back, and what vmf says of it: crashed, hung, io-error, off; a broken image.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest

qemu_pid()
{
	cat "$VMF_HOME/run/$1/pid"
}

# a tmpfs: kept as a folder of images of its own
mkdir "$scratch/small"
if mount -t tmpfs -o size=24m,mode=755 vmf-test "$scratch/small" 2>"$out"; then
	trap 'cleanup; umount "$scratch/small" 2>/dev/null; rm -rf "$scratch"' EXIT
	has_small=yes
else
	has_small=no
fi

world_save

# ---- crashed ----------------------------------------------------------------------------------------

ok "a VM runs" "$VMF" web create newimg 16M start
kill -9 "$(qemu_pid web)"
# shellcheck disable=SC2016 # it is for the file, or the inner shell
wait_for 5 sh -c '! "$VMF" web status'
fails "QEMU was killed: status says so by its code" 23 "$VMF" web status
says "and by its word" 'crashed'
says "and what to do" 'log'
ok "list says so, too" "$VMF" list
says "crashed" 'web.*crashed'
ok "a crashed VM starts again" "$VMF" web start
kill -9 "$(qemu_pid web)"
ok "stop tidies up after a crash" "$VMF" web stop
ok "nothing is left" world_same

# ---- hung -------------------------------------------------------------------------------------------

ok "it runs again" "$VMF" web start
pid=$(qemu_pid web)
kill -STOP "$pid"
fails "QEMU is stopped by a signal: hung" 24 "$VMF" web status
says "hung" 'hung'
for i in $(seq 49); do
	echo 'description = "one of many"' >"$VMF_HOME/etc/vms/many$i.conf"
done
start_ms=$(date +%s%3N)
ok "list of 50 VMs with a hung one" "$VMF" list
took=$(($(date +%s%3N) - start_ms))
says "says that it hangs" 'web.*hung'
[ "$(wc -l <"$out")" -ge 50 ] && [ $took -lt 1000 ]
result $? "and answers within a second ($took ms)"
rm -f "$VMF_HOME"/etc/vms/many*.conf
fails "a verb that needs it fails within its deadline" 10 timeout 30 "$VMF" web pause
ok "stop ends a hung VM" timeout 30 "$VMF" web stop
ok "nothing is left of it" world_same

# ---- the guest ends by itself -----------------------------------------------------------------------

ok "it runs once more" "$VMF" web start
ok "and boots" guest_ready web
printf 'poweroff -f\n' | "$VMF" web console --timeout 10s >"$out" 2>&1
ok "the guest switches itself off" "$VMF" web wait off --timeout 20
fails "status says off" 20 "$VMF" web status
ok "and nothing is left" world_same
ok "the next start works" "$VMF" web start
ok "shutdown by the power button" sh -c "\"\$VMF\" web console --until 'vmf-guest: ready' --history 1000 --timeout 60s >/dev/null && exec \"\$VMF\" web shutdown --timeout 90"
ok "nothing is left of that" world_same

# ---- io-error ---------------------------------------------------------------------------------------

if [ $has_small = yes ]; then
	cat >>"$VMF_HOME/etc/vmf.conf" <<-END
		storage "small" { file-qcow2 { dir = "$scratch/small" } }
	END
	ok "a VM on a small disk" "$VMF" full create set storage=small newimg 64M start
	ok "boots" guest_ready full
	(guest full 'disk-write vda 40' 90 >"$scratch/written" 2>&1) &
	writer=$!
	# shellcheck disable=SC2016 # it is for the file, or the inner shell
	wait_for 60 sh -c '"$VMF" full status | grep io-error'
	fails "the disk fills up: io-error" 25 "$VMF" full status
	says "with the reason" '[Nn]o space'
	says "and what to do" 'resume'
	ok "list says it" "$VMF" list
	says "io-error" 'full.*io-error'
	mount -o remount,size=128m "$scratch/small"
	ok "after making room it goes on" "$VMF" full resume
	wait "$writer"
	result $? "the guest's writing succeeds in the end"
	ok "its data are whole" guest full 'disk-check vda' 60
	ok "stop and destroy" "$VMF" full stop destroy --yes
	umount "$scratch/small"
else
	skip "io-error of a full disk" "not possible here: tmpfs cannot be mounted"
fi

# ---- a broken image ---------------------------------------------------------------------------------

ok "a VM with a disk" "$VMF" bad create newimg 16M
image=$("$VMF" bad drives --json | jq -r ".drives[0].path")
[ -f "$image" ]
result $? "drives prints its path"
dd if=/dev/zero of="$image" bs=4096 count=1 conv=notrunc 2>/dev/null
fails "a broken image: start fails" 1 "$VMF" bad start
says "and says which disk and why" 'disk.*qcow2'
ok "nothing runs, nothing is left" world_same
"$VMF" bad destroy --yes >"$out" 2>&1

# ---- QEMU's own words -------------------------------------------------------------------------------

fails "QEMU refuses an argument: start fails" 1 "$VMF" web start -device nonsense
says "QEMU's own words are shown" "nonsense.*not a valid device model name"
says "with a hint" '^vmf: hint: '
fails "and the VM is off" 20 "$VMF" web status
fails "a verb among start's arguments" 1 "$VMF" web start status
says "is told what it lacks" 'hint: .*"start -- status"'
fails "a wrong CPU" 1 "$VMF" -o cpu=nonsense web start
says "QEMU's words" "unable to find CPU model 'nonsense'"
ok "the log has them, too" "$VMF" web log
says "log" 'nonsense'
ok "nothing is left of all that" world_same
"$VMF" web destroy --yes >"$out" 2>&1
plan_now
