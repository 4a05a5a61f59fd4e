#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Disks of a running VM: plugged in, written to, grown, saved and restored, plugged out, vmf killed at every step. And
# disks of a stopped one on the host: partitions mounted and unmounted, whatever was killed meanwhile.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
need_program qemu-io qemu-utils
need_program jq jq
need_program strace strace
need_program sfdisk fdisk
need_program mkfs.ext4 e2fsprogs
mkdir -p "$VMF_HOME/etc" "$scratch/plugins" "$scratch/mapped"
images=$VMF_HOME/lib/images

# ---- plugged in and out -----------------------------------------------------------------------------

# nodes: what QEMU has of disks, in order
nodes()
{
	"$VMF" web qmp query-named-block-nodes | jq -r '.return[]."node-name"' | grep '^disk-[^-]*$' | sort | tr '\n' ' '
}

fdsets()
{
	"$VMF" web qmp query-fdsets | jq '.return | length'
}

# sees DISK KIB: the guest has that disk, that large
sees()
{
	guest web "for i in 1 2 3 4 5 6 7 8 9; do grep -q ' $2 $1\$' /proc/partitions && break; sleep 0.5; done; grep ' $2 $1\$' /proc/partitions" 60
}

sees_no()
{
	guest web "for i in 1 2 3 4 5 6 7 8 9; do grep -q ' $1\$' /proc/partitions || break; sleep 0.5; done; ! grep ' $1\$' /proc/partitions" 60
}

cat >"$VMF_HOME/etc/vmf.conf" <<END
storage "flat" { file-qcow2 { dir = "$scratch/mapped" format = "raw" } }
END

ok "a VM" "$VMF" web create --disk 16M
cp "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"
ok "starts" "$VMF" web start
ok "its guest is up" guest_ready web
sets=$(fdsets)
ok "a disk is added while it runs" "$VMF" web disk add 32M
says "and plugged in" 'volume web-1 \(32M\), plugged in'
ok "the guest has it" sees vdb 32768
ok "writes to it and reads it back" guest web 'disk-write vdb 8 5 && disk-check vdb' 60
ok "it grows" "$VMF" web disk resize 1 48M
ok "the guest sees that" sees vdb 49152
ok "and has what it wrote" guest web 'disk-check vdb' 60
ok "the first disk grows, too" "$VMF" web disk resize 0 +16M
ok "the guest sees that, too" sees vda 32768
fails "it does not shrink" 12 "$VMF" web disk resize 1 16M
ok "a raw one" "$VMF" web disk add 8M --storage flat --name flat
ok "grows as well" "$VMF" web disk resize flat 20M
ok "the guest sees that" sees vdc 20480
fails "it is no image to copy while the guest has it" 7 "$VMF" other create --image "$scratch/mapped/web-flat.raw"
ok "and goes" "$VMF" web disk rm flat --yes
for bus in scsi nvme usb; do
	ok "a $bus disk" "$VMF" web disk add 12M --bus $bus --name $bus
done
ok "the guest has the scsi disk" sees sda 12288
ok "and the nvme disk" sees nvme0n1 12288
fails "an ide disk" 12 "$VMF" web disk add 12M --bus ide
says "the hint names others" 'hint: use --bus virtio'
ok "nothing is left of that" [ "$(nodes)" = "disk-0 disk-1 disk-nvme disk-scsi disk-usb " ]
fails "a disk of a running VM is not packed" 6 "$VMF" web disk compress 1
fails "nor replaced" 6 "$VMF" web disk import 1 "$scratch/web.conf" --yes
fails "nor exported" 6 "$VMF" web disk export 1 "$scratch/x.raw"
fails "nor mounted" 6 "$VMF" web disk mount 1

