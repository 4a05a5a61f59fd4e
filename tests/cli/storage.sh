#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Disks of stopped VMs and the storages they are in: made, grown, packed, copied from and to images, removed, killed at
# every step, and refused where a store cannot do it or the words make no sense.

. "${0%/*}/../lib.sh"
. "${0%/*}/storage-lib.sh"

# ---- add, resize, rm --------------------------------------------------------------------------------

ok "a VM with a disk" "$VMF" web create --disk 16M
cp "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"
ok "disk add" "$VMF" web disk add 8M
says "says what was made" '^web: disk 1: volume web-1 \(8M\)$'
ok "it needs no line in the definition" cmp "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"
ok "disk add with a name, a storage and a bus" "$VMF" web disk add 32M --name data --storage other --bus scsi
ok "it is where it should be" is web data path "$scratch/other/web-data.qcow2"
ok "and attached as it should be" is web data bus scsi
ok "the definition says so" grep -q '^disk "data" {$' "$VMF_HOME/etc/vms/web.conf"
ok "the next number is free of both" "$VMF" web disk add 4M --storage other
says "and noted, as it is elsewhere" '^web: disk 2: volume web-2 \(4M\)$'
ok "newimg goes on behind it" "$VMF" web newimg 4M
says "with the next" 'web-3 \(4M\)'
ok "a dry run" "$VMF" --dry-run web disk add 1G --name x --bus nvme
says "says each step" 'create volume web-x of 1G in storage "default"'
says "also of the definition" 'change .*web.conf: disk."x".bus=nvme'
ok "and makes nothing" [ "$(field web x disk)" = "" ]
"$VMF" --json web disk add 1M --name j >"$out" 2>&1
says "as JSON" '"vm":"web","disk":"j","volume":"web-j","storage":"default","size_bytes":1048576,"plugged":false'

ok "disk resize" "$VMF" web disk resize data 40M
ok "it has grown" is web data size_bytes 41943040
ok "the definition follows" grep -q 'size = "40M"' "$VMF_HOME/etc/vms/web.conf"
ok "by so much" "$VMF" web disk resize 1 +8M
ok "it has grown by that" is web 1 size_bytes 16777216
ok "to what it has" "$VMF" web disk resize 1 16M
says "is nothing" 'has 16M already'

ok "disk rm" "$VMF" web disk rm data --yes
ok "its volume is gone" test ! -e "$scratch/other/web-data.qcow2"
ok "its section, too" bash -c "! grep -q '\"data\"' '$VMF_HOME/etc/vms/web.conf'"
for disk in 1 2 3 j; do
	run "$VMF" web disk rm $disk --yes
done
ok "all sections come and go without a trace" cmp "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"

# a disk that is configured, and its volume missing
cat >>"$VMF_HOME/etc/vms/web.conf" <<END

# keeps its comment
disk "root" { size = "6M" storage = "other" }
END
fails "a VM whose volume is missing does not start" 4 "$VMF" web start
says "the hint names what makes it" 'hint: `vmf web disk add --name root` makes it'
ok "that does" "$VMF" web disk add --name root
ok "as it is configured" is web root path "$scratch/other/web-root.qcow2"
ok "and as large" is web root size_bytes 6291456
bad "a second time" 5 'there is a disk "root" already' web disk add --name root
ok "it goes" "$VMF" web disk rm root --yes
ok "the comment stays" grep -qx '# keeps its comment' "$VMF_HOME/etc/vms/web.conf"
cp "$scratch/web.conf" "$VMF_HOME/etc/vms/web.conf"

ok "a VM that is not there is defined by its first disk" "$VMF" first disk add 2M --name os --bus scsi
ok "which it has" is first os size_bytes 2097152
run "$VMF" first destroy --yes

# ---- bad input --------------------------------------------------------------------------------------

