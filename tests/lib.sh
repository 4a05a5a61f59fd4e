# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What tests that are written in bash share: TAP, a vmf home of their own, the test guest, waiting, and the
# proof that nothing was left behind. At a test's top, after its SPDX line and its purpose:
#
#	. "${0%/*}/../lib.sh"
#	plan 3
#	need_guest
#	ok "a VM is made" "$VMF" web0 create
#	says "its name is shown" '^web0'
#	fails "a second one of that name is refused" 5 "$VMF" web0 create
#
# `make check` sets the variables; by hand, in the build folder: bash ../tests/system/NAME.sh

: "${top_srcdir:=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}"
: "${top_builddir:=$PWD}"
: "${VMF:=$top_builddir/vmf}"
: "${VMF_PLUGIN_PATH:=$top_builddir/plugins/.libs}"
export VMF VMF_PLUGIN_PATH LC_ALL=C
unset VMF_FAULT XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME

# Short, as a unix socket's path ends at 107 characters; QEMU, perhaps another user, must walk through it.
scratch=$(mktemp -d /tmp/vmf.XXXXXX) || exit 1
chmod 711 "$scratch"
out=$scratch/out # what the last command of ok, fails or run said
export VMF_HOME=$scratch/h
mkdir -m 755 "$VMF_HOME"

# ---- TAP --------------------------------------------------------------------------------------------

test_number=0
test_failures=0
: >"$out"

# plan N: how many results will come. Or, where only the end tells: plan_now as the last line.
plan()
{
	echo "1..$1"
}

plan_now()
{
	plan "$test_number"
}

