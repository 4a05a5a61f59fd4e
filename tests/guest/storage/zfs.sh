# SPDX-License-Identifier: ISC
# shellcheck shell=sh
#
# The modules of ZFS for the guest's kernel, from the sources in zfs-dkms and the kernel's headers. They are kept by
# the versions of both, as to build them takes minutes. Sourced by build.sh after packages.sh.

# The version of the kernel's package: headers must have the same.
kernel_version() {
	dpkg-deb -f "$kernel_deb" Version
}

# has_package PACKAGE VERSION: whether the archive has that very version
has_package() {
	apt apt-cache show "$1=$2" >/dev/null
}

# unpack_sources: zfs-dkms and the headers, into $work/sources; they are not kept
unpack_sources() {
	use_own_lists
	if ! has_package "linux-headers-$version" "$(kernel_version)" || ! has_package zfs-dkms "$zfs_version"; then
		# It has one version of each: what was kept is older.
		[ -z "${VMF_GUEST_RENEWED-}" ] ||
			die "Debian's archive lacks the headers of $version or ZFS $zfs_version" "try again in some hours"
		say "the sources for $version and ZFS $zfs_version are gone from the archive: taking newer packages"
		export VMF_GUEST_RENEWED=yes
		exec "$0" --update
	fi
	say "downloading the sources of ZFS and the headers of the kernel"
	# The headers proper, what all flavours share, the kernel's own tools.
	needed=$(apt apt-cache depends -i "linux-headers-$version" | sed -n 's/^ *Depends: \(linux-[^ ]*\)$/\1/p')
	list=zfs-dkms=$zfs_version
	# shellcheck disable=SC2086 # words
	for name in $(with_libraries "linux-headers-$version" $needed); do
		case $name in linux-headers-*) name=$name=$(kernel_version) ;; esac
		list="$list $name"
	done
	mkdir "$work/sources"
	# shellcheck disable=SC2086
	apt apt-get -q download $list >/dev/null || die "cannot download $list" "$(tail -n 1 "$work/apt.log")"
	for file in "$work"/*.deb; do
		dpkg-deb -x "$file" "$work/sources"
		rm "$file"
	done
}

# build_modules FOLDER: leaves them there
build_modules() {
	unpack_sources
	headers=$work/sources/usr/src/linux-headers-$version
	common=$(sed -n 's|^include /usr/src/\(.*\)/Makefile$|\1|p' "$headers/Makefile")
	common=$work/sources/usr/src/$common
	echo "include $common/Makefile" >"$headers/Makefile"
	# The kernel's configuration names a compiler with its version.
	compiler=$(sed -n 's/^CC = .*)\(gcc-[0-9]*\)$/\1/p' "$headers/.kernelvariables")
	command -v "${compiler:=gcc}" >/dev/null || compiler=gcc
	command -v "$compiler" >/dev/null || die "gcc is missing" "Debian: apt-get install gcc"
	command -v make >/dev/null || die "make is missing" "Debian: apt-get install make"

	say "building the modules of ZFS for $version with $compiler: this takes some minutes, once"
	# Unpacked in any order, the files made by autoconf seem older than what they are made from.
	(
		cd "$work"/sources/usr/src/zfs-*
		touch aclocal.m4
		touch -d '+1 second' configure zfs_config.h.in
		find . -name Makefile.in -exec touch -d '+1 second' {} +
		export LD_LIBRARY_PATH="$work/sources/usr/lib/x86_64-linux-gnu" KERNEL_CC="$compiler"
		jobs=$(nproc 2>/dev/null || echo 1)
		./configure --disable-dependency-tracking --with-config=kernel --with-linux="$common" \
			--with-linux-obj="$headers" CC="$compiler" &&
			make -j"$jobs" CC="$compiler"
	) >"$dir/zfs.log" 2>&1 </dev/null ||
		die "the modules of ZFS could not be built" "all that was said is in $dir/zfs.log"
	mkdir -p "$1.new"
	for file in "$work"/sources/usr/src/zfs-*/module/*/*.ko "$work"/sources/usr/src/zfs-*/module/*.ko; do
		[ ! -e "$file" ] || strip --strip-debug -o "$1.new/${file##*/}" "$file"
	done
	rm -rf "$1" "$work/sources"
	mv "$1.new" "$1"
}
