#compdef vmf
# Completion of vmf for zsh: source <(vmf completion zsh), or as _vmf in a folder of $fpath.

_vmf_verb()
{
	opts=() args=() files=() word='' behind=''
	case $1 in
@CASES@
	*) return 1 ;;
	esac
}

_vmf_values()
{
	case $1 in
@VALUES@
	esac
}

_vmf_setting()
{
	local key=${PREFIX%%=*} values

	if [[ $PREFIX != *=* ]]; then
		compadd -S '' -- @KEYS@
		return
	fi
	values=$(_vmf_values $key)
	compset -P '*='
	if [[ $values == FILE ]]; then
		_files
	else
		compadd -- ${=values}
	fi
}

_vmf_vms()
{
	compadd -- ${(f)"$($vmf list --names 2>/dev/null)"}
}

_vmf_offer()
{
	case $1 in
	FILE) _files ;;
	SETTING) _vmf_setting ;;
	DISK) compadd -- ${(f)"$($vmf $words[i] drives --names 2>/dev/null)"} ;;
	HOST) compadd -- ${(f)"$($vmf host list --names 2>/dev/null)"} ;;
	STORE) compadd -- ${(f)"$($vmf storage list --names 2>/dev/null)"} ;;
	SEGMENT) compadd -- ${(f)"$($vmf net show --names 2>/dev/null)"} ;;
	VM) _vmf_vms ;;
	PLUGIN)
		case $words[i+1]:$((CURRENT - i)) in
		show:2) compadd storage network display placement ;;
		show:3) compadd -- ${${(M)${(f)"$($vmf plugin list --names 2>/dev/null)"}:#$words[CURRENT-1]*}#*$'\t'} ;;
		*:1) compadd list show path ;;
		esac
		;;
	*) compadd -- ${=1} ;;
	esac
}

_vmf()
{
	local -a vmf opts args files verbs commands
	local verb='' word='' behind='' w prev
	local -i i=2 used=0

	vmf=($words[1])
	verbs=(
@VERBS_TEXT@
	)
	commands=(
@COMMANDS_TEXT@
	)
	while ((i < CURRENT)) && [[ $words[i] == -* ]]; do
		case $words[i] in
		-o) ((i++)) ;;
		-C | --home)
			vmf+=(--home $words[i+1])
			((i++))
			;;
		esac
		((i++))
	done
	prev=$words[CURRENT-1]
	if ((i > CURRENT)); then
		if [[ $prev == -o ]]; then _vmf_setting; else _files -/; fi
		return
	fi
	if ((i == CURRENT)); then
		if [[ $PREFIX == -* ]]; then
			compadd -- @GLOBALS@
		else
			_vmf_vms
			_describe command commands
		fi
		return
	fi
	case $words[i] in
	@COMMANDS_CASE@)
		verb=$words[i]
		((i + 1 < CURRENT)) && _vmf_verb "$verb $words[i+1]" && verb+=" $words[i+1]"
		;;
	*)
		for w in $words[i+1,CURRENT-1]; do
			if [[ $w == -- ]]; then
				verb=''
			elif ((!used)) && _vmf_verb "$verb $w"; then
				verb+=" $w"
			elif [[ $verb != @QEMU@ ]] && _vmf_verb $w; then
				verb=$w used=0
			elif [[ $w != --* ]]; then
				((used++))
			fi
		done
		;;
	esac
	_vmf_verb "$verb"
	if ((${args[(Ie)$prev]})); then
		((${files[(Ie)$prev]})) && _files
	elif [[ $PREFIX == --* ]]; then
		compadd -- $opts
	elif [[ -n $word && ($used == 0 || $word == (SETTING|PLUGIN|VM)) ]]; then
		_vmf_offer $word
		[[ $word == SETTING && $used != 0 ]] && _describe verb verbs
	elif [[ -n $behind && $used == 1 ]]; then
		_vmf_offer $behind
	else
		case ${verb%% *} in
		@COMMANDS_CASE@) ;;
		@QEMU_CASE@) _files ;;
		*) _describe verb verbs ;;
		esac
	fi
	return 0
}

if [[ $funcstack[1] == _vmf ]]; then
	_vmf "$@"
else
	compdef _vmf vmf
fi
