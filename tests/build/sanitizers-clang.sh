#!/bin/bash
# SPDX-License-Identifier: ISC
# Unit tests, the command line and a VM's life under clang's address and undefined behaviour sanitizers.

. "${0%/*}/common.sh"

need_program clang clang
system="tests/system/life.sh tests/system/kill.sh tests/system/states.sh tests/system/console.sh tests/system/cdrom.sh"
need_tree
export CK_TIMEOUT_MULTIPLIER=20
builds "clang and sanitizers" clang CC=clang CXX=clang++ --enable-werror --enable-sanitizers &&
	checks "clang and sanitizers" clang "TESTS=\$(RUN_UNIT_TESTS) \$(CLI_TESTS) tests/fuzz/replay.sh $system"
plan_now
