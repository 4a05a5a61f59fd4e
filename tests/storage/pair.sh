# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Snapshots of a running VM with two disks, whose guest (writer.s, /vmf/writer.img) numbers both by turns: in each snapshot the
# disks agree, though the store ($store, see stores.sh) makes one after the other.

. "${BASH_SOURCE[0]%/*}/stores.sh"

mkdir -p "$VMF_HOME/etc"
cat >"$VMF_HOME/etc/vmf.conf" <<END
storage = "s"
network = "none"
accel = "tcg"
memory = "16M"
$(store_settings)
END

# number VOLUME: what the guest has written there
number()
{
	dd if="$(device "$1")" bs=512 skip=8 count=1 iflag=direct status=none | od -An -tu4 -N4 | tr -d ' '
}

# agree: both disks have the same number, or the second is one behind; and it is not the one of the last look
agree()
{
	local a b

	a=$(number w-0) b=$(number w-1)
	echo "disk 0 has $a, disk 1 has $b, the last snapshot had $last"
	[ "$a" -gt 0 ] && [ $((a - b)) -ge 0 ] && [ $((a - b)) -le 1 ] && [ "$a" -lt "$last" ]
}

# events WORD: how often QEMU has said so
events()
{
	grep -c "\"$1\"" "$VMF_HOME/run/w/events"
}

ok "$store: the store is made" store_make
ok "a VM with two disks" "$VMF" w create --disk 4M --disk 4M
ok "its guest" dd if=/vmf/writer.img of="$(device w-0)" bs=1M conv=notrunc,fsync status=none
ok "starts" "$VMF" w start
ok "and writes to both" "$VMF" w console --until 'writer: ready' --timeout 100s
stops=$(events STOP) resumes=$(events RESUME)
for i in 1 2 3; do
	ok "snapshot $i" "$VMF" w snapshot s$i
done
ok "the guest stood still for each" [ "$(events STOP)" = $((stops + 3)) ]
ok "and went on" [ "$(events RESUME)" = $((resumes + 3)) ]
run "$VMF" w status
says "it runs" '^w: running'
fails "it is not rolled back meanwhile" 6 "$VMF" w rollback s1
ok "paused by the person" "$VMF" w pause
ok "a snapshot of that" "$VMF" w snapshot s4
run "$VMF" w status
says "leaves it paused" '^w: paused'
ok "it goes on and is killed" "$VMF" w resume 1 kill
# what a crashed VM leaves is removed by stop
ok "stop" "$VMF" w stop
last=$(($(number w-0) + 1))
ok "what it leaves agrees" agree
last=$(number w-0)
for i in 4 3 2 1; do
	ok "back to snapshot $i" "$VMF" w rollback s$i --later-too
	ok "its disks agree" agree
	last=$(number w-0)
done
ok "the guest starts from there" "$VMF" w start
ok "and writes" "$VMF" w console --until 'writer: ready' --timeout 100s
ok "stop" "$VMF" w stop
ok "destroy" "$VMF" w destroy --yes
[ "$(volumes)" = none ]
result $? "nothing is left"
plan_now
