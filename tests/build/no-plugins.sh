#!/bin/bash
# SPDX-License-Identifier: ISC
# Without a single plugin vmf builds, says so, and tells what is missing when one is needed.

. "${0%/*}/common.sh"

need_tree
export VMF_HOME=$scratch/home # not that of the machine
builds "no plugins" none --enable-plugins=no && {
	vmf=$scratch/none/vmf
	ok "vmf plugin list" "$vmf" plugin list
	! grep -Eq '^(storage|network|display|placement)\b' "$out"
	result $? "it lists none"
	ok "vmf help" "$vmf" help
	fails "a VM with a disk cannot be made" 9 "$vmf" web0 create --disk 1M
	says "for want of a plugin" 'plugin'
	"$vmf" list --names >"$out" 2>&1 && [ ! -s "$out" ]
	result $? "and nothing is left of it"
}
plan_now
