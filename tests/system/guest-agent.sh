#!/bin/bash
# SPDX-License-Identifier: ISC
# QEMU's guest agent, the real one, in a guest: addresses, the size of the console's terminal, and an agent that is silent
# or talks nonsense.

. "${top_srcdir:-.}/tests/lib.sh"
need_program qemu-ga qemu-guest-agent
need_program mke2fs e2fsprogs
need_program script bsdutils
need_program jq jq
need_guest

# a disk with the agent and its libraries, to run it from
mkdir -p "$scratch/root/usr/sbin" "$scratch/root/dev" "$scratch/root/bin" "$scratch/root/tmp" "$scratch/root/var/run" "$scratch/root/proc"
cp "$(command -v qemu-ga)" "$scratch/root/usr/sbin/"
ldd "$(command -v qemu-ga)" | grep -o '/[^ ]*' | while read -r library; do
	mkdir -p "$scratch/root${library%/*}"
	cp -L "$library" "$scratch/root$library"
done
ok "a disk with the agent" mke2fs -q -t ext4 -d "$scratch/root" "$scratch/agent.raw" 32M

ok "a VM" "$VMF" web create --image "$scratch/agent.raw"
ok "runs" "$VMF" web start
fails "it has no channel" 12 "$VMF" web guest-agent guest-ping
says "and it is said what gives it one" 'set guest_agent=yes'
ok "it gets one" "$VMF" web stop set guest_agent=yes start
ok "its shell is there" guest_ready web
fails "no agent runs yet" 10 "$VMF" web guest-agent guest-ping
says "which is said" 'does not answer'
says "with what to install" 'qemu-guest-agent'
ok "the plugin knows an address" "$VMF" web wait ip --timeout 10s

agent='port=$(grep -l org.qemu.guest_agent.0 /sys/class/virtio-ports/*/name); port=/dev/$(basename $(dirname $port))'
ok "the agent runs" guest web "mkdir -p /mnt/agent && mount -t ext4 /dev/vda /mnt/agent && cp /bin/busybox /mnt/agent/bin/stty &&
	mount -t devtmpfs none /mnt/agent/dev && mount -t proc none /mnt/agent/proc && $agent &&
	(chroot /mnt/agent /usr/sbin/qemu-ga -p \$port </dev/null >/tmp/agent.log 2>&1 & echo \$! >/run/agent) && sleep 1"
ok "it answers" "$VMF" web guest-agent guest-ping
ok "with arguments, too" "$VMF" web guest-agent '{"execute": "guest-sync", "arguments": {"id": 4711}}'
says "as it should" 4711
fails "what it does not know" 1 "$VMF" web guest-agent guest-dance
says "is refused in its words" 'guest agent says: .*guest-dance'
fails "what is no command" 2 "$VMF" web guest-agent '{"a": 1}'
fails "nor JSON" 2 "$VMF" web guest-agent '{"execute'
ok "a dry run says nothing to it" "$VMF" --dry-run web guest-agent guest-shutdown
says "but what it would" 'guest-shutdown'

# ---- addresses ---------------------------------------------------------------------------------------

ok "the guest gives itself an address" guest web 'ip addr add 192.0.2.77/24 dev eth0; ip addr add 2001:db8::77/64 dev eth0'
ok "addresses" "$VMF" --json web addresses
jq -e '.[0].addresses | index("192.0.2.77") and index("2001:db8::77")' "$out" >/dev/null
result $? "tells them"
jq -e '.[0].addresses | map(startswith("fe80")) | any | not' "$out" >/dev/null
result $? "but for those of the link"
ok "the list" "$VMF" list --columns name,addresses
says "tells them, too" '192\.0\.2\.77'

# ---- the console's size --------------------------------------------------------------------------------

cat >"$scratch/session" <<END
stty rows 31 cols 97
tty >"$scratch/tty"
"$VMF" web console
END
mkfifo "$scratch/keys"
script -qefc "bash $scratch/session" "$scratch/screen" <"$scratch/keys" >/dev/null 2>&1 &
background_pids="$background_pids $!"
exec 7>"$scratch/keys"
has_size()
{
	printf 'stty size\r' >&7
	sleep 0.3
	grep -q "^$1" "$scratch/screen"
}
ok "the guest knows how large the terminal is" wait_for 20 has_size '31 97'
stty -F "$(cat "$scratch/tty")" rows 40 cols 123
ok "and when it becomes another" wait_for 20 has_size '40 123'
printf '\035' >&7
exec 7>&-

# ---- save, silence, nonsense ---------------------------------------------------------------------------

ok "saved and started again" "$VMF" web save start
ok "it answers as before" "$VMF" web guest-agent guest-ping
ok "it falls silent" guest web 'kill -STOP $(cat /run/agent)'
begin=$(date +%s%N)
ok "the list is there all the same" "$VMF" list --columns name,addresses
says "with what else is known" '10\.0\.2\.15'
[ $((($(date +%s%N) - begin) / 1000000)) -lt 2000 ]
result $? "without a long wait"
ok "it is ended" guest web "kill -9 \$(cat /run/agent); sleep 0.3; $agent; (exec cat /dev/zero >\$port 2>/dev/null </dev/null) & echo \$! >/run/agent"
fails "one that talks nonsense" 10 "$VMF" web guest-agent guest-ping
says "is heard for so long, and no longer" 'does not answer|says too much'
ok "and hides no address" "$VMF" list --columns name,addresses
says "that is known otherwise" '10\.0\.2\.15'
ok "the VM stops" "$VMF" web stop
ok "nothing is left of it" "$VMF" web destroy --yes
plan_now
