#!/bin/bash
# SPDX-License-Identifier: ISC
# The main job: a guest is made, started, used, paused, saved, started again, shut down and destroyed.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest

state()
{
	"$VMF" "$1" status --json | sed -n 's/.*"state": *"\([^"]*\)".*/\1/p'
}

is_state()
{
	[ "$(state "$1")" = "$2" ]
}

qemu_pid()
{
	cat "$VMF_HOME/run/$1/pid"
}

world_save
ok "create, set, newimg and start in one chain" "$VMF" demo0 create --memory 256M --cpus 1 \
	set kernel="$guest_dir/vmlinuz" initrd="$guest_dir/initrd" append="$guest_append" newimg 1G start
says "start says that it runs, and its pid" '^demo0: running \(pid [0-9]+\)'
ok "status ends with 0 for a running VM" "$VMF" demo0 status
says "status says running" 'running'
ok "it boots" guest_ready demo0
ok "info shows everything" "$VMF" demo0 info
says "info shows the whole command line" 'qemu-system-x86_64.*-nodefaults'
says "info shows the disk" 'demo0-0'
ok "a command in the guest" guest demo0 'uname -s'
says "answers" '^Linux'
ok "the guest writes to its disk" guest demo0 'disk-write vda 4 7'
ok "and reads it back" guest demo0 'disk-check vda'
ok "the guest has the NIC with the MAC of its identity" guest demo0 'cat /sys/class/net/eth0/address'
mac=$(grep -m1 : "$out")
"$VMF" demo0 info >"$out"
says "which info shows, too" "$mac"

# pause, resume: the guest's clock stands still
pid=$(qemu_pid demo0)
guest demo0 'ticks >/run/ticks & true' >"$out" 2>&1
sleep 2
ok "pause" "$VMF" demo0 pause
ok "is paused" is_state demo0 paused
sleep 3
ok "resume, and status says running again" "$VMF" demo0 resume status
says "running" running
[ "$(guest demo0 'wc -l </run/ticks')" -lt 6 ]
result $? "the guest stood still meanwhile"

# save, start: it goes on where it was
boot=$(guest demo0 'cat /proc/sys/kernel/random/boot_id')
ok "save" "$VMF" demo0 save
ok "is saved" is_state demo0 saved
! kill -0 "$pid" 2>/dev/null || ! grep -q '^State:.[^Z]' "/proc/$pid/status"
result $? "QEMU is gone"
ok "start" "$VMF" demo0 start
says "start says that it goes on from saved memory" 'saved'
[ "$boot" ] && [ "$(guest demo0 'cat /proc/sys/kernel/random/boot_id')" = "$boot" ]
result $? "it is the same boot of the guest"
ok "the disk is whole" guest demo0 'disk-check vda'
[ ! -e "$VMF_HOME/lib/saved/demo0" ]
result $? "the memory on disk is of the past"

# numbers, the environment, arguments, a chain with --
# shellcheck disable=SC2016 # it is for the file, or the inner shell
sed -i 's/^memory.*/memory = ${mem:-256M}/' "$VMF_HOME/etc/vms/demo0.conf"
mem=384M run "$VMF" demo0 stop 1 start -boot order=c -- status
result $? "mem=384M vmf demo0 stop 1 start -boot order=c -- status"
tr '\0' ' ' <"/proc/$(qemu_pid demo0)/cmdline" >"$out"
says "the environment has chosen the memory" 'size=393216K'
says "start's arguments are there" '-boot order=c'
fails "status ends the chain with its own code" 20 "$VMF" demo0 stop status
"$VMF" demo0 set args='{"-name", "guest=configured"}' >"$out" 2>&1
ok "_ stands for the configured arguments" "$VMF" demo0 start -name guest=first _
tr '\0' ' ' <"/proc/$(qemu_pid demo0)/cmdline" >"$out"
says "and they come last" 'guest=first -name guest=configured $'

# a class by a link's name
ln -s "$VMF" "$scratch/labvm"
mkdir -p "$VMF_HOME/etc/classes"
echo 'cpus = 2' >"$VMF_HOME/etc/classes/lab.conf"
ok "labvm makes and starts a VM of class lab" "$scratch/labvm" demo1 create newimg 64M start
tr '\0' ' ' <"/proc/$(qemu_pid demo1)/cmdline" >"$out"
says "with the class' settings" '-smp 2'
"$VMF" demo1 drives >"$out"
says "its volume has the class in its name" 'lab-demo1-0'
# shellcheck disable=SC2016 # it is for the file, or the inner shell
ok "list --json" sh -c '"$VMF" list --json | jq -e "map(.name) == [\"demo0\", \"demo1\"]"'
ok "list shows both" "$VMF" list
says "demo1 runs" 'demo1.*running'

"$VMF" demo0 stop >"$out" 2>&1
ok "start --dry-run" "$VMF" demo0 start --dry-run
says "shows the steps" 'start QEMU'
says "and the command line" 'qemu-system-x86_64'
[ ! -e "$VMF_HOME/run/demo0" ]
result $? "and has changed nothing"
"$VMF" demo0 start >"$out" 2>&1
result $? "started once more"
ok "config --origin" "$VMF" demo0 config --origin
says "names files and lines" 'demo0.conf:[0-9]+'
guest_ready demo0
ok "shutdown and destroy" "$VMF" demo0 shutdown --timeout 90 destroy --yes
ok "the other one is stopped and destroyed" "$VMF" demo1 stop destroy --yes
ok "no process, file, socket or link is left" world_same
[ "$(find "$VMF_HOME" -type f ! -path '*/classes/*')" = "" ]
result $? "nor anything else in the home folder"
find "$VMF_HOME" -type f >"$out"
plan_now
