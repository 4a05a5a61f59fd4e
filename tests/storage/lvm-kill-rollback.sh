#!/bin/bash
# SPDX-License-Identifier: ISC
# Volumes of LVM are rolled back while vmf is killed, or lvm fails, at each step: they are, or are not.
# Runs in the storage guest; tests/system/storage-lvm-kill-rollback.sh is what starts it.

. "${0%/*}/lvm-fault-lib.sh"

each "rollback, thin" thin rolled_back a rollback one
each "rollback, thick" thick rolled_back a rollback one

faults_end
