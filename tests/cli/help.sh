#!/bin/bash
# SPDX-License-Identifier: ISC
# Help and completion, made from one table: every verb has its help, and the scripts offer what there is.

. "${0%/*}/../lib.sh"

ok "help" "$VMF" help
[ "$(awk 'length > 100' "$out" | wc -l)" = 0 ]
result $? "fits a hundred columns"
cp "$out" "$scratch/help"
ok "no words at all" "$VMF"
cmp "$out" "$scratch/help" >"$scratch/cmp"
result $? "show the same"
ok "--help, too" "$VMF" --help
"$VMF" --json help >"$scratch/help.json" 2>"$out"
verbs=$(sed -n '/^Verbs/,/^$/s/^  \([a-z]*\) .*/\1/p' "$scratch/help")
commands=$(sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' "$scratch/help")
[ "$(echo "$verbs" | wc -l)" -ge 30 ] && [ "$(echo "$commands" | wc -l)" -ge 5 ]
result $? "lists verbs and commands"

for word in $verbs; do
	ok "help $word" "$VMF" help "$word"
	says "shows its usage" "^usage: vmf VM $word( |\$)"
done
for word in $commands; do
	ok "help $word" "$VMF" help "$word"
	says "shows its usage" "^usage: vmf $word( |\$)"
done
ok "help on an alias" "$VMF" help make
says "is that on the verb" '^usage: vmf VM create'
says "names the aliases" '^also: make$'
says "and the options" '^  --memory SIZE '
ok "--help behind a verb" "$VMF" web0 create --memory 1G start --help
says "is help on that verb" '^usage: vmf VM start'
ok "--help behind a command" "$VMF" list --help
says "is help on the command" '^usage: vmf list'
ok "help on a keyword" "$VMF" help accel
says "shows its choices and its default" 'accel .*auto, kvm, tcg.*default auto'
ok "help on a section" "$VMF" help nic
says "shows its options" '^  model '
ok "help on an option of a section" "$VMF" help disk.bus
says "shows it" 'bus .*virtio, scsi'
ok "help on a verb that is a keyword, too" "$VMF" help cdrom
says "shows the verb" '^usage: vmf VM cdrom'
says "and the keyword" '^  cdrom  .* path'
ok "help keywords" "$VMF" help keywords
says "has them all" 'shutdown_timeout'
ok "help exit-codes" "$VMF" help exit-codes
says "has those of errors" '^   3  the configuration'
says "and those of status" '^  23  status: QEMU has died'
ok "help on a word that several verbs begin with" "$VMF" help disk
says "shows all of them" '^usage: vmf VM disk resize DISK SIZE$'
says "and the keyword" '^  bootindex '
ok "help on one of them" "$VMF" help disk add
says "shows its options" '^  --bus BUS '
ok "--help behind it" "$VMF" web0 disk rm root --help
says "is help on it" '^usage: vmf VM disk rm'
fails "the first word alone" 2 "$VMF" web0 disk
says "says what may follow" 'hint: it has add, rm,'
fails "another second word" 2 "$VMF" storage lits
says "says what there is" 'hint: it has list, volumes, orphans$'
fails "no such word" 2 "$VMF" help memroy
says "says which is meant" 'hint: do you mean memory'
ok "version" "$VMF" version
says "names the plugins' ABI" '^plugin ABI [0-9]+\.[0-9]+$'
ok "--version" "$VMF" --version

# ---- completion -------------------------------------------------------------------------------------

for vm in web0 web1 db; do
	mkdir -p "$VMF_HOME/etc/vms"
	echo 'cpus = 2' >"$VMF_HOME/etc/vms/$vm.conf"
done
cat >>"$VMF_HOME/etc/vms/web0.conf" <<END
disk "data" { size = "1M" }
disk "root" { size = "1M" }
END
PATH=$(dirname "$VMF"):$PATH
# shellcheck disable=SC2016 # not this shell's
ok "completion bash" sh -c '"$VMF" completion bash >"$VMF_HOME/vmf.bash"'
ok "is right" bash -n "$VMF_HOME/vmf.bash"
for shell in zsh fish; do
	if command -v $shell >/dev/null; then
		"$VMF" completion $shell >"$VMF_HOME/vmf.$shell" 2>"$out"
		ok "completion $shell is right" $shell -n "$VMF_HOME/vmf.$shell"
	else
		skip "completion $shell is right" "$shell is missing (Debian: $shell)"
	fi
done
fails "completion of another shell" 2 "$VMF" completion csh

# shellcheck source=/dev/null
. "$VMF_HOME/vmf.bash"

# offers EXPECTED WORD...: with the cursor at the last word's end (bash takes '=' for a word of its own)
offers()
{
	local expected=$1

	shift
	COMP_WORDS=("$VMF" "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_vmf "$VMF"
	printf '%s\n' "${COMPREPLY[@]}" >"$out"
	[ "${COMPREPLY[*]}" = "$expected" ]
	result $? "bash: $* -> $expected"
}

offers "web0 web1" we
offers plugin pl
offers "start stop status" web0 st
offers --memory web0 create --m
offers "" web0 create --memory ""
offers "start status" web0 create --memory 2G --disk 1G sta
offers "$VMF_HOME/vmf.bash" web0 create --cdrom "$VMF_HOME/vmf.b"
offers memory= web0 set mem
offers tcg web0 set accel = t
offers "yes no" -o tablet = ""
offers "$VMF_HOME/vmf.bash" web0 set kernel = "$VMF_HOME/vmf.b"
offers "status" web0 set memory = 2G stat
offers "running paused off saved crashed io-error hung ip" web0 wait ""
offers "status" web0 start -m 5 -- stat
offers "web0 web1" -C "$VMF_HOME" we
offers "" -C "$scratch/none" we
offers --dry-run --dr
offers "list show path" plugin ""
offers "storage network display placement" plugin show ""
offers "screenshot" help scr
offers "bash zsh fish" completion ""
offers "disk disconnect" web0 di
offers "add rm resize compress trim import export mount umount" web0 disk ""
offers "data root" web0 disk rm ""
offers --rw web0 disk mount root --
offers "$VMF_HOME/vmf.bash" web0 disk import root "$VMF_HOME/vmf.b"
offers "start status" web0 disk resize root 20G sta
offers "start status" web0 disk add --name more sta
offers "list volumes orphans" storage ""
offers default storage volumes ""
if [ -e "$VMF_PLUGIN_PATH/network-user-mode.so" ]; then
	offers user-mode plugin show network user
else
	skip "bash: plugin show network user -> user-mode" "not possible here: it was not built"
fi
if command -v fish >/dev/null; then
	ok "fish offers" fish -c "source '$VMF_HOME/vmf.fish'; complete -C 'vmf web0 create --mem'"
	says "the verbs' options" '^--memory'
	ok "fish offers" fish -c "source '$VMF_HOME/vmf.fish'; complete -C 'vmf we'"
	says "the VMs" '^web1'
	ok "fish offers" fish -c "source '$VMF_HOME/vmf.fish'; complete -C 'vmf web0 disk re'"
	says "a verb's second word" '^resize'
	ok "fish offers" fish -c "source '$VMF_HOME/vmf.fish'; complete -C 'vmf web0 disk rm '"
	says "a VM's disks" '^root'
else
	for i in 1 2 3 4 5 6 7 8; do
		skip "fish offers ($i)" "fish is missing (Debian: fish)"
	done
fi
plan_now
