#!/bin/bash
# SPDX-License-Identifier: ISC
#
# storage-zfs when zfs fails, call by call: each program that the plugin runs is, in turn, refused, or done and reported as
# failed, or as too slow. The outcome is the old or the new state, a repeat succeeds, and nothing is left.

. "${0%/*}/zfs-lib.sh"
new_pool >"$out" 2>&1 || {
	result 1 "the pool is made"
	plan_now
	exit 1
}
new_neighbours

# each_run PREPARE CHECK VERB...: PREPARE puts the world as it is before, CHECK says whether all is well behind it
each_run()
{
	local prepare=$1 check=$2 how n status wanted

	shift 2
	for how in fail late slow; do
		for ((n = 1; n < 30; n++)); do
			$prepare >"$out" 2>&1 || {
				result 1 "$*: preparation before $how $n"
				return
			}
			CALL_FAULT=$how:$n "$call" zfs device_timeout=2s "$@" >"$out" 2>&1 <"$scratch/stream"
			status=$?
			[ $status != 99 ] || break
			wanted='^(0|1)$'
			[ $how != slow ] || wanted='^(0|10)$'
			[[ $status =~ $wanted ]] && $check >>"$out" 2>&1 && neighbours_same >>"$out" 2>&1
			result $? "$*: $how $n (status $status)"
		done
		[ $status = 99 ] && [ $n -gt 1 ]
		result $? "$*: $((n - 1)) programs ($how)"
	done
}

filled 6 >"$scratch/stream"

no_volume()
{
	"$call" zfs remove v && "$call" zfs remove w
}

a_volume()
{
	no_volume && "$call" zfs create v 1048576 && put v 1 && "$call" zfs snapshot v one && put v 2
}

may_be_made()
{
	[ "$(own_volumes)" = "" ] || [ "$(own_volumes)" = "v " ] || return
	no_volume && "$call" zfs create v 1048576 && no_own
}

may_be_received()
{
	[ "$(own_volumes)" = "" ] || has v 6 || return
	no_volume && "$call" zfs receive v 1048576 <"$scratch/stream" && has v 6 && no_own
}

may_be_removed()
{
	{ [ -z "$(own_volumes)" ] || has v 2; } && "$call" zfs remove v && [ -z "$(own_volumes)" ]
}

may_be_renamed()
{
	[ "$(own_volumes)" = "v " ] || [ "$(own_volumes)" = "w " ] || return
	"$call" zfs rename v w && has w 2 && "$call" zfs snapshots w | grep '^one '
}

may_be_cloned()
{
	local volumes

	volumes=$(own_volumes)
	has v 2 && { [ "$volumes" = "v " ] || [ "$volumes" = "v w " ]; } && { ! "$call" zfs list w | grep . || has w "$1"; } &&
		"$call" zfs remove w && "$call" zfs clone v "$2" w "$3" && has w "$1" && "$call" zfs remove w && no_own
}

cloned()
{
	may_be_cloned 2 - ""
}

cloned_one()
{
	may_be_cloned 1 one ""
}

copied()
{
	may_be_cloned 2 - copy
}

copied_one()
{
	may_be_cloned 1 one copy
}

may_be_snapped()
{
	has v 2 && "$call" zfs snapshot-remove v two && "$call" zfs snapshot v two && no_own
}

may_be_rolled_back()
{
	{ has v 1 || has v 2; } && "$call" zfs rollback v one && has v 1
}

may_be_dropped()
{
	has v 2 && "$call" zfs snapshot-remove v one && [ -z "$(zfs list -H -t snapshot tank/v)" ]
}

may_be_grown()
{
	has v 2 && "$call" zfs grow v 2097152 && [ "$(zfs get -Hp -o value volsize tank/v)" = 2097152 ]
}

each_run no_volume may_be_made create v 1048576
each_run no_volume may_be_received receive v 1048576
each_run a_volume may_be_removed remove v
each_run a_volume may_be_renamed rename v w
each_run a_volume may_be_grown grow v 2097152
each_run a_volume may_be_snapped snapshot v two
each_run a_volume may_be_rolled_back rollback v one
each_run a_volume may_be_dropped snapshot-remove v one
each_run a_volume cloned clone v - w
each_run a_volume cloned_one clone v one w
each_run a_volume copied clone v - w copy
each_run a_volume copied_one clone v one w copy
no_volume >"$out" 2>&1
ok "nothing is left" [ -z "$(own_volumes)" ]
ok "the neighbours are as they were" neighbours_same
plan_now
