#!/bin/bash
# SPDX-License-Identifier: ISC
# Stop, until QEMU is gone, against QMP's quit.

. "${BASH_SOURCE[0]%/*}/lib.sh"
need qemu-system-x86_64 qemu-system-x86

create one create --disk 1G
# once its firmware rests: how long QEMU takes to hear of quit while a guest boots is anybody's guess
pairs -l "stop" -y quit -r 1.3 -m 16 -A "$VMF one start; sleep 1" -a "$VMF one stop" \
	-B "$VMF one start; sleep 1" -b "$bench/bare quit $VMF_HOME/run/one/qmp" -D "$VMF one stop"
