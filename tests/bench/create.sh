#!/bin/bash
# SPDX-License-Identifier: ISC
# A VM with a new disk of 10 GiB against the disk alone, made by qemu-img.

. "${BASH_SOURCE[0]%/*}/lib.sh"
need qemu-img qemu-utils

pairs -l "create, disk of 10 GiB" -y qemu-img -r 1.15 -m 16 \
	-a "$VMF one create --disk 10G" -C "$VMF one destroy --yes" \
	-b "qemu-img create -q -f qcow2 $scratch/one.qcow2 10G" -D "rm $scratch/one.qcow2"
