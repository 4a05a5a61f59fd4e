#!/bin/bash
# SPDX-License-Identifier: ISC
# Snapshots of a running VM with two disks agree, on thin. Runs in the storage guest.

. "${0%/*}/lib.sh"
# shellcheck disable=SC2034 # stores.sh asks for it
store=thin
. "${0%/*}/pair.sh"
