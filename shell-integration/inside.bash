case ${PS1-} in *debian_chroot* | *"(sbx:"*) ;; *) PS1='(sbx:@NAME@) '${PS1-} ;; esac
export -n PROMPT_COMMAND debian_chroot SBX_LEAVE
case ${SBX_LEAVE-}:${PWD%/}/ in :* | *:"${SBX_PROJECT-}"/*) ;; *) printf %s "$PWD" >~/.sbx-left && exit ;; esac
