#!/bin/bash
# SPDX-License-Identifier: ISC
# Without shared objects: the plugins are linked into vmf, which works all the same.

. "${0%/*}/common.sh"

need_tree
builds "static" static --disable-shared && {
	[ -z "$(find "$scratch/static/plugins" -name '*.so')" ]
	result $? "static: no plugin is a shared object"
	ok "static: vmf lists its plugins" "$scratch/static/vmf" plugin list
	says "static: storage file-qcow2 is linked in" 'storage.*file-qcow2.*built-in'
	checks "static" static TESTS="tests/cli/examples.sh tests/cli/plugin.sh tests/system/demo.sh"
}
plan_now
