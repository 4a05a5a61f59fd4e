#!/bin/bash
# SPDX-License-Identifier: ISC
#
# As zfs-kill.sh, but vmf is killed before each change that zfs makes for it, and while zfs is about to make it.

# shellcheck disable=SC2034 # it is for what is sourced
hows="killed_before killed_amid"
. "${0%/*}/zfs-kill.sh"
