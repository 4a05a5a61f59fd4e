#!/bin/bash
# SPDX-License-Identifier: ISC
# Three owners over a real sshd: each can do what is allowed on her own VMs, and nothing else, whatever she says; what they
# may have together holds in races, and all of it is written down.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
. "$top_srcdir/tests/owners.sh"
need_program jq jq
need_program qemu-system-x86_64 qemu-system-x86
need_program python3 python3
need_hosts 1
trap 'owners_end; hosts_cleanup' EXIT

here()
{
	on n1 "$VMF" "$@"
}

mkdir -p "$scratch/n1/etc/classes"
printf 'accel = "tcg"\nmemory = "64M"\n' >"$scratch/n1/etc/classes/default.conf"
printf 'allow += {"snapshot", "create"}\n' >"$scratch/n1/etc/classes/lab.conf"
printf 'description = "top secret"\n' >"$scratch/n1/etc/classes/secret.conf"

ok "alice" need_owner alice --vms 3 --cpus 2 --memory 1G --disk 100M --allow all --classes lab
ok "bob" need_owner bob --classes lab
ok "carol" need_owner carol
ok "a VM for bob" here bobs create --disk 8M set owner=bob "description=bob's own"
ok "one for carol" here carols create set owner=carol 'allow={"status", "start"}'
ok "and one that is nobody's" here nobodys create

# ---- each what is hers -------------------------------------------------------------------------------

ok "bob sees his VM" as bob list
says "which is there" '^bobs	off	'
[ "$(wc -l <"$out")" = 1 ]
result $? "and no other"
ok "as JSON, too" as bob list --json
[ "$(jq -r '.[] | .name + .owner' "$out")" = bobsbob ]
result $? "with its owner"
fails "its state" 20 as bob bobs
ok "it is started" as bob bobs start -- status
says "and runs" '^bobs: running'
ok "and is paused, and goes on" as bob bobs pause 1 resume status
ok "its screen" as bob bobs screenshot - >"$scratch/bobs.png"
head -c 4 "$out" | grep -q PNG
result $? "is a picture"
ok "it is stopped" as bob bobs stop
for words in "monitor" "qmp quit" "send quit" "edit" "disk mount 0" "disk import 0 /etc/passwd" "disk export 0 /tmp/x" \
	"forward add 1:1" "ifadd 1 br0" "serial relay" "start -nographic" "start -- -C / list" "console --log /tmp/x" \
	"cdrom /etc/passwd" "screenshot /tmp/x.png" "vnc --port 0" "vnc --viewer sh" "vnc" "relay 22 --bind 0.0.0.0" \
	"destroy --yes" "set qemu=/bin/sh" "set owner=alice" "create" "info --command" "log --path" "addresses --dnsmasq" \
	"snapshot" "save" "1000000" "status destroy --yes" "create --disk 1G"; do
	# shellcheck disable=SC2086 # words
	run as bob bobs $words
	[ $? -ge 2 ] && [ "$(grep -c '^vmf: ' "$out")" -ge 1 ]
	result $? "bob may not: $words"
done
fails "what carol's VM does not allow is not allowed" 8 as carol carols stop
says "in a clear line" '^vmf: stop is not allowed to you here'
fails "not in a chain either, of which nothing is done" 8 as carol carols start -- stop
fails "so that it is off" 20 as carol carols
for vm in carols nobodys nothere; do
	fails "bob does not even see $vm" 4 as bob $vm status
	says "nor that it is there" "^vmf: no vm \"$vm\" of yours"
done
fails "bob may not make a VM" 8 as bob web create
ok "but one of a class that says so" as bob web create --class lab --disk 8M
ok "with what the class allows" as bob web snapshot one
fails "but not of another class" 8 as bob web2 create --class secret
fails "nor with a template" 8 as bob web2 create --class lab --template /etc/passwd
ok "whose it is stands in its definition" here web config
says "as it must" '^owner = "bob"'
fails "a name that is taken is not hers" 5 as alice bobs create
fails "alice may do all with her own" 4 as alice bobs destroy --yes
fails "but does not clone bob's" 4 as alice mine clone --from bobs
ok "she makes one, and a clone of it" as alice mine create --disk 16M
ok "under another name" as alice mine2 clone --from mine
ok "renames it" as alice mine2 rename mine3
ok "changes what is harmless" as alice mine3 set memory=80M cpus=2 description=x
fails "and nothing else" 8 as alice mine3 set 'post=/bin/sh'
fails "nor something twice" 8 as alice mine3 set memory=80M kernel=/etc/shadow
ok "and removes both" as alice mine3 destroy --yes
ok "at last" as alice mine destroy --yes
ok "help says what there is" as carol help
says "for her VM" '^carols:$'
grep -q 'stop' "$out"
[ $? = 1 ]
result $? "and nothing that is not"
ok "without a word there is help, too" as carol

