#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Builds the demo and test guest, a kernel and an initial RAM disk, from two packages of Debian: the cloud
# kernel and busybox-static. Needs no root and installs nothing. What is built stays in a cache folder and is
# built again only when this folder's files change, or with --update. The folder is the last line printed.

set -eu
source_dir=$(cd "$(dirname "$0")" && pwd)
. "$source_dir/common.sh"

usage() {
	cat <<'EOF'
usage: tests/guest/build.sh [--update]

Builds the test guest (vmlinuz and initrd) and prints the folder that holds it.

  --update   fetch the newest kernel and busybox packages and build again

The folder is VMF_GUEST_DIR, else $XDG_CACHE_HOME/vmf/guest, else ~/.cache/vmf/guest.
EOF
}

# Drivers that the guest may need; what they depend on comes along. The cloud kernel has no 9p, no USB and no
# AHCI; ext4, VGA and EFI consoles, PS/2 keyboard and serial ports are built in.
modules="virtio_pci virtio_blk virtio_net virtio_scsi virtio_console virtio_balloon virtio_rng virtiofs
	sd_mod sr_mod ata_piix button evdev isofs vfat nls_cp437 nls_ascii"

update=no
case ${1-} in
"") ;;
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

dir=${VMF_GUEST_DIR:-${XDG_CACHE_HOME:-${HOME:?set VMF_GUEST_DIR or HOME}/.cache}/vmf/guest}
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
inputs=$(cd "$source_dir" && find build.sh common.sh init root -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
inputs=${inputs%% *}

# Whether the folder holds what these inputs give.
is_built() {
	[ -s "$dir/vmlinuz" ] && [ -s "$dir/initrd" ] && [ -r "$dir/version" ] || return 1
	while read -r key value; do
		[ "$key $value" != "inputs $inputs" ] || return 0
	done <"$dir/version"
	return 1
}

if [ $update = no ] && is_built; then
	echo "$dir"
	exit 0
fi

mkdir -p "$dir/packages" 2>/dev/null ||
	die "cannot create $dir" "choose another folder: VMF_GUEST_DIR=FOLDER $0"
[ -w "$dir" ] || die "cannot write to $dir" "choose another folder: VMF_GUEST_DIR=FOLDER $0"
for program in dpkg-deb flock; do
	command -v $program >/dev/null ||
		die "$program is missing" "the guest is built from Debian packages: build it on Debian or a relative of it"
done

exec 9>"$dir/.lock"
flock -n 9 || {
	say "another build is running in $dir, waiting for it"
	flock 9
}
if [ $update = no ] && is_built; then
	echo "$dir"
	exit 0
fi

rm -rf "$dir"/.build.*
work=$(mktemp -d "$dir/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The name of the package with the kernel itself: the one that the metapackage depends on.
kernel_package() {
	[ "$(dpkg --print-architecture)" = amd64 ] ||
		die "the test guest is for amd64, and this is $(dpkg --print-architecture)" "use a guest of your own"
	name=$(apt apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-cloud-amd64\)$/\1/p')
	[ -n "$name" ] || die "apt knows no package linux-image-cloud-amd64" "try: apt-get update (as root)"
	echo "$name"
}

if [ $update = yes ] || ! package 'linux-image-*-cloud-amd64_*.deb' >/dev/null; then
	name=$(kernel_package)
	fetch "$name"
	find "$dir/packages" -name 'linux-image-*' ! -name "${name}_*" -exec rm {} +
fi
if [ $update = yes ] || ! package 'busybox-static_*.deb' >/dev/null; then
	fetch busybox-static
fi
kernel_deb=$(package 'linux-image-*-cloud-amd64_*.deb')
busybox_deb=$(package 'busybox-static_*.deb')

say "unpacking"
mkdir "$work/kernel" "$work/busybox" "$work/root"
dpkg-deb -x "$kernel_deb" "$work/kernel"
dpkg-deb -x "$busybox_deb" "$work/busybox"
version=$(basename "$work"/kernel/lib/modules/*)
busybox=$work/busybox/bin/busybox
[ -x "$busybox" ] || busybox=$work/busybox/usr/bin/busybox

root=$work/root
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/mnt" "$root/root" \
	"$root/lib/modules/$version"
cp -R "$source_dir/root/." "$root"
cp "$source_dir/init" "$root/init"
# Before each prompt the shell asks the terminal where its cursor is. Nobody may be there to answer, and in a
# recorded console the question would be asked again of whoever looks at it: it becomes an empty string.
LC_ALL=C sed 's/\x1b\[6n/\x00[6n/' "$busybox" >"$root/bin/busybox"
chmod +x "$root/bin/busybox"
for name in sh modprobe; do
	ln -s busybox "$root/bin/$name"
done

for name in $modules; do
	add_module "$name"
done
"$busybox" depmod -b "$root" "$version"

chmod -R u=rwX,go=rX "$root"
(cd "$root" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$work/initrd"
cp "$work/kernel/boot/vmlinuz-$version" "$work/vmlinuz"
cat >"$work/version" <<EOF
kernel $(basename "$kernel_deb" .deb)
busybox $(basename "$busybox_deb" .deb)
inputs $inputs
EOF

# "version" goes first and comes last: without it the folder does not count as built.
rm -f "$dir/version"
mv "$work/vmlinuz" "$work/initrd" "$dir/"
mv "$work/version" "$dir/"
say "built with kernel $version: $(du -k "$dir/initrd" | cut -f1) KiB of initrd"
echo "$dir"
