#!/bin/bash
# SPDX-License-Identifier: ISC
# A VM's screen by VNC, seen by real clients: on the socket, through relays and handed over to QEMU; who may come, and
# that nothing stays.

. "${top_srcdir:-.}/tests/lib.sh"
need_program vncsnapshot vncsnapshot
need_program djpeg libjpeg-turbo-progs
need_program vncpasswd tigervnc-tools
need_program xtigervncviewer tigervnc-viewer
need_program Xvfb xvfb
need_program python3 python3
need_program jq jq
need_program openssl openssl
need_guest
unset DISPLAY WAYLAND_DISPLAY
picture()
{
	python3 "$top_srcdir/tests/picture.py" "$@"
}

# port_of [N]: of the Nth relay that runs
port_of()
{
	"$VMF" --json relays | jq -r ".[${1:-0}].port"
}

pid_of()
{
	"$VMF" --json relays | jq -r ".[${1:-0}].pid"
}

# draws PORT [OPTION...]: vncsnapshot gets the picture of the guest's screen
draws()
{
	local port=$1

	shift
	timeout 30 vncsnapshot -quiet -quality 100 "$@" "127.0.0.1::$port" "$scratch/shot.jpg" &&
		djpeg -outfile "$scratch/shot.ppm" "$scratch/shot.jpg" && picture same "$scratch/shot.ppm" "$scratch/web.ppm"
}

# greets PORT: whoever listens there speaks VNC
greets()
{
	# shellcheck disable=SC2016 # the inner shell's
	timeout 10 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" && read -r -t 5 -n 11 -u 3 text && [[ $text == RFB* ]]' "$1"
}

listens()
{
	# shellcheck disable=SC2016
	timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$1"
}

is_free()
{
	! listens "$1"
}

no_relays()
{
	[ -z "$("$VMF" relays)" ] && [ ! -e "$VMF_HOME/run/.relays" ]
}

in_relays()
{
	[ "$("$VMF" relays | grep -c .)" = "$1" ]
}

# ---- bad input ---------------------------------------------------------------------------------------

ok "a VM" "$VMF" web create
fails "a VM that is off has no screen" 6 "$VMF" web vnc
fails "nor a relay to it" 6 "$VMF" web vnc --port 0
says "and it is said what starts it" 'start'
ok "it runs" "$VMF" web start
ok "its shell is there" guest_ready web
ok "something is on its screen" guest web 'printf "\033[?25l" >/dev/tty0; seq 1 12 >/dev/tty0'
world_save
port=$((20000 + RANDOM % 10000))
while listens $port || listens $((port + 1)); do port=$((port + 2)); done

fails "a port that is none" 2 "$VMF" web vnc --port 65536
fails "a range that is none" 2 "$VMF" web vnc --port 5999-5900
fails "an address that is none" 2 "$VMF" web vnc --port 0 --bind localhost
fails "an address of another machine" 2 "$VMF" web vnc --port 0 --bind 192.0.2.1
says "is said to be one" '192.0.2.1 is no address of this machine'
fails "a peer that is none" 2 "$VMF" web vnc --port 0 --allow 10.0.0.0/33
fails "once and many" 2 "$VMF" web vnc --once --many
fails "a time that is none" 2 "$VMF" web vnc --timeout soon
fails "a viewer that is not there" 9 "$VMF" web vnc --viewer no-such-viewer
fails "a password where the display asks for none" 12 "$VMF" web vnc --port 0 --password
fails "a relay that is not there" 4 "$VMF" relays --end 1
ok "nothing came of it" world_same

# ---- how it is reached -------------------------------------------------------------------------------

ok "without a display it is said how the screen is reached" "$VMF" web vnc
says "by the socket" "vncviewer .*run/web/q/vnc"
says "from afar" 'ssh -L'
says "by TCP" 'vmf web vnc --port'
"$VMF" --json web vnc 2>&1 | jq -e '.vm == "web" and (.path | endswith("/q/vnc"))' >"$out" 2>&1
result $? "in JSON, too"
ok "a dry run listens nowhere" "$VMF" web vnc --port $port --dry-run
says "and says where it would" "listen on port $port of 127.0.0.1"
ok "port $port is free" is_free $port

# ---- once --------------------------------------------------------------------------------------------

ok "a relay in the background" "$VMF" web vnc --port $port-$((port + 1)) --detach
says "says where it is" "127.0.0.1:$port for one client"
ok "it is shown" "$VMF" relays
says "with its port" "web	vnc	127.0.0.1	$port	one"
fails "its port is taken" 7 "$VMF" web vnc --port $port
says "and that is said" "port $port .*is taken"
ok "another one takes the next port of the range" "$VMF" web vnc --port $port-$((port + 1)) --detach
says "and says so" "127.0.0.1:$((port + 1)) for one"
fails "a third one finds none" 7 "$VMF" web vnc --port $port-$((port + 1)) --detach
ok "the other one is ended" "$VMF" relays --end "$(pid_of 1)"
ok "one is left" in_relays 1

