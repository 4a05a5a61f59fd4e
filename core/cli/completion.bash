# Completion of vmf for bash: source <(vmf completion bash)

# What verb or command $1 takes: opts, those of them that want a word (args) or a file (files), its own words.
_vmf_verb()
{
	opts='' args='' files='' word='' behind=''
	case $1 in
@CASES@
	*) return 1 ;;
	esac
}

# The values of setting $1.
_vmf_values()
{
	case $1 in
@VALUES@
	esac
}

_vmf_setting()
{
	local key=${1%%=*}

	if [[ $1 != *=* ]]; then
		# behind a first setting another verb may come as well
		mapfile -t COMPREPLY < <(compgen -W "@KEYS@$( ((used)) && echo ' @VERBS@')" -- "$1")
		[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
	elif [[ $(_vmf_values "$key") == FILE ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "${1#*=}")
		compopt -o filenames 2>/dev/null
	else
		mapfile -t COMPREPLY < <(compgen -W "$(_vmf_values "$key")" -- "${1#*=}")
	fi
}

# $1: cur; $2: what to offer
_vmf_offer()
{
	case $2 in
	FILE)
		mapfile -t COMPREPLY < <(compgen -f -- "$1")
		compopt -o filenames 2>/dev/null
		;;
	SETTING) _vmf_setting "$1" ;;
	DISK) mapfile -t COMPREPLY < <(compgen -W "$("${vmf[@]}" "${words[i]}" drives --names 2>/dev/null)" -- "$1") ;;
	STORE) mapfile -t COMPREPLY < <(compgen -W "$("${vmf[@]}" storage list --names 2>/dev/null)" -- "$1") ;;
	SEGMENT) mapfile -t COMPREPLY < <(compgen -W "$("${vmf[@]}" net show --names 2>/dev/null)" -- "$1") ;;
	HOST) mapfile -t COMPREPLY < <(compgen -W "$("${vmf[@]}" host list --names 2>/dev/null)" -- "$1") ;;
	VM) mapfile -t COMPREPLY < <(compgen -W "$("${vmf[@]}" list --names 2>/dev/null)" -- "$1") ;;
	PLUGIN)
		case ${words[i + 1]-}:$((n - i)) in
		show:2) mapfile -t COMPREPLY < <(compgen -W 'storage network display placement' -- "$1") ;;
		show:3)
			mapfile -t COMPREPLY < <(compgen -W "$("${vmf[@]}" plugin list --names 2>/dev/null |
				while read -r kind name; do [[ $kind == "${words[n - 1]}" ]] && echo "$name"; done)" -- "$1")
			;;
		*:1) mapfile -t COMPREPLY < <(compgen -W "list show path" -- "$1") ;;
		esac
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1") ;;
	esac
}

_vmf()
{
	local vmf=("$1") words=() w cur prev='' verb='' n i=0 used=0
	local opts args files word behind

	# bash takes '=' for the end of a word
	for w in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
		if ((${#words[@]})) && [[ $w == = || ${words[-1]} == *= ]]; then
			words[-1]+=$w
		else
			words+=("$w")
		fi
	done
	cur=${words[-1]}
	unset 'words[-1]'
	n=${#words[@]}
	COMPREPLY=()

	while ((i < n)) && [[ ${words[i]} == -* ]]; do
		case ${words[i]} in
		-o) ((i++)) ;;
		-C | --home)
			vmf+=(--home "${words[i + 1]-}")
			((i++))
			;;
		esac
		((i++))
	done
	((n)) && prev=${words[n - 1]}
	if ((i > n)); then
		if [[ $prev == -o ]]; then _vmf_offer "$cur" SETTING; else _vmf_offer "$cur" FILE; fi
		return
	fi
	if ((i == n)); then
		_vmf_offer "$cur" "@COMMANDS@ $("${vmf[@]}" list --names 2>/dev/null)"
		[[ $cur == -* ]] && _vmf_offer "$cur" "@GLOBALS@"
		return
	fi
	case ${words[i]} in
	@COMMANDS_CASE@)
		verb=${words[i]}
		_vmf_verb "$verb ${words[i + 1]-}" && verb+=" ${words[i + 1]}"
		;;
	*)
		for w in "${words[@]:i+1}"; do
			if [[ $w == -- ]]; then
				verb=''
			elif ((!used)) && _vmf_verb "$verb $w"; then
				verb+=" $w"
			elif [[ $verb != @QEMU@ ]] && _vmf_verb "$w"; then
				verb=$w used=0
			elif [[ $w != --* ]]; then
				((used++))
			fi
		done
		;;
	esac
	_vmf_verb "$verb"
	if [[ " $args " == *" $prev "* ]]; then
		[[ " $files " == *" $prev "* ]] && _vmf_offer "$cur" FILE
	elif [[ $cur == --* ]]; then
		_vmf_offer "$cur" "$opts"
	elif [[ $word && ($used == 0 || $word == SETTING || $word == PLUGIN || $word == VM) ]]; then
		_vmf_offer "$cur" "$word"
	elif [[ $behind && $used == 1 ]]; then
		_vmf_offer "$cur" "$behind"
	else
		case ${verb%% *} in
		@COMMANDS_CASE@) ;;
		@QEMU_CASE@) _vmf_offer "$cur" FILE ;;
		*) _vmf_offer "$cur" '@VERBS@' ;;
		esac
	fi
	return 0
}

complete -F _vmf vmf
