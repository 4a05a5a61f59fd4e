#!/bin/bash
# SPDX-License-Identifier: ISC
# What `./autogen.sh --check` makes of results: its last line and its exit status, in a tree of its own whose
# tests end as we like, under automake's real driver.

. "${0%/*}/../lib.sh"

plan 16

tree=$scratch/tree
mkdir -p "$tree/tests/guest" "$tree/build/tests" "$tree/build-aux"
cp "$top_srcdir/autogen.sh" "$tree"
cp "$top_srcdir/build-aux/tap-driver.sh" "$tree/build-aux"
touch "$tree/configure.ac" "$tree/tests/packages" "$tree/Makefile.in"
mkdir "$tree/m4" && touch "$tree/m4/vmf-x.m4"
for program in configure build/config.status build/vmf; do
	printf '#!/bin/sh\n' >"$tree/$program"
	chmod +x "$tree/$program"
done
printf '#!/bin/sh\necho /nowhere\n' >"$tree/tests/guest/build.sh"
chmod +x "$tree/tests/guest/build.sh"
printf 'all:\n\ncheck-build:\n\ncheck-all:\n\t./run\n' >"$tree/build/Makefile"

# check NAME STATUS LAST-LINE SCRIPT...: each script is a test; make check fails if one does, as automake's does
check()
{
	local name=$1 expected=$2 last=$3 i=0 status

	shift 3
	printf '#!/bin/bash\nstatus=0\n' >"$tree/build/run"
	for script; do
		i=$((i + 1))
		echo "$script" >"$tree/build/tests/t$i"
		echo "../build-aux/tap-driver.sh --test-name tests/t$i --log-file tests/t$i.log" \
			"--trs-file tests/t$i.trs -- bash tests/t$i" >>"$tree/build/run"
		echo "grep -q -e FAIL -e ERROR tests/t$i.trs && status=1" >>"$tree/build/run"
	done
	# shellcheck disable=SC2016 # for that script
	echo 'exit $status' >>"$tree/build/run"
	chmod +x "$tree/build/run"
	run timeout 60 "$tree/autogen.sh" --check
	status=$?
	[ "$status" = "$expected" ]
	result $? "$name: exit status $status"
	[ "$(tail -n 1 "$out")" = "$last" ]
	result $? "$name: $last"
	rm -f "$tree"/build/tests/*
}

good='echo 1..2; echo "ok 1 - a"; echo "ok 2 - b"'
check "good ones" 0 "4 passed, 0 failed, 0 skipped" "$good" "$good"
check "a bad one" 1 "3 passed, 1 failed, 0 skipped" "$good" 'echo 1..2; echo "ok 1"; echo "not ok 2 - c"'
check "a crash" 1 "3 passed, 1 failed, 0 skipped" "$good" 'echo 1..1; echo "ok 1"; kill -SEGV $$'
check "too few results" 1 "2 passed, 1 failed, 0 skipped" "$good" 'echo 1..5'
check "bail out" 1 "2 passed, 1 failed, 0 skipped" "$good" 'echo 1..5; echo "Bail out! no disk"'
check "a skip for want of a kernel" 0 "2 passed, 0 failed, 2 skipped" "$good" \
	'echo 1..1; echo "ok 1 - d # SKIP not possible here: no KVM"' 'echo "1..0 # SKIP not possible here: no taps"'
check "a skip for want of a package" 1 "2 passed, 0 failed, 1 skipped" "$good" 'echo "1..0 # SKIP no curl"'
check "no test at all" 1 "0 passed, 1 failed, 0 skipped"
