#!/bin/bash
# SPDX-License-Identifier: ISC
# VMs go to other hosts and back, whole, and are on one side at any moment, whatever dies.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program jq jq
need_program qemu-system-x86_64 qemu-system-x86
need_program qemu-io qemu-utils
need_hosts 2
mkdir -p "$VMF_HOME/etc/classes"
printf 'accel = "tcg"\n' >"$VMF_HOME/etc/classes/default.conf"

image()
{
	case $1 in
	here) echo "$VMF_HOME/lib/images/$2-0.qcow2" ;;
	*) echo "$scratch/$1/lib/images/$2-0.qcow2" ;;
	esac
}

# mark NAME HOST BYTE, has NAME HOST BYTE: what is on the disk
mark()
{
	qemu-io -c "write -P $3 1M 64k" -c "write -P $3 9M 4k" "$(image "$2" "$1")" >"$out" 2>&1
}

has()
{
	qemu-io -c "read -P $3 1M 64k" -c "read -P $3 9M 4k" "$(image "$2" "$1")" >"$out" 2>&1 &&
		! grep -q 'verification failed' "$out"
}

# only NAME HOST: its definition and its disk are there and at no other host
only()
{
	local host

	for host in n1 n2; do
		if [ "$host" = "$2" ]; then
			[ -e "$scratch/$host/etc/vms/$1.conf" ] && [ -e "$(image "$host" "$1")" ] || return 1
		elif [ -e "$scratch/$host/etc/vms/$1.conf" ] || [ -e "$(image "$host" "$1")" ]; then
			return 1
		fi
	done
	[ "$2" = here ] || ! [ -e "$(image here "$1")" ]
}

same()
{
	cmp -s "$scratch/before" "$VMF_HOME/etc/vms/$1.conf"
}

# ---- there and back ----------------------------------------------------------------------------------

ok "a VM is made here" "$VMF" web0 create --disk 16M --memory 96M
mark web0 here 17
ok "a dry run of a push" "$VMF" --dry-run web0 push n1
says "tells what would be done" 'move all of it from host "local" to host "n1"'
[ -e "$(image here web0)" ] && [ ! -e "$(image n1 web0)" ]
result $? "and does nothing"
ok "it is pushed" "$VMF" web0 push n1
says "and says so" '^web0: moved from host local to n1'
ok "it is there and nowhere else" only web0 n1
ok "with what was written" has web0 n1 17
ok "it is moved, and asked there in the same chain" "$VMF" web0 move n2 -- config
says "its definition says where it lives" '^host = "n2"'
ok "it is there and nowhere else" only web0 n2
ok "with what was written" has web0 n2 17
ok "it starts there and is saved" "$VMF" web0 start -- save
ok "its memory goes along" "$VMF" web0 move n1
[ -s "$scratch/n1/lib/saved/web0" ] && [ ! -e "$scratch/n2/lib/saved/web0" ]
result $? "all of it"
ok "it goes on from there" "$VMF" --json web0 start
says "as it was saved" '"from_saved":true|"resumed":true|saved'
fails "one that runs is refused" 6 "$VMF" web0 move n2
says "with what to do" 'save'
ok "it is still there" only web0 n1
ok "stop" "$VMF" web0 stop
ok "it comes back here" "$VMF" web0 move local
ok "it is here and nowhere else" only web0 here
ok "with what was written" has web0 here 17
ok "and goes again" "$VMF" web0 move n2
ok "to where it has been before" only web0 n2

# ---- what cannot be ----------------------------------------------------------------------------------

cp "$VMF_HOME/etc/vms/web0.conf" "$scratch/before"
fails "the host that it lives on" 6 "$VMF" web0 move n2
says "is said to be that" 'lives on host "n2" already'
fails "an unknown host" 3 "$VMF" web0 move n9
says "is named" 'n9'
ok "a VM of that name there" on n1 "$VMF" web0 create --disk 1M
fails "is in the way" 5 "$VMF" web0 move n1
says "and named" 'there is a vm "web0" there already'
ok "it goes" on n1 "$VMF" web0 destroy --yes
mkdir -p "$scratch/extra"
echo "storage \"extra\" { file-qcow2 { dir = \"$scratch/extra\" } }" >"$scratch/n1/etc/vmf.conf"
ok "one in a storage that only n1 has" "$VMF" odd create --host n1 -- disk add 1M --storage extra
fails "cannot go to n2" 3 "$VMF" odd move n2
says "which has no such storage" 'extra'
[ -e "$scratch/extra/odd-0.qcow2" ] && [ ! -e "$scratch/n2/etc/vms/odd.conf" ]
result $? "and stays"
ok "its definition did not change" same web0
ok "it is still there" test -s "$(image n2 web0)"

# ---- cut off -----------------------------------------------------------------------------------------

ok "a larger one" "$VMF" big create --host n1 --disk 24M --memory 96M
head -c 24M /dev/urandom >"$scratch/noise"
qemu-io -c "write -s $scratch/noise 0 24M" "$(image n1 big)" >"$out" 2>&1
mark big n1 23