# a volume whose name could be taken for one of the VM's
ok "one of the class" as bob x create --class lab
here x disk add 8M >"$out" 2>&1
result $? "has a disk"
ok "alice makes one of a name that it could be called by" as alice lab-x create
ok "and looks at its disks" as alice lab-x drives
grep -q lab-x-0 "$out"
[ $? = 1 ]
result $? "bob's disk is not among them"
ok "it goes, and the disk stays" as alice lab-x destroy --yes
test -s "$scratch/n1/lib/images/lab-x-0.qcow2"
result $? "indeed"
ok "bob's goes" here x destroy --yes

# ---- smuggling ---------------------------------------------------------------------------------------

for words in '-C / list' '--home=/ list' '-o qemu=/bin/sh bobs start' '--dry-run bobs start' '-v list' 'agent --stdio' 'user list' \
	'plugin list' 'host list' 'storage list' 'doctor' 'top' 'gate alice' 'audit' 'completion bash' 'help start' 'list -C /' \
	'../bobs status' '/etc/passwd status' 'bobs;id' '$(id)' '`id`' 'bobs|id' '&& id' 'bobs status > /tmp/vmf-smuggled' \
	"bobs 'status" 'bobs status\' 'bobs status;id' 'scp -t /tmp' 'sftp' '/bin/sh' 'bobs -- start -- -snapshot' \
	'bobs relay 22 --stdio --port 0' 'bobs status carols status' 'bobs console --log=/tmp/vmf-smuggled --timeout 1'; do
	run as bob "$words"
	[ $? != 0 ] && ! grep -q 'uid=' "$out"
	result $? "bob gets nothing by: $words"
done
for words in $'bobs status\nid' $'bobs\tstatus' $'bobs status\rid' $'bobs\e[2J status' "$(printf 'bobs %5000s' x)" $'bobs \xff' \
	"$(printf 'bobs%.0s ' {1..120})"; do
	fails "bob gets nothing by odd bytes" 2 as bob "$words"
	says "and it is said" '^vmf: the command (has|is)'
done
[ ! -e /tmp/vmf-smuggled ]
result $? "no file was made"
for to in 127.0.0.1:22 "$(host_ip n1):22"; do
	run timeout 10 ssh -F "$scratch/ssh-bob" -o ControlPath=none -W "$to" gate
	[ $? != 0 ] && grep -q 'forwarding failed\|prohibited' "$out"
	result $? "sshd itself forwards nothing for her: $to"
done
run timeout 10 ssh -F "$scratch/ssh-bob" -o ControlPath=none -o ExitOnForwardFailure=yes -R 127.0.0.1:0:127.0.0.1:22 gate list
says "nor the other way" 'remote port forwarding failed'
run sftp -F "$scratch/ssh-bob" -o ControlPath=none -b /dev/null gate
[ $? != 0 ]
result $? "nor are there files"
fails "a name in the key's line that is no owner's" 8 env SSH_ORIGINAL_COMMAND=list VMF_HOME="$scratch/h" "$VMF" gate nobody
# what the client may send along leads nowhere: EDITOR, PAGER, DISPLAY, LD_PRELOAD
run env SSH_ORIGINAL_COMMAND='list' DISPLAY=:9 LD_BIND_NOW=1 EDITOR=/bin/false VMF_HOME="$scratch/h" "$VMF" gate 'al ice'
says "a bad name of an owner is said to be so" 'is no name for an owner'

# ---- a fuzzer ----------------------------------------------------------------------------------------

