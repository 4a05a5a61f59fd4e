#!/bin/bash
# SPDX-License-Identifier: ISC
# VLANs of network-tap-bridge on a kernel that has them: sub-interfaces by their names, what goes through them, and the
# commands that make all of it again. Runs in the storage guest; tests/system/storage-vlan.sh is what starts it.

. "${0%/*}/lib.sh"

for module in 8021q bridge veth tun; do modprobe $module 2>/dev/null; done
mkdir -p "$VMF_HOME/etc"
cat >"$VMF_HOME/etc/vmf.conf" <<'END'
accel = "tcg"
memory = "16M"
user = "root"
display_default = "none"
network "lab" { tap-bridge { } }
END

links()
{
	ip -json -details link show | jq -cS '[.[] | select(.ifname != "lo") | {ifname, master, kind: .linkinfo.info_kind, id: .linkinfo.info_data.id, mtu}] | sort_by(.ifname)'
}

# a trunk, whose far end is in a namespace of its own with an address in VLAN 100, one in VLAN 200 and one outside of any
ip link add up0 type veth peer name far0
ip link set up0 up
ip netns add far
ip link set far0 netns far
there()
{
	ip -n far "$@"
}
there link set lo up
there link set far0 up
for id in 100 200; do
	there link add link far0 name far0.$id type vlan id $id
	there link set far0.$id up
	there address add 10.0.$id.2/24 dev far0.$id
done
# each address answers in its own VLAN only
ip netns exec far bash -c 'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore'
links >"$scratch/before"

# hears ADDRESS: somebody there answers for it
hears()
{
	local i

	for ((i = 0; i < 10; i++)); do
		echo >"/dev/udp/$1/9" 2>/dev/null
		sleep 0.3
		! ip neigh show "$1" | grep -q lladdr || return 0
	done
	ip neigh show
	return 1
}

ok "a segment with a VLAN of the trunk" "$VMF" net segment br100 up0.100
ok "the VLAN was made" eval '[ "$(ip -json -details link show up0.100 | jq -r ".[0] | .linkinfo.info_data.id, .master" | paste -sd " ")" = "100 br100" ]'
ok "it is shown" "$VMF" net show
says "in its segment" 'br100.*up0\.100'
ok "an address in the segment" ip address add 10.0.100.1/24 dev br100
ok "what is in that VLAN there is heard" hears 10.0.100.2
ok "an address of another VLAN's net" ip address add 10.0.200.1/24 dev br100
if hears 10.0.200.2 >"$out" 2>&1; then false; fi
result $? "what is in another is not"
ok "a VLAN by another name" "$VMF" net segment br200 "trunk,dev=up0,id=200"
ok "has its number" eval '[ "$(ip -json -details link show trunk | jq ".[0].linkinfo.info_data.id")" = 200 ]'
ok "its address moves" eval 'ip address del 10.0.200.1/24 dev br100 && ip neigh flush all && ip address add 10.0.200.1/24 dev br200'
ok "now that one is heard" hears 10.0.200.2

ok "a VM in the VLAN" "$VMF" web create --nic lab:br100
ok "without the firmware that the NIC would bring" "$VMF" web set 'nic.0.props={"romfile="}'
ok "starts" "$VMF" web start --paused
ok "its tap is beside the VLAN" eval '[ "$(ip -json link show master br100 | jq -c "[.[].ifname] | sort")" = "[\"up0.100\",\"webe0\"]" ]'
ok "it stops" "$VMF" web stop
ok "and goes" "$VMF" web destroy --yes

links >"$scratch/made"
ok "the commands that make it again" "$VMF" state
cp "$out" "$scratch/state"
fails "a VLAN of what is not there" 4 "$VMF" net segment br100 up9.100
says "is told" 'no interface up9'
fails "a number that is none" 2 "$VMF" net segment br100 up0.4095
says "is told, too" 'from 1 to 4094'
ok "nothing came of these" eval 'links | diff "$scratch/made" -'
ok "all goes" eval '"$VMF" net delete up0.100 && "$VMF" net delete trunk && ip address flush dev br100 && ip address flush dev br200 && "$VMF" net delete br100 && "$VMF" net delete br200'
ok "and the trunk is as it was" eval 'links | diff "$scratch/before" -'
sed "s|^vmf |$VMF |" "$scratch/state" >"$scratch/again"
ok "by these commands" bash -e "$scratch/again"
ok "it is there again" eval 'links | diff "$scratch/made" -'
ip netns delete far
plan_now
