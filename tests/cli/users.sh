#!/bin/bash
# SPDX-License-Identifier: ISC
# Owners as a person makes, changes and removes them, and what is wrong said in a line.

. "${0%/*}/../lib.sh"
need_program ssh-keygen openssh-client
need_program jq jq

for name in a b c; do
	ssh-keygen -q -t ed25519 -N '' -C "$name@x" -f "$scratch/$name"
done
ssh-keygen -q -t rsa -b 2048 -N '' -C 'odd "quotes" $and \back' -f "$scratch/rsa"
keys=$VMF_HOME/etc/authorized_keys
conf=$VMF_HOME/etc/vmf.conf

ok "nobody is there" "$VMF" user list
mkdir -p "$VMF_HOME/etc"
echo '# a comment that stays' >"$conf"
ok "an owner" "$VMF" user add alice --key "$scratch/a.pub" --vms 2 --memory 4G --allow create,destroy --classes lab
ok "her line for sshd" "$VMF" user keys alice
says "lets her through the gate only" "^command=\"[^\"]* -C $VMF_HOME gate alice\",restrict,pty ssh-ed25519 [A-Za-z0-9+/=]* a@x\$"
diff <(sed 1d "$keys") "$out" >"$scratch/diff"
result $? "stands in the file"
says "the comment stays" . && grep -q '^# a comment that stays' "$conf"
result $? "indeed"
fails "a second one of that name" 5 "$VMF" user add alice
fails "another one with her key" 5 "$VMF" user add bob --key "$scratch/a.pub"
says "is told whose it is" 'that key is owner "alice"'
fails "and is not there" 4 "$VMF" user set bob --vms 1
ok "with a key of his own" "$VMF" user add bob --key "$(cat "$scratch/b.pub")"
ok "a key with an odd comment" "$VMF" user set bob --key "$scratch/rsa.pub"
ok "is cut down" "$VMF" user keys bob
says "to what is plain" 'odd _quotes_ _and _back$'
ok "one goes" "$VMF" user set bob --no-key b@x
[ "$("$VMF" user keys bob | wc -l)" = 1 ]
result $? "the other stays"
fails "one that is not there" 4 "$VMF" user set bob --no-key zzz
ok "who is shut out" "$VMF" user set bob --disable
grep -q 'gate bob' "$keys"
[ $? = 1 ]
result $? "is not in the file"
ok "and is again" "$VMF" user set bob --enable
grep -q 'gate bob' "$keys"
result $? "there"
ok "no limit any more" "$VMF" user set alice --vms ''
ok "as JSON" "$VMF" --json user list
[ "$(jq -r '.[0] | "\(.name) \(.vms) \(.memory_bytes) \(.keys) \(.enabled)"' "$out")" = "alice null 4294967296 1 true" ]
result $? "all is there"
ok "names only" "$VMF" user list --names
[ "$(paste -sd ' ' "$out")" = "alice bob" ]
result $? "both"
ok "a dry run" "$VMF" --dry-run user add carl
says "tells what would be written" 'write .*/vmf.conf'
fails "and does nothing" 4 "$VMF" user keys carl

sum=$(cksum "$conf" "$keys")
for bad in '--memory 1X' '--vms many' '--cpus -1' '--vms 1.5' '--disk 12Q' '--memory -5G' '--allow monitor' '--allow strat' '--classes ../x' \
	'--enable --disable' "--key $scratch/a" '--key /nonexistent' '--key /etc/passwd' '--key /dev/null'; do
	# shellcheck disable=SC2086 # words
	run "$VMF" user set alice $bad
	[ $? != 0 ] && grep -Eq '^vmf: (--|[a-z]+: )?' "$out" && grep -q '^vmf: ' "$out"
	result $? "is refused: $bad"
done
for key in 'ssh-ed25519 AAAA' 'ssh-ed25519 !!!!' 'ssh-foo AAAAB3NzaC1yc2E=' 'command="x" ssh-ed25519 AAAA' \
	"ssh-rsa $(cut -d ' ' -f 2 "$scratch/c.pub")" "$(head -c 60 "$scratch/c.pub") x" 'a b'; do
	fails "no key: ${key:0:30}" 2 "$VMF" user set alice --key "$key"
	says "in a clear line" 'no public key'
done
for name in 'a b' '../x' '' 'x"y' "$(printf 'x%.0s' {1..40})" '-x' '$(id)'; do
	run "$VMF" user add "$name"
	[ $? = 2 ]
	result $? "no name: ${name:0:20}"
done
fails "unknown owner" 4 "$VMF" user remove carl
fails "the gate for an unknown owner" 8 "$VMF" gate carl
says "says so" 'there is no owner "carl"'
fails "the gate wants a name" 2 "$VMF" gate
[ "$sum" = "$(cksum "$conf" "$keys")" ]
result $? "of all that nothing was changed"

ok "a VM of hers" "$VMF" web create set owner=alice
ok "is shown as hers" "$VMF" web info
says "by info" '^owner +alice'
ok "and by list" "$VMF" list --columns name,owner
says "there" '^web	alice'
fails "she cannot go" 6 "$VMF" user remove alice
ok "without it" "$VMF" web destroy --yes
ok "she can" "$VMF" user remove alice
grep -q alice "$conf" "$keys"
[ $? = 1 ]
result $? "and nothing is left of her"

# twenty at once: none is lost
pids=
for n in $(seq 20); do
	"$VMF" user add "u$n" >"$scratch/u$n" 2>&1 &
	pids="$pids $!"
done
good=0
for pid in $pids; do
	wait "$pid" && good=$((good + 1))
done
[ $good = 20 ] && [ "$("$VMF" user list --names | grep -c '^u')" = 20 ]
result $? "twenty made at once are all there"

echo 'owner "hand" { vms = "many" }' >>"$conf"
fails "a quota that is none is told with its place" 3 "$VMF" user list
says "file and line" 'vmf.conf:[0-9]*: vms:'

plan_now
