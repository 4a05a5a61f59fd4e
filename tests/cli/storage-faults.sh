#!/bin/bash
# SPDX-License-Identifier: ISC
#
# Disk verbs of a stopped VM whose system calls fail (there is no room, the disk is broken), and that are killed at any of
# them, also while a qemu-img is at work for them. Whatever it was: the next command finds the old state or the new one,
# nothing else is left, and the verb can be repeated. With VMF_LONG=1 at each call, else at some.

. "${0%/*}/../lib.sh"
need_program qemu-img qemu-utils
need_program qemu-io qemu-utils
need_program jq jq
need_program strace strace
strace -qq -o /dev/null true 2>"$out" || skip_all "not possible here: $(head -n 1 "$out")"

images=$VMF_HOME/lib/images
mkdir -p "$VMF_HOME/etc"
stride=1
[ "${VMF_LONG:-0}" = 1 ] || stride=7
offset=0

# calls that change something or begin something; a failure of each is told as one of these
calls="write pwrite64 fsync fdatasync rename renameat renameat2 linkat unlink unlinkat ftruncate copy_file_range mkdir vfork"

# settled: the next commands put it right. A disk whose undo failed, too, is put right by the one after.
settled()
{
	for _ in 1 2 3; do
		"$VMF" web status
		"$VMF" web2 status
		[ -n "$(find "$VMF_HOME/lib/journal" -type f -size +0 2>/dev/null)" ] || return 0
		sleep 0.1
	done
	find "$VMF_HOME/lib/journal"
	return 1
}

# faults WHAT PREPARE CHECK WORD...
faults()
{
	local what=$1 prepare=$2 check=$3 call n count hits=0 bad=0 inject status

	shift 3
	# how often it makes each call
	$prepare >"$out" 2>&1
	ok "$what: without a fault it succeeds" strace -qq -o "$scratch/calls" -e "trace=$(tr ' ' , <<<"$calls openat poll wait4")" \
		"$VMF" "$@"
	for inject in error=ENOSPC error=EIO signal=KILL; do
		for call in $calls $([ $inject = signal=KILL ] && echo openat poll wait4); do
			offset=$((offset + 1))
			count=$(grep -c "^$call(" "$scratch/calls")
			for ((n = 1 + offset % stride; n <= count; n += stride)); do
				$prepare >"$out" 2>&1 || {
					result 1 "$what: preparation before $call $n"
					return
				}
				{ strace -qq -o "$scratch/trace" -e "trace=$call" -e "inject=$call:$inject:when=$n" \
					"$VMF" "$@" >"$out" 2>&1 </dev/null; } 2>/dev/null
				status=$?
				if [ $inject = signal=KILL ]; then
					[ $status = 137 ] || continue
				else
					grep -q INJECTED "$scratch/trace" || continue
				fi
				hits=$((hits + 1))
				if settled >>"$out" 2>&1 && $check >>"$out" 2>&1; then
					continue
				fi
				bad=$((bad + 1))
				result 1 "$what: $inject at $call $n"
			done
		done
	done
	[ $hits -ge 5 ] && [ $bad = 0 ]
	result $? "$what: $hits faults, $bad of them did harm"
}

# ---- what there may be ------------------------------------------------------------------------------

put() # VOLUME BYTE
{
	qemu-io -f qcow2 -c "write -P $2 0 1M" "$images/$1.qcow2"
}

has() # VOLUME BYTE
{
	qemu-io -r -f qcow2 -c "read -P $2 0 1M" "$images/$1.qcow2" >"$scratch/has" &&
		! grep -q 'verification failed' "$scratch/has"
}

# both BYTE: both disks of web have it
both()
{
	has web-0 "$1" && has web-1 "$1"
}

