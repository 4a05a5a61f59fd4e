#!/bin/bash
# SPDX-License-Identifier: ISC
# storage-lvm on the real LVM: what nbsvm did with it, thick and thin, snapshots, clones, and what must not happen.
# Runs in the storage guest; tests/system/storage-lvm.sh is what starts it.

. "${0%/*}/lvm-lib.sh"

# ---- nothing there ----------------------------------------------------------------------------------

fails "no volume group" 4 "$VMF" foo newimg
says "is said by its name" 'vg0.*not found'
ok "a volume group of two disks" vgcreate -q vg0 /dev/vda /dev/vdb
ok "an empty one is fine" "$VMF" foo newimg --dry-run
fails "another one that is not there" 4 "$VMF" -o storage=lost foo newimg
says "is said with file and line" 'etc/vmf.conf:[0-9]+.*vg9'
fails "a thin pool that is not there" 4 "$VMF" -o storage=dry foo newimg
says "is said, too" 'no thin pool vg0/nopool'
says "with how to make it" 'lvcreate --type thin-pool'
lvcreate -qq -y --type thin-pool -L 200M -n pool vg0 >"$out" 2>&1
make_foreign >"$out" 2>&1

# ---- nbsvm's way: images, start, stop -----------------------------------------------------------------

ok "foo newimg newimg newimg start" "$VMF" foo newimg newimg newimg start
ok "its drives" "$VMF" foo drives
printf '/dev/vg0/foo-%d\n' 0 1 2 | cmp - "$out"
result $? "are foo-0, foo-1, foo-2"
uuid=$(sed -n 's/^uuid = "\(.*\)"/\1/p' "$VMF_HOME/etc/vms/foo.conf")
ok "they carry the mark and the VM's UUID" is lv_tags foo-0 "vmf,vmf.vm=$uuid"
fails "a running VM is not destroyed" 6 "$VMF" foo destroy --yes
run mke2fs -q /dev/vg0/foo-1
says "the host cannot use its disk by mistake" 'in use'
cat >"$VMF_HOME/etc/vms/thief.conf" <<-END
	disk "x" { volume = "foo-0" }
END
fails "nor can another VM" 7 "$VMF" thief start
says "as it is in use" '/dev/vg0/foo-0 is in use'
ok "foo stop" "$VMF" foo stop
cat >"$VMF_HOME/etc/vms/thief.conf" <<-END
	disk "x" { volume = "foo-0" readonly = yes }
END
ok "two VMs may read the same volume" "$VMF" thief start
sed -i s/thief/thief2/ "$VMF_HOME/etc/vms/thief.conf"
cp "$VMF_HOME/etc/vms/thief.conf" "$VMF_HOME/etc/vms/thief2.conf"
ok "at once" "$VMF" thief2 start
ok "and stop" "$VMF" thief stop
ok "one by one" "$VMF" thief2 stop
rm "$VMF_HOME"/etc/vms/thief*.conf

ok "a disk that boots" make_bootable /dev/vg0/foo-0 "from foo"
ok "a volume that is not active" lvchange -an vg0/foo-0 vg0/foo-1 vg0/foo-2
ok "foo start" "$VMF" foo start
ok "boots from it" ready foo 1
ok "foo stop" "$VMF" foo stop
ok "leaves it as it was" is lv_active foo-0 ""
lvchange -ay vg0/foo-0 vg0/foo-1 vg0/foo-2
ok "what the guest wrote is there" counted /dev/vg0/foo-0 1
for disk in foo-1 foo-2; do lvremove -qq -y vg0/$disk; done

same "a dry run of newimg" 0 "$VMF" foo newimg --dry-run
same "a volume that no volume group holds" 11 "$VMF" foo newimg 100G
says "is refused with numbers" 'has 1\.[0-9] GiB left, but volume "foo-1" takes 100 GiB'
same "a volume of no size" 2 "$VMF" foo newimg 0M
lvcreate -qq -y -L 4M -n foo-1 vg0 >"$out" 2>&1
mark /dev/vg0/foo-1 "not vmf's"
ok "newimg passes over a name that is taken" "$VMF" foo newimg
ok "and takes the next one" is lv_size foo-2 12.00
lvcreate -qq -y -L 4M -n taken-0 vg0 >"$out" 2>&1
same "a new VM whose disk is there already" 5 "$VMF" taken create --disk 4M
lvremove -qq -y vg0/taken-0 >"$out" 2>&1
ok "destroy" "$VMF" foo destroy --yes
says "says what stays" 'foo-1 .*was not made by vmf'
ok "and leaves what is not its own" marked /dev/vg0/foo-1 "not vmf's"
ok "but nothing else" gone foo-0
lvremove -qq -y vg0/foo-1 >"$out" 2>&1

