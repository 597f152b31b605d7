# What `sbx enter` runs where the user's shell outside is zsh or fish; for bash, inside.bash does the same by a variable.
# The prompt begins with (sbx:NAME), and with SBX_LEAVE the shell ends where its folder is outside of the project.

in_fish='
set -l leave "$SBX_LEAVE"
set -e SBX_LEAVE
# It is for bash; the prompt of fish would say it once more.
test "$debian_chroot" = "sbx:@NAME@"; and set -e debian_chroot
if not functions -q __sbx_own_prompt
	functions -c fish_prompt __sbx_own_prompt
	function __sbx_status
		return $argv[1]
	end
	function fish_prompt
		set -l last $status
		printf "(sbx:@NAME@) "
		__sbx_status $last
		__sbx_own_prompt
	end
end
if test -n "$leave"
	function __sbx_leave --on-event fish_prompt
		set -l n (string length -- "$SBX_PROJECT/")
		test (string sub -l $n -- "$PWD/") = "$SBX_PROJECT/"; and return
		printf %s "$PWD" >~/.sbx-left
		exit
	end
end'

# zsh has no such option: its start-up files are ours, which read the own ones.
zshenv='
if [[ -n ${SBX_ZDOTDIR-} ]]; then ZDOTDIR=$SBX_ZDOTDIR; else unset ZDOTDIR; fi
[[ ! -f ${ZDOTDIR:-$HOME}/.zshenv ]] || . "${ZDOTDIR:-$HOME}/.zshenv"
SBX_ZDOTDIR=${ZDOTDIR-} ZDOTDIR=$SBX_ZSH'
zshrc='
if [[ -n ${SBX_ZDOTDIR-} ]]; then ZDOTDIR=$SBX_ZDOTDIR; else unset ZDOTDIR; fi
command rm -rf -- "$SBX_ZSH"
[[ ! -f ${ZDOTDIR:-$HOME}/.zshrc ]] || . "${ZDOTDIR:-$HOME}/.zshrc"
typeset -g __sbx_leave=${SBX_LEAVE-}
unset SBX_LEAVE SBX_ZSH SBX_ZDOTDIR
[[ ${PROMPT-} == *"(sbx:"* ]] || PROMPT="(sbx:@NAME@) "${PROMPT-}
__sbx_inside() {
	[[ -n $__sbx_leave && $PWD/ != "$SBX_PROJECT"/* ]] || return 0
	print -rn -- $PWD >~/.sbx-left
	exit
}
typeset -ga precmd_functions
precmd_functions+=(__sbx_inside)'

case ${SHELL-} in
*/fish) exec "$SHELL" -C "$in_fish" ;;
*/zsh)
	if SBX_ZSH=$(mktemp -d /tmp/.sbx-zsh-XXXXXX) && printf '%s\n' "$zshenv" >"$SBX_ZSH/.zshenv" &&
		printf '%s\n' "$zshrc" >"$SBX_ZSH/.zshrc"; then
		SBX_ZDOTDIR=${ZDOTDIR-} ZDOTDIR=$SBX_ZSH
		export SBX_ZSH SBX_ZDOTDIR ZDOTDIR
	fi
	;;
esac
exec "${SHELL:-/bin/sh}"
