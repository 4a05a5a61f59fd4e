#!/bin/bash
# SPDX-License-Identifier: ISC
# The state of a running VM against what libvirt's client takes for it.

. "${BASH_SOURCE[0]%/*}/lib.sh"
need qemu-system-x86_64 qemu-system-x86
define 1
"$VMF" vm1 start >/dev/null || exit 1
libvirt_start
libvirt_define 1
# shellcheck disable=SC2086
$virsh start vm1 || exit 1
sleep 3 # both firmwares find nothing to boot, and rest

pairs -l "status" -y virsh -r 0.15 -m 16 -a "$VMF vm1 status" -b "$virsh domstate vm1"
# shellcheck disable=SC2086
$virsh destroy vm1 >/dev/null
