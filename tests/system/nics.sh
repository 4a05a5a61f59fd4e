#!/bin/bash
# SPDX-License-Identifier: ISC
#
# NICs given and taken, plugged in and out, of VMs that are off and of real guests, which hear each other as they are
# wired; vmess's session; vmf killed at every step.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program ip iproute2
need_program jq jq
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || echo 'user = "root"' >>"$VMF_HOME/etc/vmf.conf"

links()
{
	ip -json link | jq -c '[.[] | del(.ifindex)]'
}

nothing_left()
{
	links | diff "$scratch/links" - && world_same
}

# ports BRIDGE: the taps that are in it
ports()
{
	ip -json link | jq -r ".[] | select(.master == \"$1\") | .ifname" | sort | tr '\n' ' '
}

# said VM TEXT: what ifstat prints
said()
{
	"$VMF" "$1" ifstat
	[ "$("$VMF" "$1" ifstat)" = "vmf $1 $2" ]
}

links >"$scratch/links"
world_save

# ---- a VM that is off -------------------------------------------------------------------------------

ok "a VM has one NIC by itself" "$VMF" a create
ok "which ifstat shows" said a 'ifadd 1 default'
ok "three are given to it" "$VMF" a ifadd 3 brx - default
says "which is said" 'a: NICs 0 brx, 1 -, 2 default$'
ok "ifstat prints the command" said a 'ifadd 3 brx - default'
cp "$VMF_HOME/etc/vms/a.conf" "$scratch/a.conf"
ok "which changes nothing" eval "$("$VMF" a ifstat | sed "s,^vmf,$VMF,")"
ok "not a byte" cmp "$VMF_HOME/etc/vms/a.conf" "$scratch/a.conf"
ok "a dry run" "$VMF" a connect 1 bry --dry-run
says "shows the line" 'nic."1".bridge=bry'
ok "and changes none" cmp "$VMF_HOME/etc/vms/a.conf" "$scratch/a.conf"
ok "connect" "$VMF" a connect 1 bry
ok "is in the definition" said a 'ifadd 3 brx bry default'
ok "disconnect" "$VMF" a disconnect 0
ok "too" said a 'ifadd 3 brx bry default disconnect 0'
ok "and back" "$VMF" a connect 0
ok "without a line" said a 'ifadd 3 brx bry default'
ok "onto another network" "$VMF" a connect 2 bridged:brz
ok "by its name" said a 'ifadd 3 brx bry brz'
ok "fewer, of another model" "$VMF" a ifadd 1 brx --model e1000 --prop romfile=
ok "which is shown" said a 'ifadd 1 brx --model e1000'
"$VMF" a config >"$out"
says "its properties are written down" 'props = {"romfile="}'
ok "as JSON" eval '[ "$("$VMF" --json a ifstat | jq -r ".nics[0].model, .command" | tr "\n" " ")" = "e1000 a ifadd 1 brx --model e1000 " ]'
ok "ifdel" "$VMF" a ifdel
ok "takes all" said a 'ifdel'
ok "and the default one" eval '! "$VMF" a info --command | grep -q netdev'
ok "ifadd without words" "$VMF" a ifadd 2
ok "uses the default network" said a 'ifadd 2 default default'
ok "a number behind it waits, and a verb is one" "$VMF" a ifadd 2 br1 status 0 ifdel 0
fails "a word that is no number" 2 "$VMF" a ifadd br0
fails "none at all" 2 "$VMF" a ifadd
fails "too many" 2 "$VMF" a ifadd 33
fails "a NIC that is not there" 4 "$VMF" a connect 0 br0
says "the hint says what it has" 'hint: it has none'
"$VMF" a ifadd 2 br0 br1 >"$out" 2>&1
cp "$VMF_HOME/etc/vms/a.conf" "$scratch/a.conf"
fails "out of range" 4 "$VMF" a connect 9 br0
says "the hint says which" 'hint: it has 0 to 1'
fails "a bridge with too long a name" 3 "$VMF" a connect 0 br-much-too-long
says "is told" 'longer than the 15 characters'
fails "a network that is not there" 3 "$VMF" a connect 0 nowhere:br0
fails "nor with --network" 3 "$VMF" a ifadd 1 br0 --network nowhere
fails "user mode has no bridges" 12 "$VMF" a connect 0 default:br0
ok "none of it has changed the definition" cmp "$VMF_HOME/etc/vms/a.conf" "$scratch/a.conf"
ok "create with bridges" "$VMF" c create --nic bridged:br2 --nic default
ok "has them" said c 'ifadd 2 br2 default'
printf 'nic "lan" { network = "bridged" bridge = "br5" }\n' >"$VMF_HOME/etc/classes/k.conf"
ok "a class with a NIC" "$VMF" k create --class k
fails "which the VM cannot lose" 3 "$VMF" k ifdel
says "as others have it" 'nic "lan" is defined in .*k.conf:1, for several VMs'
ok "but plug elsewhere" "$VMF" k connect lan br6
ok "by a line of its own" said k 'ifadd 1 br6'
ok "all destroyed" eval '"$VMF" a destroy --yes && "$VMF" c destroy --yes && "$VMF" k destroy --yes'
ok "nothing is left" nothing_left

