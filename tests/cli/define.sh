#!/bin/bash
# SPDX-License-Identifier: ISC
# Verbs that make and change definitions: comments stay, a value keeps its place, mistakes change nothing.

. "${0%/*}/../lib.sh"
need_program qemu-img qemu-utils

vms=$VMF_HOME/etc/vms
mkdir -p "$vms" "$VMF_HOME/etc/classes"

# definition VM: it is what comes on standard input
definition()
{
	diff - "$vms/$1.conf" >"$out"
	result $? "$2"
}

# ---- create -----------------------------------------------------------------------------------------

ok "create" "$VMF" web0 create --memory 2G --cpus 2 --disk 10M --disk 20M --nic default --nic default
says "says what it made" '^web0: created, with disk web0-0 \(10M\), web0-1 \(20M\)$'
uuid=$(sed -n 's/^uuid = "\(.*\)"/\1/p' "$vms/web0.conf")
definition web0 "its file says no more than was asked for" <<END
uuid = "$uuid"
memory = "2G"
cpus = "2"

nic "0" {
	network = "default"
}

nic "1" {
	network = "default"
}
END
ok "drives" "$VMF" web0 drives
says "its first disk" "^$VMF_HOME/lib/images/web0-0.qcow2\$"
says "its second disk" "^$VMF_HOME/lib/images/web0-1.qcow2\$"
ok "newimg takes the next number" "$VMF" web0 newimg 1M
says "which is 2" '^web0: made volume web0-2 \(1M\)$'
fails "the name is taken" 5 "$VMF" web0 create
fails "no such network" 3 "$VMF" web1 create --nic lan
says "names it" 'no network "lan"'
fails "no size" 2 "$VMF" web1 create --disk 5Q
says "says so" '^vmf: --disk: "5Q" is no size'
fails "no such option" 2 "$VMF" web1 create --memroy 1G
says "says which is meant" 'hint: do you mean --memory'
fails "no memory of that kind" 3 "$VMF" web1 create --memory much
fails "a mistake at the chain's end" 2 "$VMF" web1 create newimg 1M strat
says "says which verb is meant" 'hint: do you mean start'
fails "no image for the CD drive" 4 "$VMF" web1 create cdrom "$scratch/none.iso"
run "$VMF" web1 destroy --yes
ok "a dry run" "$VMF" web1 create --disk 1M --dry-run
says "says what would be done" '^ 2  create volume web1-0 of 1M'
[ ! -e "$vms/web1.conf" ] && [ ! -e "$VMF_HOME/lib/images/web1-0.qcow2" ]
result $? "nothing of all that was made"
ok "the first image makes the VM" "$VMF" web1 newimg 1M
ok "so does the first setting" "$VMF" web2 set cpus=2
"$VMF" --json web3 create --disk 1M >"$out" 2>&1
says "as JSON" '^\{"vm":"web3","file":".*","uuid":".*","disks":\[\{"volume":"web3-0","size_bytes":1048576\}\]\}$'

# ---- templates --------------------------------------------------------------------------------------

mkdir "$scratch/templates"
: >"$scratch/templates/install.iso"
cat >"$scratch/templates/small.conf" <<'END'
# a small one
uuid   = "11111111-2222-3333-4444-555555555555"
memory = ${mem:-128M} # or more
cdrom  = "install.iso" # beside this file
disk "data" { size = "1M" }
END
ok "create from a template" "$VMF" small create --template "$scratch/templates/small.conf" --cpus 3
says "makes its disks" 'small-data \(1M\)'
uuid=$(sed -n 's/^uuid = "\(.*\)"/\1/p' "$vms/small.conf")
[ "$uuid" != 11111111-2222-3333-4444-555555555555 ]
result $? "it has an identity of its own"
definition small "the rest is the template's, with its comments" <<END
uuid = "$uuid"
# a small one
memory = \${mem:-128M} # or more
cdrom  = "$scratch/templates/install.iso" # beside this file
cpus = "3"
disk "data" { size = "1M" }
END
echo 'memroy = 1G' >>"$scratch/templates/small.conf"
fails "a template with a mistake" 3 "$VMF" small2 create --template "$scratch/templates/small.conf"
says "says where" "$scratch/templates/small.conf:6: "
fails "no template" 4 "$VMF" small2 create --template "$scratch/none.conf"

