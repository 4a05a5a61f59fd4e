#!/bin/bash
# SPDX-License-Identifier: ISC
# Relays to a port of the guest and to its serial port, text that is typed, and consoles that are only looked at.

. "${top_srcdir:-.}/tests/lib.sh"
need_program curl curl
need_program jq jq
need_program socat socat
need_guest

no_relays()
{
	[ -z "$("$VMF" relays)" ] && [ ! -e "$VMF_HOME/run/.relays" ]
}

is_free()
{
	# shellcheck disable=SC2016
	! timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$1" 2>/dev/null
}

# has_readers N: so many processes, QEMU among them, have the serial port's log open
has_readers()
{
	[ "$(find /proc/[0-9]*/fd -lname "$VMF_HOME/lib/log/web.serial0" -printf '%h\n' 2>/dev/null | sort -u | wc -l)" = "$1" ]
}

ok "a VM" "$VMF" web create
fails "a VM that is off has no ports" 6 "$VMF" web relay 80
fails "nor a serial one" 6 "$VMF" web serial relay
fails "nor a keyboard" 6 "$VMF" web type hello
ok "it runs" "$VMF" web start
ok "its shell is there" guest_ready web
world_save

# ---- a port of the guest -----------------------------------------------------------------------------

fails "no port" 2 "$VMF" web relay
fails "a port that is none" 2 "$VMF" web relay 65536
fails "a range" 2 "$VMF" web relay 80-90
fails "port 0" 2 "$VMF" web relay 0
ok "a dry run" "$VMF" web relay 80 --port 5022 --dry-run
says "says what would be done" 'port 5022 of 127.0.0.1, port 80 of web'
ok "a relay to its web server" "$VMF" --json web relay 80 --detach
port=$(jq -r .port "$out")
ok "leads there" curl -sf --max-time 60 "http://127.0.0.1:$port/cgi-bin/uptime"
says "and answers" '^[0-9.]+ [0-9.]+$'
ok "once" wait_for 10 no_relays
ok "the port is free" is_free "$port"
ok "QEMU forwards nothing any more" "$VMF" web send 'info usernet'
if grep -q HOST_FORWARD "$out"; then false; fi
result $? "nothing at all"
ok "a relay for many" "$VMF" --json web relay 80 --many --detach
port=$(jq -r .port "$out")
pids=
for i in 1 2 3 4 5 6; do
	curl -sf --max-time 60 -o "$scratch/answer.$i" "http://127.0.0.1:$port/cgi-bin/uptime" &
	pids="$pids $!"
done
status=0
for pid in $pids; do
	wait "$pid" || status=1
done
cat "$scratch"/answer.* >"$out"
[ $status = 0 ] && [ "$(grep -c . "$out")" = 6 ]
result $? "serves six at once"
ok "and is ended" "$VMF" relays --all
ok "a relay to a port where nobody listens" "$VMF" --json web relay 81 --detach
fails "gives nothing" 1 sh -c "curl -s --max-time 60 http://127.0.0.1:$(jq -r .port "$out")/ && exit 0; exit 1"
ok "and is gone" wait_for 10 no_relays

# ---- a serial port -----------------------------------------------------------------------------------

fails "a serial port that is not there" 2 "$VMF" web serial relay 1 --detach
ok "a relay to the serial port" "$VMF" --json web serial relay --detach
port=$(jq -r .port "$out")
mkfifo "$scratch/typed"
socat - "TCP:127.0.0.1:$port" <"$scratch/typed" >"$scratch/serial" 2>&1 &
socat=$!
exec 7>"$scratch/typed"
printf 'expr 6 \\* 7\n' >&7
ok "takes and gives" wait_for 20 grep -qx $'42\r*' "$scratch/serial"
fails "the console has somebody else" 7 "$VMF" web console --timeout 1s
says "and it is said who" 'in use by another vmf \(pid [0-9]+\)'
exec 7>&-
wait $socat
ok "once" wait_for 10 no_relays

# ---- looking -----------------------------------------------------------------------------------------

"$VMF" web console --watch --history 2 --until 'the en''d' --timeout 60s </dev/null >"$scratch/watch1" 2>&1 &
one=$!
"$VMF" web console --watch --log "$scratch/log" --until 'the en''d' --timeout 60s </dev/null >"$scratch/watch2" 2>&1 &
two=$!
wait_for 20 has_readers 3
ok "somebody types while two look" guest web 'echo see""n; echo "the en"d'
wait $one
result $? "the first one sees it"
wait $two
result $? "the other one sees it"
cp "$scratch/watch2" "$out"
says "all of it" '^seen'
cmp "$scratch/watch2" "$scratch/log" >"$out" 2>&1
result $? "its log has the same"
[ "$(stat -c %a "$scratch/log")" = 600 ]
result $? "for nobody else to read"
cp "$scratch/watch1" "$out"
says "the first one began with what was before" '^42'
fails "a log that cannot be written" 1 "$VMF" web console --log "$scratch" --timeout 1s
echo 'echo one mo""re' | "$VMF" web console --log "$scratch/log" >"$out" 2>&1
result $? "who types may keep a log, too"
ok "behind what is in it" sh -c "grep -q '^seen' '$scratch/log' && grep -q '^one more' '$scratch/log'"
"$VMF" web console --watch --timeout 1s </dev/null >"$out" 2>&1
result $? "looking ends in time"
ok "and leaves no process" wait_for 10 has_readers 1

# a long history: what is old is freed, what is new stays where it is
chatter=$VMF_HOME/lib/log/web.serial0
size=$(stat -c %s "$chatter")
yes 'a line of forty characters, all the same' | head -c 12M >>"$chatter"
echo "the last word" >>"$chatter"
ok "much was said" "$VMF" web status
[ "$(stat -c %s "$chatter")" -gt $((size + (12 << 20))) ] && [ "$(du -k "$chatter" | cut -f 1)" -le 5120 ]
result $? "what is old of it takes no room"
ok "what is new is shown" "$VMF" web console --watch --history 3 --timeout 1s
says "to the end" 'the last word'
says "and what was before" 'forty characters'

# ---- typing ------------------------------------------------------------------------------------------

fails "a character of no key" 2 "$VMF" web type 'naïve'
says "is named" 'ï'
fails "no text" 2 "$VMF" web type ''
fails "a delay that is none" 2 "$VMF" web type a --delay long
ok "a dry run types nothing" "$VMF" web type "$(printf 'echo x\n')" --dry-run
ok "somebody waits for a line" guest web 'kill $(cat /run/reader 2>/dev/null) 2>/dev/null; (exec sh -c "echo \$\$ >/run/reader; exec cat /dev/tty2 >/run/typed") & sleep 1; chvt 2 2>/dev/null; echo'
text='Hello, World! ~{[(<@#$%^&*_+|"?>)]}` 0-9=;:/.'
ok "text is typed" "$VMF" --json web type "$text" --enter --delay 200ms
says "and counted" '"typed":46'
ok "the guest" guest web 'sleep 1; cat /run/typed'
grep -qxF -- "$text" "$out"
result $? "gets all of it"

ok "nothing is left" world_same
ok "it is stopped" "$VMF" web stop
plan_now
