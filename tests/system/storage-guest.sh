#!/bin/bash
# SPDX-License-Identifier: ISC
# The storage guest: real LVM and ZFS for tests of the plugins, on a machine that need have neither.

. "${0%/*}/../lib.sh"

in_storage_guest tests/storage/guest.sh
