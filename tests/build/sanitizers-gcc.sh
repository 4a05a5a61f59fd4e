#!/bin/bash
# SPDX-License-Identifier: ISC
# The unit tests under gcc's address and undefined behaviour sanitizers.

. "${0%/*}/common.sh"

need_tree
export CK_TIMEOUT_MULTIPLIER=20
builds "gcc and sanitizers" gcc CC=gcc --enable-werror --enable-sanitizers &&
	checks "gcc and sanitizers" gcc 'TESTS=$(RUN_UNIT_TESTS)'
plan_now
