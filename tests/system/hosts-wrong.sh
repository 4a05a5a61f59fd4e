#!/bin/bash
# SPDX-License-Identifier: ISC
# Hosts that cannot be worked with: a line says why, in time, and nothing is changed.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_program tc iproute2
need_program pgrep procps
need_hosts 2

hosts_of()
{
	cat "$VMF_HOME/etc/vmf.conf"
	cat <<-END
		host "wrongkey" { remote-ssh { address = "$(host_ip n2)" config = "$scratch/ssh_config.other" options = {"ControlPath=none"} command = "$VMF" } }
		host "changed" { remote-ssh { address = "$(host_ip n2)" config = "$scratch/ssh_config" options = {"UserKnownHostsFile=$scratch/changed", "ControlPath=none"} command = "$VMF" } }
		host "unknown" { remote-ssh { address = "$(host_ip n2)" config = "$scratch/ssh_config" options = {"UserKnownHostsFile=/dev/null", "ControlPath=none"} command = "$VMF" } }
		host "novmf" { remote-ssh { address = "$(host_ip n2)" config = "$scratch/ssh_config" command = "/nowhere/vmf" } }
		host "old" { remote-ssh { address = "$(host_ip n2)" config = "$scratch/ssh_config" command = "$scratch/old" } }
		host "chatty" { remote-ssh { address = "$(host_ip n2)" config = "$scratch/ssh_config" command = "$scratch/chatty" } }
		host "nobody" { remote-ssh { address = "$(host_ip n2)" port = 23 config = "$scratch/ssh_config" } }
		host "nowhere" { remote-ssh { address = "nowhere.invalid" config = "$scratch/ssh_config" } }
		host "dash" { remote-ssh { address = "-oProxyCommand=touch /tmp/x" } }
	END
}
hosts_of >"$scratch/more.conf"
cp "$scratch/more.conf" "$VMF_HOME/etc/vmf.conf"
printf '%s %s\n' "$(host_ip n2)" "$(cut -d' ' -f1,2 "$scratch/n1/host_key.pub")" >"$scratch/changed"
ssh-keygen -q -t ed25519 -N '' -f "$scratch/other"
sed "s|$scratch/key|$scratch/other|" "$scratch/ssh_config" >"$scratch/ssh_config.other"
cat >"$scratch/old" <<'END'
#!/bin/sh
echo '{"hello":{"version":"0.0.1","protocol":0,"abi":[1,0],"host":"old"}}'
cat >/dev/null
END
cat >"$scratch/chatty" <<'END'
#!/bin/sh
echo 'Welcome to this host!'
END
chmod +x "$scratch/old" "$scratch/chatty"

# refused HOST STATUS PATTERN
refused()
{
	fails "$1: refused" "$2" "$VMF" bad0 create --host "$1"
	says "$1: as it says" "$3"
	[ "$(grep -c '^vmf: ' "$out")" -le 2 ] && [ ! -e "$VMF_HOME/etc/vms/bad0.conf" ]
	result $? "$1: in a line, and nothing was changed"
}

refused nosuch 3 'no host "nosuch"'
refused wrongkey 8 'host "wrongkey": .*does not let us in'
refused changed 8 'host "changed": .*host key has changed'
refused unknown 8 'host "unknown": .*host key is not known here'
refused novmf 9 'host "novmf": there is no /nowhere/vmf'
refused old 12 'host "old": it has vmf "0.0.1", which speaks protocol 0'
refused chatty 1 'host "chatty": .*Welcome to this host'
refused nobody 1 'host "nobody": .*nobody listens there'
refused nowhere 4 'host "nowhere": .*nobody knows the address'
refused dash 3 'is no address'

ok "one on the second host" "$VMF" far0 create --host n2
if slow n2 delay 100ms 10ms loss 5% 2>"$out"; then
	fails "a slow host answers" 20 "$VMF" far0 status
	slow n2
else
	skip "a slow host answers" "not possible here: $(tr '\n' ' ' <"$out")"
fi

background "$VMF" far0 wait running
sleep 1
pid=${background_pids##* }
on n2 pgrep -f 'agent --stdio' >"$out"
says "an agent serves us" '^[0-9]'
kill -9 "$pid"
ok "which ends with us" wait_for 20 bash -c "! $(declare -f on); scratch=$scratch; on n2 pgrep -f 'agent --stdio'"

plan_now
