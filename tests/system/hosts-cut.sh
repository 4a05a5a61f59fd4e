#!/bin/bash
# SPDX-License-Identifier: ISC
# A host to which nothing gets through any more, again and again: that is known in time, and nothing is lost by it.

. "${top_srcdir:-.}/tests/lib.sh"
. "$top_srcdir/tests/hosts.sh"
need_hosts 2

for vm in far0 far1 far2 far3; do
	ok "$vm on the second host" "$VMF" $vm create --host n2
	cut_off n2
	began=$SECONDS
	fails "cut off it does not answer" 10 timeout 60 "$VMF" $vm status
	[ $((SECONDS - began)) -lt 30 ]
	result $? "which is known in time"
	join_again n2
	fails "then it does again" 20 "$VMF" $vm status
done
plan_now
