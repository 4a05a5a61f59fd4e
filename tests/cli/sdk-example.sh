#!/bin/bash
# SPDX-License-Identifier: ISC
# The example plugin is built and loaded with nothing but what `make install` installs.
# Needs from the environment: top_builddir, MAKE, CC.

unset VMF_PLUGIN_PATH
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
dest=$scratch/dest
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

# of the make that runs us
unset MAKEFLAGS MFLAGS MAKELEVEL

if ! pkg-config --version >/dev/null 2>&1; then
	echo "1..0 # SKIP pkg-config is missing"
	exit 0
fi
echo "1..9"

(cd "$top_builddir" && $MAKE install DESTDIR="$dest") >"$scratch/out" 2>&1
result $? "make install DESTDIR"

! find "$dest" -name '*.la' | grep . >"$scratch/out"
result $? "no .la file is installed"

pc=$(find "$dest" -name vmf.pc)
export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$dest
pkg-config --exists --print-errors vmf >"$scratch/out" 2>&1 &&
	grep -rq VMF_ABI_MAJOR "$(pkg-config --cflags-only-I vmf | sed 's/^-I//; s/ *$//')/vmf/plugin.h"
result $? "vmf.pc leads to the header"

# variables are not put below the sysroot by all versions of pkg-config
below()
{
	case $1 in "$dest"/*) echo "$1" ;; *) echo "$dest$1" ;; esac
}
plugins=$(below "$(pkg-config --variable=plugindir vmf)")
example=$(below "$(pkg-config --variable=exampledir vmf)")
bin=$(dirname "$(find "$dest" -type f -name vmf-plugin-check)")

cp -R "$example" "$scratch/mine" && chmod -R u+w "$scratch/mine" && cd "$scratch/mine" || exit 1
$MAKE CC="$CC" WARNINGS="-Wall -Wextra -Werror" >"$scratch/out" 2>&1
result $? "the example builds"

$MAKE check VMF_CHECK="$bin/vmf-plugin-check" >"$scratch/out" 2>&1 && ! grep -q '^ok.*SKIP' "$scratch/out"
result $? "vmf-plugin-check passes all of it"

$MAKE install PLUGINDIR="$plugins" >"$scratch/out" 2>&1 && [ -f "$plugins/storage-example.so" ]
result $? "the example is installed beside vmf's own plugins"

# vmf stands in a prefix that it was not configured for, and finds the plugins of that prefix
if [ -x "$bin/vmf" ]; then
	"$bin/vmf" --home "$scratch/home" plugin show storage example >"$scratch/out" 2>&1 &&
		grep -q 'disks as raw files in a folder' "$scratch/out" && grep -q '\bdir\b' "$scratch/out"
	result $? "vmf plugin show storage example"
else
	echo "ok $((n += 1)) - vmf plugin show storage example # SKIP vmf is not installed"
fi

if ! autoreconf --version >/dev/null 2>&1 || ! libtoolize --version >/dev/null 2>&1; then
	echo "ok $((n += 1)) - the example builds with autotools and vmf-plugin.m4 # SKIP autotools are missing"
else
	mkdir "$scratch/auto" && cd "$scratch/auto" && cp "$example/storage-example.c" . || exit 1
	# the two files are in the README, indented
	sed -n '/# configure.ac/,/AC_OUTPUT/s/^    //p' "$example/README.md" >configure.ac
	sed -n '/# Makefile.am/,/LDFLAGS/s/^    //p' "$example/README.md" >Makefile.am
	(ACLOCAL_PATH=$(below "$(pkg-config --variable=aclocaldir vmf)") autoreconf -fi &&
		./configure CC="$CC" && $MAKE) >"$scratch/out" 2>&1 && [ -f .libs/storage-example.so ] &&
		"$bin/vmf-plugin-check" .libs/storage-example.so >>"$scratch/out" 2>&1
	result $? "the example builds with autotools and vmf-plugin.m4"
fi

(cd "$top_builddir" && $MAKE uninstall DESTDIR="$dest") >"$scratch/out" 2>&1
rm -f "$plugins/storage-example.so"
! find "$dest" ! -type d | grep . >>"$scratch/out"
result $? "make uninstall leaves nothing"