ok "QEMU cannot save what has an nvme disk: it is removed" "$VMF" web disk rm nvme --yes
ok "the VM is saved" "$VMF" web save
fails "it gets no disk then" 6 "$VMF" web disk add 1M
fails "and loses none" 6 "$VMF" web disk rm scsi --yes
ok "goes on" "$VMF" web start
ok "with the disks that it got" guest web 'disk-check vdb && disk-write vdb 8 6 && disk-check vdb' 60
for disk in 1 scsi usb; do
	ok "disk $disk is removed" "$VMF" web disk rm $disk --yes
done
ok "the guest has it no more" sees_no vdb
ok "nor QEMU" [ "$(nodes)" = "disk-0 " ]
ok "nor the files" [ "$(fdsets)" = "$sets" ]
ok "nor the definition" cmp "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"
ok "nor the storage" [ "$(find "$images" -name 'web-*.qcow2' | wc -l)" = 2 ] # the volume and its mark
ok "a removed one leaves its controller: saved" "$VMF" web save
ok "and restored" "$VMF" web start
ok "the guest goes on" guest web 'echo alive' 60
ok "a disk of it is removed that it started with" "$VMF" web disk rm 0 --yes
ok "the guest lets go of it" sees_no vda
ok "another takes its place" "$VMF" web disk add 16M
ok "in the guest, too" sees vda 16384
fails "a disk that is not there" 4 "$VMF" web disk rm 9 --yes
ok "it stops" "$VMF" web stop
ok "and starts as it is now" "$VMF" web start
ok "its guest is up again" guest_ready web

# ---- killed -----------------------------------------------------------------------------------------

# one disk, and the VM runs
runs_with_one()
{
	local disk

	for disk in $("$VMF" web drives --names); do
		[ "$disk" = 0 ] || "$VMF" web disk rm "$disk" --yes || return
	done
	"$VMF" web status
}

# what QEMU has is what the definition has, and all of it is there
agrees()
{
	local disks left

	disks=$("$VMF" web drives --names | sort | sed 's/^/disk-/' | tr '\n' ' ')
	left=$("$VMF" storage orphans)
	[ "$("$VMF" --json web drives | jq '[.drives[].exists] | all')" = true ] && [ -z "$left" ] &&
		[ "$(nodes)" = "$disks" ] && [ "$(fdsets)" = $((sets + $(echo "$disks" | wc -w) - 1)) ] &&
		[ "$(grep -c '^step disk-attach' "$VMF_HOME/run/web/journal")" = "$(echo "$disks" | wc -w)" ] &&
		"$VMF" web status
}

each_point "disk add of a running VM" runs_with_one agrees web disk add 4M --name more --bus scsi

runs_with_two()
{
	runs_with_one && "$VMF" web disk add 4M --name more --bus scsi
}

# the guest may have let go of it already: what is not finished can be repeated
removed_or_not()
{
	agrees || { "$VMF" web disk rm more --yes && agrees; }
}

each_point "disk rm of a running VM" runs_with_two removed_or_not web disk rm more --yes

# grown, or as it was: in the storage and in QEMU alike
grown_or_not()
{
	agrees && [ "$("$VMF" --json web drives | jq '.drives[] | select(.disk == "more") | .size_bytes')" = \
		"$("$VMF" web qmp query-named-block-nodes | jq '.return[] | select(."node-name" == "disk-more") | .image."virtual-size"')" ]
}

each_fault "disk add of a running VM" runs_with_one agrees web disk add 4M --name more --bus scsi
each_fault "disk rm of a running VM" runs_with_two removed_or_not web disk rm more --yes
each_fault "disk resize of a running VM" runs_with_two grown_or_not web disk resize more 8M
if strace -qq -o /dev/null true 2>"$out"; then
	each_message "disk add of a running VM" runs_with_one agrees web disk add 4M --name more --bus scsi
	each_message "disk rm of a running VM" runs_with_two removed_or_not web disk rm more --yes
	each_message "disk resize of a running VM" runs_with_two grown_or_not web disk resize more 8M
else
	skip "killed before each message to QEMU" "not possible here: $(head -n 1 "$out")"
