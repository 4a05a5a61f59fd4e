#!/bin/bash
# SPDX-License-Identifier: ISC
# The tutorial's commands, typed in their order, against the real program and the real guest.

. "${top_srcdir:-.}/tests/lib.sh"
# shellcheck source=tests/walk.sh
. "$top_srcdir/tests/walk.sh"
need_program curl curl
need_guest
export VMF_GUEST_DIR=$guest_dir HOME=$scratch/home PATH=$(dirname "$VMF"):$PATH
unset VMF_HOME
mkdir -m 755 "$HOME"
cd "$top_srcdir" || exit 1

walk "$top_srcdir/doc/tutorial.md"
plan_now