before=$(cat "$scratch"/n1/etc/vms/{bobs,carols,nobodys,web}.conf "$scratch/n1/etc/vmf.conf" | cksum)
cat >"$scratch/fuzz.py" <<'END'
import random, subprocess, sys
seed, count, config = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
r = random.Random(seed)
names = ["bobs", "carols", "nobodys", "web", "mine", "lab-x", "x", "../bobs", "-C", "bobs-0"]
verbs = """status info config log drives snapshots ifstat addresses console vnc relay sendkey type screenshot snapshot rollback
set ram smp newimg lock unlock rename create clone destroy stop kill reset pause resume eject monitor qmp send edit cdrom connect
disconnect ifadd ifdel list user gate audit agent help""".split() + ["disk add", "disk rm", "disk resize", "disk import",
	"disk export", "disk mount", "forward add", "serial relay"]
words = ["--", "-", "--yes", "--stdio", "-C", "/", "-o", "qemu=/bin/sh", "owner=alice", "owner=bob", "--from", "bobs", "bobs@x",
	"--volume", "default:bobs-0", "--template", "/etc/passwd", "--image", "/etc/shadow", "--log", "/tmp/vmf-smuggled", "--port",
	"0", "1", "8M", "memory=64M", "allow=all", "--class", "lab", "secret", "--host", "auto", "--cdrom", "'a b'", "\"$(id)\"",
	"`id`", ";", "|", "&", ">", "/tmp/vmf-smuggled", "\\", "''", "--json", "--dry-run", "--help", "*", "~", "$HOME", "${HOME}",
	"\n", "\t", "%s%n", "x" * 300, "--timeout", "1s", "--until", "--names", "--path", "--command", "hmp", "{}"]
