#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Bridges for an ordinary user: a network of her own that her QEMUs keep, with a way out, and a bridge of the host by an
# administrator's leave. In a network namespace, whose root is the administrator; the user is one whom nobody else is.

. "${top_srcdir:-.}/tests/netns.sh"
. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program ip iproute2
need_program jq jq
need_program slirp4netns slirp4netns
need_program python3 python3
[ "$(awk '{ print $3 }' /proc/self/uid_map)" != 1 ] || skip_all "not possible here: we are no root, who could be another"
[ -w /dev/net/tun ] || skip_all "not possible here: /dev/net/tun cannot be opened"
user=$((61000 + BASHPID % 1000))
setpriv --reuid=$user --regid=$user --clear-groups unshare -Urn true 2>"$out" ||
	skip_all "not possible here: users have no namespaces"

# the program, its plugins and the guest, where the user can read them
mkdir -p "$scratch/u/plugins" "$scratch/u/h/etc/classes"
chmod 755 "$scratch"
case $(head -c 2 "$VMF") in
'#!') "$top_builddir/libtool" --mode=execute cp "$VMF" "$scratch/u/vmf" ;;
*) cp "$VMF" "$scratch/u/vmf" ;;
esac
IFS=: read -ra folders <<<"$VMF_PLUGIN_PATH"
for folder in "${folders[@]}"; do cp -L "$folder"/*.so "$scratch/u/plugins/" 2>/dev/null; done
cp "$guest_dir/vmlinuz" "$guest_dir/initrd" "$scratch/u/"
sed "s|$guest_dir|$scratch/u|" "$VMF_HOME/etc/classes/default.conf" >"$scratch/u/h/etc/classes/default.conf"
cat >"$scratch/u/h/etc/vmf.conf" <<'END'
display_default = "none"
network "lab" { tap-bridge { bridge = "lab0" } }
network "pure" { tap-bridge { bridge = "pure0" uplink = no } }
network "host" { tap-bridge { bridge = "brhost" } }
END
chmod -R a+rX "$scratch/u"
chown -R $user:$user "$scratch/u/h"
cat >"$scratch/u/run" <<END
#!/bin/sh
exec setpriv --reuid=$user --regid=$user --clear-groups env HOME=$scratch/u/h VMF_HOME=$scratch/u/h VMF_PLUGIN_PATH=$scratch/u/plugins $scratch/u/vmf "\$@"
END
chmod 755 "$scratch/u/run"
VMF=$scratch/u/run
VMF_HOME=$scratch/u/h
export VMF_HOME

# where the way out leads: a page on an address of the "host"
ip link add web type veth peer name far
ip link set far up
ip address add 198.51.100.1/24 dev web
ip link set web up
mkdir "$scratch/www"
echo "a page of the host" >"$scratch/www/page"
python3 -m http.server 8080 --bind 198.51.100.1 --directory "$scratch/www" >/dev/null 2>&1 &
background_pids="$background_pids $!"

links()
{
	ip -json link | jq -c '[.[].ifname]'
}

# processes [NAME]: the user's, by their numbers; dead ones that nobody has buried yet do not count
processes()
{
	ps -u "$user" -o pid=,stat=,comm= | awk -v name="${1-}" '$2 !~ /^Z/ && (name == "" || $3 == name) { print $1 }' | grep .
}

# ways: programs that lead out of networks of the user
ways()
{
	processes slirp4netns
}

no_processes()
{
	! processes
}

no_ways()
{
	! ways
}

# networks: files of processes of the user that are network namespaces other than ours
networks()
{
	local pid

	for pid in $(processes); do
		find "/proc/$pid/fd" -lname 'net:*' ! -lname "$(readlink /proc/self/ns/net)" 2>/dev/null
	done | grep .
}

no_networks()
{
	! networks
}

address()
{
	guest "$1" 'ip -4 -o addr show eth0' | sed -n 's/.* inet \([0-9.]*\).*/\1/p'
}

has_address()
{
	[ -n "$(address "$1")" ]
}

world_save
links >"$scratch/links"

# ---- a network of one's own --------------------------------------------------------------------------

