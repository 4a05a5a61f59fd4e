#!/bin/bash
# SPDX-License-Identifier: ISC
# lvm's programs are killed while they change devices: nothing is left suspended, and the change is made or not.
# Runs in the storage guest; tests/system/storage-lvm-cut.sh is what starts it.

. "${0%/*}/lvm-fault-lib.sh"

cut_at 1 newimg reset made_or_not a newimg 8M
cut_at 1 "snapshot, thick" bare_thick snapshot_or_not a snapshot one
cut_at 1 "snapshot, thin" bare_thin snapshot_or_not a snapshot one
cut_at 1 "clone of a thin snapshot" thin cloned_thin b clone --from a@one
cut_at 2 "rollback, thin" thin rolled_back a rollback one
cut_at 2 "rollback, thick" thick rolled_back a rollback one
cut_at 1 rename thick one_name a rename new
cut_at 1 "destroy, thin" thin there_or_gone a destroy --yes

faults_end
