#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Several people at once on the same two VMs, and whatever they do is killed now and then, at any instant and not at
# chosen points. In the end everything is as the last commands say, and nothing is left.
# CHAOS_SECONDS (20; 120 with VMF_LONG) is how long.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
plan 5

: "${CHAOS_SECONDS:=$([ "${VMF_LONG-}" ] && echo 120 || echo 20)}"
words=("start" "stop" "kill" "start" "status" "save" "pause" "resume" "create --disk 8M" "destroy --yes"
	"newimg 8M" "set memory=96M" "stop start" "info" "reset" "rename c" "start --paused" "start --discard-saved")

one()
{
	local end=$((SECONDS + CHAOS_SECONDS)) vm pid

	RANDOM=$1
	while [ $SECONDS -lt $end ]; do
		vm=$([ $((RANDOM % 2)) = 0 ] && echo a || echo b)
		# shellcheck disable=SC2086 # words
		timeout 40 "$VMF" $vm ${words[RANDOM % ${#words[@]}]} >>"$scratch/said.$1" 2>&1 </dev/null &
		pid=$!
		if [ $((RANDOM % 3)) = 0 ]; then
			sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
			pkill -KILL -P $pid 2>/dev/null
		fi
		wait $pid
		case $? in
		124) echo "timed out: $vm" >>"$scratch/wrong" ;;
		134 | 139) echo "crashed: $vm" >>"$scratch/wrong" ;;
		esac
	done 2>/dev/null
}

world_save
pids=()
for i in 1 2 3 4; do
	one $i &
	pids+=($!)
done
wait "${pids[@]}"
[ ! -e "$scratch/wrong" ]
result $? "no command hung or crashed in $(cat "$scratch"/said.* | wc -l) lines of answers" || cat "$scratch/wrong" >&2
for vm in a b c; do
	"$VMF" $vm status
	"$VMF" $vm kill
	"$VMF" $vm stop
	"$VMF" $vm destroy --yes
done >"$scratch/end" 2>&1 </dev/null
cp "$scratch/end" "$out"
! grep -Eq 'could not all be undone|is not understood|does not die' "$scratch"/said.* "$out"
result $? "no journal could not be followed"
find "$VMF_HOME/lib" "$VMF_HOME/etc/vms" "$VMF_HOME/run" ! -type d >"$out"
! grep -q . "$out"
result $? "no file is left"
find "$VMF_HOME/lib/journal" -type l >"$out"
! grep -q . "$out"
result $? "no link is left"
ok "no process, socket or link is left" world_same