# ---- set, ram, smp ----------------------------------------------------------------------------------

cat >"$vms/web.conf" <<'END'
# The web server.
memory = ${mem:-1G}   # the environment may override it
cpus   = 1            # one is enough
description = "old"   // for people

disk "root" {
	/* fast */
	bus = "virtio"
}
END
ok "ram, smp and set" "$VMF" web ram 2G smp 4 set description='the "new" one' disk.root.bus=scsi display.vnc-unix.share=ignore
definition web "change their values and nothing else" <<'END'
# The web server.
memory = ${mem:-2G}   # the environment may override it
cpus   = 4            # one is enough
description = "the \"new\" one"   // for people

disk "root" {
	/* fast */
	bus = "scsi"
}

display {
	vnc-unix {
		share = "ignore"
	}
}
END
ok "an empty value removes the line" "$VMF" web set description= display.vnc-unix=
ok "lists" "$VMF" web set 'args={"-boot", "d"}' set args+=-snapshot
grep -q '^args = {"-boot", "d", "-snapshot"}$' "$vms/web.conf"
result $? "grow at their end"
cp "$vms/web.conf" "$scratch/before"
for setting in memory=12Q cpus=0 cpus=many accel=fast uuid=none disk.root.bus=floppy memroy=1G \
	disk.root.colour=red display.vnc-unix.share=x display.vnc-unix.sahre=ignore nic=x locked=perhaps; do
	fails "set $setting is refused" 3 "$VMF" web set cpus=7 "$setting"
done
fails "set without a value" 2 "$VMF" web set cpus
cmp "$vms/web.conf" "$scratch/before" >"$out"
result $? "and nothing was changed"
ok "a relative path is meant from here" sh -c "cd '$scratch/templates' && \"\$VMF\" web set kernel=install.iso"
grep -qF "kernel = \"$scratch/templates/install.iso\"" "$vms/web.conf"
result $? "and becomes an absolute one"
ok "a dry run of set" "$VMF" web set cpus=8 --dry-run
says "names the file" "^ 1  write $vms/web.conf\$"
grep -q '^cpus   = 4 ' "$vms/web.conf"
result $? "and leaves it alone"
chmod 600 "$vms/web.conf"
mv "$vms/web.conf" "$scratch/elsewhere.conf"
ln -s "$scratch/elsewhere.conf" "$vms/web.conf"
ok "set follows a symbolic link" "$VMF" web smp 5
[ -L "$vms/web.conf" ] && grep -q '^cpus   = 5 ' "$scratch/elsewhere.conf" && [ "$(stat -c %a "$scratch/elsewhere.conf")" = 600 ]
result $? "and keeps the file's mode"

# ---- cdrom, eject -----------------------------------------------------------------------------------

ok "cdrom" "$VMF" web cdrom "$scratch/templates/install.iso" config
says "the image is in the drive" "^cdrom = \"$scratch/templates/install.iso\"\$"
ok "eject" "$VMF" web eject config
! grep -q cdrom "$out"
result $? "takes it out"
echo "cdrom = \"$scratch/templates/install.iso\"" >"$VMF_HOME/etc/classes/cd.conf"
ok "a class has an image" "$VMF" web set class=cd config
says "which is in the drive" '^cdrom = ".*install.iso"$'
ok "eject hides it" "$VMF" web eject config
says "with an empty name" '^cdrom = ""$'
run "$VMF" web set class= cdrom=

# ---- lock, unlock -----------------------------------------------------------------------------------

cp "$vms/web.conf" "$scratch/before"
ok "lock" "$VMF" web lock
for verb in "set cpus=2" "ram 1G" "cdrom $vms/web.conf" eject edit "newimg 1M" "rename other" "destroy --yes" start; do
	# shellcheck disable=SC2086 # words
	fails "a locked VM: no $verb" 8 "$VMF" web $verb
done
says "says where it is locked" 'is locked \(.*/web.conf:[0-9]+\)'
ok "it can be looked at" "$VMF" web info
ok "unlock" "$VMF" web unlock
cmp "$vms/web.conf" "$scratch/before" >"$out"
result $? "leaves no trace"
echo 'locked = yes' >"$VMF_HOME/etc/classes/shut.conf"
ok "a class that locks" "$VMF" web set class=shut
fails "locks" 8 "$VMF" web ram 1G
ok "is unlocked for this VM" "$VMF" web unlock ram 1G set class=
run "$VMF" web set locked=

