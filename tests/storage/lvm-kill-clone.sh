#!/bin/bash
# SPDX-License-Identifier: ISC
# Volumes of LVM are cloned while vmf is killed, or lvm fails, at each step: the clone is there, whole, or not.
# Runs in the storage guest; tests/system/storage-lvm-kill-clone.sh is what starts it.

. "${0%/*}/lvm-fault-lib.sh"

each "clone of a thin snapshot" thin cloned_thin b clone --from a@one
each "clone, thick" thick cloned_thick b clone --from a --cow
each "clone --copy" thick copied b clone --from a --copy

# in the middle of a copy, too
reset >"$out" 2>&1
"$VMF" a newimg 600M >"$out" 2>&1
"$VMF" b clone --from a --copy >"$out" 2>&1 </dev/null &
pid=$!
wait_for 60 lvs vg0/.vmf-b-0
kill -9 $pid
wait $pid 2>/dev/null
ok "a copy that is killed in the middle has another name" there .vmf-b-0 a-0
ok "there is no such VM" "$VMF" list
fails "afterwards" 4 "$VMF" b status
ok "the copy is gone" there a-0
ok "another disk" "$VMF" a newimg 8M
ok "has its own name" there a-0 a-1

# another vmf that is at work is not disturbed
"$VMF" b clone --from a --copy >"$scratch/clone" 2>&1 </dev/null &
pid=$!
wait_for 60 lvs vg0/.vmf-b-0
ok "a change while a copy is made" "$VMF" new newimg 8M
wait $pid
result $? "does not harm the copy"
cmp /dev/vg0/a-0 /dev/vg0/b-0 >"$out" 2>&1
result $? "which is whole"

faults_end