fi
ok "it stops" "$VMF" web stop
ok "nothing of it runs" [ ! -e "$VMF_HOME/run/web" ]
for disk in $("$VMF" web drives --names); do
	run "$VMF" web disk rm "$disk" --yes
done

if [ "${VMF_LONG:-0}" = 1 ]; then
	run "$VMF" web disk add 1M
	run "$VMF" web start --paused
	fails "a guest that does not let go" 10 "$VMF" web disk rm 0 --yes
	ok "keeps its disk" [ "$(nodes)" = "disk-0 " ]
	run "$VMF" web stop
	run "$VMF" web disk rm 0 --yes
fi

# a bus without plugs
run "$VMF" web set machine=q35
run "$VMF" web disk add 1M
run "$VMF" web start
fails "a machine whose slots are fixed" 12 "$VMF" web disk add 1M
says "the hint names another" 'hint: use machine = "pc"'
ok "nothing is left of that" agrees
run "$VMF" web stop
run "$VMF" web set machine=
run "$VMF" web disk rm 0 --yes

# ---- mounted ----------------------------------------------------------------------------------------

if [ "$(id -u)" != 0 ] || ! losetup -f >/dev/null 2>&1 || [ ! -e /dev/fuse ]; then
	skip "disks are mounted" "root, loop devices and /dev/fuse are needed"
	plan_now
	exit
fi
need_program qemu-storage-daemon qemu-system-common

# two partitions: ext4 with a file, and nothing
mkdir "$scratch/files"
echo hello >"$scratch/files/greeting"
truncate -s 64M "$scratch/disk.raw"
sfdisk -q "$scratch/disk.raw" <<END
label: gpt
size=32M
size=8M
END
mkfs.ext4 -q -d "$scratch/files" -E offset=1048576 "$scratch/disk.raw" 32M
truncate -s 16M "$scratch/whole.raw"
mkfs.ext4 -q -d "$scratch/files" "$scratch/whole.raw"
# mounts: loop devices, mounts and processes of this home
mounts()
{
	grep -F "$scratch" /proc/self/mountinfo
	grep -lF "$scratch" /sys/block/loop*/loop/backing_file 2>/dev/null
	find "$VMF_HOME/lib/mounts" "$VMF_HOME/lib/mnt" -mindepth 1 2>/dev/null
	world | grep '^process'
}

no_mounts()
{
	[ -z "$(mounts)" ] || { mounts && false; }
}

ok "a VM with such a disk" "$VMF" web disk add --image "$scratch/disk.raw" --name parts
ok "a raw one" "$VMF" web disk add --image "$scratch/disk.raw" --storage flat --name flat
ok "one without a partition table" "$VMF" web disk add --image "$scratch/whole.raw" --name whole
ok "and an empty one" "$VMF" web disk add 4M --name empty
for disk in parts flat; do
	ok "disk mount $disk" "$VMF" web disk mount $disk "$scratch/at"
	says "says what is there" 'is mounted read-only at .*/at: part1 \(ext4\)$'
	ok "its files are there" grep -qx hello "$scratch/at/part1/greeting"
	ok "a folder for each partition that has some" [ "$(ls "$scratch/at")" = part1 ]
	fails "they cannot be changed" 1 touch "$scratch/at/part1/new"
	fails "the VM does not start" 6 "$VMF" web start
	says "the hint names what helps" "hint: \`vmf web disk umount $disk\`"
	fails "nor is the disk removed" 6 "$VMF" web disk rm $disk --yes
	fails "nor mounted again" 6 "$VMF" web disk mount $disk "$scratch/at2"
	fails "nor the VM renamed" 6 "$VMF" web rename other
	fails "nor destroyed" 6 "$VMF" web destroy --yes
	ok "disk umount $disk" "$VMF" web disk umount $disk
	ok "leaves nothing" no_mounts
	ok "not even the folder" test ! -e "$scratch/at"
