#!/bin/bash
# SPDX-License-Identifier: ISC
#
# `doctor`: what is missing, and what a firewall does to two real guests on a bridge, which hear each other again once the command
# that it prints was typed.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program ip iproute2
need_program jq jq
need_program nft nftables
need_program iptables-legacy iptables
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || skip_all "not possible here: the kernel has no br_netfilter"
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || echo 'user = "root"' >>"$VMF_HOME/etc/vmf.conf"

wrong()
{
	"$VMF" --json doctor | jq -r ".[] | select(.state == \"wrong\") | .$1"
}

# ---- programs, storages -----------------------------------------------------------------------------

ok "nothing is wrong" "$VMF" doctor
says "with QEMU" '^ok +QEMU$'
says "with the network" '^ok +network "bridged"$'
fails "a word too many" 2 "$VMF" doctor what
echo 'qemu = "qemu-nowhere"' >>"$VMF_HOME/etc/vmf.conf"
fails "QEMU is missing" 1 "$VMF" doctor
says "is told" '^wrong +QEMU: there is no program qemu-nowhere'
says "and the package" '-> apt install qemu-system-x86'
ok "it would be installed" "$VMF" --dry-run doctor --install
says "by apt" 'apt-get install qemu-system-x86'
ok "and nothing else" [ "$("$VMF" --dry-run doctor --install | wc -w)" = "$("$VMF" --dry-run doctor --install | grep -o '.*qemu-system-x86' | wc -w)" ]
fails "not without being asked" 2 "$VMF" doctor --install
sed -i '/^qemu = /d' "$VMF_HOME/etc/vmf.conf"
ok "nothing is to be installed" "$VMF" doctor --install
echo 'storage "far" { file-qcow2 { dir = "/nowhere/at/all" } }' >>"$VMF_HOME/etc/vmf.conf"
echo 'storage "none" { nosuch { } }' >>"$VMF_HOME/etc/vmf.conf"
fails "storages that cannot be used" 1 "$VMF" doctor
says "are told" '^wrong +storage "none": .*nosuch'
sed -i '/^storage "\(far\|none\)"/d' "$VMF_HOME/etc/vmf.conf"
if ! [ -x /sbin/lvs ]; then
	echo 'storage "group" { lvm { } }' >>"$VMF_HOME/etc/vmf.conf"
	fails "a plugin whose program is missing" 1 "$VMF" doctor
	says "is wrong as it is used" '^wrong +plugin storage lvm: lvs is missing'
	says "and the package is named" '-> apt install lvm2'
	sed -i '/^storage "group"/d' "$VMF_HOME/etc/vmf.conf"
	ok "if it is not used" "$VMF" doctor
	says "that is a note" '^note +plugin storage lvm: lvs is missing'
fi

# ---- a firewall between two guests --------------------------------------------------------------------

address()
{
	guest "$1" "for i in 1 2 3 4 5 6 7 8 9; do ip link set eth0 up && break; sleep 0.5; done; killall udhcpc; ip addr flush dev eth0; ip addr add 10.0.0.$2/24 dev eth0" 60
}

hears()
{
	guest a "for i in 1 2 3 4 5; do ping -c 1 -W 1 10.0.0.2 >/dev/null && break; done; ping -c 1 -W 1 10.0.0.2" 60
}

deaf()
{
	! guest a "ping -c 2 -W 1 10.0.0.2" 60
}

for vm in a b; do
	ok "$vm" eval '"$VMF" '$vm' create && "$VMF" '$vm' ifadd 1 br1 && "$VMF" '$vm' start'
done
for vm in a b; do
	ok "$vm is up" guest_ready $vm 120
done
ok "a has an address" address a 1
ok "b has one" address b 2
ok "they hear each other" hears

# mended: by the first command that is printed; mended_otherwise: by the second
mended()
{
	local remedy

	remedy=$(wrong remedy | head -n 1)
	eval "${remedy%%, or: *}" && hears && "$VMF" doctor
}

mended_otherwise()
{
	local remedy

	remedy=$(wrong remedy | head -n 1)
	eval "${remedy#*, or: }" && hears
}

iptables -P FORWARD DROP
ok "as Docker leaves it: they do not" deaf
fails "doctor says so" 1 "$VMF" doctor
says "with the sysctl and the chain" 'net.bridge.bridge-nf-call-iptables = 1.*chain FORWARD of nft.s table ip filter drops'
ok "the command that it prints mends it" mended
sysctl -qw net.bridge.bridge-nf-call-iptables=1
ok "again they do not" deaf
ok "the other command mends it, too" mended_otherwise
iptables -F FORWARD
iptables -P FORWARD ACCEPT
ok "nothing drops any more" "$VMF" doctor

iptables-legacy -P FORWARD DROP
ok "the older kind of rules: they do not" deaf
fails "doctor says so" 1 "$VMF" doctor
says "with the chain" 'where chain FORWARD of iptables-legacy drops'
ok "the command that it prints mends it" mended
iptables-legacy -P FORWARD ACCEPT
sysctl -qw net.bridge.bridge-nf-call-iptables=1

nft add table bridge filter
nft 'add chain bridge filter forward { type filter hook forward priority 0; policy drop; }'
ok "a bridge's own chain: they do not" deaf
fails "doctor says so" 1 "$VMF" doctor
says "with the chain" 'chain forward of nft.s table bridge filter drops'
ok "only that" [ "$(wrong what | wc -l)" = 1 ]
nft delete table bridge filter
ok "without it they do" hears
ip6tables -P FORWARD DROP
fails "of IPv6, too" 1 "$VMF" doctor
says "with the other sysctl" 'IPv6 between .*net.bridge.bridge-nf-call-ip6tables'
ip6tables -P FORWARD ACCEPT
for vm in a b; do
	ok "$vm goes" "$VMF" $vm stop -- destroy --yes
done
plan_now