bad "a storage that is not there" 3 'no storage "nowhere"' web disk add 1M --storage nowhere
bad "a bus that is none" 2 'no bus "floppy"' web disk add 1M --bus floppy
bad "no size" 2 'no size' web disk add 0K
bad "a name that is none" 2 'no name for a disk' web disk add 1M --name a/b
bad "a name that is taken" 5 'there is a disk "0" already' web disk add 1M --name 0
bad "no such disk" 4 'there is no disk "9"' web disk resize 9 1G
bad "a size that is none" 2 'disk resize' web disk resize 0 much
bad "a smaller size" 12 'has 16M and cannot shrink to 8M' web disk resize 0 8M
bad "to nothing" 2 'to no size' web disk resize 0 0
bad "one word too few" 2 'wants DISK SIZE' web disk resize 0
bad "removal without a terminal or --yes" 2 'no terminal to ask on' web disk rm 0
bad "an image that is not there" 4 'image .*/none' web disk add --image "$scratch/none"
bad "an image that is a folder" 3 'is no image, but a folder' web disk add --image "$scratch"
: >"$scratch/empty"
bad "an image that is empty" 3 'is empty' web disk add --image "$scratch/empty"
bad "a format that is none" 2 'no format "vhd"' web disk add --image "$scratch/empty" --format vhd
bad "a format without an image" 2 '--format is for --image' web disk add --format raw
run "$VMF" web lock
bad "a locked VM gets no disk" 8 'is locked' web disk add 1M
bad "and loses none" 8 'is locked' web disk rm 0 --yes
run "$VMF" web unlock
touch "$images/web-1.raw" && truncate -s 1M "$images/web-1.raw"
bad "a volume of somebody else's is not removed" 8 'was not made by vmf for this VM' web disk rm 1 --yes
bad "nor grown" 8 'was not made by vmf for this VM' web disk resize 1 2M
rm "$images/web-1.raw"
truncate -s 1M "$images/web-y.raw"
bad "a volume's name that is taken" 5 'there is a volume web-y already' web disk add 1M --name y
rm "$images/web-y.raw"
qemu-io -f qcow2 -c 'sleep 20000' "$images/web-0.qcow2" >/dev/null 2>&1 &
holder=$!
wait_for 10 bash -c "'$VMF' --json storage volumes | jq -e '.[] | select(.volume == \"web-0\").in_use'"
bad "a volume in use is not removed" 7 'is in use' web disk rm 0 --yes
bad "nor packed" 7 'is in use' web disk compress 0
bad "nor replaced" 7 'is in use' web disk import 0 "$scratch/web.conf" --yes
kill $holder
wait $holder 2>/dev/null

# ---- images -----------------------------------------------------------------------------------------

truncate -s 3M "$scratch/gold.raw"
for i in 0 1 2; do
	printf 'block %d' $i | dd of="$scratch/gold.raw" bs=1M seek=$i conv=notrunc 2>/dev/null
done
qemu-img convert -f raw -O qcow2 "$scratch/gold.raw" "$scratch/gold.qcow2"
qemu-img convert -c -f raw -O qcow2 "$scratch/gold.raw" "$scratch/packed.qcow2"
qemu-img create -q -f qcow2 -b "$scratch/gold.qcow2" -F qcow2 "$scratch/overlay.qcow2"
qemu-img convert -f raw -O vmdk "$scratch/gold.raw" "$scratch/gold.vmdk"
gzip -k "$scratch/gold.raw"
head -c 1000 /dev/urandom >"$scratch/odd.raw"

# same VM DISK FILE [FORMAT]: the disk has what the image has, and zeroes behind
same()
{
	local path

	path=$(field "$1" "$2" path)
	qemu-img compare -f "$(field "$1" "$2" format)" -F "${4:-raw}" "$path" "$3"
}

