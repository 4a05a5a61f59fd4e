#!/bin/bash
# SPDX-License-Identifier: ISC
# make fuzz: every target for FUZZ_SECONDS under clang's libFuzzer, or without clang by our own driver.
#
# Needs from the environment: FUZZ_TARGETS, CORE_SOURCES, FUZZ_FLAGS, FUZZ_LIBS, top_srcdir, top_builddir.
# New inputs that reach new code are kept in $top_builddir/fuzz/NAME/, findings in $top_builddir/fuzz/.

seconds=${FUZZ_SECONDS:-60}
work=$top_builddir/fuzz
clang=${CLANG:-clang}
san=-fsanitize=address,undefined
failed=0

mkdir -p "$work/obj" || exit 1
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n){(void)d; (void)n; return 0;}' >"$work/probe.c"

by_libfuzzer()
{
	# shellcheck disable=SC2016 # the inner shell expands them
	echo "$CORE_SOURCES" | tr -s ' ' '\n' | grep '\.c$' |
		xargs -P "$(nproc)" -I{} sh -c '
			obj='"$work"'/obj/$(echo {} | tr / _).o
			'"$clang $FUZZ_FLAGS -g -O1 -fsanitize=fuzzer-no-link $san"' -c -o "$obj" "'"$top_srcdir"'/{}"' || exit 1
	for target in $FUZZ_TARGETS; do
		name=${target##*/}
		mkdir -p "$work/$name"
		# the flags have quotes of their own
		eval "$clang $FUZZ_FLAGS -g -O1 -fsanitize=fuzzer $san" '-o "$work/$name.bin" "$top_srcdir/$target.c"' \
			'"$work"/obj/*.o' "$FUZZ_LIBS" || exit 1
		echo "== $name: $seconds s"
		"$work/$name.bin" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
			-artifact_prefix="$work/$name." "$work/$name" "$top_srcdir/tests/fuzz/corpus/$name" \
			>"$work/$name.log" 2>&1 || {
			failed=1
			tail -n 40 "$work/$name.log"
		}
		grep -E '^stat::|^#.*DONE' "$work/$name.log"
	done
}

by_driver()
{
	for target in $FUZZ_TARGETS; do
		name=${target##*/}
		echo "== $name: $seconds s, without libFuzzer"
		(cd "$work" && "$top_builddir/$target" --seconds "$seconds" --seed $RANDOM \
			"$top_srcdir/tests/fuzz/corpus/$name") || failed=1
	done
}

if $clang -fsanitize=fuzzer $san -o "$work/probe" "$work/probe.c" 2>/dev/null; then
	by_libfuzzer
else
	by_driver
fi
exit $failed