done
ok "for writing" "$VMF" web disk mount parts "$scratch/at" --rw
ok "they can be changed" sh -c "echo changed >'$scratch/at/part1/greeting'"
fails "an export meanwhile" 6 "$VMF" web disk export parts "$scratch/x.raw"
fails "a snapshot meanwhile" 6 "$VMF" web snapshot x
ok "unmounted" "$VMF" web disk umount parts
ok "the image is whole" qemu-img check -q "$images/web-parts.qcow2"
ok "mounted once more" "$VMF" web disk mount parts
ok "has what was written" grep -qx changed "$VMF_HOME/lib/mnt/web/parts/part1/greeting"
ok "in a folder that is root's alone" [ "$(stat -c %a "$VMF_HOME/lib/mnt")" = 700 ]
ok "another one, too" "$VMF" web disk mount whole
ok "its files are in the folder itself" grep -qx hello "$VMF_HOME/lib/mnt/web/whole/greeting"
"$VMF" --dry-run web disk umount whole >"$out" 2>&1
says "a dry run says what would be done" 'unmount what is below .*/mnt/web/whole'
ok "both are unmounted" "$VMF" web disk umount parts disk umount whole
ok "and leave nothing" no_mounts
"$VMF" --json web disk mount parts >"$out" 2>&1
ok "as JSON" jq -e '.readonly and .parts[0].part == "part1" and .parts[0].type == "ext4" and (.parts[1].path | not)' "$out"
"$VMF" --json web disk umount parts >"$out" 2>&1
says "as well" '"disk":"parts","was_at":"'
"$VMF" --dry-run web disk mount parts >"$out" 2>&1
says "a dry run" 'show volume web-parts .* by qemu-storage-daemon'
ok "changes nothing" no_mounts
fails "a disk with nothing on it" 12 "$VMF" web disk mount empty
says "says so" 'nothing in it can be mounted'
ok "and leaves nothing" no_mounts
mkdir "$scratch/full" && touch "$scratch/full/file"
fails "a folder that is not empty" 5 "$VMF" web disk mount parts "$scratch/full"
fails "a disk that is not there" 4 "$VMF" web disk mount nine
fails "one that is not mounted" 4 "$VMF" web disk umount parts
mkdir "$scratch/nobody" && chown 65534 "$scratch/nobody"
fails "somebody who is not root" 8 setpriv --reuid=65534 --regid=65534 --clear-groups \
	env HOME="$scratch/nobody" "$VMF" -C "$scratch/nobody" web disk umount 0

# ---- trimmed ----------------------------------------------------------------------------------------

# used DISK: KiB that it takes up
used()
{
	"$VMF" --json web drives | jq --arg d "$1" '.drives[] | select(.disk == $d) | .used_bytes / 1024 | floor'
}

# a file that is removed again, and zeroes where there is no filesystem
fill_and_empty()
{
	"$VMF" web disk mount "$1" "$scratch/at" --rw &&
		head -c 12M /dev/urandom >"$scratch/at/part1/junk" && sync -f "$scratch/at/part1/junk" &&
		rm "$scratch/at/part1/junk" && "$VMF" web disk umount "$1"
}

for disk in parts flat; do
	ok "disk $disk is filled, and emptied" fill_and_empty $disk
	case $disk in
	parts) run qemu-io -f qcow2 -c 'write -P 0 40M 2M' "$images/web-parts.qcow2" ;;
	*) run dd if=/dev/zero of="$scratch/mapped/web-flat.raw" bs=1M seek=40 count=2 conv=notrunc ;;
	esac
	[ "$(used $disk)" -gt 14000 ]
	result $? "it still takes up what nobody needs"
	ok "disk trim $disk" "$VMF" web disk trim $disk
	says "says what it takes up now" "^web: disk $disk takes up .*, not 1[0-9.]+M any more\$"
	[ "$(used $disk)" -lt 3000 ]
	result $? "it is given back"
	ok "the files are there" "$VMF" web disk mount $disk "$scratch/at"
	ok "as they were" grep -q . "$scratch/at/part1/greeting"
	fails "not while it is mounted" 6 "$VMF" web disk trim $disk
	run "$VMF" web disk umount $disk
	ok "nothing else is left" no_mounts
