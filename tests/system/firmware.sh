#!/bin/bash
# SPDX-License-Identifier: ISC
# UEFI firmware with variables of its own for each VM, and the models that people set every day.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest
[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || skip_all "there is no OVMF (Debian: ovmf)"

world_save
ok "a UEFI VM starts" "$VMF" efi create --memory 256M set firmware=uefi start
ok "the guest boots by it" guest_ready efi 120
ok "the guest says so" guest efi '[ -d /sys/firmware/efi ] && echo by EFI'
says "by EFI" 'by EFI'
[ -s "$VMF_HOME/lib/nvram/efi.fd" ]
result $? "it has an NVRAM of its own"
ok "rename keeps it" "$VMF" efi stop rename efi2
[ -s "$VMF_HOME/lib/nvram/efi2.fd" ] && [ ! -e "$VMF_HOME/lib/nvram/efi.fd" ]
result $? "under the new name"
ok "destroy removes it" "$VMF" efi2 destroy --yes
[ ! -e "$VMF_HOME/lib/nvram/efi2.fd" ]
result $? "it is gone"

mkdir "$scratch/shared"
cat >"$scratch/vm.conf" <<END
machine = "q35"
cpu = "qemu64"
cpus = 2
memory = 160
serial = 2
rtc = "localtime"
vga = "virtio"
tablet = no
rng = no
boot = "cd"
drive_if = "scsi"
nic "lan" { network = "default"  model = "e1000"  mac = "52:54:00:12:34:56" }
shared "files" { path = "$scratch/shared"  readonly = yes }
END
ok "a VM from a template with everything set" "$VMF" many create --template "$scratch/vm.conf" newimg 16M \
	newimg 16M start
tr '\0' ' ' <"/proc/$(cat "$VMF_HOME/run/many/pid")/cmdline" >"$out"
says "machine" '-machine q35'
says "cpu, cpus, memory" '-cpu qemu64 -smp 2 -m size=163840K'
says "rtc" '-rtc base=localtime'
says "boot" '-boot order=cd'
says "scsi disks" 'scsi-hd'
says "the NIC" '"driver":"e1000".*52:54:00:12:34:56'
says "the shared folder" 'virtio-9p-pci.*"mount_tag":"files"'
ok "it boots" guest_ready many
ok "the guest sees both disks" guest many 'ls /sys/block | grep -c "^sd"'
says "two of them" '^2$'
ok "two CPUs" guest many 'grep -c ^processor /proc/cpuinfo'
says "two" '^2$'
ok "the end" "$VMF" many stop destroy --yes

iso=$scratch/cd.iso
head -c 1048576 /dev/urandom >"$iso"
sum=$(md5sum <"$iso" | cut -d' ' -f1)
ok "a VM with a CD" "$VMF" cd create --cdrom "$iso" start
ok "boots" guest_ready cd
ok "and reads it" guest cd 'md5sum /dev/sr0'
says "the same bytes" "$sum"
ok "eject, live" "$VMF" cd eject
ok "the guest's drive is empty" guest cd '! head -c 1 /dev/sr0'
head -c 1048576 /dev/urandom >"$scratch/other.iso"
sum=$(md5sum <"$scratch/other.iso" | cut -d' ' -f1)
ok "another one, live" "$VMF" cd cdrom "$scratch/other.iso"
# the drive tells of the change by failing the first command that comes (MMC, unit attention)
ok "the guest reads that" guest cd 'md5sum /dev/sr0 2>/dev/null || md5sum /dev/sr0'
says "its bytes" "$sum"
ok "the definition says so, too" grep "other.iso" "$VMF_HOME/etc/vms/cd.conf"
fails "one that is not there is refused" 4 "$VMF" cd cdrom "$scratch/none.iso"
ok "the end of it" "$VMF" cd stop destroy --yes

ok "a forwarded port" "$VMF" -o 'network.default.user-mode.hostfwd={"0:80"}' web create start
says "is chosen and shown" 'port [0-9]+ of this host leads to port 80'
port=$(sed -n 's/.*port \([0-9]*\) of this host leads to port 80.*/\1/p' "$out")
ok "boots" guest_ready web
ok "a real HTTP client reaches the guest and gets a page" curl -si --retry 10 --retry-delay 1 --retry-all-errors \
	--max-time 30 "http://127.0.0.1:$port/cgi-bin/uptime"
says "with status 200" '200 OK'
ok "info shows the port" "$VMF" web info
says "$port" "$port"
ok "the last end" "$VMF" web stop destroy --yes
ok "nothing is left" world_same
plan_now
