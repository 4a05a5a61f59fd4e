#!/bin/bash
# SPDX-License-Identifier: ISC
# One table of what vmf's verbs on disks mean, on a store that the host need not have: zfs. Runs in the storage guest.

. "${0%/*}/lib.sh"
# shellcheck disable=SC2034 # verbs.sh and stores.sh ask for both
{
	store=zfs
	dry=$([ -z "${VMF_LONG-}" ] || echo yes)
}
. "${0%/*}/verbs.sh"
plan_now
