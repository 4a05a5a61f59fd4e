# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What goes wrong with storage-lvm, one thing at a time: in place of lvm-lib.sh at a test's top.

. "${BASH_SOURCE[0]%/*}/lvm-lib.sh"

ok "a volume group" group

# ---- the world before ---------------------------------------------------------------------------------

# reset: nothing is there but what belongs there. What was left has been looked at by then; this is quicker than vmf.
reset()
{
	local left

	left=$(names | tr ' ' '\n' | grep -vx -e foreign -e pool | sed 's,^,vg0/,')
	# shellcheck disable=SC2086 # names
	[ -z "$left" ] || lvremove -qq -y $left || return
	rm -rf "${VMF_HOME:?}"/run/* "${VMF_HOME:?}/lib" "${VMF_HOME:?}"/etc/vms/*
}

# bare STORE: a VM with a disk
bare()
{
	reset && "$VMF" -o storage="$1" a newimg 8M || return
	store a "$1"
	mark /dev/vg0/a-0 second
}

# made STORE: a VM with a disk, a snapshot of its first state and a second state
made()
{
	reset && "$VMF" -o storage="$1" a newimg 8M || return
	store a "$1"
	mark /dev/vg0/a-0 first && "$VMF" a snapshot one && mark /dev/vg0/a-0 second
}

bare_thick() { bare thick; }
bare_thin() { bare thin; }
thick() { made thick; }
thin() { made thin; }

# there NAME...: all that there is in the volume group, besides what was there before
there()
{
	local expected

	expected=$(printf '%s\n' "$@" foreign pool | sed '/^$/d' | sort | paste -s -d' ')
	[ "$(names)" = "$expected" ] || {
		echo "there is: $(names)"
		return 1
	}
}

# snapshots_are VM NAME...
snapshots_are()
{
	[ "$("$VMF" "$1" snapshots | cut -f1 | paste -s -d' ')" = "${*:2}" ] || {
		echo "the snapshots of $1 are: $("$VMF" "$1" snapshots)"
		return 1
	}
}

# ---- the world after ----------------------------------------------------------------------------------

made_or_not()
{
	if [ -e "$VMF_HOME/etc/vms/a.conf" ]; then
		there a-0
	else
		there && "$VMF" a newimg 8M && there a-0
	fi
}

snapshot_or_not()
{
	lvs vg0/a-0.one || "$VMF" a snapshot one || return
	there a-0 a-0.one && snapshots_are a one && marked /dev/vg0/a-0 second && "$VMF" a rollback one &&
		marked /dev/vg0/a-0 second
}

# Once begun it is finished; that it never began is possible, too.
rolled_back()
{
	marked /dev/vg0/a-0 first || { marked /dev/vg0/a-0 second && "$VMF" a rollback one && marked /dev/vg0/a-0 first; } || return
	snapshots_are a one && there a-0 a-0.one || return
	! lvs --noheadings -o lv_tags vg0/a-0 | grep rollback || return
	mark /dev/vg0/a-0 third && "$VMF" a rollback one && marked /dev/vg0/a-0 first
}

# cloned HOW...: the clone is there, whole, or the command makes it
cloned()
{
	[ -e "$VMF_HOME/etc/vms/b.conf" ] || "$VMF" b clone "$@" || return
	there a-0 a-0.one b-0 && cmp "/dev/vg0/$of" /dev/vg0/b-0 && "$VMF" b destroy --yes && there a-0 a-0.one
}

copied()
{
	of=a-0 cloned --from a --copy
}

cloned_thick()
{
	of=a-0 cloned --from a --cow
}

cloned_thin()
{
	"$VMF" b clone --from a@one
	marked /dev/vg0/b-0 first && there a-0 a-0.one b-0 && "$VMF" b destroy --yes && there a-0 a-0.one
}

one_name()
{
	"$VMF" new status
	if [ -e "$VMF_HOME/etc/vms/a.conf" ]; then
		there a-0 a-0.one && snapshots_are a one && "$VMF" a rename new || return
	fi
	there new-0 new-0.one && snapshots_are new one && marked /dev/vg0/new-0 second
}

there_or_gone()
{
	[ ! -e "$VMF_HOME/etc/vms/a.conf" ] || "$VMF" a destroy --yes || return
	there
}

# ---- one thing at a time ----------------------------------------------------------------------------

# try HOW N WHAT PREPARE CHECK WORDS...: as $watched names them in lvm-lib.sh, or "step": vmf is killed at its Nth step. Fails
# if there is no such thing.
try()
{
	local how=$1 n=$2 what=$3 prepare=$4 check=$5 status

	shift 5
	$prepare >"$out" 2>&1 || {
		result 1 "$what: preparation before $how $n"
		return 1
	}
	if [ "$how" = step ]; then
		{ VMF_FAULT=kill:$n watch "$VMF" "$@" >"$out" 2>&1 </dev/null; } 2>/dev/null
		status=$?
		[ $status = 137 ] || return 1
	else
		{ (export "$how=$n" && watch "$VMF" "$@" >"$out" 2>&1 </dev/null); } 2>/dev/null
		status=$?
		# it is a number that no command had
		[ "$(wc -l <"$calls")" -ge "${n%:*}" ] || return 1
	fi
	# what was begun ends by itself
	while fuser "$watched/lvm-watched" >/dev/null 2>&1; do sleep 0.1; done
	{
		echo "exit status $status; commands:"
		cat "$calls"
		"$VMF" "$1" status
		$check && none_suspended && [ -z "$("$VMF" storage orphans 2>/dev/null)" ]
		status=$?
		names
		"$VMF" storage orphans
	} >>"$out" 2>&1 </dev/null
	result $status "$what, $how $n"
	return 0
}

# each WHAT PREPARE CHECK WORDS...: all that can go wrong: vmf is killed at each of its steps, and after each of lvm's commands;
# each of these fails before and after it has done its work
each()
{
	local how n

	for how in step KILL FAIL LIE; do
		for ((n = 1; ; n++)); do
			try $how $n "$@" || break
		done
		[ $n -gt 1 ]
		result $? "$1: $how at $((n - 1)) points"
	done
}

# The end of each such test.
faults_end()
{
	ok "what is not vmf's is as it was, and no device is left suspended" untouched
	plan_now
}
