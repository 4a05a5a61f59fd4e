#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Runs a command in the storage guest, a Linux with real LVM and ZFS, against the vmf that was just built. As usage() says.

usage()
{
	cat <<'EOF'
usage: tests/guest/storage/run.sh [OPTION...] [FILE...] -- COMMAND [ARGUMENT...]

Boots the storage guest once, as root runs COMMAND in it, and ends with the command's exit status. What the command
says comes out here while it runs, on the same two streams; it has no input. Example, in the build folder:

    ../tests/guest/storage/run.sh --lvm -- bash tests/storage/guest.sh

  --lvm             a guest without ZFS; its modules need not be built then
  --mem SIZE        memory (1G)
  --cpus N          processors (1)
  --disks N         empty disks: /dev/vda, /dev/vdb... (4)
  --disk-size SIZE  of each; they are sparse (1G)
  --timeout SECONDS for all of it, booting included (800)
  --console         show what the guest's kernel says, too, on standard error

In the guest, below /vmf, where the command starts:
  vmf, vmf-plugin-check, plugins/.libs/*.so   from VMF, VMF_PLUGIN_PATH and the folder of vmf; their libraries, too
  tests/lib.sh, tests/storage/                what is there in the source tree
  FILE...                                     by their path in the source tree, others by their name; programs work

There QEMU and its tools, lvm2, zfs, e2fsprogs, coreutils, jq... are installed and udevd runs;
/usr/share/vmf-guest/bootsector.img is a disk that boots (see bootsector.s). VMF_STORAGE_GUEST=yes is in the
environment, and VMF, VMF_PLUGIN_PATH, top_srcdir, top_builddir as `make check` sets them; VMF_LONG is passed on.

Exit status: the command's; 124 after the timeout; 125 if the guest did not get so far or its verdict is not clear.
EOF
}

# common.sh puts libraries beside those files in $root that need them
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 125
. "$here/../common.sh"

# die MESSAGE...
die()
{
	printf 'run.sh: %s\n' "$@" >&2
	exit 125
}

# ---- the command line -------------------------------------------------------------------------------

lvm='' memory=1G cpus=1 disks=4 disk_size=1G seconds=800 console=no
files=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	case $1 in
	--lvm) lvm=--lvm ;;
	--console) console=yes ;;
	--mem | --cpus | --disks | --disk-size | --timeout)
		[ $# -gt 1 ] || die "$1 wants a value behind it"
		case $1 in
		--mem) memory=$2 ;;
		--cpus) cpus=$2 ;;
		--disks) disks=$2 ;;
		--disk-size) disk_size=$2 ;;
		--timeout) seconds=$2 ;;
		esac
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	-*) die "$1 is not an option; --help tells them" ;;
	*) files+=("$1") ;;
	esac
	shift
done
[ $# -gt 1 ] || die "-- and a command are missing; --help tells more"
shift

: "${top_srcdir:=${here%/tests/guest/storage}}"
: "${VMF:=$PWD/vmf}"
: "${VMF_PLUGIN_PATH:=${VMF%/*}/plugins/.libs}"
[ -x "$VMF" ] || die "there is no $VMF: call it in the build folder, or set VMF"
command -v qemu-system-x86_64 >/dev/null || die "qemu-system-x86_64 is missing (Debian: qemu-system-x86)"

# ---- what is taken along ----------------------------------------------------------------------------

# shellcheck disable=SC2086 # an option or nothing
guest=$("$here/build.sh" $lvm) || exit 125
guest=${guest##*$'\n'}
work=$(mktemp -d "${TMPDIR:-/tmp}/vmf-guest.XXXXXX") || exit 125
qemu_pid=''
trap 'rm -rf "$work"' EXIT
trap 'stop 130' INT
trap 'stop 143' TERM HUP

# stop STATUS: QEMU ends by its pid, as timeout hands signals on
stop()
{
	trap '' INT TERM HUP
	if [ -n "$qemu_pid" ]; then
		kill "$qemu_pid" 2>/dev/null
		wait "$qemu_pid"
	fi
	exit "$1"
}

root=$work/files
take_along()
{
	local file target

	mkdir -p "$root/vmf/tests/storage" "$root/vmf/plugins/.libs"
	cp "$VMF" "$root/vmf/vmf"
	cp "$top_srcdir/tests/lib.sh" "$root/vmf/tests/"
	cp -R "$top_srcdir/tests/storage/." "$root/vmf/tests/storage/"
	for file in "${VMF%/*}/vmf-plugin-check" "$VMF_PLUGIN_PATH"/*.so; do
		[ ! -f "$file" ] || case $file in
		*.so) cp "$file" "$root/vmf/plugins/.libs/" ;;
		*) cp "$file" "$root/vmf/" ;;
		esac
	done
	for file in "${files[@]}"; do
		[ -e "$file" ] || die "there is no $file"
		target=$(realpath "$file")
		case $target in
		"$top_srcdir"/*) target=${target#"$top_srcdir"/} ;;
		*) target=${target##*/} ;;
		esac
		mkdir -p "$(dirname "$root/vmf/$target")"
		cp -R "$file" "$root/vmf/$target"
	done
	find "$root/vmf" -type f \( -perm -100 -o -name '*.so' \) >"$work/programs"
	mapfile -t files <"$work/programs"
	add_libraries "${files[@]}"
	{
		echo "export VMF_STORAGE_GUEST=yes VMF=/vmf/vmf VMF_PLUGIN_PATH=/vmf/plugins/.libs top_srcdir=/vmf top_builddir=/vmf"
		echo "export VMF_LONG=${VMF_LONG@Q}"
		echo "exec ${*@Q}"
	} >"$root/vmf/command"
	(cd "$root" && find . | "$guest/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$work/files.cpio"
}

