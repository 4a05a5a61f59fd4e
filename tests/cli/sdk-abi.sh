#!/bin/bash
# SPDX-License-Identifier: ISC
# The SDK's promises: the header is clean C99 and C++, and plugins of every ABI so far are loaded.
# Needs from the environment: top_srcdir, top_builddir, CC, CXX.

tool=$top_builddir/vmf-plugin-check
abi=$top_srcdir/sdk/tests/abi
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

cat >"$scratch/clean.c" <<'END'
#include <vmf/plugin.h>
#include <vmf/plugin.h>
static const struct vmf_display_ops ops = {sizeof(ops), 0, 0, 0, 0, 0, 0, 0};
VMF_PLUGIN(display_clean) = {sizeof(struct vmf_plugin), VMF_ABI_MAJOR, VMF_ABI_MINOR, VMF_DISPLAY, 0,
	"clean", "1", "compiles", 0, 0, 0, 0, 0, 0, &ops};
END
cp "$scratch/clean.c" "$scratch/clean.cc"

set -- "$abi"/*/
echo "1..$((3 + 2 * $#))"

# shellcheck disable=SC2086 # CC and CXX may be several words
$CC -std=c99 -pedantic -Wall -Wextra -Werror -I"$top_srcdir/sdk" -c -o "$scratch/c.o" "$scratch/clean.c" \
	>"$scratch/out" 2>&1
result $? "the header is clean C99"
if [ "$CXX" = : ]; then
	echo "ok $((n += 1)) - the header is clean C++ # SKIP no C++ compiler"
	echo "ok $((n += 1)) - C and C++ name the entry symbol alike # SKIP no C++ compiler"
else
	# shellcheck disable=SC2086
	$CXX -std=c++11 -pedantic -Wall -Wextra -Werror -I"$top_srcdir/sdk" -c -o "$scratch/cc.o" "$scratch/clean.cc" \
		>"$scratch/out" 2>&1
	result $? "the header is clean C++"
	nm -g "$scratch/cc.o" 2>/dev/null | grep -q ' display_clean_LTX_vmf_plugin$'
	result $? "C and C++ name the entry symbol alike"
fi

for dir; do
	version=$(basename "$dir")
	file=storage-abi-${version/./-}
	# shellcheck disable=SC2086
	$CC -std=c99 -Wall -Wextra -Werror -I"$dir" -fPIC -shared -Wl,-z,defs -o "$scratch/$file.so" "$dir/$file.c" \
		>"$scratch/out" 2>&1
	result $? "the plugin of ABI $version compiles against its own header"
	"$tool" "$scratch/$file.so" >"$scratch/out" 2>&1 && ! grep -q "SKIP its pool" "$scratch/out"
	result $? "the plugin of ABI $version is loaded and called"
done
