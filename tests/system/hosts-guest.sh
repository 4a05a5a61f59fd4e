#!/bin/bash
# SPDX-License-Identifier: ISC
# A guest on another host: its console and monitor, a terminal on it, disks that are plugged in, memory that is saved.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program script bsdutils
need_guest
need_hosts 1

same_at_both()
{
	diff "$VMF_HOME/etc/vms/$1.conf" "$scratch/n1/etc/vms/$1.conf"
}

ok "a VM is made and started on another host" "$VMF" web0 create --host n1 --memory 96M start
guest_ready web0 400
result $? "its console is heard"
guest web0 'echo $((6 * 7))' >"$out"
says "a command on it" '^42$'
echo 'info name' | "$VMF" web0 monitor >"$out" 2>&1
says "its monitor" 'web0'
ok "keys are pressed" "$VMF" web0 sendkey ret
ok "a disk is plugged in" "$VMF" web0 disk add 8M --name data
ok "and stands in both definitions" same_at_both web0
grep -q 'disk "data"' "$VMF_HOME/etc/vms/web0.conf"
result $? "indeed"
ok "it is saved" "$VMF" web0 save
fails "which can be seen" 22 "$VMF" web0 status
ok "it goes on from there" "$VMF" web0 start
guest web0 'echo still here' 60 >"$out"
says "with its memory" '^still here'

script -qec "'$VMF' web0 console" /dev/null >"$out" 2>&1 < <(
	sleep 2
	printf '\recho at-%s\r' terminal
	sleep 3
	printf '\035'
	sleep 1
)
says "a terminal is led there" '^at-terminal'
says "and left by its key" 'console of web0: left'

ok "stop" "$VMF" web0 stop

plan_now
