#!/bin/bash
# SPDX-License-Identifier: ISC
# Choosing a host: where there is most room, and never more than there is, however many choose at once.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program jq jq
need_hosts 3
# room for 3 + 4 + 5 VMs of one CPU and 64 MiB; nothing is to live here
echo 'host "local" { cpus = 0 }' >>"$VMF_HOME/etc/vmf.conf"
for limit in 'n1:cpus = 3  memory = "1G"' 'n2:cpus = 100  memory = "256M"' 'n3:cpus = 5  memory = "512M"'; do
	sed -i "s|^host \"${limit%%:*}\" {|&\n    ${limit#*:}|" "$VMF_HOME/etc/vmf.conf"
done

# lives VM HOST
lives()
{
	grep -qx "host = \"$2\"" "$VMF_HOME/etc/vms/$1.conf" && [ -e "$scratch/$2/etc/vms/$1.conf" ]
}

ok "which one it would be" "$VMF" first create --host auto --memory 64M --explain
says "is the one with the most memory" '^n1: 960 MiB would be left: chosen'
says "not one that is smaller" '^n2: 192 MiB would be left$'
says "nor this one" '^local: does not fit: 0 of 0 CPUs'
[ ! -e "$VMF_HOME/etc/vms/first.conf" ]
result $? "nothing is made"
ok "as JSON" "$VMF" --json first create --host auto --memory 64M --explain
[ "$(jq -r '.[] | select(.chosen) | .name' "$out")" = n1 ]
result $? "it is the same"
fails "it is made, and a chain goes on there" 20 "$VMF" first create --host auto --memory 64M --disk 1M status
ok "on the chosen one" lives first n1
ok "that one is full with two more" "$VMF" second create --host auto --memory 384M --cpus 2
ok "which are one" lives second n1
ok "the next" "$VMF" third create --host auto --memory 64M
ok "is on another" lives third n3
fails "what fits nowhere" 11 "$VMF" huge create --host auto --memory 900M --cpus 2
says "is told of each host" 'n1: 3 of 3 CPUs are taken; n2: .* n3: '
mkdir -p "$VMF_HOME/etc/classes"
printf 'host = "auto"\nmemory = "64M"\n' >"$VMF_HOME/etc/classes/cloud.conf"
ok "a class may say it" "$VMF" fourth create --class cloud
ok "the definition has the name" lives fourth n3
for vm in first second third fourth; do
	ok "$vm goes" "$VMF" "$vm" destroy --yes
done

# 12 find room, whoever is first; the others are told
one()
{
	"$VMF" "many$1" create --host auto --memory 64M >"$scratch/many.$1" 2>&1 </dev/null
}
export -f one
export scratch
seq 16 | xargs -P 5 -I N bash -c 'one N' >"$out" 2>&1
made=$(grep -c ': created' "$scratch"/many.* | grep -c ':1$')
cat "$scratch"/many.* >"$out"
echo "made: $made" >>"$out"
[ "$made" = 12 ]
result $? "of sixteen that are in a hurry, twelve find room"
[ "$(grep -c 'no host has room' "$out")" = 4 ]
result $? "and four are told that there is none"
for n in 1:3 2:4 3:5; do
	[ "$(find "$scratch/n${n%:*}/etc/vms" -name 'many*.conf' | wc -l)" = "${n#*:}" ]
	result $? "n${n%:*} has its ${n#*:}"
done
[ "$(find "$VMF_HOME/etc/vms" -name 'many*.conf' | wc -l)" = 12 ]
result $? "and this end knows of all"

plan_now