# ---- edit -------------------------------------------------------------------------------------------

cat >"$scratch/editor" <<'END'
#!/bin/sh
sed -i "$VMF_TEST_EDIT" "$1"
END
chmod +x "$scratch/editor"
edit()
{
	VMF_TEST_EDIT=$1 VISUAL="$scratch/editor" EDITOR=false "$VMF" web edit
}
ok "edit" edit 's/^cpus .*/cpus   = 6/'
says "says that it was changed" '^web: changed$'
grep -q '^cpus   = 6$' "$vms/web.conf"
result $? "it was"
ok "edit of nothing" edit ''
says "says that, too" '^web: not changed$'
cp "$vms/web.conf" "$scratch/before"
fails "a mistake" 3 edit 's/^cpus .*/cpsu = 7/'
says "is shown with its place" "$vms/web.conf:3: .*cpsu"
fails "an editor that fails" 1 env VISUAL=false "$VMF" web edit
cmp "$vms/web.conf" "$scratch/before" >"$out"
result $? "change nothing"
[ "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'vmf-web-*' -newer "$scratch/before")" = "" ]
result $? "and leave no copy"
if command -v script >/dev/null; then
	echo n | TMPDIR=$scratch VMF_TEST_EDIT='s/^cpus .*/cpsu = 7/' VISUAL=$scratch/editor \
		script -qc "'$VMF' web edit" /dev/null >"$out" 2>&1
	says "on a terminal it asks" 'Edit again'
	grep -q 'cpsu = 7' "$scratch"/vmf-web-*.conf
	result $? "and keeps the text of those who give up"
else
	skip "on a terminal it asks" "script is missing (Debian: bsdutils)"
	skip "and keeps the text of those who give up" "script is missing (Debian: bsdutils)"
fi
echo 'cpsu = 3' >>"$vms/web.conf"
fails "a broken definition" 3 "$VMF" web status
ok "can be mended" edit '/^cpsu/d'
ok "and is right again" "$VMF" web config

# ---- config -----------------------------------------------------------------------------------------

cat >"$VMF_HOME/etc/vmf.conf" <<END
accel = "tcg"
storage "other" { file-qcow2 { dir = "$scratch/other" } }
END
printf 'cpus = 2\nargs = {"-a"}\n' >"$VMF_HOME/etc/classes/lab.conf"
cat >"$vms/c.conf" <<'END'
class = "lab"
memory = ${VMF_TEST_MEMORY:-300M}
args += {"-b", "x y"}
disk "d.1" { storage = "other" file-qcow2 { cache = "none" } }
END
ok "config --origin" "$VMF" c config --origin
says "of the VM" "^memory = \"300M\" *# $vms/c.conf:2\$"
says "of the class" "^cpus = 2 *# $VMF_HOME/etc/classes/lab.conf:1\$"
says "of vmf.conf" "^accel = \"tcg\" *# $VMF_HOME/etc/vmf.conf:1\$"
says "of what is built in" '^vga = "std" *# built-in$'
says "lists are joined" '^args = {"-a", "-b", "x y"}'
VMF_TEST_MEMORY=400M ok "the environment" "$VMF" c config
says "is heard" '^memory = "400M"'
ok "-o" "$VMF" -o memory=1G c config --origin
says "wins over all" '^memory = "1G" *# -o$'
ok "config --diff" "$VMF" c config --diff
! grep -q '^vga\|format' "$out" && grep -q '^cpus = 2$' "$out"
result $? "shows only what differs"
"$VMF" c config >"$scratch/whole.conf" 2>"$out"
mkdir -p "$scratch/h2/etc/vms"
cp "$scratch/whole.conf" "$scratch/h2/etc/vms/c.conf"
"$VMF" --home "$scratch/h2" c config >"$out" 2>&1
diff "$scratch/whole.conf" "$out" >"$out.diff"
result $? "what config prints can be read again and means the same"
"$VMF" --json c config >"$out" 2>&1
says "as JSON" '"key":"disk.\\"d.1\\".file-qcow2.cache","value":"none","file":".*/c.conf","line":4'