ok "a VM" "$VMF" a create --nic lab
ok "a dry run" "$VMF" --dry-run a start
ok "it starts" "$VMF" a start
says "and it is said where its NIC is" 'lab0 is in a network of your own, which leads out'
ok "the host's links are as they were" eval 'links | diff "$scratch/links" -'
ok "another" "$VMF" b create --nic lab start
ok "one way out is enough" eval '[ "$(ways | wc -l)" = 1 ]'
ok "the network is shown" "$VMF" --json net show
jq -e '[.. | .segment?, .port? | strings] | index("lab0") and index("ae0") and index("be0")' "$out" >/dev/null
result $? "with both NICs"
ok "in the first one a shell" guest_ready a
ok "in the other one, too" guest_ready b
ok "it has an address" wait_for 30 has_address a
ok "and so has the other" wait_for 30 has_address b
b=$(address b)
[ "$b" != "$(address a)" ]
result $? "of its own"
ok "they hear each other" guest a "ping -c 1 -W 5 $b"
ok "a page comes through the way out" guest a 'printf "GET /page HTTP/1.0\r\n\r\n" | nc -w 10 198.51.100.1 8080'
says "as it is" 'a page of the host'
ok "to the other, too" guest b 'printf "GET /page HTTP/1.0\r\n\r\n" | nc -w 10 198.51.100.1 8080'

# ---- NICs of running VMs -----------------------------------------------------------------------------

ok "a second NIC each" "$VMF" a ifadd 2 lab pure
ok "of the other" "$VMF" b ifadd 2 lab pure
ok "in a bridge of their own" "$VMF" --json net show
jq -e '[.. | .segment?, .port? | strings] | index("pure0") and index("ae1") and index("be1")' "$out" >/dev/null
result $? "both of them"
ok "the guests see it" wait_for 20 guest a 'ip link show eth1'
ok "addresses by hand" guest a 'killall udhcpc; ip link set eth1 up; ip addr flush dev eth1; ip addr add 203.0.113.1/24 dev eth1'
ok "the other one sees it, too" wait_for 20 guest b 'ip link show eth1'
ok "and has one" guest b 'killall udhcpc; ip link set eth1 up; ip addr flush dev eth1; ip addr add 203.0.113.2/24 dev eth1'
ok "they hear each other there" wait_for 20 guest a 'ping -c 2 -W 3 203.0.113.2'
python3 -m http.server 8081 --bind 127.0.0.1 --directory "$scratch/www" >/dev/null 2>&1 &
background_pids="$background_pids $!"
sleep 1
if guest a 'printf "GET /page HTTP/1.0\r\n\r\n" | nc -w 3 10.0.2.2 8081 | grep page'; then false; fi
result $? "the host's loopback is not to be had"
ok "one is plugged elsewhere while it runs" "$VMF" b connect 1 other0
if guest a 'ping -c 1 -W 2 203.0.113.2'; then false; fi
result $? "and heard no longer"
ok "and back" "$VMF" b connect 1 pure0
ok "with its address" guest b 'killall udhcpc; ip link set eth1 up; ip addr replace 203.0.113.2/24 dev eth1; ip addr show eth1'
ok "it is heard again" wait_for 20 guest a 'ping -c 2 -W 3 203.0.113.2'

# ---- the end ----------------------------------------------------------------------------------------

ok "the first one stops" "$VMF" a stop
ok "the other one still gets out" guest b 'printf "GET /page HTTP/1.0\r\n\r\n" | nc -w 10 198.51.100.1 8080'
ok "it starts again" "$VMF" a start
ok "somebody has the network open" networks
# both at once, and what is left is looked for before any command could tidy up
kill -9 "$(cat "$VMF_HOME/run/a/pid")" "$(cat "$VMF_HOME/run/b/pid")"
ok "with the last one the way out goes" wait_for 10 no_ways
ok "and the network: nobody has it open" wait_for 10 no_networks
ok "no process of the user is left" wait_for 10 no_processes
links | diff "$scratch/links" - >"$out"
result $? "and no link of the host"
ok "the next command says so" eval '! "$VMF" net show | grep -q lab0'
ok "the VMs are known to have died" eval '"$VMF" a status; [ $? != 0 ] && "$VMF" a stop && "$VMF" b stop'
ok "nothing is left of them" world_same
links | diff "$scratch/links" - >"$out"
result $? "on the host, either"

