#compdef sbx
# Completion of sbx for zsh.  In ~/.zshrc, below compinit:  eval "$(sbx completion zsh)"
# What may come next is told by sbx itself.
_sbx() {
	local line kind=
	local -a found
	for line in "${(@f)$(@SBX@ completion --list -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}"; do
		case $line in
		('') ;;
		(:*) kind+=$line ;;
		(*) found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		esac
	done
	(( $#found )) && _describe -t sbx sbx found
	case $kind in
	(*:files*) _files ;;
	(*:dirs*) _files -/ ;;
	(:commands) _command_names -e ;;
	esac
}
if [[ ${funcstack[1]-} == _sbx ]]; then
	_sbx "$@"
elif (( ${+functions[compdef]} )); then
	compdef _sbx sbx
fi
