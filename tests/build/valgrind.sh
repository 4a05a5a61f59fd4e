#!/bin/bash
# SPDX-License-Identifier: ISC
# The unit tests of the build that this is run from, under valgrind.

. "${0%/*}/common.sh"

need_program valgrind valgrind
export CK_TIMEOUT_MULTIPLIER=40 CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent VMF_VALGRIND=1
case $SANITIZERS in yes) skip_all "not possible here: valgrind and sanitizers exclude each other" ;; esac

# shellcheck disable=SC2086 # lists
for program in $UNIT_TESTS; do
	name=${program##*/}
	(cd "$top_builddir" && ./libtool --mode=execute valgrind $VALGRIND_FLAGS "./$program") >"$scratch/tap" 2>"$scratch/words" \
		</dev/null
	status=$?
	while read -r line; do
		grep -v '^ok' "$scratch/tap" | sed 's/^not /not_/' | cat - "$scratch/words" >"$out"
		case $line in
		"ok "*) result 0 "$name: ${line#ok * - }" ;;
		"not ok "*) result 1 "$name: ${line#not ok * - }" ;;
		esac
	done < <(grep -E '^(not )?ok ' "$scratch/tap")
	cp "$scratch/words" "$out"
	[ $status = 0 ] && grep -q '^ok ' "$scratch/tap"
	result $? "$name: exit status $status"
done
plan_now
