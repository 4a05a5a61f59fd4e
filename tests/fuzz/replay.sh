#!/bin/bash
# SPDX-License-Identifier: ISC
# Every fuzz target over its corpus and, for a bounded time, over changed inputs.
# Needs from the environment: FUZZ_TARGETS, top_srcdir, top_builddir; VMF_LONG makes it longer.

seconds=2
[ -z "$VMF_LONG" ] || seconds=10
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

# shellcheck disable=SC2086 # a list
set -- $FUZZ_TARGETS
if [ $# = 0 ]; then
	echo "1..0 # SKIP no fuzz targets"
	exit 0
fi
echo "1..$#"
n=0
for target; do
	n=$((n + 1))
	name=${target##*/}
	if (cd "$scratch" && timeout $((seconds + 120)) "$top_builddir/$target" --seconds $seconds --seed $RANDOM \
		"$top_srcdir/tests/fuzz/corpus/$name") >"$scratch/log" 2>&1; then
		echo "ok $n - $name # $(tail -n 1 "$scratch/log")"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$scratch/log"
		if [ -s "$scratch/crash.bin" ]; then
			cp "$scratch/crash.bin" "$top_builddir/tests/fuzz/$name.crash"
			echo "# the input is in tests/fuzz/$name.crash"
		fi
	fi
done