done
ok "the image is whole" qemu-img check -q "$images/web-parts.qcow2"
"$VMF" --dry-run web disk trim parts >"$out" 2>&1
says "a dry run says it" 'trim its filesystems, and give back what is zeroes'
ok "a disk with nothing on it is trimmed as well" "$VMF" web disk trim empty
"$VMF" --json web disk trim empty >"$out" 2>&1
says "as JSON" '"disk":"empty","before_bytes":[0-9]+,"used_bytes":[0-9]+'
fails "a disk that is not there" 4 "$VMF" web disk trim nine

# somebody is in it
run "$VMF" web disk mount parts "$scratch/at"
(cd "$scratch/at/part1" && exec sleep 300) &
inside=$!
wait_for 5 test "$(readlink /proc/$inside/cwd)" = "$scratch/at/part1"
fails "while somebody is in it" 7 "$VMF" web disk umount parts
says "the hint says who can tell" 'hint: .*fuser -vm'
kill $inside
wait $inside 2>/dev/null
ok "then it goes" "$VMF" web disk umount parts
ok "and leaves nothing" no_mounts

# the program that shows it dies
pid_of_daemon()
{
	cat "$VMF_HOME/lib/mounts/web/disk-parts.pid"
}

run "$VMF" web disk mount parts "$scratch/at" --rw
kill -9 "$(pid_of_daemon)"
wait_for 5 test "$(cut -d ' ' -f 3 "/proc/$(pid_of_daemon)/stat" 2>/dev/null || echo Z)" = Z
fails "its program killed: the VM does not start" 6 "$VMF" web start
ok "unmounting works" "$VMF" web disk umount parts
ok "and leaves nothing" no_mounts
ok "the image is whole" qemu-img check -q "$images/web-parts.qcow2"

# the definition goes
run "$VMF" web disk mount parts "$scratch/at"
mv "$VMF_HOME/etc/vms/web.conf" "$scratch/web.conf"
ok "without its definition it is unmounted" "$VMF" web disk umount parts
ok "and leaves nothing" no_mounts
mv "$scratch/web.conf" "$VMF_HOME/etc/vms/web.conf"

# as after a reboot: the record is there, and nothing else
run "$VMF" web disk mount parts "$scratch/at"
umount "$scratch/at/part1"
kill "$(pid_of_daemon)"
wait_for 10 bash -c "! grep -q '$VMF_HOME' /proc/self/mountinfo"
ok "what a reboot has unmounted does not matter" "$VMF" web start
ok "its record is gone" test ! -e "$VMF_HOME/lib/mounts/web"
run "$VMF" web stop

# a filesystem that was not unmounted
run "$VMF" web start
run guest_ready web
ok "the guest writes" guest web 'mount /dev/vda1 /mnt && cp /mnt/greeting /mnt/copy && sync && rm /mnt/copy && sync' 60
run "$VMF" web kill
ok "and is killed: its disk can be looked at" "$VMF" web disk mount parts "$scratch/at"
says "with a warning" 'not unmounted cleanly'
ok "its files are there" grep -qx changed "$scratch/at/part1/greeting"
run "$VMF" web disk umount parts

# killed
unmounted()
{
	"$VMF" web disk umount parts
	no_mounts
}

mounted_or_not()
{
	[ ! -e "$VMF_HOME/lib/mounts/web" ] || { grep -qx changed "$scratch/at/part1/greeting" && "$VMF" web disk umount parts; }
	no_mounts && [ ! -e "$scratch/at" ]
}