set -E
trap 'die "what the guest needs could not be put together"' ERR
take_along "$@"
parts=("$guest/initrd")
[ -n "$lvm" ] || parts+=("$guest/zfs")
cat "${parts[@]}" "$work/files.cpio" >"$work/initrd"
trap - ERR

# ---- the machine ------------------------------------------------------------------------------------

# Streams go through pipes and cat: QEMU would cut a file that it opens, and leave a terminal in another mode.
exec {stdout}> >(exec cat)
stdout_pid=$!
exec {stderr}> >(exec cat >&2)
stderr_pid=$!

# shellcheck disable=SC2054 # the commas are for QEMU
machine=(-accel tcg -cpu max -smp "$cpus" -m "$memory" -nodefaults -no-user-config -display none -no-reboot
	-kernel "$guest/vmlinuz" -initrd "$work/initrd"
	-append "console=ttyS0 quiet mitigations=off no_timer_check nokaslr lsm= cryptomgr.notests panic=-1"
	-serial "file:$work/console" -serial "file:$work/verdict"
	-device isa-debug-exit,iobase=0x501,iosize=4 -device virtio-serial-pci
	-chardev "file,id=stdout,path=/dev/fd/$stdout" -device virtserialport,chardev=stdout,name=vmf.stdout
	-chardev "file,id=stderr,path=/dev/fd/$stderr" -device virtserialport,chardev=stderr,name=vmf.stderr)
for ((i = 0; i < disks; i++)); do
	truncate -s "$disk_size" "$work/disk$i" || exit 125
	machine+=(-drive "if=none,id=disk$i,file=$work/disk$i,format=raw,cache=unsafe,discard=unmap"
		-device "virtio-blk-pci,drive=disk$i,serial=disk$i")
done

# Should this shell be killed, the kernel ends timeout, and that QEMU.
setpriv --pdeathsig TERM timeout -k 5 "$seconds" qemu-system-x86_64 "${machine[@]}" </dev/null >"$work/qemu" 2>&1 &
qemu_pid=$!
exec {stdout}>&- {stderr}>&-
wait "$qemu_pid"
status=$?
qemu_pid=''
wait "$stdout_pid" "$stderr_pid"

# ---- the verdict ------------------------------------------------------------------------------------

# It comes by two ways: as a number on the second serial port, and as QEMU's exit status, of which the guest sets all but
# the lowest bit and the kernel keeps eight. A kernel that dies says nothing and ends QEMU otherwise.
verdict=$(tr -d '\r' <"$work/verdict" 2>/dev/null)
verdict=${verdict#status }

# tell WORDS: why there is no verdict, and what the guest's kernel and QEMU said
tell()
{
	echo "run.sh: $*"
	tail -n 40 "$work/console" "$work/qemu" 2>/dev/null | tr -cd '\11\12\40-\176'
} >&2

[ $console = no ] || tr -d '\r' <"$work/console" >&2
if [ $status = 124 ] || [ $status = 137 ]; then
	tell "the guest took longer than $seconds seconds"
	exit 124
fi
if ! [[ $verdict =~ ^[0-9]+$ ]] || [ $(((verdict * 2 + 1) & 255)) != $status ]; then
	tell "the guest ended without a verdict: QEMU's exit status $status, \"$verdict\" on its serial port"
	exit 125
fi
[ "$verdict" != 125 ] || tell "the guest could not be made ready"
exit "$verdict"
