#!/bin/bash
# SPDX-License-Identifier: ISC
# Twenty starts of one VM at once: exactly one QEMU, nineteen clear messages.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
plan 6

world_save
ok "a VM is made" "$VMF" one create newimg 16M
pids=()
for i in $(seq 20); do
	"$VMF" one start >"$scratch/start.$i" 2>&1 </dev/null &
	pids+=($!)
done
succeeded=0
for pid in "${pids[@]}"; do
	wait "$pid" && succeeded=$((succeeded + 1))
done
cat "$scratch"/start.* >"$out"
[ $succeeded = 1 ]
result $? "one start has succeeded"
[ "$(grep -c 'vm "one": it is running already (pid [0-9]*)' "$out")" = 19 ]
result $? "nineteen say that it runs already"
world | grep -c '^process qemu' >"$scratch/count"
[ "$(cat "$scratch/count")" = 1 ]
result $? "there is one QEMU"
ok "it is stopped and destroyed" "$VMF" one stop destroy --yes
ok "nothing is left" world_same
