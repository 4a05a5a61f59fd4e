#!/bin/bash
# SPDX-License-Identifier: ISC
# list: every VM, whatever has become of it; columns, patterns, JSON; and what it costs.

. "${0%/*}/../lib.sh"

vms=$VMF_HOME/etc/vms
mkdir -p "$vms" "$VMF_HOME/etc/classes" "$VMF_HOME/lib/saved" "$VMF_HOME/lib/journal"
tab=$'\t'

ok "list of nothing" "$VMF" list
[ ! -s "$out" ]
result $? "is empty"
ok "list --json of nothing" "$VMF" list --json
says "is an empty list" '^\[\]$'

echo 'cpus = 3' >"$VMF_HOME/etc/classes/lab.conf"
cat >"$vms/web10.conf" <<'END'
class = "lab"
memory = ${VMF_TEST_MEMORY:-2G}
description = "tab	and é"
owner = "ann"
END
printf 'nic "a" { network = "default" }\nnic "b" { network = "default" }\n' >"$vms/web2.conf"
echo 'network = "none"' >"$vms/db.conf"

run "$VMF" list
printf 'db\toff\t1\t512M\t0\tlocal\nweb2\toff\t1\t512M\t2\tlocal\nweb10\toff\t3\t2G\t1\tlocal\n' | diff - "$out" >"$out.diff"
result $? "rows with tabs, no headings, 2 before 10"
VMF_TEST_MEMORY=3G ok "list hears the environment" "$VMF" list web10
says "in a definition" "^web10${tab}off${tab}3${tab}3G${tab}"
ok "a pattern" "$VMF" list 'web*'
[ "$(wc -l <"$out")" = 2 ]
result $? "chooses"
ok "several patterns" "$VMF" list 'd?' web2
[ "$(cut -f1 "$out" | tr '\n' ' ')" = "db web2 " ]
result $? "choose"
ok "--columns" "$VMF" list web10 --columns name,class,owner,description
says "in that order, clean" "^web10${tab}lab${tab}ann${tab}tab and é\$"
ok "what is not known is a dash" "$VMF" list db --columns=owner,pid,since,detail
says "dashes" "^-${tab}-${tab}-${tab}-\$"
fails "no such column" 2 "$VMF" list --columns name,ownr
says "says which is meant" 'hint: do you mean owner'
ok "--names" "$VMF" list --names
[ "$(tr '\n' ' ' <"$out")" = "db web2 web10 " ]
result $? "shows names only"
ok "--json" "$VMF" list web10 --json
says "is one document" '^\[\{"name":"web10","state":"off","detail":null,.*"class":"lab","cpus":3,"memory_bytes":2147483648,"nics":1,"host":"local","owner":"ann",'
if command -v script >/dev/null; then
	script -qc "'$VMF' list" /dev/null 2>&1 </dev/null | tr -d '\r' >"$out"
	says "on a terminal there are headings" '^NAME  STATE CPUS MEMORY NICS HOST'
else
	skip "on a terminal there are headings" "script is missing (Debian: bsdutils)"
fi

# ---- states without a QEMU --------------------------------------------------------------------------

: >"$VMF_HOME/lib/saved/db"
printf 'plan create 1\n' >"$VMF_HOME/lib/journal/half"
mkdir -p "$VMF_HOME/run/gone"
echo 'cpsu = 2' >"$vms/typo.conf"
mkdir "$vms/folder.conf"
ok "list shows all of them" "$VMF" list --columns name,state,detail
says "saved" "^db${tab}saved"
says "interrupted, though not defined" "^half${tab}interrupted"
says "broken" "^typo${tab}broken${tab}$vms/typo.conf:1: .*cpsu"
says "broken, as it is a folder" "^folder${tab}broken"
says "what is broken is said on the side" '^vmf: vm "typo" is broken: '
says "the others are as they were" "^web2${tab}off"
ok "--running" "$VMF" list --running --names
[ "$(cat "$out")" = half ]
result $? "shows those that are neither off nor saved"
rm -r "$VMF_HOME/lib/journal/half" "$vms/typo.conf" "$vms/folder.conf"
echo 'nonsense' >"$VMF_HOME/etc/vmf.conf"
fails "vmf.conf is broken" 3 "$VMF" list
says "that is no VM's mistake" "^vmf: $VMF_HOME/etc/vmf.conf:1: "
rm "$VMF_HOME/etc/vmf.conf"

# ---- volumes ----------------------------------------------------------------------------------------

if command -v qemu-img >/dev/null; then
	run "$VMF" vol create --disk 1M --disk 1M
	ok "the column disks" "$VMF" list vol db --columns name,disks
	says "counts volumes that are found by their names" "^vol${tab}2\$"
else
	skip "the column disks" "qemu-img is missing (Debian: qemu-utils)"
	skip "counts volumes that are found by their names" "qemu-img is missing (Debian: qemu-utils)"
fi

# ---- what it costs ----------------------------------------------------------------------------------

if command -v strace >/dev/null; then
	strace -f -o "$scratch/trace" "$VMF" list >"$out" 2>&1
	! grep -q 'plugins/.*\.so\|lib/images' "$scratch/trace"
	result $? "list loads no plugin and looks into no store"
	strace -f -o "$scratch/trace" "$VMF" list --names >"$out" 2>&1
	! grep -q '\.conf"' "$scratch/trace"
	result $? "list --names reads no file"
	strace -f -o "$scratch/trace" "$VMF" list web10 >"$out" 2>&1
	# its file once, and nothing of its name in the run folder, among the saved or the journals
	[ "$(grep -c 'web10' "$scratch/trace")" -le 3 ]
	result $? "a VM that is off costs the reading of its file"
	grep web10 "$scratch/trace" >"$out"
else
	for name in "list loads no plugin and looks into no store" "list --names reads no file" \
		"a VM that is off costs the reading of its file"; do
		skip "$name" "strace is missing (Debian: strace)"
	done
fi
plan_now