# clean: all volumes are somebody's, all images are sound, nothing is in the making
clean()
{
	local left image

	left=$("$VMF" storage orphans; find "$images" -name '.vmf-*' -o -name '*?.new*' -o -name '*?.old*')
	[ -z "$left" ] || { echo "left: $left" && return 1; }
	for image in "$images"/*.qcow2; do
		[ ! -e "$image" ] || qemu-img check -q "$image" || return
	done
}

# web with two disks that have byte 1, nothing else
fresh()
{
	local name

	rm -rf "$images" "$VMF_HOME/etc/vms" "$VMF_HOME/lib/journal" "$scratch/out.qcow2"
	"$VMF" web create --disk 4M --disk 4M && put web-0 1 && put web-1 1
	for name; do
		"$VMF" web snapshot "$name" || return
	done
}

# disks COUNT...: web has so many, and they are as they were
disks()
{
	local count

	count=$("$VMF" web drives | wc -l)
	clean && both 1 && [[ " $* " == *" $count "* ]] && [ "$("$VMF" --json web drives | jq '[.drives[].exists] | all')" = true ]
}

head -c 3M /dev/urandom >"$scratch/image.raw"
qemu-img convert -O qcow2 "$scratch/image.raw" "$scratch/image.qcow2"

is_image()
{
	qemu-img compare -q -f qcow2 -F raw "$images/$1.qcow2" "$scratch/image.raw"
}

# ---- verbs ------------------------------------------------------------------------------------------

two_or_three()
{
	disks 2 || { disks 3 && { [ ! -e "$images/web-more.qcow2" ] || is_image web-more; }; }
}

faults "newimg" fresh two_or_three web newimg 1M
faults "disk add" fresh two_or_three web disk add --name more --image "$scratch/image.qcow2"

three()
{
	fresh && "$VMF" web disk add 1M --name more
}

removed_or_not()
{
	disks 2 3 || { "$VMF" web disk rm more --yes && disks 2; }
}

faults "disk rm" three removed_or_not web disk rm more --yes

grown_or_not()
{
	disks 2 && case $("$VMF" --json web drives | jq '.drives[1].size_bytes') in
	4194304 | 8388608) ;;
	*) false ;;
	esac
}

faults "disk resize" fresh grown_or_not web disk resize 1 8M

imported_or_not()
{
	has web-0 1 && { has web-1 1 || is_image web-1; } || return
	# what could not be removed the repeat removes
	clean || { "$VMF" web disk import 1 "$scratch/image.raw" --yes && is_image web-1 && clean; }
}

faults "disk import" fresh imported_or_not web disk import 1 "$scratch/image.qcow2" --yes
faults "disk import of a raw image" fresh imported_or_not web disk import 1 "$scratch/image.raw" --yes
faults "disk compress" fresh "disks 2" web disk compress 1

exported_or_not()
{
	disks 2 && [ -z "$(find "$scratch" -maxdepth 1 -name '.out*')" ] &&
		{ [ ! -e "$scratch/out.qcow2" ] || qemu-img compare -q "$scratch/out.qcow2" "$images/web-1.qcow2"; }
}

faults "disk export" fresh exported_or_not web disk export 1 "$scratch/out.qcow2"

# snapshots ONE...: those of web, on both disks or on none
snapshots()
{
	local now

	now=$("$VMF" web snapshots | cut -f 1,4 | tr '\t\n' ': ')
	for now_or; do
		[ "$now" != "$now_or" ] || return 0
	done
	echo "snapshots: $now"
	return 1
}

snapshot_or_not()
{
	disks 2 && snapshots '' 'x:0,1 '
}

faults "snapshot" fresh snapshot_or_not web snapshot x
faults "snapshot --delete" "fresh x" snapshot_or_not web snapshot --delete x

changed()
{
	fresh x && put web-0 2 && put web-1 2
}

back_or_not()
{
	clean && { both 1 || both 2; }
}

faults "rollback" changed back_or_not web rollback x

clone_or_not()
{
	disks 2 && if [ -e "$VMF_HOME/etc/vms/web2.conf" ]; then
		has web2-0 1 && has web2-1 1
	else
		[ -z "$(find "$VMF_HOME/etc" "$images" -name 'web2*')" ]
	fi
}

faults "clone" fresh clone_or_not web2 clone --from web
faults "clone --copy" fresh clone_or_not web2 clone --from web --copy
faults "clone of a snapshot" "fresh x" clone_or_not web2 clone --from web@x

renamed_or_not()
{
	clean && if [ -e "$VMF_HOME/etc/vms/web2.conf" ]; then
		has web2-0 1 && has web2-1 1 && [ ! -e "$VMF_HOME/etc/vms/web.conf" ]
	else
		both 1
	fi
}

faults "rename" fresh renamed_or_not web rename web2

gone_or_not()
{
	clean && if [ -e "$VMF_HOME/etc/vms/web.conf" ]; then
		"$VMF" web destroy --yes
	fi && [ -z "$(find "$VMF_HOME/etc/vms" "$images" -path '*/.vmf' -prune -o -name 'web*' -print)" ] # a mark alone means nothing
}

faults "destroy" fresh gone_or_not web destroy --yes

plan_now
