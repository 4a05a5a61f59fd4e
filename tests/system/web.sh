#!/bin/bash
# SPDX-License-Identifier: ISC
# A VM's screen in a browser: Chromium shows and types into it; who may come, and that nothing stays.

. "${top_srcdir:-.}/tests/lib.sh"
need_program chromium chromium
need_program chromedriver chromium-driver
need_program python3 python3
need_program curl curl
need_program openssl openssl
need_program jq jq
[ -e /usr/share/novnc/vnc.html ] || skip_all "not installed: novnc"
need_guest

# browse STEP...: see browser.py; what Chromium keeps is in the test's own folder
browse()
{
	HOME=$scratch timeout 400 python3 "$top_srcdir/tests/browser.py" $((20000 + RANDOM % 10000)) "$@"
}

picture()
{
	python3 "$top_srcdir/tests/picture.py" "$@"
}

# as_on_screen: what the browser had is the guest's screen, which is taken now: the guest may have said something since it booted
as_on_screen()
{
	"$VMF" web screenshot "$scratch/web.ppm" && picture same "$scratch/browser.ppm" "$scratch/web.ppm"
}

# serve OPTION...: in the background; $url and $port are where
serve()
{
	ok "the screen is served: ${*:-as the options say}" "$VMF" --json web web --detach "$@"
	url=$(jq -r .url "$out")
	port=$(jq -r .port "$out")
}

no_relays()
{
	[ -z "$("$VMF" relays)" ] && [ ! -e "$VMF_HOME/run/.relays" ]
}

# shellcheck disable=SC2016 # the inner shell's
is_free()
{
	! timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$1" 2>/dev/null
}

# gets URL STATUS [OPTION...]
gets()
{
	local status=$2

	[ "$(curl -s -o "$scratch/page" -w '%{http_code}' "${@:3}" "$1" 2>&1)" = "$status" ]
}

# opens PATH COOKIE [OPTION...]: the status of an attempt to open the WebSocket
opens()
{
	curl -s -o /dev/null -m 5 -w '%{http_code}' --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
		-H 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==' -H "Cookie: $2" "${@:3}" "http://127.0.0.1:$port$1"
}

# ---- bad input ---------------------------------------------------------------------------------------

ok "a VM" "$VMF" web create
fails "a VM that is off has no screen" 6 "$VMF" web web
ok "it runs" "$VMF" web start
ok "its shell is there" guest_ready web
ok "something is on its screen" guest web 'printf "\033[?25l" >/dev/tty0; seq 1 12 >/dev/tty0'
world_save
fails "a port that is none" 2 "$VMF" web web --port 65536
fails "an address that is none" 2 "$VMF" web web --bind localhost
fails "once and many" 2 "$VMF" web web --once --many
fails "noVNC is not there" 9 "$VMF" -o "display.web.novnc=$scratch/none" web web
says "it is said what has it" 'package novnc'
fails "nor a certificate" 3 "$VMF" -o "display.web.tls=$scratch/none" web web
says "which is named" 'server-cert.pem'
fails "a password where the display asks for none" 12 "$VMF" web web --password
ok "a dry run listens nowhere" "$VMF" web web --dry-run
says "and says where it would" 'listen on the first free port from 6080 to 6179 of 127.0.0.1'
ok "nothing came of it" world_same

# ---- a browser ---------------------------------------------------------------------------------------

