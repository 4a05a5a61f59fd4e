#!/bin/bash
# SPDX-License-Identifier: ISC
# Bad input: one clear line with the place or the object and what to do, the documented exit code, nothing changed.

. "${0%/*}/../lib.sh"
need_program qemu-system-x86_64 qemu-system-x86
need_program qemu-img qemu-utils

vms=$VMF_HOME/etc/vms
mkdir -p "$vms" "$VMF_HOME/etc/classes" "$scratch/plugins"
echo 'accel = "tcg"' >"$VMF_HOME/etc/vmf.conf"
run "$VMF" good create --disk 1M

# everything below a folder: names, kinds, modes and contents
snapshot()
{
	(cd "$1" && find . -printf '%p %y %m %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}

# bad NAME STATUS PATTERN COMMAND...: it fails with that status, its one line of error fits the pattern, it says what to
# do (there or in a hint), and the home folder is what it was
bad()
{
	local name=$1 expected=$2 pattern=$3 status

	shift 3
	snapshot "$VMF_HOME" >"$scratch/before"
	run timeout 30 "$@"
	status=$?
	[ $status = "$expected" ] || echo "exit status $status, not $expected" >>"$out"
	grep -v '^vmf: hint: ' "$out" | grep -c '^vmf: ' >"$scratch/lines"
	[ "$(cat "$scratch/lines")" = 1 ] || echo "not one line" >>"$out"
	grep -Eq -- "$pattern" "$out" || echo "no line fits: $pattern" >>"$out"
	snapshot "$VMF_HOME" | diff "$scratch/before" - >"$scratch/diff" || cat "$scratch/diff" >>"$out"
	[ $status = "$expected" ] && [ "$(cat "$scratch/lines")" = 1 ] && grep -Eq -- "$pattern" "$out" &&
		[ ! -s "$scratch/diff" ]
	result $? "$name"
}

# definition TEXT: of the VM "bad"
definition()
{
	printf '%b' "$1" >"$vms/bad.conf"
}

place="^vmf: $vms/bad\\.conf"

# ---- definitions ------------------------------------------------------------------------------------

definition 'memory = 1G\ncpus == 2\n'
bad "a syntax error" 3 "$place:2: " "$VMF" bad start
definition '# a comment\n\n/* another\n */ memroy = 1G // here\n'
bad "an unknown word" 3 "$place:4: .*memroy.*memory" "$VMF" bad start
definition 'disk "a" {\n\tsize = "1G"\n\tcolour = "red"\n}\n'
bad "an unknown word in a section" 3 "$place:3: .*colour" "$VMF" bad info
definition 'memory = 4Q\n'
bad "a unit that is none" 3 "$place:1: memory: .*unit" "$VMF" bad start
definition 'memory = 4T\nmemory = 4G\n'
bad "a word that is set twice" 3 "$place:2: .*line 1" "$VMF" bad status
definition 'cpus = 0x10\n'
bad "a number that is none" 3 "$place:1: cpus: " "$VMF" bad start
definition 'disk "a" {\n  bus = "virtio"\n'
bad "a brace that is missing" 3 "$place:[123]: " "$VMF" bad start
definition 'disk "a" { bus = "virtio" } }\n'
bad "a brace too many" 3 "$place:1: " "$VMF" bad start
definition 'description = "never ends\n'
bad "a quote that is missing" 3 "$place:1: " "$VMF" bad start
definition 'include("other.conf")\n'
bad "an include that is not there" 3 "$place:1: .*other\\.conf" "$VMF" bad start
definition 'include("bad.conf")\n'
bad "a file that includes itself" 3 "bad\\.conf:1: .*include" "$VMF" bad start
definition 'include("../classes/a.conf")\n'
echo 'include("../vms/bad.conf")' >"$VMF_HOME/etc/classes/a.conf"
bad "a circle of includes" 3 "conf:1: .*include" "$VMF" bad start
definition 'uuid = "1234"\n'
bad "an identity that is none" 3 "$place:1: uuid: " "$VMF" bad start
definition 'nic "a/b" { }\n'
bad "a title that is no name" 3 "$place:1: nic \"a/b\"" "$VMF" bad start
definition 'memory = 1G\0\n'
bad "a zero byte" 3 "$place" "$VMF" bad start
rm "$vms/bad.conf"
mkdir "$vms/bad.conf"
bad "a folder in place of a file" 3 "$place.*folder" "$VMF" bad start
rmdir "$vms/bad.conf"
definition 'storage = "nowhere"\n'
bad "a storage that is not defined" 3 'storage "nowhere"' "$VMF" bad start
definition 'nic "lan" { network = "nowhere" }\n'
bad "a network that is not defined" 3 'nic "lan".*network "nowhere"' "$VMF" bad start
definition 'disk "data" { }\n'
bad "a volume that is not there" 4 'disk "data".*"bad-data"' "$VMF" bad start
definition "kernel = \"$scratch/none\"\\n"
bad "a kernel that is not there" 4 "kernel: $scratch/none" "$VMF" bad start
definition "cdrom = \"$scratch\"\\n"
bad "a folder for an image" 3 "cdrom: $scratch" "$VMF" bad start
definition 'post = "/nowhere/post"\nuser = "nobody-at-all"\n'
if [ "$(id -u)" = 0 ]; then
	bad "a user that is not there" 3 'no user "nobody-at-all"' "$VMF" bad start
else
	skip "a user that is not there" "not possible here: it is for root"
fi
definition 'group = "nobody-at-all"\n'
bad "a group that is not there" 3 'no group "nobody-at-all"' "$VMF" bad start
definition 'display { vnc-unix { share = "x" } }\n'
bad "a plugin's option with a wrong value" 3 "$vms/bad\\.conf:1: share: .*ignore" "$VMF" bad start
definition 'display { vnc-unix { colour = "x" } }\n'
bad "an option that the plugin does not have" 3 "$vms/bad\\.conf:1: .*colour" "$VMF" bad start
definition 'display { vnc-unicks { } }\n'
bad "a plugin that is not there" 9 'display.*vnc-unicks' "$VMF" bad start
rm "$vms/bad.conf"

# ---- plugins ----------------------------------------------------------------------------------------

definition 'storage "s" { broken { } }\nstorage = "s"\ndisk "d" { }\n'
echo garbage >"$scratch/plugins/storage-broken.so"
bad "a plugin that is garbage" 1 'storage "s".*storage-broken\.so.*cannot be loaded' \
	env VMF_PLUGIN_PATH="$scratch/plugins:$VMF_PLUGIN_PATH" "$VMF" bad start
cp "$top_builddir/tests/badplugins/storage-wrong-major.so" "$scratch/plugins"
definition 'storage "s" { wrong-major { } }\nstorage = "s"\n'
bad "a plugin of another ABI" 1 'storage-wrong-major\.so.*ABI 2\.0.*this vmf has 1\.' \
	env VMF_PLUGIN_PATH="$scratch/plugins:$VMF_PLUGIN_PATH" "$VMF" bad start
cp "$top_builddir/tests/badplugins/storage-good.so" "$scratch/plugins"
chmod 666 "$scratch/plugins/storage-good.so"
definition 'storage "s" { good { } }\nstorage = "s"\n'
bad "a plugin that anybody may write to" 8 'storage-good\.so.*writ' \
	env VMF_PLUGIN_PATH="$scratch/plugins:$VMF_PLUGIN_PATH" "$VMF" bad start
rm "$vms/bad.conf"

# ---- names and command lines ------------------------------------------------------------------------

bad "a name with a slash" 2 '"a/b" is no name' "$VMF" a/b create
bad "a name that begins with a dot" 2 '"\.\./x" is no name' "$VMF" ../x create
bad "a name of control characters" 2 'is no name' "$VMF" $'a\eb' create
bad "a name that is too long" 2 'is no name' "$VMF" "$(printf 'a%.0s' {1..65})" create
bad "a VM that is not there" 4 'no vm "goood"' "$VMF" goood start
bad "a verb that is not there" 2 'no verb "strat"' "$VMF" good strat
bad "an option that is not there" 2 '--memroy' "$VMF" new create --memroy 1G
bad "a verb whose word -- takes the place of" 2 'disconnect wants' "$VMF" good disconnect --
bad "an option without its word" 2 '--memory wants' "$VMF" new create --memory
bad "a global option that is not there" 2 '--jsn' "$VMF" --jsn list
bad "-o without a value" 2 'memory: no KEY=VALUE' "$VMF" -o memory good status
bad "-o with a wrong value" 3 '-o: memory: ' "$VMF" -o memory=much good status
bad "-o with an unknown word" 3 'memroy.*memory' "$VMF" -o memroy=1G good status
bad "a size that is none" 2 '--disk: "5Q"' "$VMF" new create --disk 5Q
bad "a time that is none" 2 '--timeout: ' "$VMF" good wait off --timeout soon
bad "a state that is none" 2 '"of" is no state' "$VMF" good wait of
bad "the verb destroy without --yes" 2 'no terminal' "$VMF" good destroy
bad "a home that is a file" 2 "$VMF_HOME/etc/vmf\\.conf is not a folder" "$VMF" --home "$VMF_HOME/etc/vmf.conf" good create

# ---- this machine -----------------------------------------------------------------------------------

bad "QEMU is not there" 9 'no program "qemu-system-none"' "$VMF" -o qemu=qemu-system-none good start
long=$scratch/$(printf 'long%.0s' {1..20})
mkdir -p "$long/etc/vms"
echo 'accel = "tcg"' >"$long/etc/vmf.conf"
echo 'cpus = 1' >"$long/etc/vms/good.conf"
VMF_HOME=$long bad "a socket's path that is too long" 3 "a socket's path has at most 107 bytes" "$VMF" good start
mkdir "$scratch/small"
if mount -t tmpfs -o size=64k,mode=755 vmf-test "$scratch/small" 2>"$out"; then
	trap 'umount "$scratch/small"; cleanup' EXIT
	mkdir -p "$scratch/small/etc/vms" "$scratch/small/lib/images/.vmf" "$scratch/small/lib/journal" "$scratch/small/run"
	echo 'cpus = 1' >"$scratch/small/etc/vms/good.conf"
	VMF_HOME=$scratch/small run "$VMF" good create
	head -c 60k /dev/zero >"$scratch/small/full" 2>/dev/null
	cat /dev/zero >>"$scratch/small/full" 2>/dev/null
	VMF_HOME=$scratch/small bad "no space for a definition" 11 'No space left' "$VMF" new create
	VMF_HOME=$scratch/small bad "no space for a change" 11 'No space left' "$VMF" good set cpus=2
	VMF_HOME=$scratch/small bad "no space for a volume" 11 'No space left' "$VMF" good newimg 1M
else
	for name in definition change volume; do
		skip "no space for a $name" "not possible here: tmpfs cannot be mounted"
	done
fi
plan_now
