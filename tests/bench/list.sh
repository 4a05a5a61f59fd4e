#!/bin/bash
# SPDX-License-Identifier: ISC
# All VMs: a thousand against libvirt's client, other numbers against each other, and what running ones add.

. "${BASH_SOURCE[0]%/*}/lib.sh"
for n in 250 500 1000 2000; do
	define $n "$scratch/$n"
done
for n in 500 1000 2000; do
	pairs -l "list, $n against $((n / 2))" -x $n -y $((n / 2)) -r 2.1 -m 16 \
		-a "$VMF -C $scratch/$n list" -b "$VMF -C $scratch/$((n / 2)) list"
done

# those that run are stand-ins: what they are asked is the same, and nothing else is at work meanwhile
define 1000
echo "qemu = \"$bench/fake-qemu\"" >>"$VMF_HOME/etc/vmf.conf"
for i in {1..20}; do
	"$VMF" "vm$i" start >/dev/null || exit 1
done
pairs -l "list, 20 of 1000 running" -x some -y none -d 3 -m 16 -a "$VMF list" -b "$VMF -C $scratch/1000 list"
for i in {1..20}; do
	"$VMF" "vm$i" stop >/dev/null
done

libvirt_start
libvirt_define 1000
pairs -l "list, 1000" -y virsh -r 0.15 -m 16 -a "$VMF list" -b "$virsh list --all"
