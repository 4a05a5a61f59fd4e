#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Snapshots, rollback and clones: of VMs that are off and of one whose guest writes all the while, killed at every
# step, refused where they cannot be.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program qemu-io qemu-utils
need_program strace strace
mkdir -p "$VMF_HOME/etc"
images=$VMF_HOME/lib/images

# put VOLUME BYTE: its first MiB becomes that byte; has VOLUME BYTE: it is
put()
{
	qemu-io -f qcow2 -c "write -P $2 0 1M" "$images/$1.qcow2"
}

has()
{
	qemu-io -r -f qcow2 -c "read -P $2 0 1M" "$images/$1.qcow2" | tee "$scratch/has"
	! grep -q 'verification failed' "$scratch/has"
}

# agree BYTE: both disks of web have it
agree()
{
	has web-0 "$1" && has web-1 "$1" && qemu-img check -q "$images/web-0.qcow2" && qemu-img check -q "$images/web-1.qcow2"
}

put_both()
{
	put web-0 "$1" && put web-1 "$1"
}

# names: of web's snapshots, with the disks that have them
names()
{
	"$VMF" web snapshots | cut -f 1,4 | tr '\t\n' ': '
}

# ---- off --------------------------------------------------------------------------------------------

ok "a VM with two disks" "$VMF" web create --disk 16M --disk 16M
run put_both 1
ok "snapshot" "$VMF" web snapshot one
run put_both 2
ok "a second one, its name made from the time" "$VMF" web snapshot
says "it is said" '^web: snapshot 20[0-9]{6}-[0-9]{6}$'
ok "snapshots lists them" "$VMF" web snapshots
says "the oldest first, with its disks" "^one	20[0-9-]* [0-9:]*	-	0,1\$"
ok "as JSON, too" "$VMF" --json web snapshots
says "with times and disks" '\{"name":"one","disks":\["0","1"\],"complete":true,"created":[0-9]+,'
run put_both 3
ok "rollback" "$VMF" web rollback one
ok "both disks are as they were" agree 1
fails "a name that is taken" 5 "$VMF" web snapshot one
fails "a name that is none" 2 "$VMF" web snapshot a/b
fails "rollback to what is not there" 4 "$VMF" web rollback onw
says "the hint names the nearest" 'hint: do you mean one\?'
fails "and so for its removal" 4 "$VMF" web snapshot --delete nine
ok "the second one is removed" "$VMF" web snapshot --delete "$("$VMF" web snapshots | cut -f 1 | tail -n 1)"
ok "one is left" [ "$(names)" = "one:0,1 " ]
ok "a dry run" "$VMF" --dry-run web snapshot two rollback one snapshot --delete one
says "says each step" 'make snapshot two of volume web-1'
says "of all three verbs" 'roll volume web-0 .* back to snapshot one'
ok "and changes nothing" [ "$(names)" = "one:0,1 " ]
ok "locked" "$VMF" web lock
fails "a locked VM has no new snapshots" 8 "$VMF" web snapshot two
fails "and is not rolled back" 8 "$VMF" web rollback one
ok "unlocked" "$VMF" web unlock

# one disk that cannot: nothing is done on the others
run mv "$images/.vmf/web-1.qcow2" "$scratch/mark"
fails "a volume that is not vmf's" 8 "$VMF" web snapshot two
fails "is not rolled back" 8 "$VMF" web rollback one
run mv "$scratch/mark" "$images/.vmf/web-1.qcow2"
ok "the other disk has no snapshot of that" [ "$(names)" = "one:0,1 " ]

# ---- raw ----------------------------------------------------------------------------------------------

cat >"$VMF_HOME/etc/vmf.conf" <<END
storage "flat" { file-qcow2 { dir = "$scratch/flat" format = "raw" } }
END
mkdir "$scratch/flat"
ok "a VM with a raw disk" "$VMF" -o storage=flat raw create --disk 4M
run "$VMF" raw set storage=flat
fails "raw volumes have no snapshots" 12 "$VMF" raw snapshot
says "the hint names another way" 'hint: make a full copy: `vmf NEW clone'
fails "nor copy-on-write clones" 12 "$VMF" raw2 clone --from raw --cow
says "the hint names another way here, too" 'hint: leave out --cow'
ok "a clone is a full copy then" "$VMF" raw2 clone --from raw
ok "it is there" test -f "$scratch/flat/raw2-0.raw"

