#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Segments by command: bridges, veth pairs, VXLANs, VLANs and wires between network namespaces are made, shown and taken away;
# guests hear each other over them; and what `state` prints makes all of it again.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program ip iproute2
need_program jq jq
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || echo 'user = "root"' >>"$VMF_HOME/etc/vmf.conf"

links()
{
	ip -json link | jq -c '[.[] | .ifname] | sort'
}

unchanged()
{
	links | diff "$scratch/links" -
}

# what is shown, without what changes by itself
picture()
{
	"$VMF" --json net show | jq -S 'del(.[].ports[] | .in_bytes, .out_bytes, .in_packets, .out_packets)'
	"$VMF" list --running --names
}

is()
{
	local value

	value=$(ip -details -json link show dev "$1" | jq -r ".[0] | $2")
	echo "$1: $2 is $value, should be $3"
	[ "$value" = "$3" ]
}

# ---- made and taken away ----------------------------------------------------------------------------

links >"$scratch/links"
ok "without any there is nothing to show" "$VMF" net show
result "$(grep -c . "$out")" "and nothing is"
ok "a dry run" "$VMF" net segment br1 vethA0 --dry-run
says "says what it would do" 'make segment br1 with vethA0'
ok "and does not" unchanged
ok "a bridge and a pair" "$VMF" net add br9,mtu=9000 vethA0
ok "the bridge has that MTU" is br9 .mtu 9000
ok "the pair is one" is vethA0 .link vethB0
ok "both ends are up" is vethB0 .operstate UP
ok "again: nothing happens" "$VMF" net add br9 vethA0
ok "another MTU" "$VMF" net add br9,mtu=8000
ok "is set" is br9 .mtu 8000
ok "and the old one again" "$VMF" net add br9,mtu=9000
ok "a segment" "$VMF" net segment br1 vethA0 vxlan42,group=239.1.1.1,dev=lo,port=4790
ok "the pair's end went there" is vethA0 .master br1
ok "the VXLAN as well" is vxlan42 .master br1
ok "it has the number" is vxlan42 .linkinfo.info_data.id 42
ok "and the group" is vxlan42 .linkinfo.info_data.group 239.1.1.1
ip -6 address | grep -A3 'br1\|br9\|veth\|vxlan' | grep inet6 >"$out"
result "$(grep -c . "$out")" "none has an IPv6 address"
ok "it is shown" "$VMF" net show
says "by name, maker and ports" '^br1	1500	command	vethA0	veth	up'
says "with its kind" '	vxlan42	vxlan	'
ok "one of them" "$VMF" net show br9
fails "one that is not there" 4 "$VMF" net show br8
ok "names" "$VMF" net show --names
[ "$(cat "$out")" = "br1
br9" ]
result $? "are those of segments"
ok "ignored" "$VMF" net ignore 'v.*42' br9
"$VMF" net show >"$out"
result "$(grep -c 'vxlan\|br9' "$out")" "it is not shown"
ok "unless asked for" "$VMF" net show --all
says "there it is" br9
ok "not any more" "$VMF" net ignore --remove br9 'v.*42'
"$VMF" net ignore >"$out"
result "$(grep -c . "$out")" "no pattern is left"
fails "a pattern that is none" 3 "$VMF" net ignore '('
ok "a port moves" "$VMF" net segment br9 vethA0
ok "from one bridge to the other" is vethA0 .master br9
ok "state" "$VMF" state
cp "$out" "$scratch/state"
says "has the VXLAN" '^vmf net segment br1 vxlan42,group=239.1.1.1,dev=lo,port=4790$'
says "and the MTU" '^vmf net segment br9,mtu=9000 vethA0$'
picture >"$scratch/before"
ok "all is deleted" "$VMF" net delete br1 br9 vxlan42 vethA0
ok "nothing is left" unchanged
ok "what state has said" env PATH="$(dirname "$VMF"):$PATH" sh -e "$scratch/state"
picture >"$scratch/after"
ok "brings it all back" diff "$scratch/before" "$scratch/after"
"$VMF" net delete br1 br9 vxlan42 vethA0 >"$out" 2>&1
if ip link add link lo name lo.7 type vlan id 7 2>/dev/null; then
	ip link delete lo.7
	ok "a VLAN" "$VMF" net add vethA0 && ok "on a link" "$VMF" net segment br1 vethA0.7
	ok "has the number" is vethA0.7 .linkinfo.info_data.id 7
	"$VMF" net delete vethA0 br1 >"$out" 2>&1
else
	"$VMF" net add vethA0 >"$out" 2>&1
	fails "a VLAN in a kernel that has none" 9 "$VMF" net add vethA0.7
	says "is told" 'this kernel has no VLANs'
	"$VMF" net delete vethA0 >"$out" 2>&1
	skip "a VLAN" "not possible here: this kernel has no VLANs"
fi

# ---- what can be wrong --------------------------------------------------------------------------------

# refused NAME STATUS PATTERN WORD...: and nothing is made
refused()
{
	local name=$1 status=$2 pattern=$3

	shift 3
	fails "$name" "$status" "$VMF" "$@"
	says "$name: it is said" "$pattern"
	ok "$name: nothing was made" unchanged
}

refused "a name too long" 2 'longer than the 15 characters' net add br-much-too-long
refused "a port that is missing" 4 'there is no interface eth7' net segment br1 vethA0 eth7
refused "a parent that is missing" 4 'no interface eth7 for eth7.5 to stand on' net segment br1 eth7.5
refused "a VXLAN to nowhere" 2 'needs a group and a dev, or a remote' net add vxlan7
refused "an address that is none" 2 '"239.1.1" is no IP address' net add vxlan7,remote=239.1.1
refused "a key that is none" 2 'nothing is called vni' net add vxlan7,vni=7
refused "a number too large" 2 'is not from 1 to' net add br1,mtu=99999
refused "the kernel's word" 1 'cannot plug lo into bridge br1' net segment br1 lo
refused "nothing of that name" 4 'there is no segment or port "br7"' net delete br7
refused "a namespace that is missing" 4 'there is no network namespace far' net wire - br1 far br1
refused "a wire to itself" 2 'both ends are the same' net wire - br1 - br1
ip link add host0 type veth peer name host1
ip address add 192.0.2.5/24 dev host0
ip link add brother type bridge
links >"$scratch/links"
refused "an interface with addresses" 7 'host0 has addresses, and would be cut off' net segment br1 host0
refused "a bridge that vmf did not make" 8 'brother was not made by vmf' net delete brother
refused "one that is taken" 5 'there is an interface brother already' net add brother
ok "vmf plugs into it all the same" "$VMF" net segment brother host1
ok "as it is told" is host1 .master brother
"$VMF" state >"$out"
says "state makes a comment of it" '^# brother was not made by vmf: host1'
ip link delete host0
ip link delete brother
links >"$scratch/links"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	fails "without the right" 8 setpriv --bounding-set=-net_admin "$VMF" net add br1
	says "what to do is said" 'hint: be root, or start a VM of yours first'
fi

# ---- guests -------------------------------------------------------------------------------------------

# address VM N
address()
{
	guest "$1" "killall udhcpc; ip link set eth0 up; ip addr flush dev eth0; ip addr add 10.0.0.$2/24 dev eth0" 60
}

hears()
{
	guest "$1" "for i in 1 2 3 4 5; do ping -c 1 -W 1 10.0.0.$2 >/dev/null && break; done; ping -c 1 -W 1 10.0.0.$2" 60
}

deaf()
{
	! guest "$1" "ping -c 2 -W 1 10.0.0.$2" 60
}

ip netns add west
ip netns add east
ip link add west0 netns west type veth peer name east0 netns east
for side in west:1 east:2; do
	ip -netns ${side%:*} link set lo up
	ip -netns ${side%:*} address add 192.0.2.${side#*:}/24 dev ${side%:*}0
	ip -netns ${side%:*} link set ${side%:*}0 up
done
for side in west east; do
	ok "a guest in the $side" "$VMF" $side create --nic bridged:br$side
	ok "starts" ip netns exec $side "$VMF" $side start
done
ok "west is up" guest_ready west 120
ok "east is up" guest_ready east 120
ok "west has an address" address west 1
ok "east has one" address east 2
ok "they do not hear each other" deaf west 2
ok "a wire between their bridges" "$VMF" net wire west brwest east breast
ok "lays a cable" hears west 2
ok "again: it is there" "$VMF" net wire west brwest east breast
ip netns exec west "$VMF" state >"$out"
says "state knows it" '^vmf net wire west brwest east breast --create$'
ok "it is taken away" "$VMF" net wire west brwest east breast --remove
ok "and they are deaf" deaf west 2
ok "a VXLAN in the west" ip netns exec west "$VMF" net segment brwest vxlan42,remote=192.0.2.2,dev=west0
ok "and in the east" ip netns exec east "$VMF" net segment breast vxlan42,remote=192.0.2.1,dev=east0
ok "carries guests" hears west 2
ip netns exec west "$VMF" --json net show | jq '[.[].ports[] | select(.port == "vxlan42") | .out_packets] | add > 0' >"$out"
says "packets are counted" true
fails "a bridge with a VM in it is not deleted" 7 ip netns exec west "$VMF" net delete brwest
says "it is said whose that is" 'vmf: west nic-0'
for side in west east; do
	ok "$side stops" ip netns exec $side "$VMF" $side stop
	ok "its bridge was kept by the command" ip netns exec $side "$VMF" net delete br$side vxlan42
done
"$VMF" west destroy --yes >"$out" 2>&1
"$VMF" east destroy --yes >"$out" 2>&1
ip netns delete west
ip netns delete east
ok "namespaces are made if told to" "$VMF" net wire - br1 new br2 --create
ok "with the bridge" ip -netns new link show br2
ok "the wire is there" eval 'ip -json link show master br1 | jq -e "length == 1"'

# ---- state --------------------------------------------------------------------------------------------

ok "VMs" "$VMF" a create --nic bridged:br1
ok "on a segment of commands, and one of their own" "$VMF" b create --nic bridged:brb
ok "with more in it" "$VMF" net segment br1 vethA3
ok "run" eval '"$VMF" a start && "$VMF" b start --paused'
picture >"$scratch/before"
ok "state" "$VMF" state
cp "$out" "$scratch/state"
says "has the VMs" '^vmf a start$'
says "one of them paused" '^vmf b start --paused$'
ok "as JSON" eval '[ "$("$VMF" --json state | jq -r ".commands[]")" = "$(cat "$scratch/state")" ]'
ok "everything is torn down" eval '"$VMF" a stop && "$VMF" b stop && "$VMF" net delete br1 vethA3 "$(ip -json link | jq -r ".[].ifname | select(startswith(\"wire\"))")"'
ip netns delete new
ok "nothing is left" unchanged
ok "piped to a shell" eval 'PATH=$(dirname "$VMF"):$PATH sh -e <"$scratch/state"'
picture >"$scratch/after"
ok "all is as it was" diff "$scratch/before" "$scratch/after"
plan_now
