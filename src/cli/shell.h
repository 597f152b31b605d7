/*
 * shell — the scripts of shell-integration/, which are part of this program, and words that a shell may see.
 */
#ifndef SBX_CLI_SHELL_H
#define SBX_CLI_SHELL_H

struct arena;
struct buf;
struct err;

/* The path of this program; NULL: it is gone. */
const char *shell_self(struct arena *a);

/*
 * Add the script `what` ("hook", "completion") for a shell to `ret`; @SBX@ in it is this program, quoted.  An
 * unknown shell is ERR_USAGE.
 */
int shell_script(struct arena *a, const char *what, const char *shell, struct buf *ret,
		 struct err *err);

/*
 * The name of a project for a prompt: letters (of any script), digits, and . _ + - as they are, anything else a ?.  No
 * shell evaluates any of it, and no terminal obeys it.
 */
const char *shell_name(struct arena *a, const char *name);

/*
 * The variables by which a shell inside shows the name of its project in its prompt, ended by NULL.  leave: it
 * ends where its folder is outside of the project, and writes that folder to the file SHELL_LEFT of its home.
 */
#define SHELL_LEFT ".sbx-left"
const char *const *shell_inside(struct arena *a, const char *name, int leave);

/*
 * Where `shell`, the user's one outside, is of those that no variable tells that: the command that starts the one inside
 * so; else NULL.
 */
const char *const *shell_inside_argv(struct arena *a, const char *name, const char *shell);

#endif
