#!/bin/bash
# SPDX-License-Identifier: ISC
# vmf is killed while it works on volumes of LVM: at each of its own steps, and after each command of LVM's that changes
# something. The next command about the VM finishes or undoes it; a repeat then succeeds; nothing is left half made.
# Runs in the storage guest; tests/system/storage-lvm-kill.sh is what starts it.

. "${0%/*}/lib.sh"

mkdir -p "$VMF_HOME/etc/vms"
cat >"$VMF_HOME/etc/vmf.conf" <<-END
	storage = "thick"
	network = "none"
	accel = "tcg"
	memory = "16M"
	drive_size = "8M"
	storage "thick" { lvm { snapshot_size = "8M" } }
	storage "thin" { lvm { pool = "pool" } }
END
vgcreate -q vg0 /dev/vda /dev/vdb >"$out" 2>&1 && lvcreate -qq -y --type thin-pool -L 200M -n pool vg0 >"$out" 2>&1
result $? "a volume group with a thin pool"

# LVM's programs, of which the one that $KILL names by its number ends vmf when it is done
mkdir "$scratch/bin"
for program in lvchange lvconvert lvcreate lvextend lvremove lvrename; do
	cat >"$scratch/bin/$program" <<-END
		#!/bin/bash
		n=\$((\$(cat $scratch/count) + 1))
		echo \$n >$scratch/count
		/usr/sbin/$program "\$@"
		status=\$?
		[ \$n != "\${KILL-}" ] || kill -9 \$PPID
		exit \$status
	END
	chmod +x "$scratch/bin/$program"
done

# names: what there is in the volume group, on one line
names()
{
	lvs --noheadings -o lv_name vg0 | tr -d ' ' | sort | paste -s -d' '
}

# clean: nothing is there but what belongs there
clean()
{
	for vm in a b new; do
		[ ! -e "$VMF_HOME/etc/vms/$vm.conf" ] || "$VMF" $vm destroy --yes || return
	done
	[ "$(names)" = pool ] || {
		names
		return 1
	}
}

mark()
{
	echo "$2" | dd of="$1" bs=512 seek=64 conv=sync,notrunc,fsync status=none
}

marked()
{
	[ "$(dd if="$1" bs=512 skip=64 count=1 iflag=direct status=none | tr -d '\0')" = "$2" ]
}

# made STORE: a VM with a disk, a snapshot of its first state and a second state
made()
{
	clean && "$VMF" -o storage="$1" a newimg || return
	printf 'storage = "%s"\n' "$1" >>"$VMF_HOME/etc/vms/a.conf"
	mark /dev/vg0/a-0 first && "$VMF" a snapshot one && mark /dev/vg0/a-0 second
}

# each_kill WHAT PREPARE CHECK WORDS...: as its name says
each_kill()
{
	local what=$1 prepare=$2 check=$3 how n status

	shift 3
	for how in step command; do
		for ((n = 1; ; n++)); do
			$prepare >"$out" 2>&1 || {
				result 1 "$what: preparation before $how $n"
				return
			}
			echo 0 >"$scratch/count"
			if [ $how = step ]; then
				{ VMF_FAULT=kill:$n "$VMF" "$@" >"$out" 2>&1 </dev/null; } 2>/dev/null
			else
				{ KILL=$n PATH=$scratch/bin:$PATH "$VMF" "$@" >"$out" 2>&1 </dev/null; } 2>/dev/null
			fi
			status=$?
			[ $status = 137 ] || break
			# what was begun ends by itself
			while fuser "$scratch/bin" >/dev/null 2>&1; do sleep 0.1; done
			"$VMF" "$1" status >>"$out" 2>&1 </dev/null
			$check >>"$out" 2>&1
			status=$?
			names >>"$out"
			result $status "$what killed at $how $n"
		done
		[ $status = 0 ] && [ "$n" -gt 1 ]
		result $? "$what: without a kill it succeeds, after $((n - 1)) ${how}s"
	done
}

# ---- made or not --------------------------------------------------------------------------------------