"$VMF" a start >"$scratch/a" 2>&1 &
first=$!
"$VMF" b start >"$scratch/b" 2>&1
wait $first
ok "two that start at once" eval '"$VMF" a status && "$VMF" b status'
ok "are in one network" eval '"$VMF" net show | grep -q ae0 && "$VMF" net show | grep -q be0'
ok "with one way out" eval '[ "$(ways | wc -l)" = 1 ]'
ok "both stop" eval '"$VMF" a stop && "$VMF" b stop'
ok "nothing is left" wait_for 10 world_same
fails "without a VM there is no network to add to" 8 "$VMF" net add lab9
says "and it is said what makes one" 'start a VM'

# ---- kills at every step ----------------------------------------------------------------------------

left()
{
	"$VMF" a status
	[ $? = 3 ] || "$VMF" a stop || return
	wait_for 10 no_ways && world_same
}
for ((n = 1; n < 30; n++)); do
	{ VMF_FAULT=kill:$n "$VMF" a start >"$out" 2>&1; } 2>/dev/null
	[ $? = 137 ] || break
	left >>"$out" 2>&1
	result $? "killed at step $n of a start"
done
[ $n -gt 3 ]
result $? "and then not any more"
ok "it stops" "$VMF" a stop

# ---- a bridge of the host ---------------------------------------------------------------------------

ip link add brhost type bridge
ip address add 192.0.2.1/24 dev brhost
ip link set brhost up
links >"$scratch/links"
ok "a VM for it" "$VMF" c create --nic host
mkdir "$scratch/qemu"
if [ -e /usr/lib/qemu/qemu-bridge-helper ] && mkdir -p /etc/qemu && mount --bind "$scratch/qemu" /etc/qemu; then
	cp /usr/lib/qemu/qemu-bridge-helper "$scratch/helper"
	mount --bind "$scratch/helper" /usr/lib/qemu/qemu-bridge-helper
	fails "it is not the user's" 8 "$VMF" c start
	says "and it is said what an administrator can do" 'bridge\.conf.*setcap|setcap.*bridge\.conf'
	ok "nothing came of it" eval 'links | diff "$scratch/links" -'
	chmod 4755 "$scratch/helper"
	echo "allow brother" >"$scratch/qemu/bridge.conf"
	chmod 644 "$scratch/qemu/bridge.conf"
	fails "another bridge is allowed, not this one" 8 "$VMF" c start
	# who it is allowed to is said by who can read the file
	echo "include /etc/qemu/some.conf" >"$scratch/qemu/bridge.conf"
	echo "allow brhost" >"$scratch/qemu/some.conf"
	chmod 600 "$scratch/qemu/some.conf"
	fails "this one is allowed to others" 8 "$VMF" c start
	ok "nothing came of any of these" eval 'links | diff "$scratch/links" -'
	chown $user "$scratch/qemu/some.conf"
	fails "an option that only root can have" 8 "$VMF" -o nic.0.tap-bridge.isolated=yes c start
	says "is named" 'isolated'
	ok "it is allowed" "$VMF" c start
	ok "a tap is plugged in" eval '[ "$(ip -json link show master brhost | jq length)" = 1 ]'
	ok "a shell" guest_ready c
	ok "the guest hears the host" guest c 'ip addr flush dev eth0; ip link set eth0 up; ip addr add 192.0.2.7/24 dev eth0; ping -c 3 -W 5 192.0.2.1'
	ok "it goes over into a network of its user's own" "$VMF" c connect 0 lab0
	ok "where it is" eval '"$VMF" net show | grep -q ce0'
	ok "the tap is gone" eval 'links | diff "$scratch/links" -'
	ok "it stops" "$VMF" c stop
	umount /usr/lib/qemu/qemu-bridge-helper /etc/qemu
else
	skip "a bridge of the host" "not possible here: no qemu-bridge-helper"
fi
plan_now
