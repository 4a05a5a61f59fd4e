#!/bin/bash
# SPDX-License-Identifier: ISC
#
# NICs on bridges, in a network namespace: what vmf makes there and what it takes away again, the names and options, real
# guests that hear each other, and everything that can be wrong. vmf and QEMU are killed at every step.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program ip iproute2
need_program jq jq
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"

cat >"$VMF_HOME/etc/vmf.conf" <<'END'
network "lab" { tap-bridge { bridge = "brlab" create = yes } }
network "own" { tap-bridge { bridge = "brown" } }
network "odd" { tap-bridge { } }
END
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || echo 'user = "root"' >>"$VMF_HOME/etc/vmf.conf"

# link NAME FILTER: what jq finds in `ip -details -json link show NAME`
link()
{
	ip -details -json link show dev "$1" 2>/dev/null | jq -r ".[0] | $2"
}

# is NAME FILTER VALUE
is()
{
	local value

	value=$(link "$1" "$2")
	echo "$1: $2 is $value, should be $3"
	[ "$value" = "$3" ]
}

links()
{
	ip -json link | jq -c '[.[] | del(.ifindex)]'
}

nothing_left()
{
	links | diff "$scratch/links" - && world_same
}

# ---- up and down ------------------------------------------------------------------------------------

links >"$scratch/links"
world_save
ok "a VM on a bridge that is not there" "$VMF" web create --nic lab
ok "what start would do is shown" "$VMF" web start --dry-run
says "its network is named" 'bring up nic "0": 02:.* on network "lab" \(tap-bridge\)'
ok "and nothing was made" nothing_left
ok "start" "$VMF" web start
ok "the bridge was made" is brlab .linkinfo.info_kind bridge
ok "and is up" is brlab '.flags | contains(["UP"])' true
ok "the tap is plugged in" is webe0 .master brlab
ok "up as well" is webe0 '.flags | contains(["UP"])' true
ok "it is not persistent" is webe0 .linkinfo.info_data.persist false
ok "its alias says whose it is" is webe0 .ifalias 'vmf: web nic-0'
ip -6 address >"$out"
result "$(grep -c 'brlab\|webe0' "$out")" "neither has an IPv6 address"
mac=$("$VMF" --json web info | jq -r '.nics[0].mac')
ok "the host's end has an address that no bridge takes" is webe0 .address "fe${mac#02}"
"$VMF" web info >"$out"
says "info names bridge and tap" 'in brlab, webe0'
ok "the guest boots" guest_ready web
ok "and has the MAC address" guest web "grep -i $mac /sys/class/net/eth0/address"
ok "save" "$VMF" web save
ok "nothing is left while it is saved" nothing_left
ok "and on" "$VMF" web start
ok "the guest goes on" guest web 'ip link show eth0'
ok "stop" "$VMF" web stop
ok "nothing is left" nothing_left

"$VMF" web start >"$out" 2>&1
kill -9 "$(cat "$VMF_HOME/run/web/pid")"
ok "QEMU is killed: the tap goes at once" wait_for 5 eval '! ip link show dev webe0'
ok "the next command takes the bridge away" "$VMF" web stop
ok "and nothing is left of it" nothing_left

# many go at once, and nobody else's with them
ok "a VM with many NICs, and a neighbour" eval '"$VMF" many create $(for i in 1 2 3 4 5 6; do echo --nic lab; done) start && "$VMF" near create --nic lab start'
ip link add name manyx type dummy 2>/dev/null || ip link add name manyx type veth peer name manyy
ip link set manyx group 7761253
ok "all are there" eval '[ "$(ip -json link show master brlab | jq length)" = 7 ]'
if command -v strace >/dev/null && strace -qq -o /dev/null true 2>/dev/null; then
	ok "it stops" strace -f -o "$scratch/trace" -e trace=sendmsg "$VMF" many stop
	[ "$(grep -c RTM_DELLINK "$scratch/trace")" = 1 ]
	result $? "its taps are deleted together"
else
	ok "it stops" "$VMF" many stop
	skip "its taps are deleted together" "not possible here: no strace"
fi
ok "the neighbour's is still there" eval '[ "$(ip -json link show master brlab | jq -c "[.[].ifname]")" = "[\"neare0\"]" ]'
ok "and what only looks like one" ip link show manyx
ip link delete manyx
ok "both are gone" eval '"$VMF" near stop && "$VMF" near destroy --yes && "$VMF" many destroy --yes'
ok "nothing is left of them" nothing_left

# ---- a bridge of somebody else's ----------------------------------------------------------------------

