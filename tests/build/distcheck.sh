#!/bin/bash
# SPDX-License-Identifier: ISC
# make distcheck: builds and tests from a read-only source tree, installs, uninstalls, leaves nothing behind. The system
# tests have run elsewhere.

. "${0%/*}/common.sh"

plan 4
need_tree
ok "configure" configure dist --quiet
# inner ones must say by themselves where they are
unset top_srcdir top_builddir
ok "make distcheck" "$MAKE" "$jobs" -C "$scratch/dist" distcheck 'TESTS=$(RUN_UNIT_TESTS) $(CLI_TESTS)'
says "it says that all is well" 'archives ready for distribution'
