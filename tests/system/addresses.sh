#!/bin/bash
# SPDX-License-Identifier: ISC
# Which addresses guests are known by: user mode's, those in the neighbour table, those that a DHCP server has given away.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program ip iproute2
need_program jq jq
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"
mkdir -p "$VMF_HOME/etc"
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || echo 'user = "root"' >>"$VMF_HOME/etc/vmf.conf"
cat >>"$VMF_HOME/etc/vmf.conf" <<END
network "lab" { tap-bridge { bridge = "brlab" leases = "$scratch/leases" } }
END
: >"$scratch/leases"

# known VM N: the addresses of its Nth NIC
known()
{
	"$VMF" --json "$1" addresses | jq -r ".[$2].addresses | sort | join(\" \")"
}

ip link add brlab type bridge
ip address add 192.0.2.1/24 dev brlab
ip link set brlab up
ok "a VM on a bridge and in user mode" "$VMF" web create --nic lab --nic default
ok "starts" "$VMF" web start
mac=$("$VMF" --json web info | jq -r '.nics[0].mac')
ok "nothing is known of its NIC on the bridge" [ "$(known web 0)" = "" ]
ok "in user mode it has the usual one" [ "$(known web 1)" = 10.0.2.15 ]
ok "the guest is up" guest_ready web
ok "wait ip: user mode tells it at once" "$VMF" web wait ip --timeout 1s
ok "it has an address and talks to the host" guest web 'killall udhcpc; ip addr flush dev eth0; ip addr add 192.0.2.7/24 dev eth0; ip link set eth0 up; for i in 1 2 3 4 5; do ping -c 1 -W 1 192.0.2.1 && break; done' 60
ok "that is known" [ "$(known web 0)" = 192.0.2.7 ]
cat >"$scratch/leases" <<END
$(($(date +%s) + 1000)) ${mac^^} 192.0.2.50 web *
$(($(date +%s) - 1000)) $mac 192.0.2.51 web *
0 02:00:00:00:00:01 192.0.2.52 other *
END
ok "dnsmasq's leases, unless they have run out or are another's" [ "$(known web 0)" = "192.0.2.50 192.0.2.7" ]
cat >"$scratch/leases" <<END
lease 192.0.2.60 {
  starts 4 2026/11/26 07:00:00;
  binding state active;
  hardware ethernet $mac;
}
lease 192.0.2.61 {
  binding state free;
  hardware ethernet $mac;
}
END
ok "dhcpd's, which are active" [ "$(known web 0)" = "192.0.2.60 192.0.2.7" ]
ok "a line for each" "$VMF" web addresses
says "with NIC and MAC address" "^web	0	$mac	192.0.2.7\$"
ok "list has a column" "$VMF" list --columns name,addresses
says "of them" "^web	192.0.2.7 192.0.2.60 10.0.2.15\$"
ok "as JSON" eval '[ "$("$VMF" --json list --columns addresses | jq -c ".[0].addresses | length")" = 3 ]'
ok "info has them, too" eval '"$VMF" web info | grep "address .*192.0.2.60"'
"$VMF" web stop >"$out" 2>&1
ok "another one" "$VMF" db create --nic lab
ok "all of them" "$VMF" addresses
says "have lines" '^db	0	02:[0-9a-f:]*	-$'
fails "a VM that is off has none to wait for" 10 "$VMF" db wait ip --timeout 200ms
ok "for dnsmasq" "$VMF" addresses --dnsmasq
says "with names" "^dhcp-host=$mac,web\$"
says "of each NIC" '^dhcp-host=02:[0-9a-f:]*,web-1$'
ok "for dhcpd" "$VMF" addresses --dhcpd
says "in its own words" "^host web { hardware ethernet $mac; }\$"
fails "not both" 2 "$VMF" addresses --dhcpd --dnsmasq
fails "no word behind it" 2 "$VMF" addresses web
plan_now
