# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What the tests of storage.sh and volumes.sh share: storages in folders, what `drives` says, and words that are refused.

need_program qemu-img qemu-utils
need_program qemu-io qemu-utils
need_program qemu-system-x86_64 qemu-system-x86
need_program jq jq

images=$VMF_HOME/lib/images
mkdir -p "$VMF_HOME/etc" "$scratch/plugins" "$scratch/other" "$scratch/raw"
cat >"$VMF_HOME/etc/vmf.conf" <<END
accel = "tcg"
storage "other" { file-qcow2 { dir = "$scratch/other" } }
storage "flat" { file-qcow2 { dir = "$scratch/raw" format = "raw" } }
storage "again" { file-qcow2 { dir = "$images" } }
END

# field VM DISK KEY: of what drives says
field()
{
	"$VMF" --json "$1" drives | jq -r --arg d "$2" ".drives[] | select(.disk == \$d) | .$3"
}

# is VM DISK KEY VALUE
is()
{
	local value

	value=$(field "$1" "$2" "$3")
	[ "$value" = "$4" ] || { echo "$3 of disk $2 is $value, not $4" && false; }
}

# everything of the home and the stores but run folders: names, modes and contents
snapshot()
{
	(cd "$scratch" && find h/etc h/lib other raw -printf '%p %y %m\n' | sort &&
		find h/etc h/lib other raw -type f -exec sha256sum {} + | sort)
}

# bad NAME STATUS PATTERN WORD...: vmf fails with that status, one line fits the pattern, nothing is changed
bad()
{
	local name=$1 expected=$2 pattern=$3 status

	shift 3
	snapshot >"$scratch/before"
	run "$VMF" "$@"
	status=$?
	[ $status = "$expected" ] || echo "exit status $status, not $expected" >>"$out"
	[ "$(grep -v '^vmf: hint: ' "$out" | grep -c '^vmf: ')" = 1 ] || echo "not one line" >>"$out"
	grep -Eq -- "$pattern" "$out" || echo "no line fits: $pattern" >>"$out"
	snapshot | diff "$scratch/before" - >"$scratch/diff" || cat "$scratch/diff" >>"$out"
	[ $status = "$expected" ] && [ "$(grep -v '^vmf: hint: ' "$out" | grep -c '^vmf: ')" = 1 ] &&
		grep -Eq -- "$pattern" "$out" && [ ! -s "$scratch/diff" ]
	result $? "$name"
}