# ---- gold: copy-on-write and full copies ----------------------------------------------------------------

ok "a VM to be copied" "$VMF" gold newimg
ok "with a disk that boots" make_bootable /dev/vg0/gold-0 "from gold"
ok "a copy-on-write clone" "$VMF" cow clone --from gold
says "says what room it has" 'vg0/cow-0 has room for 8 MiB of changes'
ok "it is a snapshot of LVM's" is origin cow-0 gold-0
ok "and of the same size" is origin_size cow-0 12.00
ok "a full copy" "$VMF" copy clone --from gold --copy
ok "stands alone" is origin copy-0 ""
cmp /dev/vg0/gold-0 /dev/vg0/copy-0 >"$out" 2>&1
result $? "and is the same"
ok "the clone starts" "$VMF" cow start
ok "and boots" ready cow 1
fails "in use, it is not cloned" 7 "$VMF" other clone --from cow --copy
ok "and stops" "$VMF" cow stop
ok "its origin does not notice" counted /dev/vg0/gold-0 0
ok "it has counted" counted /dev/vg0/cow-0 1
same "a clone's copy-on-write clone" 12 "$VMF" cow2 clone --from cow --cow
says "is what LVM cannot do" 'LVM makes no snapshots'
ok "so it is copied" "$VMF" cow2 clone --from cow
ok "all of it" counted /dev/vg0/cow2-0 1
same "a snapshot of a clone" 12 "$VMF" cow snapshot one
says "is refused with another way" 'full copy'
fails "an origin is not removed" 6 "$VMF" gold destroy --yes
says "as long as others stand on it" 'cow-0 stands on it'
for vm in cow cow2 copy gold; do ok "$vm destroy" "$VMF" $vm destroy --yes; done

ok "an LV of the person's own" lvcreate -qq -y -L 12M -n lab-gold-0 vg0
make_bootable /dev/vg0/lab-gold-0 "from the person"
printf 'class = "lab"\n' >"$VMF_HOME/etc/vms/gold.conf"
mkdir -p "$VMF_HOME/etc/classes"
echo >"$VMF_HOME/etc/classes/lab.conf"
sum=$(sha256sum </dev/vg0/lab-gold-0)
ok "is gold for others" "$VMF" c1 clone --from gold
ok "in their class" is origin lab-c1-0 lab-gold-0
ok "which start" "$VMF" c1 start
ok "and boot" ready c1 1
ok "and stop" "$VMF" c1 stop
[ "$(sha256sum </dev/vg0/lab-gold-0)" = "$sum" ]
result $? "it stays as it was"
fails "without a snapshot" 8 "$VMF" gold snapshot one
ok "gold destroy" "$VMF" gold destroy --yes
ok "does not take it away" is lv_size lab-gold-0 12.00

# a clone whose room is full
dd if=/dev/urandom of=/dev/vg0/lab-c1-0 bs=1M count=12 oflag=direct status=none 2>/dev/null
fails "a clone whose room ran full does not start" 6 "$VMF" c1 start
says "and why" 'room for changes of vg0/lab-c1-0 ran full'
ok "c1 destroy" "$VMF" c1 destroy --yes
ok "takes it away" gone lab-c1-0
lvremove -qq -y vg0/lab-gold-0 >"$out" 2>&1

# ---- snapshots, thick and thin --------------------------------------------------------------------------

