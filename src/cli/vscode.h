/*
 * vscode — .vscode/settings.json: paths of launchers (cli/shim.h) where an editor looks for programs.
 */
#ifndef SBX_CLI_VSCODE_H
#define SBX_CLI_VSCODE_H

struct arena;
struct err;
struct profile;
struct strv;

/* The commands of which VS Code's settings have the path, for a profile by the names of the files that it is of. */
void vscode_tools(struct arena *a, const struct profile *p, struct strv *ret);

/*
 * Set the paths of these commands in the project's settings, and say so.  What is there stays: other keys, and
 * those that have another value, which is said.  Settings with comments are an error, and stay.
 */
int vscode_write(struct arena *a, const char *project, const struct strv *tools, struct err *err);

#endif
