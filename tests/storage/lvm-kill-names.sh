#!/bin/bash
# SPDX-License-Identifier: ISC
# Volumes of LVM are renamed and removed while vmf is killed, or lvm fails, at each step: in the end they are.
# Runs in the storage guest; tests/system/storage-lvm-kill-names.sh is what starts it.

. "${0%/*}/lvm-fault-lib.sh"

each rename thick one_name a rename new
each "destroy, thick" thick there_or_gone a destroy --yes
each "destroy, thin" thin there_or_gone a destroy --yes

faults_end
