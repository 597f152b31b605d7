# sbx for zsh.  In ~/.zshrc, below all else:  eval "$(sbx hook zsh)"
#
# The prompt shows (sbx:NAME) in the folder of a project, and one line says what is there when you come into it.
#   SBX_PROMPT=0      no (sbx:NAME)
#   SBX_NOTICE=0      no such line
#   SBX_AUTO_ENTER=1  enter an environment that is there and needs nothing allowed, and leave it with the folder
#
# Nothing of an sbx.ini is evaluated here; sbx is started where the project is another one, not for each prompt.
typeset -g __sbx_folder= __sbx_project= __sbx_found=

# The folder above this one that holds an sbx.ini, or none.
__sbx_find() {
	emulate -L zsh
	__sbx_found=$PWD
	while [[ -n $__sbx_found && ! -e $__sbx_found/sbx.ini ]]; do
		__sbx_found=${__sbx_found%/*}
	done
}

# Another project: what sbx says of it.  psvar[17] is what %17v in the prompt shows, as it is.
__sbx_look() {
	emulate -L zsh
	local said state
	__sbx_project=$__sbx_found
	psvar[17]=
	[[ -n $__sbx_project ]] || return 0
	if [[ ${SBX_NOTICE-1} == 0 ]]; then
		said=$(@SBX@ hook --notice 2>/dev/null) || return 0
	else
		said=$(@SBX@ hook --notice) || return 0
	fi
	state=${said%% *}
	[[ ${SBX_PROMPT-1} == 0 ]] || psvar[17]=${said#* }
	[[ ${SBX_AUTO_ENTER-0} == 1 && $state == ready && -t 0 && -t 1 ]] || return 0
	@SBX@ enter --leave
	said=$(@SBX@ hook --left 2>/dev/null) || return 0
	if [[ -z $said ]]; then
		return 0
	elif ! builtin cd -q -- "$said" 2>/dev/null; then
		print -u2 'sbx: that folder is there only inside'
		return 0
	fi
	__sbx_folder=$PWD
	__sbx_find
	[[ $__sbx_found == $__sbx_project ]] || __sbx_look
}

__sbx_hook() {
	emulate -L zsh
	if [[ -n ${SBX-} && ${container-} == sbx ]]; then
		psvar[17]=${SBX//[^[:alnum:]._+-]/?}
	elif [[ $PWD != $__sbx_folder ]]; then
		__sbx_folder=$PWD
		__sbx_find
		[[ $__sbx_found == $__sbx_project ]] || __sbx_look
	fi
	[[ ${PROMPT-} == *'%(17V.'* ]] || PROMPT='%(17V.(sbx:%17v%) .)'${PROMPT-}
}

typeset -ga precmd_functions
precmd_functions=(${precmd_functions:#__sbx_hook} __sbx_hook)
