#!/bin/bash
# SPDX-License-Identifier: ISC
# A move from host to host against what is read by ssh at the one and written by ssh at the other: real sshds in network
# namespaces, a disk of random bytes. The bare copy is synced, too; its two connections are made anew each time, while those
# of the move are warm, so it looks slower than it is.

. "${BASH_SOURCE[0]%/*}/lib.sh"
. "${BASH_SOURCE[0]%/*}/../hosts.sh"
need qemu-io qemu-utils
need ssh openssh-client
need_hosts 2
: "${ROUNDS:=7}"
mib=128

ms()
{
	local begin=$EPOCHREALTIME end

	"$@" >"$out" 2>&1 || exit 1
	end=$EPOCHREALTIME
	echo $(((${end/./} - ${begin/./}) / 1000))
}

bare()
{
	ssh -F "$scratch/ssh_config" "$(host_ip n1)" "cat $scratch/noise" |
		ssh -F "$scratch/ssh_config" "$(host_ip n2)" "cat >$scratch/copy && sync $scratch/copy && rm $scratch/copy"
}

median()
{
	sort -n "$1" | sed -n "$((ROUNDS / 2 + 1))p"
}

create big create --host n1 --disk ${mib}M
head -c ${mib}M /dev/urandom >"$scratch/noise"
qemu-io -c "write -s $scratch/noise 0 ${mib}M" "$scratch/n1/lib/images/big-0.qcow2" >/dev/null || exit 1
"$VMF" big move n2 >/dev/null && "$VMF" big move n1 >/dev/null || exit 1 # warm connections
for ((i = 0; i < ROUNDS; i++)); do
	ms bare >>"$scratch/bare"
	ms "$VMF" big move n2 >>"$scratch/move"
	"$VMF" big move n1 >/dev/null || exit 1
done
awk -v m="$(median "$scratch/move")" -v b="$(median "$scratch/bare")" 'BEGIN {
	printf "move of %d MiB: %d ms, cat by ssh %d ms: %.2f of its speed (wanted: at least 0.9)\n", '$mib', m, b, b / m }'
