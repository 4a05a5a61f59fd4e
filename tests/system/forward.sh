#!/bin/bash
# SPDX-License-Identifier: ISC
#
# QEMU's user mode network: ports that lead to the guest come and go, reached by a real HTTP client; addresses and names that
# DHCP tells; vmf killed at every step.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program curl curl
need_program jq jq

world_save
# free N: the Nth port from the top that nobody has
free()
{
	local port=$((60000 - $1 - $$ % 5000))

	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		port=$((port - 7))
	done
	echo $port
}
one=$(free 1)
two=$(free 2)

page()
{
	curl -sS --max-time 20 --retry 5 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$1/"
}

closed()
{
	! curl -sS --max-time 2 "http://127.0.0.1:$1/"
}

ok "a VM" "$VMF" web create
ok "a port is forwarded while it is off" "$VMF" web forward add "$one:80"
says "which is said" "web: $one:80\$"
ok "another one, a free one" "$VMF" web forward add 0:80
"$VMF" web config >"$out"
says "both are in the definition" "hostfwd = \{\"$one:80\", \"0:80\"\}"
fails "a port twice" 5 "$VMF" web forward add "$one:8080"
says "is told" "port $one leads to the guest already"
fails "no forward at all" 2 "$VMF" web forward add 80
fails "one that is not there" 4 "$VMF" web forward rm 1:2
says "with those that are" "hint: there are $one:80, 0:80"
ok "start" "$VMF" web start
ok "the guest is up" guest_ready web
ok "it has its address" guest web 'for i in 1 2 3 4 5 6 7 8 9; do ip addr show dev eth0 | grep -q 10.0.2.15 && break; sleep 1; done; ip addr show dev eth0 | grep 10.0.2.15' 60
ok "a page by the one" page "$one"
says "is the guest's" 'vmf test guest'
ok "a dry run" "$VMF" web forward add "$two:80" --dry-run
says "says what it would do" "forward tcp:127.0.0.1:$two-:80 in the running VM"
ok "and does not" closed "$two"
ok "a third while it runs" "$VMF" web forward add "$two:80"
says "as it runs" "tcp:127.0.0.1:$two-:80, also as it runs"
ok "leads to the guest" page "$two"
"$VMF" web info >"$out"
says "info knows" "tcp:127.0.0.1:$two-:80"
fails "another VM cannot have it" 7 "$VMF" w2 create forward add "$two:80"
says "is told" "host port $two is taken"
"$VMF" w2 destroy --yes >"$out" 2>&1
ok "a free one ends by its number" eval 'free=$("$VMF" --json web ifstat | jq -r ".nics[0].forwards[]" | sed "s/^tcp:127.0.0.1:\(.*\)-:80$/\1/" | grep -vx "$one\|$two") && "$VMF" web forward rm "$free:80" && closed "$free" && "$VMF" web forward add 0:80'
ok "a free one while it runs" "$VMF" --json web forward add 0:80
port=$(jq -r .rule "$out" | sed 's/^tcp:127.0.0.1:\(.*\)-:80$/\1/')
ok "leads there as well" page "$port"
ok "the first is ended" "$VMF" web forward rm "$one:80"
ok "and closed" closed "$one"
ok "the third still leads there" page "$two"
"$VMF" web config >"$out"
says "the definition says so" "hostfwd = \{\"$two:80\", \"0:80\", \"0:80\"\}"
ok "stop and start" eval '"$VMF" web stop && "$VMF" web start'
ok "with those that there are" page "$two"
ok "all are ended" eval '"$VMF" web forward rm "$two:80" && "$VMF" web forward rm 0:80 && "$VMF" web forward rm 0:80'
ok "none is left" eval '[ "$("$VMF" --json web ifstat | jq ".nics[0].forwards | length")" = 0 ]'

# ---- killed -----------------------------------------------------------------------------------------

