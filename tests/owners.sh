# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Owners who come to a host of tests/hosts.sh by its real sshd. Sourced after that:
#
#	need_owner alice --vms 2	makes her on n1, with a key of her own
#	as alice web0 start		what she says to the gate

# need_owner NAME [OPTION...]
need_owner()
{
	local name=$1

	shift
	ssh-keygen -q -t ed25519 -N '' -C "$name@home" -f "$scratch/key-$name" || return
	sed "s|$scratch/key\$|$scratch/key-$name|" "$scratch/ssh_config" >"$scratch/ssh-$name"
	cat >>"$scratch/ssh-$name" <<-END
		Host gate
		HostName $(host_ip n1)
		BatchMode yes
		LogLevel ERROR
		ControlMaster auto
		ControlPath $scratch/mux-$name
		ControlPersist 60
	END
	on n1 "$VMF" user add "$name" --key "$scratch/key-$name.pub" "$@"
}

# as NAME WORD...
as()
{
	local name=$1

	shift
	ssh -F "$scratch/ssh-$name" gate -- "$@"
}

# The client script for her.
client()
{
	local name=$1

	shift
	HOME=$scratch VMF_GATE=gate VMF_SSH="ssh -F $scratch/ssh-$name" sh "$top_srcdir/conf/client/vmf-owner" "$@"
}

# Ends the connections that are kept: a trap's first word, before hosts_cleanup.
owners_end()
{
	local socket

	for socket in "$scratch"/mux-*; do
		[ ! -S "$socket" ] || ssh -F "$scratch/ssh-${socket##*/mux-}" -O exit gate 2>/dev/null
	done
}
