#!/bin/bash
# SPDX-License-Identifier: ISC
# NICs on a bridge beside the least that libnl-route-3 can do it with, and the list of a host with many ports; in a network
# namespace of its own.

. "${BASH_SOURCE[0]%/*}/../netns.sh"
. "${BASH_SOURCE[0]%/*}/lib.sh"
need ip iproute2
[ -x "$bench/nics" ] || {
	echo "not measured: built without network-tap-bridge"
	exit 0
}
[ -w /dev/net/tun ] || {
	echo "not measured: /dev/net/tun cannot be opened"
	exit 0
}
rounds=$PAIRS

script()
{
	{
		echo '#!/bin/sh'
		cat
	} >"$scratch/$1"
	chmod +x "$scratch/$1"
}

script none <<'END'
ip -brief link | sed '/^lo /d; s/^\([^ @]*\).*/link delete \1/' | ip -force -batch - >/dev/null
END
script by-ip <<'END'
ip link add name benchbr type bridge && ip link set benchbr up && ip tuntap add bench0 mode tap vnet_hdr &&
	ip link set bench0 master benchbr up
END
pairs -l "one NIC: bridge, tap, up" -y "libnl alone" -r 1.2 -m 16 \
	-a "$bench/nics plugin 1" -C "$scratch/none" -b "$bench/nics bare 1" -D "$scratch/none"
pairs -l "one NIC: bridge, tap, up" -y ip -r 0.4 -m 16 \
	-a "$bench/nics plugin 1" -C "$scratch/none" -b "$scratch/by-ip" \
	-D "$scratch/none"
PAIRS=$((rounds < 15 ? rounds : 15))
pairs -l "a hundred NICs" -y "libnl alone" -r 1.1 -m 16 \
	-a "$bench/nics plugin 100" -C "$scratch/none" -b "$bench/nics bare 100" -D "$scratch/none"
pairs -l "two hundred NICs" -x 200 -y 100 -r 2.2 -m 16 \
	-a "$bench/nics plugin 200" -C "$scratch/none" -b "$bench/nics plugin 100" -D "$scratch/none"
PAIRS=$((rounds < 5 ? rounds : 5))
pairs -l "a hundred NICs, up and down" -y "one DELLINK each" -r 0.1 -m 16 \
	-a "$bench/nics leave 100" -C "$scratch/none" -b "$bench/nics each 100" -D "$scratch/none"
PAIRS=$rounds

{
	echo "link add name benchbr type bridge"
	for ((i = 0; i < 250; i++)); do
		echo "link add name p$i type veth peer name q$i"
		echo "link set p$i master benchbr"
		echo "link set q$i master benchbr"
	done
} >"$scratch/batch"
ip -batch "$scratch/batch" || exit 1
pairs -l "net show, 500 ports" -y version -d 30 -m 16 -a "$VMF net show" -b "$VMF version"
