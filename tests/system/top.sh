#!/bin/bash
# SPDX-License-Identifier: ISC
# top: rows in a pipe, JSON, and a table on a terminal, which is put back.

. "${top_srcdir:-.}/tests/lib.sh"
need_program script bsdutils
need_program jq jq
need_guest

ok "nothing runs" "$VMF" top --interval 100ms
[ ! -s "$out" ]
result $? "and nothing is shown"
fails "a time that is none" 2 "$VMF" top --interval soon
fails "one that is too short" 2 "$VMF" top --interval 1ms
fails "a count that is none" 2 "$VMF" top --count -1
fails "a word" 2 "$VMF" top web
ok "a VM" "$VMF" web create
ok "runs" "$VMF" web start
ok "its shell is there" guest_ready web
world_save
ok "two rows" "$VMF" top --interval 500ms --count 2
says "of that VM" '^web	running	[0-9]+\.[0-9]	[0-9]+	[0-9]+	[0-9]+	[0-9]+	[0-9]+$'
[ "$(grep -c . "$out")" = 2 ]
result $? "no more"

# a guest that is busy takes the processor, memory and disk are counted
echo 'timeout 30 sh -c "while :; do :; done" &' | "$VMF" web console >"$out" 2>&1
ok "a busy guest" "$VMF" --json top --interval 2s
jq -e '.[0] | .vm == "web" and .cpu_percent > 2 and .resident > 30000000 and .pid > 0' "$out" >"$scratch/jq" 2>&1
result $? "is seen to be busy"

# ---- a terminal --------------------------------------------------------------------------------------

mkfifo "$scratch/keys"
cat >"$scratch/session" <<-END
	stty -a >"$scratch/before"
	"$VMF" top --interval 300ms
	echo \$? >"$scratch/status.new"
	stty -a >"$scratch/after"
	mv "$scratch/status.new" "$scratch/status"
END
script -qefc "bash $scratch/session" "$scratch/screen" <"$scratch/keys" >/dev/null 2>&1 &
exec 7>"$scratch/keys"
ok "a table" wait_text 20 "$scratch/screen" 'CPU %'
ok "with the VM" wait_text 20 "$scratch/screen" 'web'
printf 'm' >&7
sleep 0.5
printf 'q' >&7
ok "q quits" wait_for 10 grep -qx 0 "$scratch/status"
exec 7>&-
ok "the terminal is as it was" cmp "$scratch/before" "$scratch/after"
ok "another screen is left" grep -qF $'\033[?1049l' "$scratch/screen"
ok "nothing is left" world_same
ok "the VM is stopped" "$VMF" web stop
plan_now
