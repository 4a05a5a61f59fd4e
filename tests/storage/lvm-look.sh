#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm and many volumes: one look for all of them. Runs in the storage guest; tests/system/storage-lvm-look.sh is what
# starts it.

. "${0%/*}/lvm-lib.sh"

export LOOKS=yes
vgcreate -q -s 1M vg0 /dev/vda >"$out" 2>&1
result $? "a volume group"
for vm in many m{1..20}; do : >"$VMF_HOME/etc/vms/$vm.conf"; done

# Made by LVM one by one they would take minutes: they are written into its own backup of what the group holds.
vgcfgbackup -f "$scratch/group" vg0 >"$out" 2>&1
awk '
	function volume(name) {
		printf "%s {\nid = \"%06d-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\n", name, n
		printf "tags = [\"vmf\"]\nsegment_count = 1\nsegment1 {\nstart_extent = 0\nextent_count = 1\ntype = \"striped\"\n"
		printf "stripe_count = 1\nstripes = [\"pv0\", %d]\n}\n}\n", n++
	}
	{ lines[NR] = $0 }
	END {
		# in front of the brace that ends the group
		for (last = NR; lines[last] !~ /^}/; last--)
			;
		for (i = 1; i < last; i++)
			print lines[i]
		print "logical_volumes {"
		for (i = 0; i < 200; i++)
			volume("many-" i)
		for (vm = 1; vm <= 20; vm++)
			for (i = 0; i < 10; i++)
				volume("m" vm "-" i)
		print "}"
		for (i = last; i <= NR; i++)
			print lines[i]
	}' "$scratch/group" >"$scratch/larger"
ok "400 volumes" vgcfgrestore -f "$scratch/larger" vg0
[ "$(lvs --noheadings -o lv_name vg0 | wc -l)" = 400 ]
result $? "are there"

ok "drives of a VM with 200" watch "$VMF" many drives
[ "$(wc -l <"$out")" = 200 ]
result $? "shows them"
called "and looks once" lvs
ok "all VMs with the number of their disks" watch "$VMF" list --columns name,disks
[ "$(grep -c -w 10 "$out")" = 20 ]
result $? "20 VMs have 10"
called "and that takes one look" lvs
ok "storage volumes" watch "$VMF" storage volumes thick
[ "$(grep -c -w vg0 "$out")" = 400 ] || [ "$(grep -c /dev/vg0 "$out")" = 400 ]
result $? "shows 400"
called "and looks once, and at the group that is not there" lvs lvs
rm "$VMF_HOME/etc/vms/many.conf"
ok "storage orphans" watch "$VMF" storage orphans
[ "$(grep -c many- "$out")" = 200 ]
result $? "shows those of the VM that is not defined"
called "and looks once, and at the group that is not there" lvs lvs
ok "a new one among them" watch "$VMF" many newimg 1M
called "takes one look" lvs lvcreate
ok "and is the 200th" lvs vg0/many-200
plan_now