ok "the guest's screen is taken" "$VMF" web screenshot "$scratch/web.ppm"
ok "and shows something" picture busy "$scratch/web.ppm"
ok "a client draws the same" draws $port
ok "a second one is refused, as the port is free" is_free $port
ok "and the relay is gone" no_relays
ok "nothing is left" world_same

# ---- many --------------------------------------------------------------------------------------------

ok "a relay for many" "$VMF" web vnc --port 0 --many --detach
many=$(port_of)
ok "serves one" draws "$many"
ok "and another" draws "$many"
"$VMF" --json relays | jq -e '.[0].once == false and .[0].vm == "web"' >"$out" 2>&1
result $? "it is shown in JSON"
printf 'GET / HTTP/1.0\r\n\r\n' | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$many; cat >&3; cat <&3" >"$out" 2>&1
ok "one that talks nonsense harms nobody" draws "$many"
exec 7<>"/dev/tcp/127.0.0.1/$many"
ok "nor one that says nothing" draws "$many"
exec 7>&-
if [ "$(id -u)" = 0 ]; then
	# shellcheck disable=SC2016
	fails "another user of this machine is refused" 1 setpriv --reuid=nobody --clear-groups bash -c \
		'exec 3<>"/dev/tcp/127.0.0.1/$0" && read -r -t 5 -n 11 -u 3 text && [[ $text == RFB* ]]' "$many"
	ok "unless that is meant" "$VMF" web vnc --port 0 --any-user --detach
	# shellcheck disable=SC2016
	ok "then not" setpriv --reuid=nobody --clear-groups bash -c \
		'exec 3<>"/dev/tcp/127.0.0.1/$0" && read -r -t 5 -n 11 -u 3 text && [[ $text == RFB* ]]' "$(port_of 1)"
	if setpriv --reuid=nobody --clear-groups test -r "$VMF_HOME/run/.relays"; then false; fi
	result $? "nor can another user see the relays"
else
	skip "another user of this machine is refused" "not possible here: we are no root, who could be another"
fi
ok "a dry run ends no relay" "$VMF" --dry-run relays --all
says "but says which" 'end relay'
ok "the one for many is still there" greets "$many"
ok "all are ended" "$VMF" relays --all
ok "its port is free" is_free "$many"
ok "none is left" no_relays

# ---- who may come, and when it ends ------------------------------------------------------------------

ok "a relay for some" "$VMF" web vnc --port 0 --many --allow 10.0.0.0/8 --allow 127.0.0.0/30 --detach
ok "lets them in" greets "$(port_of)"
ok "a relay for others" "$VMF" web vnc --port 0 --many --allow 10.0.0.0/8 --detach
if greets "$(port_of 1)"; then false; fi
result $? "lets us not in"
ok "and is ended" "$VMF" relays --all

begin=$SECONDS
fails "a relay to which nobody comes ends" 10 "$VMF" web vnc --port 0 --timeout 1s
[ $((SECONDS - begin)) -lt 10 ]
result $? "in time"
says "and says so" 'nobody came within 1 s'

ok "a relay in the background" "$VMF" web vnc --port 0 --many --detach
port=$(port_of)
kill -9 "$(pid_of)"
ok "that is killed leaves no port" wait_for 5 is_free "$port"
ok "and nothing else" no_relays

background "$VMF" web vnc --port 0 --many
ok "one in the foreground" wait_for 10 in_relays 1
kill -INT "$background_pids"
ok "ends by a signal" wait_for 10 no_relays
background_pids=

# another program has QEMU's monitor: no hand-over, but the socket is there
socat -u "UNIX-CONNECT:$VMF_HOME/run/web/qmp" - >"$scratch/qmp" 2>&1 &
holder=$!
ok "somebody holds QEMU's monitor" wait_text 10 "$scratch/qmp" QMP
ok "a relay" "$VMF" web vnc --port 0 --detach
ok "still draws: through the socket" draws "$(port_of)"
kill $holder
ok "and ends with its client" wait_for 5 no_relays

# ---- viewers -----------------------------------------------------------------------------------------

# xvfb: a display :$display, whose picture is in $scratch/fb/Xvfb_screen0
mkdir "$scratch/fb"
Xvfb -displayfd 3 -screen 0 1280x1024x24 -fbdir "$scratch/fb" 3>"$scratch/displayfd" >"$scratch/xvfb" 2>&1 &
xvfb=$!
background_pids="$background_pids $xvfb"
ok "an X server" wait_for 20 test -s "$scratch/displayfd"
display=$(cat "$scratch/displayfd")

drawn()
{
	picture inside "$scratch/fb/Xvfb_screen0" "$scratch/web.ppm"
}

