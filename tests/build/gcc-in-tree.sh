#!/bin/bash
# SPDX-License-Identifier: ISC
# In the source tree, with gcc and warnings as errors: not a line of complaint, nothing made twice, all tidied.

. "${0%/*}/common.sh"

complaints='warning:|error:|Error [0-9]|cannot |No such file|rm: '

quiet()
{
	! grep -E "$complaints" "$out" >"$scratch/complaints"
	local status=$?
	cp "$scratch/complaints" "$out"
	result $status "$1"
}

plan 9
need_tree
cd "$tree" || exit 1
find . -type f | sort >"$scratch/before"

ok "autogen.sh makes configure" ./autogen.sh
ok "configure" ./configure CC=gcc --enable-werror
quiet "configure complains of nothing"
ok "make" "$MAKE" "$jobs"
quiet "make complains of nothing"
run "$MAKE" "$jobs" && ! grep -E '^  (CC|CCLD|AR|GEN) ' "$out"
result $? "a second make makes nothing"

ok "make distclean" "$MAKE" distclean
# what autoreconf and a first configure leave is everywhere the same: the generated files that are packed, too
find . -type f -not -path './autom4te.cache/*' | sort | comm -13 "$scratch/before" - | grep -v '~$' >"$out"
[ ! -s "$out" ]
result $? "and nothing is left of it"
