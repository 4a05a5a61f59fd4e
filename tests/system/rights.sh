#!/bin/bash
# SPDX-License-Identifier: ISC
# With which rights QEMU runs: as root it has none; and an ordinary user with an empty home gets the same VM.

. "${top_srcdir:-.}/tests/lib.sh" || exit 1
need_guest

pid_of()
{
	cat "$VMF_HOME/run/$1/pid"
}

field()
{
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$2/status"
}

if [ "$(id -u)" = 0 ]; then
	world_save
	mkdir -m 700 "$scratch/private"
	cp "$guest_dir/initrd" "$scratch/private/initrd"
	chmod 600 "$scratch/private/initrd"
	ok "a VM whose files only root can open" "$VMF" r0 create set initrd="$scratch/private/initrd" newimg 16M start
	pid=$(pid_of r0)
	cp "/proc/$pid/status" "$out"
	read -r real effective saved fs < <(field Uid "$pid")
	[ "$real" != 0 ] && [ "$real $real $real" = "$effective $saved $fs" ]
	result $? "QEMU runs as an unprivileged user ($real)"
	for set in CapInh CapPrm CapEff CapAmb; do
		field $set "$pid"
	done | grep -v '^0*$' >"$out"
	! grep -q . "$out"
	result $? "without capabilities"
	[ "$(field NoNewPrivs "$pid")" = 1 ]
	result $? "with no_new_privs"
	[ "$(field Seccomp "$pid")" = 2 ]
	result $? "with a seccomp filter"
	ls -l "/proc/$pid/fd" >"$out"
	ok "it boots" guest_ready r0
	ok "and writes to its disk" guest r0 'disk-write vda 2 3 && disk-check vda'
	stat -c '%U %a' "$("$VMF" r0 drives --json | jq -r '.drives[0].path')" >"$out"
	says "the image is still root's alone" '^root 600'
	[ "$(stat -c %a "$VMF_HOME/run/r0/q")" = 700 ] && [ "$(stat -c %a "$VMF_HOME/run/r0/lock")" = 600 ]
	result $? "nobody else comes to its screen, or holds its lock"
	stat -c '%n %a' "$VMF_HOME"/run/r0/* >"$out"
	! grep -E '(qmp|ev|hmp|s0) .*[1-7]$' "$out"
	result $? "its sockets are for root alone"
	ok "save" "$VMF" r0 save
	ok "and start from it" "$VMF" r0 start
	ok "the disk is whole" guest r0 'disk-check vda'
	ok "stop, destroy" "$VMF" r0 stop destroy --yes
	ok "nothing is left" world_same
	fails "a user that is not there" 3 "$VMF" -o user=nobody-of-this-name r0 create start
	says "is said" 'no user "nobody-of-this-name"'
	"$VMF" r0 destroy --yes >/dev/null 2>&1
fi

# an ordinary user, whose home is empty; his run folders are not below it, so the name is ours alone
name=u$$
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || skip_all "setpriv is missing (Debian: util-linux)"
	mkdir "$scratch/user"
	chown 65534:65534 "$scratch/user"
	chmod 700 "$scratch/user"
	cp -r "$top_builddir/plugins/.libs" "$scratch/plugins"
	cp "$guest_dir/vmlinuz" "$guest_dir/initrd" "$scratch/"
	cp "$(find "$top_builddir/.libs/vmf" "$VMF" -maxdepth 0 2>/dev/null | head -n 1)" "$scratch/vmf"
	chmod -R go+rX "$scratch/plugins" "$scratch/vmf" "$scratch/vmlinuz" "$scratch/initrd"
	as_user()
	{
		(cd / && env -i PATH="$PATH" HOME="$scratch/user" VMF_PLUGIN_PATH="$scratch/plugins" \
			ASAN_OPTIONS="${ASAN_OPTIONS-}" \
			setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "$@")
	}
	u=$scratch/vmf
else
	as_user()
	{
		env HOME="$scratch/user" "$@"
	}
	mkdir "$scratch/user"
	u=$VMF
	cp "$guest_dir/vmlinuz" "$guest_dir/initrd" "$scratch/"
fi
ok "a user with an empty home: create and start" as_user "$u" $name create --memory 128M set accel=tcg \
	kernel="$scratch/vmlinuz" initrd="$scratch/initrd" append="$guest_append" newimg 16M start
ok "status" as_user "$u" $name status
ok "the console" as_user "$u" $name console --until 'vmf-guest: ready' --history 1000 --timeout 60s
ok "info" as_user "$u" $name info
says "its sockets are in the user's run folder" 'vmf'
ok "save, start" as_user "$u" $name save start
ok "list" as_user "$u" list
says "it runs" "$name.*running"
ok "shutdown and destroy" as_user "$u" $name shutdown --timeout 90 destroy --yes
find "$scratch/user" -type f >"$out"
! grep -q . "$out"
result $? "no file is left in the home"
plan_now
