# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# Sourced before anything else by tests that make links: they go on in a network namespace of their own, with nothing in it but
# lo, and with a /run/netns of their own, all of which ends with them. An ordinary user is root there, and nobody else.

if [ -z "${VMF_NETNS-}" ]; then
	netns_how="-nm"
	[ "$(id -u)" = 0 ] || netns_how="-Urnm"
	# shellcheck disable=SC2086 # options
	unshare $netns_how true 2>/dev/null || {
		echo "1..0 # SKIP not possible here: no network namespace of its own"
		exit 0
	}
	# shellcheck disable=SC2086
	VMF_NETNS=1 exec unshare $netns_how bash "$0" "$@"
fi
mkdir -p /run/netns 2>/dev/null
mount -t tmpfs -o mode=755 tmpfs /run/netns 2>/dev/null || mount -t tmpfs tmpfs /run
mkdir -p /run/netns
ip link set lo up
