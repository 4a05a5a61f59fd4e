#!/bin/bash
# SPDX-License-Identifier: ISC
# With clang and the hardening flags, tests and all, without a warning.

. "${0%/*}/common.sh"

need_program clang clang
plan 4
need_tree
builds "clang" clang CC=clang CXX=clang++ --enable-werror
ok "clang: the tests compile, too" "$MAKE" "$jobs" -C "$scratch/clang" check TESTS=