# ---- clones -------------------------------------------------------------------------------------------

cat >>"$VMF_HOME/etc/vms/web.conf" <<END
# a comment that stays
locked = yes
nic "lan" { network = "default" mac = "02:00:00:00:00:01" }
END
ok "a dry run of a clone" "$VMF" --dry-run cow clone --from web
says "says each step" 'clone \(copy-on-write\) volume web-1 to cow-1 in storage "default" \(file-qcow2\)'
ok "and makes nothing" [ -z "$(find "$VMF_HOME" -name 'cow*')" ]
ok "a clone" "$VMF" cow clone --from web
says "the person is told what it means" 'cow-0 stands on web-0, which nothing can write to'
ok "it stands on the other's disks" grep -q "web-0.qcow2" "$images/cow-0.qcow2"
ok "and reads the same" has cow-1 1
ok "comments stay" grep -qx '# a comment that stays' "$VMF_HOME/etc/vms/cow.conf"
ok "what is its own does not" bash -c "! grep -E 'locked|02:00' '$VMF_HOME/etc/vms/cow.conf'"
ok "its identity is its own" [ "$("$VMF" --json web info | grep -o '"uuid":"[^"]*"')" != \
	"$("$VMF" --json cow info | grep -o '"uuid":"[^"]*"')" ]
run "$VMF" web unlock
fails "what others stand on is not started" 6 "$VMF" web start
fails "nor rolled back" 6 "$VMF" web rollback one
fails "nor destroyed" 6 "$VMF" web destroy --yes
ok "and is all there" agree 1
fails "the name of a VM that is there" 5 "$VMF" cow clone --from web
fails "a clone of itself" 2 "$VMF" new clone --from new
fails "of nobody" 4 "$VMF" new clone --from wbe
fails "of no snapshot of it" 4 "$VMF" new clone --from web@two
fails "copy-on-write of a snapshot inside an image" 12 "$VMF" new clone --from web@one --cow
ok "nothing of that is left" [ -z "$(find "$VMF_HOME" -name 'new*')" ]
run put cow-0 7
ok "a full copy" "$VMF" copy clone --from cow --copy
ok "a clone of a snapshot" "$VMF" old clone --from web@one
ok "the clone goes" "$VMF" cow destroy --yes
run put_both 4
ok "the copy has what the clone had" has copy-0 7
ok "and so on every disk" has copy-1 1
ok "the clone of the snapshot has that" has old-0 1
ok "without snapshots of its own" [ -z "$("$VMF" old snapshots)" ]
ok "what nobody stands on can be rolled back" "$VMF" web rollback one
ok "to what it was" agree 1

# ---- while the guest runs -------------------------------------------------------------------------------

# The guest numbers blocks: the first of each disk gets 1, 2, 3, ... in turn, each on the disk before the next.
# So in any one moment no disk is ahead of one before it, nor behind it by more than one.
# shellcheck disable=SC2016 # the guest's shell expands it
writer='i=0; while :; do i=$((i+1)); for d in vda vdb; do printf "%-512s" $i | dd of=/dev/$d bs=512 count=1 oflag=direct seek=8000 2>/dev/null; done; done'

number() # VOLUME: what the guest has written there
{
	qemu-img dd -f qcow2 -O raw bs=512 skip=8000 count=8001 if="$images/$1.qcow2" of="$scratch/block" &&
		head -c 512 "$scratch/block" | tr -d ' \0'
}

numbers_agree()
{
	local a b

	a=$(number web-0)
	b=$(number web-1)
	echo "disk 0 has $a, disk 1 has $b"
	[ -n "$b" ] && [ $((a - b)) -ge 0 ] && [ $((a - b)) -le 1 ]
}

guest_goes_on()
{
	"$VMF" web status | grep -q '^web: running' && guest web 'echo alive' 60 | grep -q alive
}

