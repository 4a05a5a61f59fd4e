# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Test hosts: each a network namespace of its own on a veth pair, with its own /etc/vmf, /var/lib/vmf and /run/vmf (or what
# they were configured to be), a real sshd and the vmf that was built. Sourced after lib.sh:
#
#	need_hosts 3		makes n1, n2, n3 at 10.77.N.2, keys and all, and adds them to this home's vmf.conf
#	on n2 COMMAND...	runs a command there, as the host's own root
#	slow n2 delay 50ms	tc netem on the way to it, where the kernel has that;  slow n2  takes it off
#	cut_off n2		nothing gets through any more;  join_again n2

: "${scratch:?source lib.sh first}"
hosts_n=0
hosts_id=$((BASHPID % 10000))

# A second network of another test must not have the same addresses.
hosts_net=10.$((64 + BASHPID % 128))

host_ip()
{
	echo "$hosts_net.${1#n}.2"
}

# on HOST COMMAND...
on()
{
	local pid

	pid=$(cat "$scratch/$1/pid") || return
	shift
	env -u VMF_HOME VMF_PLUGIN_PATH="$VMF_PLUGIN_PATH" nsenter -t "$pid" -m -n "$@"
}

# The host's own life: mounts, then sshd in the foreground of its namespaces.
host_main()
{
	local dir=$1 sshd

	sshd=$(command -v sshd || echo /usr/sbin/sshd)
	mount --bind "$dir/etc" "$2" && mount --bind "$dir/lib" "$3" && mount --bind "$dir/run" /run/vmf || exit 1
	echo $BASHPID >"$dir/pid"
	exec "$sshd" -D -e -f "$dir/sshd_config"
}

# Folders of the real system that hosts have theirs mounted on. Only those that were not there before are removed, and by the last
# of the tests that run: to remove one takes away what is mounted on it in any namespace. $hosts_used names them, and is held
# locked by each of these tests.
hosts_used=/run/vmf-test-hosts

hosts_folders()
{
	local folder

	# where this vmf keeps its things is up to how it was configured
	hosts_etc=$(env -u VMF_HOME "$VMF" --dry-run nosuch create | sed -n 's|.* write \(.*\)/vms/nosuch.conf$|\1|p')
	hosts_lib=$(env -u VMF_HOME "$VMF" --json storage list | jq -r '.[0].where | rtrimstr("/images")')
	# again, if the last one has removed it while we waited
	until exec 8>>"$hosts_used" && flock 8 && [ /proc/self/fd/8 -ef "$hosts_used" ]; do :; done
	for folder in "$hosts_etc" "$hosts_lib" /run/vmf /run/sshd; do
		[ -e "$folder" ] || echo "$folder" >>"$hosts_used"
		mkdir -p "$folder" || return 1
	done
	flock -s 8
}