made_or_not()
{
	if [ -e "$VMF_HOME/etc/vms/a.conf" ]; then
		[ "$(names)" = "a-0 pool" ]
	else
		[ "$(names)" = pool ] && "$VMF" a newimg && [ "$(names)" = "a-0 pool" ]
	fi
}

each_kill newimg clean made_or_not a newimg

# ---- snapshots ----------------------------------------------------------------------------------------

one_more()
{
	made thick && "$VMF" a snapshot --delete one
}

snapshot_or_not()
{
	case $(names) in
	"a-0 a-0.one pool") ;;
	"a-0 pool") "$VMF" a snapshot one ;;
	*) false ;;
	esac && [ "$("$VMF" a snapshots | cut -f1)" = one ] && marked /dev/vg0/a-0 second
}

each_kill snapshot one_more snapshot_or_not a snapshot one

thick()
{
	made thick
}

thin()
{
	made thin
}

# Once begun it is finished; that it never began is only possible at the very first step.
rolled_back()
{
	marked /dev/vg0/a-0 first || { "$VMF" a rollback one && marked /dev/vg0/a-0 first; } || return
	[ "$("$VMF" a snapshots | cut -f1)" = one ] && [ "$(names)" = "a-0 a-0.one pool" ] || return
	! lvs --noheadings -o lv_tags vg0/a-0 | grep rollback || return
	mark /dev/vg0/a-0 third && "$VMF" a rollback one && marked /dev/vg0/a-0 first
}

each_kill "rollback, thick" thick rolled_back a rollback one
each_kill "rollback, thin" thin rolled_back a rollback one

# ---- clones -------------------------------------------------------------------------------------------

cloned_or_not()
{
	[ -e "$VMF_HOME/etc/vms/b.conf" ] || "$VMF" b clone --from a --copy || return
	[ "$(names)" = "a-0 a-0.one b-0 pool" ] && cmp /dev/vg0/a-0 /dev/vg0/b-0
}

each_kill "clone --copy" thick cloned_or_not b clone --from a --copy

# in the middle of it, too
clean >"$out" 2>&1
"$VMF" a newimg 600M >"$out" 2>&1
"$VMF" b clone --from a --copy >"$out" 2>&1 </dev/null &
pid=$!
wait_for 60 lvs vg0/.vmf-b-0
kill -9 $pid
wait $pid 2>/dev/null
run names
says "a copy that is killed in the middle has another name" '^\.vmf-b-0 a-0 pool$'
ok "there is no such VM" "$VMF" list
fails "afterwards" 4 "$VMF" b status
ok "a dry run leaves it alone" "$VMF" a newimg --dry-run
run names
says "it does" '^\.vmf-b-0 a-0 pool$'
ok "the next change removes it" "$VMF" a newimg
run names
says "it does" '^a-0 a-1 pool$'

# another vmf that is at work is not disturbed
"$VMF" b clone --from a --copy >"$scratch/clone" 2>&1 </dev/null &
pid=$!
wait_for 60 lvs vg0/.vmf-b-0
ok "a change while a copy is made" "$VMF" new newimg
wait $pid
result $? "does not harm the copy"
cmp /dev/vg0/a-0 /dev/vg0/b-0 >"$out" 2>&1
result $? "which is whole"

# ---- rename, destroy --------------------------------------------------------------------------------------

one_name()
{
	"$VMF" new status
	if [ -e "$VMF_HOME/etc/vms/a.conf" ]; then
		[ "$(names)" = "a-0 a-0.one pool" ] && [ "$("$VMF" a snapshots | cut -f1)" = one ]
	else
		[ "$(names)" = "new-0 new-0.one pool" ] && [ "$("$VMF" new snapshots | cut -f1)" = one ]
	fi
}

each_kill rename thick one_name a rename new

there_or_gone()
{
	if [ -e "$VMF_HOME/etc/vms/a.conf" ]; then
		"$VMF" a destroy --yes
	fi
	[ "$(names)" = pool ]
}

each_kill destroy thick there_or_gone a destroy --yes
each_kill "destroy, thin" thin there_or_gone a destroy --yes

ok "nothing is left" clean
dmsetup info -c --noheadings -o name,suspended | grep -c ':Suspended' >"$out"
says "no device is left suspended" '^0$'
plan_now