cp "$VMF_HOME/etc/vms/big.conf" "$scratch/before"
on n2 mount -t tmpfs -o size=2m none "$hosts_lib/images"
! "$VMF" big move n2 >"$out" 2>&1 && grep -q 'No space' "$out"
result $? "no space there is said"
on n2 umount "$hosts_lib/images"
ok "it stays" only big n1
ok "and its definition, too" same big
cut_off n2
! "$VMF" big move n2 >"$out" 2>&1
result $? "a host out of reach"
join_again n2
ok "it stays" only big n1

# At each step of the change of sides.
for point in 1 2 3 4; do
	VMF_FAULT=kill:$point "$VMF" big move n2 >"$out" 2>&1
	[ $? = 137 ]
	result $? "the near end is killed at point $point"
	host=$(sed -n 's/^host *= *"\(.*\)"/\1/p' "$VMF_HOME/etc/vms/big.conf")
	if [ $point -le 2 ]; then
		[ "$host" = n1 ]
		result $? "it lives where it was"
		fails "but is not started by who does not know" 6 on n1 "$VMF" big start
		says "as it is half moved" 'is being moved'
	else
		[ "$host" = n2 ]
		result $? "it lives at the other host"
		! on n1 "$VMF" big start >"$out" 2>&1
		result $? "and cannot be started at the old one"
	fi
	ok "it is asked" "$VMF" big drives
	[ $point -gt 2 ] || ok "a repeat succeeds" "$VMF" big move n2
	ok "it is there and nowhere else" only big n2
	ok "whole" has big n2 23
	[ -z "$(ls "$VMF_HOME/lib/moves")" ] && ! ls "$scratch"/n?/lib/managed/*.moving >/dev/null 2>&1
	result $? "nothing is left to be done"
	ok "and goes back" "$VMF" big move n1
done

# ---- from one kind of store to another ---------------------------------------------------------------

for host in n1 n2; do
	mkdir -p "$scratch/mixed-$host"
	echo "storage \"mixed\" { file-qcow2 { dir = \"$scratch/mixed-$host\" $([ $host = n1 ] || echo 'format = "raw"') } }" \
		>>"$scratch/$host/etc/vmf.conf"
done
ok "one on qcow2" "$VMF" mix create --host n1 -- disk add 4M --storage mixed
file=$(ls "$scratch"/mixed-n1/*.qcow2)
qemu-io -c 'write -P 99 1M 64k' "$file" >"$out" 2>&1
ok "goes to raw" "$VMF" mix move n2
ls "$scratch"/mixed-n2/* >"$out"
! ls "$scratch"/mixed-n1/*.qcow2 >/dev/null 2>&1 &&
	[ "$(dd if="$(find "$scratch/mixed-n2" -type f -name 'mix-0*')" bs=1M skip=1 count=1 2>/dev/null | head -c 65536 | tr -d 'c' | wc -c)" = 0 ]
result $? "with what was written"
ok "and back to qcow2" "$VMF" mix move n1
qemu-io -c 'read -P 99 1M 64k' "$(ls "$scratch"/mixed-n1/*.qcow2)" >"$out" 2>&1 && ! grep -q failed "$out"
result $? "with what was written"

# Kills PID after some milliseconds, or what it has begun at HOST.
for ms in 050 300 600 900; do
	"$VMF" big move n2 >"$out" 2>&1 &
	pid=$!
	sleep "0.$ms"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	sleep 0.3
	n=0
	for host in n1 n2; do
		[ ! -e "$scratch/$host/etc/vms/big.conf" ] || n=$((n + 1))
	done
	[ $n -le 1 ]
	result $? "the near end is killed after $ms ms: at most one side has it"
	ok "it can be asked" "$VMF" --json big drives
	host=$(sed -n 's/^host *= *"\(.*\)"/\1/p' "$VMF_HOME/etc/vms/big.conf")
	ok "it is where its definition says" test -e "$scratch/$host/etc/vms/big.conf"
	[ "$host" = n2 ] || ok "a repeat succeeds" "$VMF" big move n2
	ok "it is there and nowhere else" only big n2
	ok "whole" has big n2 23
	ok "and goes back" "$VMF" big move n1
done

for host in n1 n2; do
	"$VMF" big move n2 >"$out" 2>&1 &
	pid=$!
	sleep 0.3
	for agent in $(ip netns pids "vmf-$hosts_id-$host"); do
		! tr '\0' ' ' 2>/dev/null <"/proc/$agent/cmdline" | grep -q 'agent --stdio' || kill -9 "$agent"
	done
	wait "$pid"
	code=$?
	[ $code != 0 ] && ok "the agent on $host is killed: it stays" test -e "$scratch/n1/etc/vms/big.conf"
	[ $code = 0 ] || ok "a repeat succeeds" "$VMF" big move n2
	ok "what the agent has left is removed" "$VMF" big drives
	ok "it is there and nowhere else" only big n2
	ok "whole" has big n2 23
	ok "and goes back" "$VMF" big move n1
done

plan_now
