#!/bin/bash
# SPDX-License-Identifier: ISC
#
# A hundred VMs come and go on bridges, and vmf and QEMU are killed at any moment of it: the host's links are the same
# before and after.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_program qemu-system-x86_64 qemu-system-x86
need_program ip iproute2
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"
mkdir -p "$VMF_HOME/etc/classes"
printf 'accel = "tcg"\nmemory = "64M"\n' >"$VMF_HOME/etc/classes/default.conf"
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || echo 'user = "root"' >>"$VMF_HOME/etc/vmf.conf"

ip link add other address 02:00:00:00:00:99 type bridge
ip -json link >"$scratch/links"
world_save

same_links()
{
	ip -json link | diff "$scratch/links" - && world_same
}

rounds()
{
	local n

	for n in $(seq 100); do
		"$VMF" r$((n % 7)) create ifadd 2 br$((n % 3)) other start -- destroy --yes && return 1 # it runs
		"$VMF" r$((n % 7)) stop destroy --yes || return 1
	done
}

ok "a hundred rounds of create, start, stop and destroy" rounds
ok "the links are the same" same_links

# killed DELAY WORD...: vmf is killed so many milliseconds after its start
killed()
{
	local pid

	"$VMF" "${@:2}" >>"$out" 2>&1 </dev/null &
	pid=$!
	sleep "0.$(printf '%03d' "$1")"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
}

tidy()
{
	"$VMF" k status
	"$VMF" k stop && same_links
}

"$VMF" k create ifadd 3 br1 br2 other >"$out" 2>&1
bad=0
for n in $(seq 0 3 120); do
	killed "$n" k start
	tidy >>"$out" 2>&1 || bad=$((bad + 1))
done
result $bad "vmf is killed at any millisecond of a start: nothing is left"
bad=0
for n in $(seq 0 4 80); do
	"$VMF" k start >>"$out" 2>&1
	killed "$n" k connect 0 "br$n"
	"$VMF" k status >>"$out" 2>&1
	killed "$n" k connect 1 -
	tidy >>"$out" 2>&1 || bad=$((bad + 1))
done
result $bad "or of a connect"
bad=0
for n in $(seq 0 5 80); do
	"$VMF" k ifadd 1 br1 start >>"$out" 2>&1
	killed "$n" k ifadd 4 br1 br2 br3 -
	tidy >>"$out" 2>&1 || bad=$((bad + 1))
done
result $bad "or of an ifadd"
bad=0
for n in $(seq 10); do
	"$VMF" k start >>"$out" 2>&1
	kill -9 "$(cat "$VMF_HOME/run/k/pid")"
	tidy >>"$out" 2>&1 || bad=$((bad + 1))
done
result $bad "QEMU is killed: nothing is left"
ok "destroy" "$VMF" k destroy --yes
ok "the links are the same as at first" same_links
plan_now
