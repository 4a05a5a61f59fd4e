# SPDX-License-Identifier: ISC
# shellcheck shell=bash
#
# Documents that are walked through: every command in the ```sh blocks of a page is typed into this very shell, so
# that folders and variables hold from one to the next, and what it says is compared with what the page says.
#
#	$ vmf demo0 status           a command; its last program must succeed
#	> more of it                 its next line, as the shell asks for one
#	running                      what it says; ... stands for any text, also of several lines or none
#
# Sourced after lib.sh.

# walk FILE: one result for each command
walk()
{
	local line inside=no command='' expected='' page=${1##*/}

	while IFS= read -r line <&3; do
		case $inside:$line in
		no:'```sh') inside=yes ;;
		no:*) ;;
		yes:'```')
			walk_step
			inside=no
			;;
		yes:'$ '*)
			walk_step
			command=${line:2}
			;;
		yes:'> '*) command+=$'\n'${line:2} ;;
		*) expected+=$line$'\n' ;;
		esac
	done 3<"$1"
}

walk_step()
{
	local status pattern

	[ -n "$command" ] || return 0
	eval "$command" >"$out" 2>&1 </dev/null 3<&-
	status=$?
	pattern=$(sed -e 's/\.\.\./\x01/g' -e 's/[^[:alnum:][:blank:]\x01]/\\&/g' -e 's/\x01/*/g' <<<"$expected")
	walk_said=$(tr -d '\r' <"$out" | sed 's/[[:blank:]]*$//')
	# shellcheck disable=SC2053 # it is a pattern
	if [ $status = 0 ] && ! [[ $walk_said == $pattern ]]; then
		printf '%s\n' "" "the page says:" "$expected" >>"$out"
		status=1
	elif [ $status != 0 ]; then
		echo "exit status $status" >>"$out"
	fi
	result $status "$page: ${command%%$'\n'*}"
	command='' expected=''
}
