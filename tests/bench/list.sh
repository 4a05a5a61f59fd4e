#!/bin/bash
# SPDX-License-Identifier: ISC
# All VMs: a thousand against libvirt's client, other numbers against each other, and what running ones add.

. "${top_srcdir:-.}/tests/bench/lib.sh"
define 1000
for n in 250 500 2000; do
	define $n "$scratch/$n"
done
pairs -l "list, 500 against 250" -x 500 -y 250 -r 2.1 -m 16 -a "$VMF -C $scratch/500 list" -b "$VMF -C $scratch/250 list"
pairs -l "list, 1000 against 500" -x 1000 -y 500 -r 2.1 -m 16 -a "$VMF list" -b "$VMF -C $scratch/500 list"
pairs -l "list, 2000 against 1000" -x 2000 -y 1000 -r 2.1 -m 16 -a "$VMF -C $scratch/2000 list" -b "$VMF list"

# those that run are stand-ins: to ask a VM for its state is the same, and nothing else is at work meanwhile
define 1000 "$scratch/r"
echo "qemu = \"$bench/fake-qemu\"" >>"$scratch/r/etc/vmf.conf"
for i in {1..20}; do
	"$VMF" -C "$scratch/r" "vm$i" start >/dev/null || exit 1
done
pairs -l "list, 20 of 1000 running" -x some -y none -d 3 -m 16 -a "$VMF -C $scratch/r list" -b "$VMF list"
for i in {1..20}; do
	"$VMF" -C "$scratch/r" "vm$i" stop >/dev/null
done

libvirt_start
libvirt_define 1000
pairs -l "list, 1000" -y virsh -r 0.15 -m 16 -a "$VMF list" -b "$virsh list --all"
