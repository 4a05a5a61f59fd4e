#!/bin/bash
# SPDX-License-Identifier: ISC
# plugin list, show and path: what there is, what is wrong with it, what it takes.

. "${0%/*}/../lib.sh"

bad=$top_builddir/tests/badplugins
mkdir "$scratch/first" "$scratch/second" "$scratch/none"
cp "$bad/storage-good.so" "$bad/storage-wrong-major.so" "$scratch/first" || exit 1
cp "$bad/storage-good.so" "$scratch/second"
echo garbage >"$scratch/second/network-garbage.so"
echo nothing >"$scratch/second/README"
# nothing but these two: no folder of the build's own plugins
export VMF_PLUGIN_PATH=$scratch/first:$scratch/second

ok "plugin path" "$VMF" plugin path
[ "$(head -n 2 "$out" | tr '\n' ' ')" = "$scratch/first $scratch/second " ]
result $? "VMF_PLUGIN_PATH comes first"
ok "plugin list" "$VMF" plugin list
says "a good one, its kind, name, version, state and path" "^storage	good	1	ok	$scratch/first/storage-good.so	-\$"
says "one that is shadowed, and by what" "^storage	good	-	shadowed	$scratch/second/storage-good.so	$scratch/first/storage-good.so comes first\$"
says "one of another ABI, and why" "^storage	wrong-major	-	broken	$scratch/first/storage-wrong-major.so	is made for plugin ABI 2\.0"
says "one that is none, and why" "^network	garbage	-	broken	$scratch/second/network-garbage.so	cannot be loaded: "
! grep -q README "$out"
result $? "other files are passed over"
ok "plugin list --names" "$VMF" plugin list --names
says "names what is there without loading it" '^network	garbage$'
"$VMF" --json plugin list >"$out" 2>&1
says "as JSON" '"kind":"storage","name":"good","state":"ok","version":"1","why":null,"path":"'

ok "plugin show" "$VMF" plugin show storage good
says "shows what it is" '^storage good 1: '
ok "the kind may be left out" "$VMF" plugin show good
fails "of a broken one" 1 "$VMF" plugin show storage wrong-major
says "says why" 'ABI 2\.0'
fails "of one that is not there" 9 "$VMF" plugin show storage goood
says "says which is meant" 'good'
fails "of a kind that is none" 2 "$VMF" plugin show storrage good
fails "too many words" 2 "$VMF" plugin show storage good again
fails "no such word" 2 "$VMF" plugin lits

export VMF_PLUGIN_PATH=$top_builddir/plugins/.libs
if [ -e "$VMF_PLUGIN_PATH/storage-file-qcow2.so" ]; then
	ok "a plugin with options" "$VMF" plugin show file-qcow2
	says "shows type and default" '^  format  .*enum: qcow2, raw; default qcow2'
	says "and what it needs" '^  qemu-img  '
	"$VMF" --json plugin show file-qcow2 >"$out" 2>&1
	says "as JSON" '"options":\[\{"name":"dir","type":"path"'
else
	for i in 1 2 3 4; do
		skip "a plugin with options ($i)" "not possible here: it was not built"
	done
fi

# where there are no plugins at all
cp "$VMF" "$scratch/none/vmf"
VMF_PLUGIN_PATH=$scratch/none run "$scratch/none/vmf" plugin list
if grep -q . "$out" && ! grep -q 'no plugins' "$out"; then
	skip "without any plugin it says so" "not possible here: plugins are linked in or installed"
else
	# shellcheck disable=SC2016 # not this shell's
	says "without any plugin it says so" '^vmf: there are no plugins; `vmf plugin path`'
fi
plan_now
