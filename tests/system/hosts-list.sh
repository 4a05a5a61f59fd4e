#!/bin/bash
# SPDX-License-Identifier: ISC
# Many hosts at once: list and host list have an answer for each in time, whoever is dead, slow or old.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program jq jq
need_hosts 3

# row NAME FILTER: of the last list --json
row()
{
	jq -r --arg name "$1" ".[] | select(.name == \$name) | $2" "$out"
}

is()
{
	[ "$(row "$2" "$3")" = "$4" ]
	result $? "$1"
}

# ---- in the configuration ----------------------------------------------------------------------------

ok "host add" "$VMF" host add more 192.0.2.1 --user ann --port 2222 --cpus 4 --memory 2G
says "says so" '^more: added'
for line in 'address = "192.0.2.1"' 'user = "ann"' 'port = "?2222"?' 'cpus = "?4"?' 'memory = "?2G"?'; do
	grep -Eq "$line" "$VMF_HOME/etc/vmf.conf"
	result $? "the file has $line"
done
fails "not twice" 5 "$VMF" host add more 192.0.2.2
fails "no bad port" 3 "$VMF" host add bad 192.0.2.3 --port 99999
fails "no bad name" 2 "$VMF" host add a/b 192.0.2.3
fails "not without an address" 2 "$VMF" host add bad
cp "$VMF_HOME/etc/vmf.conf" "$scratch/before"
ok "a dry run" "$VMF" --dry-run host add dry 192.0.2.3
ok "changes nothing" cmp "$VMF_HOME/etc/vmf.conf" "$scratch/before"
ok "names" "$VMF" host list --names
says "has it" '^more$'
ok "host rm" "$VMF" host rm more
! grep -q more "$VMF_HOME/etc/vmf.conf"
result $? "removes it"
fails "not twice, either" 3 "$VMF" host rm more

# ---- all alive ---------------------------------------------------------------------------------------

for n in 1 2 3; do
	ok "a VM on n$n" "$VMF" vm$n create --host n$n --memory 64M
done
ok "one here" "$VMF" home create
ok "host list" "$VMF" --json host list --timeout 20s
for n in 1 2 3; do
	is "n$n is alive" n$n .is_alive true
	is "n$n has one VM" n$n .vms 1
	is "n$n has CPUs" n$n '.cpus > 0' true
done
is "so is this host" local .is_alive true
ok "as text" "$VMF" host list --timeout 20s
says "a line each" "^n2	alive	0/[0-9]+	0"
ok "host ping" "$VMF" host ping n1 n3 --timeout 20s
says "says how fast" '^n3: alive, [0-9]+ ms, load [0-9.]+'
fails "of a host that is none" 3 "$VMF" host ping nosuch
fails "not one that a VM lives on is removed" 6 "$VMF" host rm n2

ok "one runs" "$VMF" -o accel=tcg vm1 start
ok "list" "$VMF" --json list --timeout 20s
is "which list shows" vm1 .state running
is "and where" vm1 .host n1
is "the others are off" vm2 .state off
is "and so is the one here" home .state off
ok "those that run" "$VMF" list --running --names --timeout 20s
[ "$(cat "$out")" = vm1 ]
result $? "is that one"
ok "what is used" "$VMF" --json host list n1 --timeout 20s
is "is counted" n1 .cpus_used 1
is "as is its memory" n1 .memory_used_bytes $((64 << 20))

# ---- one dead, one slow, one old ---------------------------------------------------------------------

cat >"$scratch/old" <<'END'
#!/bin/sh
echo '{"hello":{"version":"0.0.1","protocol":0,"abi":[1,0],"host":"old"}}'
cat >/dev/null
END
printf '#!/bin/sh\nsleep 1\nexec "%s" "$@"\n' "$VMF" >"$scratch/slow"
chmod +x "$scratch/old" "$scratch/slow"
cut_off n1
sed -i "/host \"n2\"/,/^}/s|command = .*|command = \"$scratch/slow\"|" "$VMF_HOME/etc/vmf.conf"
sed -i "/host \"n3\"/,/^}/s|command = .*|command = \"$scratch/old\"|" "$VMF_HOME/etc/vmf.conf"
began=$SECONDS
ok "list with all three" "$VMF" --json list --timeout 8s
[ $((SECONDS - began)) -le 20 ]
result $? "is there in time"
grep -q '^vmf: host "n1": .*what is shown of its VMs is old' "$out" && grep -q '^vmf: host "n3": it has vmf "0.0.1"' "$out"
result $? "and says which is which"
sed -i '/^vmf: /d' "$out"
is "the dead one's is unknown" vm1 .state unknown
is "and old" vm1 .is_old true
row vm1 .detail >"$scratch/detail"
grep -q '^it was running at ' "$scratch/detail"
result $? "with what it was"
is "the slow one's is known" vm2 .state off
is "the old one's is not" vm3 .state unknown
is "the one here is" home .state off
run "$VMF" --json host list --timeout 8s
sed -i '/^vmf: /d' "$out"
is "host list: the dead one is not alive" n1 .is_alive false
is "but known" n1 .is_old true
is "from before" n1 .vms 1
is "the slow one is alive" n2 .is_alive true
is "the old one is not" n3 .is_alive false
run "$VMF" host ping n1 --timeout 2s
[ "$("$VMF" host ping n1 --timeout 2s >/dev/null 2>&1; echo $?)" = 10 ]
result $? "host ping tells by its status"
join_again n1

plan_now
