#!/bin/bash
# SPDX-License-Identifier: ISC
# To talk with a guest and with its QEMU: by pipes and on a terminal, which must be put back whatever happens.

. "${top_srcdir:-.}/tests/lib.sh"
need_program script bsdutils
need_guest

qemu_pid()
{
	cat "$VMF_HOME/run/$1/pid"
}

# ---- a person at a terminal -------------------------------------------------------------------------

# sit ARGUMENT...: starts vmf on a terminal of its own; its screen is $scratch/screen, keys come by `keys`
sit()
{
	rm -f "$scratch"/{screen,keys,before,after,status}
	mkfifo "$scratch/keys"
	cat >"$scratch/session" <<-END
		stty erase E -echok
		stty -a >"$scratch/before"
		"$VMF" $*
		echo \$? >"$scratch/status.new"
		stty -a >"$scratch/after"
		mv "$scratch/status.new" "$scratch/status"
	END
	script -qefc "bash $scratch/session" "$scratch/screen" <"$scratch/keys" >/dev/null 2>&1 &
	script_pid=$!
	exec 7>"$scratch/keys"
}

keys()
{
	# shellcheck disable=SC2059 # keys are a format
	printf "$1" >&7
}

# seen TEXT NAME: it comes on the screen
seen()
{
	wait_text 30 "$scratch/screen" "$1"
	local status=$?

	cp "$scratch/screen" "$out"
	result $status "$2"
}

# left STATUS NAME: vmf ends with STATUS (any: -), and the terminal is as it was
left()
{
	local status=1

	if wait_for 30 test -s "$scratch/status" && { [ "$1" = - ] || [ "$(cat "$scratch/status")" = "$1" ]; }; then
		status=0
	fi
	exec 7>&-
	wait "$script_pid"
	cp "$scratch/screen" "$out"
	cat "$scratch/status" >>"$out"
	result $status "$2"
	ok "$2: the terminal is as it was" cmp "$scratch/before" "$scratch/after"
	cp "$scratch/screen" "$out"
}

# the vmf that sits at the terminal
vmf_pid()
{
	find /proc/[0-9]*/fd -lname "$VMF_HOME/run/*/clients" -printf '%h\n' 2>/dev/null | tr -cd '0-9\n'
}

has_vmf()
{
	[ -n "$(vmf_pid)" ]
}

# ---- pipes ------------------------------------------------------------------------------------------

fails "a VM that is off has no console" 6 "$VMF" web create console
world_save
ok "a VM runs" "$VMF" web start -- console --until 'vmf-guest: ready' --timeout 120s
says "until its console has said so" '^vmf-guest: ready'
ok "its shell is there" "$VMF" web console --until '# ' --history 3 --timeout 20s

echo 'expr 6 \* 7' | "$VMF" web console --timeout 30s >"$out" 2>&1
result $? "a line by a pipe"
says "gets its answer" '^42'
echo 'echo the "en"d' | "$VMF" web console --until 'the end' --timeout 30s >"$out" 2>&1
result $? "--until leaves once the text was seen"
fails "--until fails at its timeout" 10 "$VMF" web console --until 'never to be seen' --timeout 1s
says "and says so" 'never to be seen'
fails "a port that is not there" 2 "$VMF" web console --port 1
fails "a key that is none" 2 "$VMF" web console --escape ESC

# a question to the terminal is in the log, but is not asked again of whoever looks at it later
printf '%s\n' "printf 'a\\033[6nb\\033[1mc\\n'" | "$VMF" web console --until 'c' --timeout 20s >"$out" 2>&1
wait_text 20 "$VMF_HOME/lib/log/web.serial0" $'a\033[6nb\033[1mc'
result $? "the log keeps what was said"
ok "--history shows its last lines" "$VMF" web console --history 4 --timeout 1s
says "without questions" $'^ab\033\\[1mc'
tr -d '\r' <"$out" | head -n 4 | grep -c '' | grep -qx 4
result $? "as many as were asked for"

"$VMF" web console --history 1000 </dev/null 2>"$out" | head -n 1 >/dev/null
[ "${PIPESTATUS[0]}" = 0 ] && [ ! -s "$out" ]
result $? "it ends quietly when nobody reads on"

# ---- a terminal -------------------------------------------------------------------------------------