serve --timeout 10m # a browser may take its time to begin
[ "$port" -ge 6080 ] && [ "$port" -le 6179 ] && [[ $url == "http://127.0.0.1:$port/?token="* ]]
result $? "by a port and an address of their kind"
ok "it is shown" "$VMF" relays
says "as what it is" "web	web	127.0.0.1	$port	one"
if grep -q "${url#*token=}" "$out" "$VMF_HOME"/run/.relays/*; then false; fi
result $? "without its token"
fails "its port is taken" 7 "$VMF" web web --port "$port"
ok "who has no token gets nothing" gets "http://127.0.0.1:$port/" 403
ok "nor who has a wrong one" gets "${url%????}0000" 403
ok "there are no files for him" gets "http://127.0.0.1:$port/vnc.html" 403
[ "$(opens /websockify "a=b")" = 403 ] || [ "$(opens /websockify "a=b")" = 000 ]
result $? "and no screen"
# shellcheck disable=SC2016 # the guest's
ok "somebody waits for a line" guest web 'kill $(cat /run/reader 2>/dev/null) 2>/dev/null; (exec sh -c "echo \$\$ >/run/reader; exec cat /dev/tty2 >/run/typed") & echo'
background browse open "$url" ready "$scratch/open" picture "$scratch/browser.ppm" ready "$scratch/shot" wait "$scratch/type" \
	keys "Hello from afar 42" ready "$scratch/typed" wait "$scratch/enough"
# opened: or what the browser says
opened()
{
	wait_for 180 test -e "$scratch/open" || { cat "$scratch/background" && false; }
}
ok "a browser opens it" opened
ok "and has a picture" wait_for 30 test -e "$scratch/shot"
ok "which is the guest's screen" as_on_screen
ok "the address is used up" gets "$url" 403
ok "a second browser is refused, and told why" browse refused "$url"
ok "the guest's second screen" guest web 'chvt 2; echo'
: >"$scratch/type"
ok "keys are pressed in the browser" wait_for 60 test -e "$scratch/typed"
ok "the guest" guest web 'sleep 1; cat /run/typed'
grep -qxF "Hello from afar 42" "$out"
result $? "gets them"
guest web 'chvt 1; echo' >/dev/null 2>&1
: >"$scratch/enough"
ok "it ends with the browser" wait_for 30 no_relays
ok "its port is free" is_free "$port"
background_pids=
ok "nothing is left" world_same

# ---- many, with TLS ----------------------------------------------------------------------------------

mkdir "$scratch/tls"
ok "a certificate" openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout "$scratch/tls/server-key.pem" \
	-out "$scratch/tls/server-cert.pem"
ok "the VM's own options" "$VMF" web set "display.web.tls=$scratch/tls"
serve --port 0 --many
[[ $url == https://* ]]
result $? "by https"
ok "a browser sees the same" browse open "$url" picture "$scratch/browser.ppm"
ok "as the guest's screen is" as_on_screen
ok "and another one" browse open "$url" picture "$scratch/browser.ppm"
ok "it goes on" gets "$url" 303 -k
ok "until it is ended" "$VMF" relays --all
ok "with its port" is_free "$port"
ok "without TLS again" "$VMF" web set display.web.tls=

# ---- who may come ------------------------------------------------------------------------------------

serve --port 0 --many
ok "the token is shown for a cookie" gets "$url" 303 -c "$scratch/jar"
cookie=$(awk '/vmf-/ { print $6 "=" $7 }' "$scratch/jar")
ok "with which there are files" gets "http://127.0.0.1:$port/app/ui.js" 200 -b "$scratch/jar"
ok "none of others" gets "http://127.0.0.1:$port/..%2f..%2f..%2f..%2fetc%2fpasswd" 404 -b "$scratch/jar"
ok "whatever they are called" gets "http://127.0.0.1:$port/app/../../../../etc/hosts.html" 404 --path-as-is -b "$scratch/jar"
[ "$(opens /websockify "$cookie")" = 101 ]
result $? "and the screen"
[ "$(opens /websockify "$cookie" -H "Origin: http://127.0.0.1:$port")" = 101 ]
result $? "for a page of ours"
[ "$(opens /websockify "$cookie" -H "Origin: http://elsewhere.example")" != 101 ]
result $? "not for one of others"
[ "$(opens /websockify "${cookie%?}x")" != 101 ]
result $? "nor with another cookie"
if [ "$(id -u)" = 0 ]; then
	if setpriv --reuid=nobody --clear-groups curl -s -o /dev/null "$url"; then false; fi
	result $? "another user of this machine is not let in"
else
	skip "another user of this machine is not let in" "not possible here: we are no root, who could be another"
fi

# one that sends nonsense, one that says nothing, and a thousand in a row
pid=$("$VMF" --json relays | jq -r '.[0].pid')
fds()
{
	find "/proc/$pid/fd" -mindepth 1 | wc -l
}
before=$(fds)
head -c 100000 /dev/urandom | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; cat >&3" >/dev/null 2>&1
exec 7<>"/dev/tcp/127.0.0.1/$port"
many_times()
{
	local i

	for ((i = 0; i < 1000; i++)); do
		exec 8<>"/dev/tcp/127.0.0.1/$port" || return
		exec 8>&-
	done
}
ok "a thousand come and go" many_times
exec 7>&-
few()
{
	[ "$(fds)" -le $((before + 1)) ]
}
ok "and leave nothing open" wait_for 60 few
[ "$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")" -lt 65536 ]
result $? "nor much memory"
ok "a browser sees the screen all the same" browse open "$url" picture "$scratch/browser.ppm"
ok "as it is" as_on_screen

# ---- its end -----------------------------------------------------------------------------------------

kill -9 "$pid"
ok "killed it leaves no port" wait_for 5 is_free "$port"
ok "and nothing else" no_relays
fails "nobody comes" 10 "$VMF" web web --port 0 --timeout 1s
says "and it is said" 'nobody came within 1 s'
background "$VMF" web web --port 0 --many
ok "one in the foreground" wait_for 10 test -e "$VMF_HOME/run/.relays"
kill -INT "$background_pids"
ok "ends by a signal" wait_for 10 no_relays
background_pids=
ok "a display of its own kind" "$VMF" web stop set display_default=web start
ok "its shell is there" guest_ready web
if grep -a -q 'unix:' "/proc/$(cat "$VMF_HOME/run/web/pid")/cmdline"; then false; fi
result $? "QEMU listens nowhere"
ok "it is said how it is seen" "$VMF" web vnc
says "by a browser" 'vmf web web'
ok "something is on its screen" guest web 'printf "\033[?25l" >/dev/tty0; seq 1 12 >/dev/tty0'
serve --many
ok "a browser sees it" browse open "$url" picture "$scratch/browser.ppm"
ok "as it is" as_on_screen
ok "the VM ends" "$VMF" web stop
ok "and this with it" wait_for 10 no_relays
ok "its port is free" is_free "$port"
plan_now
