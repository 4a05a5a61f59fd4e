#!/bin/bash
# SPDX-License-Identifier: ISC
#
# vmf on ZFS is killed: at each step of its plans, and behind each change that zfs makes for it. Whatever the point, the
# next command finds the old or the new state, a repeat succeeds, nothing is left that nobody needs, and what is not vmf's
# is as it was. zfs-kill-amid.sh does the same before and in the midst of each change.

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

new_neighbours

# zfs, with a SIGKILL for the one who called it: before the Nth call that changes something, while it is about to do it, or
# behind it
cat >"$scratch/bin/zfs" <<END
#!/bin/bash
zfs=$(command -v zfs)
[ "\$1" != get ] || exec \$zfs "\$@"
n=\$((\$(cat "$scratch/changes") + 1))
echo \$n >"$scratch/changes"
[ "\$n" = "\${ZFS_KILL#*:}" ] || exec \$zfs "\$@"
case \$ZFS_KILL in
before:*) kill -9 \$PPID ;;
amid:*)
	kill -9 \$PPID
	sleep 0.4
	exec \$zfs "\$@"
	;;
after:*)
	\$zfs "\$@"
	kill -9 \$PPID
	;;
esac
END
chmod +x "$scratch/bin/zfs"

# killed WHEN N COMMAND...: its exit status is the command's
killed()
{
	local when=$1:$2

	shift 2
	echo 0 >"$scratch/changes"
	{ PATH=$scratch/bin:$PATH ZFS_KILL=$when "$@"; } >"$out" 2>&1 </dev/null
}

killed_before()
{
	killed before "$@"
}

killed_amid()
{
	killed amid "$@"
}

killed_after()
{
	killed after "$@"
}

# at_fault N COMMAND...
at_fault()
{
	local n=$1

	shift
	{ VMF_FAULT=kill:$n "$@"; } >"$out" 2>&1 </dev/null
}

# each_point WHAT PREPARE CHECK COMMAND...: PREPARE puts the world as it is before, CHECK says whether all is well after the
# next command on the VM
each_point()
{
	local what=$1 prepare=$2 check=$3 how n status

	shift 3
	for how in $hows; do
		# only vmf has plans
		[ "$how$1" != "at_faultbash" ] || continue
		for ((n = 1; ; n++)); do
			$prepare >"$out" 2>&1 || {
				result 1 "$what: preparation before point $n"
				return
			}
			$how $n "$@" 2>/dev/null
			status=$?
			[ $status = 137 ] || break
			[ "$1" != "$VMF" ] || "$VMF" "$2" status >>"$out" 2>&1 </dev/null
			$check >>"$out" 2>&1 && no_orphans >>"$out" 2>&1 && neighbours_same >>"$out" 2>&1
			result $? "$what, $how $n"
		done
		[ $status = 0 ] && [ $n -gt 1 ]
		result $? "$what: without a kill it succeeds, after $((n - 1)) points ($how)"
	done
}
: "${hows:=killed_after at_fault}"

# ---- create and destroy -----------------------------------------------------------------------------

nothing()
{
	gone web && [ -z "$(own_volumes)" ]
}

# Definition and volumes are there, or neither of them.
whole_or_nothing()
{
	if defined web; then
		[ "$(own_volumes)" = "web-0 web-1 " ]
	else
		[ -z "$(own_volumes)" ] && "$VMF" web create --disk 16M --disk 16M
	fi && no_own
}

each_point "create" nothing whole_or_nothing "$VMF" web create --disk 16M --disk 16M

made()
{
	defined web || "$VMF" web create --disk 16M --disk 16M
}

gone_or_whole()
{
	if defined web; then
		"$VMF" web destroy --yes
	fi
	[ -z "$(own_volumes)" ]
}

each_point "destroy" made gone_or_whole "$VMF" web destroy --yes

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
		[ "$(own_volumes)" = "web-0 web-1 " ] && has web-0 1 && has web-1 2
	else
		[ "$(own_volumes)" = "new-0 new-1 " ] && has new-0 1 && has new-1 2
	fi
}

each_point "rename" old_name one_name "$VMF" web rename new
old_name >"$out" 2>&1

# ---- snapshots --------------------------------------------------------------------------------------

without()
{
	local name

	for name in $("$VMF" web snapshots | cut -f 1); do
		"$VMF" web snapshot --delete "$name" || return
	done
}

all_or_none()
{
	case $(names web) in
	"" | "x:0,1 ") ;;
	*) names web && return 1 ;;
	esac
}

each_point "snapshot" without all_or_none "$VMF" web snapshot x

three()
{
	without && put web-0 1 && put web-1 1 && "$VMF" web snapshot x && "$VMF" web snapshot y && "$VMF" web snapshot z &&
		put web-0 2 && put web-1 2
}

rolled_back_or_not()
{
	case $(names web) in
	"x:0,1 ") has web-0 1 && has web-1 1 ;;
	"x:0,1 y:0,1 z:0,1 ") has web-0 2 && has web-1 2 ;;
	*) names web && return 1 ;;
	esac
}

each_point "rollback" three rolled_back_or_not "$VMF" web rollback x --later-too

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
		[ "$(own_volumes)" = "web-0 web-1 " ] && "$VMF" clone clone --from web "$@"
	fi && "$VMF" clone destroy --yes && "$VMF" tidy clone --from web --copy && "$VMF" tidy destroy --yes && no_own
}

copy_or_nothing()
{
	clone_or_nothing --copy
}

each_point "clone" origin_only clone_or_nothing "$VMF" clone clone --from web
each_point "full copy" origin_only copy_or_nothing "$VMF" clone clone --from web --copy

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
		[ "$(own_volumes)" = "web-0 web-1 " ] && "$VMF" clone clone --from web@x --copy
	fi && "$VMF" clone destroy --yes && no_own
}

each_point "full copy of a snapshot" with_snapshot old_or_nothing "$VMF" clone clone --from web@x --copy

# ---- removing what clones stand on ------------------------------------------------------------------

family()
{
	gone clone web c1 c2 c3 && "$VMF" web create --disk 16M && put web-0 1 && "$VMF" web snapshot a &&
		"$VMF" c1 clone --from web@a && put web-0 2 && "$VMF" web snapshot b && "$VMF" c2 clone --from web@b &&
		put web-0 3 && "$VMF" c3 clone --from web && "$VMF" c3 snapshot a && put web-0 4
}

clones_are_whole()
{
	has c1-0 1 && has c2-0 2 && has c3-0 3 && [ "$("$VMF" c3 snapshots | cut -f 1)" = a ] || return
	! defined web || "$VMF" web destroy --yes || return
	[ "$(own_volumes)" = "c1-0 c2-0 c3-0 " ] && has c1-0 1 && has c2-0 2 && has c3-0 3 && gone c1 c2 c3
}

each_point "removal" family clones_are_whole "$VMF" web destroy --yes
gone web c1 c2 c3 >"$out" 2>&1

# ---- a stream ---------------------------------------------------------------------------------------

not_received()
{
	"$call" zfs remove got
}

received_or_not()
{
	"$call" zfs remove other || return
	[ -z "$(own_volumes)" ] || { has got 6 && "$call" zfs remove got; } || return
	no_own
}

filled 6 >"$scratch/stream"
each_point "receive" not_received received_or_not \
	bash -c "exec '$call' zfs receive got 1048576 <'$scratch/stream'"

ok "the volume goes" "$call" zfs remove got
ok "nothing is left" [ -z "$(own_volumes)" ]
ok "the neighbours are as they were" neighbours_same
plan_now
