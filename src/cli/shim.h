/*
 * shim — launchers in a project's .sbx/bin, each a file that runs the command of its name in the sandbox:
 *
 *     #!/usr/bin/sbx shim
 *     # Made by `sbx shim`: runs python3 in the sandbox of this project.
 *
 * The kernel then starts `sbx shim FILE ARG ...`.  .sbx is read-only inside.
 */
#ifndef SBX_CLI_SHIM_H
#define SBX_CLI_SHIM_H

#include <stddef.h>

struct arena;
struct buf;
struct err;
struct store;
struct strv;

#define SHIM_FOLDER ".sbx/bin"

enum shim_state {
	SHIM_OK,
	SHIM_STALE,   /* made by an sbx that lies elsewhere */
	SHIM_FOREIGN, /* not made by sbx */
};

/* What the launcher of `name` holds; `self`: the path of sbx. */
void shim_text(const char *self, const char *name, struct buf *ret);

/* Whose is the file with this text? */
enum shim_state shim_judge(const char *self, const char *name, const struct buf *text);

/* No slash, no leading dot or dash, nothing that a terminal obeys: else ERR_USAGE. */
int shim_check_name(const char *name, struct err *err);

/*
 * Make the launchers, or make them anew.  One of the name that is not sbx's is an error, and stays; so is a sandbox of
 * the project that runs, in which .sbx is not read-only yet.
 */
int shim_make(struct arena *a, const struct store *s, const char *project, const char *const *names,
	      struct err *err);

/* Remove launchers; all must be there, and sbx's. */
int shim_remove(struct arena *a, const char *project, const char *const *names, struct err *err);

struct shim {
	const char *name;
	enum shim_state state;
};

/* All that is there, by name; none, where the folder is not there. */
int shim_list(struct arena *a, const char *project, struct shim **ret, size_t *ret_n,
	      struct err *err);

/* The project and the command that the launcher `file` is of: ERR_USAGE where it is none. */
int shim_of(struct arena *a, const char *file, const char **ret_project, const char **ret_name,
	    struct err *err);

#endif