host_add()
{
	local name=$1 n=${1#n} dir=$scratch/$1 ns=vmf-$hosts_id-$1 ip

	ip=$(host_ip "$name")
	mkdir -p "$dir/etc" "$dir/lib" "$dir/run" && chmod 755 "$dir" "$dir/run" || return 1
	ip netns add "$ns" || return 1
	ip link add "vh$hosts_id.$n" type veth peer name eth0 netns "$ns" || return 1
	ip addr add "$hosts_net.$n.1/24" dev "vh$hosts_id.$n" && ip link set "vh$hosts_id.$n" up || return 1
	ip -n "$ns" addr add "$ip/24" dev eth0 && ip -n "$ns" link set eth0 up && ip -n "$ns" link set lo up || return 1
	ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$dir/host_key" || return 1
	cat >"$dir/sshd_config" <<-END
		ListenAddress $ip
		HostKey $dir/host_key
		AuthorizedKeysFile $scratch/authorized_keys $dir/etc/authorized_keys
		PermitRootLogin prohibit-password
		StrictModes no
		UsePAM no
		PidFile none
		MaxSessions 100
		MaxStartups 100
		SetEnv VMF_PLUGIN_PATH=$VMF_PLUGIN_PATH HOME=$dir
	END
	echo "$ip $(cat "$dir/host_key.pub")" >>"$scratch/known_hosts"
	# every mount in there is private: nothing of it is seen outside
	ip netns exec "$ns" unshare -m --propagation private bash -c "$(declare -f host_main); host_main '$dir' '$hosts_etc' '$hosts_lib'" \
		>"$dir/log" 2>&1 </dev/null &
	host_pids="$host_pids $!"
	wait_for 10 test -s "$dir/pid" && wait_for 10 grep -q 'listening' "$dir/log"
}
host_pids=

# need_hosts N
need_hosts()
{
	[ "$(id -u)" = 0 ] || skip_all "not possible here: namespaces need root"
	need_program ssh openssh-client
	[ -x "$(command -v sshd || echo /usr/sbin/sshd)" ] || skip_all "sshd is missing (Debian: openssh-server)"
	need_program ip iproute2
	need_program nsenter util-linux
	ip netns add "vmf-$hosts_id-try" 2>"$out" || skip_all "not possible here: no network namespaces"
	ip netns del "vmf-$hosts_id-try"
	trap hosts_cleanup EXIT
	hosts_folders >"$out" 2>&1 || skip_all "not possible here: /etc, /var/lib or /run cannot be written to"
	ssh-keygen -q -t ed25519 -N '' -C tests -f "$scratch/key"
	cp "$scratch/key.pub" "$scratch/authorized_keys"
	cat >"$scratch/ssh_config" <<-END
		User root
		IdentityFile $scratch/key
		IdentitiesOnly yes
		UserKnownHostsFile $scratch/known_hosts
		GlobalKnownHostsFile /dev/null
		StrictHostKeyChecking yes
	END
	mkdir -p "$VMF_HOME/etc"
	while [ $hosts_n -lt "$1" ]; do
		hosts_n=$((hosts_n + 1))
		host_add n$hosts_n >"$out" 2>&1 || {
			cat "$scratch/n$hosts_n/log" >>"$out" 2>&1
			result 1 "host n$hosts_n is made"
			exit 1
		}
		cat >>"$VMF_HOME/etc/vmf.conf" <<-END
			host "n$hosts_n" {
			    remote-ssh {
			        address = "$(host_ip n$hosts_n)"
			        config = "$scratch/ssh_config"
			        command = "$VMF"
			    }
			}
		END
	done
}

# slow HOST [NETEM...]: fails where the kernel has no netem
slow()
{
	local dev=vh$hosts_id.${1#n}

	shift
	tc qdisc del dev "$dev" root 2>/dev/null
	[ $# = 0 ] || tc qdisc add dev "$dev" root netem "$@"
}

# What it is sent still arrives, what it says is lost: no error tells.
cut_off()
{
	ip -n "vmf-$hosts_id-$1" route add blackhole "$hosts_net.${1#n}.1/32"
}

join_again()
{
	ip -n "vmf-$hosts_id-$1" route del blackhole "$hosts_net.${1#n}.1/32"
}

# Ends the VMs and sshds of the hosts, and ssh's connections; nothing else.
hosts_cleanup()
{
	local n pid

	for ((n = 1; n <= hosts_n; n++)); do
		for pid in $(ip netns pids "vmf-$hosts_id-n$n" 2>/dev/null); do
			kill -9 "$pid" 2>/dev/null
		done
		ip netns del "vmf-$hosts_id-n$n" 2>/dev/null
		ip link del "vh$hosts_id.$n" 2>/dev/null
	done
	for pid in $(pgrep -f "ssh: $VMF_HOME/run/.hosts/" 2>/dev/null); do
		kill "$pid" 2>/dev/null
	done
	cleanup
	if [ -e "$hosts_used" ] && flock -n 8; then
		tac "$hosts_used" | xargs -r rmdir 2>/dev/null
		rm "$hosts_used"
	fi
}