fails "a bridge that is missing" 4 "$VMF" -o nic.0.network=own web start
says "the hint tells how to get it" 'hint: set create = yes, or `vmf net add brown`'
ip link add brown type bridge
ip link set brown mtu 1400 address 02:00:00:00:00:99 up
ip link | sed 's,<.*> \(mtu [0-9]*\).*,\1,' >"$scratch/before"
ok "one that is there" "$VMF" -o nic.0.network=own web start
ok "the tap follows its MTU" is webe0 .mtu 1400
ok "the bridge keeps it" is brown .mtu 1400
ok "the guest boots there" guest_ready web
ok "and was told" guest web 'grep 1400 /sys/class/net/eth0/mtu'
ok "stop it" "$VMF" web stop
ip link | sed 's,<.*> \(mtu [0-9]*\).*,\1,' >"$scratch/after"
ok "the bridge stays" diff "$scratch/before" "$scratch/after"
"$VMF" -o nic.0.network=lab -o nic.0.bridge=brown web start >"$out" 2>&1
"$VMF" web stop >"$out" 2>&1
ok "also where vmf makes what is missing" link brown .ifname
says "it is still there" brown
ip link delete brown

ok "a bridge of vmf's" "$VMF" web start
ip address add 192.0.2.1/24 dev brlab
ok "that somebody gave an address" "$VMF" web stop
ok "stays" is brlab .ifname brlab
ip address flush dev brlab
ip link add veth0 type veth peer name veth1
ip link set veth0 master brlab
"$VMF" web start >"$out" 2>&1
ok "and one with another port" "$VMF" web stop
ok "stays, too" is brlab .ifname brlab
ip link delete veth0
"$VMF" web start >"$out" 2>&1
ok "the last NIC takes it along" "$VMF" web stop
ok "so that nothing is left" nothing_left

# ---- options ------------------------------------------------------------------------------------------

ok "isolated, hairpin, queues" "$VMF" -o nic.0.tap-bridge.isolated=yes -o nic.0.tap-bridge.hairpin=yes \
	-o nic.0.tap-bridge.queues=2 -o cpus=2 web start
ok "the port is isolated" is webe0 .linkinfo.info_slave_data.isolated true
ok "and a hairpin" is webe0 .linkinfo.info_slave_data.hairpin true
ok "the tap has two queues" is webe0 .linkinfo.info_data.multi_queue true
ok "the guest boots with them" guest_ready web 120
ok "and sees both" guest web 'ls -d /sys/class/net/eth0/queues/tx-1'
"$VMF" web stop >"$out" 2>&1
ok "another model" "$VMF" -o nic.0.model=e1000 -o nic.0.tap-bridge.queues=2 web start
ok "has one queue" is webe0 .linkinfo.info_data.multi_queue false
"$VMF" web stop >"$out" 2>&1
ok "plugged into nothing" "$VMF" -o nic.0.bridge=- web start
ok "there is a tap" is webe0 .master null
"$VMF" web info >"$out"
says "info says so" 'plugged into nothing, webe0'
"$VMF" web stop >"$out" 2>&1
if [ -c /dev/vhost-net ]; then
	ok "vhost" "$VMF" -o nic.0.tap-bridge.vhost=on web start -- stop
else
	fails "vhost where there is none" 9 "$VMF" -o nic.0.tap-bridge.vhost=on web start
	says "and what helps" 'hint: set vhost = auto'
fi
long=a-very-long-name-of-a-vm
ok "two VMs whose names begin alike" "$VMF" $long-1 create --nic lab
ok "both too long for an interface" "$VMF" $long-2 create --nic lab
ok "the one" "$VMF" $long-1 start
ok "and the other start" "$VMF" $long-2 start
[ "$(ip -json link | jq -r '.[] | select(.master == "brlab") | .ifname' | grep -c '^a-very-lo-.....$')" = 2 ]
result $? "with names of their own"
"$VMF" $long-1 stop destroy --yes >"$out" 2>&1
ok "the bridge stays for the one" is brlab .ifname brlab
"$VMF" $long-2 stop destroy --yes >"$out" 2>&1
ok "and goes with it" nothing_left
ip link add webe0 type veth peer name veth1
ok "a name that is taken" "$VMF" web start
ok "another one is found" link "$("$VMF" --json web info | jq -r '.nics[0].interface')" .master
says "for the tap" brlab
"$VMF" web stop >"$out" 2>&1
ip link delete webe0

# ---- persistent ---------------------------------------------------------------------------------------