ok "the VM starts" "$VMF" web start
ok "its guest is up" guest_ready web
ok "its guest fills both disks" guest web 'disk-write vda 2 1 && disk-write vdb 2 1' 60
ok "a dry run of a snapshot of the running VM" "$VMF" --dry-run web snapshot live
says "has all disks in one step" 'make snapshot live of volume web-0 .*, of volume web-1 '
ok "snapshot of the running VM" "$VMF" web snapshot live
ok "its guest goes on" guest_goes_on
ok "and fills them anew" guest web 'disk-write vda 2 2 && disk-write vdb 2 2' 60
fails "a running VM is not rolled back" 6 "$VMF" web rollback live
fails "and not cloned as it is" 7 "$VMF" new clone --from web
says "the hint names another way" 'hint: stop the VM that uses it, or clone a snapshot of it'
ok "but from its snapshot, while it writes" "$VMF" live clone --from web@live
ok "a snapshot is removed while it runs" "$VMF" web snapshot --delete one
run guest web "($writer) & sleep 1" 60
stops=$(grep -c '"STOP"' "$VMF_HOME/run/web/events")
for i in 1 2 3 4 5 6; do
	ok "snapshot $i in the midst of writes" "$VMF" web snapshot "busy$i"
	sleep 0.$i
done
ok "the guest goes on" guest_goes_on
ok "it stood still meanwhile" [ "$(grep -c '"STOP"' "$VMF_HOME/run/web/events")" = $((stops + 6)) ]
run "$VMF" web pause
ok "snapshot of a paused VM" "$VMF" web snapshot paused
ok "it stays paused" bash -c "'$VMF' web status | grep -q paused"
ok "the VM stops" "$VMF" web stop
for i in 1 2 3 4 5 6; do
	ok "back to snapshot $i" "$VMF" web rollback "busy$i"
	ok "its disks agree" numbers_agree
done
ok "back to the first" "$VMF" web rollback live
ok "the VM starts from there" "$VMF" web start
run guest_ready web
ok "both disks have what was written before" guest web 'disk-check vda && disk-check vdb' 60
says "on the second, too" 'ok, 2 MB, seed 1, on /dev/vdb'
ok "the VM is saved" "$VMF" web save
fails "its disks are not rolled back under its memory" 6 "$VMF" web rollback live
ok "it goes on" "$VMF" web start -- stop
ok "the clone of the running VM's snapshot starts" "$VMF" live start
run guest_ready live
ok "and has the same" guest live 'disk-check vda && disk-check vdb' 60
ok "it stops" "$VMF" live stop

# ---- killed --------------------------------------------------------------------------------------------

# each_point WHAT PREPARE CHECK WORDS...: a kill at each point that the words pass; CHECK after the next command
each_point()
{
	local what=$1 prepare=$2 check=$3 n=0 status

	shift 3
	while :; do
		n=$((n + 1))
		$prepare >"$out" 2>&1 || {
			result 1 "$what: preparation before point $n"
			return
		}
		{ VMF_FAULT=kill:$n "$VMF" "$@"; } >"$out" 2>&1 </dev/null
		status=$?
		[ $status = 137 ] || break
		"$VMF" "$1" status >>"$out" 2>&1 </dev/null
		$check >>"$out" 2>&1
		result $? "$what killed at point $n"
	done
	[ $status = 0 ] && [ $n -gt 3 ]
	result $? "$what: without a kill it succeeds, after $((n - 1)) points"
}

no_snapshot()
{
	local name

	for name in $("$VMF" web snapshots | cut -f 1); do
		"$VMF" web snapshot --delete "$name" || return
	done
}

all_or_none()
{
	case $(names) in
	"" | "x:0,1 ") ;;
	*) names && return 1 ;;
	esac
	qemu-img check -q "$images/web-0.qcow2" && qemu-img check -q "$images/web-1.qcow2"
}

each_point "snapshot" no_snapshot all_or_none web snapshot x

with_snapshot()
{
	no_snapshot && put_both 1 && "$VMF" web snapshot x && put_both 2
}

one_or_other()
{
	agree 1 || agree 2
}

