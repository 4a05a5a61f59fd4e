#!/bin/bash
# SPDX-License-Identifier: ISC
#
# vmf on ZFS when zfs fails: each call of it, in turn, is refused, or done and reported as failed. The outcome is the old or
# the new state, a repeat succeeds, nothing is left that nobody needs, and what is not vmf's is as it was. zfs-calls.sh does
# that with each call of the plugin.

. "${0%/*}/zfs-lib.sh"
mkdir "$scratch/bin"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
storage = "z"
storage "z" { zfs { device_timeout = "2s" } }
END
new_pool >"$out" 2>&1 || {
	result 1 "the pool is made"
	plan_now
	exit 1
}
new_neighbours

# zfs, of which the Nth call that looks (ask) or changes something (fail, late) fails
cat >"$scratch/bin/zfs" <<END
#!/bin/bash
zfs=$(command -v zfs)
how=\${ZFS_FAULT%:*}
case \$how:\$1 in
ask:get | fail:[!g]* | late:[!g]*)
	n=\$((\$(cat "$scratch/calls") + 1))
	echo \$n >"$scratch/calls"
	[ \$n = "\${ZFS_FAULT#*:}" ] || exec \$zfs "\$@"
	touch "$scratch/failed"
	[ \$how != late ] || \$zfs "\$@"
	echo "cannot \$1: I/O error" >&2
	exit 1
	;;
esac
exec \$zfs "\$@"
END
chmod +x "$scratch/bin/zfs"

# each_call WHAT PREPARE CHECK VERB...: PREPARE puts the world as it is before, CHECK says whether all is well behind it
each_call()
{
	local what=$1 prepare=$2 check=$3 how n status

	shift 3
	for how in ask fail late; do
		for ((n = 1; ; n++)); do
			$prepare >"$out" 2>&1 || {
				result 1 "$what: preparation before $how $n"
				return
			}
			rm -f "$scratch/failed"
			echo 0 >"$scratch/calls"
			PATH=$scratch/bin:$PATH ZFS_FAULT=$how:$n "$@" >"$out" 2>&1 </dev/null
			status=$?
			[ -e "$scratch/failed" ] || break
			echo "exit status $status" >>"$out"
			$check >>"$out" 2>&1 && no_orphans >>"$out" 2>&1 && neighbours_same >>"$out" 2>&1
			result $? "$what, $how $n (status $status)"
		done
		[ $status = 0 ] && [ $n -gt 1 ]
		result $? "$what: without a fault it succeeds, after $((n - 1)) calls ($how)"
	done
}

# ---- verbs ------------------------------------------------------------------------------------------

nothing()
{
	gone web new clone
}

whole_or_nothing()
{
	if defined web; then
		[ "$(own_volumes)" = "web-0 web-1 " ]
	else
		[ -z "$(own_volumes)" ] && "$VMF" web create --disk 16M --disk 16M
	fi && no_own
}

each_call "create" nothing whole_or_nothing "$VMF" web create --disk 16M --disk 16M

made()
{
	defined web || "$VMF" web create --disk 16M --disk 16M
}

gone_or_whole()
{
	! defined web || "$VMF" web destroy --yes || return
	[ -z "$(own_volumes)" ]
}

each_call "destroy" made gone_or_whole "$VMF" web destroy --yes

old_name()
{
	! defined new || "$VMF" new rename web || return
	made && put web-0 1 && put web-1 2
}

one_name()
{
	if defined web; then
		[ "$(own_volumes)" = "web-0 web-1 " ] && has web-0 1 && has web-1 2 && "$VMF" web rename new
	fi && [ "$(own_volumes)" = "new-0 new-1 " ] && has new-0 1 && has new-1 2
}

each_call "rename" old_name one_name "$VMF" web rename new
old_name >"$out" 2>&1

all_or_none()
{
	case $(names web) in
	"") "$VMF" web snapshot x ;;
	"x:0,1 ") ;;
	*) names web && return 1 ;;
	esac
}

without()
{
	local name

	for name in $("$VMF" web snapshots | cut -f 1); do
		"$VMF" web snapshot --delete "$name" || return
	done
}

each_call "snapshot" without all_or_none "$VMF" web snapshot x

three()
{
	without && put web-0 1 && put web-1 1 && "$VMF" web snapshot x && "$VMF" web snapshot y && put web-0 2 && put web-1 2
}

# Each disk has what it had or what it is to have; once more, and both have that.
rolled_back()
{
	{ has web-0 1 || has web-0 2; } && { has web-1 1 || has web-1 2; } && "$VMF" web rollback x --later-too &&
		has web-0 1 && has web-1 1 && [ "$(names web)" = "x:0,1 " ]
}

each_call "rollback" three rolled_back "$VMF" web rollback x --later-too

origin_only()
{
	gone clone && made && without && put web-0 3 && put web-1 4
}

clone_or_nothing()
{
	defined clone || "$VMF" clone clone --from web "$@" || return
	[ "$(own_volumes)" = "clone-0 clone-1 web-0 web-1 " ] && has clone-0 3 && has clone-1 4 &&
		"$VMF" clone destroy --yes && no_own
}

copy_or_nothing()
{
	clone_or_nothing --copy
}

each_call "clone" origin_only clone_or_nothing "$VMF" clone clone --from web
each_call "full copy" origin_only copy_or_nothing "$VMF" clone clone --from web --copy

family()
{
	gone clone web c1 c2 && "$VMF" web create --disk 16M && put web-0 1 && "$VMF" web snapshot a &&
		"$VMF" c1 clone --from web@a && put web-0 2 && "$VMF" c2 clone --from web && put web-0 4
}

clones_are_whole()
{
	has c1-0 1 && has c2-0 2 && { ! defined web || "$VMF" web destroy --yes; } &&
		[ "$(own_volumes)" = "c1-0 c2-0 " ] && has c1-0 1 && has c2-0 2 && gone c1 c2
}

each_call "removal of what clones stand on" family clones_are_whole "$VMF" web destroy --yes
gone web c1 c2 >"$out" 2>&1

ok "nothing is left" [ -z "$(own_volumes)" ]
ok "the neighbours are as they were" neighbours_same
plan_now