ok "create --image" "$VMF" img create --image "$scratch/gold.qcow2"
says "says how large" 'with disk img-0 \(3M\)'
ok "its first disk is a copy" same img 0 "$scratch/gold.raw"
ok "create --image --disk --disk" "$VMF" img2 create --image "$scratch/gold.raw" --disk 8M --disk 1M
ok "the first is a copy, and larger" same img2 0 "$scratch/gold.raw"
ok "as large as it should be" is img2 0 size_bytes 8388608
ok "the second is empty" is img2 1 used_bytes "$(field img2 1 used_bytes)"
for source in gold.raw gold.qcow2 packed.qcow2; do
	for storage in default flat; do
		ok "disk add --image $source in $storage" "$VMF" img disk add --image "$scratch/$source" --storage $storage
		disk=$("$VMF" img drives --names | sort -n | tail -n 1)
		ok "is the same" same img "$disk" "$scratch/gold.raw"
	done
done
ok "an image that ends within a sector" "$VMF" img disk add --image "$scratch/odd.raw" --name odd
ok "is filled up" is img odd size_bytes 1024
ok "disk import" "$VMF" img disk import odd "$scratch/gold.qcow2" --yes
ok "replaces what was there" same img odd "$scratch/gold.raw"
ok "the definition has its new size" grep -q 'size = "3M"' "$VMF_HOME/etc/vms/img.conf"
ok "and nothing else is left" [ -z "$(find "$images" -name '*.new*' -o -name '*.old*')" ]
ok "a raw one" "$VMF" img2 disk import 0 "$scratch/gold.raw" --yes
ok "keeps the disk's size" is img2 0 size_bytes 8388608
bad "half of a bus" 2 'no bus "io"' web disk add 1M --bus io
run "$VMF" img disk add 1M --name odd.old
bad "a disk that is called like what import leaves" 5 'is a volume img-odd.old already' img disk import odd "$scratch/gold.raw" --yes
run "$VMF" img disk rm odd.old --yes
bad "an image that does not fit" 2 'has 3M and does not fit into 1M' web disk add 1M --image "$scratch/gold.qcow2"
bad "one that stands on another" 12 'stands on another image' web disk add --image "$scratch/overlay.qcow2"
bad "one of another kind" 12 'looks like VMDK' web disk add --image "$scratch/gold.vmdk"
bad "one that is packed by gzip" 12 'looks like gzip' web disk import 0 "$scratch/gold.raw.gz" --yes
bad "one that is not what is said" 3 'is no qcow2 image' web disk add --image "$scratch/gold.raw" --format qcow2
bad "create with one that does not fit" 2 'does not fit' new create --image "$scratch/gold.raw" --disk 1M
head -c 200000 "$scratch/gold.qcow2" >"$scratch/cut.qcow2"
bad "one that is cut off" 1 'is damaged, or was cut off' web disk add --image "$scratch/cut.qcow2" --name cut
ok "a qcow2 image as it is" "$VMF" img disk add --image "$scratch/gold.qcow2" --format raw --name asis
ok "is copied as it is" same img asis "$scratch/gold.qcow2" raw
run "$VMF" img2 snapshot s
bad "import over a disk with snapshots" 6 'has snapshots' img2 disk import 0 "$scratch/gold.raw" --yes

run "$VMF" img2 snapshot --delete s

