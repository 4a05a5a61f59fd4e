#!/bin/bash
# SPDX-License-Identifier: ISC
# What an owner has at home: console, screen, ports and ssh of her own VM, through the gate and by the client script, with a
# real guest, a real VNC client and a terminal.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
. "$top_srcdir/tests/owners.sh"
need_program script bsdutils
need_program curl curl
need_program perl perl-base
need_program vncsnapshot vncsnapshot
need_program djpeg libjpeg-turbo-progs
need_program python3 python3
need_guest
need_hosts 1
trap 'owners_end; hosts_cleanup' EXIT
unset DISPLAY WAYLAND_DISPLAY VMF_VIEWER

here()
{
	on n1 "$VMF" "$@"
}

picture()
{
	python3 "$top_srcdir/tests/picture.py" "$@"
}

mkdir -p "$scratch/n1/etc/classes"
cp "$VMF_HOME/etc/classes/default.conf" "$scratch/n1/etc/classes/default.conf"

ok "alice" need_owner alice --vms 2 --allow create
ok "bob" need_owner bob
ok "her VM is made and started from home" client alice web create --memory 128M start
ok "one for bob" here bobs create set owner=bob

# ---- the console -------------------------------------------------------------------------------------

echo | client alice web console --until 'vmf-guest:~# ' --timeout 120s >"$out" 2>&1
result $? "her guest's prompt comes through the gate"
echo 'echo $((6 * 7))' | client alice web console --until 42 --timeout 30s >"$out" 2>&1
result $? "a command is typed there"
export -f client
export scratch top_srcdir
script -qec 'client alice web console' /dev/null >"$out" 2>&1 < <(
	sleep 2
	printf '\recho at-%s\r' terminal
	sleep 2
	printf '\035'
	sleep 1
)
says "from a terminal, too" '^at-terminal'
says "and it is left by its key" 'console of web: left'
run client bob web console
says "not bob's" 'no vm "web" of yours'

# ---- the screen --------------------------------------------------------------------------------------

echo 'printf "\033[?25l" >/dev/tty0; seq 1 12 >/dev/tty0; echo drawn-$((1 + 1))' |
	client alice web console --until drawn-2 --timeout 30s >"$out" 2>&1
result $? "something is on its screen"
sleep 1
here web screenshot "$scratch/web.ppm" >"$out" 2>&1
result $? "which is taken there"
cat >"$scratch/viewer" <<END
#!/bin/sh
# a viewer that needs no screen
timeout 30 vncsnapshot -quiet -quality 100 "\$1" "$scratch/shot.jpg" >"$scratch/viewer.out" 2>&1
END
chmod 755 "$scratch/viewer"

# draws: what the viewer has drawn is the guest's screen
draws()
{
	djpeg -outfile "$scratch/shot.ppm" "$scratch/shot.jpg" && picture same "$scratch/shot.ppm" "$scratch/web.ppm"
}

VMF_VIEWER=$scratch/viewer run timeout 60 bash -c 'client alice web vnc'
wait_for 30 test -s "$scratch/shot.jpg"
sleep 0.5
ok "a real VNC client shows it, started by the script" draws

# port_said FILE: where the script listens
port_said()
{
	wait_text 20 "$1" '127.0.0.1:' && sed -n 's/^vmf-owner: 127.0.0.1:\([0-9]*\)$/\1/p' "$1"
}

rm -f "$scratch/shot.jpg"
background client alice web vnc 0
port=$(port_said "$scratch/background")
timeout 30 vncsnapshot -quiet -quality 100 "127.0.0.1::$port" "$scratch/shot.jpg" >"$out" 2>&1
ok "or by whoever comes to the port first" draws
# shellcheck disable=SC2016 # the inner shell's
fails "and nobody behind" 1 timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$port"
run timeout 20 ssh -F "$scratch/ssh-alice" gate web vnc --stdio </dev/null
grep -aq '^RFB 003' "$out"
result $? "the stream itself speaks VNC"
run timeout 20 ssh -F "$scratch/ssh-bob" gate web vnc --stdio </dev/null
says "to her alone" 'no vm "web" of yours'
fails "a VM that is off has no screen" 6 timeout 20 ssh -F "$scratch/ssh-bob" gate bobs vnc --stdio

# one whose screen asks for a password: she has shown who she is already
printf 'display { vnc-tcp { password = yes } }\n' >>"$scratch/n1/etc/vms/bobs.conf"
ok "one with a password" here bobs start
ok "is seen by its owner" bash -c 'rm -f "$scratch/shot.jpg"; VMF_VIEWER=$scratch/viewer timeout 60 bash -c "client bob bobs vnc"; sleep 1; test -s "$scratch/shot.jpg"'
ok "it is stopped" here bobs stop

# ---- ports of the guest --------------------------------------------------------------------------------

background client alice web port 80
port=$(port_said "$scratch/background")
ok "the guest's web server, here" curl -sf --max-time 20 "http://127.0.0.1:$port/cgi-bin/uptime"
cp "$out" "$scratch/first"
ok "as often as one likes" curl -sf --max-time 20 "http://127.0.0.1:$port/cgi-bin/uptime"
[ -s "$scratch/first" ]
result $? "and it says something"
pids=
for n in 1 2 3 4; do
	curl -sf --max-time 30 "http://127.0.0.1:$port/cgi-bin/uptime" >"$scratch/curl.$n" &
	pids="$pids $!"
done
good=0
for pid in $pids; do
	wait "$pid" && good=$((good + 1))
done
[ $good = 4 ]
result $? "four at once"
echo '(while :; do echo SSH-2.0-guest | nc -l -p 22 >/dev/null; done) >/dev/null 2>&1 & echo listens-$((1 + 1))' |
	client alice web console --until listens-2 --timeout 30s >"$out" 2>&1
result $? "something listens on the guest's port 22"
run timeout 30 bash -c 'HOME=$scratch VMF_GATE=gate VMF_SSH="ssh -v -F $scratch/ssh-alice -o LogLevel=DEBUG1" sh "$top_srcdir/conf/client/vmf-owner" web ssh root true'
says "ssh gets there" 'remote software version guest'
run timeout 30 ssh -F "$scratch/ssh-bob" gate web relay 80 --stdio </dev/null
says "not bob's" 'no vm "web" of yours'
run timeout 40 ssh -F "$scratch/ssh-alice" gate web relay 81 --stdio </dev/null
[ ! -s "$out" ] || grep -q '^vmf: ' "$out"
result $? "a port that nobody listens on gives nothing"
fails "a port that is none" 2 ssh -F "$scratch/ssh-alice" gate web relay 22:x --stdio

# ---- bad input at home ---------------------------------------------------------------------------------

fails "no gate" 2 env -u VMF_GATE HOME="$scratch/nowhere" sh "$top_srcdir/conf/client/vmf-owner" list
says "is said" 'where to\?'
fails "one that would be an option" 2 sh "$top_srcdir/conf/client/vmf-owner" -g -oProxyCommand=x list
fails "an option" 2 sh "$top_srcdir/conf/client/vmf-owner" -x
fails "a port that is none" 2 client alice web vnc 99999
fails "which of the guest's" 2 client alice web port
ok "its help" client alice --help
says "says how it is called" '^usage: vmf-owner'
ok "words with blanks arrive as they are" client alice web type "it's \"a b\""
[ "$(tail -n 2 "$scratch/n1/lib/audit.log" | jq -r 'select(.words).words[2]' 2>/dev/null)" = "it's \"a b\"" ]
result $? "at the gate"
ok "it is stopped" client alice web stop

plan_now
