#!/bin/bash
# SPDX-License-Identifier: ISC
#
# vmf on ZFS is killed: at each step of its plans, and behind each change that zfs makes for it. Whatever the point, the
# next command finds the old or the new state, a repeat succeeds, and in the end nothing is left.

. "${0%/*}/zfs-lib.sh"
mkdir "$scratch/bin"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
storage "z" { zfs { } }
END
new_pool >"$out" 2>&1 || {
	result 1 "the pool is made"
	plan_now
	exit 1
}

# zfs, with a SIGKILL for the one who called it behind the Nth call that changes something
cat >"$scratch/bin/zfs" <<END
#!/bin/bash
$(command -v zfs) "\$@"
status=\$?
[ "\$1" != get ] || exit \$status
n=\$((\$(cat "$scratch/changes") + 1))
echo \$n >"$scratch/changes"
[ "\$n" != "\$ZFS_KILL" ] || kill -9 \$PPID
exit \$status
END
chmod +x "$scratch/bin/zfs"

# killed_after N COMMAND...: its exit status is the command's
killed_after()
{
	local n=$1

	shift
	echo 0 >"$scratch/changes"
	{ PATH=$scratch/bin:$PATH ZFS_KILL=$n "$@"; } >"$out" 2>&1 </dev/null
}

# at_fault N COMMAND...
at_fault()
{
	local n=$1

	shift
	{ VMF_FAULT=kill:$n "$@"; } >"$out" 2>&1 </dev/null
}

# each_point HOW WHAT PREPARE CHECK COMMAND...: PREPARE puts the world as it is before, CHECK says whether all is well
# after the next command on the VM. The least number of points is $least.
each_point()
{
	local how=$1 what=$2 prepare=$3 check=$4 n=0 status

	shift 4
	while :; do
		n=$((n + 1))
		$prepare >"$out" 2>&1 || {
			result 1 "$what: preparation before point $n"
			return
		}
		$how $n "$@" 2>/dev/null
		status=$?
		[ $status = 137 ] || break
		[ "$1" != "$VMF" ] || "$VMF" "$2" status >>"$out" 2>&1 </dev/null
		$check >>"$out" 2>&1
		result $? "$what, $how $n"
	done
	[ $status = 0 ] && [ $n -gt "$least" ]
	result $? "$what: without a kill it succeeds, after $((n - 1)) points ($how)"
}

defined()
{
	[ -e "$VMF_HOME/etc/vms/$1.conf" ]
}

gone() # VM...
{
	local vm

	for vm; do
		! defined "$vm" || "$VMF" "$vm" destroy --yes || return
	done
	[ -z "$(volumes)" ] || { everything && return 1; }
}

# ---- create and destroy -----------------------------------------------------------------------------

nothing()
{
	gone web
}

# Definition and volumes are there, or neither of them.
whole_or_nothing()
{
	if defined web; then
		[ "$(volumes)" = "web-0 web-1 " ]
	else
		[ -z "$(everything)" ] && "$VMF" web create --disk 16M --disk 16M
	fi && no_own
}

least=1
each_point killed_after "create" nothing whole_or_nothing "$VMF" web create --disk 16M --disk 16M
least=3
each_point at_fault "create" nothing whole_or_nothing "$VMF" web create --disk 16M --disk 16M

made()
{
	defined web || "$VMF" web create --disk 16M --disk 16M
}

gone_or_whole()
{
	if defined web; then
		"$VMF" web destroy --yes
	fi
	[ -z "$(everything)" ]
}

least=1
each_point killed_after "destroy" made gone_or_whole "$VMF" web destroy --yes
least=2
each_point at_fault "destroy" made gone_or_whole "$VMF" web destroy --yes

# ---- rename -----------------------------------------------------------------------------------------

old_name()
{
	! defined new || "$VMF" new rename web
	made && put web-0 1 && put web-1 2
}

one_name()
{
	"$VMF" new status
	if defined web; then
		[ "$(volumes)" = "web-0 web-1 " ] && has web-0 1 && has web-1 2
	else
		[ "$(volumes)" = "new-0 new-1 " ] && has new-0 1 && has new-1 2
	fi
}

least=1
each_point killed_after "rename" old_name one_name "$VMF" web rename new
least=3
each_point at_fault "rename" old_name one_name "$VMF" web rename new
old_name >"$out" 2>&1

# ---- snapshots --------------------------------------------------------------------------------------