ok "disk export" "$VMF" img2 disk export 0 "$scratch/out.qcow2"
ok "is the same" qemu-img compare -f qcow2 -F raw "$scratch/out.qcow2" "$scratch/gold.raw"
ok "to a raw file" "$VMF" img2 disk export 0 "$scratch/out.raw"
ok "is the same, too" qemu-img compare -f raw -F raw "$scratch/out.raw" "$scratch/gold.raw"
ok "as large as the disk" [ "$(stat -c %s "$scratch/out.raw")" = 8388608 ]
ok "packed" "$VMF" img2 disk export 0 "$scratch/packed" --format qcow2 --compress
ok "is the same as well" qemu-img compare -f qcow2 -F raw "$scratch/packed" "$scratch/gold.raw"
ok "to a file of the current folder" sh -c "cd '$scratch' && '$VMF' img2 disk export 1 here.img"
ok "it is there" test -s "$scratch/here.img"
bad "a file that is there" 5 'there is a .*out.raw already' img2 disk export 0 "$scratch/out.raw"
bad "a file of no known format" 2 'does not say what format' img2 disk export 0 "$scratch/out.iso"
bad "a packed raw file" 2 'cannot be compressed' img2 disk export 0 "$scratch/new.raw" --compress
bad "a folder that is not there" 4 'cannot write' img2 disk export 0 "$scratch/none/x.raw"
"$VMF" --json img2 disk export 0 "$scratch/json.raw" >"$out" 2>&1
says "as JSON" '"vm":"img2","disk":"0","file":".*/json.raw","format":"raw","size_bytes":8388608'
if [ "$(id -u)" = 0 ] && mkdir "$scratch/small" && mount -t tmpfs -o size=1M none "$scratch/small" 2>"$out"; then
	head -c 3M /dev/urandom >"$scratch/random.raw"
	run "$VMF" img2 disk import 0 "$scratch/random.raw" --yes
	fails "no room for a raw file" 11 "$VMF" img2 disk export 0 "$scratch/small/x.raw"
	fails "nor for a qcow2 file" 11 "$VMF" img2 disk export 0 "$scratch/small/x.qcow2"
	ok "nothing is left there" [ -z "$(ls -A "$scratch/small")" ]
	echo "storage \"small\" { file-qcow2 { dir = \"$scratch/small\" } }" >>"$VMF_HOME/etc/vmf.conf"
	bad "no room in the storage" 11 'No space left|has .* left' web disk add --image "$scratch/random.raw" --storage small
	ok "nothing is left there, either" [ -z "$(find "$scratch/small" -type f)" ]
	umount "$scratch/small"
	sed -i '/"small"/d' "$VMF_HOME/etc/vmf.conf"
else
	for i in 1 2 3 4 5; do
		skip "no room ($i)" "root is needed to mount a small filesystem"
	done
fi

# ---- compress ---------------------------------------------------------------------------------------

run "$VMF" web disk import 0 "$scratch/gold.raw" --yes
for i in 1 2 3 4; do
	yes "line $i" | head -c 2M | dd of="$scratch/text" bs=1M seek=$((i * 2)) conv=notrunc 2>/dev/null
done
run "$VMF" web disk import 0 "$scratch/text" --yes
before=$(field web 0 used_bytes)
ok "disk compress" "$VMF" web disk compress 0
ok "takes up less" [ "$(field web 0 used_bytes)" -lt $((before / 4)) ]
ok "is the same" same web 0 "$scratch/text"
ok "is still vmf's own" "$VMF" web disk resize 0 32M
run "$VMF" clone clone --from web --cow
run qemu-io -f qcow2 -c 'write -P 7 0 1M' "$images/clone-0.qcow2"
ok "a clone is packed" "$VMF" clone disk compress 0
ok "and still stands on its origin" is clone 0 origin web-0
ok "with what it has of its own" sh -c "! qemu-io -r -f qcow2 -c 'read -P 7 0 1M' '$images/clone-0.qcow2' | grep failed"
run "$VMF" img2 snapshot s
bad "a disk with snapshots" 6 'has snapshots' img2 disk compress 0
run "$VMF" img2 snapshot --delete s
run "$VMF" clone destroy --yes

# ---- a store that can do little -----------------------------------------------------------------------

