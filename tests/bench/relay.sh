#!/bin/bash
# SPDX-License-Identifier: ISC
# The relay engine beside socat and beside the least that a relay could be, all in one run, by turns.

. "${BASH_SOURCE[0]%/*}/lib.sh"
need socat socat
: "${ROUNDS:=7}"
kinds="vmf socat socat-b copy"
# io_uring is switched off on many machines
[ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" != 0 ] || kinds="$kinds uring"
declare -A port pid

relay()
{
	local to=$volatile/$1.s

	case $1 in
	socat) background socat "TCP-LISTEN:${port[$1]},bind=127.0.0.1,reuseaddr,fork,backlog=1024" "UNIX-CONNECT:$to" ;;
	socat-b)
		background socat -b 262144 "TCP-LISTEN:${port[$1]},bind=127.0.0.1,reuseaddr,fork,backlog=1024" \
			"UNIX-CONNECT:$to"
		;;
	*) background "$bench/relays" "$1" "${port[$1]}" "$to" ;;
	esac
	pid[$1]=$!
}

next=$((20000 + RANDOM % 10000))
for kind in $kinds; do
	port[$kind]=$((next++))
	relay "$kind"
done
sleep 0.5

# measure WHAT KIND... -- ARGUMENT...: all kinds by turns; $scratch/WHAT.KIND gets a line a round: seconds, processor's
# seconds, KiB
measure()
{
	local what=$1 mine=() round kind

	shift
	while [ "$1" != -- ]; do
		mine+=("$1")
		shift
	done
	shift
	for ((round = 0; round < ROUNDS; round++)); do
		for kind in "${mine[@]:round % ${#mine[@]}}" "${mine[@]:0:round % ${#mine[@]}}"; do
			kill -0 "${pid[$kind]}" 2>/dev/null || relay "$kind"
			"$bench/streams" "$1" "$volatile/$kind.s" "${port[$kind]}" "${@:2}" "${pid[$kind]}" \
				>>"$scratch/$what.$kind" || exit 1
		done
	done
}

# median WHAT KIND FIELD
median()
{
	cut -d ' ' -f "$3" "$scratch/$1.$2" | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# line LABEL WHAT FIELD OTHER RATIO [most]: how many times OTHER's median vmf's goes into; at least RATIO, or, with most,
# what part of it vmf's is, at most RATIO
line()
{
	local a b

	a=$(median "$2" vmf "$3")
	b=$(median "$2" "$4" "$3")
	awk -v label="$1" -v a="$a" -v b="$b" -v other="$4" -v want="$5" -v most="${6-}" -v n="$ROUNDS" 'BEGIN {
		r = most ? (b > 0 ? a / b : 0) : (a > 0 ? b / a : 0)
		missed = most ? r > want : r < want
		printf "%-34s vmf %.4g  %s %.4g  ratio %.3f (%s%s %s)  n=%d\n", label, a, other, b, r,
			missed ? "MISSED: " : "", most ? "<=" : ">=", want, n
	}'
}

# best WHAT FIELD KIND...: the one with the least median
best()
{
	local what=$1 field=$2 kind

	shift 2
	for kind; do
		echo "$(median "$what" "$kind" "$field") $kind"
	done | sort -g | sed -n '1s/.* //p'
}

bare_kinds=copy
case $kinds in *uring*) bare_kinds="copy uring" ;; esac
# shellcheck disable=SC2086 # words
measure push vmf socat socat-b $bare_kinds -- push "${MIB:-1024}"
line "seconds for 1 GiB" push 1 socat 2.2
line "seconds for 1 GiB, socat -b 262144" push 1 socat-b 1.2
# shellcheck disable=SC2086
line "seconds for 1 GiB, best bare relay" push 1 "$(best push 1 $bare_kinds)" 0.9
line "processor's seconds for 1 GiB" push 2 socat 0.4 most

measure turn vmf socat -- turn 1 5000
line "5000 round trips of 64 bytes" turn 1 socat 1
measure turns vmf socat -- turn 100 100
line "100 round trips of 100 clients" turns 1 socat 2.2
line "KiB of memory with 100 clients" turns 3 socat 0.2 most
measure open vmf socat -- open 500
line "500 connections" open 1 socat 3.5

# A screen: handed over to QEMU, and of a second VNC server of the same QEMU, which listens itself.
need qemu-system-x86_64 qemu-system-x86
direct=$((next++))
create vm1 create
create vm1 set 'display_default=vnc-tcp' "args={\"-vnc\",\"127.0.0.1:$((direct - 5900))\"}"
"$VMF" vm1 start >/dev/null || exit 1
"$VMF" vm1 vnc --port "$next" --many --detach >/dev/null || exit 1
for ((round = 0; round < ROUNDS; round++)); do
	for kind in vmf direct; do
		[ $kind = vmf ] && to=$next || to=$direct
		"$bench/streams" screen - "$to" 60 0 >>"$scratch/screen.$kind" || exit 1
	done
done
"$VMF" vm1 stop >/dev/null
line "60 pictures, handed over" screen 1 direct 0.98
awk -v ms="$(median screen vmf 2)" -v n="$ROUNDS" 'BEGIN {
	missed = ms > 0.005
	printf "%-34s vmf %.2f ms (%s<= 5 ms)  n=%d\n", "until a screen greets, handed over", ms * 1000,
		missed ? "MISSED: " : "", n
}'
