#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Builds the storage guest: the kernel of the small test guest with LVM and ZFS, their programs, QEMU and the tools
# that tests use. Needs no root and installs nothing: what this machine lacks is fetched as packages of Debian and only
# unpacked, the rest is copied from this machine. What is built stays in a cache folder; see README.md.

set -eu
source_dir=$(cd "$(dirname "$0")" && pwd)
. "$source_dir/../common.sh"
. "$source_dir/packages.sh"
. "$source_dir/zfs.sh"

usage() {
	cat <<'EOF'
usage: tests/guest/storage/build.sh [--lvm] [--update]

Builds the storage guest and prints the folder that holds it.

  --lvm      without the modules of ZFS, which take minutes to build
  --update   fetch the newest packages and build again

The folder is "storage" in that of the small guest, see ../README.md.
EOF
}

# For lvcreate and what it loads, for machines and networks.
modules="virtio_pci virtio_blk virtio_console dm_mod dm_snapshot dm_thin_pool dm_mirror dm_raid raid1 dm_cache
	dm_cache_smq dm_crypt dm_zero fuse loop nbd tun bridge veth 8021q"

# Copied from this machine, which has them as it builds and tests vmf there; those after the bar if they are there.
programs="bash dash basename cat chmod chown cksum cmp comm cp cut date dd df diff dirname du echo env expr false find fmt
	grep egrep fgrep head id install kill ln ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc od paste printf pwd
	readlink realpath rm rmdir sed seq sha256sum sleep sort split stat stdbuf stty sync tac tail tar tee test timeout touch
	tr true truncate tty uname uniq wc xargs yes awk gzip blkid blockdev dmesg fallocate findmnt flock getopt losetup lsblk
	mount mountpoint partx prlimit setpriv setsid umount unshare wipefs ip
	mke2fs mkfs.ext4 dumpe2fs e2fsck fsck.ext4 resize2fs tune2fs qemu-system-x86_64 qemu-img qemu-io qemu-nbd
	| jq ps pgrep fuser hexdump xxd strace qemu-storage-daemon"

packages="lvm2 dmsetup dmeventd thin-provisioning-tools udev zfsutils-linux"

update=no
zfs=yes
for word; do
	case $word in
	--lvm) zfs=no ;;
	--update) update=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done

small_option=
[ $update = no ] || small_option=--update
small=$("$source_dir/../build.sh" $small_option | tail -n 1)
[ -n "$small" ]
dir=$small/storage