# ---- rename, destroy --------------------------------------------------------------------------------

uuid=$(grep ^uuid "$vms/web0.conf")
ok "rename" "$VMF" web0 rename site drives
says "its volumes go along" "/site-1.qcow2\$"
[ ! -e "$vms/web0.conf" ] && grep -qF "$uuid" "$vms/site.conf"
result $? "its identity stays"
fails "the new name is taken" 5 "$VMF" site rename web1
fails "it is a command's name" 2 "$VMF" site rename list
fails "it is no name" 2 "$VMF" site rename a/b
fails "destroy without a terminal wants --yes" 2 "$VMF" site destroy
says "and says so" 'hint: add --yes'
ok "destroy --dry-run" "$VMF" site destroy --dry-run
says "says what would go" '^ 1  remove volume site-0 '
if command -v script >/dev/null; then
	echo no | script -qec "'$VMF' site destroy" /dev/null >"$out" 2>&1
	[ $? = 1 ] && [ -e "$vms/site.conf" ]
	result $? "on a terminal it asks, and takes no for an answer"
	echo site | script -qec "'$VMF' site destroy" /dev/null >"$out" 2>&1
	result $? "or the VM's name for a yes"
else
	skip "on a terminal it asks, and takes no for an answer" "script is missing (Debian: bsdutils)"
	ok "destroy" "$VMF" site destroy --yes
fi
find "$VMF_HOME" -name '*site*' | grep . >"$out"
[ ! -s "$out" ]
result $? "nothing of it is left"
fails "it is no more" 4 "$VMF" site destroy --yes
: >"$VMF_HOME/lib/images/web1-7.qcow2"
ok "a volume that vmf did not make" "$VMF" web1 destroy --yes
[ -e "$VMF_HOME/lib/images/web1-7.qcow2" ] && [ ! -e "$VMF_HOME/lib/images/web1-0.qcow2" ]
result $? "stays"

# ---- what waits for another finds what that one has left --------------------------------------------

# while_locked COMMAND...: the VM's lock is held, by hand, while vmf has read the definition of w and waits; then COMMAND
while_locked()
{
	mkdir -p "$VMF_HOME/run/w"
	mkfifo "$scratch/go"
	: >"$scratch/held"
	python3 -c '
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(fd, fcntl.LOCK_EX, 1, 1)
print("locked", flush=True)
open(sys.argv[2]).read()
' "$VMF_HOME/run/w/lock" "$scratch/go" >"$scratch/held" &
	holder=$!
	until grep -q locked "$scratch/held"; do sleep 0.02; done
	"$VMF" w newimg 1M >"$out" 2>&1 &
	waiter=$!
	# it has read all once it waits for the lock
	until find "/proc/$waiter/fd" -lname "$VMF_HOME/run/w/lock" 2>/dev/null | grep -q .; do sleep 0.02; done
	"$@"
	echo >"$scratch/go"
	wait $holder
	rm "$scratch/go"
	wait $waiter
}

another_w()
{
	sed 's/^uuid = .*/uuid = "5f0c1d6e-0c55-4ff4-8f0a-4a1f4c1d2e3f"/' "$vms/w.conf" >"$scratch/w.conf"
	mv "$scratch/w.conf" "$vms/w.conf"
}

need_program python3 python3
ok "a VM" "$VMF" w create
while_locked rm "$vms/w.conf"
[ $? = 4 ] && [ ! -e "$VMF_HOME/lib/images/w-0.qcow2" ]
result $? "one that was destroyed meanwhile gets no volume"
says "and that is said" 'vm "w" was destroyed or renamed meanwhile'
ok "a VM again" "$VMF" w create
while_locked another_w && grep -q 5f0c1d6e-0c55-4ff4-8f0a-4a1f4c1d2e3f "$VMF_HOME/lib/images/.vmf/w-0.qcow2"
result $? "another one of that name gets a volume that is its own"
ok "which goes with it" "$VMF" w destroy --yes
! find "$VMF_HOME/lib" "$VMF_HOME/run" ! -type d | grep 'w-0'
result $? "nothing is left"
plan_now