each_point "rollback" with_snapshot one_or_other web rollback x
each_point "removal" with_snapshot all_or_none web snapshot --delete x

no_clone()
{
	[ ! -e "$VMF_HOME/etc/vms/clone.conf" ] || "$VMF" clone destroy --yes
}

clone_or_nothing()
{
	local left

	left=$(find "$VMF_HOME/etc" "$VMF_HOME/lib" -name 'clone*'; find "$images" -name '.vmf-*')
	if [ -e "$VMF_HOME/etc/vms/clone.conf" ]; then
		has clone-0 2 && has clone-1 2
	else
		[ -z "$left" ] || { echo "$left" && return 1; }
	fi
}

each_point "clone" no_clone clone_or_nothing clone clone --from web
each_point "full copy" no_clone clone_or_nothing clone clone --from web --copy
run "$VMF" clone destroy --yes

# ended by a signal in the midst of a copy
run "$VMF" big create --disk 1G
run qemu-io -f qcow2 -c 'write -P 1 0 600M' "$images/big-0.qcow2"
background "$VMF" clone clone --from big --copy
clone_pid=${background_pids##* }
wait_for 20 test -e "$VMF_HOME/etc/vms/clone.conf"
kill -TERM "$clone_pid"
wait "$clone_pid"
fails "a full copy that is stopped fails" 1 sh -c "exit $?"
ok "and has left nothing" clone_or_nothing
ok "nor has the VM" test ! -e "$VMF_HOME/etc/vms/clone.conf"
run "$VMF" big destroy --yes

running_or_all()
{
	local said

	said=$("$VMF" web status)
	case $said in
	"web: running"*) ;;
	*) echo "$said" && return 1 ;;
	esac
	case $(names) in
	"" | "x:0,1 ") ;;
	*) names && return 1 ;;
	esac
}

with_live()
{
	"$VMF" web snapshots | grep -q '^x' || "$VMF" web snapshot x
}

ok "the VM starts once more" "$VMF" web start
each_point "live snapshot" no_snapshot running_or_all web snapshot x
each_fault "live snapshot" no_snapshot running_or_all web snapshot x
if strace -qq -o /dev/null true 2>"$out"; then
	each_message "live snapshot" no_snapshot running_or_all web snapshot x
	each_message "live removal" with_live running_or_all web snapshot --delete x
else
	skip "killed before each message to QEMU" "not possible here: $(head -n 1 "$out")"
fi
ok "and stops" "$VMF" web stop

# ---- reflinks --------------------------------------------------------------------------------------------

if command -v mkfs.xfs >/dev/null && [ "$(id -u)" = 0 ] && mkdir "$scratch/xfs" && truncate -s 512M "$scratch/disk" &&
	mkfs.xfs -q "$scratch/disk" 2>"$out" && mount -o loop "$scratch/disk" "$scratch/xfs" 2>>"$out"; then
	cat >>"$VMF_HOME/etc/vmf.conf" <<-END
		storage "xfs" { file-qcow2 { dir = "$scratch/xfs" } }
	END
	run "$VMF" -o storage=xfs ref create --disk 200M
	run "$VMF" ref set storage=xfs
	run qemu-io -c 'write -P 5 0 150M' "$scratch/xfs/ref-0.qcow2"
	sync -f "$scratch/xfs"
	before=$(df --output=used -k "$scratch/xfs" | tail -n 1)
	ok "full copies where blocks can be shared" "$VMF" ref2 clone --from ref --copy
	run "$VMF" ref snapshot s
	ok "of a snapshot, too" "$VMF" ref3 clone --from ref@s --copy
	ok "the copies have it all" qemu-img compare "$scratch/xfs/ref-0.qcow2" "$scratch/xfs/ref3-0.qcow2"
	after=$(df --output=used -k "$scratch/xfs" | tail -n 1)
	ok "and take no room" [ $((after - before)) -lt 20000 ]
	umount "$scratch/xfs"
else
	reason="not possible here: it takes root and loop devices"
	command -v mkfs.xfs >/dev/null || reason="mkfs.xfs is missing (Debian: xfsprogs)"
	skip "full copies where blocks can be shared" "$reason"
fi

plan_now