# snapshots STORE: a VM's life with them
snapshots()
{
	local store=$1 vm=$1 at=/dev/vg0/$1

	ok "$vm: newimg" "$VMF" -o storage="$store" "$vm" newimg newimg
	printf 'storage = "%s"\n' "$store" >>"$VMF_HOME/etc/vms/$vm.conf"
	make_bootable "$at-0" "from $vm"
	mark "$at-1" first
	ok "$vm: start" "$VMF" "$vm" start
	ok "$vm: boots" ready "$vm" 1
	ok "$vm: a snapshot while it runs" "$VMF" "$vm" snapshot one
	fails "$vm: a second one of that name" 5 "$VMF" "$vm" snapshot one
	fails "$vm: a roll back while it runs" 6 "$VMF" "$vm" rollback one
	ok "$vm: stop" "$VMF" "$vm" stop
	mark "$at-1" second
	ok "$vm: a snapshot while it is off" "$VMF" "$vm" snapshot two
	ok "$vm: start" "$VMF" "$vm" start
	ok "$vm: boots again" ready "$vm" 2
	ok "$vm: stop" "$VMF" "$vm" stop
	mark "$at-1" third
	ok "$vm: snapshots" "$VMF" "$vm" snapshots
	[ "$(cut -f1 "$out" | paste -s -d,)" = one,two ]
	result $? "$vm: are one and two"
	ok "$vm: a clone of a snapshot" "$VMF" "$vm-c" clone --from "$vm@one"
	ok "$vm: has its state" counted "$at-c-0" 1
	ok "$vm: on all disks" marked "$at-c-1" first
	same "$vm: a dry run of rollback" 0 "$VMF" "$vm" rollback one --dry-run
	ok "$vm: rollback to the first" "$VMF" "$vm" rollback one
	ok "$vm: it is as it was" counted "$at-0" 1
	ok "$vm: on all disks" marked "$at-1" first
	ok "$vm: snapshots" "$VMF" "$vm" snapshots
	[ "$(cut -f1 "$out" | paste -s -d,)" = one,two ]
	result $? "$vm: are there still"
	ok "$vm: rollback to the second" "$VMF" "$vm" rollback two
	ok "$vm: it is as it was then" counted "$at-0" 1
	ok "$vm: on all disks" marked "$at-1" second
	mark "$at-1" fourth
	ok "$vm: rollback to the first once more" "$VMF" "$vm" rollback one
	ok "$vm: works" marked "$at-1" first
	fails "$vm: rollback to what is not there" 4 "$VMF" "$vm" rollback three
	ok "$vm: rename" "$VMF" "$vm" rename "$vm-new"
	ok "$vm: its snapshots go with it" "$VMF" "$vm-new" snapshots
	[ "$(cut -f1 "$out" | paste -s -d,)" = one,two ]
	result $? "$vm: all of them"
	ok "$vm: by name" is lv_size "$vm-new-0.one" "$(field lv_size "$vm-new-0.two")"
	ok "$vm: rollback after that" "$VMF" "$vm-new" rollback two
	ok "$vm: works" marked "$at-new-1" second
	ok "$vm: a snapshot is deleted" "$VMF" "$vm-new" snapshot --delete one
	ok "$vm: on all disks" gone "$vm-new-1.one"
	ok "$vm: destroy" "$VMF" "$vm-new" destroy --yes
	ok "$vm: takes the snapshots away" gone "$vm-new-0.two"
	ok "$vm: the clone lives on" marked "$at-c-1" first
	ok "$vm: until it is destroyed" "$VMF" "$vm-c" destroy --yes
}

snapshots thick
snapshots thin

ok "half of the volume's size for a snapshot" "$VMF" -o storage=part half newimg 16M
printf 'storage = "part"\n' >>"$VMF_HOME/etc/vms/half.conf"
cmp -n $((16 << 20)) /dev/vg0/half-0 /dev/zero >"$out" 2>&1
result $? "a new volume that was to be zeroed is"
ok "half snapshot" "$VMF" half snapshot one
ok "is half" is lv_size half-0.one 8.00
dd if=/dev/urandom of=/dev/vg0/half-0 bs=1M count=3 oflag=direct status=none
lvcreate -qq -y -s -L 4M -n mine vg0/half-0 >"$out" 2>&1
ok "a person's own snapshot" "$VMF" half snapshots
says "is shown" '^mine'
same "and not used" 8 "$VMF" half rollback mine
fails "it keeps the volume" 6 "$VMF" half destroy --yes
ok "and is kept" is origin mine half-0
dd if=/dev/urandom of=/dev/vg0/half-0 bs=1M count=2 seek=3 oflag=direct status=none
same "a roll back that others have no room for" 11 "$VMF" half rollback one
says "is refused with numbers" 'mine, which stands on it, has room for'
lvremove -qq -y vg0/mine >"$out" 2>&1
ok "rollback without it" "$VMF" half rollback one
dd if=/dev/urandom of=/dev/vg0/half-0 bs=1M count=16 oflag=direct status=none
fails "a snapshot that ran full is of no use" 6 "$VMF" half rollback one
says "and says so" 'ran full'
ok "half destroy" "$VMF" half destroy --yes

# ---- full ------------------------------------------------------------------------------------------------

ok "a volume" "$VMF" full newimg
room=$(vgs --noheadings --units m --nosuffix -o vg_free vg0 | tr -d ' ')
lvcreate -qq -y -l "$((${room%.*} / 4 - 1))" -n filler vg0 >"$out" 2>&1
same "a snapshot without room for it" 11 "$VMF" full snapshot one
says "is refused with numbers" 'has 4 MiB left, but a snapshot of full-0 takes 8 MiB'
same "a clone, too" 11 "$VMF" full2 clone --from full --cow
same "and a copy" 11 "$VMF" full2 clone --from full --copy
lvremove -qq -y vg0/filler >"$out" 2>&1
ok "full destroy" "$VMF" full destroy --yes