# sees NAME WORD...: vmf shows the screen by the viewer, and ends with it
sees()
{
	local name=$1 viewer status

	shift
	rm -f "$scratch/viewer-pid"
	DISPLAY=:$display "$VMF" "$@" >"$scratch/viewer" 2>&1 &
	vmf_pid=$!
	wait_for 40 drawn
	status=$?
	{
		drawn
		cat "$scratch/viewer"
	} >"$out" 2>&1
	result $status "$name: the guest's screen is drawn"
	viewer=$(pgrep -P $vmf_pid)
	kill "$viewer"
	wait $vmf_pid
	[ $? = 1 ] && grep -q 'was ended by signal\|failed' "$scratch/viewer"
	result $? "$name: it ends with the viewer, and says how that ended"
}

printf '#!/bin/sh\nexec xtigervncviewer -Maximize=0 -geometry 1280x1024+0+0 "$@"\n' >"$scratch/viewer.sh"
chmod 755 "$scratch/viewer.sh"
sees "on the socket" web vnc --viewer "$scratch/viewer.sh {socket}"
sees "through a relay of its own" -o "viewer=$scratch/viewer.sh {host}::{port}" web vnc
ok "nothing is left of it" no_relays

# ---- no socket at all --------------------------------------------------------------------------------

ok "a display by TCP" "$VMF" web stop set display_default=vnc-tcp display.vnc-tcp.password=yes
fails "with a port that is none is not started" 3 "$VMF" -o display.vnc-tcp.port=0 web start
ok "is started" "$VMF" web start
ok "and its shell is there" guest_ready web
ok "with something on its screen" guest web 'printf "\033[?25l" >/dev/tty0; seq 1 12 >/dev/tty0'
[ ! -e "$VMF_HOME/run/web/q/vnc" ] && ! grep -a -q 'vnc=\|unix:' "/proc/$(cat "$VMF_HOME/run/web/pid")/cmdline"
result $? "QEMU listens nowhere"
ok "its screen" "$VMF" web screenshot "$scratch/web.ppm"
ok "a relay, as its options say" "$VMF" --json web vnc --detach --timeout 30s
jq -r .password "$out" | vncpasswd -f >"$scratch/password"
port=$(jq -r .port "$out")
[ "$port" -ge 5900 ] && [ "$port" -le 5999 ]
result $? "has a port of theirs"
ok "with its password a client draws the screen" draws "$port" -passwd "$scratch/password"
ok "a second one is refused" is_free "$port"
ok "a relay for many" "$VMF" --json web vnc --many --detach
port=$(jq -r .port "$out")
if draws "$port" -passwd "$scratch/password" >"$out" 2>&1; then false; fi
result $? "does not know the first one's password"
ok "which QEMU is asked for" greets "$port"

# ---- TLS ---------------------------------------------------------------------------------------------

mkdir "$scratch/tls"
run openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout "$scratch/ca-key.pem" -out "$scratch/tls/ca-cert.pem"
run openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$scratch/tls/server-key.pem" -out "$scratch/request.pem"
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$scratch/names"
ok "credentials" openssl x509 -req -days 2 -in "$scratch/request.pem" -CA "$scratch/tls/ca-cert.pem" \
	-CAkey "$scratch/ca-key.pem" -CAcreateserial -extfile "$scratch/names" -out "$scratch/tls/server-cert.pem"
chmod 755 "$scratch/tls"
chmod 644 "$scratch/tls"/*
ok "relays are ended" "$VMF" relays --all
ok "the VM is to speak through TLS" "$VMF" web stop set display.vnc-tcp.password= "display.vnc-tcp.tls=$scratch/tls"
fails "without credentials it does not start" 3 "$VMF" -o "display.vnc-tcp.tls=$scratch/no-tls" web start
ok "with them it does" "$VMF" web start
ok "and its shell is there" guest_ready web
ok "with something on its screen" guest web 'printf "\033[?25l" >/dev/tty0; seq 1 12 >/dev/tty0'
ok "its screen" "$VMF" web screenshot "$scratch/web.ppm"
ok "a relay" "$VMF" web vnc --port 0 --many --detach
if draws "$(port_of)" >"$out" 2>&1; then false; fi
result $? "shows nothing to one who knows no TLS"
ok "and is ended" "$VMF" relays --all
sees "through TLS" web vnc --viewer "$scratch/viewer.sh -SecurityTypes=X509None -X509CA=$scratch/tls/ca-cert.pem {host}::{port}"
ok "a relay for many" "$VMF" --json web vnc --many --detach
port=$(jq -r .port "$out")

# ---- the VM's end ------------------------------------------------------------------------------------

ok "a second relay" "$VMF" web vnc --port 0 --many --detach
ok "two run" in_relays 2
exec 7<>"/dev/tcp/127.0.0.1/$port"
kill -9 "$(cat "$VMF_HOME/run/web/pid")"
ok "the VM dies, and its relays with it" wait_for 10 no_relays
ok "the port is free" is_free "$port"
exec 7>&-
ok "it is tidied away" "$VMF" web stop
plan_now
