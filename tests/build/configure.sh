#!/bin/bash
# SPDX-License-Identifier: ISC
# The switches of configure: yes, no, auto and force for each plugin, the table at the end, errors that help.

. "${0%/*}/common.sh"

plan 16
need_tree

# the answers about the compiler are the same each time
switches()
{
	configure switches -C "$@"
}

ok "auto is the default" switches
says "the table names a plugin, what was asked and what is built" '^ *storage-file-qcow2 +auto +yes'
says "and how many" 'plugins built: [1-9]'
plugins=$(sed -n 's/^ *\([a-z0-9-]*\) *auto *yes *$/\1/p' "$out")

ok "one is left out by its switch" switches --disable-network-user-mode
says "and the table says why" '^ *network-user-mode +no +no +switched off'

ok "only one is built" switches --enable-plugins=no --enable-placement-local
says "and no other" 'plugins built: 1 '

for plugin in $plugins; do
	set -- "$@" "--enable-$plugin=yes"
done
ok "all can be asked for by name" switches "$@"
says "and are built" "plugins built: $# "

ok "force builds" switches --enable-plugins=force
says "and the table shows it" '^ *placement-local +force +yes'

fails "another word is refused" 1 switches --enable-placement-local=perhaps
says "with those that there are" 'perhaps: say yes, no, auto or force'

# as if one library were not installed
cat >"$scratch/pkg-config" <<'END'
#!/bin/sh
case " $* " in *" jansson "*) exit 1 ;; esac
exec pkg-config "$@"
END
chmod +x "$scratch/pkg-config"
fails "a missing library stops it" 1 configure hidden PKG_CONFIG="$scratch/pkg-config"
says "with the name of Debian's package" 'apt-get install libjansson-dev'
