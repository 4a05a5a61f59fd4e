#!/bin/bash
# SPDX-License-Identifier: ISC
# VMs on other hosts over real ssh: every verb there as here, one definition at both ends, and what goes wrong said in a
# line.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program jq jq
need_program qemu-system-x86_64 qemu-system-x86
need_hosts 1
mkdir -p "$VMF_HOME/etc/classes"
printf 'accel = "tcg"\nappend = "of our class"\n' >"$VMF_HOME/etc/classes/default.conf"

# there FILE: of host n1
there()
{
	cat "$scratch/n1/$1"
}

same_at_both()
{
	diff "$VMF_HOME/etc/vms/$1.conf" "$scratch/n1/etc/vms/$1.conf"
}

# ---- into being --------------------------------------------------------------------------------------

ok "a VM is made on another host" "$VMF" web0 create --host n1 --disk 16M --memory 96M
says "and says so" '^web0: '
ok "its definition is the same at both ends" same_at_both web0
ok "its disk is there" test -s "$scratch/n1/lib/images/web0-0.qcow2"
[ ! -e "$VMF_HOME/lib/images/web0-0.qcow2" ]
result $? "and not here"
fails "its state is there to be asked" 20 "$VMF" web0
says "it is off" '^web0: off'
fails "a second one of that name is refused" 5 "$VMF" web0 create
ok "what our class says holds there" "$VMF" --json web0 info
[ "$(jq -r .memory_bytes "$out")" = $((96 * 1048576)) ]
result $? "and what it says itself"
ok "config is what holds there" "$VMF" web0 config
says "with what the class says" '^append = "of our class"'
ok "a dry run" "$VMF" --dry-run web0 start
says "tells the steps" 'start QEMU'
fails "and does nothing" 20 "$VMF" web0 status

# ---- life --------------------------------------------------------------------------------------------

ok "a chain starts it and asks" "$VMF" web0 start -- status
says "it runs" '^web0: running'
ok "it runs there" on n1 "$VMF" web0 status
fails "a second start is refused with the right code" 6 "$VMF" web0 start
says "and why" '^vmf: vm "web0": it is running already'
fails "as JSON, too" 6 "$VMF" --json web0 start
jq -e .error.code "$out" >/dev/null 2>&1 || grep -q '"code":"state"' "$out"
result $? "the error is one"
ok "one line to the monitor" "$VMF" web0 send 'info status'
says "is answered" 'running'
ok "a command to QMP" "$VMF" web0 qmp query-name
says "is answered, too" '"name":"web0"'
ok "its screen is shown here" "$VMF" web0 screenshot "$scratch/web0.png"
head -c 8 "$scratch/web0.png" | grep -q PNG
result $? "in a picture"
ok "in the other format" "$VMF" web0 screenshot "$scratch/web0.ppm"
head -c 2 "$scratch/web0.ppm" | grep -q P6
result $? "too"
ok "its log" "$VMF" web0 log
ok "pause, resume and a wait between" "$VMF" web0 pause 1 resume status
# a verb that reads nothing takes nothing of our input
printf 'one\ntwo\n' | {
	"$VMF" web0 status >/dev/null
	cat
} >"$out"
says "input stays for who comes next" '^one'
for i in 1 2 3 4; do
	"$VMF" web0 status >"$scratch/many.$i" 2>&1 &
	many="$many $!"
done
# shellcheck disable=SC2086 # a list
wait $many
[ "$(cat "$scratch"/many.* | grep -c '^web0: running')" = 4 ]
result $? "many ask at once"

ok "stop" "$VMF" web0 stop
fails "it is off at last" 20 "$VMF" web0 status

# ---- one definition ----------------------------------------------------------------------------------

ok "set" "$VMF" web0 set memory=112M
ok "is done at both ends" same_at_both web0
cat >"$scratch/editor" <<'END'
#!/bin/sh
echo 'description = "by hand"' >>"$1"
END
chmod +x "$scratch/editor"
ok "edit" env VISUAL="$scratch/editor" "$VMF" web0 edit
ok "is done at both ends, too" same_at_both web0
sed -i 's/by hand/with an editor/' "$VMF_HOME/etc/vms/web0.conf"
ok "a file that was edited here" "$VMF" --json web0 info
says "is what holds" 'with an editor'
ok "set at the other end" on n1 "$VMF" web0 set description=there
ok "what was set there" "$VMF" --json web0 info
says "holds" '"description":"there"'
ok "and comes here" same_at_both web0
ok "rename" "$VMF" web0 rename web1
ok "renames it at both ends" same_at_both web1
[ ! -e "$VMF_HOME/etc/vms/web0.conf" ] && [ -s "$scratch/n1/lib/images/web1-0.qcow2" ]
result $? "with its disks"
cp "$VMF_HOME/etc/vms/web1.conf" "$VMF_HOME/etc/vms/web2.conf"
fails "not over another one" 5 "$VMF" web1 rename web2
rm "$VMF_HOME/etc/vms/web2.conf"
fails "set host does not move it" 12 "$VMF" web1 set host=local
ok "a snapshot" "$VMF" web1 snapshot one snapshots
says "is listed" 'one'
ok "a clone beside it" "$VMF" -o host=n1 web3 clone --from web1
says "is made there" '^web3: '
grep -q '^host = "n1"' "$VMF_HOME/etc/vms/web3.conf"
result $? "and this end knows where it is"
ok "and goes again" "$VMF" web3 destroy --yes
[ ! -e "$scratch/n1/etc/vms/web3.conf" ] && [ ! -e "$scratch/n1/lib/images/web3-0.qcow2" ]
result $? "at both ends"
ok "one that is said to live at this end" on n1 "$VMF" web1 set host=local
ok "still lives" "$VMF" --json web1 info
grep -q '^host = "n1"' "$VMF_HOME/etc/vms/web1.conf"
result $? "where it lives"
fails "destroy wants to be sure" 2 "$VMF" web1 destroy
ok "destroy" "$VMF" web1 destroy --yes
[ ! -e "$VMF_HOME/etc/vms/web1.conf" ] && [ ! -e "$scratch/n1/etc/vms/web1.conf" ] &&
	[ ! -e "$scratch/n1/lib/images/web1-0.qcow2" ]
result $? "removes it at both ends"

ok "one more" "$VMF" web4 create --host n1
ok "is destroyed there" on n1 "$VMF" web4 destroy --yes
fails "which is told" 4 "$VMF" web4 start
says "so" 'was destroyed there'
[ ! -e "$VMF_HOME/etc/vms/web4.conf" ]
result $? "and forgotten here"
ok "the other host has a VM of its own" on n1 "$VMF" web5 create
fails "which is not ours" 5 "$VMF" web5 create --host n1
says "as it says" 'not made from here'

plan_now