sit web console
seen '^] leaves' "how to leave is said first"
keys 'echo hel""lo\r'
seen hello "the guest answers"
keys 'sleep 1000\r'
sleep 0.5
keys '\003'
keys 'echo stopp""ed\r'
seen stopped "^C goes to the guest"

fails "a second console is refused" 7 "$VMF" web console
says "and it is said who has it" "in use by another vmf \\(pid $(vmf_pid)\\)"
ok "other verbs are not" "$VMF" web pause resume send 'info status'

keys '\035'
left 0 "^] leaves"
ok "the console is free again" "$VMF" web console --timeout 1s

if command -v socat >/dev/null; then
	background socat -u "unix:$VMF_HOME/run/web/s0" -
	wait_for 10 sh -c "\"$VMF\" web send 'info chardev' | grep -q '^serial0: filename=unix'"
	fails "a console that another program has is refused" 7 "$VMF" web console
	says "and so it is said" 'another program'
	kill "${background_pids##* }"
else
	skip "a console that another program has is refused" "socat is missing"
	skip "and so it is said" "socat is missing"
fi

sit web console --escape ^A
seen '^A leaves' "another key can be chosen"
keys '\035\001'
left 0 "which leaves"

# a full screen program that the person leaves behind
sit web console
seen 'leaves' "again at the console"
keys 'printf "\\033[?1049h\\033[?25lfull screen"\r'
wait_text 20 "$scratch/screen" $'\033[?25lfull screen'
keys '\035'
left 0 "^] leaves a full screen program"
ok "whose modes are taken back" grep -qF $'\033[?25h\033[?1049l' "$scratch/screen"
echo 'reset' | "$VMF" web console --timeout 2s >/dev/null

for signal in TERM HUP INT; do
	sit web console
	seen leaves "a console that will get SIG$signal"
	wait_for 10 has_vmf
	kill -$signal "$(vmf_pid)"
	left 1 "SIG$signal"
done

# ---- monitor, send, qmp -----------------------------------------------------------------------------

echo 'info status' | "$VMF" web monitor >"$out" 2>&1
result $? "a line to QEMU's monitor by a pipe"
says "gets its answer" '^VM status: running'
sit web monitor
seen '(qemu) ' "the monitor on a terminal"
keys 'info status\r'
seen 'VM status: running' "answers"
keys '\035'
left 0 "^] leaves the monitor"

ok "send" "$VMF" web send 'info status'
says "prints the answer" '^VM status: running$'
fails "send of what QEMU does not know" 1 "$VMF" web send 'no such thing'
says "has its words" 'unknown command'
fails "send of what fails" 1 "$VMF" web send 'device_del nothing'
ok "qmp of a name" "$VMF" web qmp query-status
says "prints JSON" '^{"return":{.*"status":"running"'
ok "qmp of an object" "$VMF" web qmp '{"execute": "qom-get", "arguments": {"path": "/machine", "property": "type"}}'
says "as well" '^{"return":"'
fails "qmp of what QEMU does not know" 1 "$VMF" web qmp no-such-thing
says "prints its answer" '^{"error":.*CommandNotFound'
fails "qmp of what is no JSON" 2 "$VMF" web qmp '{"execute":'

# ---- keys and the screen ----------------------------------------------------------------------------

"$VMF" web console --until 'typed by 3 keys' --timeout 60s </dev/null >"$scratch/typed" 2>&1 &
typed=$!
wait_for 10 has_vmf
type="e,c,h,o spc t,y,p,e,d,spc,b,y,spc,3 spc k,e,y,s spc shift-dot,slash,d,e,v,slash,t,t,y shift-s 0 enter"
ok "sendkey types on the screen's console" "$VMF" web sendkey "$type"
wait $typed
result $? "and the guest obeys"
fails "a key that is none" 2 "$VMF" web sendkey "a,b,foo"
says "is named" '"foo"'
ok "sendkey in a dry run" "$VMF" --dry-run web sendkey ctrl-alt-delete
sleep 1
! grep -q '"RESET"' "$VMF_HOME/run/web/events"
result $? "presses nothing"

