#!/bin/sh
# SPDX-License-Identifier: ISC
#
# ./autogen.sh makes configure. With --demo or --check it goes all the way: from a bare Debian to a running
# VM, or to the verdict of every test. Neither needs a terminal nor asks anything but sudo's password.

set -eu

usage() {
	cat <<'END'
usage: ./autogen.sh            makes ./configure (needs autoconf, automake and libtool)
       ./autogen.sh --demo     installs what is missing, builds vmf, boots a small VM and takes you to its console
       ./autogen.sh --check    the same set-up, then every test; the last line is "N passed, N failed, N skipped"

  --build DIR   build in DIR (default: here if configured here, else in build/)
  --help        this

What is installed stands in tests/packages. Nothing else of the machine is changed: what is built stays in the
build folder, the test guest in ~/.cache/vmf/guest, and the demo VM in ~/.local/share/vmf-demo (root: /var/lib/vmf-demo).
END
}

say() {
	printf '\n== %s\n' "$*"
}

# die MESSAGE [REMEDY]
die() {
	printf 'autogen.sh: %s\n' "$@" >&2
	exit 1
}

here=$(pwd)
cd "$(dirname "$0")"
source_dir=$(pwd)
: "${HOME:=$(getent passwd "$(id -u)" | cut -d: -f6)}"
export HOME
# of a make that may run us
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

has_terminal() {
	[ -t 0 ] && [ -t 1 ]
}

# quietly LOG COMMAND...: its output goes to the log, and is shown if it fails
quietly() {
	log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null || {
		status=$?
		tail -n 40 "$log" >&2
		die "failed with $status: $*" "all it said is in $log"
	}
}

# ---- packages ---------------------------------------------------------------------------------------

# missing KIND...: packages that are not installed, one a line with what it is for
missing() {
	for kind; do
		grep "^$kind " tests/packages
	done | while read -r kind package why; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
		[ "$status" = installed ] || printf '%-6s %-20s %s\n' "$kind" "$package" "$why"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif has_terminal; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

# install KIND...: what is missing; says what and why
install() {
	if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
		say "this is not Debian: the packages that do the same as these must be there"
		for kind; do
			grep "^$kind " tests/packages
		done
		return
	fi
	list=$(missing "$@")
	[ -n "$list" ] || return 0
	say "missing packages"
	echo "$list"
	packages=$(echo "$list" | awk '{ print $2 }' | tr '\n' ' ')
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "you are not root and there is no sudo" "as root: apt-get install $packages"
		has_terminal || sudo -n true 2>/dev/null ||
			die "sudo wants a password and there is no terminal to ask for it" "first: sudo apt-get install $packages"
	fi
	say "installing them"
	# shellcheck disable=SC2086 # a list
	apt-cache show $packages >/dev/null 2>&1 || apt update || die "apt-get cannot fetch its lists" "is there a network?"
	# shellcheck disable=SC2086
	apt install --no-install-recommends $packages || {
		say "perhaps apt's lists are old: fetching them, then once more"
		{ apt update && apt install --no-install-recommends $packages; } ||
			die "apt-get could not install all of: $packages" "its words are above"
	}
}

# The guest comes as packages, too: they are fetched without being installed, for which apt needs its lists.
guest() {
	say "the test guest"
	if tests/guest/build.sh >"$build/guest.log" 2>&1; then
		guest_dir=$(tail -n 1 "$build/guest.log")
		return
	fi
	if command -v apt-get >/dev/null && apt update >"$build/apt.log" 2>&1; then
		guest_dir=$(tests/guest/build.sh) && return
	else
		cat "$build/guest.log" >&2
	fi
	die "the test guest could not be built"
}

# ---- building ---------------------------------------------------------------------------------------

make_configure() {
	for program in autoreconf aclocal libtoolize pkg-config; do
		command -v $program >/dev/null ||
			die "$program is missing" "Debian: apt-get install autoconf automake libtool pkg-config"
	done
	# Libtool's macros first. autoreconf runs aclocal, copies them, and runs aclocal again; with both in one second autom4te
	# takes what it has kept of the first for the second, and the macros would be in no tarball.
	aclocal -I m4 && libtoolize --copy --force && rm -rf autom4te.cache && autoreconf -fi
}

# Whether ./configure is there and no older than what it is made from; make looks after the rest.
is_current() {
	[ -x configure ] && [ -e Makefile.in ] && [ -e build-aux/tap-driver.sh ] &&
		[ -z "$(find configure.ac m4/vmf-*.m4 -newer configure)" ]
}

build() {
	if [ -z "$build" ]; then
		build=$source_dir/build
		[ ! -e config.status ] || build=$source_dir
	fi
	mkdir -p "$build"
	jobs=$(nproc 2>/dev/null || echo 1)
	if ! is_current; then
		say "making configure"
		quietly "$build/autoreconf.log" make_configure
	fi
	if [ ! -x "$build/config.status" ] || [ ! -e "$build/Makefile" ]; then
		say "configuring in $build"
		quietly "$build/configure.log" configure
		sed -n '/^  plugin  *asked/,$p' "$build/configure.log"
	fi
	say "building"
	quietly "$build/make.log" make -C "$build" -j"$jobs"
	[ -x "$build/vmf" ] || die "no $build/vmf was built" "what make said is in $build/make.log"
}

configure() {
	# in tree by a relative path, as a person does it
	(cd "$build" && if [ "$build" = "$source_dir" ]; then ./configure; else "$source_dir/configure"; fi)
}

# ---- the demo ---------------------------------------------------------------------------------------

demo_vmf() {
	"$build/vmf" -C "$demo_home" demo0 "$@"
}

# The VM is made once; its settings may be older than this script, or its making may have been cut short.
demo_define() {
	status=0
	state=$(demo_vmf status 2>/dev/null </dev/null) || status=$?
	[ "$status" != 4 ] || demo_vmf create --memory 128M --disk 64M </dev/null
	case $state in
	*running* | *paused* | *hung*) return ;;
	esac
	# TCG runs everywhere, also in a VM whose /dev/kvm only looks usable
	demo_vmf set accel=tcg "description=the demo of vmf" "kernel=$guest_dir/vmlinuz" "initrd=$guest_dir/initrd" \
		"append=console=tty0 console=ttyS0 quiet mitigations=off no_timer_check" nic.lan.user-mode.hostfwd=0:80 </dev/null >/dev/null
}

