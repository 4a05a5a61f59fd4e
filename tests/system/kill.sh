#!/bin/bash
# SPDX-License-Identifier: ISC
#
# vmf is killed at every step of create, start, stop, save, rename and destroy. Whatever the step: the next command
# tells the truth, finishes or undoes, and nothing is left; a repeat then succeeds.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
mkdir -p "$VMF_HOME/etc"

no_trace_of()
{
	find "$VMF_HOME" -name "*$1*" | grep . && return 1
	world_same
}

# ---- create: all or nothing -------------------------------------------------------------------------

gone()
{
	"$VMF" web stop >/dev/null 2>&1
	"$VMF" web destroy --yes >/dev/null 2>&1
	no_trace_of web
}

made_or_not()
{
	if [ -e "$VMF_HOME/etc/vms/web.conf" ]; then
		[ "$("$VMF" web drives | wc -l)" = 2 ]
	else
		no_trace_of web && "$VMF" web create --disk 16M --disk 16M
	fi
}

world_save
each_point create gone made_or_not web create --disk 16M --disk 16M

# ---- start: running or nothing ----------------------------------------------------------------------

stopped()
{
	[ -e "$VMF_HOME/etc/vms/web.conf" ] || "$VMF" web create --disk 16M --disk 16M || return
	"$VMF" web stop && world_same
}

# The state is what the processes say, and what is not running has left nothing.
true_state()
{
	local said
	said=$("$VMF" web status)
	case $said in
	*running*) world | grep -q '^process qemu' ;;
	*": off"*) world_same ;;
	*) false ;;
	esac
}

runs_or_not()
{
	true_state && { "$VMF" web status || "$VMF" web start; } && "$VMF" web stop && world_same
}

each_point start stopped runs_or_not web start

# ---- stop and kill: off -----------------------------------------------------------------------------

running()
{
	[ -e "$VMF_HOME/etc/vms/web.conf" ] || "$VMF" web create --disk 16M --disk 16M || return
	"$VMF" web status || "$VMF" web start
}

is_off()
{
	true_state && "$VMF" web stop && world_same
}

each_point stop running is_off web stop
each_point kill running is_off web kill

# ---- save: running or saved -------------------------------------------------------------------------

fresh()
{
	"$VMF" web stop
	rm -f "$VMF_HOME/lib/saved/web"
	running
}

saved_or_not()
{
	case $("$VMF" web status) in
	*running*) [ ! -e "$VMF_HOME/lib/saved/web" ] && "$VMF" web save ;;
	*saved*) world_same ;;
	*) false ;;
	esac && "$VMF" web start && "$VMF" web status && [ -z "$(find "$VMF_HOME/lib" -name '*.part')" ]
}

each_point save fresh saved_or_not web save
"$VMF" web stop >"$out" 2>&1
rm -f "$VMF_HOME/lib/saved/web"

# ---- rename: the one name or the other --------------------------------------------------------------

old_name()
{
	[ ! -e "$VMF_HOME/etc/vms/new.conf" ] || "$VMF" new rename web
	stopped
}

one_name()
{
	"$VMF" new status
	if [ -e "$VMF_HOME/etc/vms/web.conf" ]; then
		[ "$("$VMF" web drives | wc -l)" = 2 ] && no_trace_of new
	else
		[ "$("$VMF" new drives | wc -l)" = 2 ] && no_trace_of web
	fi
}

# asked under the new name first: that must find the unfinished rename as well
one_name_from_new()
{
	"$VMF" new start && "$VMF" new stop
	"$VMF" web status
	one_name
}

each_point rename old_name one_name web rename new
"$VMF" new rename web >"$out" 2>&1
each_point rename old_name one_name_from_new web rename new
"$VMF" new rename web >"$out" 2>&1

# ---- destroy: there or gone -------------------------------------------------------------------------

there_or_gone()
{
	if [ -e "$VMF_HOME/etc/vms/web.conf" ]; then
		[ "$("$VMF" web drives | wc -l)" = 2 ] && "$VMF" web start && "$VMF" web stop && world_same
	else
		no_trace_of web
	fi
}

each_point destroy stopped there_or_gone web destroy --yes

# ---- a step that fails ------------------------------------------------------------------------------

stopped >"$out" 2>&1
for n in $(seq 50); do
	VMF_FAULT=fail:$n "$VMF" web start >"$out" 2>&1 </dev/null && break
	grep -q "fault injected" "$out" && world_same >>"$out"
	result $? "start that fails at point $n has undone everything"
done
[ "$n" -gt 5 ]
result $? "start without a fault succeeds, after $((n - 1)) points"
ok "the end" "$VMF" web stop destroy --yes
ok "nothing is left" no_trace_of web
plan_now