for _ in range(count):
	line = [r.choice(["mine"] * 20 + names + verbs[:3] + words[:9])]
	for _ in range(r.choice([1, 1, 1, 2, 3])):
		line.append(r.choice(verbs))
		line += [r.choice(words + names) for _ in range(r.choice([0, 0, 0, 1, 1, 2]))]
	p = subprocess.run(["timeout", "5", "ssh", "-F", config, "gate", "--", " ".join(line)], stdin=subprocess.DEVNULL,
		stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
	for bad in (b"uid=", b"root:x:", b"bob's own", b"top secret", b"Sanitizer", b"core dumped"):
		if bad in p.stdout:
			print("leaked", bad, "by", repr(line))
	if p.returncode in (134, 135, 136, 139, 255):
		print("crashed by", repr(line), p.returncode, p.stdout[:300])
END
ok "a VM for it" as alice mine create --disk 8M
python3 "$scratch/fuzz.py" "${VMF_SEED:-$RANDOM}" "${VMF_FUZZ:-250}" "$scratch/ssh-alice" >"$out" 2>&1
[ ! -s "$out" ]
result $? "a fuzzer of arguments, as alice who may do all with her own, gets nothing"
jq -s '[.[] | select(.who == "alice" and .event == "end").result] | group_by(.)[] | "\(.[0]) \(length)"' "$scratch/n1/lib/audit.log" >"$out" 2>&1
cat "$out" | sed 's/^/# by then: /'
grep -q '^"ok' "$out" && grep -q '^"denied' "$out"
result $? "which has come through in part, and was refused in part"
[ "$before" = "$(cat "$scratch"/n1/etc/vms/{bobs,carols,nobodys,web}.conf "$scratch/n1/etc/vmf.conf" | cksum)" ]
result $? "nothing of the others was changed"
here list --columns name,owner,state >"$out" 2>&1
awk -F '\t' '$2 != "alice" { print $1 }' "$out" | sort | paste -sd ' ' | grep -qx 'bobs carols nobodys web'
result $? "no VM came or went but hers"
[ ! -e /tmp/vmf-smuggled ]
result $? "no file was made"
[ "$(here list --json | jq '[.[] | select(.owner == "alice")] | length')" -le 3 ]
result $? "and she has no more than she may"
for vm in $(here list --json | jq -r '.[] | select(.owner == "alice").name'); do
	here "$vm" unlock >>"$out" 2>&1
	here "$vm" kill >>"$out" 2>&1
	ok "what it left is removed" here "$vm" destroy --yes
done

# ---- quotas ------------------------------------------------------------------------------------------

# at_once WHAT...: ten of them, N in the words is its number; how many succeeded
at_once()
{
	local n pids= good=0 pid

	for n in 0 1 2 3 4 5 6 7 8 9; do
		as alice "${@//N/$n}" >"$scratch/at-once.$n" 2>&1 </dev/null &
		pids="$pids $!"
	done
	for pid in $pids; do
		wait "$pid" && good=$((good + 1))
	done
	cat "$scratch"/at-once.? >"$out"
	echo "succeeded: $good" >>"$out"
}

at_once vN create
says "of ten VMs made at once there are as many as she may have" '^succeeded: 3$'
says "and the others are told why" 'owner "alice" may have 3 VMs: 3 are taken, and this is 1 more'
[ "$(as alice list | wc -l)" = 3 ]
result $? "three"
names=$(as alice list --names)
first=${names%%$'\n'*}
at_once "$first" disk add 40M
says "of ten disks made at once there are as many as she may have" '^succeeded: 2$'
fails "a larger one is too large" 11 as alice "$first" disk resize 0 70M
says "and it is said" 'may have 100M of disk: 80M are taken, and this is 30M more'
ok "a bit larger is not" as alice "$first" disk resize 0 60M
fails "a clone is counted, too" 11 as alice c clone --from "$first"
i=0
pids=
for vm in $names; do
	as alice "$vm" start >"$scratch/start.$vm" 2>&1 </dev/null &
	pids="$pids $!"
done
for pid in $pids; do
	wait "$pid" && i=$((i + 1))
done
cat "$scratch"/start.* >"$out"
[ $i = 2 ]
result $? "of three started at once two run"
says "as she may have 2 CPUs" 'owner "alice" may have 2 CPUs: 2 are taken, and this is 1 more'
[ "$(as alice list --running | wc -l)" = 2 ]
result $? "two"
running=$(as alice list --running --names | head -n 1)
stopped=$(as alice list --json | jq -r '.[] | select(.state == "off").name')
ok "less memory for one that runs" as alice "$running" set memory=32M
ok "is no gain before it is started anew" as alice quota
says "as what runs counts" '^memory   128M of 1G'
fails "nor are the CPUs of another one" 11 as alice "$stopped" start
ok "one is stopped" as alice "$running" stop
ok "then the third can be started" as alice "$stopped" start
ok "a VM with more than she may have" as alice "$running" set cpus=3
fails "does not start" 11 as alice "$running" start
ok "more for her" here user set alice --cpus 9
ok "and it does" as alice "$running" start
fails "nor is one given to her that is too many" 11 here nobodys set owner=alice
for vm in $names; do
	run as alice "$vm" stop
	ok "$vm goes" as alice "$vm" destroy --yes
done

# ---- who is let in -----------------------------------------------------------------------------------

ok "bob is shut out" here user set bob --disable
run as bob list
[ $? != 0 ]
result $? "and is, at once"
ok "he may come again" here user set bob --enable
ok "and does" as bob list
fails "who has VMs is not removed" 6 here user remove bob
says "and it is said why" 'vm "[a-z]*" is owner "bob"'
ok "carol's VM goes, and she" here carols destroy --yes
ok "with it" here user remove carol
run as carol list
[ $? != 0 ]
result $? "she has no way in any more"

# ---- what is written down ----------------------------------------------------------------------------

ok "the log" here audit --lines 100000
says "has what was done" '^20..-..-..T..:..:..Z	bob	[0-9.]*	ok	bobs start -- status'
says "what was not" '	denied	bobs monitor	.*not for owners'
says "what failed, and why" '	alice	.*	failed	.* create	.*may have 3 VMs'
says "and what was done to owners" '	uid 0	-	ok	user removed carol'
ok "of one owner" here --json audit bob --lines 3
[ "$(jq -r '[.[].who] | unique | join(" ")' "$out")" = bob ] && [ "$(jq length "$out")" = 3 ]
result $? "only hers, the last three"
jq -es 'map(select(.event == "begin") | .id) - map(select(.event == "end") | .id) | length < 30' "$scratch/n1/lib/audit.log" >"$out" 2>&1
result $? "each line is JSON, and what was begun has an end"
[ "$(stat -c %a "$scratch/n1/lib/audit.log")" = 600 ]
result $? "nobody else reads it"
mv "$scratch/n1/lib/audit.log" "$scratch/n1/lib/audit.old" && mkdir "$scratch/n1/lib/audit.log"
fails "what cannot be written down is not done" 1 as bob bobs start
says "and says so" 'cannot write .*audit.log'
fails "it is still off" 20 here bobs status

plan_now
