# Completion of sbx for bash.  In ~/.bashrc:  eval "$(sbx completion bash)"
# What may come next is told by sbx itself.
_sbx_complete() {
	local line=${COMP_LINE:0:COMP_POINT} kind= word help head cur
	local -a words=()
	COMPREPLY=()
	# Cut at blanks alone: bash also cuts at = and : , of which it wants back the last part.
	IFS=$' \t\n' read -r -a words <<<"$line" || :
	case $line in *[[:blank:]]) words+=('') ;; esac
	cur=${words[${#words[@]} - 1]}
	head=${cur%"${2-}"}
	while IFS=$'\t' read -r word help; do
		case $word in
		:*) kind+=$word ;;
		"$cur"*) COMPREPLY+=("${word#"$head"}") ;;
		esac
	done < <(@SBX@ completion --list -- "${words[@]:1}" 2>/dev/null)
	case $kind in
	*:files*) compopt -o filenames && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${2-}") ;;
	*:dirs*) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "${2-}") ;;
	:commands) mapfile -t COMPREPLY < <(compgen -c -- "${2-}") ;;
	esac
	return 0
}
complete -F _sbx_complete sbx