# ---- three guests on two bridges --------------------------------------------------------------------

# address VM N NIC: gives NIC the address 10.0.0.N
address()
{
	guest "$1" "for i in 1 2 3 4 5 6 7 8 9; do ip link set $3 up && break; sleep 0.5; done; killall udhcpc; ip addr flush dev $3; ip addr add 10.0.0.$2/24 dev $3" 60
}

hears()
{
	guest "$1" "for i in 1 2 3 4 5; do ping -c 1 -W 1 10.0.0.$2 >/dev/null && break; done; ping -c 1 -W 1 10.0.0.$2" 60
}

deaf()
{
	! guest "$1" "ping -c 2 -W 1 10.0.0.$2" 60
}

for vm in a b c; do
	ok "$vm" "$VMF" $vm create
done
ok "wired" eval '"$VMF" a ifadd 1 br1 && "$VMF" b ifadd 2 br1 br2 && "$VMF" c ifadd 1 br2'
for vm in a b c; do
	ok "$vm starts" "$VMF" $vm start
done
ok "br1 has a and b" [ "$(ports br1)" = "ae0 be0 " ]
ok "br2 has b and c" [ "$(ports br2)" = "be1 ce0 " ]
for vm in a b c; do
	ok "$vm is up" guest_ready $vm 120
done
ok "a has an address" address a 1 eth0
ok "b has one" address b 2 eth0
ok "c has one" address c 3 eth0
ok "a hears b" hears a 2
ok "but not c" deaf a 3
ok "c hears nobody" deaf c 2

ok "c is moved to br1" "$VMF" c connect 0 br1
says "as it runs" 'c: NICs 0 br1, also as it runs'
ok "its tap went there" [ "$(ports br1)" = "ae0 be0 ce0 " ]
ok "c hears a" hears c 1
ok "and b" hears c 2
ok "b's second NIC goes" "$VMF" b ifadd 1 br1
ok "and br2 with it" eval '! ip link show dev br2'
ok "b sees one only" guest b 'for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth1 ] || break; sleep 0.5; done; ! [ -e /sys/class/net/eth1 ]' 60
ok "b hears a still" hears b 1
ok "b's cable is pulled" "$VMF" b disconnect 0
ok "the guest sees that" guest b 'for i in 1 2 3 4 5 6 7 8 9; do grep -q 0 /sys/class/net/eth0/carrier && break; sleep 0.5; done; grep 0 /sys/class/net/eth0/carrier'
ok "and hears nobody" deaf b 1
ok "it is plugged in" "$VMF" b connect 0
ok "and hears a" hears b 1
ok "a new NIC for a, of another model" "$VMF" a ifadd 2 br1 br3 --model virtio-net-pci
ok "the guest sees it" guest a 'for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth1 ] && break; sleep 0.5; done; [ -e /sys/class/net/eth1 ]' 60
ok "c gets it as well" "$VMF" c connect 0 br3
ok "a has an address there" eval 'guest a "ip addr flush dev eth0" && address a 1 eth1'
ok "they hear each other" hears c 1
ok "isolated ports" eval '"$VMF" a set nic.1.tap-bridge.isolated=yes && "$VMF" c set nic.0.tap-bridge.isolated=yes'
ok "are plugged in anew" eval '"$VMF" a connect 1 - && "$VMF" a connect 1 br3 && "$VMF" c connect 0 - && "$VMF" c connect 0 br3'
ok "and do not hear each other" deaf c 1
ok "a third port, which is open" "$VMF" b connect 0 br3
ok "is heard by the one" hears c 2
ok "and by the other" hears a 2
ok "and goes back" "$VMF" b connect 0 br1
ok "onto user mode" "$VMF" c connect 0 default
ok "the guest has a new NIC, and an address by DHCP" guest c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ip addr show dev eth0 | grep -q 10.0.2.15 && break; sleep 1; done; ip addr show dev eth0 | grep 10.0.2.15' 90
ok "save with a NIC that was plugged in" "$VMF" a save
fails "no NICs while it is saved" 6 "$VMF" a ifadd 1 br1
ok "and on" "$VMF" a start
ok "the guest has it" guest a 'ip addr show dev eth1' 60
ok "a NIC unplugged while it is off" eval '"$VMF" b stop && "$VMF" b disconnect 0'
ok "is unplugged when it starts" "$VMF" b start
ok "b boots" guest_ready b 120
ok "and sees it" guest b 'ip link set eth0 up; sleep 1; grep 0 /sys/class/net/eth0/carrier'
ok "without any" "$VMF" c ifdel
ok "c has none" guest c 'for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth0 ] || break; sleep 0.5; done; ! [ -e /sys/class/net/eth0 ]' 60
fails "a bridge that is none: nothing is changed" 3 "$VMF" b connect 0 lo
says "it is said" 'lo is no bridge'
ok "b is as it was" said b 'ifadd 1 br1 disconnect 0'
ok "all stop" eval '"$VMF" a stop && "$VMF" b stop && "$VMF" c stop'
ok "nothing is left" nothing_left
"$VMF" b destroy --yes >"$out" 2>&1
"$VMF" c destroy --yes >"$out" 2>&1

