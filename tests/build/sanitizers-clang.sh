#!/bin/bash
# SPDX-License-Identifier: ISC
# All but the long tests under clang's address and undefined behaviour sanitizers.

. "${0%/*}/common.sh"

need_program clang clang
need_tree
export CK_TIMEOUT_MULTIPLIER=20
builds "clang and sanitizers" clang CC=clang CXX=clang++ --enable-werror --enable-sanitizers &&
	checks "clang and sanitizers" clang
plan_now