# result STATUS NAME: one result; 0 is good, else $out is shown
result()
{
	test_number=$((test_number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $test_number - $2"
		return 0
	fi
	test_failures=$((test_failures + 1))
	echo "not ok $test_number - $2"
	# of a whole test suite also what of it failed
	{ head -n -60 "$out" | grep -E -m 20 '^(FAIL|ERROR): ' && tail -n 60 "$out"; } >"$out.shown" 2>/dev/null ||
		tail -n 60 "$out" >"$out.shown"
	tr -cd '\11\12\40-\176' <"$out.shown" | sed 's/^/# /'
	return 1
}

# run COMMAND...: runs it with its output in $out and no input
run()
{
	"$@" >"$out" 2>&1 </dev/null
}

# ok NAME COMMAND...: it must succeed
ok()
{
	local name=$1 status

	shift
	run "$@"
	status=$?
	[ $status = 0 ] || echo "exit status $status: $*" >>"$out"
	result $status "$name"
}

# fails NAME STATUS COMMAND...: it must end with that exit status
fails()
{
	local name=$1 expected=$2 status

	shift 2
	run "$@"
	status=$?
	[ $status = "$expected" ] || echo "exit status $status, not $expected: $*" >>"$out"
	[ $status = "$expected" ]
	result $? "$name"
}

# says NAME PATTERN: a line of $out fits the (extended) pattern
says()
{
	grep -Eq -- "$2" "$out" || {
		echo "no line fits: $2" >>"$out"
		false
	}
	result $? "$1"
}

# A reason that begins with "not possible here:" is for what this kernel or machine cannot do. All others are
# for what could be installed or switched on; `./autogen.sh --check` takes those as failures.

# skip NAME REASON: one result that could not be had
skip()
{
	test_number=$((test_number + 1))
	echo "ok $test_number - $1 # SKIP $2"
}

# skip_all REASON: in place of a plan
skip_all()
{
	echo "1..0 # SKIP $1"
	exit 0
}

# need_program PROGRAM PACKAGE
need_program()
{
	command -v "$1" >/dev/null || skip_all "$1 is missing (Debian: $2)"
}

# ---- the guest --------------------------------------------------------------------------------------

# need_guest: builds the test guest unless it is there. Every VM of this home then has it: it boots to a root
# shell on its serial port; see tests/guest/README.md.
need_guest()
{
	need_program qemu-system-x86_64 qemu-system-x86
	guest_dir=$("$top_srcdir/tests/guest/build.sh" 2>"$out") ||
		skip_all "no test guest: $(grep -v '^guest:   ' "$out" | tail -n 2 | tr '\n' ' ')"
	mkdir -p "$VMF_HOME/etc/classes"
	cat >"$VMF_HOME/etc/classes/default.conf" <<-END
		accel = "tcg"
		memory = "128M"
		kernel = "$guest_dir/vmlinuz"
		initrd = "$guest_dir/initrd"
		append = "$guest_append"
	END
}
guest_append="console=tty0 console=ttyS0 quiet mitigations=off no_timer_check"

# guest_ready VM [SECONDS]: waits for its prompt; the empty line brings one forth that was printed before
guest_ready()
{
	echo | "$VMF" "$1" console --until 'vmf-guest:~# ' --timeout "${2:-60}s" >/dev/null
}

# guest VM COMMAND [SECONDS]: types it on the VM's serial port and prints what it says. Its status is the command's,
# or 125 if there was no answer. What the terminal echoes does not fit the marks: they are typed in two halves.
guest()
{
	local mark=m$RANDOM$RANDOM text

	text=$(echo "echo '<'$mark; { $2; } 2>&1; echo \$? '>'$mark" |
		"$VMF" "$1" console --until ">$mark" --timeout "${3:-30}s" | tr -d '\r') || return 125
	sed -n "/^<$mark\$/,/ >$mark/p" <<<"$text" | sed -e 1d -e '$d'
	text=${text% ">$mark"*}
	return "${text##*[!0-9]}"
}

# in_storage_guest [OPTION...] TEST: runs a test of tests/storage/ in the guest that has LVM and ZFS (the options are
# those of tests/guest/storage/run.sh); its results are those of the test that calls this, which ends with it.
in_storage_guest()
{
	local lvm=

	need_program qemu-system-x86_64 qemu-system-x86
	need_program gcc gcc
	[ "$(uname -m)" = x86_64 ] || skip_all "not possible here: the storage guest is for amd64, and this is $(uname -m)"
	case " $* " in *" --lvm "*) lvm=--lvm ;; esac
	# shellcheck disable=SC2086 # an option or nothing
	"$top_srcdir/tests/guest/storage/build.sh" $lvm >"$out" 2>&1 ||
		skip_all "no storage guest: $(grep -v '^guest:   ' "$out" | tail -n 2 | tr '\n' ' ')"
	"$top_srcdir/tests/guest/storage/run.sh" "${@:1:$#-1}" -- bash "${@: -1}"
	exit $?
}

# ---- waiting ----------------------------------------------------------------------------------------

# wait_for SECONDS COMMAND...: until it succeeds
wait_for()
{
	local end=$((SECONDS + $1))

	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# wait_text SECONDS FILE TEXT
wait_text()
{
	wait_for "$1" grep -qF -- "$3" "$2"
}

# ---- kills -------------------------------------------------------------------------------------------

# each_point WHAT PREPARE CHECK VM WORD...: until no point is left, at N = 1, 2, ..., PREPARE puts the world as it is
# before, the words are run with a SIGKILL at the Nth point that they pass, the next command puts things right, and CHECK
# says whether all is well.
each_point()
{
	local what=$1 prepare=$2 check=$3 n=0 status

	shift 3
	while :; do
		n=$((n + 1))
		$prepare >"$out" 2>&1 || {
			result 1 "$what: preparation before point $n"
			return
		}
		{ VMF_FAULT=kill:$n "$VMF" "$@" >"$out" 2>&1 </dev/null; } 2>/dev/null
		status=$?
		[ $status = 137 ] || break
		"$VMF" "$1" status >>"$out" 2>&1 </dev/null
		$check >>"$out" 2>&1
		result $? "$what killed at point $n"
	done
	[ $status = 0 ] && [ $n -gt 3 ]
	result $? "$what: without a kill it succeeds, after $((n - 1)) points"
}

# each_fault WHAT PREPARE CHECK VM WORD...: the same with points that fail, until some in a row are not noticed
each_fault()
{
	local what=$1 prepare=$2 check=$3 n=0 faults=0 passed=0

	shift 3
	while [ $passed -lt 3 ]; do
		n=$((n + 1))
		passed=$((passed + 1))
		$prepare >"$out" 2>&1 || {
			result 1 "$what: preparation before fault $n"
			return
		}
		VMF_FAULT=fail:$n "$VMF" "$@" >"$out" 2>&1 </dev/null && continue
		faults=$((faults + 1))
		passed=0
		"$VMF" "$1" status >>"$out" 2>&1 </dev/null
		$check >>"$out" 2>&1
		result $? "$what: a fault at point $n"
	done
	[ $faults -gt 2 ]
	result $? "$what: $faults faults"
}

# each_message WHAT PREPARE CHECK VM WORD...: the same with a SIGKILL before each message to QEMU
each_message()
{
	local what=$1 prepare=$2 check=$3 n=0 status

	shift 3
	while :; do
		n=$((n + 1))
		$prepare >"$out" 2>&1 || {
			result 1 "$what: preparation before message $n"
			return
		}
		{ strace -qq -o /dev/null -e trace=sendmsg -e "inject=sendmsg:signal=KILL:when=$n" \
			"$VMF" "$@" >"$out" 2>&1 </dev/null; } 2>/dev/null
		status=$?
		[ $status = 137 ] || break
		"$VMF" "$1" status >>"$out" 2>&1 </dev/null
		$check >>"$out" 2>&1
		result $? "$what: killed before message $n"
	done
	[ $status = 0 ] && [ $n -gt 2 ]
	result $? "$what: without a kill it succeeds, after $((n - 1)) messages"
}

# ---- what is left behind ----------------------------------------------------------------------------

# world: what there is now and should not be left by a test that tidies up: processes with a file of this home open,
# sockets, run folders; network links of a namespace of its own.
world()
{
	local pid

	for pid in $(find /proc/[0-9]*/fd -lname "$VMF_HOME/*" -printf '%h\n' 2>/dev/null | sort -u); do
		pid=${pid#/proc/}
		pid=${pid%/fd}
		echo "process $(cat "/proc/$pid/comm" 2>/dev/null) $pid"
	done
	grep -oF "$VMF_HOME/"'.*' /proc/net/unix | sed 's/^/socket /' | sort -u
	find "$VMF_HOME/run" -mindepth 1 -printf 'file %p\n' 2>/dev/null | sort
	# other tests make links of the host, too
	[ -z "${VMF_NETNS-}" ] || sed -n 's/^ *\([^:]*\):.*/link \1/p' /proc/net/dev | sort
}

# world_save, then later: ok "nothing is left" world_same
world_save()
{
	world >"$scratch/world"
}

world_same()
{
	world | diff "$scratch/world" -
}

# background COMMAND...: runs it in the background, its output in $scratch/background; ended with the test
background()
{
	"$@" >"$scratch/background" 2>&1 </dev/null &
	background_pids="$background_pids $!"
}
background_pids=

# Ends what this test started, and nothing else: by pid, and only while it holds a file of this home.
cleanup()
{
	local vm pid file

	# shellcheck disable=SC2086 # a list
	[ -z "$background_pids" ] || kill $background_pids 2>/dev/null
	for file in "$VMF_HOME"/run/*/pid; do
		[ -s "$file" ] || continue
		pid=$(cat "$file")
		vm=${file%/pid}
		timeout 20 "$VMF" "${vm##*/}" kill >/dev/null 2>&1 </dev/null
		if find "/proc/$pid/fd" -lname "$VMF_HOME/*" 2>/dev/null | grep -q .; then
			kill -9 "$pid"
		fi
	done
	rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
