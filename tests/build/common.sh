# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# What the tests in here share: they build vmf in other ways than the build that they are run from, always from the
# sources as `make dist` packs them, so that what is packed is whole. Source it in place of tests/lib.sh.

. "${BASH_SOURCE[0]%/*}/../lib.sh"

# of the make that runs us
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
: "${MAKE:=make}"
jobs=-j$(nproc)

# need_tree: packs and unpacks the sources into $tree
need_tree()
{
	# nothing of the outer build may be found by an inner one
	unset VMF VMF_PLUGIN_PATH VMF_HOME TEST_WRAPPER CFLAGS LDFLAGS CPPFLAGS
	ok "make dist packs the sources" "$MAKE" -C "$top_builddir" dist GZIP_ENV=--fast || exit 1
	tree=$(echo "$top_builddir"/vmf-*.tar.gz)
	mkdir "$scratch/tree" && tar -xzf "$tree" -C "$scratch/tree" --strip-components=1 || exit 1
	rm -f "$tree"
	tree=$scratch/tree
}

# configure FOLDER OPTION...: in a folder of the scratch folder
configure()
{
	mkdir -p "$scratch/$1" && cd "$scratch/$1" && shift && "$tree/configure" --quiet "$@"
}

# builds NAME FOLDER OPTION...: configures and makes; two results
builds()
{
	local name=$1 folder=$2

	shift 2
	ok "$name: configure $*" configure "$folder" "$@" || return 1
	ok "$name: make" "$MAKE" "$jobs" -C "$scratch/$folder"
}

# checks NAME FOLDER VARIABLE=VALUE...: make check in there; each of its results becomes one of ours
checks()
{
	local name=$1 folder=$scratch/$2 before=$test_number log kind words

	shift 2
	run "$MAKE" "$jobs" -k -C "$folder" check "$@"
	cp "$out" "$scratch/make.log"
	while read -r log; do
		sed -n '/^not ok/,/^ok/p' "$log" | grep '^\(not ok\|#\)' >"$out"
		while read -r kind words; do
			case $kind in
			PASS: | XFAIL:) result 0 "$name: $words" ;;
			SKIP:) skip "$name: ${words%%# SKIP*}" "${words##*# SKIP }" ;;
			*) result 1 "$name: $words" ;;
			esac
		done < <(grep -E '^(PASS|FAIL|XPASS|XFAIL|SKIP|ERROR): ' "$log")
	done < <(find "$folder/tests" -name '*.log' | LC_ALL=C sort)
	cp "$scratch/make.log" "$out"
	[ "$test_number" != "$before" ]
	result $? "$name: make check ran tests"
}
