#!/bin/bash
# SPDX-License-Identifier: ISC
# The manual pages say what the program says: every verb, option, key and exit code stands in them, and nothing
# else does; they are well formed and installed.
#
# Pages are read by their tags: the line behind .TP, as ".B name\fR, \fBalias \fIARGUMENT" or
# ".B key = default\fR (type)".

. "${top_srcdir:-.}/tests/lib.sh"
need_program jq jq
main=$top_srcdir/doc/vmf.1
conf=$top_srcdir/doc/vmf.conf.5
said=$scratch/said
wrote=$scratch/wrote

# same NAME: the program's list and the page's are the same
same()
{
	sort -u -o "$said" "$said"
	sort -u -o "$wrote" "$wrote"
	if [ -s "$said" ]; then
		diff --label "the program" --label "the page" -u "$said" "$wrote" >"$out"
	else
		echo "the program says nothing" >"$out"
		false
	fi
	result $? "$1"
}

# plain: macros and fonts taken away from page source
plain()
{
	sed -e 's/^\.[BI]R* //' -e 's/\\f[A-Z]//g' -e 's/\\-/-/g' -e 's/\\(dq/"/g' -e 's/\\(ha/^/g'
}

# tags PAGE SECTION: "DEPTH SUBSECTION|TAG" for each tag below .SH SECTION
tags()
{
	awk -v section="$2" '
		/^\.SH / { gsub(/^\.SH |"/, ""); inside = $0 == section; sub_section = ""; next }
		/^\.SS / { sub(/^\.SS /, ""); sub_section = $0; next }
		/^\.RS/ { depth++ }
		/^\.RE/ { depth-- }
		is_tag && inside { print depth + 0 " " sub_section "|" $0 }
		{ is_tag = /^\.TP/ }' "$1" | sed 's/|\.[BI]R* /|/' | plain
}

# ---- vmf.1 ------------------------------------------------------------------------------------------

# words_of KEY: names of verbs or commands, one a line, some of two words
words_of()
{
	"$VMF" --json help | jq -r ".$1[].name"
}

# options_of: options in the help text on stdin, each with its argument
options_of()
{
	sed -n '/^Options:/,$s/^  \(-.*\)$/\1/p' | sed 's/  .*//'
}

# A verb and all of its other words; then "VERB --option ARGUMENT" for each option.
describe()
{
	local word

	words_of "$1" | while read -r word; do
		{
			echo "$word"
			"$VMF" help "$word" | sed -n 's/^also: //p' | tr ' ' '\n'
		} | paste -s -d, | sed 's/,/, /g'
		"$VMF" help "$word" | options_of | sed "s/^/$word /"
	done
}

# The same from the page; of commands like "plugin list", which are none of their own, the first word counts.
describe_page()
{
	tags "$main" "$1" | awk -v names="$(words_of "$2" | tr '\n' '|')" '
		/^0/ {
			sub(/^[^|]*\|/, "")
			gsub(/ ?[[<].*| --.*| [A-Z].*/, "")
			if (!/, / && index("|" names, "|" $0 "|") == 0)
				sub(/ .*/, "")
			name = $0
			sub(/,.*/, "", name)
			print
		}
		/^1/ { sub(/^[^|]*\|/, ""); print name " " $0 }'
}

describe verbs >"$said"
describe_page VERBS verbs >"$wrote"
same "vmf.1 has every verb, its other words and its options"

describe commands >"$said"
describe_page COMMANDS commands >"$wrote"
same "vmf.1 has every command and its options"

"$VMF" help | sed -n '/^Options:/,/^$/p' | options_of | sed 's/ .*//' >"$said"
tags "$main" OPTIONS | sed -e 's/^[^|]*|//' -e 's/, /\n/g' | sed 's/ .*//' | grep -vxe -n -e -h >"$wrote"
same "vmf.1 has every option that stands before a name"

"$VMF" help exit-codes | awk '{ print $1 }' >"$said"
# the words are compared with those that errors have
for code in 1 2 3 4 5 6 7 8 9 10 11 12; do
	word=$(sed -n '/names\[\] = {/,/};/p' "$top_srcdir/core/base/error.c" | grep -o '"[a-z-]*"' | sed -n "$((code + 1))p")
	sed -i "s/^$code\$/$code (${word//\"/})/" "$said"
done
tags "$main" "EXIT STATUS" | sed 's/^[^|]*|//' >"$wrote"
same "vmf.1 has every exit code"

{
	words_of verbs
	words_of commands
} | while read -r word; do
	"$VMF" help "$word" | sed -n 's/^also: //p' | tr ' ' '\n' | sed "/./s/\$/ $word/"
done >"$said"
sed -n '/^\.SH "WORDS OF OTHER TOOLS"/,/^\.fi/p' "$main" | grep '	' | sed 's/\\fI//g; s/\\fR//g' |
	awk -F'	' '{ n = split($1, words, ", "); for (i = 1; i <= n; i++) print words[i] " " $2 }' >"$wrote"
same "vmf.1 has the words of other tools"

# ---- vmf.conf.5 -------------------------------------------------------------------------------------

# "SECTION KEY = DEFAULT (TYPE)" from `vmf help keywords`
"$VMF" help keywords | awk '
	/^[a-z]+ .*\{ \.\.\. \}:/ { section = $1 " "; print section "{}" }
	/^  [a-z_]+ +[A-Za-z]+/ && $1 != "PLUGIN" {
		key = $1; type = $2; default_value = ""
		rest = $0; sub(/^ +[a-z_]+ +/, "", rest)
		if (match(rest, /; default [^;]*/))
			default_value = " = " substr(rest, RSTART + 10, RLENGTH - 10)
		sub(/[:;].*/, "", type)
		if (type == "enum") {
			sub(/^enum: /, "", rest); sub(/;.*/, "", rest); gsub(/, /, "|", rest)
			type = "enum: " rest
		}
		print section key default_value " (" type ")"
	}' >"$said"
{
	tags "$conf" KEYS | sed 's/^[^|]*|//'
	tags "$conf" SECTIONS | sed -e 's/^[^ ]* //' -e 's/^\([a-z]*\)[^|]*|/\1 /'
	sed -n '/^\.SH SECTIONS/,/^\.SH EXAMPLES/s/^\.SS \([a-z]*\).*/\1 {}/p' "$conf"
} | tr -d '"' >"$wrote"
same "vmf.conf.5 has every key with its type and default"

# ---- vmf-plugin-check.1 -----------------------------------------------------------------------------

tool=$top_builddir/vmf-plugin-check
"$tool" --list | sed -e 's/ .*(--run)$/ --run/' -e '/--run$/!s/ .*//' >"$said"
awk '/^\.SH / { on = /CHECKS/ } on' "$top_srcdir/doc/vmf-plugin-check.1" | plain |
	awk '{ if (is_tag) { if (name) print name; name = $0 } is_tag = /^\.TP/ } /^Wants/ { name = name " --run" }
		END { print name }' >"$wrote"
same "vmf-plugin-check.1 has every check"
"$tool" --help | sed -n 's/^  \(--[a-z]*\).*/\1/p' >"$said"
tags "$top_srcdir/doc/vmf-plugin-check.1" OPTIONS | sed 's/^[^|]*|//; s/ .*//' | grep -vxe --help -e --version >"$wrote"
same "vmf-plugin-check.1 has every option"

# ---- plugins ----------------------------------------------------------------------------------------

"$VMF" plugin list --names >"$scratch/plugins"
while read -r kind name; do
	page=$(find "$top_srcdir/plugins/$kind-$name" -name "vmf-$kind-$name.7" 2>"$out")
	[ -s "$page" ]
	result $? "$kind-$name has a page" || continue
	"$VMF" plugin show "$kind" "$name" | awk '/^Options of/ { on = 1; next } /^$/ { on = 0 }
		on && /^  [a-z]/ {
			default_value = ""
			if (match($0, /; default [^;]*/))
				default_value = " = " substr($0, RSTART + 10, RLENGTH - 10)
			print $1 default_value
		}' >"$said"
	if [ -s "$said" ]; then
		# what the page writes behind = where the plugin has no default is an example
		tags "$page" OPTIONS | sed -e 's/^[^|]*|//' -e 's/ *" *, *" *\([a-z]\)/\n\1/g' | tr -d '"' >"$wrote"
		grep -v = "$said" | while read -r option; do
			sed -i "s/^$option = .*/$option/" "$wrote"
		done
		same "vmf-$kind-$name.7 has every option with its default"
	else
		sed -n '/^\.SH OPTIONS/{n;p}' "$page" >"$out"
		says "vmf-$kind-$name.7 says that there are no options" '^None\.'
	fi
done <"$scratch/plugins"

# ---- words that texts name --------------------------------------------------------------------------

# shellcheck disable=SC2016 # they are backticks
# Texts for people name verbs and commands: "`vmf NAME log`" in a message, "vmf web0 start" in a page.
{
	grep -rho '[`]vmf [^`]*[`]' "$top_srcdir"/{core,plugins,sdk} --include='*.c' | tr -d '`'
	sed -n '/^\.EX/,/^\.EE/p;/^\.B vmf NAME/p' "$top_srcdir"/doc/*.[1-9] "$top_srcdir"/plugins/*/*.7 | plain
	sed -n 's/^\$ //p' "$top_srcdir"/doc/*.md
} | grep -oE '^vmf .*|do vmf .*' | sed -e 's/^do //' -e 's/ [|&<>#].*//' -e 's/;.*//' >"$scratch/named"
{
	describe verbs
	describe commands
} | grep -v -- ' --' | sed -e '/, /!s/ .*//' -e 's/ //g' | tr ',' '\n' >"$scratch/known"
commands=" $(words_of commands | sed 's/ .*//' | tr '\n' ' ')"
while read -r _ first second _; do
	case "$commands" in
	*" $first "*) continue ;; # a command
	esac
	case $first in
	NAME | NEW | VM | %s | \$* | \"* | [a-z]*[0-9])
		[[ $second =~ ^[0-9]+$ ]] || grep -qx -- "${second:-status}" "$scratch/known" || echo "vmf $first $second"
		;;
	-*) ;;
	*) echo "vmf $first" ;;
	esac
done <"$scratch/named" | sort -u >"$out"
[ -s "$scratch/named" ] && [ ! -s "$out" ]
result $? "texts name only words that there are"

# ---- all pages --------------------------------------------------------------------------------------

pages=$(find "$top_srcdir/doc" "$top_srcdir/plugins" -name '*.[1-9]' | sort)
for page in $pages; do
	name="${page##*/} is well formed"
	if command -v mandoc >/dev/null; then
		ok "$name" mandoc -T lint -W warning "$page"
	elif command -v groff >/dev/null; then
		groff -man -ww -z -Tutf8 "$page" >"$out" 2>&1 && [ ! -s "$out" ]
		result $? "$name"
	else
		skip "$name" "mandoc is missing (Debian: mandoc)"
	fi
done

unset MAKEFLAGS MFLAGS MAKELEVEL
ok "manual pages are installed" "${MAKE:-make}" -C "$top_builddir" install-man install-data DESTDIR="$scratch/dest"
find "$scratch/dest" -name '*.[1-9]' -printf '%f\n' >"$wrote"
{
	printf '%s\n' vmf.1 vmf-plugin-check.1 vmf.conf.5
	sed 's/\(.*\)\t\(.*\)/vmf-\1-\2.7/' "$scratch/plugins"
} >"$said"
same "and they are those of what was built"
find "$scratch/dest" -name '*.md' -printf '%f\n' >"$wrote"
(cd "$top_srcdir/doc" && ls ./*.md) | sed 's|^./||' >"$said"
echo README.md >>"$said" # the example's
same "the documents in doc/ are installed"

plan_now