# ---- vmess's session --------------------------------------------------------------------------------

ok "make" "$VMF" newvm make
ok "ifadd 3" "$VMF" newvm ifadd 3 bridge1 bridge2 bridge3
ok "info" "$VMF" newvm info
says "shows them" 'in bridge3'
ok "ifdel" "$VMF" newvm ifdel
ok "ifadd 1 vlan100, ram, start in one line" "$VMF" newvm ifadd 1 vlan100 ram 128 start
ok "the bridge is there" [ "$(ports vlan100)" = "newvme0 " ]
ok "status" "$VMF" newvm status
ok "vnc" "$VMF" newvm vnc --port 0 --detach
port=$("$VMF" --json relays | jq -r '.[0].port')
# shellcheck disable=SC2016 # the inner shell's
ok "is a screen" timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && read -r -t 5 -n 11 -u 3 text && [[ $text == RFB* ]]' "$port"
ok "stop, ifdel" "$VMF" newvm stop ifdel
ok "destroy" "$VMF" newvm destroy --yes
ok "no traces of the VM on this host" nothing_left

# ---- killed -----------------------------------------------------------------------------------------

# the guest does not let go of a NIC before it is up, so it stays; a NIC in br1, and it runs
one_nic()
{
	"$VMF" a status >/dev/null || { "$VMF" a start && guest_ready a 120; } || return
	"$VMF" a ifadd 1 br1
}

# what QEMU has, what the definition has, and what the host has are one
agrees()
{
	local n taps

	"$VMF" a status || return
	n=$("$VMF" --json a ifstat | jq '.nics | length')
	taps=$(ip -json link | jq '[.[] | select(.master)] | length')
	"$VMF" a ifstat
	"$VMF" a qmp '{"execute": "qom-list", "arguments": {"path": "/machine/peripheral"}}' |
		jq -r '.return[].name | select(startswith("nic-"))' >"$scratch/devices"
	cat "$scratch/devices"
	ip -brief link
	[ "$(wc -l <"$scratch/devices")" = "$n" ] && [ "$taps" = "$n" ] &&
		[ "$(grep -c '^step nic-up' "$VMF_HOME/run/a/journal")" = "$n" ] &&
		[ "$(ip -json -details link show type bridge | jq length)" = "$(ip -json link | jq '[.[].master | select(.)] | unique | length')" ]
}

each_point "ifadd of a running VM" one_nic agrees a ifadd 2 br1 br2
each_point "connect of a running VM" one_nic agrees a connect 0 br3

two_nics()
{
	one_nic && "$VMF" a ifadd 2 br1 br2 && guest a 'for i in 1 2 3 4 5 6 7 8 9; do [ -e /sys/class/net/eth1 ] && break; sleep 0.5; done'
}

each_point "a NIC is taken from a running VM" two_nics agrees a ifadd 1 br1
ok "stop" "$VMF" a stop
ok "nothing is left of all that" nothing_left
plan_now
