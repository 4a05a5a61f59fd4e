#!/bin/bash
# SPDX-License-Identifier: ISC
# vmf-plugin-check: good plugins pass, and each kind of bad manners is found by name.
# Needs from the environment: top_srcdir, top_builddir, CC.

tool=$top_builddir/vmf-plugin-check
bad=$top_builddir/tests/badplugins
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
n=0

result()
{
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$scratch/out"
	fi
}

# finds PLUGIN CHECK WORDS: the check fails, and says so in these words
finds()
{
	"$tool" "$bad/storage-$1.so" >"$scratch/out" 2>&1
	code=$?
	[ $code = 1 ] && grep -q "^not ok .* - $2\$" "$scratch/out" && grep -q -- "$3" "$scratch/out"
	result $? "storage-$1: $2"
}

echo "1..13"

"$tool" "$bad/storage-good.so" >"$scratch/out" 2>&1
result $? "a good plugin passes"
finds wrong-major loads "is made for plugin ABI 2.0"
finds undefined loads "undefined symbol: nobody_has_this_function"
finds prints dry-run "it printed: a plugin never prints"
finds crashes dry-run "ended by signal 6"
finds exits dry-run "ended the process with exit code 7"
finds moves dry-run "the working directory became /"
finds leaks dry-run "files were open before"
finds says-nothing dry-run "returned -1 without host->fail()"

"$tool" --only 'dry*' "$bad/storage-crashes.so" >"$scratch/out" 2>&1
[ $? = 1 ] && grep -qx '1\.\.1' "$scratch/out"
result $? "--only runs what fits"

"$tool" --list >"$scratch/out" 2>&1 && grep -q '^faults  *every call' "$scratch/out"
result $? "--list names the checks"

"$tool" >"$scratch/out" 2>&1
[ $? = 2 ] && grep -q '^usage: ' "$scratch/out"
result $? "without a plugin it shows its usage"

cp "$bad/storage-good.so" "$scratch/good.so"
"$tool" "$scratch/good.so" >"$scratch/out" 2>&1
[ $? = 2 ] && grep -q 'does not say what kind' "$scratch/out"
result $? "a file without a kind in its name is refused"
