#!/bin/bash
# SPDX-License-Identifier: ISC
# The commands of doc/writing-a-plugin.md, typed in their order, with nothing but what `make install` installs.

. "${top_srcdir:-.}/tests/lib.sh"
# shellcheck source=tests/walk.sh
. "$top_srcdir/tests/walk.sh"
need_program pkg-config pkg-config
unset VMF_PLUGIN_PATH MAKEFLAGS MFLAGS MAKELEVEL
dest=$scratch/dest

ok "vmf is installed" "${MAKE:-make}" -C "$top_builddir" install DESTDIR="$dest"
pc=$(find "$dest" -name vmf.pc)
bin=$(dirname "$(find "$dest" -type f -name vmf-plugin-check)")
# it does not stand where it was configured for
mkdir "$scratch/pkgconfig"
sed "s|=/|=$dest/|" "$pc" >"$scratch/pkgconfig/vmf.pc"
export PKG_CONFIG_PATH=$scratch/pkgconfig PATH=$bin:$PATH
cd "$scratch" || exit 1

walk "$top_srcdir/doc/writing-a-plugin.md"
plan_now
