#!/bin/bash
# SPDX-License-Identifier: ISC
# What the analysers find: nothing.

. "${0%/*}/common.sh"

plan 1
for tool in shellcheck cppcheck; do
	command -v $tool >/dev/null || skip_all "$tool is missing (Debian: $tool)"
done
ok "make lint" "$MAKE" -C "$top_builddir" lint