each_point "disk mount" unmounted mounted_or_not web disk mount parts "$scratch/at"

mounted()
{
	[ -e "$VMF_HOME/lib/mounts/web" ] || "$VMF" web disk mount parts "$scratch/at"
}

trimmed_or_not()
{
	no_mounts && qemu-img check -q "$images/web-parts.qcow2" && "$VMF" web disk mount parts "$scratch/at" &&
		mounted_or_not
}

each_point "disk trim" unmounted trimmed_or_not web disk trim parts
each_point "disk umount" mounted mounted_or_not web disk umount parts
each_fault "disk mount" unmounted mounted_or_not web disk mount parts "$scratch/at"
each_fault "disk trim" unmounted trimmed_or_not web disk trim parts
each_fault "disk umount" mounted mounted_or_not web disk umount parts

# killed whenever: by the clock, not by the step
for i in 1 2 3 4 5 6 7 8; do
	run unmounted
	"$VMF" web disk mount parts "$scratch/at" >"$out" 2>&1 </dev/null &
	pid=$!
	sleep 0.0$i
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	run "$VMF" web disk umount parts
	ok "killed after ${i}0 ms, then unmounted: nothing is left" no_mounts
done
ok "the VM starts" "$VMF" web start
ok "and stops" "$VMF" web stop

# ---- a storage that shows its volumes by itself ---------------------------------------------------------

# shellcheck disable=SC2016 # C
sed -e 's/pool->caps = VMF_STORAGE_RENAME;/pool->caps = VMF_STORAGE_MAP;/' -e 's/storage_example/storage_mapping/' \
	-e 's/\.name = "example"/.name = "mapping"/' -e 's/^\t\.detach = detach,/&\n\t.map = map,\n\t.unmap = unmap,/' \
	-e '/^\/\* ---- the table/i\
static int map(const struct vmf_call *c, const char *name, uint32_t writable, char **path, struct vmf_error *err)\
{\
	const char *mapped = path_of(c, name, ".mapped");\
	(void)writable;\
	if (symlink(path_of(c, name, SUFFIX), mapped) < 0 && errno != EEXIST)\
		return fail_at(c, err, "map", mapped);\
	*path = c->host->strdup(c, mapped);\
	return 0;\
}\
static int unmap(const struct vmf_call *c, const char *name, struct vmf_error *err)\
{\
	(void)err;\
	unlink(path_of(c, name, ".mapped"));\
	return 0;\
}' "$top_srcdir/sdk/example/storage-example.c" >"$scratch/mapping.c"
# shellcheck disable=SC2086 # CC may be several words
${CC:-cc} -std=c99 -D_GNU_SOURCE -I"$top_srcdir/sdk" -fPIC -shared -o "$scratch/plugins/storage-mapping.so" \
	"$scratch/mapping.c" >"$out" 2>&1
result $? "a plugin that maps compiles"
export VMF_PLUGIN_PATH=$scratch/plugins:$VMF_PLUGIN_PATH
mkdir "$scratch/example"
echo "storage \"shown\" { mapping { dir = \"$scratch/example\" } }" >>"$VMF_HOME/etc/vmf.conf"
ok "a disk in its storage" "$VMF" map disk add --image "$scratch/disk.raw" --storage shown --name os
"$VMF" --dry-run map disk mount os >"$out" 2>&1
says "would be mapped" 'map volume map-os of storage "shown" \(mapping\)'
ok "is mounted" "$VMF" map disk mount os "$scratch/at"
ok "as the plugin maps it" test -L "$scratch/example/map-os.mapped"
ok "its files are there" grep -qx hello "$scratch/at/part1/greeting"
fails "its VM does not start" 6 "$VMF" map start
ok "it is unmounted" "$VMF" map disk umount os
ok "and mapped no more" test ! -e "$scratch/example/map-os.mapped"
ok "it is trimmed" "$VMF" map disk trim os
ok "nothing is left" no_mounts

plan_now