# What it is made from. The programs of this machine are told by size and time, which is quicker than reading them.
make_inputs() {
	inputs=$({
		cat "$source_dir/../common.sh"
		cd "$source_dir" && cat build.sh packages.sh zfs.sh init debug-exit.c bootsector.s etc/*
		sed -n 's/^kernel //p' "$small/version"
		for name in $programs; do
			! search "$name" || echo "$found"
		done | xargs stat -Lc '%n %s %Y'
	} | sha256sum)
	inputs=${inputs%% *}
}

# is_built PART...: whether the folder holds what these inputs give
is_built() {
	for part; do
		[ -s "$dir/$part" ] && [ "$(cat "$dir/$part.inputs" 2>/dev/null)" = "$inputs" ] || return 1
	done
}

parts=initrd
[ $zfs = no ] || parts="initrd zfs"

make_inputs
# shellcheck disable=SC2086 # words
if [ $update = no ] && is_built $parts; then
	echo "$dir"
	exit 0
fi

mkdir -p "$dir/packages"
[ -w "$dir" ] || die "cannot write to $dir" "choose another folder: VMF_GUEST_DIR=FOLDER $0"
for program in dpkg-deb flock gcc as ld; do
	command -v $program >/dev/null ||
		die "$program is missing" "the guest is built on Debian, with its packages gcc and binutils"
done

exec 9>"$dir/.lock"
flock -n 9 || {
	say "another build is running in $dir, waiting for it"
	flock 9
}
# shellcheck disable=SC2086
if [ $update = no ] && is_built $parts; then
	echo "$dir"
	exit 0
fi

rm -rf "$dir"/.build.*
work=$(mktemp -d "$dir/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The packages, and the libraries that they need and this machine lacks.
fetch_packages() {
	lacks=$update
	for name in $packages; do
		package "${name}_*.deb" >/dev/null || lacks=yes
	done
	[ $lacks = yes ] || return 0
	use_own_lists
	# shellcheck disable=SC2046,SC2086 # words
	fetch $(with_libraries $packages)
}

# The kernel is the small guest's.
find_kernel() {
	kernel_deb=$small/packages/$(sed -n 's/^kernel //p' "$small/version").deb
	[ -e "$kernel_deb" ] || die "$kernel_deb is gone" "try: $source_dir/../build.sh --update"
	mkdir "$work/kernel"
	dpkg-deb -x "$kernel_deb" "$work/kernel"
	version=$(basename "$work"/kernel/lib/modules/*)
}

# Unpacks kept packages to $root, with bin, sbin and lib below usr.
unpack() {
	for name; do
		rm -rf "$work/unpacked"
		dpkg-deb -x "$name" "$work/unpacked"
		for folder in bin sbin lib lib64; do
			[ ! -d "$work/unpacked/$folder" ] || {
				mkdir -p "$root/usr/$folder"
				cp -a "$work/unpacked/$folder/." "$root/usr/$folder/"
			}
		done
		[ ! -d "$work/unpacked/etc" ] || cp -a "$work/unpacked/etc/." "$root/etc/"
		[ ! -d "$work/unpacked/usr" ] || cp -a "$work/unpacked/usr/." "$root/usr/"
	done
	(cd "$root/usr" && rm -rf share/doc share/man share/locale share/lintian share/bug share/bash-completion \
		share/zsh share/initramfs-tools share/pkgconfig lib/systemd/system lib/systemd/network lib/udev/hwdb.d)
	# Rules for other than disks would only cost time.
	find "$root/usr/lib/udev/rules.d" -name '*.rules' ! -name 50-udev-default.rules ! -name '*-dm*.rules' \
		! -name '*-lvm.rules' ! -name 60-block.rules ! -name 60-persistent-storage.rules ! -name 60-zvol.rules \
		! -name 69-vdev.rules ! -name 90-zfs.rules -exec rm {} +
}

# What all of them need of libraries, and what pthread_cancel() opens by its name.
add_needed() {
	# shellcheck disable=SC2046 # none has a blank
	add_libraries $(find "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" -type f \( -perm -100 -o -name '*.so*' \))
	cp -L "$(gcc -print-file-name=libgcc_s.so.1)" "$root/usr/lib/x86_64-linux-gnu/"
}

add_programs() {
	optional=no
	for name in $programs; do
		[ "$name" != '|' ] || {
			optional=yes
			continue
		}
		search "$name" || {
			[ $optional = yes ] || die "$name is missing" "it comes with the packages that tests/packages names"
			continue
		}
		cp -L "$found" "$root/usr/bin/$name"
	done
	mv "$root/usr/bin/dash" "$root/usr/bin/sh"
	mkdir -p "$root/usr/share/qemu" "$root/usr/share/seabios" "$root/usr/lib/x86_64-linux-gnu/qemu"
	for file in /usr/share/seabios/bios-256k.bin /usr/share/seabios/vgabios-*.bin /usr/share/qemu/kvmvapic.bin \
		/usr/share/qemu/linuxboot_dma.bin /usr/share/qemu/keymaps /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so; do
		[ ! -e "$file" ] || cp -r "$file" "$root$file"
	done
}

# archive FOLDER FILE: an uncompressed one, so that more can be put behind it
archive() {
	chmod -R u=rwX,go=rX "$1"
	(cd "$1" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$2"
}

build_base() {
	say "putting together what is in it"
	mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib/modules/$version" "$root/usr/lib64" "$root/etc" "$root/dev" \
		"$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/mnt" "$root/root" "$root/var/lib" "$root/usr/share/vmf-guest"
	for name in bin sbin lib lib64; do
		ln -s usr/$name "$root/$name"
	done
	ln -s ../run "$root/var/run"
	unpack "$dir"/packages/*.deb
	add_programs
	rm -rf "$work/unpacked"
	dpkg-deb -x "$small"/packages/busybox-static_*.deb "$work/unpacked"
	busybox=$(find "$work/unpacked" -path '*bin/busybox')
	cp "$busybox" "$root/usr/bin/busybox"
	for name in depmod insmod less lsmod modprobe nc ping poweroff reboot rmmod vi; do
		ln -s ../bin/busybox "$root/usr/sbin/$name"
	done
	cp -R "$source_dir/etc/." "$root/etc"
	cp "$source_dir/init" "$root/init"
	gcc -O1 -o "$root/usr/sbin/debug-exit" "$source_dir/debug-exit.c"
	as --32 -o "$work/bootsector.o" "$source_dir/bootsector.s"
	ld -m elf_i386 -Ttext 0x7c00 -e 0 --oformat binary -o "$work/bootsector.img" "$work/bootsector.o"
	truncate -s 1M "$work/bootsector.img"
	cp "$work/bootsector.img" "$root/usr/share/vmf-guest/"
	add_needed
	for name in $modules; do
		add_module "$name"
	done
	"$busybox" depmod -b "$root" "$version"
	archive "$root" "$work/initrd"
}

# The modules and the table of all modules, to be put behind the rest.
build_zfs() {
	zfs_version=$(dpkg-deb -f "$(package 'zfsutils-linux_*.deb')" Version)
	kept=$dir/modules/${version}_$(kernel_version)_zfs_$zfs_version
	[ -d "$kept" ] || build_modules "$kept"
	say "adding ZFS $zfs_version"
	cp -R "$kept" "$work/kernel/lib/modules/$version/zfs"
	base=$root/usr/lib/modules/$version
	mkdir -p "$work/zfs/usr/lib/modules/$version"
	touch "$work/before"
	add_module zfs
	"$busybox" depmod -b "$root" "$version"
	find "$base" -type f -newer "$work/before" -exec cp {} "$work/zfs/usr/lib/modules/$version/" \;
	archive "$work/zfs" "$work/zfs.cpio"
}

root=$work/root
find_kernel
fetch_packages
build_base
[ $zfs = no ] || build_zfs

# The names of inputs go first and come last: without them a part does not count as built.
rm -f "$dir/initrd.inputs" "$dir/zfs.inputs"
cp "$busybox" "$dir/busybox"
mv "$work/initrd" "$work/bootsector.img" "$dir/"
cp "$work/kernel/boot/vmlinuz-$version" "$work/vmlinuz"
mv "$work/vmlinuz" "$dir/"
echo "$inputs" >"$dir/initrd.inputs"
if [ $zfs = yes ]; then
	mv "$work/zfs.cpio" "$dir/zfs"
	echo "$inputs" >"$dir/zfs.inputs"
fi
say "built with kernel $version: $(du -k "$dir/initrd" | cut -f1) KiB"
echo "$dir"
