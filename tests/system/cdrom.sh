#!/bin/bash
# SPDX-License-Identifier: ISC
# The CD drive of a running guest: images are put in, changed, refused and taken out; the definition follows or stays.

. "${top_srcdir:-.}/tests/lib.sh"
need_guest

# images that only we may read: QEMU, perhaps another user, gets them open
for i in a b; do
	echo "this is $i" >"$scratch/$i.iso"
	truncate -s 1M "$scratch/$i.iso"
	chmod 600 "$scratch/$i.iso"
done

# reads NAME TEXT: what the guest finds in the drive; its first look at a new medium may say that it is new
reads()
{
	# shellcheck disable=SC2016 # not this shell's
	guest web 'for i in 1 2 3; do t=$(head -c 9 /dev/sr0 2>/dev/null) && break; sleep 1; done; echo "[$t]"' >"$out" 2>&1
	says "$1" "^\\[$2\\]"
}

in_file()
{
	sed -n 's/^cdrom = "\(.*\)"$/\1/p' "$VMF_HOME/etc/vms/web.conf"
}

world_save
ok "a VM with an image starts" "$VMF" web create --cdrom "$scratch/a.iso" start
ok "and boots" guest_ready web
reads "the guest reads it" "this is a"
ok "another image" "$VMF" web cdrom "$scratch/b.iso"
says "is in the drive" '^web: .*b\.iso is in its CD drive$'
reads "at once" "this is b"
[ "$(in_file)" = "$scratch/b.iso" ]
result $? "and in the definition"
fails "a folder is refused" 3 "$VMF" web cdrom "$scratch"
fails "so is what is not there" 4 "$VMF" web cdrom "$scratch/none.iso"
reads "the guest still has the one from before" "this is b"
[ "$(in_file)" = "$scratch/b.iso" ]
result $? "so has the definition"
ok "eject" "$VMF" web eject
reads "empties the drive" ""
[ "$(in_file)" = "" ]
result $? "and the definition"
ok "eject of nothing" "$VMF" web eject
ok "set cdrom=, too" "$VMF" web set cdrom="$scratch/a.iso"
reads "is followed" "this is a"
guest web 'echo 1 >/proc/sys/dev/cdrom/lock; exec 9</dev/sr0; sleep 1' >"$out" 2>&1
ok "a guest that holds the medium" "$VMF" web cdrom "$scratch/b.iso"
reads "loses it" "this is b"
"$VMF" web qmp query-fdsets >"$out" 2>&1
[ "$(grep -o fdset-id "$out" | wc -l)" -le 3 ]
result $? "QEMU keeps no file of the images that were"
ok "memory takes effect at the next start" "$VMF" web ram 200M
says "and set says so" '^web: memory=200M \(at its next start: memory\)$'

# QEMU refuses: its QMP is deaf
kill -STOP "$(cat "$VMF_HOME/run/web/pid")"
fails "a QEMU that hangs: no change" 10 timeout 30 "$VMF" web cdrom "$scratch/a.iso"
kill -CONT "$(cat "$VMF_HOME/run/web/pid")"
[ "$(in_file)" = "$scratch/b.iso" ]
result $? "the definition stays as it was"
ok "stop and start" "$VMF" web stop start
ok "and boot" guest_ready web
reads "the image is the definition's" "this is b"
ok "stop and destroy" "$VMF" web stop destroy --yes
ok "nothing is left" world_same
plan_now
