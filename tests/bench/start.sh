#!/bin/bash
# SPDX-License-Identifier: ISC
# Start, until the guest's CPU runs: one VM, twenty at once, and what vmf itself takes of it.

. "${BASH_SOURCE[0]%/*}/lib.sh"
need qemu-system-x86_64 qemu-system-x86

create one create --disk 1G
bare_command one
pairs -l "start" -r 1.05 -m 6 -k qemu-system \
	-a "$VMF one start" -C "$VMF one stop" \
	-b "$bench/bare start $bare/one/qmp $bare/one.args" -D "$bench/bare quit $bare/one/qmp"

create fake create --disk 1G
"$VMF" fake set "qemu=$bench/fake-qemu" >/dev/null || exit 1
pairs -l "start, QEMU that only talks" -t 5 -m 6 -k fake-qemu -a "$VMF fake start" -C "$VMF fake stop"

for i in {0..19}; do
	create "vm$i" create --disk 1G
	bare_command "vm$i"
done
# what ends them is no part of the measurement
cat >"$scratch/stop" <<END
for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
	case \$1 in
	vmf) "$VMF" "vm\$i" stop & ;;
	bare) "$bench/bare" quit "$bare/vm\$i/qmp" & ;;
	esac
done
wait
END
PAIRS=$(((PAIRS + 2) / 3))
pairs -l "start, twenty at once" -s -j 20 -r 1.10 -m 16 -k qemu-system \
	-a "$VMF vm% start" -C "sh $scratch/stop vmf" \
	-b "$bench/bare start $bare/vm%/qmp $bare/vm%.args" -D "sh $scratch/stop bare"
