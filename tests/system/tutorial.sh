#!/bin/bash
# SPDX-License-Identifier: ISC
# The tutorial's commands, typed in their order, against the real program and the real guest.

. "${top_srcdir:-.}/tests/lib.sh"
# shellcheck source=tests/walk.sh
. "$top_srcdir/tests/walk.sh"
need_program curl curl
need_guest
# where the tutorial's first command puts it: what it leaves behind is found there
export VMF_GUEST_DIR=$guest_dir HOME=$scratch/home VMF_HOME=$scratch/home/lab
PATH=$(dirname "$VMF"):$PATH
mkdir -m 755 "$HOME"
cd "$top_srcdir" || exit 1
world_save

walk "$top_srcdir/doc/tutorial.md"
ok "nothing is left" world_same
plan_now
