#!/bin/bash
# SPDX-License-Identifier: ISC
# The unit tests of the build that this is run from, under valgrind.

. "${0%/*}/common.sh"

need_program valgrind valgrind
export CK_TIMEOUT_MULTIPLIER=40 CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent VMF_VALGRIND=1
case $SANITIZERS in yes) skip_all "not possible here: valgrind and sanitizers exclude each other" ;; esac

# one of each processor's at a time; the status comes last
cat >"$scratch/one" <<'END'
exec 3>"$scratch/${1##*/}.tap"
cd "$top_builddir" && ./libtool --mode=execute valgrind $VALGRIND_FLAGS "./$1" >&3 2>"$scratch/${1##*/}.words" </dev/null
echo "exit status $?" >&3
END
export scratch top_builddir
echo "$UNIT_TESTS" | xargs -n 1 -P "$(nproc)" bash "$scratch/one"

for program in $UNIT_TESTS; do
	name=${program##*/}
	tap=$scratch/$name.tap
	# what is not good is told with all that was said
	grep -v '^ok' "$tap" | sed 's/^not /not_/' | cat - "$scratch/$name.words" >"$out"
	while read -r line; do
		case $line in
		"ok "*) result 0 "$name: ${line#ok * - }" ;;
		"not ok "*) result 1 "$name: ${line#not ok * - }" ;;
		esac
	done < <(grep -E '^(not )?ok ' "$tap")
	[ "$(tail -n 1 "$tap")" = "exit status 0" ] && grep -q '^ok ' "$tap"
	result $? "$name: $(tail -n 1 "$tap")"
done
plan_now
