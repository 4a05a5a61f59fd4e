# SPDX-License-Identifier: ISC
# shellcheck shell=sh
#
# Packages of Debian that this machine need not have as a source: apt is given a configuration and lists of its own,
# in which the machine's Debian archives also have "contrib", where ZFS is. Sourced by build.sh after common.sh.

# The machine's Debian archives as "URI SUITE", from apt's lists or, where there are none, from the release's name.
archives() {
	apt apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
		sed -n 's/^Debian main //p' >"$work/archives"
	if [ -s "$work/archives" ]; then
		sort -u "$work/archives"
		return
	fi
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	[ -n "$suite" ] || die "this Debian has no name in /etc/os-release" "build the guest on Debian or a relative of it"
	echo "http://deb.debian.org/debian $suite"
	echo "http://deb.debian.org/debian $suite-updates"
	echo "http://deb.debian.org/debian-security $suite-security"
}

# use_own_lists: from here on apt is about main and contrib, with lists that are fetched now
use_own_lists() {
	[ -z "${own_lists-}" ] || return 0
	own_lists=yes
	say "fetching the lists of packages, with contrib"
	apt_dir=$dir/apt
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r $keys ] && keys="[signed-by=$keys] " || keys=
	archives | sed -e "s|^|deb $keys|" -e 's|$| main contrib|' >"$apt_dir/sources.list"
	cat >"$apt_dir/apt.conf" <<-END
		Dir::Etc::SourceList "$apt_dir/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::State::Lists "$apt_dir/lists";
		Dir::Cache "$apt_dir";
		Acquire::Languages "none";
		APT::Update::Error-Mode "any";
	END
	export APT_CONFIG="$apt_dir/apt.conf"
	apt apt-get -q update >/dev/null || {
		sed 's/^/guest:   /' "$work/apt.log" >&2
		die "cannot fetch the lists of Debian's packages" "is there a network? the archives are in $apt_dir/sources.list"
	}
}

# with_libraries PACKAGE...: these, and the libraries that they need and this machine lacks
with_libraries() {
	echo "$@" | tr ' ' '\n' >"$work/wanted"
	seen=0
	while [ "$(wc -l <"$work/wanted")" != "$seen" ]; do
		seen=$(wc -l <"$work/wanted")
		# shellcheck disable=SC2046 # words
		apt apt-cache depends -i $(cat "$work/wanted") | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p' | sort -u |
			while read -r package; do
				case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
				installed) ;;
				*) echo "$package" ;;
				esac
			done | sort -u - "$work/wanted" >"$work/more"
		mv "$work/more" "$work/wanted"
	done
	cat "$work/wanted"
}
