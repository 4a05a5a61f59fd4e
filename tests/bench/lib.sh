# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# What the measurements share: a vmf home of their own, VMs in it, the bare command line, libvirt beside it.
# `make bench` sets the variables; by hand, in the build folder after a `make bench`: bash ../tests/bench/NAME.sh

# shellcheck source=tests/lib.sh
. "${BASH_SOURCE[0]%/*}/../lib.sh"
bench=$top_builddir/tests/bench

# What runs has its sockets and state on a tmpfs, as it has below /run of most machines.
volatile=$scratch
for folder in /run /dev/shm; do
	if [ -w $folder ] && [ "$(stat -f -c %T $folder)" = tmpfs ]; then
		volatile=$(mktemp -d $folder/vmf.XXXXXX) || exit 1
		chmod 711 "$volatile"
		trap 'cleanup; rm -rf "$volatile"' EXIT
		break
	fi
done
bare=$volatile/bare # bare QEMU's sockets and logs

# home FOLDER: a home with nothing in it
home()
{
	mkdir -p "$1/etc/vms" "$1/lib/log"
	mkdir -m 711 "$volatile/run-${1##*/}"
	ln -s "$volatile/run-${1##*/}" "$1/run"
	printf '%s\n' 'accel = "tcg"' 'memory = "256M"' >"$1/etc/vmf.conf"
}
home "$VMF_HOME"
: "${PAIRS:=30}"

# pairs OPTION...: one line of the report; it is no failure if a target is missed, but it is if a command fails
pairs()
{
	"$bench/pairs" -n "$PAIRS" "$@" || exit 1
}

need()
{
	command -v "$1" >/dev/null || {
		echo "not measured: $1 is missing (Debian: $2)"
		exit 0
	}
}

# create VM [OPTION]...
create()
{
	"$VMF" "$@" >/dev/null || exit 1
}

# define COUNT [HOME]: so many definitions vm1, vm2, ..., as `create` writes them, without disks
define()
{
	local home=${2:-$VMF_HOME} i

	[ "$home" = "$VMF_HOME" ] || home "$home"
	for ((i = 1; i <= $1; i++)); do
		printf 'uuid = "%08x-5c1b-4c0e-9d53-3f1f7c2b8a60"\nmemory = "256M"\ncpus = "1"\n' "$i" \
			>"$home/etc/vms/vm$i.conf"
	done
}

# bare_command VM: writes QEMU's command line as vmf would use it into $bare/VM.args, a word a line, with its sockets
# and logs in a folder of their own; the QMP socket is $bare/VM/qmp
bare_command()
{
	local command words

	command=$("$VMF" "$1" info --command) || exit 1
	eval "words=($command)"
	mkdir -p "$bare/$1/q"
	printf '%s\n' "${words[@]}" |
		sed "s|$VMF_HOME/run/$1/|$bare/$1/|g; s|$VMF_HOME/lib/log/|$bare/$1/|g" >"$bare/$1.args"
}

# ---- libvirt ----------------------------------------------------------------------------------------

# libvirt_start: a libvirtd of our own, an unprivileged user's with all of its files in our folder; sets $virsh
libvirt_start()
{
	local dir=$scratch/libvirt user=() variable

	need virsh libvirt-clients
	need libvirtd libvirt-daemon-system
	mkdir -m 700 "$dir"
	echo 'auth_unix_rw = "none"' >"$dir/conf"
	chmod 644 "$dir/conf"
	if [ "$(id -u)" = 0 ]; then
		chown nobody "$dir"
		user=(setpriv --reuid=nobody --clear-groups)
	fi
	for variable in HOME XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME; do
		user=(env "$variable=$dir" "${user[@]}")
	done
	background "${user[@]}" libvirtd -f "$dir/conf" -p "$dir/pid"
	virsh="virsh -q -c qemu:///session?socket=$dir/libvirt/libvirt-sock"
	# shellcheck disable=SC2086 # words
	wait_for 20 $virsh list || {
		echo "not measured: libvirtd does not start: $(tail -n 1 "$scratch/background")"
		exit 0
	}
}

# libvirt_define COUNT: domains vm1, vm2, ... like those of define
libvirt_define()
{
	local i

	for ((i = 1; i <= $1; i++)); do
		cat >"$scratch/vm$i.xml" <<-END
			<domain type="qemu"><name>vm$i</name><memory unit="MiB">256</memory><vcpu>1</vcpu>
			<os><type arch="x86_64" machine="pc">hvm</type></os>
			<devices><emulator>$(command -v qemu-system-x86_64)</emulator></devices></domain>
		END
		echo "define $scratch/vm$i.xml"
	done >"$scratch/commands"
	# shellcheck disable=SC2086
	$virsh <"$scratch/commands" >"$out" 2>&1
	# shellcheck disable=SC2086
	[ "$($virsh list --all --name | grep -c .)" = "$1" ] || {
		echo "not measured: libvirt does not define $1 domains: $(grep -m 1 error "$out")"
		exit 0
	}
}