names()
{
	"$VMF" web snapshots | cut -f 1,4 | tr '\t\n' ': '
}

without()
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
}

least=1
each_point killed_after "snapshot" without all_or_none "$VMF" web snapshot x
least=3
each_point at_fault "snapshot" without all_or_none "$VMF" web snapshot x

three()
{
	without && put web-0 1 && put web-1 1 && "$VMF" web snapshot x && "$VMF" web snapshot y && "$VMF" web snapshot z &&
		put web-0 2 && put web-1 2
}

rolled_back_or_not()
{
	case $(names) in
	"x:0,1 ") has web-0 1 && has web-1 1 ;;
	"x:0,1 y:0,1 z:0,1 ") has web-0 2 && has web-1 2 ;;
	*) names && return 1 ;;
	esac
}

least=1
each_point killed_after "rollback" three rolled_back_or_not "$VMF" web rollback x --later-too
each_point at_fault "rollback" three rolled_back_or_not "$VMF" web rollback x --later-too

# ---- clones -----------------------------------------------------------------------------------------

origin_only()
{
	! defined clone || "$VMF" clone destroy --yes || return
	made && without && put web-0 3 && put web-1 4
}

# What is left of a killed one is nothing that a person sees, and gone after the next.
clone_or_nothing()
{
	if defined clone; then
		has clone-0 3 && has clone-1 4
	else
		[ "$(volumes | sed 's/[.]vmf-[0-9a-f]* //g')" = "web-0 web-1 " ] && "$VMF" clone clone --from web "$@"
	fi && "$VMF" clone destroy --yes && "$VMF" tidy clone --from web --copy && "$VMF" tidy destroy --yes && no_own
}

copy_or_nothing()
{
	clone_or_nothing --copy
}

least=5
each_point killed_after "clone" origin_only clone_or_nothing "$VMF" clone clone --from web
least=3
each_point at_fault "clone" origin_only clone_or_nothing "$VMF" clone clone --from web
least=3
each_point killed_after "full copy" origin_only copy_or_nothing "$VMF" clone clone --from web --copy
each_point at_fault "full copy" origin_only copy_or_nothing "$VMF" clone clone --from web --copy

# of a snapshot: the volume through which that is read must go as well
with_snapshot()
{
	origin_only && "$VMF" web snapshot x && put web-0 5
}

old_or_nothing()
{
	if defined clone; then
		has clone-0 3
	else
		[ "$(volumes | sed 's/[.]vmf-[0-9a-f]* //g')" = "web-0 web-1 " ] && "$VMF" clone clone --from web@x --copy
	fi && "$VMF" clone destroy --yes && no_own
}

least=7
each_point killed_after "full copy of a snapshot" with_snapshot old_or_nothing "$VMF" clone clone --from web@x --copy

# ---- removing what clones stand on ------------------------------------------------------------------

family()
{
	gone web c1 c2 c3 && "$VMF" web create --disk 16M && put web-0 1 && "$VMF" web snapshot a &&
		"$VMF" c1 clone --from web@a && put web-0 2 && "$VMF" web snapshot b && "$VMF" c2 clone --from web@b &&
		put web-0 3 && "$VMF" c3 clone --from web && "$VMF" c3 snapshot a && put web-0 4
}

clones_are_whole()
{
	has c1-0 1 && has c2-0 2 && has c3-0 3 && [ "$("$VMF" c3 snapshots | cut -f 1)" = a ] || return
	! defined web || "$VMF" web destroy --yes || return
	[ "$(volumes)" = "c1-0 c2-0 c3-0 " ] && has c1-0 1 && has c2-0 2 && has c3-0 3 && gone c1 c2 c3
}

least=3
each_point killed_after "removal" family clones_are_whole "$VMF" web destroy --yes
gone web c1 c2 c3 >"$out" 2>&1

# ---- a stream ---------------------------------------------------------------------------------------

not_received()
{
	"$call" zfs remove got
}

received_or_not()
{
	"$call" zfs remove other && no_own && { has got 6 || [ -z "$(volumes)" ]; }
}

filled 6 >"$scratch/stream"
least=1
each_point killed_after "receive" not_received received_or_not \
	bash -c "exec '$call' zfs receive got 1048576 <'$scratch/stream'"

ok "the volume goes" "$call" zfs remove got
ok "and nothing is left" [ -z "$(everything)" ]
plan_now
