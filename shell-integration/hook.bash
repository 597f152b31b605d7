# sbx for bash.  In ~/.bashrc, below all else:  eval "$(sbx hook bash)"
#
# The prompt shows (sbx:NAME) in the folder of a project, and one line says what is there when you come into it.
#   SBX_PROMPT=0      no (sbx:NAME)
#   SBX_NOTICE=0      no such line
#   SBX_AUTO_ENTER=1  enter an environment that is there and needs nothing allowed, and leave it with the folder
#
# Nothing of an sbx.ini is evaluated here; sbx is started where the project is another one, not for each prompt.
__sbx_folder=
__sbx_project=
__sbx_segment=

# The folder above this one that holds an sbx.ini, or none.
__sbx_find() {
	__sbx_found=$PWD
	while [[ -n $__sbx_found && ! -e $__sbx_found/sbx.ini ]]; do
		__sbx_found=${__sbx_found%/*}
	done
	return 0
}

# Another project: what sbx says of it.
__sbx_look() {
	local said state
	__sbx_project=$__sbx_found
	__sbx_segment=
	[[ -n $__sbx_project ]] || return 0
	if [[ ${SBX_NOTICE-1} == 0 ]]; then
		said=$(@SBX@ hook --notice 2>/dev/null) || return 0
	else
		said=$(@SBX@ hook --notice) || return 0
	fi
	state=${said%% *}
	[[ ${SBX_PROMPT-1} == 0 ]] || __sbx_segment="(sbx:${said#* }) "
	[[ ${SBX_AUTO_ENTER-0} == 1 && $state == ready && -t 0 && -t 1 ]] || return 0
	@SBX@ enter --leave || :
	said=$(@SBX@ hook --left 2>/dev/null) || return 0
	if [[ -z $said ]]; then
		return 0
	elif ! builtin cd -- "$said" 2>/dev/null; then
		printf 'sbx: that folder is there only inside\n' >&2
		return 0
	fi
	__sbx_folder=$PWD
	__sbx_find
	[[ $__sbx_found == "$__sbx_project" ]] || __sbx_look
	return 0
}

__sbx_hook() {
	local status=$?
	if [[ -n ${SBX-} && ${container-} == sbx ]]; then
		__sbx_segment="(sbx:${SBX//[^[:alnum:]._+-]/?}) "
	elif [[ $PWD != "$__sbx_folder" ]]; then
		__sbx_folder=$PWD
		__sbx_find
		[[ $__sbx_found == "$__sbx_project" ]] || __sbx_look
	fi
	# Where another prompt was set, it gets the segment again; what the segment holds is only shown.
	if shopt -q promptvars && [[ ${PS1-} != *'${__sbx_segment-}'* && ${PS1-} != *'(sbx:'* ]]; then
		PS1='${__sbx_segment-}'${PS1-}
	fi
	# For those behind this one in PROMPT_COMMAND; with `set -e` it would end the shell.
	[[ $- == *e* ]] || return "$status"
}

# Behind what is there, so that whatever sets the prompt comes first.
case $(declare -p PROMPT_COMMAND 2>/dev/null) in
*__sbx_hook*) ;;
'declare -a'*) PROMPT_COMMAND+=(__sbx_hook) ;;
*) PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}__sbx_hook ;;
esac