# shellcheck disable=SC2086 # CC may be several words
if ${CC:-cc} -std=c99 -D_GNU_SOURCE -I"$top_srcdir/sdk" -fPIC -shared -o "$scratch/plugins/storage-example.so" \
	"$top_srcdir/sdk/example/storage-example.c" 2>"$out"; then
	export VMF_PLUGIN_PATH=$scratch/plugins:$VMF_PLUGIN_PATH
	mkdir "$scratch/example"
	echo "storage \"little\" { example { dir = \"$scratch/example\" } }" >>"$VMF_HOME/etc/vmf.conf"
	ok "a disk in a third party's store" "$VMF" little disk add --image "$scratch/gold.qcow2" --storage little --name a
	ok "is the copy that it should be" cmp -n 3145728 "$scratch/example/little-a.raw" "$scratch/gold.raw"
	ok "also of a raw image" "$VMF" little disk import a "$scratch/gold.raw" --yes
	ok "is the same" cmp -n 3145728 "$scratch/example/little-a.raw" "$scratch/gold.raw"
	ok "its export" "$VMF" little disk export a "$scratch/little.qcow2"
	ok "is, too" qemu-img compare -f qcow2 -F raw "$scratch/little.qcow2" "$scratch/gold.raw"
	ok "to a raw file" "$VMF" little disk export a "$scratch/little.raw"
	ok "as well" cmp "$scratch/little.raw" "$scratch/example/little-a.raw"
	ok "it grows" "$VMF" little disk resize a 4M
	bad "it cannot compress" 12 'hint: .*disk export --compress' little disk compress a
	bad "nor clone" 12 'hint: make a new disk' x clone --volume little:little-a
	ok "it shows what it can" sh -c "'$VMF' storage list | grep -q '^little.*rename\$'"
	ok "it is removed" "$VMF" little disk rm a --yes
	ok "nothing is left" [ -z "$(ls "$scratch/example")" ]
	run "$VMF" little destroy --yes
	sed -i '/"little"/d' "$VMF_HOME/etc/vmf.conf"
else
	result 1 "the example plugin compiles"
fi

# ---- killed -----------------------------------------------------------------------------------------

# one disk, nothing else
one_disk()
{
	local disk

	for disk in $("$VMF" web drives --names); do
		[ "$disk" = 0 ] || "$VMF" web disk rm "$disk" --yes || return
	done
	cp "$scratch/web.conf" "$VMF_HOME/etc/vms/web.conf" && "$VMF" web disk import 0 "$scratch/gold.raw" --yes
}

# what a kill may leave: no volume that nobody uses, no half of a disk, no file in the making
whole()
{
	local left disk

	left=$("$VMF" storage orphans)
	left+=$(find "$images" "$scratch/other" -name '.vmf-*' -o -name '*.new*' -o -name '*.old*')
	[ -z "$left" ] || { echo "left: $left" && return 1; }
	for disk in $("$VMF" web drives --names); do
		is web "$disk" exists true || return
	done
	same web 0 "$scratch/gold.raw"
}

each_point "disk add" one_disk whole web disk add 1M --name more --storage other --bus scsi
each_point "disk add --image" one_disk whole web disk add --image "$scratch/gold.qcow2" --name more

two_disks()
{
	one_disk && "$VMF" web disk add 1M --name more
}

removed_or_not()
{
	whole && { [ "$(field web more exists)" != false ] || return; }
}

each_point "disk rm" two_disks removed_or_not web disk rm more --yes

grown_or_not()
{
	whole && [ "$(field web more size_bytes)" -eq "$(numfmt --from=iec "$(sed -n 's/.*size = "\(.*\)"/\1/p' "$VMF_HOME/etc/vms/web.conf")")" ]
}

each_point "disk resize" two_disks grown_or_not web disk resize more 2M
each_point "disk import" one_disk whole web disk import 0 "$scratch/gold.qcow2" --yes
each_point "disk compress" one_disk whole web disk compress 0

no_file()
{
	rm -f "$scratch/k.qcow2" && one_disk
}

file_or_not()
{
	whole && [ -z "$(find "$scratch" -maxdepth 1 -name '.k*')" ] &&
		{ [ ! -e "$scratch/k.qcow2" ] || qemu-img compare -f qcow2 -F raw "$scratch/k.qcow2" "$scratch/gold.raw"; }
}

each_point "disk export" no_file file_or_not web disk export 0 "$scratch/k.qcow2"

plan_now