demo_hints() {
	program=$build/vmf
	case $program in "$here"/*) program=./${program#"$here"/} ;; esac
	vmf="$program -C $demo_home"
	cat <<END

You will be at the serial console of demo0, a root shell. To leave it press ^] (Ctrl and ]): the VM goes on.
Then, or in another terminal, try

  $vmf demo0 info            # all about it: QEMU, disk, network, display
  $vmf demo0 save start      # its memory to disk and back: "ticks" in it goes on counting
  $vmf demo0 console         # back to it

  $vmf demo0 stop            # ends it
  $vmf demo0 destroy --yes   # removes it, and all that was made for it

END
}

demo() {
	install build run
	build
	guest
	# root's QEMU runs as an ordinary user, who cannot enter /root
	data=$HOME/.local/share
	[ "$(id -u)" != 0 ] || data=/var/lib
	demo_home=${XDG_DATA_HOME:-$data}/vmf-demo
	say "a VM named demo0 in $demo_home"
	mkdir -p "$demo_home"
	demo_define
	history=
	case $(demo_vmf status 2>/dev/null </dev/null || :) in
	*running*) history="--history 40" ;;
	*paused*) demo_vmf resume </dev/null ;;
	*) demo_vmf start </dev/null ;;
	esac
	if has_terminal; then
		demo_hints
		# shellcheck disable=SC2086 # words
		demo_vmf console $history
		say "demo0 is still there; to end and remove it: $vmf demo0 stop destroy --yes"
		return
	fi
	# an empty line, in case that the prompt was printed before
	echo | demo_vmf console --until 'vmf-guest:~# ' --timeout 120s
	echo
	say "no terminal: stopping demo0"
	demo_vmf stop </dev/null
}

# ---- the tests --------------------------------------------------------------------------------------

# Counts come from the .trs files that automake's TAP driver leaves beside each test, names from its .log.

# count RESULT...: of all tests that were run
count() {
	n=0
	for result; do
		n=$((n + $(find "$build/tests" -name '*.trs' -exec grep -hx ":test-result: $result" {} + | wc -l)))
	done
	echo $n
}

# show RESULT...: the lines of those results
show() {
	pattern=$(echo "$@" | tr ' ' '|')
	find "$build/tests" -name '*.log' -exec grep -ahE "^($pattern): " {} + | LC_ALL=C sort
}

# make_check OPTION...: make's status counts only if no test's result tells of the failure
make_check() {
	make -C "$build" -k "$@" </dev/null || make_failed="$make_failed
make $*"
}

verdict() {
	passed=$(count PASS XFAIL)
	failed=$(count FAIL XPASS ERROR)
	skipped=$(count SKIP)
	status=0
	if [ "$failed" != 0 ]; then
		say "failed (each test's .log, in $build/tests, has all that it said)"
		show FAIL XPASS ERROR
		status=1
	elif [ -n "$make_failed" ] || [ "$passed" = 0 ]; then
		say "failed without a test's failure:$make_failed"
		failed=1 status=1
	fi
	if [ "$skipped" != 0 ]; then
		say "skipped"
		show SKIP
		if show SKIP | grep -Eqv '(# SKIP| -) not possible here:'; then
			echo "Those whose reason is not \"not possible here\" could have been run: the whole has failed."
			status=1
		fi
	fi
	say "all tests"
	trap - EXIT
	echo "$passed passed, $failed failed, $skipped skipped"
	return "$status"
}

check() {
	# also of what does not even build
	trap 'echo; echo "0 passed, 1 failed, 0 skipped"' EXIT
	install build run test
	build
	guest
	find "$build" -path "$build/tests/*" \( -name '*.trs' -o -name '*.log' \) -exec rm -f {} +
	make_failed=
	say "tests"
	# a test that hangs is ended: on a machine of its own nobody is there to do it
	make_check -j"$jobs" check-all TEST_WRAPPER="timeout -k 60 900"
	say "builds of all kinds, analysers, fuzzing"
	make_check check-build TEST_WRAPPER="timeout -k 60 1500"
	verdict
}

# ---- the command line -------------------------------------------------------------------------------

what=configure
build=
while [ $# -gt 0 ]; do
	case $1 in
	--demo) what=demo ;;
	--check) what=check ;;
	--build)
		[ $# -gt 1 ] || die "--build wants a folder behind it"
		shift
		case $1 in /*) build=$1 ;; *) build=$here/$1 ;; esac
		;;
	--build=*)
		build=${1#*=}
		case $build in /*) ;; *) build=$here/$build ;; esac
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
case $what in
configure) make_configure ;;
*) $what ;;
esac