ok "the guest stands still" "$VMF" web pause
fails "keys would be lost" 6 "$VMF" web sendkey a
ok "a picture of its screen" "$VMF" web screenshot "$scratch/a.png"
ok "and another" "$VMF" web screenshot "$scratch/a.ppm"
size=$(head -c 15 "$scratch/a.ppm" | sed -n 2p)
[ "$(wc -c <"$scratch/a.ppm")" = $((15 + ${size% *} * ${size#* } * 3)) ]
result $? "the PPM is as long as it says"
[ "$(tail -c +16 "$scratch/a.ppm" | od -An -v -tx1 -w3 | sort -u | wc -l)" -gt 1 ]
result $? "and not blank"
head -c 8 "$scratch/a.png" | od -An -tx1 >"$out"
says "the PNG is one" '89 50 4e 47 0d 0a 1a 0a'
[ "$(od -An -tu1 -j16 -N8 "$scratch/a.png" | awk '{print $3 * 256 + $4, $7 * 256 + $8}')" = "$size" ]
result $? "of the same size"
cat >"$scratch/compare.py" <<'END'
import struct, sys, zlib

png, ppm = open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read()
at, data = 8, b""
while at < len(png):
    length, kind = struct.unpack(">I4s", png[at:at + 8])
    body = png[at + 8:at + 8 + length]
    assert zlib.crc32(kind + body) == struct.unpack(">I", png[at + 8 + length:at + 12 + length])[0], "checksum"
    if kind == b"IHDR":
        width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
        assert (depth, colour, interlace) == (8, 2, 0), "8 bits, RGB"
    data += body if kind == b"IDAT" else b""
    at += 12 + length
raw, row, picture = zlib.decompress(data), 3 * width, b""
above = bytearray(row)
for y in range(height):
    how, line = raw[y * (row + 1)], bytearray(raw[y * (row + 1) + 1:(y + 1) * (row + 1)])
    for x in range(row):
        a, b, c = (line[x - 3] if x > 2 else 0), above[x], (above[x - 3] if x > 2 else 0)
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        line[x] = (line[x] + (0, a, b, (a + b) // 2, paeth)[how]) & 255
    picture += line
    above = line
assert picture == ppm.split(b"\n", 3)[3], "the pictures differ"
END
if python3 -c 'import zlib' 2>/dev/null; then
	ok "and with the same picture" python3 "$scratch/compare.py" "$scratch/a.png" "$scratch/a.ppm"
else
	skip "and with the same picture" "python3 is missing"
fi
"$VMF" web screenshot - >"$scratch/b.png" 2>"$out" && cmp "$scratch/a.png" "$scratch/b.png" >>"$out"
result $? "a picture by a pipe"
[ "$(stat -c %a "$scratch/a.png")" = "$(printf '%o' $((0666 & ~$(umask))))" ]
result $? "the file has the mode of any new file"
cp "$scratch/a.png" "$scratch/c.png"
fails "a name that says no format" 2 "$VMF" web screenshot "$scratch/c.jpg"
fails "a folder that is not there" 4 "$VMF" web screenshot "$scratch/none/c.png"
ok "the guest goes on" "$VMF" web resume
ok "ctrl-alt-delete" "$VMF" web sendkey ctrl-alt-delete
wait_text 20 "$VMF_HOME/run/web/events" '"RESET"'
result $? "and the guest resets itself"

# ---- locked, hung, dead -----------------------------------------------------------------------------

ok "it is locked" "$VMF" web lock
for verb in console monitor "send help" "qmp query-status" "sendkey a"; do
	# shellcheck disable=SC2086 # words
	fails "then it hears nothing: ${verb%% *}" 8 "$VMF" web ${verb%% *} ${verb#"${verb%% *}"}
done
ok "but can be looked at" "$VMF" web screenshot "$scratch/c.png"
ok "it is unlocked" "$VMF" web unlock

kill -STOP "$(qemu_pid web)"
fails "a console of a QEMU that hangs" 10 timeout 30 "$VMF" web console
says "is said to" 'hangs'
kill -CONT "$(qemu_pid web)"

sit web console
seen leaves "a console whose QEMU will be killed"
kill -KILL "$(qemu_pid web)"
left 0 "QEMU is killed"
says "what happened is said" 'it ended: vm "web" is crashed'

ok "it runs again" "$VMF" web start
# shellcheck disable=SC2016 # the other shell's
fails "--until, and QEMU ends" 1 sh -c '(sleep 1; "$VMF" web stop) & "$VMF" web console --until "never to be seen"'
ok "an earlier run's words do not count" "$VMF" web start
fails "for --until" 10 "$VMF" web console --until 'typed by 3 keys' --history 10000 --timeout 1s
says "though they are shown" 'typed by 3 keys'
ok "it ends" "$VMF" web stop
ok "nothing is left" world_same
plan_now
