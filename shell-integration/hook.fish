# sbx for fish.  In ~/.config/fish/config.fish, below all else:  sbx hook fish | source
#
# The prompt shows (sbx:NAME) in the folder of a project, and one line says what is there when you come into it.
#   SBX_PROMPT=0      no (sbx:NAME)
#   SBX_NOTICE=0      no such line
#   SBX_AUTO_ENTER=1  enter an environment that is there and needs nothing allowed, and leave it with the folder
#
# Nothing of an sbx.ini is evaluated here; sbx is started where the project is another one, not for each prompt.
set -g __sbx_folder ''
set -g __sbx_project ''
set -g __sbx_segment ''

# The folder above this one that holds an sbx.ini, or none.
function __sbx_find
	set -g __sbx_found "$PWD"
	while test -n "$__sbx_found" -a ! -e "$__sbx_found/sbx.ini"
		set -g __sbx_found (string replace -r '/[^/]*$' '' -- $__sbx_found)
	end
end

# Another project: what sbx says of it.
function __sbx_look
	set -l said
	set -g __sbx_project "$__sbx_found"
	set -g __sbx_segment ''
	test -n "$__sbx_project"; or return 0
	if test "$SBX_NOTICE" = 0
		set said (@SBX@ hook --notice 2>/dev/null); or return 0
	else
		set said (@SBX@ hook --notice); or return 0
	end
	set -l words (string split -m 1 ' ' -- $said)
	test "$SBX_PROMPT" = 0; or set -g __sbx_segment "(sbx:$words[2]) "
	test "$SBX_AUTO_ENTER" = 1 -a "$words[1]" = ready; and isatty stdin; and isatty stdout; or return 0
	@SBX@ enter --leave
	set said (@SBX@ hook --left 2>/dev/null); or return 0
	test -n "$said"; or return 0
	if not builtin cd -- $said 2>/dev/null
		echo 'sbx: that folder is there only inside' >&2
		return 0
	end
	set -g __sbx_folder "$PWD"
	__sbx_find
	test "$__sbx_found" = "$__sbx_project"; or __sbx_look
end

function __sbx_hook --on-event fish_prompt
	if test -n "$SBX" -a "$container" = sbx
		set -g __sbx_segment "(sbx:"(string replace -ra '[^\pL\pN._+-]' '?' -- $SBX)") "
	else if test "$PWD" != "$__sbx_folder"
		set -g __sbx_folder "$PWD"
		__sbx_find
		test "$__sbx_found" = "$__sbx_project"; or __sbx_look
	end
end

function __sbx_status
	return $argv[1]
end

if not functions -q __sbx_own_prompt
	functions -c fish_prompt __sbx_own_prompt
	function fish_prompt
		set -l last $status
		printf %s "$__sbx_segment"
		__sbx_status $last
		__sbx_own_prompt
	end
end