ok "a thin volume" "$VMF" -o storage=thin tf newimg 400M
printf 'storage = "thin"\n' >>"$VMF_HOME/etc/vms/tf.conf"
dd if=/dev/urandom of=/dev/vg0/tf-0 bs=1M count=120 oflag=direct status=none
same "a copy that the pool has no room for" 11 "$VMF" tf2 clone --from tf --copy
says "is refused with numbers" 'thin pool vg0/pool has (79|80)(\.[0-9])? MiB left'
dd if=/dev/urandom of=/dev/vg0/tf-0 bs=1M count=72 seek=120 oflag=direct status=none
same "a snapshot in a full pool" 11 "$VMF" tf snapshot one
says "is refused with numbers" 'vg0/pool \(200 MiB\) is 9[5-9]\.[0-9] % full'
same "a clone, too" 11 "$VMF" tf2 clone --from tf
same "and a volume" 11 "$VMF" tf newimg
ok "the VM starts all the same" "$VMF" tf start
says "with a warning" 'has only .* left'
ok "and stops" "$VMF" tf stop
ok "tf destroy" "$VMF" tf destroy --yes

# a copy that would fill the pool, which cannot be known before
lvcreate -qq -y -L 240M -n big-0 vg0 >"$out" 2>&1
dd if=/dev/urandom of=/dev/vg0/big-0 bs=1M oflag=direct status=none 2>/dev/null
printf 'storage = "thin"\n' >"$VMF_HOME/etc/vms/big.conf"
fails "a copy is given up before the pool is full" 11 "$VMF" big2 clone --from big --copy
says "and says so" 'given up before it ran full'
ok "and is gone" test -z "$(lvs --noheadings -o lv_name vg0 | grep vmf-)"
lvremove -qq -y vg0/big-0 >"$out" 2>&1
rm "$VMF_HOME/etc/vms/big.conf"

# a sparse one takes no more than it holds
lvcreate -qq -y -L 240M -n sparse-0 vg0 >"$out" 2>&1
blkdiscard -z /dev/vg0/sparse-0 2>/dev/null || dd if=/dev/zero of=/dev/vg0/sparse-0 bs=4M oflag=direct status=none 2>/dev/null
mark /dev/vg0/sparse-0 inside 400000
printf 'storage = "thin"\n' >"$VMF_HOME/etc/vms/sparse.conf"
ok "a copy of mostly nothing" "$VMF" sparse2 clone --from sparse --copy
ok "has what there is" marked /dev/vg0/sparse2-0 inside 400000
[ "$(field data_percent sparse2-0 | cut -d. -f1)" -lt 5 ]
result $? "and takes little room"
ok "sparse2 destroy" "$VMF" sparse2 destroy --yes
lvremove -qq -y vg0/sparse-0 >"$out" 2>&1
rm "$VMF_HOME/etc/vms/sparse.conf"

# ---- names -------------------------------------------------------------------------------------------------

ok "a VM with a name that LVM keeps for itself" "$VMF" snapshot1_tdata newimg
ok "has its volume" "$VMF" snapshot1_tdata drives
says "under another name" '^/dev/vg0/\+73napshot1\+5Ftdata-0$'
ok "which goes with it" "$VMF" snapshot1_tdata destroy --yes
long=$(printf 'a-%.0s' {1..30})b
ok "a VM with a long name" "$VMF" "$long" newimg
same "a name that is too long together with the volume group's" 2 "$VMF" "$long" snapshot "$long"
says "is refused" 'longer than LVM takes'
ok "the VM goes" "$VMF" "$long" destroy --yes

# ---- what others made ------------------------------------------------------------------------------------

ok "a foreign volume is as it was, and no device is left suspended" untouched
lvs --noheadings -o lv_name vg0 | tr -d ' ' | sort | paste -s -d, >"$out"
says "and nothing of vmf's is left" '^foreign,pool$'
ok "vmf-plugin-check, thick" /vmf/vmf-plugin-check --timeout 600 --run --only '[!f]*' \
	"$VMF_PLUGIN_PATH/storage-lvm.so" snapshot_size=8M
ok "vmf-plugin-check, thin" /vmf/vmf-plugin-check --timeout 600 --run --only life "$VMF_PLUGIN_PATH/storage-lvm.so" pool=pool
plan_now
