#!/bin/bash
# SPDX-License-Identifier: ISC
# Every fuzz target for a while, under clang's libFuzzer with sanitizers.

. "${0%/*}/common.sh"

need_program clang clang
run env FUZZ_SECONDS="${FUZZ_SECONDS:-10}" "$MAKE" -C "$top_builddir" fuzz
cp "$out" "$scratch/all"
[ -n "$FUZZ_TARGETS" ] || skip_all "no fuzz targets"
# shellcheck disable=SC2086 # a list
set -- $FUZZ_TARGETS
plan $#
for target; do
	name=${target##*/}
	sed -n "/^== $name:/,/^== /p" "$scratch/all" | sed '1b;/^== /d' >"$out"
	[ -s "$out" ] || tail -n 40 "$scratch/all" >"$out"
	grep -Eq '^#.*DONE|^stat::number_of_executed_units: [1-9]' "$out" && ! grep -Eq 'ERROR|SUMMARY' "$out"
	result $? "$name: $(sed -n 's/^stat::number_of_executed_units: //p' "$out") inputs"
done
