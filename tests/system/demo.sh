#!/bin/bash
# SPDX-License-Identifier: ISC
# ./autogen.sh --demo as a person runs it at a terminal, and as a machine runs it without one.

. "${0%/*}/../lib.sh"

need_program script bsdutils
need_guest
rm -rf "$VMF_HOME"
export XDG_DATA_HOME=$scratch/d VMF_HOME=$scratch/d/vmf-demo # for what we ask ourselves
demo="$top_srcdir/autogen.sh --demo --build $top_builddir"
plan 14

world_save
# shellcheck disable=SC2086 # words
ok "without a terminal it ends well" env -u VMF_HOME timeout 200 $demo
tr -d '\r' <"$out" >"$scratch/said"
cp "$scratch/said" "$out"
says "and has shown the guest's console" '^vmf-guest: ready'
says "up to its prompt" '^vmf-guest:~# '
ok "nothing is left running" world_same
"$VMF" demo0 status >"$out" 2>&1
says "its VM is off" 'off'

# at_terminal TEXT: runs the demo at one, types TEXT and ^] once the prompt is there
at_terminal()
{
	local status

	mkfifo "$scratch/keys"
	env -u VMF_HOME timeout 200 script -qefc "$demo" "$scratch/screen" <"$scratch/keys" >/dev/null 2>&1 &
	background_pids="$background_pids $!"
	exec 7>"$scratch/keys"
	wait_text 120 "$scratch/screen" 'vmf-guest:~# ' && printf '%s\r' "$1" >&7 && wait_text 20 "$scratch/screen" "$2" &&
		printf '\035' >&7
	wait $!
	status=$?
	exec 7>&-
	rm "$scratch/keys"
	tr -d '\r' <"$scratch/screen" >"$out"
	return $status
}

# shellcheck disable=SC2016 # the guest's shell expands it
at_terminal 'echo typed $((40 + 2))' 'typed 42'
result $? "at a terminal ^] leaves it"
says "what was typed was answered" '^typed 42'
sed -n '1,/vmf-guest:~# /p' "$out" >"$scratch/said"
cp "$scratch/said" "$out"
says "how to leave was said before" '\^\]'
sed -n 's/^  \([^ ].* demo0 .*\)/\1/p' "$scratch/said" >"$scratch/commands"
"$VMF" demo0 status >"$out" 2>&1
says "the VM goes on" 'running'

# shellcheck disable=SC2086
ok "run again while the VM runs it ends well" env -u VMF_HOME timeout 200 $demo
ok "and has stopped it" world_same

# each command that it named, in its order, but for the console, which would stay
"$VMF" demo0 start >/dev/null 2>&1
grep -v ' console ' "$scratch/commands" >"$scratch/try"
ok "the commands that it named work" bash -ex "$scratch/try"
[ "$(wc -l <"$scratch/commands")" = 5 ]
result $? "there are five of them"
find "$VMF_HOME" -type f -not -path '*/log/*' >"$out"
[ ! -s "$out" ] && world_same >"$out"
result $? "and nothing is left of the VM"