persist="-o nic.0.tap-bridge.persist=yes"
# shellcheck disable=SC2086 # options
{
	ok "a persistent tap" "$VMF" $persist web start
	ok "is one" is webe0 .linkinfo.info_data.persist true
	fails "another VM cannot have it meanwhile" 7 "$VMF" $persist -o nic.0.tap-bridge.ifname=webe0 $long-3 create --nic lab start
	says "it is in use" 'tap webe0 is in use'
	"$VMF" $long-3 destroy --yes >"$out" 2>&1
	ok "its VM stops" "$VMF" $persist web stop
	ok "the tap stays in its bridge" is webe0 .master brlab
	ok "and is used again" "$VMF" $persist web start -- stop
}
ip link delete webe0
ip link delete brlab

# ---- what can be wrong --------------------------------------------------------------------------------

# refused NAME STATUS PATTERN SETTING...: the start is, and nothing is made
refused()
{
	local name=$1 status=$2 pattern=$3 setting

	shift 3
	set -- "$@"
	for setting; do
		set -- "$@" -o "$setting"
		shift
	done
	fails "$name" "$status" "$VMF" "$@" web start
	says "$name: it is said" "$pattern"
	ok "$name: nothing was made" nothing_left
}

refused "a name too long" 3 'bridge "br-much-too-long" is longer than the 15 characters' nic.0.bridge=br-much-too-long
refused "no name" 3 'bridge "a/b" is no name of an interface' nic.0.bridge=a/b
refused "no bridge" 3 'lo is no bridge' nic.0.bridge=lo
refused "none named" 3 'network "odd" names no bridge' nic.0.network=odd
refused "an owner that is not there" 3 'there is no user "nobody-such"' nic.0.tap-bridge.owner=nobody-such
refused "a name that is in use" 5 'there is an interface lo already' nic.0.tap-bridge.ifname=lo
refused "persistent, but no tap" 5 'interface lo is there already, and is no tap' nic.0.tap-bridge.ifname=lo nic.0.tap-bridge.persist=yes
refused "an MTU that cannot be" 3 'mtu' nic.0.tap-bridge.mtu=20
ip link add deep type veth peer name veth1
ip link add brown type bridge
ip link set deep master brown
links >"$scratch/links"
world_save
refused "a port of a bridge" 3 'deep is no bridge \(it is a veth\)' nic.0.bridge=deep
ip link delete brown
ip link delete deep
links >"$scratch/links"
world_save
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	fails "without the right no tap of the host stays" 8 setpriv --bounding-set=-net_admin "$VMF" -o nic.0.tap-bridge.persist=yes web start
	says "what to do is said" 'hint: be root, or have CAP_NET_ADMIN; a network with user-mode needs no rights'
	ok "and nothing was made" nothing_left
fi
fails "a MAC address that is none" 3 "$VMF" web set nic.0.mac=52:54:00
fails "one of many" 3 "$VMF" web set nic.0.mac=01:00:5e:00:00:01
ok "another VM" "$VMF" db create --nic lab
fails "its MAC address is taken" 5 "$VMF" db set nic.0.mac="${mac^^}"
says "by whom" 'nic "0" of vm "web" has the MAC address'
ok "the definition is as it was" "$VMF" db config
result "$(grep -c 'mac = ' "$out")" "without that address"
fails "twice in one VM" 5 "$VMF" db set nic.0.mac=02:00:00:00:00:01 nic.1.mac=02:00:00:00:00:01
fails "nor is a VM made with it" 5 "$VMF" new set nic.0.mac="$mac"
ok "one of its own" "$VMF" db set nic.0.mac=02:00:00:00:00:01
sed -i "s/02:00:00:00:00:01/$mac/" "$VMF_HOME/etc/vms/db.conf"
fails "taken by hand: the VM does not start" 5 "$VMF" db start
ok "the other does" "$VMF" web start -- stop
ok "a rename" "$VMF" web rename www
[ "$("$VMF" --json www info | jq -r '.nics[0].mac')" = "$mac" ]
result $? "keeps the address"
"$VMF" www rename web >"$out" 2>&1
"$VMF" db destroy --yes >"$out" 2>&1
ok "a clone" "$VMF" db clone --from web
[ "$("$VMF" --json db info | jq -r '.nics[0].mac')" != "$mac" ]
result $? "has one of its own"
ok "is destroyed" "$VMF" db destroy --yes

# ---- killed -------------------------------------------------------------------------------------------

is_off()
{
	"$VMF" web stop && nothing_left
}

runs_or_nothing()
{
	case $("$VMF" web status) in
	*running*) ip link show dev webe0 && is_off ;;
	*) nothing_left ;;
	esac
}

runs()
{
	"$VMF" web status || "$VMF" web start
}

each_point "start" is_off runs_or_nothing web start
each_point "stop" runs is_off web stop
ok "destroy" "$VMF" web destroy --yes
ok "nothing is left of all that" nothing_left
plan_now
