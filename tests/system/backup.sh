#!/bin/bash
# SPDX-License-Identifier: ISC
# All definitions, hosts and settings in one archive, restored on an empty master, which goes on with VMs on other hosts.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program jq jq
need_program tar tar
need_hosts 1
mkdir -p "$VMF_HOME/etc/classes"
printf 'accel = "tcg"\n' >"$VMF_HOME/etc/classes/default.conf"
ok "a VM here" "$VMF" web0 create --disk 1M
ok "a VM elsewhere" "$VMF" far0 create --host n1 --disk 1M
file=$scratch/all.tar.gz

ok "a dry run" "$VMF" --dry-run backup "$file"
[ ! -e "$file" ]
result $? "writes nothing"
ok "backup" "$VMF" backup "$file"
says "says how many" '2 VMs'
[ "$(stat -c %a "$file")" = 600 ]
result $? "for its owner alone"
fails "a second one does not overwrite it" 5 "$VMF" backup "$file"
fails "nor one without a name" 2 "$VMF" backup
fails "where VMs are nothing is restored" 6 "$VMF" restore "$file"
says "it says why" 'there are VMs here already'

new=$scratch/new
fails "a file that is none" 1 "$VMF" -C "$new" restore "$scratch/key"
[ ! -e "$new/etc/vms" ] && [ ! -e "$new/etc/.restore" ]
result $? "changes nothing"
head -c 300 "$file" >"$scratch/cut"
fails "one that was cut off" 1 "$VMF" -C "$new" restore "$scratch/cut"
[ ! -e "$new/etc/vms" ] && [ ! -e "$new/etc/.restore" ]
result $? "changes nothing, either"
ok "a dry run" "$VMF" --dry-run -C "$new" restore "$file"
[ ! -e "$new/etc/vms" ]
result $? "does nothing"
ok "restore" "$VMF" -C "$new" restore "$file"
says "says how many" '2 VMs'
ok "all is as it was" diff -r "$VMF_HOME/etc" "$new/etc"
ok "the VMs are there" "$VMF" -C "$new" --json list
[ "$(jq -r '[.[].name] | sort | join(" ")' "$out")" = "far0 web0" ]
result $? "both"
ok "the one that lives elsewhere can be worked with" "$VMF" -C "$new" far0 set memory=112M
ok "and destroyed" "$VMF" -C "$new" far0 destroy --yes
[ ! -e "$scratch/n1/etc/vms/far0.conf" ]
result $? "there"

plan_now
