# SPDX-License-Identifier: ISC
# shellcheck shell=sh
#
# What the builds of the test guests share: fetching packages of Debian without installing them, and kernel modules.
# Sourced; $dir is the folder that is filled, $work one below it that is removed in the end.

say() {
	printf 'guest: %s\n' "$*" >&2
}

# die MESSAGE REMEDY
die() {
	printf 'guest: %s\n' "$1" >&2
	printf 'guest: %s\n' "$2" >&2
	exit 1
}

# apt COMMAND...: apt with its complaints kept for the message; as root without the sandbox user, who could not
# write to the work folder.
apt() {
	command -v "$1" >/dev/null || die "$1 is missing" "build the guest on Debian or a relative of it"
	# shellcheck disable=SC2154 # the folder is set by who sources this
	(cd "$work" && "$@" -o APT::Sandbox::User="$(id -un)" 2>"$work/apt.log")
}

# fetch PACKAGE...: downloads them into packages/, in place of other versions of them. PACKAGE=VERSION is that version.
fetch() {
	say "downloading $*"
	apt apt-get -q download "$@" >/dev/null || {
		sed 's/^/guest:   /' "$work/apt.log" >&2
		die "cannot download $*" "is there a network? if so, try: apt-get update (as root)"
	}
	for name; do
		name=${name%%=*}
		# shellcheck disable=SC2154
		rm -f "$dir/packages/${name}_"*.deb
		mv "$work/${name}_"*.deb "$dir/packages/"
	done
}

# package PATTERN: the one kept file of that name.
package() {
	# shellcheck disable=SC2086 # the pattern is to be expanded
	set -- "$dir"/packages/$1
	[ -e "$1" ] && echo "$1"
}

# add_module MODULE: copies it from $work/kernel to $root, after those that it depends on, without signature, type
# information and debugging symbols: to look through them costs an emulated processor more than all the rest of loading.
add_module() {
	pattern=$(echo "$1" | sed 's/[-_]/[-_]/g')
	file=$(find "$work/kernel/lib/modules" -name "$pattern.ko")
	# shellcheck disable=SC2154
	[ -n "$file" ] || die "the kernel $version has no module $1" "leave it out of the list in $0"
	# shellcheck disable=SC2154
	target=$root/lib/modules/$version/${file##*/}
	[ ! -e "$target" ] || return 0
	strip --strip-debug -R .BTF -o "$target" "$file" 2>/dev/null || cp "$file" "$target"
	for needed in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr ',' ' '); do
		add_module "$needed"
	done
}

# search PROGRAM: puts its path in $found, also of one that the shell has built in or that only root has in its PATH
search() {
	saved=$IFS
	IFS=:
	for folder in $PATH:/usr/local/sbin:/usr/sbin:/sbin; do
		found=$folder/$1
		[ ! -f "$found" ] || [ ! -x "$found" ] || break
		found=
	done
	IFS=$saved
	[ -n "$found" ]
}

# add_libraries FILE...: copies to $root the libraries that these programs and libraries need, unless they are there. They
# are looked for in $root first.
add_libraries() {
	for file; do
		LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu ldd "$file" 2>/dev/null || :
	done | sed -n -e 's/^\t.* => \(.*\)$/\1/' -e 's/^\t*\(\/[^ ]*\|not found\).*$/\1/p' | sort -u >"$work/libraries"
	while read -r library; do
		case $library in
		"$root"/*) continue ;;
		not*) die "a library is missing: $(for file; do ldd "$file"; done | sed -n 's/ => not found//p' | xargs)" \
			"the packages that were kept may be too old: try $0 --update" ;;
		esac
		# also where the program was told of the library by another folder's name
		target=$root$(readlink -f "${library%/*}")/${library##*/}
		[ -e "$target" ] || {
			mkdir -p "${target%/*}"
			cp -L "$library" "$target"
		}
	done <"$work/libraries"
}
