#!/bin/bash
# SPDX-License-Identifier: ISC
# Snapshots of a running VM with two disks agree, on zfs. Runs in the storage guest.

. "${0%/*}/lib.sh"
# shellcheck disable=SC2034 # stores.sh asks for it
store=zfs
. "${0%/*}/pair.sh"