without()
{
	"$VMF" web status || "$VMF" web start
	"$VMF" web forward rm "$one:80"
	closed "$one"
}

# open as the definition says, and as the record says
agrees()
{
	local there=1

	"$VMF" web config | grep -q "\"$one:80\"" && there=0
	if [ $there = 0 ]; then page "$one"; else closed "$one"; fi &&
		[ "$("$VMF" --json web ifstat | jq '.nics[0].forwards | length')" = $((1 - there)) ]
}

with()
{
	"$VMF" web status || "$VMF" web start
	"$VMF" web forward add "$one:80"
	page "$one"
}

guest_ready web
each_point "forward add" without agrees web forward add "$one:80"
each_point "forward rm" with agrees web forward rm "$one:80"

# ---- what DHCP tells ----------------------------------------------------------------------------------

"$VMF" web stop >"$out" 2>&1
fails "an address outside" 3 "$VMF" -o nic.0.user-mode.dhcpstart=10.0.3.20 web start
fails "the gateway's" 3 "$VMF" -o nic.0.user-mode.dhcpstart=10.0.2.2 web start
says "is told" 'dhcpstart = "10.0.2.2": not an address'
ok "addresses and names" "$VMF" web set nic.0.user-mode.net=10.9.0.0/24 nic.0.user-mode.dhcpstart=10.9.0.77 \
	nic.0.user-mode.dns=10.9.0.9 'nic.0.user-mode.dnssearch={"example.org", "example.net"}' nic.0.user-mode.domainname=example.com
ok "start with them" "$VMF" web start
ok "up" guest_ready web
ok "the guest has the address" guest web 'for i in 1 2 3 4 5 6 7 8 9; do ip addr show dev eth0 | grep -q 10.9.0.77 && break; sleep 1; done; ip addr show dev eth0 | grep 10.9.0.77' 60
"$VMF" web info >"$out"
says "info knows it" 'address 10.9.0.77'
ok "the end" "$VMF" web stop destroy --yes
ok "nothing is left" world_same
# ---- passt in its place ------------------------------------------------------------------------------

ways()
{
	pgrep -f "passt .*127.0.0.1/$one:80"
}
no_ways()
{
	! ways
}
if command -v passt >"$out"; then
	ok "a VM with passt" "$VMF" web create
	ok "its own options" "$VMF" web set nic.0.user-mode.backend=passt "nic.0.user-mode.hostfwd=$one:80"
	fails "what passt cannot" 3 "$VMF" -o nic.0.user-mode.tftp="$scratch" web start
	says "is told" 'tftp: passt has nothing like it'
	ok "a dry run" "$VMF" web start --dry-run
	ok "starts nothing" no_ways
	ok "start" "$VMF" web start
	says "with its port" "port $one of this host leads to port 80"
	ok "passt runs" ways
	ok "up" guest_ready web
	ok "somebody answers at the port" wait_for 20 page "$one"
	ok "with a page" page "$one"
	says "is the guest's" 'vmf test guest'
	ok "the guest has its address" guest web 'ip addr show dev eth0 | grep 10.0.2.15'
	fails "a port while it runs" 12 "$VMF" web forward add "$two:80"
	says "wants it stopped" 'stop. the VM'
	fails "nor a relay" 12 "$VMF" web relay 80 --port 0
	ok "is not in the definition" eval '! "$VMF" web config | grep -q "$two:80"'
	ok "another NIC while it runs" "$VMF" web ifadd 2
	ok "is seen by the guest" wait_for 20 guest web 'ip link show eth1'
	kill -9 "$(cat "$VMF_HOME/run/web/pid")"
	ok "passt goes with QEMU" wait_for 10 no_ways
	ok "the end" "$VMF" web stop destroy --yes
	ok "nothing is left of it" world_same
else
	skip "passt" "not installed: passt"
fi
fails "a VM on bridges has no forwards" 12 "$VMF" -o network=bridged b create set nic.0.network=bridged forward add 1:2
plan_now
