#!/bin/bash
# SPDX-License-Identifier: ISC
# A thin pool that fills under a running guest: the guest stops, vmf says why and what to do, and once that is done the guest
# goes on and has lost nothing. Runs in the storage guest; tests/system/storage-lvm-full.sh is what starts it.

. "${0%/*}/lvm-lib.sh"

# full VM: a VM whose disk is larger than what its pool has left
full()
{
	"$VMF" -o storage=small "$1" newimg 64M && make_bootable "/dev/vg0/$1-0" "from $1" || return
	printf 'storage = "small"\n' >>"$VMF_HOME/etc/vms/$1.conf"
	"$VMF" "$1" start && ready "$1" 1
}

# fill VM: the guest begins to
fill()
{
	printf f | "$VMF" "$1" console --until "${2:-vmf-boot}" --timeout 1s
	true
}

filled()
{
	grep -aqF "vmf-boot: filled" "$VMF_HOME/lib/log/$1.serial0"
}

# whole DEVICE: all that the guest wrote is there
whole()
{
	od -A d -t u4 -w512 "$1" | awk '$1 >= 1048576 && $1 % 65536 == 0 && $2 == $1 / 512 { n++ } END { print n; exit n != 1008 }'
}

cat >>"$VMF_HOME/etc/vmf.conf" <<-END
	storage "small" { lvm { pool = "small" } }
END
vgcreate -q vg0 /dev/vda >"$out" 2>&1
lvcreate -qq -y --type thin-pool -L 32M -c 64k -n small vg0 >"$out" 2>&1 && lvchange -qq --errorwhenfull y vg0/small >>"$out" 2>&1
result $? "a pool of 32 MB"

ok "a VM with a disk of 64 MB in it" full vm
ok "fills its disk" fill vm
ok "and stops" "$VMF" vm wait io-error --timeout 120s
run "$VMF" vm status
says "its status says why" 'vm: io-error .*: thin pool vg0/small is full$'
says "and what to do" '`lvextend -L \+[0-9]+k vg0/small`, then `vmf vm resume`'
fails "as JSON, too" 25 "$VMF" --json vm status
remedy=$(sed -n 's/.*"remedy": *"\([^"]*\)".*/\1/p' "$out")
fails "a snapshot is refused" 11 "$VMF" vm snapshot one
run "$VMF" storage list
says "storage list shows it" 'thin pool vg0/small.*32M.*0.*100%'
fails "the guest is not done" 1 filled vm
# a fifth more each time: it stops once again
n=0
while [ -n "$remedy" ] && ! filled vm && [ $n -lt 12 ]; do
	n=$((n + 1))
	ok "$remedy" eval "$remedy"
	ok "resume" "$VMF" vm resume
	wait_for 60 eval 'filled vm || "$VMF" vm wait io-error --timeout 1s'
	remedy=$("$VMF" --json vm status | sed -n 's/.*"remedy": *"\([^"]*\)".*/\1/p')
done
ok "the guest has filled its disk" filled vm
ok "and runs" "$VMF" vm wait running --timeout 1s
ok "stop" "$VMF" vm stop
ok "all that it wrote is there" whole /dev/vg0/vm-0
ok "it boots from it" "$VMF" vm start
ok "once more" ready vm 2
ok "destroy" "$VMF" vm stop destroy --yes
lvremove -qq -y vg0/small >"$out" 2>&1

# as pools are by default: they wait a minute for room
lvcreate -qq -y --type thin-pool -L 32M -c 64k -n small vg0 >"$out" 2>&1
result $? "a pool that waits for room"
ok "a VM in it" full vm
ok "fills its disk" fill vm
is_full()
{
	[ "$(field data_percent small)" = 100.00 ]
}
ok "the pool is full" wait_for 120 is_full
ok "the guest waits" "$VMF" vm wait running --timeout 1s
ok "more room in time" lvextend -qq -L +48M vg0/small
ok "lets it go on by itself" wait_for 120 filled vm
ok "stop" "$VMF" vm stop
ok "all that it wrote is there" whole /dev/vg0/vm-0
ok "destroy" "$VMF" vm destroy --yes
ok "no device is left suspended" none_suspended
plan_now
