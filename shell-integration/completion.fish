# Completion of sbx for fish.  In ~/.config/fish/config.fish:  sbx completion fish | source
# What may come next is told by sbx itself.
function __sbx_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	for line in (@SBX@ completion --list -- $words[2..-1] "$current" 2>/dev/null)
		switch $line
			case ':dirs'
				__fish_complete_directories "$current" ''
			case ':files'
				__fish_complete_path "$current"
			case ':commands'
				complete -C "$current"
			case '*'
				printf '%s\n' $line
		end
	end
end
complete -c sbx -e
complete -c sbx -f -a '(__sbx_complete)'
